package model

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Server is a backend behind an OpenAI-compatible address, such as Ollama's,
// llama.cpp's or vLLM's.
type Server struct {
	// URL is the base, such as http://127.0.0.1:11434/v1.
	URL string
	// Model is the name the server knows; empty passes on the base model's id.
	Model string
	// Client sends; default http.DefaultClient.
	Client *http.Client
}

// Complete asks the server. Its refusals become errors of the record with the
// server's status.
func (s Server) Complete(ctx context.Context, chat Chat) (Completion, error) {
	name := s.Model
	if name == "" {
		name = chat.Model.ID
	}
	var messages []any
	if chat.System != "" {
		messages = append(messages, ordered{{"role", "system"}, {"content", chat.System}})
	}
	for _, t := range chat.Turns {
		if t.Media > 0 {
			return Completion{}, invalid("the model server is asked with texts alone, and a message holds %d images, documents or the like", t.Media)
		}
		messages = append(messages, ordered{{"role", t.Role}, {"content", t.Text}})
	}
	body := ordered{{"model", name}, {"messages", messages}, {"max_tokens", chat.MaxTokens}}
	if len(chat.Stop) > 0 {
		var stop []any
		for _, t := range chat.Stop {
			stop = append(stop, t)
		}
		body = append(body, pair{"stop", stop})
	}
	payload := appendJSON(nil, body)
	payload = payload[:len(payload)-1]
	if chat.Temperature != nil {
		payload = fmt.Appendf(payload, `,"temperature":%g`, *chat.Temperature)
	}
	if chat.TopP != nil {
		payload = fmt.Appendf(payload, `,"top_p":%g`, *chat.TopP)
	}
	payload = append(payload, '}')

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.URL, "/")+"/chat/completions", bytes.NewReader(payload))
	if err != nil {
		return Completion{}, fmt.Errorf("ask the model server: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return Completion{}, ctx.Err()
		}
		return Completion{}, &Error{Status: 503, Code: "ServiceUnavailableException", Message: fmt.Sprintf("the model server %s does not answer: %v", s.URL, err)}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return Completion{}, &Error{Status: 503, Code: "ServiceUnavailableException", Message: fmt.Sprintf("the model server %s broke off: %v", s.URL, err)}
	}
	if resp.StatusCode != http.StatusOK {
		return Completion{}, serverError(resp.StatusCode, answer)
	}
	return readCompletion(answer)
}

func serverError(status int, answer []byte) error {
	message := http.StatusText(status)
	if body, err := parse(answer); err == nil {
		if m := str(sub(body, "error"), "message"); m != "" {
			message = m
		} else if m := str(body, "error"); m != "" {
			message = m
		}
	}
	code := "ValidationException"
	switch {
	case status == http.StatusTooManyRequests:
		code = "ThrottlingException"
	case status >= 500:
		code = "ModelErrorException"
	}
	return &Error{Status: status, Code: code, Message: message}
}

func readCompletion(answer []byte) (Completion, error) {
	broken := func(what string) error {
		return &Error{Status: 424, Code: "ModelErrorException", Message: "the model server's answer " + what}
	}
	body, err := parse(answer)
	if err != nil {
		return Completion{}, broken("is not a JSON object")
	}
	choices := items(body, "choices")
	if len(choices) == 0 {
		return Completion{}, broken("has no choices")
	}
	choice, _ := choices[0].(object)
	message := sub(choice, "message")
	done := Completion{Text: str(message, "content"), Reasoning: str(message, "reasoning_content")}
	if done.Reasoning == "" {
		done.Reasoning = str(message, "reasoning")
	}
	switch str(choice, "finish_reason") {
	case "length":
		done.Stop = MaxTokens
	case "content_filter":
		done.Stop = Refused
	}
	counts := sub(body, "usage")
	done.InputTokens, done.OutputTokens = count(counts, "prompt_tokens"), count(counts, "completion_tokens")
	if done.OutputTokens == 0 {
		done.OutputTokens = max(1, tokens(done.Text)+tokens(done.Reasoning))
	}
	return done, nil
}
