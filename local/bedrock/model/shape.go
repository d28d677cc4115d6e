package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object: members by name, and the order they came in.
type object = map[string]any

// number is a JSON number as written.
type number string

// parse reads a body into objects, []any, string, number, bool and nil.
func parse(body []byte) (object, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	value, err := parseValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	m, ok := value.(object)
	if !ok {
		return nil, errors.New("not an object")
	}
	return m, nil
}

func parseValue(dec *jsontext.Decoder) (any, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		m := object{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String()
			if m[key], err = parseValue(dec); err != nil {
				return nil, err
			}
		}
		_, err := dec.ReadToken()
		return m, err
	case '[':
		list := []any{}
		for dec.PeekKind() != ']' {
			value, err := parseValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := dec.ReadToken()
		return list, err
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String()), nil
	case 't', 'f':
		return token.Kind() == 't', nil
	default:
		return nil, nil
	}
}

// kind is what a member holds; text may take other forms through either.
type kind int

const (
	anything kind = iota
	text
	integer
	decimal
	boolean
	list
	members
)

// shape says what a value may be. The zero shape takes anything.
type shape struct {
	kind     kind
	required bool
	min, max float64 // bounds of numbers, of a text's or a list's length; max 0: none
	enum     []string
	of       *shape           // elements of a list
	fields   map[string]shape // members of an object
	open     bool             // other members are allowed
	either   *shape           // a second form of another kind
}

func (s shape) must() shape { s.required = true; return s }

// dialect words a provider's refusals.
type dialect struct {
	missing, extra, wrong, low, high, choice func(path, detail string) string
	join                                     string
}

// pydantic is how Anthropic words them: one line a problem, the path in dots.
var pydantic = dialect{
	missing: func(p, _ string) string { return p + ": Field required" },
	extra:   func(p, _ string) string { return p + ": Extra inputs are not permitted" },
	wrong:   func(p, want string) string { return p + ": Input should be a valid " + want },
	low:     func(p, bound string) string { return p + ": Input should be greater than or equal to " + bound },
	high:    func(p, bound string) string { return p + ": Input should be less than or equal to " + bound },
	choice:  func(p, options string) string { return p + ": Input should be " + options },
	join:    "\n",
}

// malformed is how the other providers' schemas are worded.
var malformed = dialect{
	missing: func(p, _ string) string { return "required key [" + leaf(p) + "] not found" },
	extra:   func(p, _ string) string { return "extraneous key [" + leaf(p) + "] is not permitted" },
	wrong:   func(p, want string) string { return "#/" + slashed(p) + ": expected type: " + want },
	low: func(p, bound string) string {
		return "#/" + slashed(p) + ": value is less than the minimum of " + bound
	},
	high:   func(p, bound string) string { return "#/" + slashed(p) + ": value exceeds the maximum of " + bound },
	choice: func(p, options string) string { return "#/" + slashed(p) + ": value is not one of " + options },
	join:   ", ",
}

func leaf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func slashed(path string) string { return strings.ReplaceAll(path, ".", "/") }

// check compares value with the shape and returns all problems.
func (d dialect) check(path string, value any, s shape) []string {
	if s.kind == anything || value == nil && !s.required {
		return nil
	}
	if s.either != nil && kindOf(value) == s.either.kind && kindOf(value) != s.kind {
		s = *s.either
	}
	switch s.kind {
	case text:
		v, ok := value.(string)
		switch {
		case !ok:
			return []string{d.wrong(path, "string")}
		case len(s.enum) > 0 && !slices.Contains(s.enum, v):
			return []string{d.choice(path, "'"+strings.Join(s.enum, "', '")+"'")}
		case float64(len(v)) < s.min:
			return []string{d.low(path, format(s.min)+" characters")}
		}
	case integer, decimal:
		return d.checkNumber(path, value, s)
	case boolean:
		if _, ok := value.(bool); !ok {
			return []string{d.wrong(path, "boolean")}
		}
	case list:
		v, ok := value.([]any)
		switch {
		case !ok:
			return []string{d.wrong(path, "list")}
		case float64(len(v)) < s.min:
			return []string{d.low(path, format(s.min)+" items")}
		case s.max > 0 && float64(len(v)) > s.max:
			return []string{d.high(path, format(s.max)+" items")}
		case s.of == nil:
			return nil
		}
		var problems []string
		for i, element := range v {
			problems = append(problems, d.check(path+"."+strconv.Itoa(i), element, s.of.must())...)
		}
		return problems
	case members:
		v, ok := value.(object)
		if !ok {
			return []string{d.wrong(path, "dictionary")}
		}
		return d.checkMembers(path, v, s)
	}
	return nil
}

func (d dialect) checkNumber(path string, value any, s shape) []string {
	want := "number"
	if s.kind == integer {
		want = "integer"
	}
	v, ok := value.(number)
	f, err := strconv.ParseFloat(string(v), 64)
	switch {
	case !ok || err != nil || s.kind == integer && f != math.Trunc(f):
		return []string{d.wrong(path, want)}
	case f < s.min:
		return []string{d.low(path, format(s.min))}
	case s.max > 0 && f > s.max:
		return []string{d.high(path, format(s.max))}
	}
	return nil
}

func (d dialect) checkMembers(path string, v object, s shape) []string {
	at := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	var problems []string
	for _, name := range sortedKeys(s.fields) {
		field := s.fields[name]
		if value, has := v[name]; has {
			problems = append(problems, d.check(at(name), value, field)...)
		} else if field.required {
			problems = append(problems, d.missing(at(name), ""))
		}
	}
	if s.open {
		return problems
	}
	for _, name := range sortedKeys(v) {
		if _, known := s.fields[name]; !known {
			problems = append(problems, d.extra(at(name), ""))
		}
	}
	return problems
}

// refuse checks a whole body.
func (d dialect) refuse(body object, s shape) error {
	problems := d.check("", body, s)
	if len(problems) == 0 {
		return nil
	}
	if d.join == "\n" {
		return invalid("%s", strings.Join(problems, d.join))
	}
	return invalid("Malformed input request: %s, please reformat your input and try again.", strings.Join(problems, d.join))
}

func kindOf(value any) kind {
	switch value.(type) {
	case string:
		return text
	case number:
		return decimal
	case bool:
		return boolean
	case []any:
		return list
	case object:
		return members
	}
	return anything
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func format(f float64) string { return fmt.Sprintf("%g", f) }

// Accessors for bodies that have been checked.

func str(m object, name string) string { s, _ := m[name].(string); return s }

func sub(m object, name string) object { o, _ := m[name].(object); return o }

func items(m object, name string) []any { l, _ := m[name].([]any); return l }

func texts(m object, name string) []string {
	var out []string
	for _, v := range items(m, name) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func count(m object, name string) int {
	n, _ := m[name].(number)
	f, _ := strconv.ParseFloat(string(n), 64)
	return int(min(f, math.MaxInt32))
}

func float(m object, name string) *float64 {
	n, ok := m[name].(number)
	if !ok {
		return nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil
	}
	return &f
}
