package part_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// nowhere is a sink that drops everything.
type nowhere struct{ records int }

func (n *nowhere) Open(int, part.Stream) (io.Writer, error) { return io.Discard, nil }

func (n *nowhere) Closed(p part.Part) error { n.records += p.Records; return nil }

// TestRecordsAreMadeWithoutAllocating counts what it costs to read, render and
// stage a row, beyond what an upload costs once.
func TestRecordsAreMadeWithoutAllocating(t *testing.T) {
	const rows = 4000
	text := strings.Repeat(`größe \"and\" so on, \u00fc.\n`, 30)
	ask := "Summarise {title}: {text}"
	for _, c := range []struct {
		name string
		f    dataset.Format
		row  string
		w    workload.Workload
	}{
		{"native", dataset.Native, `{"id":"u%d","modelInput":{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}]}}`, workload.Workload{}},
		{"prompt", dataset.Prompt, `{"id":"u%d","prompt":"` + text + `"}`, workload.Workload{Model: "amazon.nova-lite-v1:0"}},
		{"template", dataset.JSONL, `{"id":"u%d","title":"t","text":"` + text + `"}`, workload.Workload{Model: "amazon.nova-lite-v1:0", Template: &ask}},
		{"openai", dataset.OpenAI, `{"custom_id":"u%d","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"` + text + `"}],"max_tokens":100,"temperature":0}}`, workload.Workload{Model: "amazon.nova-lite-v1:0"}},
	} {
		var upload strings.Builder
		for i := range rows {
			fmt.Fprintf(&upload, c.row+"\n", i)
		}
		total := testing.AllocsPerRun(2, func() {
			batches, _ := dataset.NewBatches(c.f, strings.NewReader(upload.String()), dataset.Position{}, dataset.Options{})
			renderer, err := prompt.NewRenderer(c.w, c.f)
			if err != nil {
				t.Fatal(err)
			}
			sink := &nowhere{}
			builder, err := part.NewBuilder(part.Quota{MinRecords: 100, MaxRecords: 50_000, MaxBytes: 1 << 30}, sink, part.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer builder.Close()
			looker, out, line := batches.Looker(), []byte(nil), []byte(nil)
			for batch := new(dataset.Batch); batches.Next(batch) == nil; {
				for i := range batch.Len() {
					row := looker.Row(batch, i)
					var bad *dataset.Bad
					if out, bad = renderer.Append(out[:0], row); bad != nil {
						t.Fatal(bad.Reason)
					}
					line = part.AppendEntry(line[:0], part.Entry{Row: row.Row, ID: row.ID, Source: part.NoSource})
					if err := builder.Add(part.Item{Record: out, Row: row.Row, Line: line, Next: batch.Next(i)}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := builder.End(); err != nil || sink.records != rows {
				t.Fatal(sink.records, err)
			}
		})
		if each := total / rows; each > 0.1 {
			t.Errorf("%s: %.2f allocations a record", c.name, each)
		} else {
			t.Logf("%s: %.3f allocations a record", c.name, each)
		}
	}
}
