package dataset

import (
	"bytes"
	"io"
)

// batchSize is how many bytes of whole rows a batch holds, if no row is larger,
// and batchRows how many rows: what is known of a short row is larger than
// itself.
const (
	batchSize = 256 << 10
	batchRows = 4096
)

// Batches cuts an upload of JSON lines into batches of whole rows, numbered and
// placed, that can be read apart from each other, by several goroutines. It
// yields the very rows that the Reader of the format yields. It is used by one
// goroutine.
type Batches struct {
	lines *lines // how the format's rows are read
	limit int
	size  int // batchSize; tests read in smaller steps
	r     io.Reader
	at    Position
	rest  []byte // read, and behind the last batch
	err   error  // that ended the stream
	begun bool
}

// Batch is a run of rows. It may be used again for another.
type Batch struct {
	data []byte
	rows []batchRow
}

type batchRow struct {
	line
	row, number int64
	next        Position
}

// NewBatches makes batches of the upload's decompressed bytes from at.Off on;
// false for formats whose rows are no lines.
func NewBatches(f Format, r io.Reader, at Position, opt Options) (*Batches, bool) {
	reader, err := New(f, r, at, opt)
	if l, ok := reader.(*lines); ok && err == nil {
		return &Batches{lines: l, limit: l.limit, size: batchSize, r: r, at: l.at}, true
	}
	return nil, false
}

// Position is where the next batch starts.
func (b *Batches) Position() Position { return b.at }

// Next reads the next batch, which holds at least one row. It returns io.EOF
// when there is none, and errors of the stream as they are.
func (b *Batches) Next(into *Batch) error {
	for {
		if err := b.fill(into); err != nil {
			return err
		}
		if len(into.rows) > 0 {
			return nil
		}
	}
}

// fill reads lines, of which all may be blank.
func (b *Batches) fill(into *Batch) error {
	if cap(into.data) > 2*b.size+len(b.rest) || cap(into.data) == 0 {
		into.data = make([]byte, 0, b.size+len(b.rest))
	}
	into.data = append(into.data[:0], b.rest...)
	b.rest, into.rows = b.rest[:0], into.rows[:0]
	seen := 0 // so much holds no line end
	for {
		if err := b.more(into); err != nil {
			return err
		}
		data := into.data
		if !b.begun {
			// A mark that is not whole yet is followed by more.
			if len(data) < len(byteOrderMark) && b.err == nil {
				continue
			}
			b.begun = true
			if b.at.Off == 0 && bytes.HasPrefix(data, byteOrderMark) {
				into.data = append(data[:0], data[len(byteOrderMark):]...)
				data = into.data
				b.at.Off = int64(len(byteOrderMark))
			}
		}
		end := seen + bytes.LastIndexByte(data[seen:], '\n') + 1
		switch {
		case b.err == io.EOF && len(data) > 0:
			b.rest = append(b.rest, data[b.cut(into, len(data)):]...)
			return nil
		case end > seen:
			b.rest = append(b.rest, data[b.cut(into, end):]...)
			return nil
		case b.err != nil:
			return b.err
		}
		seen = len(data)
		if seen > b.limit+1 {
			return b.skip(into)
		}
	}
}

// more reads onto the batch until it is full, or twice as large as it was if it
// is.
func (b *Batches) more(into *Batch) error {
	data := into.data
	if len(data) == cap(data) {
		data = append(make([]byte, 0, 2*cap(data)), data...)
	}
	for empty := 0; len(data) < cap(data) && b.err == nil; {
		n, err := b.r.Read(data[len(data):cap(data)])
		data, b.err = data[:len(data)+n], err
		if n > 0 {
			empty = 0
		} else if empty++; empty == 100 && err == nil {
			b.err = io.ErrNoProgress
		}
	}
	into.data = data
	return nil
}

// cut finds the lines of the first size bytes of the batch, and returns where
// the last one that fits ends.
func (b *Batches) cut(into *Batch, size int) (from int) {
	for from < size {
		if len(into.rows) == batchRows {
			return from
		}
		end, whole := size, size
		if i := bytes.IndexByte(into.data[from:size], '\n'); i >= 0 {
			end, whole = from+i, from+i+1
		}
		raw := trimCR(into.data[from:end])
		l := line{raw: raw, off: b.at.Off, size: int64(len(raw)), next: b.at.Off + int64(whole-from)}
		if len(raw) > b.limit {
			l.raw, l.cut = beginning(raw, b.limit), true
		}
		b.add(into, l)
		from = whole
	}
	return from
}

// add takes a line into the batch, unless it is blank.
func (b *Batches) add(into *Batch, l line) {
	number := b.at.Line
	b.at.Line++
	b.at.Off = l.next
	if !l.cut && blank(l.raw) {
		return
	}
	row := b.at.Row
	b.at.Row++
	into.rows = append(into.rows, batchRow{line: l, row: row, number: number, next: b.at})
}

// skip makes a batch of the beginning of a line that is too large, and drops
// the rest of it.
func (b *Batches) skip(into *Batch) error {
	w := newWindow(b.r, b.at.Off)
	w.buf, w.end, w.err = into.data, len(into.data), b.err
	into.data = nil
	l, err := w.skipLine(b.limit)
	if err != nil {
		return err
	}
	b.rest = append(b.rest, w.data()...)
	b.err = w.err
	b.add(into, l)
	return nil
}

// Len is the number of rows.
func (b *Batch) Len() int { return len(b.rows) }

// Size is how much memory the batch holds, about.
func (b *Batch) Size() int { return cap(b.data) }

// Drop gives up the batch's memory.
func (b *Batch) Drop() { *b = Batch{} }

// Next is where the row behind row i of the batch starts.
func (b *Batch) Next(i int) Position { return b.rows[i].next }

// Looker reads the rows of batches. Each goroutine has one of its own.
type Looker struct{ lines lines }

// Looker makes a reader of rows.
func (b *Batches) Looker() *Looker {
	return &Looker{lines{limit: b.limit, ids: identity{names: b.lines.ids.names}, request: b.lines.request}}
}

// Row reads row i of a batch. All of it is valid until the next call, and its
// Raw and the id of a row that is no bad one as long as the batch is.
func (l *Looker) Row(b *Batch, i int) *Row {
	found := &b.rows[i]
	return l.lines.read(found.line, found.row, found.number)
}
