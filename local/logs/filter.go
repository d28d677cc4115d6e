package logs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// filter tells which messages are wanted.
type filter func(message string) bool

// parseFilter reads a filter pattern: words that must all be there ("phrases"
// in quotes, -word that must not, ?word of which one must), or a JSON pattern
// of comparisons that are all joined by && or all by ||. Other patterns are
// refused.
func parseFilter(pattern string) (filter, error) {
	pattern = strings.TrimSpace(pattern)
	switch {
	case pattern == "":
		return func(string) bool { return true }, nil
	case strings.HasPrefix(pattern, "{") && strings.HasSuffix(pattern, "}"):
		return parseJSONFilter(pattern[1 : len(pattern)-1])
	case strings.ContainsAny(pattern[:1], "[%{"):
		return nil, fmt.Errorf("filter pattern %s: patterns of columns and regular expressions are not part of the local services", pattern)
	}
	return parseTerms(pattern)
}

var term = regexp.MustCompile(`^([-?]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))\s*`)

func parseTerms(pattern string) (filter, error) {
	var all, none, some []string
	for rest := pattern; rest != ""; {
		m := term.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("filter pattern %s: cannot be read from %q on", pattern, rest)
		}
		rest = rest[len(m[0]):]
		word := m[3]
		if word == "" {
			word = strings.ReplaceAll(m[2], `\"`, `"`)
		}
		switch m[1] {
		case "-":
			none = append(none, word)
		case "?":
			some = append(some, word)
		default:
			all = append(all, word)
		}
	}
	return func(message string) bool {
		for _, w := range all {
			if !strings.Contains(message, w) {
				return false
			}
		}
		for _, w := range none {
			if strings.Contains(message, w) {
				return false
			}
		}
		// As in the cloud, optional words mean nothing beside others.
		if len(some) == 0 || len(all)+len(none) > 0 {
			return true
		}
		for _, w := range some {
			if strings.Contains(message, w) {
				return true
			}
		}
		return false
	}, nil
}

var comparison = regexp.MustCompile(`^\s*\(?\s*\$\.([A-Za-z0-9_.-]+)\s*(=|!=|>=|<=|>|<)\s*("(?:[^"\\]|\\.)*"|[^\s"()&|]+)\s*\)?\s*$`)

func parseJSONFilter(pattern string) (filter, error) {
	joint, every := "&&", true
	if strings.Contains(pattern, "||") {
		if strings.Contains(pattern, "&&") {
			return nil, fmt.Errorf("filter pattern {%s}: && together with || is not part of the local services", pattern)
		}
		joint, every = "||", false
	}
	var tests []func(map[string]any) bool
	for _, text := range strings.Split(pattern, joint) {
		m := comparison.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("filter pattern {%s}: %q is not part of the local services (comparisons of $.members with = != > >= < <= are)", pattern, strings.TrimSpace(text))
		}
		test, err := compare(strings.Split(m[1], "."), m[2], m[3])
		if err != nil {
			return nil, fmt.Errorf("filter pattern {%s}: %w", pattern, err)
		}
		tests = append(tests, test)
	}
	return func(message string) bool {
		var object map[string]any
		if json.Unmarshal([]byte(message), &object) != nil {
			return false
		}
		for _, test := range tests {
			if test(object) != every {
				return !every
			}
		}
		return every
	}, nil
}

// compare tests the member at a path: as a number if the value is one, else as
// text, which may hold * for anything.
func compare(path []string, operator, value string) (func(map[string]any) bool, error) {
	find := func(object map[string]any) any {
		var v any = object
		for _, name := range path {
			m, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = m[name]
		}
		return v
	}
	if number, err := strconv.ParseFloat(value, 64); err == nil {
		return func(object map[string]any) bool {
			v, ok := find(object).(float64)
			if !ok {
				return false
			}
			switch operator {
			case "=":
				return v == number
			case "!=":
				return v != number
			case ">":
				return v > number
			case ">=":
				return v >= number
			case "<":
				return v < number
			}
			return v <= number
		}, nil
	}
	if operator != "=" && operator != "!=" {
		return nil, fmt.Errorf("%s with the text %s: texts are compared with = and != alone", operator, value)
	}
	text := strings.ReplaceAll(strings.Trim(value, `"`), `\"`, `"`)
	parts := strings.Split(text, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	like := regexp.MustCompile(`^(?s:` + strings.Join(parts, ".*") + `)$`)
	return func(object map[string]any) bool {
		v, ok := find(object).(string)
		return ok && like.MatchString(v) == (operator == "=")
	}, nil
}
