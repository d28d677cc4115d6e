package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// chatServer is a small server of the OpenAI-compatible kind, as people run
// them on their machines.
type chatServer struct {
	mu    sync.Mutex
	tired map[string]bool // prompts that were refused once as one too many
	asked int
	odd   []string // what no such request should have been
}

func (s *chatServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Model       string
		Messages    []struct{ Role, Content string }
		MaxTokens   int `json:"max_tokens"`
		Temperature *float64
		Stop        []string
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&q)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" || q.Model != "tiny" || len(q.Messages) != 2 ||
		q.Messages[0].Role != "system" || q.Messages[0].Content != "Be brief." || q.MaxTokens != 30 || q.Temperature == nil || *q.Temperature != 0.5 {
		s.odd = append(s.odd, fmt.Sprintf("%s %s %+v %v", r.Method, r.URL.Path, q, err))
	}
	fail := func(status int, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":%q,"type":"x"}}`, message)
	}
	text := q.Messages[len(q.Messages)-1].Content
	switch {
	case strings.Contains(text, "never"):
		fail(http.StatusBadRequest, "that is never answered")
	case strings.Contains(text, "busy") && !s.tired[text]:
		s.tired[text] = true
		fail(http.StatusTooManyRequests, "slow down")
	case strings.Contains(text, "long"):
		fmt.Fprint(w, `{"choices":[{"message":{"role":"assistant","content":"and so on","reasoning_content":"hm"},"finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":30}}`)
	default:
		fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":3}}`, "echo "+text)
	}
}

func TestAServerOfOnesOwnAnswersInPlaceOfTheBuiltInModel(t *testing.T) {
	t.Parallel()
	chat := &chatServer{tired: map[string]bool{}}
	server := httptest.NewServer(chat)
	defer server.Close()
	u := begin(t, setup{flags: []string{"--model-url", server.URL + "/v1", "--model-name", "tiny"}})
	const settings = "system: Be brief.\ninference: {max_tokens: 30, temperature: 0.5}\n"
	u.settings("converse/", nova+settings)
	var rows strings.Builder
	for i := range 120 {
		text := subject(i)
		switch i {
		case 7:
			text = "never"
		case 8:
			text = "busy"
		case 9:
			text = "long"
		}
		fmt.Fprintf(&rows, `{"id":"%d","prompt":%q}`+"\n", i, text)
	}
	u.drop("converse/job.jsonl", []byte(rows.String()))
	u.drop("converse/few.jsonl", []byte(`{"prompt":"one"}`+"\n"+`{"prompt":"busy too"}`+"\n"))
	u.settings("claude/", "model: us.anthropic.claude-haiku-4-5-20251001-v1:0\n")
	u.drop("claude/native.jsonl", []byte(`{"modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":30,"temperature":0.5,"system":"Be brief.","messages":[{"role":"user","content":"native"}]}}`+"\n"))

	n := u.notice("converse/job.jsonl")
	if n.Rows.Answered != 119 || n.Rows.Failed != 1 || n.Tokens.Input != 119*4 || !strings.Contains(n.Raw, `"answers":{"truncated":1,`) ||
		len(n.Errors) != 1 || n.Errors[0].Message != "that is never answered" {
		t.Errorf("notice: %s", n.Raw)
	}
	for _, r := range lines[struct {
		Row                           int
		Output, Reasoning, StopReason string
		Attempt                       int
	}](u, n.Results.Results) {
		want, stop, attempt := "echo "+subject(r.Row-1), "end_turn", 1
		switch r.Row {
		case 9:
			want, attempt = "echo busy", 2
		case 10:
			want, stop = "and so on", "max_tokens"
			if r.Reasoning != "hm" {
				t.Errorf("row %d: reasoning %q", r.Row, r.Reasoning)
			}
		}
		if r.Output != want || r.StopReason != stop || r.Attempt != attempt {
			t.Errorf("row %+v, want %s by %s at attempt %d", r, want, stop, attempt)
		}
	}
	if n := u.notice("converse/few.jsonl"); n.Status != "Completed" {
		t.Errorf("notice: %s", n.Raw)
	}
	if n := u.notice("claude/native.jsonl"); n.Status != "Completed" || lines[result](u, n.Results.Results)[0].Output != "echo native" {
		t.Errorf("native: %s", n.Raw)
	}
	u.ended()
	chat.mu.Lock()
	defer chat.mu.Unlock()
	if len(chat.odd) > 0 || chat.asked < 123 {
		t.Errorf("%d requests, odd ones: %.3s", chat.asked, chat.odd)
	}
}
