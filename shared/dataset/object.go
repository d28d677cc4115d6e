package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/scan"
)

// objects finds the members of JSON objects.
type objects struct {
	names []byte // decoded names that were written with escapes
	slow  tokens
}

// scan checks that text is one JSON object and nothing else, encoded in UTF-8
// and nested no deeper than MaxDepth, and appends its members to into. Names
// may be repeated, and escapes may name half a surrogate pair. The members
// refer to text and to memory that the next scan uses again. Otherwise it says
// what is wrong.
func (o *objects) scan(text []byte, into []member) ([]member, *Bad) {
	n := len(into)
	o.names = o.names[:0]
	if into, ok := o.members(text, into); ok {
		return into, nil
	}
	return o.slow.scan(text, into[:n]) // it knows what to say
}

// members is scan without words.
func (o *objects) members(text []byte, into []member) ([]member, bool) {
	i := scan.Space(text, 0)
	if i == len(text) || text[i] != '{' {
		return into, false
	}
	if i = scan.Space(text, i+1); i < len(text) && text[i] == '}' {
		return into, scan.Space(text, i+1) == len(text)
	}
	for {
		if i == len(text) || text[i] != '"' {
			return into, false
		}
		end, ok := scan.String(text, i)
		if !ok {
			return into, false
		}
		m := member{name: unquoted(text[i:end], &o.names)}
		if i = scan.Space(text, end); i == len(text) || text[i] != ':' {
			return into, false
		}
		i = scan.Space(text, i+1)
		if end, ok = scan.Value(text, i, MaxDepth-1); !ok {
			return into, false
		}
		m.value.Raw = text[i:end:end]
		into = append(into, m)
		if i = scan.Space(text, end); i == len(text) {
			return into, false
		}
		switch text[i] {
		case ',':
			i = scan.Space(text, i+1)
		case '}':
			return into, scan.Space(text, i+1) == len(text)
		default:
			return into, false
		}
	}
}

// unquoted is the text of a quoted name, without a copy where it has no
// escapes, else in memory.
func unquoted(quoted []byte, memory *[]byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	from := len(*memory)
	// An error can only be that of half a surrogate pair, see AppendText.
	*memory, _ = jsontext.AppendUnquote(*memory, quoted)
	return (*memory)[from:len(*memory):len(*memory)]
}

// tokens scans with jsontext: slower, and with words for what is wrong.
type tokens struct {
	decoder jsontext.Decoder
	buffer  bytes.Buffer
	names   []byte
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
		m := member{name: unquoted(name, &t.names)}
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
