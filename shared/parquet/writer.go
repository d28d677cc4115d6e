package parquet

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/snappy"
)

// Limits of what is written.
const (
	// GroupRows is how many rows a row group has at most.
	GroupRows = 20_000
	// groupBytes is after how many bytes, unpacked, a row group is closed, so
	// that memory is bounded whatever the rows hold.
	groupBytes = 32 << 20
	// pageBytes is after how many bytes a page is closed.
	pageBytes = 1 << 20
	// statBytes is the longest text that stands in statistics.
	statBytes = 64
)

// Kind is what a column of a [Writer] holds.
type Kind int

// The kinds.
const (
	Text  Kind = iota // UTF-8
	Int               // 64 bits
	Reals             // a list of doubles
)

// Column is a column of a [Writer]. Every value may be missing.
type Column struct {
	Name string
	Kind Kind
}

// Field is a value to be written: of its column's kind, or nothing.
type Field struct {
	Null  bool
	Text  []byte
	Int   int64
	Reals []float64
}

// Writer writes rows as a Parquet file: compressed with Snappy, in row groups
// of at most GroupRows rows. What is held is a row group, packed.
type Writer struct {
	w       io.Writer
	at      int64
	columns []*written
	rows    int64 // of the group
	bytes   int64 // of the group, unpacked
	total   int64
	groups  []writtenGroup
	err     error
}

type writtenGroup struct {
	rows, bytes int64
	chunks      []writtenChunk
}

type writtenChunk struct {
	start, packed, unpacked, values, nulls int64
	least, most                            []byte
	known                                  bool // least and most
}

// written is a column of the row group at hand.
type written struct {
	Column
	pages []byte // packed, with their headers
	chunk writtenChunk
	// of the page at hand
	values, nulls int
	rows          int
	reps, defs    runs
	body          []byte
	unstated      bool // a text is too long for statistics
	scratch       []byte
}

// NewWriter begins a file.
func NewWriter(w io.Writer, columns []Column) *Writer {
	x := &Writer{w: w}
	for _, c := range columns {
		x.columns = append(x.columns, &written{Column: c})
	}
	x.put([]byte(magic))
	return x
}

func (w *Writer) put(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(b)
	w.at += int64(n)
	w.err = err
}

// Write adds a row: a field for each column, in their order. The fields are not
// kept.
func (w *Writer) Write(fields []Field) error {
	if len(fields) != len(w.columns) {
		return fmt.Errorf("write a row of %d fields into %d columns", len(fields), len(w.columns))
	}
	for i, c := range w.columns {
		w.bytes += c.add(&fields[i])
		if len(c.body) >= pageBytes {
			c.closePage()
		}
	}
	if w.rows++; w.rows >= GroupRows || w.bytes >= groupBytes {
		w.closeGroup()
	}
	return w.err
}

// Close writes what is left and the footer.
func (w *Writer) Close() error {
	if w.rows > 0 {
		w.closeGroup()
	}
	footer := w.footer()
	w.put(footer)
	w.put(append(binary.LittleEndian.AppendUint32(nil, uint32(len(footer))), magic...))
	return w.err
}

// add appends a value to the page at hand and returns its size.
func (c *written) add(f *Field) int64 {
	before := len(c.body)
	c.rows++
	if c.Kind == Reals {
		c.addList(f)
		return int64(len(c.body)-before) + 1
	}
	c.values++
	if f.Null {
		c.nulls++
		c.defs.add(0, 1)
		return 1
	}
	c.defs.add(1, 1)
	switch c.Kind {
	case Text:
		c.body = append(binary.LittleEndian.AppendUint32(c.body, uint32(len(f.Text))), f.Text...)
		if len(f.Text) > statBytes {
			c.unstated = true
		}
	case Int:
		c.body = binary.LittleEndian.AppendUint64(c.body, uint64(f.Int))
	}
	c.note(f)
	return int64(len(c.body)-before) + 1
}

// addList appends a list: 0 there is none, 1 it is empty, 2 its values follow.
func (c *written) addList(f *Field) {
	switch {
	case f.Null:
		c.nulls++
		c.defs.add(0, 1)
	case len(f.Reals) == 0:
		c.nulls++
		c.defs.add(1, 1)
	default:
		c.defs.add(2, len(f.Reals))
		c.reps.add(0, 1)
		if n := len(f.Reals) - 1; n > 0 {
			c.reps.add(1, n)
		}
		c.values += len(f.Reals)
		for _, x := range f.Reals {
			c.body = binary.LittleEndian.AppendUint64(c.body, math.Float64bits(x))
		}
		return
	}
	c.values++
	c.reps.add(0, 1)
}

// note keeps the least and greatest value of the chunk.
func (c *written) note(f *Field) {
	k := &c.chunk
	if c.Kind == Int {
		b := binary.LittleEndian.AppendUint64(c.scratch[:0], uint64(f.Int))
		c.scratch = b
		if !k.known || f.Int < int64(binary.LittleEndian.Uint64(k.least)) {
			k.least = append(k.least[:0], b...)
		}
		if !k.known || f.Int > int64(binary.LittleEndian.Uint64(k.most)) {
			k.most = append(k.most[:0], b...)
		}
		k.known = true
		return
	}
	if c.unstated {
		return
	}
	if !k.known || string(f.Text) < string(k.least) {
		k.least = append(k.least[:0], f.Text...)
	}
	if !k.known || string(f.Text) > string(k.most) {
		k.most = append(k.most[:0], f.Text...)
	}
	k.known = true
}

// closePage packs the page at hand: a page of version 1, levels in front.
func (c *written) closePage() {
	if c.rows == 0 {
		return
	}
	page := c.scratch[:0]
	if c.Kind == Reals {
		page = c.reps.appendTo(page)
	}
	page = append(c.defs.appendTo(page), c.body...)
	packed := snappy.Encode(nil, page)
	var head thrift
	head.int(1, typeI32, dataPage)
	head.int(2, typeI32, int64(len(page)))
	head.int(3, typeI32, int64(len(packed)))
	head.begin(5)
	head.int(1, typeI32, int64(c.values))
	head.int(2, typeI32, encPlain)
	head.int(3, typeI32, encRLE)
	head.int(4, typeI32, encRLE)
	head.end()
	head.stop()
	c.pages = append(append(c.pages, head.b...), packed...)
	c.chunk.unpacked += int64(len(head.b) + len(page))
	c.chunk.values += int64(c.values)
	c.chunk.nulls += int64(c.nulls)
	c.scratch = page
	c.values, c.nulls, c.rows, c.body = 0, 0, 0, c.body[:0]
	c.reps, c.defs = runs{b: c.reps.b[:0]}, runs{b: c.defs.b[:0]}
}

func (w *Writer) closeGroup() {
	g := writtenGroup{rows: w.rows}
	for _, c := range w.columns {
		c.closePage()
		k := c.chunk
		k.start, k.packed = w.at, int64(len(c.pages))
		k.known = k.known && !c.unstated
		w.put(c.pages)
		g.bytes += k.unpacked
		g.chunks = append(g.chunks, k)
		c.pages, c.chunk, c.unstated = c.pages[:0], writtenChunk{}, false
	}
	w.groups = append(w.groups, g)
	w.total += w.rows
	w.rows, w.bytes = 0, 0
}

// runs are levels as runs of one value.
type runs struct {
	b     []byte
	value byte
	count int
}

func (r *runs) add(value byte, count int) {
	if r.count > 0 && r.value != value {
		r.flush()
	}
	r.value, r.count = value, r.count+count
}

func (r *runs) flush() {
	if r.count > 0 {
		r.b = append(binary.AppendUvarint(r.b, uint64(r.count)<<1), r.value)
	}
	r.count = 0
}

// appendTo appends the levels with their length in front.
func (r *runs) appendTo(dst []byte) []byte {
	r.flush()
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(r.b))), r.b...)
}
