package prompt_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

const (
	nova   = "model: us.amazon.nova-lite-v1:0\n"
	claude = "model: us.anthropic.claude-haiku-4-5-20251001-v1:0\n"
	gptOSS = "model: openai.gpt-oss-20b-1:0\n"
	titan  = "model: amazon.titan-embed-text-v2:0\n"
)

// rendering is a row, or the body of one, and what comes of it: a modelInput,
// or a code and a part of the reason.
type rendering struct{ name, yaml, body, want string }

func renderOne(t testing.TB, w workload.Workload, f dataset.Format, line string) (string, *dataset.Bad) {
	t.Helper()
	renderer, err := prompt.NewRenderer(w, f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := dataset.New(f, strings.NewReader(line), dataset.Position{}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	row, err := rows.Next()
	if err != nil {
		t.Fatal(err)
	}
	got, bad := renderer.Append(nil, row)
	return string(got), bad
}

func check(t *testing.T, f dataset.Format, member string, cases []rendering) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			line := c.body
			if !strings.HasPrefix(line, `{"custom_id"`) {
				line = `{"custom_id":"a","` + member + `":` + c.body + `}`
			}
			got, bad := renderOne(t, settings(t, c.yaml), f, line)
			if bad != nil {
				if got = bad.Code + ": " + bad.Reason; strings.HasPrefix(c.want, "{") || !strings.HasPrefix(got, c.want) {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				return
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("no JSON: %s", got)
			}
		})
	}
}

const hi = `"messages":[{"role":"user","content":"Hi"}]`

func TestOpenAIChatCompletions(t *testing.T) {
	user := func(rest string) string {
		return `{"messages":[{"role":"user","content":[{"text":"Hi"}]}]` + rest + `}`
	}
	check(t, dataset.OpenAI, "body", []rendering{
		{"a message", nova, `{` + hi + `}`, user("")},
		{"escapes stay as written", nova, `{"messages":[{"role":"user","content":"a\n\u00e9\ud800\/"}]}`, `{"messages":[{"role":"user","content":[{"text":"a\n\u00e9\ud800\/"}]}]}`},
		{"system and developer are system", nova, `{"messages":[{"role":"system","content":"A"},{"role":"developer","content":[{"type":"text","text":"B"}]},{"role":"user","content":"Hi"}]}`, user(`,"system":[{"text":"A"},{"text":"B"}]`)},
		{"the row's system comes before the workload's", nova + "system: W", `{"messages":[{"role":"system","content":"A"},{"role":"user","content":"Hi"}]}`, user(`,"system":[{"text":"A"}]`)},
		{"the workload's system stands in", nova + "system: W", `{` + hi + `}`, user(`,"system":[{"text":"W"}]`)},
		{"messages of one role are one", nova, `{"messages":[{"role":"user","content":"Hi"},{"role":"user","content":"you"},{"role":"assistant","content":"Yes"},{"content":"?","role":"user"}]}`,
			`{"messages":[{"role":"user","content":[{"text":"Hi"},{"text":"you"}]},{"role":"assistant","content":[{"text":"Yes"}]},{"role":"user","content":[{"text":"?"}]}]}`},
		{"parameters", nova, `{` + hi + `,"max_tokens":9,"temperature":0.50,"top_p":1,"stop":["a","\n"]}`, user(`,"inferenceConfig":{"maxTokens":9,"temperature":0.50,"topP":1,"stopSequences":["a","\n"]}`)},
		{"stop may be one text", nova, `{"stop":"x",` + hi + `}`, user(`,"inferenceConfig":{"stopSequences":["x"]}`)},
		{"max_completion_tokens counts before max_tokens", nova, `{"max_completion_tokens":7,"max_tokens":9,` + hi + `}`, user(`,"inferenceConfig":{"maxTokens":7}`)},
		{"the workload's max_tokens is the ceiling", nova + "inference: {max_tokens: 5, temperature: 0.1}", `{"max_tokens":9,` + hi + `}`, user(`,"inferenceConfig":{"maxTokens":5,"temperature":0.1}`)},
		{"what asks for nothing passes", nova, `{` + hi + `,"n":1,"stream":false,"seed":null,"tools":[],"logit_bias":{},"presence_penalty":0,"user":"u","metadata":{"a":"b"},"response_format":{"type":"text"}}`, user("")},
		{"images and files as data", nova, `{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"data:image\/png;base64,iVBO\/w==","detail":"low"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}}]}]}`,
			`{"messages":[{"role":"user","content":[{"text":"Hi"},{"image":{"format":"png","source":{"bytes":"iVBO/w=="}}},{"document":{"format":"pdf","name":"a","source":{"bytes":"JVBE"}}}]}]}`},
		{"response_format passes where the workload checks it", nova + "output: {json: true}", `{` + hi + `,"response_format":{"type":"json_object"}}`, user("")},
		{"a model's alias", "model: x.y\nmodels: {gpt: x.y}", `{"model":"gpt",` + hi + `}`, user("")},
		{"the model itself", "model: x.y\n", `{"model":"x.y",` + hi + `}`, user("")},
		{"another model's alias", "model: x.y\nmodels: {gpt: z.z}", `{"model":"gpt",` + hi + `}`, "other_model: the row asks for model gpt, which runs on z.z"},
		{"images of the web", nova, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png"}}]}]}`, "unsupported: part image_url must hold its data"},
		{"sound", nova, `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}`, "unsupported: part input_audio"},
		{"tools", nova, `{` + hi + `,"tools":[{}]}`, "unsupported: tools"},
		{"tool calls", nova, `{"messages":[{"role":"assistant","content":null,"tool_calls":[{}]}]}`, "unsupported: messages.tool_calls"},
		{"tool results", nova, `{"messages":[{"role":"tool","content":"x"}]}`, "unsupported: role tool"},
		{"several answers", nova, `{` + hi + `,"n":2}`, "unsupported: n other than 1"},
		{"a seed", nova, `{` + hi + `,"seed":7}`, "unsupported: seed"},
		{"a member nobody knows", nova, `{` + hi + `,"max_tokenz":7}`, "unsupported: max_tokenz"},
		{"a structured answer", nova, `{` + hi + `,"response_format":{"type":"json_schema","json_schema":{}}}`, "unsupported: response_format json_schema"},
		{"too warm", nova, `{` + hi + `,"temperature":1.5}`, "unsupported: temperature goes from 0 to 1"},
		{"no message", nova, `{}`, "empty_prompt"},
		{"blank messages", nova, `{"messages":[{"role":"user","content":" \n"}]}`, "empty_prompt"},
		{"an assistant that begins", nova, `{"messages":[{"role":"assistant","content":"x"}]}`, "bad_request: a conversation begins"},
		{"messages that are none", nova, `{"messages":"x"}`, "bad_request: messages"},
		{"a max_tokens that is none", nova, `{` + hi + `,"max_tokens":-1}`, "bad_request: max_tokens"},
		{"an embedding for a chat model", nova, `{"input":"x"}`, "unsupported: input asks for an embedding"},
		{"another endpoint", nova, `{"custom_id":"a","method":"POST","url":"/v1/responses","body":{}}`, "unsupported: url /v1/responses"},
		{"another method", nova, `{"custom_id":"a","method":"GET","body":{}}`, "unsupported: method GET"},
		{"no body", nova, `{"custom_id":"a"}`, "no_body"},
		{"as written for a model of the same shape", gptOSS + "invocation: invoke-model", `{"model":"gpt-oss",` + hi + `, "tools": [{"type":"function"}],"stream":false}`, `{` + hi + `,"tools": [{"type":"function"}]}`},
	})
}

func TestOpenAIEmbeddings(t *testing.T) {
	check(t, dataset.OpenAI, "body", []rendering{
		{"a text", titan, `{"model":"text-embedding-3-small","input":"a\n"}`, `{"inputText":"a\n"}`},
		{"dimensions", titan, `{"input":["a"],"dimensions":256,"encoding_format":"float"}`, `{"inputText":"a","dimensions":256}`},
		{"fields of the workload", titan + "additional_model_request_fields: {normalize: false, dimensions: 512}", `{"input":"a","dimensions":256}`, `{"inputText":"a","dimensions":256,"normalize":false}`},
		{"Cohere takes many", "model: cohere.embed-multilingual-v3", `{"input":["a","b"]}`, `{"texts":["a","b"],"input_type":"search_document"}`},
		{"Cohere for queries", "model: cohere.embed-v4:0\nadditional_model_request_fields: {input_type: search_query}", `{"input":"a","dimensions":256}`, `{"texts":["a"],"output_dimension":256,"input_type":"search_query"}`},
		{"Titan G1 has one size", "model: amazon.titan-embed-text-v1", `{"input":"a","dimensions":256}`, "unsupported: this model has no choice"},
		{"Titan for images and texts", "model: amazon.titan-embed-image-v1", `{"input":"a","dimensions":256}`, `{"inputText":"a","embeddingConfig":{"outputEmbeddingLength":256}}`},
		{"Nova", "model: amazon.nova-2-multimodal-embeddings-v1:0", `{"input":"a","dimensions":256}`, `{"schemaVersion":"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"text":{"truncationMode":"END","value":"a"},"embeddingPurpose":"GENERIC_INDEX","embeddingDimension":256}}`},
		{"Titan takes one", titan, `{"input":["a","b"]}`, "unsupported: this model embeds one text a row"},
		{"token numbers", titan, `{"input":[1,2]}`, "unsupported: input holds token numbers"},
		{"base64", titan, `{"input":"a","encoding_format":"base64"}`, "unsupported: encoding_format"},
		{"nothing", titan, `{"input":""}`, "empty_prompt"},
		{"no input", titan, `{}`, "empty_prompt"},
		{"a chat for an embedding model", titan, `{` + hi + `}`, "unsupported: messages"},
		{"a chat's endpoint", titan, `{"custom_id":"a","url":"/v1/chat/completions","body":{}}`, "unsupported: url /v1/chat/completions does not go with the model"},
		{"a member nobody knows", titan, `{"input":"a","inputs":"a"}`, "unsupported: inputs"},
	})
}

func TestAnthropicMessages(t *testing.T) {
	check(t, dataset.Anthropic, "params", []rendering{
		{"as written for Claude", claude, `{"model":"claude-haiku-4-5","max_tokens": 10,` + hi + `,"tools":[{"name":"t"}],"thinking":{"type":"enabled"},"metadata":{}}`,
			`{"max_tokens": 10,` + hi + `,"tools":[{"name":"t"}],"thinking":{"type":"enabled"},"anthropic_version":"bedrock-2023-05-31"}`},
		{"its own version stays", claude, `{"anthropic_version":"x","max_tokens":1,` + hi + `}`, `{"anthropic_version":"x","max_tokens":1,` + hi + `}`},
		{"max_tokens of the workload where it lacks them", claude + "inference: {max_tokens: 5}", `{` + hi + `}`, `{` + hi + `,"anthropic_version":"bedrock-2023-05-31","max_tokens":5}`},
		{"streams", claude, `{"stream":true}`, "unsupported: stream"},
		{"mapped for another model", nova, `{"model":"claude","max_tokens":10,"system":[{"type":"text","text":"S","cache_control":{}}],"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"D"}},{"type":"text","text":"Hi"}]}],"temperature":0,"top_p":0.9,"stop_sequences":["x"],"stream":false,"metadata":{"user_id":"u"}}`,
			`{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"iVBO"}}},{"text":"D"},{"text":"Hi"}]}],"system":[{"text":"S"}],"inferenceConfig":{"maxTokens":10,"temperature":0,"topP":0.9,"stopSequences":["x"]}}`},
		{"a plain system text", claude + "invocation: converse", `{"max_tokens":10,"system":"S",` + hi + `}`, `{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"system":[{"text":"S"}],"inferenceConfig":{"maxTokens":10}}`},
		{"images of the web", nova, `{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a"}}]}]}`, "unsupported: block image must hold its data"},
		{"tools for another model", nova, `{` + hi + `,"tools":[{}]}`, "unsupported: tools"},
		{"tool results for another model", nova, `{"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}`, "unsupported: block tool_result"},
		{"thinking for another model", nova, `{` + hi + `,"thinking":{}}`, "unsupported: thinking"},
		{"an embedding model", titan, `{` + hi + `}`, "unsupported: params ask for a message"},
		{"a mix of models", "model: x.y\nmodels: {a: b.b}", `{"model":"a",` + hi + `}`, "other_model"},
		{"no params", nova, `{"custom_id":"a","params":[]}`, "no_body"},
	})
}

func TestModelsOfOneUploadAreNotMixed(t *testing.T) {
	w := settings(t, nova+"models: {both: us.amazon.nova-lite-v1:0}")
	w.RowModel = "gpt-4o"
	for model, want := range map[string]string{"gpt-4o": "", "both": "", "us.amazon.nova-lite-v1:0": "", "gpt-4o-mini": prompt.CodeOtherModel} {
		_, bad := renderOne(t, w, dataset.OpenAI, `{"custom_id":"a","body":{"model":"`+model+`",`+hi+`}}`)
		if got := ""; bad != nil {
			if got = bad.Code; got != want || !strings.Contains(bad.Reason, "gpt-4o-mini and the upload's first row for gpt-4o;") {
				t.Errorf("%s: %+v", model, bad)
			}
		} else if want != "" {
			t.Errorf("%s passed", model)
		}
	}
	if got := prompt.ModelFor(w, "both") + prompt.ModelFor(w, "x"); got != w.Model+w.Model {
		t.Errorf("got %s", got)
	}
}

func TestPromptsBecomeEmbeddings(t *testing.T) {
	template := "{title}: {text}"
	for _, c := range []struct {
		f          dataset.Format
		yaml       string
		line, want string
	}{
		{dataset.Prompt, titan, `{"prompt":"a\n\ud800"}`, `{"inputText":"a\n\ud800"}`},
		{dataset.Prompt, "model: amazon.titan-embed-text-v1\nsystem: S\ninference: {max_tokens: 3}\n", `{"prompt":"a"}`, `{"inputText":"a"}`},
		{dataset.JSONL, titan + "prompt_template: '" + template + "'\nadditional_model_request_fields: {dimensions: 256, normalize: true}\n", `{"title":"A","text":"b"}`, `{"inputText":"A: b","dimensions":256,"normalize":true}`},
		{dataset.Text, "model: cohere.embed-english-v3\n", "one\ntwo", `{"texts":["one\ntwo"],"input_type":"search_document"}`},
	} {
		got, bad := renderOne(t, settings(t, c.yaml), c.f, c.line)
		if bad != nil || got != c.want {
			t.Errorf("%s: got %s %+v, want %s", c.f, got, bad, c.want)
		}
	}
	if got := prompt.Invocation(settings(t, titan), dataset.Prompt); got != batch.InvokeModel {
		t.Errorf("got %s", got)
	}
	if _, err := prompt.NewRenderer(settings(t, titan+"invocation: converse"), dataset.Prompt); !errors.Is(err, prompt.ErrShape) {
		t.Errorf("got %v", err)
	}
	if _, err := prompt.NewRenderer(settings(t, nova+"invocation: invoke-model"), dataset.OpenAI); !errors.Is(err, prompt.ErrShape) {
		t.Errorf("got %v", err)
	}
}

func TestInvocationFollowsTheModel(t *testing.T) {
	for _, c := range []struct {
		yaml string
		f    dataset.Format
		want batch.Invocation
	}{
		{claude, dataset.Anthropic, batch.InvokeModel},
		{nova, dataset.Anthropic, batch.Converse},
		{gptOSS, dataset.OpenAI, batch.Converse},
		{titan, dataset.OpenAI, batch.InvokeModel},
		{titan, dataset.CSV, batch.InvokeModel},
		{"model: abc\nfamily: titan-embed", dataset.CSV, batch.InvokeModel},
	} {
		if got := prompt.Invocation(settings(t, c.yaml), c.f); got != c.want {
			t.Errorf("%s, %s: got %s", c.yaml, c.f, got)
		}
	}
}

// FuzzDialects: whatever a row holds, it is refused or becomes one line of
// JSON, and nothing is left of it where it is refused.
func FuzzDialects(f *testing.F) {
	for _, body := range []string{
		`{` + hi + `,"max_tokens":3}`, `{"input":["a"]}`, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,\u0041\""}]}]}`,
		`{"messages":[{"content":"\ud800","role":"system"},{"role":"user","content":" \u0020 "}],"stop":["\\"]}`, `{"temperature":0.0e1,` + hi + `}`,
		`{"system":[{"type":"text","text":"S"}],"model":"m",` + hi + ` }`, `{ "a" : 1 , "model":"m" }`,
	} {
		f.Add(body)
	}
	settings := []workload.Workload{settings(f, nova), settings(f, titan), settings(f, claude), settings(f, gptOSS+"invocation: invoke-model"), settings(f, claude+"system: S\ninvocation: converse")}
	f.Fuzz(func(t *testing.T, body string) {
		for _, w := range settings {
			for _, format := range []dataset.Format{dataset.OpenAI, dataset.Anthropic} {
				r, err := prompt.NewRenderer(w, format)
				if err != nil {
					continue
				}
				line := `{"custom_id":"a","body":` + body + `,"params":` + body + `}`
				rows, err := dataset.New(format, strings.NewReader(line), dataset.Position{}, dataset.Options{})
				if err != nil {
					t.Fatal(err)
				}
				row, err := rows.Next()
				if err != nil {
					t.Fatal(err)
				}
				got, bad := r.Append([]byte("kept"), row)
				if bad != nil {
					if string(got) != "kept" {
						t.Fatalf("a refused row left %q", got)
					}
					continue
				}
				if !json.Valid(got[4:]) || strings.ContainsAny(string(got), "\n") {
					t.Fatalf("got %q", got)
				}
			}
		}
	})
}
