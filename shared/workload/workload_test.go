package workload_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

const everything = `# all keys
name: reviews
model: us.amazon.nova-lite-v1:0
models: {gpt-4o-mini: "us.amazon.nova-lite-v1:0"}
invocation: converse
family: nova
format: csv
system: |
  Be brief.
  Be kind.
prompt_template: "Rate {text}"
id_column: sku
inference:
  max_tokens: 100
  temperature: 0
  top_p: 0.9
  stop_sequences: [END]
additional_model_request_fields: {top_k: 5, thinking: {type: enabled, budget: 1024}, list: [1, a, null, true, 1.5]}
gather: {quiet: 1m30s, expect: 20, include: ["**/*.txt"], exclude: [tmp/*]}
small: reject
retries: 0
timeout_hours: 24
deadline: {after: 6h, max_cost_usd: 20}
limits: {max_records: 1000, max_bytes: 1000000, max_estimated_cost_usd: 2.5}
quotas: {min_records: 100, max_records: 200, max_file_bytes: 5000}
output: {raw: true, echo: false, csv: true, parquet: false, json: {type: object}}
tags: {team: search}
notice: {attributes: {priority: high}}
`

func parse(t testing.TB, text string) workload.Workload {
	t.Helper()
	w, err := workload.Parse("workload.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAllKeysAreReadAndKept(t *testing.T) {
	w := parse(t, everything)
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"reviews","model":"us.amazon.nova-lite-v1:0","models":{"gpt-4o-mini":"us.amazon.nova-lite-v1:0"},"invocation":"converse","family":"nova","format":"csv","system":"Be brief.\nBe kind.\n","prompt_template":"Rate {text}","id_column":"sku","inference":{"max_tokens":100,"temperature":0,"top_p":0.9,"stop_sequences":["END"]},"additional_model_request_fields":{"top_k":5,"thinking":{"type":"enabled","budget":1024},"list":[1,"a",null,true,1.5]},"gather":{"quiet":"1m30s","expect":20,"include":["**/*.txt"],"exclude":["tmp/*"]},"small":"reject","retries":0,"timeout_hours":24,"deadline":{"after":"6h0m0s","max_cost_usd":20},"limits":{"max_records":1000,"max_bytes":1000000,"max_estimated_cost_usd":2.5},"quotas":{"min_records":100,"max_records":200,"max_file_bytes":5000},"output":{"raw":true,"echo":false,"csv":true,"parquet":false,"json":{"type":"object"}},"tags":{"team":"search"},"notice":{"attributes":{"priority":"high"}}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	var back workload.Workload
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, w) {
		t.Errorf("read back %+v, was %+v", back, w)
	}
	// YAML is a superset of JSON, so what is kept could be written by hand.
	if again := parse(t, string(text)); !reflect.DeepEqual(again, w) {
		t.Errorf("parsed again %+v, was %+v", again, w)
	}
}

func TestEmptyFilesSetNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "\xef\xbb\xbf", "name:\n", "inference:\n", "name: null\ngather: {}\n"} {
		if w := parse(t, text); !reflect.DeepEqual(w, workload.Workload{}) {
			t.Errorf("%q sets %+v", text, w)
		}
	}
}

// formatsFrom are the names of the formats, from one on.
func formatsFrom(first dataset.Format) string {
	var names []string
	for _, f := range dataset.Formats[slices.Index(dataset.Formats, first):] {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

func TestProblemsNameFileLineAndKey(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a mistyped key", "name: a\nprompt_templat: b\n", `f:2: prompt_templat: unknown key; did you mean "prompt_template"?`},
		{"a key that belongs below another", "max_tokens: 5\n", `f:1: max_tokens: unknown key; "max_tokens" belongs below "inference"`},
		{"a key that belongs at the top", "inference:\n  model: a\n", `f:2: inference.model: unknown key; "model" belongs at the top of the file`},
		{"a key like no other", "output:\n  zzzzzzzzzz: 1\n", `f:2: output.zzzzzzzzzz: unknown key; known are raw, echo, csv, parquet, json`},
		{"a number out of range", "retries: 6\n", "f:1: retries: 6 is not between 0 and 5"},
		{"text for a number", "\n\ntimeout_hours: long\n", "f:3: timeout_hours: a whole number from 24 to 168 is expected, not text"},
		{"a number for text", "name: 2024\n", "f:1: name: text is expected, not a number; write it in quotes"},
		{"a value that is not offered", "format: xml\n", `f:1: format: "xml" is not one of native, prompt, openai, ` + formatsFrom(dataset.Anthropic)},
		{"a temperature out of range", "inference: {temperature: 2.1}\n", "f:1: inference.temperature: 2.1 is not between 0 and 2"},
		{"not a number", "inference: {temperature: .nan}\n", "f:1: inference.temperature: a number from 0 to 2 is expected, not what is no number"},
		{"a duration without a unit", "gather: {quiet: 60}\n", "f:1: gather.quiet: 60 has no unit; write it as 30s, 5m or 1h"},
		{"an empty model", "model: \"\"\n", "f:1: model: must not be empty"},
		{"a list for a mapping", "inference: [1]\n", "f:1: inference: a mapping of keys to values is expected, not a list"},
		{"text for everything", "hello\n", "f:1: settings are a mapping of keys to values, not text"},
		{"quotas that do not go together", "quotas:\n  min_records: 100\n  max_records: 199\n", "f:2: quotas.max_records: 199 is less than twice min_records (100), so that a rest could not always be shared by two parts"},
		{"a template file that is no plain name", "prompt_template_file: ../x.txt\n", `f:1: prompt_template_file: "../x.txt" is not a plain file name beginning with _; the file stands beside this workload.yaml`},
		{"two templates", "prompt_template: a\nprompt_template_file: _a\n", "f:2: prompt_template_file: prompt_template is set too; keep one of the two"},
		{"an attribute of the pipeline", "notice: {attributes: {status: a}}\n", "f:1: notice.attributes.status: this attribute is set by the pipeline itself"},
		{"two documents", "name: a\n---\nname: b\n", "f:3: the file holds a second YAML document"},
		{"bytes that are not UTF-8", "name: \xff\n", "f: the file is not UTF-8"},
		{"all at once", "nam: a\nretries: -1\n", "f:1: nam: unknown key; did you mean \"name\"?\nf:2: retries: -1 is not between 0 and 5"},
		{"an alias", "model: &m a\nname: *m\n", "f:1: model: text is expected, not a YAML anchor or alias\nf:2: name: text is expected, not a YAML anchor or alias"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := workload.Parse("f", []byte(c.text))
			var problems workload.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %+v, %v", w, err)
			}
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
	for _, broken := range []string{"name: [a\n", "name: a\nname: b\n", "a: b: c\n", "\tname: a\n", "name: \"a\n", "}\n"} {
		_, err := workload.Parse("f", []byte(broken))
		var problems workload.Problems
		if !errors.As(err, &problems) || !strings.HasPrefix(err.Error(), "f:") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v", broken, err)
		}
	}
}

func TestDeepFilesAreRefusedBeforeTheyCostTime(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 1<<20), "\n" + strings.Repeat("a: {", 1<<17), "a: \n" + strings.Repeat("- ", 1<<18), strings.Repeat("? ", 1<<19)} {
		if _, err := workload.Parse("f", []byte(text)); err == nil || !strings.Contains(err.Error(), "nested deeper than 200") {
			t.Errorf("%.10q: got %v", text, err)
		}
	}
	parse(t, "prompt_template: |\n  "+strings.Repeat("- [x] {a} - ? ", 10_000)+"\nadditional_model_request_fields: {a: "+strings.Repeat("[", 90)+strings.Repeat("]", 90)+"}\n")
}

func TestMergeGoesKeyByKey(t *testing.T) {
	base := parse(t, everything)
	over := parse(t, "model: other\nsystem: \"\"\nmodels: {b: c}\nretries: 2\ninference: {temperature: 1}\nadditional_model_request_fields: {thinking: {budget: 2048}, top_p: 1}\nlimits: {max_records: 5}\ndeadline: {max_cost_usd: 5}\noutput: {echo: true, json: false}\ntags: {cost: a}\nnotice: {attributes: {priority: low, b: c}}\nprompt_template_file: _t\ngather: {include: []}\n")
	m := workload.Merge(base, over)
	text, _ := json.Marshal(m)
	want := `{"name":"reviews","model":"other","models":{"b":"c","gpt-4o-mini":"us.amazon.nova-lite-v1:0"},"invocation":"converse","family":"nova","format":"csv","system":"","prompt_template_file":"_t","id_column":"sku","inference":{"max_tokens":100,"temperature":1,"top_p":0.9,"stop_sequences":["END"]},"additional_model_request_fields":{"list":[1,"a",null,true,1.5],"thinking":{"budget":2048,"type":"enabled"},"top_k":5,"top_p":1},"gather":{"quiet":"1m30s","expect":20,"exclude":["tmp/*"]},"small":"reject","retries":2,"timeout_hours":24,"deadline":{"after":"6h0m0s","max_cost_usd":5},"limits":{"max_records":5,"max_bytes":1000000,"max_estimated_cost_usd":2.5},"quotas":{"min_records":100,"max_records":200,"max_file_bytes":5000},"output":{"raw":true,"echo":true,"csv":true,"parquet":false,"json":false},"tags":{"cost":"a","team":"search"},"notice":{"attributes":{"b":"c","priority":"low"}}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if again := parse(t, everything); !reflect.DeepEqual(base, again) {
		t.Error("merging changed what was merged")
	}
	if !reflect.DeepEqual(workload.Merge(base, workload.Workload{}), base) || !reflect.DeepEqual(workload.Merge(workload.Workload{}, base), base) {
		t.Error("nothing changes something")
	}
}

type files map[string]string

func (f files) get(_ context.Context, key string) ([]byte, error) {
	if text, ok := f[key]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("get %s: %w", key, batch.ErrNotFound)
}

func TestLoad(t *testing.T) {
	bucket := files{
		"workload.yaml":          "model: root\nretries: 3\nprompt_template: root {x}\n",
		"a/workload.yaml":        "name: a\nprompt_template_file: _t.txt\n",
		"a/_t.txt":               "\xef\xbb\xbfRate {text}\n",
		"a/b/c/workload.yaml":    "prompt_template: deep {x}\n",
		"bad/workload.yaml":      "nam: a\n",
		"bad/deep/workload.yaml": "prompt_template_file: _gone\n",
	}
	def := workload.Workload{Model: "default", Small: workload.Reject}
	for _, c := range []struct{ name, key, folder, model, workload, template string }{
		{"a file in the root has the root's settings", "x.jsonl", "", "root", "", "root {x}"},
		{"a folder's settings go over the root's", "a/x.jsonl", "a", "root", "a", "Rate {text}\n"},
		{"a folder without settings has those above", "a/b/x.jsonl", "a", "root", "a", "Rate {text}\n"},
		{"the nearest settings win", "a/b/c/d/e/x.jsonl", "a/b/c", "root", "a", "deep {x}"},
		{"folders may have no name", "a//x.jsonl", "a", "root", "a", "Rate {text}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, found, err := workload.Load(t.Context(), bucket.get, c.key, def)
			if err != nil {
				t.Fatal(err)
			}
			if !found.Own || found.Folder != c.folder || w.Model != c.model || w.Name != c.workload || w.TemplateText() != c.template || w.Small != workload.Reject || w.RetryCount() != 3 {
				t.Errorf("got %+v, %+v", w, found)
			}
		})
	}
	w, found, err := workload.Load(t.Context(), files{}.get, "p/q/x.jsonl", def)
	if err != nil || found.Own || found.Folder != "p/q" || !reflect.DeepEqual(w, def) {
		t.Errorf("without settings: got %+v, %+v, %v", w, found, err)
	}
	_, _, err = workload.Load(t.Context(), bucket.get, "bad/deep/x", def)
	var problems workload.Problems
	if !errors.As(err, &problems) || len(problems) != 2 || problems[1].File != "bad/deep/workload.yaml" || !strings.Contains(err.Error(), "bad/deep/_gone is not there") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("connection lost")
	_, _, err = workload.Load(t.Context(), func(context.Context, string) ([]byte, error) { return nil, broken }, "x", def)
	if !errors.Is(err, broken) || errors.As(err, &problems) {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, text string
		format     dataset.Format
		want       string
	}{
		{"a model is enough for prompts", "model: a", dataset.Prompt, ""},
		{"a model is needed", "", dataset.Native, "model: no model is set; name one in a workload.yaml at or above the upload"},
		{"other rows need a template", "model: a", dataset.JSONL, `prompt_template: the rows have neither "prompt" nor "modelInput", so a prompt_template must say what to ask`},
		{"what rows' models map to is a model", "model: a\nmodels: {gpt: 'no model'}", dataset.OpenAI, `models.gpt: model "no model": an id holds only letters, digits and . _ : -: invalid`},
		{"a schema is read", "model: a\noutput: {json: {type: object, if: true}}", dataset.Native, "output.json: if: the keyword if is not supported; supported are type, enum, const, properties, required, additionalProperties, items, anyOf, allOf, oneOf, not, pattern, minLength, maxLength, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minItems, maxItems, minProperties, maxProperties"},
		{"native rows may be either", "model: a\ninvocation: converse", dataset.Native, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := parse(t, c.text)
			if got := fmt.Sprint(w.Check(c.format)); got != c.want && !(got == "<nil>" && c.want == "") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(everything)
	f.Add("a: [")
	f.Add("additional_model_request_fields: {a: !!binary x, b: &c 1, d: *c}")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := workload.Parse("f", []byte(text))
		if err != nil {
			return
		}
		kept, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		var back workload.Workload
		if err := json.Unmarshal(kept, &back); err != nil {
			t.Fatalf("%s: %v", kept, err)
		}
	})
}
