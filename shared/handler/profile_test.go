package handler_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

const profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"

// behind answers with the model behind any profile, or with an error.
type behind struct {
	arn string
	err error
}

func (b behind) BaseModel(context.Context, string) (string, error) { return b.arn, b.err }

func TestNativeRowsOnAProfileAreReadByTheModelBehindIt(t *testing.T) {
	native := []byte(strings.Repeat(`{"modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}}`+"\n", 5))
	const claude = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"
	for name, c := range map[string]struct {
		models batch.Models
		yaml   string
		status string
		reason string
	}{
		"found by the service":         {behind{arn: claude}, "", pipeline.StatusCompleted, ""},
		"said by the workload":         {nil, "family: anthropic\n", pipeline.StatusCompleted, ""},
		"said by it, as none may look": {behind{err: fmt.Errorf("get: %w", batch.ErrAccess)}, "family: anthropic\n", pipeline.StatusCompleted, ""},
		"known by nobody":              {behind{err: fmt.Errorf("get: %w", batch.ErrAccess)}, "", pipeline.StatusRejected, "set family"},
	} {
		t.Run(name, func(t *testing.T) {
			w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Models = c.models })
			w.Input.Set("workload.yaml", []byte("model: "+profile+"\n"+c.yaml))
			w.Input.Set("a.jsonl", native)
			w.Run()
			n := one(t, w)
			if n.Status != c.status || !strings.Contains(n.Reason, c.reason) {
				t.Fatalf("notice: %+v", n)
			}
			if n.Status != pipeline.StatusCompleted {
				return
			}
			if n.ModelID != profile || n.Rows.Answered != 5 {
				t.Errorf("notice: %+v", n)
			}
			if found := n.EstimatedCostUSD != nil; found != (name == "found by the service") {
				t.Errorf("cost: %v", n.EstimatedCostUSD)
			}
			clean(t, w)
		})
	}
}
