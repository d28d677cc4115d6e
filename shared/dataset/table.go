package dataset

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

var _ = Register(Spec{
	Format: CSV, Row: "a row of a table with a header", Endings: []string{".csv"},
	Read: "the columns, by `prompt_template` or `prompt`",
	Back: "results.jsonl, and results.csv: the columns as written, then ours",
	New:  func(r io.Reader, at Position, opt Options) (Reader, error) { return newTable(',', r, at, opt) },
})

var _ = Register(Spec{
	Format: TSV, Row: "a row of a table with a header, tabs between columns", Endings: []string{".tsv", ".tab"},
	Read: "the columns, by `prompt_template` or `prompt`",
	Back: "results.jsonl, and results.csv: the columns as written, then ours",
	New:  func(r io.Reader, at Position, opt Options) (Reader, error) { return newTable('\t', r, at, opt) },
})

// table reads CSV and TSV: a header, then rows whose fields may be quoted, a
// quote within quotes being doubled, line ends within quotes being text.
//
// A quote that is never closed would swallow all rows after it. So where the
// end of the upload, or the limit of a row, is met within quotes, only the
// line in which they were opened is set aside and reading goes on behind it.
type table struct {
	window  *window
	at      Position
	limit   int
	comma   byte
	header  [][]byte // nil until read
	ids     identity
	row     Row
	members []member
	fields  []field
	text    []byte // fields with their doubled quotes undone
	bad     Bad
}

// field is a field's place in a record.
type field struct {
	from, to int
	doubled  bool // holds doubled quotes
}

// record is a record's place at the start of the window.
type record struct {
	size   int // without the line's end
	whole  int // with it
	quotes bool
	over   bool // over the limit; its end has not been looked for
}

func newTable(comma byte, r io.Reader, at Position, opt Options) (*table, error) {
	t := &table{
		window: newWindow(r, at.Off),
		at:     at,
		limit:  opt.maxRow(),
		comma:  comma,
		ids:    newIdentity(opt.IDColumn),
	}
	if at.Context == nil {
		if at.Off != 0 {
			return nil, fmt.Errorf("read a table at byte %d: the position lacks the header", at.Off)
		}
		return t, nil
	}
	head := &table{window: newWindow(bytes.NewReader(at.Context), 0), limit: t.limit, comma: comma}
	if err := head.readHeader(); err != nil {
		return nil, err
	}
	t.header = head.header
	return t, nil
}

func (t *table) Position() Position { return t.at }

// columns are the names of the columns. It reads the header if that has not
// been read.
func (t *table) columns() ([]string, error) {
	if t.header == nil {
		if err := t.window.skipMark(); err != nil {
			return nil, err
		}
		if err := t.readHeader(); err != nil {
			return nil, err
		}
	}
	names := make([]string, len(t.header))
	for i, name := range t.header {
		names[i] = string(name)
	}
	return names, nil
}

func (t *table) Next() (*Row, error) {
	if t.header == nil {
		if err := t.window.skipMark(); err != nil {
			return nil, err
		}
		if err := t.readHeader(); err != nil {
			return nil, err
		}
	}
	for {
		t.row = Row{Row: t.at.Row, Line: t.at.Line, Off: t.window.off}
		rec, err := t.find()
		if err != nil {
			return nil, err
		}
		if rec.over {
			if err := t.skip(rec.size); err != nil {
				return nil, err
			}
			return &t.row, nil
		}
		raw := t.window.data()[:rec.size]
		lines := bytes.Count(t.window.data()[:rec.whole], []byte{'\n'})
		t.window.consume(rec.whole)
		if rec.size == 0 {
			t.at.Line += int64(lines)
			t.at.Off = t.window.off
			continue
		}
		t.row.Raw, t.row.End = raw, t.row.Off+int64(rec.size)
		t.row.Bad = t.look(rec)
		t.advance(int64(lines), t.window.off)
		return &t.row, nil
	}
}

// skip sets a record over the limit aside, of which seen bytes have been
// looked at. What was within quotes there is skipped with it, as is the line
// behind.
func (t *table) skip(seen int) error {
	data := t.window.data()[:seen]
	lines := int64(bytes.Count(data, []byte{'\n'}))
	raw := bytes.Clone(beginning(data, t.limit))
	t.window.consume(seen)
	l, err := t.window.skipLine(t.limit)
	if err != nil {
		return err
	}
	t.row.Raw, t.row.Cut, t.row.End = raw, true, l.off+l.size
	t.bad = tooLarge(t.row.End-t.row.Off, t.limit)
	t.row.Bad = &t.bad
	t.advance(lines+1, l.next)
	return nil
}

func (t *table) advance(lines, off int64) {
	t.at.Row++
	t.at.Line += lines
	t.at.Off = off
}

// look makes columns of the record's fields.
func (t *table) look(rec record) *Bad {
	switch raw := t.row.Raw; {
	case !rec.quotes:
		t.bad = Bad{Code: CodeQuotes, Reason: "quotes in the row do not match: a field in quotes ends with a quote before the separator, and a quote within is doubled"}
		return &t.bad
	case len(raw) > t.limit:
		t.bad = tooLarge(int64(len(raw)), t.limit)
		t.row.Raw, t.row.Cut = beginning(raw, t.limit), true
		return &t.bad
	case !utf8.Valid(raw):
		t.bad = Bad{Code: CodeNotUTF8, Reason: "the row is not UTF-8"}
		return &t.bad
	case len(t.fields) != len(t.header):
		t.bad = Bad{Code: CodeColumns, Reason: fmt.Sprintf("the row has %d fields, the header has %d", len(t.fields), len(t.header))}
		return &t.bad
	}
	t.members, t.text = t.members[:0], t.text[:0]
	for i, f := range t.fields {
		t.members = append(t.members, member{name: t.header[i], value: Value{Raw: t.value(f), Text: true}})
	}
	t.row.members = t.members
	return t.ids.set(&t.row)
}

// value is the text of a field of the row.
func (t *table) value(f field) []byte {
	raw := t.row.Raw[f.from:f.to]
	if !f.doubled {
		return raw
	}
	from := len(t.text)
	for {
		i := bytes.IndexByte(raw, '"')
		if i < 0 {
			break
		}
		t.text = append(t.text, raw[:i+1]...)
		raw = raw[min(i+2, len(raw)):]
	}
	t.text = append(t.text, raw...)
	return t.text[from:len(t.text):len(t.text)]
}

// readHeader reads the names of the columns, white space around them left
// out, and keeps them as the context of all positions.
func (t *table) readHeader() error {
	for {
		rec, err := t.find()
		if err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return err
		}
		if rec.over || rec.size > MaxHeader {
			return fmt.Errorf("%w: line %d is over %d bytes", ErrHeader, t.at.Line, min(MaxHeader, t.limit))
		}
		t.row.Raw = t.window.data()[:rec.size]
		t.at.Line += int64(bytes.Count(t.window.data()[:rec.whole], []byte{'\n'}))
		if blank(t.row.Raw) { // a position's context could not hold it
			t.window.consume(rec.whole)
			continue
		}
		if !rec.quotes {
			return fmt.Errorf("%w: its quotes do not match", ErrHeader)
		}
		if !utf8.Valid(t.row.Raw) {
			return fmt.Errorf("%w: it is not UTF-8", ErrHeader)
		}
		header := make([][]byte, 0, len(t.fields))
		for _, f := range t.fields {
			header = append(header, bytes.Clone(bytes.TrimSpace(t.value(f))))
		}
		// A record of its own line ends again, so that what follows in the
		// position's context cannot be taken for a part of it.
		t.at.Context = append(bytes.Clone(t.row.Raw), '\n')
		t.window.consume(rec.whole)
		t.at.Off = t.window.off
		t.header = header
		return nil
	}
}

// Where find stands within a record.
const (
	fresh  = iota // at the start of a field
	plain         // in a field without quotes
	quoted        // within quotes
	closed        // behind a quote within quotes
	ending        // behind that and a return
)

// find looks for the end of the record at the start of the window, and for
// its fields. It consumes nothing, and looks no further than the limit and a
// line's end, so that its verdict depends on the bytes alone.
func (t *table) find() (record, error) {
	t.fields = t.fields[:0]
	state, i, good := fresh, 0, true
	var f field
	for {
		data := t.view()
		if i == len(data) {
			if i < t.limit+3 {
				err := t.window.more()
				if err == nil {
					continue
				}
				if err != io.EOF {
					return record{}, err
				}
				if i == 0 {
					return record{}, io.EOF
				}
				if state != quoted {
					return t.end(state, i, i, f, good), nil
				}
			}
			if state != quoted {
				return record{size: i, over: true}, nil
			}
			return t.openQuote(), nil
		}
		switch c := data[i]; state {
		case fresh:
			f = field{from: i}
			state = plain
			if c == '"' {
				i++
				f.from = i
				state = quoted
			}
		case plain:
			for i < len(data) && data[i] != t.comma && data[i] != '\n' {
				i++
			}
			if i == len(data) {
				continue
			}
			if data[i] == '\n' {
				return t.end(state, i, i+1, f, good), nil
			}
			f.to = i
			t.fields = append(t.fields, f)
			state = fresh
			i++
		case quoted:
			n := bytes.IndexByte(data[i:], '"')
			if n < 0 {
				i = len(data)
				continue
			}
			f.to = i + n
			i = f.to + 1
			state = closed
		case closed:
			switch c {
			case '"':
				f.doubled = true
				state = quoted
				i++
			case t.comma:
				t.fields = append(t.fields, f)
				state = fresh
				i++
			case '\n':
				return t.end(state, i, i+1, f, good), nil
			case '\r':
				state = ending
				i++
			default:
				good = false
				state = plain
			}
		case ending:
			if c == '\n' {
				return t.end(state, i, i+1, f, good), nil
			}
			good = false
			state = plain
		}
	}
}

// end makes the record whose line ends at size, f being its last field.
func (t *table) end(state, size, whole int, f field, good bool) record {
	at := size
	size = len(trimCR(t.window.data()[:size]))
	switch state {
	case fresh:
		f = field{from: at, to: at}
	case plain:
		f.to = max(size, f.from)
	}
	t.fields = append(t.fields, f)
	return record{size: size, whole: whole, quotes: good}
}

// openQuote gives up the line in which a quote was opened that nothing
// closes.
func (t *table) openQuote() record {
	data := t.view()
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return record{size: len(trimCR(data[:i])), whole: i + 1}
	}
	return record{size: len(data), whole: len(data), over: len(data) > t.limit}
}

// view is as much of the window as a record may take, and its line's end.
func (t *table) view() []byte {
	data := t.window.data()
	return data[:min(len(data), t.limit+3)]
}
