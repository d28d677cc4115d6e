package part_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// stage makes parts of an upload from a position on, as preparing does.
func stage(t *testing.T, f dataset.Format, upload string, at dataset.Position, first int, q part.Quota) *kept {
	t.Helper()
	template := "Rate {text}"
	w := workload.Workload{}
	if f != dataset.Native {
		w.Template = &template
	}
	renderer, err := prompt.NewRenderer(w, f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := dataset.New(f, strings.NewReader(upload[at.Off:]), at, dataset.Options{MaxRow: 200})
	if err != nil {
		t.Fatal(err)
	}
	sink := &kept{first: first}
	builder, err := part.NewBuilder(q, sink, part.Options{First: first, MaxAside: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer builder.Close()
	for {
		item := part.Item{At: rows.Position()}
		row, err := rows.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		item.Next = rows.Position()
		item.Row = row.Row
		record := fmt.Appendf(nil, `{"recordId":"r%010d","modelInput":`, row.Row)
		record, bad := renderer.Append(record, row)
		if bad != nil {
			row.Bad = bad
			item.Aside = dataset.AppendAside(nil, row, "")
		} else {
			item.Record = append(record, '}', '\n')
			item.Line = part.AppendEntry(nil, part.Entry{Row: row.Row, Off: row.Off, Len: row.End - row.Off, Source: part.NoSource, ID: row.ID})
		}
		if err := builder.Add(item); err != nil {
			t.Fatal(err)
		}
	}
	if err := builder.End(); err != nil {
		t.Fatal(err)
	}
	return sink
}

// TestPreparingGoesOnAfterAnyPart stages random uploads with bad rows among
// the good ones, as a whole and from each part's end on, and compares.
func TestPreparingGoesOnAfterAnyPart(t *testing.T) {
	pieces := map[dataset.Format][]string{
		dataset.Native: {`{"modelInput":{"a":1}}`, `{"id":"x","modelInput":{"text":"é"}}` + "\r", `{"modelInput":3}`, "", "oops", `{"modelInput":{"a":"` + strings.Repeat("x", 300) + `"}}`, `{"modelInput":{"b":[]}}`},
		dataset.JSONL:  {`{"text":"a"}`, `{"text":"\ud83d\ude00","id":7}`, `{"txt":"a"}`, " ", "{", `{"text":"` + strings.Repeat("x", 100) + `"}`},
		dataset.CSV:    {"1,a", "2,\"b\nc\"", "3", "", "\"x\"y,z", "4,\"say \"\"it\"\"\"\r", "5," + strings.Repeat("x", 300)},
		dataset.JSON:   {`{"text":"a"},`, "{\n\"text\":\"b\"},", `{"text":},`, `{"text":"` + strings.Repeat("x", 300) + `"},`, "  ", "7,"},
	}
	for _, f := range []dataset.Format{dataset.Native, dataset.JSONL, dataset.CSV, dataset.JSON} {
		t.Run(string(f), func(t *testing.T) {
			for seed := range uint64(25) {
				rnd := rand.New(rand.NewPCG(seed, 11))
				var b strings.Builder
				if rnd.IntN(2) == 0 {
					b.WriteString("\xef\xbb\xbf")
				}
				switch f {
				case dataset.CSV:
					b.WriteString("id,text\n")
				case dataset.JSON:
					b.WriteString("[\n")
				}
				for range rnd.IntN(60) {
					b.WriteString(pieces[f][rnd.IntN(len(pieces[f]))])
					b.WriteByte('\n')
				}
				if f == dataset.JSON {
					b.WriteString("]")
				}
				quota := part.Quota{MinRecords: 1 + rnd.IntN(4), MaxBytes: int64(300 + rnd.IntN(1000))}
				quota.MaxRecords = 2*quota.MinRecords + rnd.IntN(6)
				upload := b.String()
				whole := stage(t, f, upload, dataset.Position{}, 0, quota)
				for i, p := range whole.parts {
					rest := stage(t, f, upload, p.Resume, i+1, quota)
					if err := same(whole, rest, i+1); err != nil {
						t.Fatalf("seed %d, continued after part %d: %v", seed, i, err)
					}
				}
			}
		})
	}
}
