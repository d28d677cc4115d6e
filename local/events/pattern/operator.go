package pattern

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
)

// Operators lists the operators that Compile knows, sorted.
func Operators() []string {
	return []string{"$or", "anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"}
}

// maxNumber bounds the numbers of numeric tests, as EventBridge documents.
const maxNumber = 5e9

func (c *compiler) operator(path string, m map[string]any) (test, error) {
	if len(m) != 1 {
		return test{}, fmt.Errorf("%s: a match expression has exactly one operator, this one has %d", at(path), len(m))
	}
	for op, arg := range m {
		if c.refused[op] {
			return test{}, fmt.Errorf("%s: operator %q is not allowed here", at(path), op)
		}
		t, err := c.build(op, arg)
		if err != nil {
			return test{}, fmt.Errorf("%s: %w", at(path), err)
		}
		return t, nil
	}
	panic("unreachable: the map has one member")
}

func (c *compiler) build(op string, arg any) (test, error) {
	switch op {
	case "prefix", "suffix":
		return affix(op, arg)
	case "equals-ignore-case":
		s, ok := arg.(string)
		if !ok {
			return test{}, fmt.Errorf("%q wants a string", op)
		}
		return onString(func(v string) bool { return strings.EqualFold(v, s) }), nil
	case "wildcard":
		s, ok := arg.(string)
		if !ok {
			return test{}, fmt.Errorf("%q wants a string", op)
		}
		w, err := newWildcard(s)
		if err != nil {
			return test{}, err
		}
		return onString(w.match), nil
	case "exists":
		b, ok := arg.(bool)
		if !ok {
			return test{}, fmt.Errorf("%q wants true or false", op)
		}
		if b {
			return test{holds: func(any) bool { return true }}, nil
		}
		return test{absent: true}, nil
	case "numeric":
		return numeric(arg)
	case "cidr":
		s, ok := arg.(string)
		if !ok {
			return test{}, fmt.Errorf("%q wants a string", op)
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return test{}, fmt.Errorf("%q: malformed range %q", op, s)
		}
		p = p.Masked()
		return onString(func(v string) bool {
			a, err := netip.ParseAddr(v)
			return err == nil && a.Zone() == "" && p.Contains(a)
		}), nil
	case "anything-but":
		return c.anythingBut(arg)
	}
	return test{}, fmt.Errorf("unrecognized match type %q (known: %s)", op, strings.Join(Operators(), ", "))
}

func onString(f func(string) bool) test {
	return test{holds: func(v any) bool {
		s, ok := v.(string)
		return ok && f(s)
	}}
}

// affix builds prefix and suffix, each plain or ignoring case.
func affix(op string, arg any) (test, error) {
	has := strings.HasPrefix
	if op == "suffix" {
		has = strings.HasSuffix
	}
	switch a := arg.(type) {
	case string:
		return onString(func(v string) bool { return has(v, a) }), nil
	case map[string]any:
		s, ok := a["equals-ignore-case"].(string)
		if !ok || len(a) != 1 {
			return test{}, fmt.Errorf("%q wants a string or {\"equals-ignore-case\": string}", op)
		}
		s = strings.ToLower(s)
		return onString(func(v string) bool { return has(strings.ToLower(v), s) }), nil
	}
	return test{}, fmt.Errorf("%q wants a string or {\"equals-ignore-case\": string}", op)
}

// equals is the exact test. Numbers are compared as written, as EventBridge
// documents: 300 and 300.0 differ.
func equals(want any) func(any) bool {
	return func(v any) bool { return v == want }
}

func numeric(arg any) (test, error) {
	list, ok := arg.([]any)
	if !ok || len(list) == 0 {
		return test{}, fmt.Errorf("\"numeric\" wants a list such as [\">\", 0, \"<=\", 5]")
	}
	var tests []func(float64) bool
	lower, upper := math.Inf(-1), math.Inf(1)
	kinds := map[byte]bool{}
	for len(list) > 0 {
		op, ok := list[0].(string)
		if !ok || len(list) < 2 {
			return test{}, fmt.Errorf("\"numeric\" wants pairs of comparison and number")
		}
		n, ok := list[1].(json.Number)
		if !ok {
			return test{}, fmt.Errorf("\"numeric\": the value after %q is not a number", op)
		}
		x, err := n.Float64()
		if err != nil || x < -maxNumber || x > maxNumber {
			return test{}, fmt.Errorf("\"numeric\": %s is out of range (-5e9 to 5e9)", n)
		}
		list = list[2:]
		kind := byte('=')
		switch op {
		case "=":
			tests = append(tests, func(v float64) bool { return v == x })
		case "<":
			kind, upper = '<', x
			tests = append(tests, func(v float64) bool { return v < x })
		case "<=":
			kind, upper = '<', x
			tests = append(tests, func(v float64) bool { return v <= x })
		case ">":
			kind, lower = '>', x
			tests = append(tests, func(v float64) bool { return v > x })
		case ">=":
			kind, lower = '>', x
			tests = append(tests, func(v float64) bool { return v >= x })
		default:
			return test{}, fmt.Errorf("\"numeric\": unknown comparison %q (known: = < <= > >=)", op)
		}
		if kinds[kind] || kinds['='] || (kind == '=' && len(kinds) > 0) {
			return test{}, fmt.Errorf("\"numeric\": %q cannot be combined with the comparison before it", op)
		}
		kinds[kind] = true
	}
	if lower >= upper {
		return test{}, fmt.Errorf("\"numeric\": the bottom of the range is not below its top")
	}
	return test{holds: func(v any) bool {
		n, ok := v.(json.Number)
		if !ok {
			return false
		}
		x, err := n.Float64()
		if err != nil {
			return false
		}
		for _, t := range tests {
			if !t(x) {
				return false
			}
		}
		return true
	}}, nil
}

// anythingBut holds for a scalar that is none of the given. It needs the
// field to be there.
func (c *compiler) anythingBut(arg any) (test, error) {
	const want = "\"anything-but\" wants a string, a number, a list of one of these, or {\"prefix\"|\"suffix\"|\"equals-ignore-case\"|\"wildcard\": string or list}"
	if m, ok := arg.(map[string]any); ok {
		if len(m) != 1 {
			return test{}, fmt.Errorf("%s", want)
		}
		for op, inner := range m {
			switch op {
			case "prefix", "suffix", "equals-ignore-case", "wildcard":
			default:
				return test{}, fmt.Errorf("\"anything-but\": unsupported operator %q inside; %s", op, want)
			}
			if c.refused[op] {
				return test{}, fmt.Errorf("operator %q is not allowed here", op)
			}
			list, ok := inner.([]any)
			if !ok {
				list = []any{inner}
			}
			if len(list) == 0 {
				return test{}, fmt.Errorf("\"anything-but\": an empty list is not allowed")
			}
			var none []test
			for _, e := range list {
				if _, ok := e.(string); !ok {
					return test{}, fmt.Errorf("\"anything-but\": %q wants a string or a list of strings", op)
				}
				t, err := c.build(op, e)
				if err != nil {
					return test{}, err
				}
				none = append(none, t)
			}
			return test{holds: func(v any) bool {
				for _, t := range none {
					if t.holds(v) {
						return false
					}
				}
				return true
			}}, nil
		}
	}
	list, ok := arg.([]any)
	if !ok {
		list = []any{arg}
	}
	if len(list) == 0 {
		return test{}, fmt.Errorf("\"anything-but\": an empty list is not allowed")
	}
	strs, nums := 0, 0
	for _, e := range list {
		switch e.(type) {
		case string:
			strs++
		case json.Number:
			nums++
		default:
			return test{}, fmt.Errorf("%s", want)
		}
	}
	if strs > 0 && nums > 0 {
		return test{}, fmt.Errorf("\"anything-but\": a list holds either strings or numbers, not both")
	}
	return test{holds: func(v any) bool {
		for _, e := range list {
			if v == e || sameNumber(v, e) {
				return false
			}
		}
		return true
	}}, nil
}

func sameNumber(a, b any) bool {
	x, ok := a.(json.Number)
	y, ok2 := b.(json.Number)
	if !ok || !ok2 {
		return false
	}
	f, err := x.Float64()
	g, err2 := y.Float64()
	return err == nil && err2 == nil && f == g
}

// wildcard is a pattern of literal pieces with any text between them.
type wildcard []string

func newWildcard(s string) (wildcard, error) {
	var w wildcard
	var piece strings.Builder
	star := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '*':
			if star {
				return nil, fmt.Errorf("\"wildcard\": consecutive wildcards in %q", s)
			}
			w = append(w, piece.String())
			piece.Reset()
			star = true
			continue
		case '\\':
			if i+1 == len(s) || (s[i+1] != '*' && s[i+1] != '\\') {
				return nil, fmt.Errorf("\"wildcard\": invalid escape in %q, only \\* and \\\\ are known", s)
			}
			i++
		}
		piece.WriteByte(s[i])
		star = false
	}
	return append(w, piece.String()), nil
}

func (w wildcard) match(v string) bool {
	if len(w) == 1 {
		return v == w[0]
	}
	first, last := w[0], w[len(w)-1]
	if len(v) < len(first)+len(last) || !strings.HasPrefix(v, first) || !strings.HasSuffix(v, last) {
		return false
	}
	v = v[len(first) : len(v)-len(last)]
	for _, p := range w[1 : len(w)-1] {
		i := strings.Index(v, p)
		if i < 0 {
			return false
		}
		v = v[i+len(p):]
	}
	return true
}
