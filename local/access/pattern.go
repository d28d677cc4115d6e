package access

import (
	"fmt"
	"strings"
)

// A pattern is a text with the wildcards * and ? and, where allowed, policy
// variables such as ${aws:username} or ${aws:username, 'nobody'}.
type pattern struct {
	source string
	pieces []piece
}

// A piece is one of: literal text, a wildcard, or a variable with a default.
type piece struct {
	literal     string
	wild        byte // '*', '?' or 0
	variable    string
	fallback    string
	hasFallback bool
}

// parsePattern reads a pattern; variables tells whether ${...} has a meaning.
func parsePattern(s string, variables bool) (pattern, error) {
	p := pattern{source: s}
	for len(s) > 0 {
		next := strings.IndexAny(s, "*?$")
		if next < 0 {
			p.pieces = append(p.pieces, piece{literal: s})
			break
		}
		if next > 0 {
			p.pieces = append(p.pieces, piece{literal: s[:next]})
			s = s[next:]
		}
		if s[0] != '$' {
			p.pieces = append(p.pieces, piece{wild: s[0]})
			s = s[1:]
			continue
		}
		if !variables || !strings.HasPrefix(s, "${") {
			p.pieces = append(p.pieces, piece{literal: "$"})
			s = s[1:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return p, fmt.Errorf("%q: a policy variable has no closing brace", p.source)
		}
		v, err := parseVariable(s[2:end])
		if err != nil {
			return p, fmt.Errorf("%q: %w", p.source, err)
		}
		p.pieces = append(p.pieces, v)
		s = s[end+1:]
	}
	return p, nil
}

func parseVariable(s string) (piece, error) {
	if s == "*" || s == "?" || s == "$" {
		return piece{literal: s}, nil
	}
	name, fallback, has := strings.Cut(s, ",")
	name = strings.TrimSpace(name)
	if err := knownKey(name); err != nil {
		return piece{}, err
	}
	v := piece{variable: strings.ToLower(name), hasFallback: has}
	if has {
		fallback = strings.TrimSpace(fallback)
		if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
			return piece{}, fmt.Errorf("policy variable ${%s}: the default wants single quotes", s)
		}
		v.fallback = fallback[1 : len(fallback)-1]
	}
	return v, nil
}

const (
	anyRunes rune = -1
	oneRune  rune = -2
)

// expand replaces the variables by what the request says; false if one has no
// value. wildcards false makes * and ? stand for themselves.
func (p pattern) expand(keys conditionKeys, wildcards bool) ([]rune, bool) {
	var out []rune
	for _, piece := range p.pieces {
		switch {
		case piece.wild == '*' && wildcards:
			out = append(out, anyRunes)
		case piece.wild == '?' && wildcards:
			out = append(out, oneRune)
		case piece.wild != 0:
			out = append(out, rune(piece.wild))
		case piece.variable != "":
			// A key of several values has no meaning as a variable.
			if values := keys[piece.variable]; len(values) == 1 {
				out = append(out, []rune(values[0])...)
			} else if piece.hasFallback {
				out = append(out, []rune(piece.fallback)...)
			} else {
				return nil, false
			}
		default:
			out = append(out, []rune(piece.literal)...)
		}
	}
	return out, true
}

// matches tells whether s fits the pattern.
func (p pattern) matches(s string, keys conditionKeys) bool {
	want, ok := p.expand(keys, true)
	return ok && glob(want, []rune(s))
}

// glob matches by going back to the last star only, which is linear in
// practice and never exponential.
func glob(want, have []rune) bool {
	w, h, star, mark := 0, 0, -1, 0
	for h < len(have) {
		switch {
		case w < len(want) && want[w] == anyRunes:
			star, mark = w, h
			w++
		case w < len(want) && (want[w] == oneRune || want[w] == have[h]):
			w++
			h++
		case star >= 0:
			mark++
			w, h = star+1, mark
		default:
			return false
		}
	}
	for w < len(want) && want[w] == anyRunes {
		w++
	}
	return w == len(want)
}
