// Package schema checks JSON answers against the part of JSON Schema that
// people write for answers. What is not known is refused when a schema is read,
// never passed over.
package schema

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// MaxDepth is how deep a schema may be nested.
const MaxDepth = 64

// Schema is a schema that was read. It is safe for use by several goroutines.
type Schema struct {
	never      bool // false: nothing fits
	types      []string
	enum       [][]byte // in canonical form
	properties []property
	required   []string
	additional *Schema // nil: anything
	items      *Schema
	anyOf      []*Schema
	allOf      []*Schema
	oneOf      []*Schema
	not        *Schema
	pattern    *regexp.Regexp

	minimum, maximum, above, below *big.Rat
	minLength, minItems, minProps  int64
	maxLength, maxItems, maxProps  int64 // -1: no limit
}

type property struct {
	name   string
	schema *Schema
}

// annotations are keywords that check nothing.
var annotations = []string{"$schema", "$id", "$comment", "title", "description", "default", "examples", "example", "format", "deprecated", "readOnly", "writeOnly"}

// Keywords are those that check something.
var Keywords = []string{
	"type", "enum", "const", "properties", "required", "additionalProperties", "items", "anyOf", "allOf", "oneOf", "not",
	"pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
	"minItems", "maxItems", "minProperties", "maxProperties",
}

// Compile reads a schema: an object, or true or false. All that is wrong with
// it, keywords that are not supported among it, is told at once.
func Compile(raw []byte) (*Schema, error) {
	var c compiler
	s := c.schema("", raw, 0)
	if len(c.problems) > 0 {
		return nil, errors.New(strings.Join(c.problems, "; "))
	}
	return s, nil
}

// Columns are the names of the properties of a schema for objects, in the order
// in which they stand: what a table can show of an answer.
func (s *Schema) Columns() []string {
	var names []string
	for _, p := range s.properties {
		names = append(names, p.name)
	}
	return names
}

type compiler struct{ problems []string }

func (c *compiler) wrong(at, format string, args ...any) {
	if at == "" {
		at = "schema"
	}
	c.problems = append(c.problems, at+": "+fmt.Sprintf(format, args...))
}

func (c *compiler) schema(at string, raw []byte, depth int) *Schema {
	s := &Schema{maxLength: -1, maxItems: -1, maxProps: -1}
	if depth > MaxDepth {
		c.wrong(at, "nested deeper than %d", MaxDepth)
		return s
	}
	var k cursor.Cursor
	k.Reset(raw)
	switch k.Kind() {
	case 't':
		return s
	case 'f':
		s.never = true
		return s
	case '{':
	default:
		c.wrong(at, "a schema is an object, true or false")
		return s
	}
	k.EnterObject()
	for name, ok := k.Member(); ok; name, ok = k.Member() {
		key := string(name)
		c.keyword(s, at+"."+key, key, k.Raw(), depth)
	}
	k.End()
	if k.Err() != nil {
		c.wrong(at, "cannot be read: %v", k.Err())
	}
	return s
}

func (c *compiler) keyword(s *Schema, at, key string, raw []byte, depth int) {
	at = strings.TrimPrefix(at, ".")
	switch key {
	case "type":
		s.types = c.texts(at, raw, true)
		for _, t := range s.types {
			if !slices.Contains([]string{"object", "array", "string", "number", "integer", "boolean", "null"}, t) {
				c.wrong(at, "%q is no type", t)
			}
		}
	case "enum":
		for _, v := range c.list(at, raw) {
			s.enum = append(s.enum, canonical(v, 0))
		}
		if len(s.enum) == 0 {
			c.wrong(at, "a list of values is expected")
		}
	case "const":
		s.enum = append(s.enum, canonical(raw, 0))
	case "properties":
		var k cursor.Cursor
		k.Reset(raw)
		if !k.EnterObject() {
			c.wrong(at, "an object of schemas is expected")
			return
		}
		for name, ok := k.Member(); ok; name, ok = k.Member() {
			p := property{name: string(name)}
			p.schema = c.schema(at+"."+p.name, k.Raw(), depth+1)
			s.properties = append(s.properties, p)
		}
	case "required":
		s.required = c.texts(at, raw, false)
	case "additionalProperties":
		s.additional = c.schema(at, raw, depth+1)
	case "items":
		s.items = c.schema(at, raw, depth+1)
	case "not":
		s.not = c.schema(at, raw, depth+1)
	case "anyOf", "allOf", "oneOf":
		var all []*Schema
		for i, v := range c.list(at, raw) {
			all = append(all, c.schema(fmt.Sprintf("%s[%d]", at, i), v, depth+1))
		}
		if len(all) == 0 {
			c.wrong(at, "a list of schemas is expected")
		}
		switch key {
		case "anyOf":
			s.anyOf = all
		case "allOf":
			s.allOf = all
		default:
			s.oneOf = all
		}
	case "pattern":
		text, ok := textOf(raw)
		re, err := regexp.Compile(text)
		if !ok || err != nil {
			c.wrong(at, "cannot be read as a pattern (RE2)")
			return
		}
		s.pattern = re
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		n, ok := number(raw)
		if !ok {
			c.wrong(at, "a number is expected")
			return
		}
		*map[string]**big.Rat{"minimum": &s.minimum, "maximum": &s.maximum, "exclusiveMinimum": &s.above, "exclusiveMaximum": &s.below}[key] = n
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties":
		var k cursor.Cursor
		k.Reset(raw)
		n, ok := k.Int()
		if !ok {
			c.wrong(at, "a whole number from 0 is expected")
			return
		}
		*map[string]*int64{"minLength": &s.minLength, "maxLength": &s.maxLength, "minItems": &s.minItems, "maxItems": &s.maxItems,
			"minProperties": &s.minProps, "maxProperties": &s.maxProps}[key] = n
	default:
		if !slices.Contains(annotations, key) {
			c.wrong(at, "the keyword %s is not supported; supported are %s", key, strings.Join(Keywords, ", "))
		}
	}
}

func (c *compiler) list(at string, raw []byte) [][]byte {
	var k cursor.Cursor
	k.Reset(raw)
	var all [][]byte
	if !k.EnterArray() {
		c.wrong(at, "a list is expected")
		return nil
	}
	for k.Element() {
		all = append(all, k.Raw())
	}
	return all
}

func (c *compiler) texts(at string, raw []byte, one bool) []string {
	if text, ok := textOf(raw); ok && one {
		return []string{text}
	}
	var all []string
	for _, v := range c.list(at, raw) {
		text, ok := textOf(v)
		if !ok {
			c.wrong(at, "texts are expected")
		}
		all = append(all, text)
	}
	return all
}

func textOf(raw []byte) (string, bool) {
	var k cursor.Cursor
	k.Reset(raw)
	q, ok := k.String()
	return cursor.Unquote(q), ok
}

// maxExponent bounds numbers that are compared: a short text can name one whose
// digits fill the memory.
const maxExponent = 400

func number(raw []byte) (*big.Rat, bool) {
	if len(raw) > 400 || len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return nil, false
	}
	if i := strings.IndexAny(string(raw), "eE"); i >= 0 {
		exponent := 0
		if _, err := fmt.Sscanf(string(raw[i+1:]), "%d", &exponent); err != nil || exponent > maxExponent || exponent < -maxExponent {
			return nil, false
		}
	}
	return new(big.Rat).SetString(string(raw))
}

// Check says what is wrong with a JSON value, in one sentence that quotes
// nothing of it but names of the schema; empty if it fits.
func (s *Schema) Check(raw []byte) string { return s.check("", raw, 0) }

func (s *Schema) check(at string, raw []byte, depth int) string {
	say := func(format string, args ...any) string {
		where := "the answer"
		if at != "" {
			where = at[1:]
		}
		return where + " " + fmt.Sprintf(format, args...)
	}
	if depth > 4*MaxDepth {
		return say("is nested too deep")
	}
	if s.never {
		return say("is not allowed")
	}
	var k cursor.Cursor
	k.Reset(raw)
	kind := k.Kind()
	if len(s.types) > 0 && !slices.ContainsFunc(s.types, func(t string) bool { return isOf(t, kind, raw) }) {
		return say("is not of type %s", strings.Join(s.types, " or "))
	}
	if len(s.enum) > 0 {
		value := canonical(raw, 0)
		if !slices.ContainsFunc(s.enum, func(e []byte) bool { return string(e) == string(value) }) {
			return say("is none of the values allowed")
		}
	}
	for _, sub := range s.allOf {
		if why := sub.check(at, raw, depth+1); why != "" {
			return why
		}
	}
	fits := func(of []*Schema) (n int) {
		for _, sub := range of {
			if sub.check(at, raw, depth+1) == "" {
				n++
			}
		}
		return n
	}
	if len(s.oneOf) > 0 {
		if n := fits(s.oneOf); n != 1 {
			return say("fits %d of oneOf", n)
		}
	}
	switch {
	case len(s.anyOf) > 0 && fits(s.anyOf) == 0:
		return say("fits none of anyOf")
	case s.not != nil && s.not.check(at, raw, depth+1) == "":
		return say("is what it must not be")
	}
	switch kind {
	case '"':
		return s.checkText(raw, say)
	case '0':
		return s.checkNumber(raw, say)
	case '[':
		return s.checkArray(at, &k, depth, say)
	case '{':
		return s.checkObject(at, &k, depth, say)
	}
	return ""
}

type sayer func(format string, args ...any) string

func (s *Schema) checkText(raw []byte, say sayer) string {
	text, _ := textOf(raw)
	length := int64(utf8.RuneCountInString(text))
	switch {
	case length < s.minLength:
		return say("is shorter than %d characters", s.minLength)
	case s.maxLength >= 0 && length > s.maxLength:
		return say("is longer than %d characters", s.maxLength)
	case s.pattern != nil && !s.pattern.MatchString(text):
		return say("does not match its pattern")
	}
	return ""
}

func (s *Schema) checkNumber(raw []byte, say sayer) string {
	if s.minimum == nil && s.maximum == nil && s.above == nil && s.below == nil {
		return ""
	}
	n, ok := number(raw)
	switch {
	case !ok:
		return say("is a number too large to be compared")
	case s.minimum != nil && n.Cmp(s.minimum) < 0, s.above != nil && n.Cmp(s.above) <= 0:
		return say("is too small")
	case s.maximum != nil && n.Cmp(s.maximum) > 0, s.below != nil && n.Cmp(s.below) >= 0:
		return say("is too large")
	}
	return ""
}

func (s *Schema) checkArray(at string, k *cursor.Cursor, depth int, say sayer) string {
	k.EnterArray()
	n := int64(0)
	for ; k.Element(); n++ {
		raw := k.Raw()
		if s.items == nil {
			continue
		}
		if why := s.items.check(fmt.Sprintf("%s[%d]", at, n), raw, depth+1); why != "" {
			return why
		}
	}
	switch {
	case n < s.minItems:
		return say("has fewer than %d items", s.minItems)
	case s.maxItems >= 0 && n > s.maxItems:
		return say("has more than %d items", s.maxItems)
	}
	return ""
}

func (s *Schema) checkObject(at string, k *cursor.Cursor, depth int, say sayer) string {
	k.EnterObject()
	seen := map[string]bool{}
	for name, ok := k.Member(); ok; name, ok = k.Member() {
		key := string(name)
		seen[key] = true
		raw := k.Raw()
		sub, below := s.additional, at+".(a member the schema does not name)"
		for _, p := range s.properties {
			if p.name == key {
				sub, below = p.schema, at+"."+key
			}
		}
		if sub == nil {
			continue
		}
		if why := sub.check(below, raw, depth+1); why != "" {
			return why
		}
	}
	for _, name := range s.required {
		if !seen[name] {
			return say("lacks %q", name)
		}
	}
	switch n := int64(len(seen)); {
	case n < s.minProps:
		return say("has fewer than %d members", s.minProps)
	case s.maxProps >= 0 && n > s.maxProps:
		return say("has more than %d members", s.maxProps)
	}
	return ""
}

func isOf(name string, kind byte, raw []byte) bool {
	switch name {
	case "object":
		return kind == '{'
	case "array":
		return kind == '['
	case "string":
		return kind == '"'
	case "boolean":
		return kind == 't' || kind == 'f'
	case "null":
		return kind == 'n'
	case "number":
		return kind == '0'
	case "integer":
		if kind != '0' {
			return false
		}
		n, ok := number(raw)
		return ok && n.IsInt()
	}
	return false
}

// canonical is a JSON value in a form that is the same for equal values. What is
// nested deeper than schemas go is taken as it is written.
func canonical(raw []byte, depth int) []byte {
	if depth > MaxDepth {
		return slices.Clone(raw)
	}
	var k cursor.Cursor
	k.Reset(raw)
	switch k.Kind() {
	case '"':
		text, _ := textOf(raw)
		return append(cursor.AppendQuoted([]byte{'"'}, text), '"')
	case '0':
		if n, ok := number(raw); ok {
			return []byte(n.RatString())
		}
		return slices.Clone(raw)
	case '[':
		out := []byte{'['}
		for k.EnterArray(); k.Element(); {
			out = append(append(out, canonical(k.Raw(), depth+1)...), ',')
		}
		return append(out, ']')
	case '{':
		var members []string
		k.EnterObject()
		for name, ok := k.Member(); ok; name, ok = k.Member() {
			key := cursor.AppendQuoted([]byte{'"'}, string(name))
			members = append(members, string(key)+`":`+string(canonical(k.Raw(), depth+1)))
		}
		slices.Sort(members)
		return []byte("{" + strings.Join(members, ",") + "}")
	}
	return slices.Clone(k.Raw())
}
