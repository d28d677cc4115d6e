package schema_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
)

func TestCheck(t *testing.T) {
	const person = `{"type":"object","title":"P","properties":{"name":{"type":"string","minLength":1,"maxLength":3,"pattern":"^[a-zé]+$"},"age":{"type":"integer","minimum":0,"exclusiveMaximum":150},"tags":{"type":"array","items":{"enum":["a",1,null,{"x":[1.0]}]},"minItems":1,"maxItems":2}},"required":["name"],"additionalProperties":false,"maxProperties":2}`
	for _, c := range []struct{ name, schema, value, want string }{
		{"anything fits true", `true`, `[1,"a"]`, ""},
		{"nothing fits false", `false`, `1`, "the answer is not allowed"},
		{"anything fits an empty schema", `{}`, `null`, ""},
		{"an object that fits", person, `{"name":"ann","age":3}`, ""},
		{"a whole number may have a point", person, `{"name":"ann","age":3.0}`, ""},
		{"characters are counted, not bytes", person, `{"name":"\u00e9é"}`, ""},
		{"another type", person, `[]`, "the answer is not of type object"},
		{"a member lacks", person, `{}`, `the answer lacks "name"`},
		{"a member too many", person, `{"name":"a","x":1}`, "(a member the schema does not name) is not allowed"},
		{"members too many", person, `{"name":"a","age":1,"tags":["a"]}`, "the answer has more than 2 members"},
		{"too short", person, `{"name":""}`, "name is shorter than 1 characters"},
		{"too long", person, `{"name":"aaaa"}`, "name is longer than 3 characters"},
		{"another pattern", person, `{"name":"A"}`, "name does not match its pattern"},
		{"no whole number", person, `{"name":"a","age":1.5}`, "age is not of type integer"},
		{"too small", person, `{"name":"a","age":-1}`, "age is too small"},
		{"too large", person, `{"name":"a","age":150}`, "age is too large"},
		{"too large to say", person, `{"name":"a","age":1e999999999}`, "age is not of type integer"},
		{"too few items", person, `{"name":"a","tags":[]}`, "tags has fewer than 1 items"},
		{"too many items", person, `{"name":"a","tags":["a",1,null]}`, "tags has more than 2 items"},
		{"equal numbers and members in another order are the same", person, `{"name":"a","tags":[1.0,{"x":[1]}]}`, ""},
		{"none of the values", person, `{"name":"a","tags":["b"]}`, "tags[0] is none of the values allowed"},
		{"a type of several", `{"type":["string","null"]}`, `null`, ""},
		{"none of the types", `{"type":["string","null"]}`, `1`, "the answer is not of type string or null"},
		{"a constant", `{"const":"x"}`, `"\u0078"`, ""},
		{"any of", `{"anyOf":[{"type":"string"},{"type":"number"}]}`, `true`, "the answer fits none of anyOf"},
		{"one of", `{"oneOf":[{"type":"integer"},{"type":"number"}]}`, `1`, "the answer fits 2 of oneOf"},
		{"all of", `{"allOf":[{"type":"integer"},{"minimum":2}]}`, `1`, "the answer is too small"},
		{"not", `{"not":{"type":"null"}}`, `null`, "the answer is what it must not be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := schema.Compile([]byte(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Check([]byte(c.value)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhatIsNotSupportedIsRefusedByName(t *testing.T) {
	for text, want := range map[string]string{
		`{"properties":{"a":{"$ref":"#/x","if":true}}}`: "properties.a.$ref: the keyword $ref is not supported; supported are type, enum,",
		`{"type":"text"}`:   `type: "text" is no type`,
		`{"items":[{}]}`:    "items: a schema is an object, true or false",
		`{"minLength":-1}`:  "minLength: a whole number",
		`{"minimum":"1"}`:   "minimum: a number",
		`{"pattern":"("}`:   "pattern: cannot be read",
		`{"anyOf":[]}`:      "anyOf: a list of schemas",
		`{"enum":1}`:        "enum: a list is expected",
		`{"required":[1]}`:  "required: texts",
		`{"properties":[]}`: "properties: an object of schemas",
		`1`:                 "schema: a schema is an object",
		strings.Repeat(`{"not":`, 70) + `true` + strings.Repeat(`}`, 70): "nested deeper than 64",
	} {
		if _, err := schema.Compile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v", text, err)
		}
	}
}

func TestColumns(t *testing.T) {
	s, err := schema.Compile([]byte(`{"properties":{"b":{},"a":{}}}`))
	if err != nil || !slices.Equal(s.Columns(), []string{"b", "a"}) {
		t.Errorf("got %v, %v", s.Columns(), err)
	}
}

// FuzzCheck: any schema that compiles judges any value, the same way whatever
// the white space around its parts.
func FuzzCheck(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"enum":[1.0,"x"]}},"additionalProperties":false}`, `{"a":1}`)
	f.Add(`{"oneOf":[{"pattern":"a+"},{"minimum":1e3}]}`, `[1e-400]`)
	f.Add(`{"not":{"const":{"a":[null]}}}`, `{"a":[null]}`)
	f.Fuzz(func(t *testing.T, text, value string) {
		s, err := schema.Compile([]byte(text))
		if err != nil || !json.Valid([]byte(value)) {
			return
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, []byte(value), " ", "  "); err != nil {
			t.Fatal(err)
		}
		if a, b := s.Check([]byte(value)), s.Check(spaced.Bytes()); a != b {
			t.Fatalf("%q and %q", a, b)
		}
	})
}
