// Package cursor walks one JSON text, member by member, without building
// values.
//
// It is the one place through which output lines and answers are read, so that
// the reader beneath it can be replaced by a faster one. It is strict: exactly
// one JSON value, valid UTF-8, no raw control characters; repeated names and
// lone surrogate escapes are let through, since they cost nobody a row.
package cursor

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

var (
	errUTF8  = errors.New("not valid UTF-8")
	errRest  = errors.New("more than one JSON value")
	errEmpty = errors.New("no JSON value")
)

// Cursor stands before a value of a JSON text. The first error sticks: from
// then on nothing is read, loops over members and elements end, and Err tells
// it. Slices it returns are parts of the text given to Reset. The zero value is
// an empty text.
type Cursor struct {
	text []byte
	dec  *jsontext.Decoder
	buf  bytes.Buffer
	err  error
}

// Reset puts the cursor before the value in text, which must not change while
// the cursor or anything it returned is in use.
func (c *Cursor) Reset(text []byte) {
	c.text, c.err = text, nil
	c.buf = *bytes.NewBuffer(text)
	if c.dec == nil {
		c.dec = jsontext.NewDecoder(&c.buf, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	} else {
		c.dec.Reset(&c.buf, c.dec.Options())
	}
	// AllowInvalidUTF8 is there for lone surrogate escapes only.
	if !utf8.Valid(text) {
		c.err = errUTF8
	}
}

// Err is the first error met.
func (c *Cursor) Err() error { return c.err }

func (c *Cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// Kind is the kind of the value the cursor stands before: one of { [ " 0 t f
// and n, or 0 if there is none, as at the end of an object.
func (c *Cursor) Kind() byte {
	if c.err != nil || c.dec == nil {
		return 0
	}
	switch k := c.dec.PeekKind(); k {
	case '}', ']':
		return 0
	default:
		return byte(k)
	}
}

// EnterObject enters the object at the cursor. Any other value is skipped, and
// false reported.
func (c *Cursor) EnterObject() bool { return c.enter('{') }

// EnterArray enters the array at the cursor. Any other value is skipped, and
// false reported.
func (c *Cursor) EnterArray() bool { return c.enter('[') }

func (c *Cursor) enter(kind byte) bool {
	if c.Kind() != kind {
		c.Skip()
		return false
	}
	if _, err := c.dec.ReadToken(); err != nil {
		c.fail(err)
		return false
	}
	return true
}

// Member reads the name of the next member of the object that was entered and
// stands before its value. At the object's end it leaves the object and
// reports false.
func (c *Cursor) Member() (name []byte, ok bool) {
	if !c.next('}') {
		return nil, false
	}
	raw, err := c.dec.ReadValue()
	if err != nil {
		c.fail(err)
		return nil, false
	}
	if len(raw) < 2 || raw[0] != '"' {
		c.fail(errors.New("a member's name is no string"))
		return nil, false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	name, err = jsontext.AppendUnquote(nil, raw)
	if name == nil {
		c.fail(err)
		return nil, false
	}
	return name, true
}

// Element stands before the next element of the array that was entered. At the
// array's end it leaves the array and reports false.
func (c *Cursor) Element() bool { return c.next(']') }

// next reports whether another name or element follows, and passes the closing
// bracket if not.
func (c *Cursor) next(closing jsontext.Kind) bool {
	if c.err != nil || c.dec == nil {
		return false
	}
	if c.dec.PeekKind() != closing {
		return true
	}
	if _, err := c.dec.ReadToken(); err != nil {
		c.fail(err)
	}
	return false
}

// Raw reads the value whole and returns its bytes as they are written.
func (c *Cursor) Raw() []byte {
	if c.err != nil {
		return nil
	}
	if c.dec == nil {
		c.fail(errEmpty)
		return nil
	}
	raw, err := c.dec.ReadValue()
	if err != nil {
		c.fail(err)
		return nil
	}
	return raw
}

// Skip passes over the value.
func (c *Cursor) Skip() { c.Raw() }

// String reads a string and returns what stands between its quotes, escapes as
// they are. Any other value is skipped, and false reported.
func (c *Cursor) String() (quoted []byte, ok bool) {
	if c.Kind() != '"' {
		c.Skip()
		return nil, false
	}
	raw := c.Raw()
	if len(raw) < 2 {
		return nil, false
	}
	return raw[1 : len(raw)-1], true
}

// Int reads a number that is a whole one of 64 bits and not negative. Any other
// value is skipped, and false reported.
func (c *Cursor) Int() (n int64, ok bool) {
	if c.Kind() != '0' {
		c.Skip()
		return 0, false
	}
	raw := c.Raw()
	if len(raw) > 18 {
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
	if c.dec == nil {
		return 0
	}
	i := int(c.dec.InputOffset())
	for i < len(c.text) {
		switch c.text[i] {
		case ' ', '\t', '\r', '\n', ':', ',':
			i++
		default:
			return i
		}
	}
	return i
}

// Since is the text from mark to the end of what was last read: the value that
// stood at the mark, once it has been read whole.
func (c *Cursor) Since(mark int) []byte {
	if c.err != nil || c.dec == nil {
		return nil
	}
	end := int(c.dec.InputOffset())
	if mark > end {
		return nil
	}
	return c.text[mark:end]
}

// End checks that nothing follows the value that was read.
func (c *Cursor) End() {
	if c.err != nil {
		return
	}
	if c.dec == nil {
		c.fail(errEmpty)
		return
	}
	for _, b := range c.text[c.dec.InputOffset():] {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			c.fail(errRest)
			return
		}
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
