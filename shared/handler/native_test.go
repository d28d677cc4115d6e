package handler_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Key order, numbers that no program could hold, escapes, halves of surrogate
// pairs, space between tokens and bodies of nearly 25 MB arrive as they were
// written, on demand and in jobs.
func TestNativeBodiesArriveByteForByte(t *testing.T) {
	const envelope = `{"recordId":"r","modelInput":`
	odd := []string{
		`{"z":1,"a":2,"z":3}`,
		`{ "n" : [ 1e400, -0.0, 12345678901234567890.123456789012345678901234567890, 1E+2 ] }`,
		"{\"s\":\"\\u00e9\\/\\ud800\\udc00 \\udfff é 😀 \\u0000\u2028\"}",
		`{"nested":{"a":[[[{"b":{}}]]]},"":null,"\u006b":true}`,
	}
	large := `{"prompt":"` + strings.Repeat(`\ud83d\u0000é`, 1_700_000)
	large += strings.Repeat("x", 25_000_000-len(envelope)-len(large)-len(`"}}`)) + `"}`
	for _, how := range []string{"on demand", "by a job"} {
		t.Run(how, func(t *testing.T) {
			bodies := slices.Clone(odd)
			if how == "by a job" {
				bodies = append(bodies, large, odd[0])
			}
			var got []string
			w := handlertest.New(t, func(w *handlertest.World) {
				if how == "by a job" {
					small(w)
					w.Settings.Quotas.MaxFileBytes = 100_000_000
				}
				w.Answer = func(_ string, _ batch.Invocation, in []byte) []byte {
					got = append(got, string(in))
					return []byte(`{"content":[{"type":"text","text":"x"}],"stop_reason":"end_turn"}`)
				}
			})
			w.Settings.OnDemandConcurrency = 1
			w.Input.Set("workload.yaml", []byte("model: us.anthropic.claude-haiku-4-5-20251001-v1:0\n"))
			var rows bytes.Buffer
			for _, body := range bodies {
				rows.WriteString(envelope + body + "}\n")
			}
			w.Input.Set("a.jsonl", rows.Bytes())
			w.Run()
			if n := one(t, w); n.Status != pipeline.StatusCompleted || n.Rows.Answered != int64(len(bodies)) {
				t.Fatalf("notice: %+v", n)
			}
			slices.Sort(got)
			slices.Sort(bodies)
			if !slices.Equal(got, bodies) {
				for i := range min(len(got), len(bodies)) {
					if got[i] != bodies[i] {
						t.Errorf("got  %.200s\nwant %.200s", got[i], bodies[i])
					}
				}
				t.Errorf("%d bodies arrived, want %d", len(got), len(bodies))
			}
			clean(t, w)
		})
	}
}
