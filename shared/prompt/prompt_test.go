package prompt_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

func settings(t testing.TB, yaml string) workload.Workload {
	t.Helper()
	w, err := workload.Parse("workload.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// render renders all rows of an upload; bad rows give their code.
func render(t testing.TB, w workload.Workload, f dataset.Format, upload string) []string {
	t.Helper()
	renderer, err := prompt.NewRenderer(w, f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := dataset.New(f, strings.NewReader(upload), dataset.Position{}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for {
		row, err := rows.Next()
		if err != nil {
			return all
		}
		body, bad := renderer.Append([]byte("kept"), row)
		switch {
		case bad != nil && string(body) != "kept":
			t.Fatalf("a bad row left %q", body)
		case bad != nil:
			all = append(all, bad.Code)
		default:
			all = append(all, strings.TrimPrefix(string(body), "kept"))
		}
	}
}

const plainBody = `{"messages":[{"role":"user","content":[{"text":"%"}]}]}`

func body(text string) string { return strings.Replace(plainBody, "%", text, 1) }

func TestPromptRows(t *testing.T) {
	for _, c := range []struct{ name, yaml, row, want string }{
		{"the prompt is the message", "", `{"prompt":"Hello"}`, body("Hello")},
		{"escapes and unpaired surrogates stay as written", "", `{"prompt":"a\n\u00e9\"\/ \ud800 é 😀"}`, body(`a\n\u00e9\"\/ \ud800 é 😀`)},
		{"settings stand around it", "system: \"Be \\\"brief\\\"\"\ninference: {max_tokens: 100, temperature: 0.5, top_p: 0.25, stop_sequences: [END, \"\\n\"]}\nadditional_model_request_fields: {top_k: 50}", `{"prompt":"x"}`,
			`{"messages":[{"role":"user","content":[{"text":"x"}]}],"system":[{"text":"Be \"brief\""}],"inferenceConfig":{"maxTokens":100,"temperature":0.5,"topP":0.25,"stopSequences":["END","\n"]},"additionalModelRequestFields":{"top_k":50}}`},
		{"an empty system prompt is none", `system: ""`, `{"prompt":"x"}`, body("x")},
		{"no prompt is a bad row", "", `{"text":"x"}`, "no_prompt"},
		{"null is no prompt", "", `{"prompt":null}`, "no_prompt"},
		{"a number is no prompt", "", `{"prompt":3}`, "no_prompt"},
		{"a list is no prompt", "", `{"prompt":["x"]}`, "no_prompt"},
		{"a blank prompt is a bad row", "", `{"prompt":" \n\t"}`, "empty_prompt"},
		{"a template goes before the prompt", "prompt_template: 'Is {prompt} good?'", `{"prompt":"tea"}`, body("Is tea good?")},
		{"a row that is bad stays so", "", `{"prompt":`, "not_json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := render(t, settings(t, c.yaml), dataset.Prompt, c.row); len(got) != 1 || got[0] != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	for _, c := range []struct{ name, template, row, want string }{
		{"a name is replaced", "Rate {text}!", `{"text":"it"}`, "Rate it!"},
		{"a name may come twice", "{a}{a} {b}", `{"a":"x","b":"y"}`, "xx y"},
		{"other values stand as written", "{n} {o} {l} {t}", `{"n":1.50,"o":{"k":"v"},"l":[1, "a"],"t":true}`, `1.50 {"k":"v"} [1, "a"] true`},
		{"doubled braces write the name", "{{text}} is {text}", `{"text":"it"}`, "{text} is it"},
		{"JSON is text", `Answer {"a": {"b": [1]}} or {{"c": 1}} for {text}`, `{"text":"it"}`, `Answer {"a": {"b": [1]}} or {{"c": 1}} for it`},
		{"single braces are text", "{ } {} {{}} }{ {", `{}`, "{ } {} {{}} }{ {"},
		{"quantifiers and numbers are text", `\d{2,3} {0}`, `{}`, `\d{2,3} {0}`},
		{"a name in three braces is replaced in two", "{{{text}}}", `{"text":"it"}`, "{{text}}"},
		{"a line end ends a name", "{te\nxt}", `{}`, "{te\nxt}"},
		{"any column's name is a name where a row has it", "{price (USD)} {{price (USD)}} {1st}", `{"price (USD)":"9","1st":"a"}`, "9 {price (USD)} a"},
		{"and text where it has not", "{price (USD)} {{price (USD)}} {1st}", `{}`, "{price (USD)} {{price (USD)}} {1st}"},
		{"names may have spaces and letters of any script", "{first name} {größe}", `{"first name":"A","größe":"L"}`, "A L"},
		{"values are not templates", "{a}", `{"a":"{b}","b":"x"}`, "{b}"},
		{"an escaped name is the same name", "{text}", `{"te\u0078t":"it"}`, "it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := workload.Workload{Template: &c.template}
			got := render(t, w, dataset.JSONL, c.row)
			var parsed struct {
				Messages []struct{ Content []struct{ Text string } }
			}
			if len(got) != 1 || json.Unmarshal([]byte(got[0]), &parsed) != nil {
				t.Fatalf("got %q", got)
			}
			if text := parsed.Messages[0].Content[0].Text; text != c.want {
				t.Errorf("got  %q\nwant %q", text, c.want)
			}
		})
	}
	for _, c := range []struct{ name, template, row, want string }{
		{"a name that is missing sets the row aside", "{a} {b}", `{"a":"x"}`, "name_missing"},
		{"null is missing", "{a}", `{"a":null}`, "name_missing"},
		{"nothing to send sets the row aside", " {a}\n{b}", `{"a":" ","b":""}`, "empty_prompt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := render(t, workload.Workload{Template: &c.template}, dataset.JSONL, c.row); len(got) != 1 || got[0] != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTablesAndDocuments(t *testing.T) {
	template := "{name}: {text}"
	got := render(t, workload.Workload{Template: &template}, dataset.CSV, "name,text\nA,\"say \"\"hi\"\"\nnow\"\nB,\\\n")
	if want := []string{body(`A: say \"hi\"\nnow`), body(`B: \\`)}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = render(t, workload.Workload{}, dataset.Text, "\xef\xbb\xbfone\ttwo\r\n\"three\"")
	if want := []string{body(`one\ttwo\r\n\"three\"`)}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := prompt.NewRenderer(workload.Workload{Template: &template}, dataset.Text); !errors.Is(err, prompt.ErrShape) || !strings.Contains(err.Error(), "{{name}}") {
		t.Errorf("got %v", err)
	}
}

func TestNativeRowsPassAsTheyAre(t *testing.T) {
	template := "{x}"
	got := render(t, workload.Workload{Template: &template}, dataset.Native, `{"modelInput": {"b" :1,"a":"\u00e9"}}`)
	if want := []string{`{"b" :1,"a":"\u00e9"}`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInvocation(t *testing.T) {
	for _, c := range []struct {
		set    workload.Invocation
		format dataset.Format
		want   batch.Invocation
	}{
		{"", dataset.Native, batch.InvokeModel},
		{"", dataset.Prompt, batch.Converse},
		{"", dataset.CSV, batch.Converse},
		{workload.Converse, dataset.Native, batch.Converse},
		{workload.InvokeModel, dataset.Native, batch.InvokeModel},
	} {
		if got := prompt.Invocation(workload.Workload{Invocation: c.set}, c.format); got != c.want {
			t.Errorf("%q, %s: got %s", c.set, c.format, got)
		}
	}
	if _, err := prompt.NewRenderer(workload.Workload{Invocation: workload.InvokeModel}, dataset.Prompt); !errors.Is(err, prompt.ErrShape) {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	template := "{b} {a} {b} {{c}} {x y z} {1} {d (e)}"
	r, err := prompt.NewRenderer(workload.Workload{Template: &template}, dataset.CSV)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Names(); !reflect.DeepEqual(got, []string{"b", "a", "x y z"}) {
		t.Errorf("got %q", got)
	}
	if err := r.CheckColumns([]string{"x y z", "a", "b", "more"}); err != nil {
		t.Errorf("got %v", err)
	}
	if err := r.CheckColumns([]string{"a", "b"}); !errors.Is(err, prompt.ErrShape) || !strings.Contains(err.Error(), "{{x y z}}") {
		t.Errorf("got %v", err)
	}
}

// FuzzTemplate: whatever template and row, what comes out is JSON, and a
// template without braces is the prompt.
func FuzzTemplate(f *testing.F) {
	f.Add("Rate {text}", `{"text":"it"}`)
	f.Add("{{text}} {{{text}}} {", `{"text":{"a":"b"}}`)
	f.Add("\x00\x1f\"\\ {a}", `{"a":"\ud800\n"}`)
	f.Add(`{"a": {b}}`, `{"b":[1,2]}`)
	f.Fuzz(func(t *testing.T, template, line string) {
		w := workload.Workload{Template: &template}
		r, err := prompt.NewRenderer(w, dataset.JSONL)
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := dataset.New(dataset.JSONL, strings.NewReader(line), dataset.Position{}, dataset.Options{})
		for {
			row, err := rows.Next()
			if err != nil {
				return
			}
			got, bad := r.Append(nil, row)
			if bad != nil {
				continue
			}
			if !jsontext.Value(got).IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) || !json.Valid(got) {
				t.Fatalf("got %q", got)
			}
			if strings.ContainsAny(string(got), "\n") {
				t.Fatalf("more than a line: %q", got)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	text := strings.Repeat("All work and no play makes Jack a dull boy. ", 45)
	for _, c := range []struct {
		name, template, row string
		format              dataset.Format
	}{
		{"prompt", "", `{"id":1,"prompt":"` + text + `"}`, dataset.Prompt},
		{"template over JSON", "Review of {title}:\n{text}", `{"id":1,"title":"Tea","text":"` + text + `"}`, dataset.JSONL},
		{"template over CSV", "Review of {title}:\n{text}", "title,text\nTea,\"" + text + "\"\n", dataset.CSV},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := workload.Workload{}
			if c.template != "" {
				w.Template = &c.template
			}
			r, err := prompt.NewRenderer(w, c.format)
			if err != nil {
				b.Fatal(err)
			}
			rows, err := dataset.New(c.format, strings.NewReader(c.row), dataset.Position{}, dataset.Options{})
			if err != nil {
				b.Fatal(err)
			}
			row, err := rows.Next()
			if err != nil {
				b.Fatal(err)
			}
			var dst []byte
			b.SetBytes(int64(len(c.row)))
			b.ReportAllocs()
			for b.Loop() {
				var bad *dataset.Bad
				if dst, bad = r.Append(dst[:0], row); bad != nil {
					b.Fatal(bad)
				}
			}
		})
	}
}
