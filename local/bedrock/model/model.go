// Package model answers for the models: it checks a request body as the
// model's provider does, lets a backend write the text, and returns the body in
// the provider's own response shape.
package model

import (
	"context"
	"fmt"
)

// Family is a group of models that share request and response bodies.
type Family string

// The families.
const (
	Anthropic      Family = "anthropic"
	Nova           Family = "nova"
	TitanText      Family = "titan-text"
	TitanEmbed     Family = "titan-embed"
	TitanImage     Family = "titan-embed-image"
	Llama          Family = "llama"
	MistralPrompt  Family = "mistral-prompt"
	MistralChat    Family = "mistral-chat"
	CohereChat     Family = "cohere-chat"
	CohereEmbed    Family = "cohere-embed"
	NovaEmbed      Family = "nova-embed"
	DeepSeekPrompt Family = "deepseek-prompt"
	OpenAI         Family = "openai"
)

// Request is one body to answer.
type Request struct {
	Model Model
	// Converse says that Body is a Converse request, not the model's own.
	Converse bool
	// Batch refuses what only live calls may have.
	Batch bool
	Body  []byte
	// Seed makes two equal bodies answer differently; 0 in live calls.
	Seed uint64
}

// Result is an answered body.
type Result struct {
	Body                      []byte
	InputTokens, OutputTokens int64
}

// Answerer answers bodies. A body that the model refuses is an *Error.
type Answerer interface {
	Answer(ctx context.Context, req Request) (Result, error)
}

// Error is a refusal by the model or its service.
type Error struct {
	// Status is the HTTP-like number that batch output shows.
	Status int
	// Code is the runtime API's error code.
	Code string
	// Message is the text.
	Message string
}

// Error is code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// invalid is a refusal of the body.
func invalid(format string, args ...any) *Error {
	return &Error{Status: 400, Code: "ValidationException", Message: fmt.Sprintf(format, args...)}
}

// Rates are the shares of answers, decided by seed, that do not end as usual.
type Rates struct {
	Truncate, Refuse, Reason float64
}

// Chat is a conversation without its family's clothes.
type Chat struct {
	Model     Model
	System    string
	Turns     []Turn
	MaxTokens int // 0: the model's own limit
	Stop      []string
	// Temperature and TopP are nil where the body leaves them out.
	Temperature, TopP *float64
	// Think asks for reasoning beside the answer.
	Think bool
	Seed  uint64
}

// Turn is one message of a conversation.
type Turn struct {
	Role string // user or assistant
	Text string
	// Media counts images, documents and videos.
	Media int
}

// StopReason is why a completion ended.
type StopReason int

// The stop reasons a backend may give.
const (
	EndTurn StopReason = iota
	MaxTokens
	StopSequence
	Refused
)

// Completion is what a backend writes.
type Completion struct {
	Text, Reasoning           string
	Stop                      StopReason
	StopText                  string // the sequence that stopped it
	InputTokens, OutputTokens int
}

// Completer is the backend that writes texts.
type Completer interface {
	Complete(ctx context.Context, chat Chat) (Completion, error)
}
