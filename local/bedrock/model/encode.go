package model

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// pair is a member of an ordered object.
type pair struct {
	name  string
	value any
}

// ordered is an object whose members are written in this order.
type ordered []pair

// vector is written as a list of numbers.
type vector []float32

// appendJSON writes what the families' writers build: ordered, []any, vector,
// []int8, string, int, bool, nil.
func appendJSON(dst []byte, value any) []byte {
	switch v := value.(type) {
	case ordered:
		dst = append(dst, '{')
		for i, p := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendText(dst, p.name)
			dst = append(dst, ':')
			dst = appendJSON(dst, p.value)
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, element)
		}
		return append(dst, ']')
	case vector:
		dst = append(dst, '[')
		for i, f := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendFloat(dst, float64(f), 'g', 8, 32)
		}
		return append(dst, ']')
	case []int8:
		dst = append(dst, '[')
		for i, n := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(n), 10)
		}
		return append(dst, ']')
	case string:
		return appendText(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case bool:
		return strconv.AppendBool(dst, v)
	default:
		return append(dst, "null"...)
	}
}

// appendText writes a string, with U+FFFD for what is not UTF-8.
func appendText(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err == nil {
		return out
	}
	out, _ = jsontext.AppendQuote(dst, string([]rune(s))) // runes of broken bytes are U+FFFD: cannot fail
	return out
}
