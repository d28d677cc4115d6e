package answer_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
)

func TestAnswersAreReadAsJSON(t *testing.T) {
	any, err := schema.Compile([]byte("true"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := schema.Compile([]byte(`{"type":"object","required":["a"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		schema     *schema.Schema
		want       string
		wrong      string
	}{
		{"a value", ` {"b": 1,"a":12345678901234567890.10} `, object, `{"b": 1,"a":12345678901234567890.10}`, ""},
		{"any value", `[1,"\ud800"]`, any, `[1,"\ud800"]`, ""},
		{"several lines become one", "{\n \"a\": 1\r\n}", any, `{  "a": 1  }`, ""},
		{"a fence", "```json\n{\"a\":1}\n```", object, `{"a":1}`, ""},
		{"a fence without a language", "```\n[1]\n```\n", any, `[1]`, ""},
		{"a fence on one line", "```{\"a\":1}```", object, `{"a":1}`, ""},
		{"a fence in talk", "Here it is:\n```JSON\n{\"a\":\"`\"}\n```\nAnything else?", object, "{\"a\":\"`\"}", ""},
		{"a fence that is not closed", "```json\n{\"a\":1}", object, `{"a":1}`, ""},
		{"a fence inside the value", "{\"a\":\"```\\nx\\n```\"}", object, "{\"a\":\"```\\nx\\n```\"}", ""},
		{"talk", "It is fine.", any, "", "the answer is no JSON value"},
		{"half a value", `{"a":`, any, "", "the answer is no JSON value"},
		{"two values", `{} {}`, any, "", "the answer is no JSON value"},
		{"nothing", " \n", any, "", "the answer holds no text"},
		{"what does not fit", `{}`, object, "", `the answer lacks "a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			quoted, err := json.Marshal(c.text)
			if err != nil {
				t.Fatal(err)
			}
			value, wrong := answer.Structured(quoted[1:len(quoted)-1], c.schema)
			if wrong != c.wrong || wrong == "" && string(value) != c.want {
				t.Errorf("got %s, %q", value, wrong)
			}
		})
	}
}

// FuzzStructured: what is taken for JSON is JSON on one line, and a JSON value
// is taken as it is, white space around and between its parts aside.
func FuzzStructured(f *testing.F) {
	f.Add("```json\n{\"a\":[1,\"\\u0000\"]}\n``` and")
	f.Add(" \"```\" ")
	f.Add("\ufeff[1e400,\n-0]")
	any, err := schema.Compile([]byte("true"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		value, wrong := answer.Structured(quoted[1:len(quoted)-1], any)
		if wrong == "" && (!json.Valid(value) || strings.ContainsAny(string(value), "\n\r")) {
			t.Fatalf("%q gave %q", text, value)
		}
		if json.Valid([]byte(text)) && strings.ToValidUTF8(text, "") == text && wrong != "" {
			t.Fatalf("%q was refused: %s", text, wrong)
		}
	})
}
