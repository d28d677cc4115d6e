package answer_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// TestAnswersAreOrderedWithoutAllocating counts what it costs to read, order
// and write a record's answer, beyond what a part costs once.
func TestAnswersAreOrderedWithoutAllocating(t *testing.T) {
	const records = 4000
	says := strings.Repeat(`It is \"long\", größe and \u00fc.\n`, 30)
	for _, c := range []struct {
		name   string
		how    batch.Invocation
		family model.Family
		output string
	}{
		{"converse", batch.Converse, "", `{"output":{"message":{"role":"assistant","content":[{"text":"` + says + `"}]}},"stopReason":"end_turn","usage":{"inputTokens":18,"outputTokens":6,"totalTokens":24}}`},
		{"anthropic", batch.InvokeModel, model.Anthropic, `{"type":"message","role":"assistant","content":[{"type":"text","text":"` + says + `"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":21,"output_tokens":12}}`},
	} {
		var rows []int64
		var lines strings.Builder
		for i := range records {
			rows = append(rows, int64(i+1))
			fmt.Fprintf(&lines, `{"modelInput":{"a":1},"modelOutput":%s,"recordId":%q}`+"\n", c.output, id(int64(records-i)))
		}
		idx, out := index(rows...), outputs(lines.String())
		total := testing.AllocsPerRun(2, func() {
			tally, err := answer.Order(context.Background(), answer.Job{
				Index: text(idx), Outputs: out, Invocation: c.how, Family: c.family, Attempt: 1, Dir: t.TempDir(), Results: io.Discard, Failed: io.Discard,
			})
			if err != nil || tally.Answered != records {
				t.Fatal(tally, err)
			}
		})
		if each := total / records; each > 0.1 {
			t.Errorf("%s: %.2f allocations a record", c.name, each)
		} else {
			t.Logf("%s: %.3f allocations a record", c.name, each)
		}
	}
}
