package workload

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// MaxFile is the largest settings file and the largest template file in bytes.
const MaxFile = 1 << 20

// Parse reads the text of a workload.yaml; file is its name in errors. All
// problems are reported at once, as Problems.
func Parse(file string, data []byte) (Workload, error) {
	var w Workload
	p := &reading{file: file}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > MaxFile:
		return w, Problems{{File: file, Text: fmt.Sprintf("the file has %d bytes, the limit is %d", len(data), MaxFile)}}
	case !utf8.Valid(data):
		return w, Problems{{File: file, Text: "the file is not UTF-8"}}
	}
	if line := tooDeep(data); line > 0 {
		return w, Problems{{File: file, Line: line, Text: fmt.Sprintf("brackets or lists are nested deeper than %d", maxBrackets)}}
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return w, Problems{syntax(file, err)}
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if body != nil {
			return w, Problems{{File: file, Line: lineOf(doc.Body), Text: "the file holds a second YAML document"}}
		}
		body = doc.Body
	}
	if body != nil {
		p.mapping("", body, settings(&w))
	}
	if len(p.problems) > 0 {
		return Workload{}, p.problems
	}
	return w, nil
}

// ParseJSON reads settings that stand as a JSON object within something else,
// with the keys, values and checks of a file. A Problem names no file and no
// line.
func ParseJSON(data []byte) (Workload, error) {
	// YAML knows not every escape of JSON's, nor does it mind a key that
	// stands twice in free settings.
	text := jsontext.Value(data).Clone()
	if err := text.Format(jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true)); err != nil {
		return Workload{}, Problems{{Text: "broken JSON, or a key that stands twice"}}
	}
	w, err := Parse("", text)
	var problems Problems
	if errors.As(err, &problems) {
		for i := range problems {
			problems[i].Line = 0
		}
		return Workload{}, problems
	}
	return w, err
}

// maxBrackets bounds brackets in brackets and lists in lists, on which the YAML
// parser spends time by the square of their number.
const maxBrackets = 200

// tooDeep is the line in which data goes beyond maxBrackets, 0 if it does not.
// It takes brackets in texts for brackets, which does no harm: no text has so
// many that are never closed.
func tooDeep(data []byte) int {
	line, depth, lists, marks := 1, 0, 0, true
	for i, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			line++
			lists, marks = 0, true
		case ' ', '\t':
		case '-', '?':
			// Only a line's own beginning makes lists.
			if marks && i+1 < len(data) && (data[i+1] == ' ' || data[i+1] == '\t') {
				lists++
			}
		default:
			marks = false
		}
		if depth > maxBrackets || lists > maxBrackets {
			return line
		}
	}
	return 0
}

func syntax(file string, err error) Problem {
	var broken *yaml.SyntaxError
	if errors.As(err, &broken) {
		line := 0
		if broken.Token != nil && broken.Token.Position != nil {
			line = broken.Token.Position.Line
		}
		return Problem{File: file, Line: line, Text: "broken YAML: " + broken.Message}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return Problem{File: file, Text: "broken YAML: " + first}
}

// reading collects what is wrong while a file is read.
type reading struct {
	file     string
	problems Problems
	// out is set where nothing is read: the setters describe what they would
	// take.
	out *node
}

// setter takes over the value of one key.
type setter func(p *reading, path string, value ast.Node)

// entry is a known key of a mapping.
type entry struct {
	key string
	set setter
}

func (p *reading) wrong(at ast.Node, path, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: p.file, Line: lineOf(at), Key: path, Text: fmt.Sprintf(format, args...)})
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// pairs are the entries of a mapping node; false, with a problem noted, if it
// is none.
func (p *reading) pairs(path string, value ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := value.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.NullNode:
		return nil, true
	}
	what := "settings are a mapping of keys to values"
	if path != "" {
		what = "a mapping of keys to values is expected"
	}
	p.wrong(value, path, "%s, not %s", what, kind(value))
	return nil, false
}

// key is the text of a mapping's key.
func (p *reading) key(path string, pair *ast.MappingValueNode) (string, bool) {
	if _, ok := pair.Key.(*ast.MergeKeyNode); ok {
		p.wrong(pair.Key, path, "YAML's << is not read here; settings of the folders above are merged already")
		return "", false
	}
	if s, ok := pair.Key.(*ast.StringNode); ok {
		return s.Value, true
	}
	token := pair.Key.GetToken()
	if token == nil {
		p.wrong(pair, path, "a key is expected")
		return "", false
	}
	return token.Value, true
}

// mapping reads a mapping with known keys.
func (p *reading) mapping(path string, value ast.Node, known []entry) {
	if p.out != nil {
		*p.out = describeMapping(path, known)
		return
	}
	pairs, _ := p.pairs(path, value)
next:
	for _, pair := range pairs {
		key, ok := p.key(path, pair)
		if !ok {
			continue
		}
		at := join(path, key)
		for _, e := range known {
			if e.key != key {
				continue
			}
			if _, null := pair.Value.(*ast.NullNode); !null {
				e.set(p, at, pair.Value)
			}
			continue next
		}
		p.wrong(pair.Key, at, "unknown key%s", advise(path, key, known))
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// advise names where a key belongs, or the known key that is most like it.
func advise(path, key string, known []entry) string {
	var all []place
	places("", settings(new(Workload)), &all)
	for _, e := range all {
		if e.key == key && e.path != path {
			if e.path == "" {
				return fmt.Sprintf("; %q belongs at the top of the file", key)
			}
			return fmt.Sprintf("; %q belongs below %q", key, e.path)
		}
	}
	best, distance := "", len(key)/2+1
	for _, e := range known {
		if d := edits(key, e.key); d < distance {
			best, distance = e.key, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].key
	}
	return "; known are " + strings.Join(names, ", ")
}

type place struct{ path, key string }

// places lists all known keys with where they belong.
func places(path string, known []entry, into *[]place) {
	for _, e := range known {
		*into = append(*into, place{path, e.key})
	}
	if path == "" {
		var w Workload
		for key, below := range nested(&w) {
			places(key, below, into)
		}
	}
}

// edits is the number of single-letter changes between two keys.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.InfinityNode:
		return "infinity"
	case *ast.NanNode:
		return "what is no number"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.AnchorNode, *ast.AliasNode:
		return "a YAML anchor or alias"
	case *ast.TagNode:
		return "a YAML tag"
	case *ast.NullNode:
		return "nothing"
	}
	return "this"
}
