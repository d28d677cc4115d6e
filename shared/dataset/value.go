package dataset

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Null reports whether the value is JSON's null.
func (v Value) Null() bool { return !v.Text && string(v.Raw) == "null" }

// IsString reports whether the value is text: a JSON string or plain text.
func (v Value) IsString() bool { return v.Text || len(v.Raw) > 0 && v.Raw[0] == '"' }

// AppendText appends the value as text: strings decoded, numbers, objects and
// the like as they are written. An escaped half of a surrogate pair without
// its other half becomes U+FFFD, as no text can hold it.
func (v Value) AppendText(dst []byte) []byte {
	if v.Text || len(v.Raw) == 0 || v.Raw[0] != '"' {
		return append(dst, v.Raw...)
	}
	if bytes.IndexByte(v.Raw, '\\') < 0 {
		return append(dst, v.Raw[1:len(v.Raw)-1]...)
	}
	// The error can only be that of half a pair, for which U+FFFD is in
	// place: the string has been read as valid JSON before.
	dst, _ = jsontext.AppendUnquote(dst, v.Raw)
	return dst
}

// AppendEscaped appends the value as text in the form that stands between the
// quotes of a JSON string. What was a JSON string keeps its bytes as written,
// escapes and unpaired surrogates included.
func (v Value) AppendEscaped(dst []byte) []byte {
	if !v.Text && len(v.Raw) > 1 && v.Raw[0] == '"' {
		return append(dst, v.Raw[1:len(v.Raw)-1]...)
	}
	return appendEscaped(dst, v.Raw)
}

// AppendJSON appends the value as JSON on one line: JSON as written, with line
// ends between its tokens made spaces; plain text as a string.
func (v Value) AppendJSON(dst []byte) []byte {
	if v.Text {
		dst = append(dst, '"')
		dst = appendEscaped(dst, v.Raw)
		return append(dst, '"')
	}
	from := len(dst)
	dst = append(dst, v.Raw...)
	// A line end can stand between tokens only: strings hold none.
	for i, b := range dst[from:] {
		if b == '\n' || b == '\r' {
			dst[from+i] = ' '
		}
	}
	return dst
}

// Blank reports whether the value as text is nothing but white space.
func (v Value) Blank() bool {
	if v.Text || len(v.Raw) == 0 || v.Raw[0] != '"' {
		return len(bytes.TrimSpace(v.Raw)) == 0
	}
	inner := v.Raw[1 : len(v.Raw)-1]
	for len(inner) > 0 {
		switch {
		case inner[0] == ' ':
			inner = inner[1:]
		case len(inner) > 1 && inner[0] == '\\' && (inner[1] == 'n' || inner[1] == 'r' || inner[1] == 't'):
			inner = inner[2:]
		case inner[0] >= utf8.RuneSelf:
			trimmed := bytes.TrimSpace(inner)
			return len(trimmed) == 0
		default:
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// escapes marks the bytes that cannot stand in a JSON string as they are.
var escapes = func() (table [256]bool) {
	for b := range 0x20 {
		table[b] = true
	}
	table['"'], table['\\'] = true, true
	return table
}()

// appendEscaped appends src as the inside of a JSON string. Bytes that are
// not UTF-8 become U+FFFD; callers that must not lose them look before.
func appendEscaped(dst, src []byte) []byte {
	if !utf8.Valid(src) {
		src = bytes.ToValidUTF8(src, []byte("\ufffd"))
	}
	from := 0
	for i, b := range src {
		if !escapes[b] {
			continue
		}
		dst = append(dst, src[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	return append(dst, src[from:]...)
}
