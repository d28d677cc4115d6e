package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// objects finds the members of JSON objects. It is all that the readers know
// of how JSON is scanned, so that another scanner can take its place.
type objects interface {
	// scan checks that text is one JSON object and nothing else, encoded in
	// UTF-8 and nested no deeper than MaxDepth, and appends its members to
	// into. Names may be repeated, and escapes may name half a surrogate
	// pair. The members refer to text and to memory that the next scan uses
	// again. Otherwise it says what is wrong.
	scan(text []byte, into []member) ([]member, *Bad)
}

// tokens scans with jsontext.
type tokens struct {
	decoder jsontext.Decoder
	buffer  bytes.Buffer
	names   []byte // decoded names that were written with escapes
	bad     Bad
}

// UTF-8 is checked before, once, so AllowInvalidUTF8 only lets halves of
// surrogate pairs pass.
var tokenOptions = []jsontext.Options{
	jsontext.AllowDuplicateNames(true),
	jsontext.AllowInvalidUTF8(true),
}

func (t *tokens) scan(text []byte, into []member) ([]member, *Bad) {
	if !utf8.Valid(text) {
		return into, t.reject(CodeNotUTF8, "the row is not UTF-8")
	}
	if tooDeep(text) {
		return into, t.reject(CodeTooDeep, fmt.Sprintf("arrays and objects are nested deeper than %d", MaxDepth))
	}
	t.buffer = *bytes.NewBuffer(text)
	t.decoder.Reset(&t.buffer, tokenOptions...)
	t.names = t.names[:0]
	d := &t.decoder
	if d.PeekKind() != '{' {
		if err := d.SkipValue(); err != nil {
			return into, t.broken(err, text)
		}
		if _, err := d.ReadToken(); err != io.EOF {
			return into, t.broken(err, text)
		}
		return into, t.reject(CodeNotObject, "the row is JSON but not an object in braces")
	}
	if _, err := d.ReadToken(); err != nil {
		return into, t.broken(err, text)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return into, t.broken(err, text)
		}
		m := member{name: t.name(name)}
		value, err := d.ReadValue()
		if err != nil {
			return into, t.broken(err, text)
		}
		m.value.Raw = value
		into = append(into, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return into, t.broken(err, text)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return into, t.broken(err, text)
	}
	return into, nil
}

// name is the text of a quoted name, without a copy where it has no escapes.
func (t *tokens) name(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	from := len(t.names)
	// An error can only be that of half a surrogate pair, see AppendText.
	t.names, _ = jsontext.AppendUnquote(t.names, quoted)
	return t.names[from:len(t.names):len(t.names)]
}

func (t *tokens) reject(code, reason string) *Bad {
	t.bad = Bad{Code: code, Reason: reason}
	return &t.bad
}

func (t *tokens) broken(err error, text []byte) *Bad {
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return t.reject(CodeNotJSON, "broken JSON: the row ends in the middle of a value")
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) && syntax.ByteOffset <= int64(len(text)) {
		return t.reject(CodeNotJSON, fmt.Sprintf("broken JSON at byte %d of the row", syntax.ByteOffset+1))
	}
	return t.reject(CodeNotJSON, "broken JSON: more follows the object")
}

// tooDeep reports whether the brackets of text are nested deeper than
// MaxDepth. Counting all of them first is far cheaper than following strings,
// and enough for nearly every row.
func tooDeep(text []byte) bool {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) <= MaxDepth {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString:
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
