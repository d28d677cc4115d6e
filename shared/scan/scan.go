// Package scan finds where JSON values end, without building them.
//
// It is strict: what it accepts is what RFC 8259 and package jsontext accept
// with repeated names and escapes of lone surrogates allowed, in valid UTF-8.
// A fuzz test compares the two. It says no more than that a text is broken
// about where; who wants to know why asks jsontext.
//
// It is here because it pays: it is several times as fast as jsontext on the
// long strings that prompts and answers are, and never allocates. A string's
// first bytes are looked at eight together; what goes on is classified in
// blocks of 64 with the processor's vectors (assembly for amd64 and arm64, see
// block.go), and goes on by eights on other processors. UTF-8 is checked only
// in strings that hold something beyond ASCII.
package scan

import (
	"encoding/binary"
	"math/bits"
)

// MaxDepth is how deep arrays and objects may be nested, as in jsontext.
const MaxDepth = 10_000

// Space returns the place of the first byte at or behind i that is no white
// space.
func Space(text []byte, i int) int {
	for i < len(text) {
		switch text[i] {
		case ' ', '\t', '\r', '\n':
			i++
		default:
			return i
		}
	}
	return i
}

// Value returns the place behind the value that begins at i, and false if
// there is none or it is broken or nested deeper than depth; the place then is
// where it was noticed.
func Value(text []byte, i, depth int) (end int, ok bool) {
	if i >= len(text) {
		return i, false
	}
	switch c := text[i]; c {
	case '"':
		return String(text, i)
	case '{':
		return object(text, i, depth-1)
	case '[':
		return array(text, i, depth-1)
	case 't':
		return literal(text, i, "true")
	case 'f':
		return literal(text, i, "false")
	case 'n':
		return literal(text, i, "null")
	default:
		return number(text, i)
	}
}

func literal(text []byte, i int, word string) (int, bool) {
	if len(text)-i < len(word) || string(text[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

func object(text []byte, i, depth int) (end int, ok bool) {
	if depth < 0 {
		return i, false
	}
	i = Space(text, i+1)
	if i < len(text) && text[i] == '}' {
		return i + 1, true
	}
	for {
		if i >= len(text) || text[i] != '"' {
			return i, false
		}
		if i, ok = String(text, i); !ok {
			return i, false
		}
		if i = Space(text, i); i >= len(text) || text[i] != ':' {
			return i, false
		}
		if i, ok = Value(text, Space(text, i+1), depth); !ok {
			return i, false
		}
		if i = Space(text, i); i >= len(text) {
			return i, false
		}
		switch text[i] {
		case ',':
			i = Space(text, i+1)
		case '}':
			return i + 1, true
		default:
			return i, false
		}
	}
}

func array(text []byte, i, depth int) (end int, ok bool) {
	if depth < 0 {
		return i, false
	}
	i = Space(text, i+1)
	if i < len(text) && text[i] == ']' {
		return i + 1, true
	}
	for {
		if i, ok = Value(text, i, depth); !ok {
			return i, false
		}
		if i = Space(text, i); i >= len(text) {
			return i, false
		}
		switch text[i] {
		case ',':
			i = Space(text, i+1)
		case ']':
			return i + 1, true
		default:
			return i, false
		}
	}
}

// number: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func number(text []byte, i int) (end int, ok bool) {
	if text[i] == '-' {
		i++
	}
	if i < len(text) && text[i] == '0' {
		i++
	} else if i, ok = digits(text, i); !ok {
		return i, false
	}
	if i < len(text) && text[i] == '.' {
		if i, ok = digits(text, i+1); !ok {
			return i, false
		}
	}
	if i < len(text) && text[i]|0x20 == 'e' {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if i, ok = digits(text, i); !ok {
			return i, false
		}
	}
	return i, true
}

// digits passes at least one digit.
func digits(text []byte, i int) (end int, ok bool) {
	from := i
	for i < len(text) && text[i]-'0' < 10 {
		i++
	}
	return i, i > from
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stops marks, in eight bytes, those that end a run of plain characters of a
// string: quotes, backslashes, control characters. Bits above the lowest one
// that is set may be wrong, as a borrow can pass from one byte to the next.
// Turning bit 1 makes 0x20 of a quote, which then stands next to the control
// characters, and one subtraction finds both.
func stops(w uint64) uint64 {
	return ((w ^ ones*2 - ones*0x21) | (w ^ ones*'\\' - ones)) &^ w & highs
}

// String returns the place behind the string whose opening quote stands at i.
//
// The first bytes, and the last ones of text, are looked at eight by eight,
// which is enough for names and ids; what is longer is passed in blocks.
func String(text []byte, i int) (end int, ok bool) {
	from := i + 1
	rest := text[from:]
	var beyond uint64 // high bits are set where a byte beyond ASCII was seen
	for {
		for len(rest) >= 8 {
			w := binary.LittleEndian.Uint64(rest)
			at := stops(w)
			if at == 0 {
				beyond |= w
				rest = rest[8:]
				if len(rest) < 64 || len(text)-from-len(rest) < short || !vectors {
					continue
				}
			} else {
				n := uint(bits.TrailingZeros64(at)) &^ 7
				beyond |= w & (1<<n - 1)
				if n == 56 || byte(w>>n) != '\\' || escapes[byte(w>>(n+8))] != 2 {
					rest = rest[n>>3:]
					break
				}
				rest = rest[n>>3+2:]
				if len(rest) < 64 || !vectors {
					continue
				}
			}
			end, high, more, ok := blocks(text, len(text)-len(rest))
			if !ok {
				return end, false
			}
			beyond |= high
			rest = text[end:]
			if !more {
				break
			}
		}
		// A stop, or the last few bytes of the text.
		if len(rest) == 0 {
			return len(text), false
		}
		switch c := rest[0]; {
		case c == '\\':
			// Where one letter is escaped, the next ones often are too.
			for len(rest) > 0 && rest[0] == '\\' {
				n := escape(rest)
				if n == 0 {
					return len(text) - len(rest), false
				}
				rest = rest[n:]
			}
		case c == '"':
			i = len(text) - len(rest)
			if beyond&highs != 0 && !valid(text[from:i]) {
				return from, false
			}
			return i + 1, true
		case c < 0x20:
			return len(text) - len(rest), false
		default:
			beyond |= uint64(c)
			rest = rest[1:]
		}
	}
}

// short is how long a string may be before it is passed in blocks.
const short = 32

// escape is the length of the escape at the beginning of text, 0 if it is
// none.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	n := int(escapes[text[1]])
	if n == 6 && (len(text) < 6 || hex[text[2]]|hex[text[3]]|hex[text[4]]|hex[text[5]] != 0) {
		return 0
	}
	return n
}

// escapes are the lengths of escapes by the letter behind the backslash, 0 for
// those that there are not.
var escapes = [256]uint8{'"': 2, '\\': 2, '/': 2, 'b': 2, 'f': 2, 'n': 2, 'r': 2, 't': 2, 'u': 6}

// hex is 0 for hexadecimal digits.
var hex = func() (table [256]byte) {
	for i := range table {
		c := byte(i) | 0x20
		if (c < 'a' || c > 'f') && byte(i)-'0' > 9 {
			table[i] = 1
		}
	}
	return table
}()
