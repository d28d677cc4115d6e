// Package cursor walks one JSON text, member by member, without building
// values.
//
// It is the one place through which output lines and answers are read. It is strict: exactly
// one JSON value, valid UTF-8, no raw control characters; repeated names and
// lone surrogate escapes are let through, since they cost nobody a row.
package cursor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/scan"
)

var (
	errRest  = errors.New("more than one JSON value")
	errEmpty = errors.New("no JSON value")
)

// place is what may stand where the cursor is.
type place uint8

const (
	value  place = iota // a value
	first               // the first value or member of what was entered, or its end
	behind              // a comma and another, or the end
)

// Cursor stands before a value of a JSON text. The first error sticks: from
// then on nothing is read, loops over members and elements end, and Err tells
// it. Slices it returns are parts of the text given to Reset. The zero value is
// an empty text.
type Cursor struct {
	text []byte
	// at is how far the text has been read, comma and colon included.
	at int
	// end is where what was last read ends.
	end   int
	place place
	depth int // of what was entered
	err   error
}

// Reset puts the cursor before the value in text, which must not change while
// the cursor or anything it returned is in use.
func (c *Cursor) Reset(text []byte) { *c = Cursor{text: text} }

// Err is the first error met.
func (c *Cursor) Err() error { return c.err }

func (c *Cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// broken fails for what stands at i.
func (c *Cursor) broken(i int) {
	switch {
	case c.err != nil:
	case i >= len(c.text) && scan.Space(c.text, 0) == len(c.text):
		c.err = errEmpty
	case i >= len(c.text):
		c.err = io.ErrUnexpectedEOF
	case !utf8.Valid(c.text):
		c.err = errors.New("not valid UTF-8")
	default:
		c.err = fmt.Errorf("broken JSON at byte %d", i+1)
	}
}

// next passes white space and the comma before the next value, and reports
// what stands there; 0 at the end of what was entered, or of the text.
func (c *Cursor) next() byte {
	if c.err != nil {
		return 0
	}
	i := scan.Space(c.text, c.at)
	if i < len(c.text) && c.place == behind && c.depth > 0 && c.text[i] == ',' {
		i = scan.Space(c.text, i+1)
		c.place = value
	}
	c.at = i
	if i >= len(c.text) {
		return 0
	}
	return c.text[i]
}

// Kind is the kind of the value the cursor stands before: one of { [ " 0 t f
// and n, or 0 if there is none, as at the end of an object.
func (c *Cursor) Kind() byte {
	switch b := c.next(); b {
	case '{', '[', '"', 't', 'f', 'n':
		return b
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return '0'
	}
	return 0
}

// EnterObject enters the object at the cursor. Any other value is skipped, and
// false reported.
func (c *Cursor) EnterObject() bool { return c.enter('{') }

// EnterArray enters the array at the cursor. Any other value is skipped, and
// false reported.
func (c *Cursor) EnterArray() bool { return c.enter('[') }

func (c *Cursor) enter(kind byte) bool {
	if c.next() != kind {
		c.Skip()
		return false
	}
	if c.place == behind || c.depth == scan.MaxDepth {
		c.broken(c.at)
		return false
	}
	c.at++
	c.depth++
	c.end, c.place = c.at, first
	return true
}

// leave leaves what was entered if its closing bracket is next.
func (c *Cursor) leave(closing byte) bool {
	// A comma cannot stand before the bracket, nor can a name.
	if c.next() != closing || c.depth == 0 || c.place == value {
		return false
	}
	c.at++
	c.depth--
	c.end, c.place = c.at, behind
	return true
}

// Member reads the name of the next member of the object that was entered and
// stands before its value. At the object's end it leaves the object and
// reports false.
func (c *Cursor) Member() (name []byte, ok bool) {
	if c.err != nil || c.leave('}') {
		return nil, false
	}
	raw := c.Raw()
	if c.err != nil {
		return nil, false
	}
	if raw[0] != '"' {
		c.fail(errors.New("a member's name is no string"))
		return nil, false
	}
	i := scan.Space(c.text, c.at)
	if i >= len(c.text) || c.text[i] != ':' {
		c.broken(i)
		return nil, false
	}
	c.at, c.place = i+1, value
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	name, err := jsontext.AppendUnquote(nil, raw)
	if name == nil {
		c.fail(err)
		return nil, false
	}
	return name, true
}

// Element stands before the next element of the array that was entered. At the
// array's end it leaves the array and reports false.
func (c *Cursor) Element() bool {
	if c.err != nil || c.leave(']') {
		return false
	}
	if c.next() == 0 && c.depth > 0 {
		c.broken(c.at)
	}
	return c.err == nil && c.depth > 0
}

// Raw reads the value whole and returns its bytes as they are written.
func (c *Cursor) Raw() []byte {
	c.next()
	if c.err != nil {
		return nil
	}
	from := c.at
	if c.place == behind {
		c.broken(from)
		return nil
	}
	end, ok := scan.Value(c.text, from, scan.MaxDepth-c.depth)
	if !ok {
		c.broken(end)
		return nil
	}
	c.at, c.end, c.place = end, end, behind
	return c.text[from:end]
}

// Skip passes over the value.
func (c *Cursor) Skip() { c.Raw() }

// String reads a string and returns what stands between its quotes, escapes as
// they are. Any other value is skipped, and false reported.
func (c *Cursor) String() (quoted []byte, ok bool) {
	raw := c.Raw()
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	return raw[1 : len(raw)-1], true
}

// Int reads a number that is a whole one of 64 bits and not negative. Any other
// value is skipped, and false reported.
func (c *Cursor) Int() (n int64, ok bool) {
	number := c.Kind() == '0'
	raw := c.Raw()
	if !number || len(raw) > 18 {
		return 0, false
	}
	for _, b := range raw {
		if b < '0' || b > '9' {
			// 12.0 and 1e2 are whole too; nobody writes them often.
			f, err := strconv.ParseFloat(string(raw), 64)
			if err != nil || f < 0 || f > 1<<53 || f != float64(int64(f)) {
				return 0, false
			}
			return int64(f), true
		}
		n = n*10 + int64(b-'0')
	}
	return n, len(raw) > 0
}

// Mark is the place where the value at the cursor begins, for Since.
func (c *Cursor) Mark() int {
	c.next()
	return c.at
}

// Since is the text from mark to the end of what was last read: the value that
// stood at the mark, once it has been read whole.
func (c *Cursor) Since(mark int) []byte {
	if c.err != nil || mark >= c.end {
		return nil
	}
	return c.text[mark:c.end]
}

// End checks that nothing follows the value that was read.
func (c *Cursor) End() {
	switch {
	case c.err != nil:
	case c.end == 0:
		c.fail(errEmpty)
	case scan.Space(c.text, c.end) < len(c.text):
		c.fail(errRest)
	}
}

// Unquote decodes what stood between the quotes of a string. Lone surrogates
// become U+FFFD.
func Unquote(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted)
	}
	q := make([]byte, 0, len(quoted)+2)
	q = append(append(append(q, '"'), quoted...), '"')
	s, _ := jsontext.AppendUnquote(nil, q) // the text was checked when it was read; only lone surrogates are left
	return string(s)
}

// AppendQuoted appends s as it stands between the quotes of a JSON string.
func AppendQuoted(dst []byte, s string) []byte {
	q, _ := jsontext.AppendQuote(nil, s) // invalid UTF-8 becomes U+FFFD
	return append(dst, q[1:len(q)-1]...)
}
