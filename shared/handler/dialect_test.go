package handler_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// strictly reads the lines of a file into values that know all their members.
func strictly[T any](t *testing.T, body []byte) []T {
	t.Helper()
	var all []T
	for _, line := range bytes.Split(bytes.TrimSpace(body), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var v T
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, v)
	}
	return all
}

// openAILine is a line of an OpenAI batch's output or error file.
type openAILine struct {
	ID       string `json:"id"`
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int    `json:"status_code"`
		RequestID  string `json:"request_id"`
		Body       struct {
			ID      string `json:"id"`
			Object  string `json:"object"`
			Created int64  `json:"created"`
			Model   string `json:"model"`
			Choices []struct {
				Index   int `json:"index"`
				Message struct {
					Role    string  `json:"role"`
					Content *string `json:"content"`
					Refusal *string `json:"refusal"`
				} `json:"message"`
				Logprobs     any    `json:"logprobs"`
				FinishReason string `json:"finish_reason"`
			} `json:"choices"`
			Data []struct {
				Object    string    `json:"object"`
				Index     int       `json:"index"`
				Embedding []float64 `json:"embedding"`
			} `json:"data"`
			Usage struct {
				Prompt     int `json:"prompt_tokens"`
				Completion int `json:"completion_tokens"`
				Total      int `json:"total_tokens"`
			} `json:"usage"`
			Error *struct {
				Message string `json:"message"`
				Type    string `json:"type"`
				Param   any    `json:"param"`
				Code    any    `json:"code"`
			} `json:"error"`
		} `json:"body"`
	} `json:"response"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func openAIRows(n int) []byte {
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini","messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"What is %d plus one?"}],"max_tokens":20}}`+"\n", i, i)
	}
	return b.Bytes()
}

func failing(rows map[string]memory.Line) func(batch.Job) memory.Outcome {
	return func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(_ int, id string) memory.Line { return rows[id] }}
	}
}

func TestOpenAIBatchLinesComeBackAsOpenAIWritesThem(t *testing.T) {
	w := handlertest.New(t, small)
	w.Outcome = failing(map[string]memory.Line{
		"r0000000003": {Shape: memory.Beside, Code: 400, Message: "no"},
		"r0000000005": {Shape: memory.Missing},
	})
	// The alias alone names the model.
	w.Input.Set("workload.yaml", []byte("models: {gpt-4o-mini: us.amazon.nova-lite-v1:0, gpt-4o: us.amazon.nova-pro-v1:0}\n"))
	rows := append(openAIRows(10), `{"custom_id":"other","body":{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}}`+"\n"+
		`{"custom_id":"web","body":{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png"}}]}]}}`+"\n"...)
	w.Input.Set("a.jsonl", rows)
	w.Run()
	n := one(t, w)
	if n.ModelID != "us.amazon.nova-lite-v1:0" || n.Rows.SetAside != 2 || n.Rows.Answered != 8 {
		t.Fatalf("notice: %+v", n)
	}
	aside := string(w.Result(n, "set-aside.jsonl"))
	if !strings.Contains(aside, `"code":"other_model"`) || !strings.Contains(aside, "part image_url must hold its data") {
		t.Errorf("set aside: %s", aside)
	}
	if got := bytes.Count(w.Result(n, "results.jsonl"), []byte("\n")); got != 8 {
		t.Errorf("%d results in our own shape", got)
	}
	lines := strictly[openAILine](t, w.Result(n, "results.openai.jsonl"))
	if len(lines) != 8 {
		t.Fatalf("%d lines", len(lines))
	}
	ids := map[string]bool{}
	for _, l := range lines {
		ids[l.ID] = true
		r := l.Response
		if l.CustomID == "" || l.Error != nil || r == nil || r.StatusCode != 200 || r.Body.Object != "chat.completion" || r.Body.Created == 0 || r.Body.Model != n.ModelID ||
			len(r.Body.Choices) != 1 || r.Body.Choices[0].Message.Content == nil || !strings.HasPrefix(*r.Body.Choices[0].Message.Content, "answer ") ||
			r.Body.Choices[0].FinishReason != "stop" || r.Body.Usage.Total != r.Body.Usage.Prompt+r.Body.Usage.Completion || r.Body.Usage.Prompt == 0 {
			t.Errorf("line: %+v", l)
		}
	}
	errs := strictly[openAILine](t, w.Result(n, "errors.openai.jsonl"))
	if len(ids) != 8 || len(errs) != 4 || errs[2].CustomID != "other" || errs[3].CustomID != "web" || !strings.HasPrefix(errs[3].Response.Body.Error.Message, "unsupported: part image_url") || errs[0].CustomID != "c3" || errs[0].Response.StatusCode != 400 || errs[0].Response.Body.Error.Message != "no" ||
		errs[1].CustomID != "c5" || errs[1].Response != nil || errs[1].Error.Code != "missing" {
		t.Errorf("errors: %s", w.Result(n, "errors.openai.jsonl"))
	}
	if n.Results.Foreign == "" || n.Results.ForeignErrors == "" {
		t.Errorf("places: %+v", n.Results)
	}
	clean(t, w)

	// What failed can be dropped again as it is.
	w.Outcome = nil
	w.Input.Set("again/a.jsonl", w.Result(n, "errors.jsonl"))
	w.Run()
	again := w.Notices()[1]
	if again.Status != pipeline.StatusCompleted || again.Rows.Answered != 2 || len(strictly[openAILine](t, w.Result(again, "results.openai.jsonl"))) != 2 {
		t.Errorf("again: %+v", again)
	}
}

type anthropicLine struct {
	CustomID string `json:"custom_id"`
	Result   struct {
		Type    string `json:"type"`
		Message *struct {
			ID      string `json:"id"`
			Type    string `json:"type"`
			Role    string `json:"role"`
			Model   string `json:"model"`
			Content []struct {
				Type string `json:"type"`
				Text string `json:"text"`
			} `json:"content"`
			StopReason   string `json:"stop_reason"`
			StopSequence any    `json:"stop_sequence"`
			Usage        struct {
				Input  int `json:"input_tokens"`
				Output int `json:"output_tokens"`
			} `json:"usage"`
		} `json:"message"`
		Error *struct {
			Type  string `json:"type"`
			Error struct {
				Type    string `json:"type"`
				Message string `json:"message"`
			} `json:"error"`
		} `json:"error"`
	} `json:"result"`
}

func TestAnthropicBatchLinesComeBackAsAnthropicWritesThem(t *testing.T) {
	for _, model := range []string{"us.anthropic.claude-haiku-4-5-20251001-v1:0", "us.amazon.nova-lite-v1:0"} {
		t.Run(model, func(t *testing.T) {
			w := handlertest.New(t, small)
			w.Outcome = failing(map[string]memory.Line{"r0000000002": {Shape: memory.Beside, Code: 400, Message: "no"}, "r0000000003": {Shape: memory.Missing}})
			w.Input.Set("workload.yaml", []byte("model: "+model+"\n"))
			var b bytes.Buffer
			for i := 1; i <= 8; i++ {
				fmt.Fprintf(&b, `{"custom_id":"c%d","params":{"model":"claude-x","max_tokens":20,"messages":[{"role":"user","content":"What is %d?"}]}}`+"\n", i, i)
			}
			w.Input.Set("a.jsonl", b.Bytes())
			w.Run()
			n := one(t, w)
			lines := strictly[anthropicLine](t, w.Result(n, "results.anthropic.jsonl"))
			if len(lines) != 8 || n.Rows.Answered != 6 {
				t.Fatalf("%d lines, notice %+v", len(lines), n)
			}
			for i, l := range lines {
				want := map[int]string{1: "errored", 2: "expired"}[i]
				if want == "" {
					want = "succeeded"
				}
				if l.CustomID != fmt.Sprintf("c%d", i+1) || l.Result.Type != want {
					t.Errorf("line %d: %+v", i+1, l)
				}
				if m := l.Result.Message; want == "succeeded" && (m.StopReason != "end_turn" || len(m.Content) != 1 || !strings.HasPrefix(m.Content[0].Text, "answer ")) {
					t.Errorf("line %d: %+v", i+1, m)
				}
			}
			if e := lines[1].Result.Error; e.Type != "error" || e.Error.Type != "invalid_request_error" || e.Error.Message != "no" {
				t.Errorf("error: %+v", e)
			}
			clean(t, w)
		})
	}
}

func embedding(_ string, _ batch.Invocation, in []byte) []byte {
	var body struct {
		InputText  string
		Dimensions int
	}
	if json.Unmarshal(in, &body) != nil || body.InputText == "" {
		return []byte(`{"error":{"code":400,"message":"no inputText"}}`)
	}
	return fmt.Appendf(nil, `{"embedding":[0.5,%d,1e-3],"inputTextTokenCount":%d}`, body.Dimensions, len(body.InputText))
}

func TestEmbeddingsEndToEnd(t *testing.T) {
	for _, c := range []struct{ name, yaml, row string }{
		{"prompt rows", "", `{"id":"c%d","prompt":"text %d"}`},
		{"rows with a template", "prompt_template: '{title}: {text}'\n", `{"id":"c%d","title":"A","text":"b %d"}`},
		{"OpenAI's embeddings", "", `{"custom_id":"c%d","method":"POST","url":"/v1/embeddings","body":{"model":"text-embedding-3-small","input":"text %d"}}`},
	} {
		for _, rows := range []int{2, 6} { // on demand, by a job
			t.Run(fmt.Sprint(c.name, " ", rows), func(t *testing.T) {
				w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Answer = embedding })
				w.Input.Set("workload.yaml", []byte("model: amazon.titan-embed-text-v2:0\nadditional_model_request_fields: {dimensions: 256}\noutput: {csv: true}\n"+c.yaml))
				var b bytes.Buffer
				for i := 1; i <= rows; i++ {
					fmt.Fprintf(&b, c.row+"\n", i, i)
				}
				w.Input.Set("a.jsonl", b.Bytes())
				w.Run()
				n := one(t, w)
				if n.Status != pipeline.StatusCompleted || n.Rows.Answered != int64(rows) {
					t.Fatalf("notice: %+v", n)
				}
				for i, line := range strings.Split(strings.TrimSpace(string(w.Result(n, "results.jsonl"))), "\n") {
					if !strings.HasPrefix(line, fmt.Sprintf(`{"recordId":"r%010d","row":%d,"id":"c%d","embedding":[0.5,256,1e-3],"stopReason":"end_turn"`, i+1, i+1, i+1)) {
						t.Errorf("line %d: %s", i+1, line)
					}
				}
				if table := string(w.Result(n, "results.csv")); !strings.Contains(table, `"[0.5,256,1e-3]"`) {
					t.Errorf("table: %s", table)
				}
				if strings.Contains(c.row, "custom_id") {
					lines := strictly[openAILine](t, w.Result(n, "results.openai.jsonl"))
					if len(lines) != rows || lines[1].Response.Body.Data[0].Embedding[1] != 256 || lines[1].Response.Body.Object != "list" || lines[1].Response.Body.Usage.Total == 0 {
						t.Errorf("%s", w.Result(n, "results.openai.jsonl"))
					}
				}
				clean(t, w)
			})
		}
	}
}

func TestRowsThatAskForLongAnswersAreEstimatedByThem(t *testing.T) {
	const line = `{"custom_id":"a","body":{"messages":[{"role":"user","content":"Hi"}],"max_tokens":%d}}` + "\n"
	for tokens, want := range map[int]string{100: pipeline.StatusCompleted, 1_000_000: pipeline.StatusRejected} {
		t.Run(fmt.Sprint(tokens), func(t *testing.T) {
			w := handlertest.New(t, small)
			w.Input.Set("workload.yaml", []byte(nova+"limits: {max_estimated_cost_usd: 0.1}\n"))
			w.Input.Set("a.jsonl", bytes.Repeat(fmt.Appendf(nil, line, tokens), 5))
			w.Run()
			if n := one(t, w); n.Status != want {
				t.Errorf("notice: %s: %s", n.Status, n.Reason)
			}
		})
	}
}
