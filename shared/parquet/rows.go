package parquet

import (
	"errors"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Cell is what a row holds in a column at the top.
type Cell struct {
	// Name is the column's.
	Name string
	// Raw is the value as text, or as JSON.
	Raw []byte
	// Text says that Raw is text. Numbers, truth values, lists, maps and
	// groups are JSON.
	Text bool
	// Null: there is no value.
	Null bool
}

// Rows reads rows one after the other.
type Rows struct {
	f       *File
	row     int64 // the next one, from 0
	limit   int
	group   int // -1: none is open
	columns []*column
	total   int64
	cells   []Cell
	places  []place
	buf     []byte
	scratch []byte

	// of the row at hand
	size    int64 // as JSON, about
	badText bool
}

// place is where a cell lies in buf.
type place struct{ from, to int }

// What can be wrong with a row.
var (
	// ErrTooLarge: the row is larger than the limit.
	ErrTooLarge = errors.New("row too large")
	// ErrNotUTF8: a text of the row is not UTF-8.
	ErrNotUTF8 = errors.New("row not UTF-8")
)

// Rows reads from a row on, counted from 0. Rows of more than limit bytes are
// not kept.
func (f *File) Rows(row int64, limit int) *Rows {
	return &Rows{f: f, row: max(row, 0), limit: limit, group: -1}
}

// Row is the number of the row that Next reads, from 0.
func (r *Rows) Row() int64 { return r.row }

// Skip goes over n rows. Where that ends in a later row group, what lies
// between is not read.
func (r *Rows) Skip(n int64) error {
	if r.group >= 0 {
		g := r.f.groups[r.group]
		if r.row+n < g.first+g.rows {
			for _, c := range r.columns {
				if err := c.skip(n); err != nil {
					return err
				}
			}
		} else {
			r.close()
		}
	}
	r.row += n
	return nil
}

func (r *Rows) close() {
	r.group, r.columns, r.total = -1, nil, 0
}

// Next reads a row; it is valid until the next call. io.EOF is the end.
// ErrTooLarge and ErrNotUTF8 concern the row alone: size is what it takes, and
// reading goes on. After other errors the reader is of no more use.
func (r *Rows) Next() (cells []Cell, size int64, err error) {
	if r.row >= r.f.rows {
		return nil, 0, io.EOF
	}
	if err := r.open(); err != nil {
		return nil, 0, err
	}
	r.buf, r.places, r.cells = r.buf[:0], r.places[:0], r.cells[:0]
	r.size, r.badText = 0, false
	for _, n := range r.f.root.children {
		cell := Cell{Name: n.name}
		from := len(r.buf)
		if err := r.cell(n, &cell); err != nil {
			return nil, 0, err
		}
		r.places = append(r.places, place{from, len(r.buf)})
		r.cells = append(r.cells, cell)
	}
	for i, p := range r.places {
		r.cells[i].Raw = r.buf[p.from:p.to:p.to]
	}
	r.row++
	g := r.f.groups[r.group]
	if r.row == g.first+g.rows {
		for _, c := range r.columns {
			if more, err := c.peek(); err != nil {
				return nil, 0, err
			} else if more {
				return nil, 0, broken("column %q of row group %d has more rows than it says", c.leaf.path, r.group+1)
			}
		}
		r.close()
	}
	switch {
	case r.size > int64(r.limit):
		return nil, r.size, ErrTooLarge
	case r.badText:
		return r.cells, r.size, ErrNotUTF8
	}
	return r.cells, r.size, nil
}

// open opens the columns of the row group that the next row lies in.
func (r *Rows) open() error {
	if r.group >= 0 {
		return nil
	}
	n := 0
	for r.f.groups[n].first+r.f.groups[n].rows <= r.row {
		n++
	}
	// A quarter of a MiB to 8 MiB at once for each column, 64 MiB for all.
	block := min(max((64<<20)/len(r.f.leaves), 32<<10), 8<<20)
	r.group, r.total = n, 0
	r.columns = make([]*column, len(r.f.leaves))
	for i := range r.columns {
		r.columns[i] = r.f.column(n, i, block, &r.total)
		if err := r.columns[i].skip(r.row - r.f.groups[n].first); err != nil {
			return err
		}
	}
	return nil
}

// cell reads what stands in a column at the top. Texts stand as they are there,
// and quoted within others.
func (r *Rows) cell(n *node, cell *Cell) error {
	if n.leaf != nil && n.repetition != 2 {
		v, null, err := r.columns[n.lo].take()
		if err != nil {
			return err
		}
		cell.Null = null || n.means == meansNull
		if cell.Null {
			return nil
		}
		from := len(r.buf)
		r.buf, cell.Text = n.leaf.append(r.buf, v)
		if cell.Text && !utf8.Valid(r.buf[from:]) {
			r.badText = true
		}
		r.count(from, len(n.name)+6)
		return nil
	}
	first := r.columns[n.lo]
	if ok, err := first.peek(); err != nil {
		return err
	} else if ok && n.repetition == 1 && first.def < n.maxDef {
		cell.Null = true
		return r.nulls(n)
	}
	from := len(r.buf)
	err := r.value(n)
	r.count(from, len(n.name)+6)
	return err
}

// count adds what was appended since to the row's size, and drops it where the
// row is over its limit.
func (r *Rows) count(from, beside int) {
	r.size += int64(len(r.buf)-from) + int64(beside)
	if r.size > int64(r.limit) {
		r.buf = r.buf[:from]
	}
}

// nulls takes the one entry that every column below a value that is not there
// has.
func (r *Rows) nulls(n *node) error {
	for i := n.lo; i < n.hi; i++ {
		if _, _, err := r.columns[i].take(); err != nil {
			return err
		}
	}
	return nil
}

// full reports that the row is over its limit, so that nothing more is kept.
func (r *Rows) full() bool { return len(r.buf) > r.limit }

func (r *Rows) literal(text string) {
	if !r.full() {
		r.buf = append(r.buf, text...)
	}
}

func (r *Rows) quote(text []byte) {
	if r.full() {
		r.size += int64(len(text))
		return
	}
	if !utf8.Valid(text) {
		r.badText = true
	}
	// The error can only be that of the text's encoding.
	r.buf, _ = jsontext.AppendQuote(r.buf, text)
}

// value appends a node's value as JSON: of a repeated one all of its values as
// a list.
func (r *Rows) value(n *node) error {
	if n.repetition == 2 {
		return r.list(n, r.one)
	}
	return r.one(n)
}

// optional appends null where the value is not there.
func (r *Rows) optional(n *node) error {
	if n.repetition == 1 {
		first := r.columns[n.lo]
		if ok, err := first.peek(); err != nil {
			return err
		} else if ok && first.def < n.maxDef {
			r.literal("null")
			return r.nulls(n)
		}
	}
	return r.value(n)
}

// list appends the repetitions of a node.
func (r *Rows) list(n *node, each func(*node) error) error {
	r.literal("[")
	err := r.repeat(n, each)
	r.literal("]")
	return err
}

func (r *Rows) repeat(n *node, each func(*node) error) error {
	first := r.columns[n.lo]
	if ok, err := first.peek(); err != nil {
		return err
	} else if !ok || first.def < n.maxDef {
		return r.nulls(n)
	}
	for count := 0; ; count++ {
		if count > 0 {
			r.literal(",")
		}
		if err := each(n); err != nil {
			return err
		}
		if ok, err := first.peek(); err != nil {
			return err
		} else if !ok || first.rep != n.maxRep {
			return nil
		}
	}
}

// one appends one value of a node that is there.
func (r *Rows) one(n *node) error {
	switch {
	case n.leaf != nil:
		return r.scalar(n)
	case n.means == meansList && len(n.children) == 1 && n.children[0].repetition == 2:
		return r.list(n.children[0], r.element(n))
	case n.means == meansMap && len(n.children) == 1 && n.children[0].repetition == 2 && len(n.children[0].children) == 2 &&
		n.children[0].children[0].leaf != nil && n.children[0].children[0].repetition == 0:
		return r.object(n.children[0])
	}
	return r.members(n)
}

func (r *Rows) members(n *node) error {
	r.literal("{")
	for i, child := range n.children {
		if i > 0 {
			r.literal(",")
		}
		r.quote([]byte(child.name))
		r.literal(":")
		if err := r.optional(child); err != nil {
			return err
		}
	}
	r.literal("}")
	return nil
}

// element is how an element of a list is read: by itself, or as the one member
// of a group that only serves to repeat it.
func (r *Rows) element(list *node) func(*node) error {
	repeated := list.children[0]
	if repeated.leaf == nil && len(repeated.children) == 1 && repeated.name != "array" && repeated.name != list.name+"_tuple" {
		return func(n *node) error { return r.optional(n.children[0]) }
	}
	return r.one
}

// object appends a map as an object: its keys as text.
func (r *Rows) object(pairs *node) error {
	r.literal("{")
	err := r.repeat(pairs, func(n *node) error {
		key, value := n.children[0], n.children[1]
		v, _, err := r.columns[key.lo].take()
		if err != nil {
			return err
		}
		text, _ := key.leaf.append(nil, v)
		r.quote(text)
		r.literal(":")
		return r.optional(value)
	})
	r.literal("}")
	return err
}

func (r *Rows) scalar(n *node) error {
	v, null, err := r.columns[n.lo].take()
	if err != nil {
		return err
	}
	if null || n.means == meansNull {
		r.literal("null")
		return nil
	}
	var text bool
	r.scratch, text = n.leaf.append(r.scratch[:0], v)
	switch {
	case text:
		r.quote(r.scratch)
	case r.full():
		r.size += int64(len(r.scratch))
	default:
		r.buf = append(r.buf, r.scratch...)
	}
	return nil
}
