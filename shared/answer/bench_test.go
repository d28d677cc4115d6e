package answer_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// BenchmarkOrder orders 20 000 records of about 3.5 KB, shuffled, one in a
// hundred failed.
func BenchmarkOrder(b *testing.B) {
	const records = 20_000
	r := rand.New(rand.NewPCG(1, 1))
	prompt := strings.Repeat(`Tell me \"all\" about größe and \u00fcber, please.\n`, 40)
	says := strings.Repeat(`It is a long story, and it begins with größe.\n`, 20)
	var rows []int64
	var converse, anthropic []string
	for row := int64(1); row <= records; row++ {
		rows = append(rows, row)
		if row%100 == 0 {
			line := fmt.Sprintf(`{"recordId":%q,"modelInput":{"messages":[{"role":"user","content":[{"text":"%s"}]}]},"error":{"errorCode":503,"errorMessage":"later"}}`+"\n", id(row), prompt)
			converse, anthropic = append(converse, line), append(anthropic, line)
			continue
		}
		converse = append(converse, fmt.Sprintf(`{"recordId":%q,"modelInput":{"messages":[{"role":"user","content":[{"text":"%s"}]}]},"modelOutput":{"output":{"message":{"role":"assistant","content":[{"text":"%s"}]}},"stopReason":"end_turn","usage":{"inputTokens":18,"outputTokens":6,"totalTokens":24},"metrics":{"latencyMs":812}}}`+"\n", id(row), prompt, says))
		anthropic = append(anthropic, fmt.Sprintf(`{"modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":256,"messages":[{"role":"user","content":[{"type":"text","text":"%s"}]}]},"modelOutput":{"model":"m","id":"msg","type":"message","role":"assistant","content":[{"type":"text","text":"%s"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":21,"output_tokens":12}},"recordId":%q}`+"\n", prompt, says, id(row)))
	}
	idx := index(rows...)
	for _, c := range []struct {
		name   string
		how    batch.Invocation
		family model.Family
		lines  []string
		memory int64
	}{
		{"converse", batch.Converse, "", converse, 1 << 30},
		{"anthropic", batch.InvokeModel, model.Anthropic, anthropic, 1 << 30},
		{"converse spilled", batch.Converse, "", converse, -1},
	} {
		r.Shuffle(len(c.lines), func(i, j int) { c.lines[i], c.lines[j] = c.lines[j], c.lines[i] })
		out := outputs(strings.Join(c.lines, ""))
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(out[0].Size)
			b.ReportAllocs()
			dir := b.TempDir()
			for b.Loop() {
				tally, err := answer.Order(context.Background(), answer.Job{
					Index: text(idx), Outputs: out, Invocation: c.how, Family: c.family, Attempt: 1,
					Dir: dir, Memory: c.memory, Spill: 1 << 30, Results: io.Discard, Failed: io.Discard,
				})
				if err != nil || tally.Answered != records-records/100 {
					b.Fatal(tally, err)
				}
			}
			b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
