package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/events/pattern"
)

// input is what the target gets for the event.
func (t Target) input(r *rule, event []byte, now time.Time) (string, error) {
	switch {
	case t.Input != "":
		return t.Input, nil
	case t.InputPath != "":
		v, err := pattern.Decode(event)
		if err != nil {
			return "", err
		}
		p, err := parsePath(t.InputPath)
		if err != nil {
			return "", err
		}
		found, _ := p.find(v) // nothing there is null
		return encode(found)
	case t.Transformer != nil:
		return t.Transformer.apply(r, event, now)
	}
	return string(event), nil
}

// encode writes JSON without escaping <, > and &.
func encode(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode a part of the event: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// path is a JSON path without wildcards: names and indexes.
type path []any

var pathStep = regexp.MustCompile(`^(?:\.([A-Za-z0-9_\-]+)|\['([^']+)'\]|\["([^"]+)"\]|\[([0-9]+)\])`)

func parsePath(s string) (path, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, fmt.Errorf("path %q does not begin with $", s)
	}
	var p path
	for rest != "" {
		m := pathStep.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("path %q: %q is not understood (names and indexes are, as in $.detail.list[0])", s, rest)
		}
		if m[4] != "" {
			i, err := strconv.Atoi(m[4])
			if err != nil {
				return nil, fmt.Errorf("path %q: index %s: %w", s, m[4], err)
			}
			p = append(p, i)
		} else {
			p = append(p, m[1]+m[2]+m[3])
		}
		rest = rest[len(m[0]):]
	}
	return p, nil
}

func (p path) find(v any) (any, bool) {
	for _, step := range p {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[step]; !ok {
				return nil, false
			}
		case int:
			l, ok := v.([]any)
			if !ok || step >= len(l) {
				return nil, false
			}
			v = l[step]
		}
	}
	return v, true
}

var (
	placeholder  = regexp.MustCompile(`<([A-Za-z0-9_.\-]+)>`)
	variableName = regexp.MustCompile(`^[A-Za-z0-9_\-]+$`)
)

// predefined are the variables that every template has.
var predefined = []string{"aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time", "aws.events.event", "aws.events.event.json"}

func (t *Transformer) check() error {
	if t.Template == "" || len(t.Template) > 8192 {
		return fmt.Errorf("the input template has %d bytes, want 1 to 8192", len(t.Template))
	}
	if len(t.Paths) > 100 {
		return fmt.Errorf("%d input paths are more than 100", len(t.Paths))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Paths)) {
		if !variableName.MatchString(name) || strings.HasPrefix(strings.ToLower(name), "aws") {
			return fmt.Errorf("input path %q: a name has letters, digits, - or _, and does not begin with AWS", name)
		}
		if _, err := parsePath(t.Paths[name]); err != nil {
			return fmt.Errorf("input path %s: %w", name, err)
		}
	}
	for _, m := range placeholder.FindAllStringSubmatch(t.Template, -1) {
		if _, ok := t.Paths[m[1]]; !ok && !slices.Contains(predefined, m[1]) {
			return fmt.Errorf("the input template uses <%s>, which no input path defines", m[1])
		}
	}
	return nil
}

// apply fills the template. Between quotes a value's text is written, without
// quotes of its own; elsewhere the value as JSON. What the event lacks is empty
// text between quotes and null elsewhere.
func (t *Transformer) apply(r *rule, event []byte, now time.Time) (string, error) {
	doc, err := pattern.Decode(event)
	if err != nil {
		return "", err
	}
	values := map[string]any{
		"aws.events.rule-arn": r.arn(), "aws.events.rule-name": r.Name, "aws.events.event.ingestion-time": now.Format("2006-01-02T15:04:05Z"),
		"aws.events.event": doc, "aws.events.event.json": doc,
	}
	for name, s := range t.Paths {
		p, err := parsePath(s)
		if err != nil {
			return "", err
		}
		if v, ok := p.find(doc); ok {
			values[name] = v
		}
	}
	var out strings.Builder
	quoted := false
	for i := 0; i < len(t.Template); {
		if t.Template[i] == '<' {
			if m := placeholder.FindStringSubmatchIndex(t.Template[i:]); m != nil && m[0] == 0 {
				v, ok := values[t.Template[i+m[2]:i+m[3]]]
				text, err := insertion(v, ok, quoted)
				if err != nil {
					return "", err
				}
				out.WriteString(text)
				i += m[1]
				continue
			}
		}
		switch t.Template[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if i+1 < len(t.Template) {
				out.WriteByte('\\')
				i++
			}
		}
		out.WriteByte(t.Template[i])
		i++
	}
	return out.String(), nil
}

func insertion(v any, ok, quoted bool) (string, error) {
	if !ok {
		if quoted {
			return "", nil
		}
		return "null", nil
	}
	text, err := encode(v)
	if err != nil || !quoted {
		return text, err
	}
	if _, isText := v.(string); isText {
		return text[1 : len(text)-1], nil // escaped already
	}
	// Another value between quotes is its JSON as text.
	inner, err := encode(text)
	if err != nil {
		return "", err
	}
	return inner[1 : len(inner)-1], nil
}
