package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Model implements batch.Model on a Bedrock.
type Model struct {
	bedrock *Bedrock
	hook    Hook
}

var _ batch.Model = (*Model)(nil)

// Model is inference on demand, through a hook (nil: none).
func (b *Bedrock) Model(hook Hook) *Model { return &Model{bedrock: b, hook: hook} }

// Answer implements batch.Model.
func (m *Model) Answer(ctx context.Context, modelID string, how batch.Invocation, modelInput []byte) (answer []byte, err error) {
	err = around(ctx, m.hook, "Model.Answer", modelID, func() error {
		var body map[string]json.RawMessage
		if err := json.Unmarshal(modelInput, &body); err != nil || body == nil || modelID == "" ||
			how != batch.Converse && how != batch.InvokeModel || how == batch.Converse && body["messages"] == nil {
			return fmt.Errorf("ask %s: %w", modelID, &batch.ServiceError{
				Class: batch.ErrInvalid, Code: "ValidationException", Message: "The provided request is not valid", Status: 400,
			})
		}
		b := m.bedrock
		b.mu.Lock()
		b.asked = append(b.asked, Question{At: b.set.Clock.Now(), ModelID: modelID, Invocation: how, Input: bytes.Clone(modelInput)})
		b.mu.Unlock()
		answer = b.set.Answer(modelID, how, modelInput)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Reply is the answer that a Bedrock gives by default: in the shape of
// Converse or of Anthropic's messages, with a text that differs with the
// input and token counts that follow from its length.
func Reply(_ string, how batch.Invocation, modelInput []byte) []byte {
	text := fmt.Sprintf("answer %x", sha256.Sum256(modelInput))[:20]
	in, out := len(modelInput)/4, 8
	if how == batch.Converse {
		return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[{"text":"%s"}]}},"stopReason":"end_turn","usage":{"inputTokens":%d,"outputTokens":%d,"totalTokens":%d},"metrics":{"latencyMs":1}}`, text, in, out, in+out)
	}
	return fmt.Appendf(nil, `{"id":"msg","type":"message","role":"assistant","content":[{"type":"text","text":"%s"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":%d,"output_tokens":%d}}`, text, in, out)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
