package model

import "strings"

var openaiMessage = shape{kind: members, open: true, fields: map[string]shape{
	"role":    shape{kind: text, enum: []string{"system", "developer", "user", "assistant", "tool"}}.must(),
	"content": {kind: list, of: &shape{kind: members, open: true}, either: &shape{kind: text}},
}}

// chatFields are what OpenAI-shaped bodies may hold.
var chatFields = map[string]shape{
	"messages":              shape{kind: list, min: 1, of: &openaiMessage}.must(),
	"model":                 {kind: text},
	"max_tokens":            {kind: integer, min: 1},
	"max_completion_tokens": {kind: integer, min: 1},
	"temperature":           {kind: decimal, max: 2},
	"top_p":                 {kind: decimal, max: 1},
	"stop":                  {kind: list, of: &shape{kind: text}, either: &shape{kind: text}},
	"stream":                {kind: boolean},
	"seed":                  {kind: integer},
	"n":                     {kind: integer, min: 1},
	"frequency_penalty":     {kind: decimal, min: -2, max: 2},
	"presence_penalty":      {kind: decimal, min: -2, max: 2},
	"logit_bias":            {kind: members, open: true},
	"logprobs":              {kind: boolean},
	"top_logprobs":          {kind: integer},
	"tools":                 {kind: list},
	"tool_choice":           {},
	"response_format":       {kind: members, open: true},
	"reasoning_effort":      {kind: text, enum: []string{"low", "medium", "high", "none", "minimal"}},
	"user":                  {kind: text},
	"metadata":              {kind: members, open: true},
	"service_tier":          {kind: text},
	"store":                 {kind: boolean},
	"parallel_tool_calls":   {kind: boolean},
}

func readOpenAI(body object, chat *Chat) error {
	if body["stream"] == true {
		return invalid("stream is not supported by this operation: leave it out or set it to false")
	}
	readTurns(body, chat)
	if len(chat.Turns) == 0 {
		return invalid("messages: at least one message must have the role user")
	}
	chat.MaxTokens = max(count(body, "max_tokens"), count(body, "max_completion_tokens"))
	chat.Stop = texts(body, "stop")
	if s := str(body, "stop"); s != "" {
		chat.Stop = []string{s}
	}
	chat.Temperature, chat.TopP = float(body, "temperature"), float(body, "top_p")
	return nil
}

func writeOpenAI(chat Chat, done Completion, reason string) any {
	answer := done.Text
	if done.Reasoning != "" {
		answer = "<reasoning>" + done.Reasoning + "</reasoning>" + answer
	}
	return ordered{
		{"id", "chatcmpl-" + identifier(chat)},
		{"object", "chat.completion"},
		{"created", 1_760_000_000 + int(chat.Seed%30_000_000)},
		{"model", chat.Model.ID},
		{"choices", []any{ordered{
			{"index", 0},
			{"message", ordered{{"role", "assistant"}, {"content", answer}}},
			{reason, named(done, "stop", "length", "stop", "content_filter")},
		}}},
		{"usage", usage(done, "prompt_tokens", "completion_tokens", "total_tokens")},
	}
}

// openaiCodec is the chat completion body of gpt-oss and many others.
var openaiCodec = codec{
	dialect: malformed,
	shape:   shape{kind: members, fields: chatFields},
	read: func(body object, chat *Chat) error {
		chat.Think = strings.HasPrefix(chat.Model.ID, "openai.gpt-oss") // reasons unless told otherwise
		return readOpenAI(body, chat)
	},
	write: func(chat Chat, done Completion) any { return writeOpenAI(chat, done, "finish_reason") },
}

// mistralChatCodec is Mistral's newer body; its answers call the reason
// stop_reason.
var mistralChatCodec = codec{
	dialect: malformed,
	shape:   shape{kind: members, fields: chatFields},
	read:    readOpenAI,
	write:   func(chat Chat, done Completion) any { return writeOpenAI(chat, done, "stop_reason") },
}
