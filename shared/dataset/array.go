package dataset

import (
	"bytes"
	"io"
)

var _ = Register(Spec{
	Format: JSON, Row: "an element of a JSON array, or an object of several lines",
	Read: "all members, by `prompt_template`",
	Back: "results.jsonl",
	New:  func(r io.Reader, at Position, opt Options) (Reader, error) { return newArray(r, at, opt), nil },
})

// array reads a JSON array of objects, or objects one after the other that
// take more than a line each.
//
// The elements' ends are found by following brackets and strings alone. A
// broken element ends where the brackets say, and a string ends with its line
// at the latest, as no string can hold a line's end: so one broken element
// does not cost those after it.
type array struct {
	window  *window
	at      Position
	limit   int
	state   byte
	scanner objects
	ids     identity
	row     Row
	members []member
	bad     Bad
}

// Where an array stands; it is the position's context.
const (
	atStart  = 's' // before anything
	inArray  = '[' // before an element
	inStream = '{' // objects without an array
	behind   = ']' // behind the array's end
)

var arrayContexts = map[byte][]byte{inArray: {inArray}, inStream: {inStream}, behind: {behind}}

func newArray(r io.Reader, at Position, opt Options) *array {
	a := &array{
		window: newWindow(r, at.Off),
		at:     at,
		limit:  opt.maxRow(),
		state:  atStart,

		ids: newIdentity(opt.IDColumn),
	}
	if len(at.Context) == 1 {
		a.state = at.Context[0]
	}
	return a
}

func (a *array) Position() Position { return a.at }

func (a *array) Next() (*Row, error) {
	if err := a.window.skipMark(); err != nil {
		return nil, err
	}
	for {
		if err := a.skipSpace(); err != nil {
			return nil, err
		}
		c := a.window.data()[0]
		if a.state == atStart {
			a.state = inStream
			if c == '[' {
				a.state = inArray
				a.consume(1)
			}
			a.mark()
			continue
		}
		if a.state == inArray && c == ']' {
			a.state = behind
			a.consume(1)
			a.mark()
			continue
		}
		return a.element()
	}
}

// mark makes the position that of the window.
func (a *array) mark() {
	a.at.Off = a.window.off
	a.at.Context = arrayContexts[a.state]
}

// consume drops n bytes and counts their lines.
func (a *array) consume(n int) {
	a.at.Line += int64(bytes.Count(a.window.data()[:n], []byte{'\n'}))
	a.window.consume(n)
}

// skipSpace consumes white space up to a byte that is none; io.EOF if there
// is no such byte.
func (a *array) skipSpace() error {
	for {
		data := a.window.data()
		i := 0
		for i < len(data) && isSpace(data[i]) {
			i++
		}
		a.consume(i)
		if i < len(data) {
			return nil
		}
		if err := a.window.more(); err != nil {
			return err
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// element reads the element at the window's start, and the comma behind it.
func (a *array) element() (*Row, error) {
	a.row = Row{Row: a.at.Row, Line: a.at.Line, Off: a.window.off}
	var (
		i, depth int
		inString bool
		escaped  bool
		cut      []byte // the beginning of an element over the limit
		last     = a.window.off
	)
scan:
	for {
		data := a.window.data()
		if i == len(data) {
			if len(data) > a.limit {
				if cut == nil {
					cut = bytes.Clone(beginning(data, a.limit))
				}
				a.consume(i)
				i = 0
			}
			if err := a.window.more(); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
			continue
		}
		c := data[i]
		switch {
		case inString:
			if escaped {
				escaped = false
			} else if c == '\\' {
				escaped = true
			} else if c == '"' {
				inString = false
			}
			if c == '\n' {
				inString, escaped = false, false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
			if depth == 0 && a.state == inStream {
				i++
				last = a.window.off + int64(i)
				break scan
			}
		case depth == 0 && a.state == inArray && (c == ',' || c == ']'):
			break scan
		case depth == 0 && a.state == inStream && c == '\n':
			break scan
		}
		i++
		if !isSpace(c) {
			last = a.window.off + int64(i)
		}
	}
	a.row.End = last
	size := last - a.row.Off
	// The white space behind the element counts, as it must be kept too until
	// the element's end is found.
	a.row.Cut = a.window.off+int64(i)-a.row.Off > int64(a.limit)
	switch {
	case !a.row.Cut:
		a.row.Raw = a.window.data()[:size]
	case cut == nil:
		a.row.Raw = beginning(a.window.data()[:size], a.limit)
	default:
		a.row.Raw = cut[:min(int64(len(cut)), size)]
	}
	a.consume(i)
	if a.state == inArray && len(a.window.data()) > 0 && a.window.data()[0] == ',' {
		a.consume(1)
	}
	a.mark()
	a.at.Row++
	a.row.Bad = a.look(size)
	return &a.row, nil
}

// look reads the element's members into the row.
func (a *array) look(size int64) *Bad {
	switch {
	case a.row.Cut:
		a.bad = tooLarge(size, a.limit)
		return &a.bad
	case a.state == behind:
		a.bad = Bad{Code: CodeNotJSON, Reason: "something stands behind the end of the array"}
		return &a.bad
	case size == 0:
		a.bad = Bad{Code: CodeNotJSON, Reason: "an element of the array is missing between two commas"}
		return &a.bad
	}
	var bad *Bad
	if a.members, bad = a.scanner.scan(a.row.Raw, a.members[:0]); bad != nil {
		return bad
	}
	a.row.members = a.members
	return a.ids.set(&a.row)
}
