package batchtest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Inference is a model as a suite needs it.
type Inference struct {
	Model batch.Model
	// ModelID answers Anthropic's messages and Converse.
	ModelID string
}

// Bodies that any Anthropic model takes.
const (
	converseBody = `{"system":[{"text":"Answer in one sentence."}],"messages":[{"role":"user","content":[{"text":"Name a prime above 10."}]}],"inferenceConfig":{"maxTokens":256,"temperature":0.2}}`
	nativeBody   = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":256,"messages":[{"role":"user","content":[{"type":"text","text":"Name a prime above 10."}]}]}`
)

// Model is the contract of batch.Model.
func Model(t *testing.T, open func() Inference) {
	for name, test := range map[string]func(*testing.T, Inference){
		"answer has the shape of Converse for a Converse body":      answerConverse,
		"answer has the model's own shape for a native body":        answerNative,
		"a body that is none is invalid":                            answerBroken,
		"an invocation that does not exist is invalid":              answerHow,
		"a context that has ended ends the call without an answer ": answerContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open()) })
	}
}

func answerConverse(t *testing.T, i Inference) {
	out, err := i.Model.Answer(t.Context(), i.ModelID, batch.Converse, []byte(converseBody))
	must(t, err)
	var body struct {
		Output struct {
			Message struct {
				Role    string
				Content []struct{ Text string }
			}
		}
		StopReason string
		Usage      struct{ InputTokens, OutputTokens int }
	}
	must(t, json.Unmarshal(out, &body))
	equal(t, "role", body.Output.Message.Role, "assistant")
	equal(t, "absence of text", len(body.Output.Message.Content) == 0 || body.Output.Message.Content[0].Text == "", false)
	equal(t, "absence of a stop reason", body.StopReason == "", false)
	equal(t, "absence of tokens", body.Usage.InputTokens == 0 || body.Usage.OutputTokens == 0, false)
}

func answerNative(t *testing.T, i Inference) {
	out, err := i.Model.Answer(t.Context(), i.ModelID, batch.InvokeModel, []byte(nativeBody))
	must(t, err)
	var body struct {
		Content    []struct{ Type, Text string }
		StopReason string `json:"stop_reason"`
	}
	must(t, json.Unmarshal(out, &body))
	equal(t, "absence of text", len(body.Content) == 0 || body.Content[0].Text == "", false)
	equal(t, "absence of a stop reason", body.StopReason == "", false)
}

func answerBroken(t *testing.T, i Inference) {
	for _, how := range []batch.Invocation{batch.Converse, batch.InvokeModel} {
		_, err := i.Model.Answer(t.Context(), i.ModelID, how, []byte(`{"messages":`))
		is(t, err, batch.ErrInvalid)
	}
}

func answerHow(t *testing.T, i Inference) {
	_, err := i.Model.Answer(t.Context(), i.ModelID, "Guess", []byte(nativeBody))
	is(t, err, batch.ErrInvalid)
}

func answerContext(t *testing.T, i Inference) {
	_, err := i.Model.Answer(ended(t), i.ModelID, batch.Converse, []byte(converseBody))
	is(t, err, context.Canceled)
}
