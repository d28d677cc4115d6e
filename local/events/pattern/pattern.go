// Package pattern compiles and matches event patterns: the filter language of
// EventBridge rules, which SNS filter policies share.
//
// Everything that is not understood is an error at Compile, so that a pattern
// never matches here what it would not match in the cloud.
package pattern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Pattern is a compiled event pattern. It is safe for concurrent use.
type Pattern struct {
	root node
}

// Option changes what Compile accepts.
type Option func(*compiler)

// Flat refuses nested keys: SNS filter policies over message attributes.
func Flat() Option { return func(c *compiler) { c.flat = true } }

// Without refuses an operator by name: SNS knows fewer than EventBridge.
func Without(operators ...string) Option {
	return func(c *compiler) {
		for _, op := range operators {
			c.refused[op] = true
		}
	}
}

// Compile reads a pattern. The error says where in the pattern the fault is.
func Compile(data []byte, opts ...Option) (*Pattern, error) {
	c := &compiler{refused: map[string]bool{}}
	for _, o := range opts {
		o(c)
	}
	v, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("event pattern is not valid JSON: %w", err)
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("event pattern is not valid: it must be a JSON object")
	}
	root, err := c.object("", obj)
	if err != nil {
		return nil, fmt.Errorf("event pattern is not valid: %w", err)
	}
	return &Pattern{root: root}, nil
}

// Decode reads one JSON value, keeping numbers as written and refusing
// duplicate names and trailing bytes.
func Decode(data []byte) (any, error) {
	if !jsontext.Value(data).IsValid() {
		// A second reading by the strict decoder only words the error.
		d := jsontext.NewDecoder(bytes.NewReader(data))
		if _, err := d.ReadValue(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("bytes after the JSON value")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// Match tells whether the event, a JSON object, fits the pattern.
func (p *Pattern) Match(event []byte) (bool, error) {
	v, err := Decode(event)
	if err != nil {
		return false, fmt.Errorf("event is not valid JSON: %w", err)
	}
	if _, ok := v.(map[string]any); !ok {
		return false, fmt.Errorf("event is not a JSON object")
	}
	return p.root.match(v), nil
}

// MatchValue is Match for a value that Decode has read: objects are
// map[string]any, arrays []any, numbers json.Number.
func (p *Pattern) MatchValue(event map[string]any) bool { return p.root.match(event) }

// node is one level of the pattern: a value at this place must satisfy it.
type node interface{ match(v any) bool }

// object wants all of its fields and one branch of each $or.
type object struct {
	fields []field
	ors    []node
}

type field struct {
	name string
	want node
}

func (o *object) match(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return o.matchMap(v)
	case []any:
		// One and the same element must satisfy all fields.
		for _, e := range v {
			if o.match(e) {
				return true
			}
		}
		return o.absent() && !holdsObject(v)
	default:
		return o.absent()
	}
}

func (o *object) matchMap(m map[string]any) bool {
	for _, f := range o.fields {
		v, ok := m[f.name]
		if !ok {
			if !absent(f.want) {
				return false
			}
			continue
		}
		if !f.want.match(v) {
			return false
		}
	}
	for _, n := range o.ors {
		if !n.match(m) {
			return false
		}
	}
	return true
}

// absent tells whether the pattern is satisfied by there being nothing: all
// of its leaves ask for exists:false.
func (o *object) absent() bool { return o.matchMap(nil) }

func absent(n node) bool {
	switch n := n.(type) {
	case *object:
		return n.absent()
	case leaf:
		return n.absent()
	}
	return false
}

func holdsObject(list []any) bool {
	for _, e := range list {
		switch e := e.(type) {
		case map[string]any:
			return true
		case []any:
			if holdsObject(e) {
				return true
			}
		}
	}
	return false
}

// either is $or: one branch is enough.
type either []node

func (e either) match(v any) bool {
	for _, n := range e {
		if n.match(v) {
			return true
		}
	}
	return false
}

// leaf is a list of tests of which one must hold for one of the values.
type leaf []test

// test judges one scalar: string, json.Number, bool or nil.
type test struct {
	holds  func(v any) bool
	absent bool // exists:false
}

func (l leaf) absent() bool {
	for _, t := range l {
		if t.absent {
			return true
		}
	}
	return false
}

func (l leaf) match(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		// Only leaves of the event are seen; an object counts as absent.
		return l.absent()
	case []any:
		seen := false
		for _, e := range v {
			if _, ok := e.(map[string]any); ok {
				continue
			}
			if inner, ok := e.([]any); ok && len(inner) == 0 {
				continue
			}
			seen = true
			if l.match(e) {
				return true
			}
		}
		return !seen && l.absent()
	default:
		for _, t := range l {
			if t.holds != nil && t.holds(v) {
				return true
			}
		}
		return false
	}
}

// compiler turns the decoded pattern into nodes.
type compiler struct {
	flat    bool
	refused map[string]bool
}

func (c *compiler) object(path string, m map[string]any) (node, error) {
	if len(m) == 0 {
		return nil, fmt.Errorf("%s: an empty object is not allowed", at(path))
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	o := &object{}
	for _, name := range names {
		p := join(path, name)
		if name == "$or" {
			n, err := c.or(p, m[name], path)
			if err != nil {
				return nil, err
			}
			o.ors = append(o.ors, n)
			continue
		}
		var n node
		var err error
		switch v := m[name].(type) {
		case []any:
			n, err = c.leaf(p, v)
		case map[string]any:
			if c.flat {
				return nil, fmt.Errorf("%s: nested keys are not allowed here, want a list of values", at(p))
			}
			n, err = c.object(p, v)
		default:
			return nil, fmt.Errorf("%s: must be an object or an array", at(p))
		}
		if err != nil {
			return nil, err
		}
		o.fields = append(o.fields, field{name, n})
	}
	return o, nil
}

func (c *compiler) or(path string, v any, inner string) (node, error) {
	list, ok := v.([]any)
	if !ok || len(list) < 2 {
		return nil, fmt.Errorf("%s: must be an array of at least two objects", at(path))
	}
	var e either
	for i, b := range list {
		m, ok := b.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: element %d is not an object", at(path), i)
		}
		n, err := c.object(inner, m)
		if err != nil {
			return nil, err
		}
		e = append(e, n)
	}
	return e, nil
}

func (c *compiler) leaf(path string, list []any) (node, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: an empty array is not allowed", at(path))
	}
	var l leaf
	for _, e := range list {
		switch e := e.(type) {
		case []any:
			return nil, fmt.Errorf("%s: an array in an array is not allowed", at(path))
		case map[string]any:
			t, err := c.operator(path, e)
			if err != nil {
				return nil, err
			}
			l = append(l, t)
		default:
			l = append(l, test{holds: equals(e)})
		}
	}
	return l, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func at(path string) string {
	if path == "" {
		return "the pattern"
	}
	return strings.TrimSpace(fmt.Sprintf("%q", path))
}
