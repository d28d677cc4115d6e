package workload

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"
)

// maxNesting bounds mappings in mappings of free settings.
const maxNesting = 100

// str is the text of a node; false, with a problem noted, if it is none.
func (p *reading) str(path string, value ast.Node) (string, bool) {
	switch n := value.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		p.wrong(value, path, "text is expected, not %s; write it in quotes", kind(value))
		return "", false
	}
	p.wrong(value, path, "text is expected, not %s", kind(value))
	return "", false
}

// word reads a short text that is not empty.
func word(into *string) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "string", "minLength": 1}) {
			return
		}
		s, ok := p.str(path, value)
		if !ok {
			return
		}
		if s = strings.TrimSpace(s); s == "" {
			p.wrong(value, path, "must not be empty")
			return
		}
		*into = s
	}
}

// long reads a text as it is. An empty one takes away what a folder above
// has set.
func long(into **string) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "string"}) {
			return
		}
		if s, ok := p.str(path, value); ok {
			*into = &s
		}
	}
}

func choice[T ~string](into *T, known ...T) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"enum": known}) {
			return
		}
		s, ok := p.str(path, value)
		if !ok {
			return
		}
		names := make([]string, len(known))
		for i, k := range known {
			if string(k) == s {
				*into = k
				return
			}
			names[i] = string(k)
		}
		p.wrong(value, path, "%q is not one of %s", s, strings.Join(names, ", "))
	}
}

func whole[T int | int64](into **T, low, high int64) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "integer", "minimum": low, "maximum": high}) {
			return
		}
		n, ok := value.(*ast.IntegerNode)
		if !ok {
			p.wrong(value, path, "a whole number from %d to %d is expected, not %s", low, high, kind(value))
			return
		}
		v, ok := integer(n)
		if !ok || v < low || v > high {
			p.wrong(value, path, "%s is not between %d and %d", n.GetToken().Value, low, high)
			return
		}
		t := T(v)
		*into = &t
	}
}

func integer(n *ast.IntegerNode) (int64, bool) {
	switch v := n.Value.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

func number(into **float64, low, high float64) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "number", "minimum": low, "maximum": high}) {
			return
		}
		var v float64
		switch n := value.(type) {
		case *ast.FloatNode:
			v = n.Value
		case *ast.IntegerNode:
			whole, ok := integer(n)
			if !ok {
				whole = math.MaxInt64
			}
			v = float64(whole)
		default:
			p.wrong(value, path, "a number from %g to %g is expected, not %s", low, high, kind(value))
			return
		}
		if !(v >= low && v <= high) {
			p.wrong(value, path, "%g is not between %g and %g", v, low, high)
			return
		}
		*into = &v
	}
}

func flag(into **bool) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "boolean"}) {
			return
		}
		n, ok := value.(*ast.BoolNode)
		if !ok {
			p.wrong(value, path, "true or false is expected, not %s", kind(value))
			return
		}
		*into = &n.Value
	}
}

func duration(into **Duration, low, high time.Duration) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"anyOf": []node{{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`}, {"const": 0}}}) {
			return
		}
		n, ok := value.(*ast.IntegerNode)
		if v, _ := value.(*ast.IntegerNode); ok && v.Value == uint64(0) {
			zero := Duration(0)
			*into = &zero
			return
		}
		if ok {
			p.wrong(value, path, "%s has no unit; write it as 30s, 5m or 1h", n.GetToken().Value)
			return
		}
		s, ok := p.str(path, value)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			p.wrong(value, path, "%q is no duration; write it as 30s, 5m or 1h", s)
			return
		}
		if d < low || d > high {
			p.wrong(value, path, "%s is not between %s and %s", s, low, high)
			return
		}
		v := Duration(d)
		*into = &v
	}
}

func list(into *[]string, most int, check func(string) string) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "array", "maxItems": most, "items": node{"type": "string"}}) {
			return
		}
		n, ok := value.(*ast.SequenceNode)
		if !ok {
			p.wrong(value, path, "a list is expected, not %s", kind(value))
			return
		}
		if len(n.Values) > most {
			p.wrong(value, path, "%d entries, at most %d are allowed", len(n.Values), most)
			return
		}
		all := make([]string, 0, len(n.Values))
		for i, v := range n.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			s, ok := p.str(at, v)
			if !ok {
				continue
			}
			if text := check(s); text != "" {
				p.wrong(v, at, "%s", text)
			}
			all = append(all, s)
		}
		*into = all
	}
}

// texts reads a mapping of the user's own keys to texts.
func texts(into *map[string]string, check func(key, value string) string) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "object", "additionalProperties": node{"type": "string"}}) {
			return
		}
		pairs, ok := p.pairs(path, value)
		if !ok {
			return
		}
		all := make(map[string]string, len(pairs))
		for _, pair := range pairs {
			key, ok := p.key(path, pair)
			if !ok {
				continue
			}
			s, ok := p.str(join(path, key), pair.Value)
			if !ok {
				continue
			}
			if check != nil {
				if text := check(key, s); text != "" {
					p.wrong(pair.Key, join(path, key), "%s", text)
				}
			}
			all[key] = s
		}
		*into = all
	}
}

// object reads a mapping of anything as a JSON object.
func object(into *jsontext.Value) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": "object"}) {
			return
		}
		if _, ok := p.pairs(path, value); !ok {
			return
		}
		if v, ok := p.json(nil, path, value, 0); ok {
			*into = v
		}
	}
}

// jsonSchema reads true, false or a JSON schema.
func jsonSchema(into *jsontext.Value) setter {
	return func(p *reading, path string, value ast.Node) {
		if p.describe(node{"type": []string{"boolean", "object"}}) {
			return
		}
		switch value.(type) {
		case *ast.BoolNode, *ast.MappingNode, *ast.MappingValueNode:
			if v, ok := p.json(nil, path, value, 0); ok {
				*into = v
			}
		default:
			p.wrong(value, path, "true, false or a JSON schema is expected, not %s", kind(value))
		}
	}
}

// json appends any node as JSON.
func (p *reading) json(dst []byte, path string, value ast.Node, depth int) ([]byte, bool) {
	if depth > maxNesting {
		p.wrong(value, path, "nested deeper than %d", maxNesting)
		return dst, false
	}
	quote := func(s string) {
		// Files are checked to be UTF-8, and escapes of YAML name whole runes.
		dst, _ = jsontext.AppendQuote(dst, s)
	}
	switch n := value.(type) {
	case *ast.NullNode:
		return append(dst, "null"...), true
	case *ast.BoolNode:
		return strconv.AppendBool(dst, n.Value), true
	case *ast.IntegerNode:
		return fmt.Append(dst, n.Value), true
	case *ast.FloatNode:
		return jsontext.AppendFloat(dst, n.Value, 64), true
	case *ast.StringNode:
		quote(n.Value)
		return dst, true
	case *ast.LiteralNode:
		quote(n.Value.Value)
		return dst, true
	case *ast.SequenceNode:
		dst = append(dst, '[')
		for i, v := range n.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			var ok bool
			if dst, ok = p.json(dst, fmt.Sprintf("%s[%d]", path, i), v, depth+1); !ok {
				return dst, false
			}
		}
		return append(dst, ']'), true
	case *ast.MappingNode, *ast.MappingValueNode:
		pairs, _ := p.pairs(path, value)
		dst = append(dst, '{')
		for i, pair := range pairs {
			key, ok := p.key(path, pair)
			if !ok {
				return dst, false
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			quote(key)
			dst = append(dst, ':')
			if dst, ok = p.json(dst, join(path, key), pair.Value, depth+1); !ok {
				return dst, false
			}
		}
		return append(dst, '}'), true
	}
	p.wrong(value, path, "%s cannot be written as JSON", kind(value))
	return dst, false
}
