package model_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
)

// ask answers one body of the model, in its own shape unless converse.
func ask(t *testing.T, id string, converse bool, body string, rates model.Rates) (map[string]any, model.Result, error) {
	t.Helper()
	m, ok := model.Lookup(id)
	if !ok {
		t.Fatalf("no model %s", id)
	}
	result, err := model.BuiltIn(rates).Answer(t.Context(), model.Request{Model: m, Converse: converse, Batch: true, Body: []byte(body), Seed: 7})
	if err != nil {
		return nil, result, err
	}
	var answer map[string]any
	if err := json.Unmarshal(result.Body, &answer); err != nil {
		t.Fatalf("the answer is not JSON: %v: %s", err, result.Body)
	}
	return answer, result, nil
}

// at follows a path such as choices.0.message.content.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch c := v.(type) {
		case map[string]any:
			v = c[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(c) {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

const (
	claude = "anthropic.claude-haiku-4-5-20251001-v1:0"
	nova   = "amazon.nova-lite-v1:0"
)

func TestEachFamilyAnswersInItsOwnShape(t *testing.T) {
	tests := []struct {
		model, body           string
		converse              bool
		text, stop, stopWord  string
		inTokens, outTokens   string
		truncated, cutStopped string // a body that is cut short, and the word for it
	}{
		{model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":200,"system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":"I love this kettle"}]}]}`,
			text: "content.0.text", stop: "stop_reason", stopWord: "end_turn", inTokens: "usage.input_tokens", outTokens: "usage.output_tokens",
			truncated: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":2,"messages":[{"role":"user","content":"I love this kettle"}]}`, cutStopped: "max_tokens"},
		{model: nova, body: `{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"I love this kettle"}]}],"inferenceConfig":{"maxTokens":200}}`,
			text: "output.message.content.0.text", stop: "stopReason", stopWord: "end_turn", inTokens: "usage.inputTokens", outTokens: "usage.outputTokens",
			truncated: `{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":2}}`, cutStopped: "max_tokens"},
		{model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"I love this kettle"}]}],"system":[{"text":"Be brief."}],"inferenceConfig":{"maxTokens":200}}`,
			text: "output.message.content.0.text", stop: "stopReason", stopWord: "end_turn", inTokens: "usage.inputTokens", outTokens: "usage.outputTokens",
			truncated: `{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":2}}`, cutStopped: "max_tokens"},
		{model: "amazon.titan-text-express-v1", body: `{"inputText":"I love this kettle","textGenerationConfig":{"maxTokenCount":200}}`,
			text: "results.0.outputText", stop: "results.0.completionReason", stopWord: "FINISH", inTokens: "inputTextTokenCount", outTokens: "results.0.tokenCount",
			truncated: `{"inputText":"x","textGenerationConfig":{"maxTokenCount":2}}`, cutStopped: "LENGTH"},
		{model: "meta.llama3-3-70b-instruct-v1:0", body: `{"prompt":"I love this kettle","max_gen_len":200}`,
			text: "generation", stop: "stop_reason", stopWord: "stop", inTokens: "prompt_token_count", outTokens: "generation_token_count",
			truncated: `{"prompt":"x","max_gen_len":2}`, cutStopped: "length"},
		{model: "mistral.mistral-small-2402-v1:0", body: `{"prompt":"<s>[INST] I love this kettle [/INST]","max_tokens":200}`,
			text: "outputs.0.text", stop: "outputs.0.stop_reason", stopWord: "stop", truncated: `{"prompt":"x","max_tokens":2}`, cutStopped: "length"},
		{model: "mistral.mistral-large-2407-v1:0", body: `{"messages":[{"role":"user","content":"I love this kettle"}],"max_tokens":200}`,
			text: "choices.0.message.content", stop: "choices.0.stop_reason", stopWord: "stop", inTokens: "usage.prompt_tokens", outTokens: "usage.completion_tokens",
			truncated: `{"messages":[{"role":"user","content":"x"}],"max_tokens":2}`, cutStopped: "length"},
		{model: "cohere.command-r-v1:0", body: `{"message":"I love this kettle","preamble":"Be brief.","max_tokens":200}`,
			text: "text", stop: "finish_reason", stopWord: "COMPLETE", truncated: `{"message":"x","max_tokens":2}`, cutStopped: "MAX_TOKENS"},
		{model: "deepseek.r1-v1:0", body: `{"prompt":"I love this kettle","max_tokens":200}`,
			text: "choices.0.text", stop: "choices.0.stop_reason", stopWord: "stop", truncated: `{"prompt":"x","max_tokens":2}`, cutStopped: "length"},
		{model: "qwen.qwen3-32b-v1:0", body: `{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"I love this kettle"}],"max_completion_tokens":200}`,
			text: "choices.0.message.content", stop: "choices.0.finish_reason", stopWord: "stop", inTokens: "usage.prompt_tokens", outTokens: "usage.completion_tokens",
			truncated: `{"messages":[{"role":"user","content":"x"}],"max_tokens":2}`, cutStopped: "length"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s converse=%t", test.model, test.converse), func(t *testing.T) {
			answer, result, err := ask(t, test.model, test.converse, test.body, model.Rates{})
			if err != nil {
				t.Fatal(err)
			}
			text, _ := at(answer, test.text).(string)
			if !strings.Contains(text, "positive") || !strings.Contains(text, "kettle") {
				t.Errorf("text %q", text)
			}
			if got := at(answer, test.stop); got != test.stopWord {
				t.Errorf("stop %v, want %s", got, test.stopWord)
			}
			for path, want := range map[string]int64{test.inTokens: result.InputTokens, test.outTokens: result.OutputTokens} {
				if got := at(answer, path); path != "" && got != float64(want) {
					t.Errorf("%s is %v, want %d", path, got, want)
				}
			}
			answer, result, err = ask(t, test.model, test.converse, test.truncated, model.Rates{})
			if err != nil {
				t.Fatal(err)
			}
			if got := at(answer, test.stop); got != test.cutStopped || result.OutputTokens != 2 {
				t.Errorf("cut short: stop %v after %d tokens, want %s after 2", got, result.OutputTokens, test.cutStopped)
			}
		})
	}
}

const aDocument = `{"document":{"format":"pdf","name":"a b","source":{"bytes":"AAAA"}}}`

func TestBodiesAreRefusedAsTheProviderDoes(t *testing.T) {
	tests := []struct {
		name, model, body string
		converse          bool
		message           string
	}{
		{name: "Claude without max_tokens", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"user","content":"x"}]}`, message: "max_tokens: Field required"},
		{name: "Claude with a modelId", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"modelId":"x","messages":[{"role":"user","content":"x"}]}`, message: "modelId: Extra inputs are not permitted"},
		{name: "Claude with a model", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"model":"x","messages":[{"role":"user","content":"x"}]}`, message: "model: Extra inputs are not permitted"},
		{name: "Claude without a version", model: claude, body: `{"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, message: "anthropic_version: Field required"},
		{name: "Claude with a wrong version", model: claude, body: `{"anthropic_version":"2023-06-01","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, message: "Invalid version"},
		{name: "Claude with a temperature of 2", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"temperature":2,"messages":[{"role":"user","content":"x"}]}`, message: "temperature: Input should be less than or equal to 1"},
		{name: "Claude with a system message among the messages", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"system","content":"x"}]}`, message: "messages.0.role: Input should be 'user', 'assistant'"},
		{name: "Claude with an extra member in a message", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"x","name":"y"}]}`, message: "messages.0.name: Extra inputs are not permitted"},
		{name: "Claude with max_tokens as a text", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":"9","messages":[{"role":"user","content":"x"}]}`, message: "max_tokens: Input should be a valid integer"},
		{name: "Claude without messages", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[]}`, message: "messages: "},
		{name: "Claude with an empty text", model: claude, body: `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":""}]}]}`, message: "non-empty"},
		{name: "Claude with Nova's body", model: claude, body: `{"messages":[{"role":"user","content":[{"text":"x"}]}]}`, message: "messages.0.content.0.type: Field required"},
		{name: "Nova with max_tokens", model: nova, body: `{"messages":[{"role":"user","content":[{"text":"x"}]}],"max_tokens":5}`, message: "extraneous key [max_tokens] is not permitted"},
		{name: "Nova with a plain text", model: nova, body: `{"messages":[{"role":"user","content":"x"}]}`, message: "expected type: list"},
		{name: "Titan with a prompt", model: "amazon.titan-text-express-v1", body: `{"prompt":"x"}`, message: "required key [inputText] not found, extraneous key [prompt] is not permitted"},
		{name: "Llama with messages", model: "meta.llama3-3-70b-instruct-v1:0", body: `{"messages":[]}`, message: "required key [prompt] not found"},
		{name: "Llama with too long an answer", model: "meta.llama3-3-70b-instruct-v1:0", body: `{"prompt":"x","max_gen_len":9000}`, message: "maximum of 8192"},
		{name: "old Mistral with messages", model: "mistral.mistral-small-2402-v1:0", body: `{"messages":[{"role":"user","content":"x"}]}`, message: "required key [prompt] not found"},
		{name: "new Mistral with a prompt", model: "mistral.mistral-large-2407-v1:0", body: `{"prompt":"x"}`, message: "required key [messages] not found"},
		{name: "Cohere without a message", model: "cohere.command-r-v1:0", body: `{"preamble":"x"}`, message: "required key [message] not found"},
		{name: "DeepSeek with eleven stops", model: "deepseek.r1-v1:0", body: `{"prompt":"x","stop":["1","2","3","4","5","6","7","8","9","10","11"]}`, message: "maximum of 10 items"},
		{name: "OpenAI's shape with stream", model: "openai.gpt-oss-20b-1:0", body: `{"messages":[{"role":"user","content":"x"}],"stream":true}`, message: "stream"},
		{name: "embeddings with an odd size", model: "amazon.titan-embed-text-v2:0", body: `{"inputText":"x","dimensions":300}`, message: "#/dimensions: 300"},
		{name: "embeddings without a text", model: "amazon.titan-embed-text-v2:0", body: `{}`, message: "required key [inputText] not found"},
		{name: "Converse with embeddings", model: "amazon.titan-embed-text-v2:0", converse: true, body: `{"messages":[]}`, message: "doesn't support the model"},
		{name: "Converse with a modelId", model: nova, converse: true, body: `{"modelId":"x","messages":[{"role":"user","content":[{"text":"x"}]}]}`, message: "extraneous key [modelId] is not permitted"},
		{name: "Converse with tools", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"}]}],"toolConfig":{"tools":[]}}`, message: "Tool use is not supported"},
		{name: "Converse without messages", model: nova, converse: true, body: `{}`, message: "required key [messages] not found"},
		{name: "Converse with an empty conversation", model: nova, converse: true, body: `{"messages":[]}`, message: "must start with a user message"},
		{name: "Converse beginning with the assistant", model: nova, converse: true, body: `{"messages":[{"role":"assistant","content":[{"text":"x"}]}]}`, message: "must start with a user message"},
		{name: "Converse with a blank text", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":" "}]}]}`, message: "is blank"},
		{name: "Converse with no content", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[]}]}`, message: "is empty"},
		{name: "Converse with maxTokens of 0", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"}]}],"inferenceConfig":{"maxTokens":0}}`, message: "minimum of 1"},
		{name: "Converse with a strange field for Claude", model: claude, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"}]}],"additionalModelRequestFields":{"topK":5}}`, message: "topK: Extra inputs are not permitted"},
		{name: "Converse with an image of another kind", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"image":{"format":"bmp","source":{"bytes":"AAAA"}}}]}]}`, message: "enum value set: [png, jpeg, gif, webp]"},
		{name: "Converse with an image that is no base64", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"A A"}}}]}]}`, message: "not base64"},
		{name: "Converse with an image that is too large", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"` + strings.Repeat("AAAA", 1_310_721) + `"}}}]}]}`, message: "the image has 3932163 bytes, the maximum is 3932160"},
		{name: "Converse with an image for a model without eyes", model: "amazon.nova-micro-v1:0", converse: true, body: `{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}]}`, message: "doesn't support the image"},
		{name: "Converse with an image of the assistant", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"}]},{"role":"assistant","content":[{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}]}`, message: "role user only"},
		{name: "Converse with a document by itself", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[` + aDocument + `]}]}`, message: "must have a text block"},
		{name: "Converse with a document's name that is not allowed", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"},` + strings.Replace(aDocument, "a b", "a.b", 1) + `]}]}`, message: "alphanumeric"},
		{name: "Converse with two spaces in a document's name", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"},` + strings.Replace(aDocument, "a b", "a  b", 1) + `]}]}`, message: "consecutive whitespace"},
		{name: "Converse with six documents", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"}` + strings.Repeat(","+aDocument, 6) + `]}]}`, message: "6 documents, the maximum is 5"},
		{name: "Converse with twenty-one images", model: nova, converse: true, body: `{"messages":[{"role":"user","content":[{"text":"x"}` + strings.Repeat(`,{"image":{"format":"png","source":{"bytes":"AAAA"}}}`, 21) + `]}]}`, message: "up to 20 images"},
		{name: "Nova's embeddings without a purpose", model: "amazon.nova-2-multimodal-embeddings-v1:0", body: `{"taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"text":{"truncationMode":"END","value":"x"}}}`, message: "required key [embeddingPurpose] not found"},
		{name: "no JSON", model: nova, body: `{"messages":`, message: "Malformed input request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := ask(t, test.model, test.converse, test.body, model.Rates{})
			refusal, ok := err.(*model.Error)
			if !ok || refusal.Status != 400 || refusal.Code != "ValidationException" || !strings.Contains(refusal.Message, test.message) {
				t.Errorf("got %v, want a 400 with %q", err, test.message)
			}
		})
	}
}

func TestRatesDecideHowAnswersEnd(t *testing.T) {
	body := `{"anthropic_version":"bedrock-2023-05-31","max_tokens":200,"messages":[{"role":"user","content":"I love this kettle"}]}`
	answer, _, err := ask(t, claude, false, body, model.Rates{Refuse: 1})
	if err != nil || at(answer, "stop_reason") != "refusal" {
		t.Errorf("refusing: %v, %v", answer, err)
	}
	answer, _, err = ask(t, claude, false, body, model.Rates{Truncate: 1})
	if err != nil || at(answer, "stop_reason") != "max_tokens" {
		t.Errorf("truncating: %v, %v", answer, err)
	}
	answer, _, err = ask(t, claude, false, body, model.Rates{Reason: 1})
	if err != nil || at(answer, "content.0.type") != "thinking" || at(answer, "content.1.type") != "text" {
		t.Errorf("reasoning: %v, %v", answer, err)
	}
	answer, _, err = ask(t, claude, false, strings.Replace(body, `"messages"`, `"stop_sequences":["kettle"],"messages"`, 1), model.Rates{})
	if err != nil || at(answer, "stop_reason") != "stop_sequence" || at(answer, "stop_sequence") != "kettle" {
		t.Errorf("stopping: %v, %v", answer, err)
	}
}

func TestEmbeddingsDependOnTheTextAlone(t *testing.T) {
	embed := func(body string) []any {
		answer, _, err := ask(t, "amazon.titan-embed-text-v2:0", false, body, model.Rates{})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := answer["embedding"].([]any)
		return v
	}
	one, same, other := embed(`{"inputText":"a","dimensions":256}`), embed(`{"inputText":"a","dimensions":256}`), embed(`{"inputText":"b"}`)
	if len(one) != 256 || len(other) != 1024 || fmt.Sprint(one) != fmt.Sprint(same) || one[0] == other[0] {
		t.Errorf("sizes %d and %d, first %v %v %v", len(one), len(other), one[0], same[0], other[0])
	}
	if binary := embed(`{"inputText":"a","embeddingTypes":["binary"]}`); binary != nil {
		t.Error("an embedding is there although only binary was asked for")
	}
	answer, _, err := ask(t, "cohere.embed-english-v3", false, `{"texts":["a","b"],"input_type":"search_document"}`, model.Rates{})
	if v, _ := at(answer, "embeddings.1").([]any); err != nil || len(v) != 1024 {
		t.Errorf("Cohere: %v", err)
	}
}

func TestAnOpenAICompatibleServerCanAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Model     string
			MaxTokens int `json:"max_tokens"`
			Messages  []struct{ Role, Content string }
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v1/chat/completions" || len(q.Messages) != 2 || q.Messages[0].Role != "system" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"message":"not what was expected"}}`)
			return
		}
		if q.Messages[1].Content == "busy" {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"error":{"message":"slow down"}}`)
			return
		}
		fmt.Fprintf(w, `{"choices":[{"message":{"content":"%s says hi","reasoning_content":"hm"},"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}`, q.Model, q.MaxTokens)
	}))
	defer server.Close()
	m, _ := model.Lookup(claude)
	answers := model.Answering(model.Server{URL: server.URL + "/v1/", Model: "tiny"})
	result, err := answers.Answer(t.Context(), model.Request{Model: m, Converse: true,
		Body: []byte(`{"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"text":"hello"}]}],"inferenceConfig":{"maxTokens":9,"temperature":0.5}}`)})
	want := `{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm"}}},{"text":"tiny says hi"}]}},"stopReason":"max_tokens","usage":{"inputTokens":5,"outputTokens":9,"totalTokens":14}`
	if err != nil || !strings.HasPrefix(string(result.Body), want) {
		t.Errorf("got %s, %v", result.Body, err)
	}
	_, err = answers.Answer(t.Context(), model.Request{Model: m, Converse: true, Body: []byte(`{"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"text":"busy"}]}]}`)})
	if refusal, ok := err.(*model.Error); !ok || refusal.Status != 429 || refusal.Message != "slow down" {
		t.Errorf("a busy server: %v", err)
	}
	_, err = answers.Answer(t.Context(), model.Request{Model: m, Converse: true, Body: []byte(`{"messages":[{"role":"user","content":[{"text":"x"},` + aDocument + `]}]}`)})
	if refusal, ok := err.(*model.Error); !ok || refusal.Status != 400 || !strings.Contains(refusal.Message, "texts alone") {
		t.Errorf("a document: %v", err)
	}
}

func TestAnswersThatAreGivenComeAsTheyAre(t *testing.T) {
	lines, err := model.ReadLines(strings.NewReader(`{"contains":"[[b]]","modelOutput":{"z":1e400,"a" :"\ud800"},"inputTokens":7,"outputTokens":8}` + "\n\n" + `{"contains":"[[","modelOutput":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := model.Lookup(nova)
	answers := model.Scripted(lines, model.BuiltIn(model.Rates{}))
	ask := func(text string) string {
		r, err := answers.Answer(t.Context(), model.Request{Model: m, Body: []byte(`{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}]}`)})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %d %s", r.InputTokens, r.OutputTokens, r.Body)
	}
	if got := ask("x [[b]]"); got != `7 8 {"z":1e400,"a" :"\ud800"}` {
		t.Errorf("got %s", got)
	}
	if got := ask("[[c]]"); got != `0 0 []` {
		t.Errorf("the next line: %s", got)
	}
	if got := ask("x"); !strings.Contains(got, "stopReason") {
		t.Errorf("all else: %s", got)
	}
	if _, err := answers.Answer(t.Context(), model.Request{Model: m, Body: []byte(`{"prompt":"[[b]]"}`)}); err == nil {
		t.Error("a body that is refused is answered")
	}
	for text, want := range map[string]string{`{"contains":"x"}`: "line 1: want", "\n{": "line 2: ", `{"contains":"x","modelOutput":{},"output":1}`: "unknown field"} {
		if _, err := model.ReadLines(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzAnyBodyIsAnsweredOrRefused(f *testing.F) {
	f.Add(`{"messages":[{"role":"user","content":[{"text":"x"}]}]}`)
	f.Add(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":1e99,"messages":[{"role":"user","content":[]}]}`)
	f.Add(`{"prompt":"` + strings.Repeat("é", 50) + `","max_gen_len":3}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, m := range model.Catalogue() {
			for _, converse := range []bool{false, true} {
				result, err := model.BuiltIn(model.Rates{Truncate: 0.5, Reason: 0.5}).Answer(t.Context(), model.Request{Model: m, Converse: converse, Body: []byte(body)})
				if err != nil {
					if _, ok := err.(*model.Error); !ok {
						t.Fatalf("%s: %v", m.ID, err)
					}
					continue
				}
				if !json.Valid(result.Body) {
					t.Fatalf("%s answers with broken JSON: %s", m.ID, result.Body)
				}
			}
		}
	})
}
