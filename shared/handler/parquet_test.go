package handler_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	library "github.com/parquet-go/parquet-go"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// question is a row of an upload.
type question struct {
	ID   int64   `parquet:"id"`
	Text *string `parquet:"text,optional,zstd"`
	Note string  `parquet:"note"`
}

// questions is a Parquet file in row groups of seven rows; every eleventh row
// has no text.
func questions(t *testing.T, rows int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := library.NewGenericWriter[question](&b, library.MaxRowsPerRowGroup(7))
	for i := 1; i <= rows; i++ {
		text := fmt.Sprint("question ", i)
		q := question{ID: int64(i), Text: &text, Note: strings.Repeat("n", i%5)}
		if i%11 == 0 {
			q.Text = nil
		}
		if _, err := w.Write([]question{q}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// answeredRow is a row of the results as another reader sees it.
type answeredRow struct {
	Submission string    `parquet:"submission,optional"`
	Workload   string    `parquet:"workload,optional"`
	Row        int64     `parquet:"row,optional"`
	ID         string    `parquet:"id,optional"`
	Source     string    `parquet:"source,optional"`
	Status     string    `parquet:"status,optional"`
	Output     string    `parquet:"output,optional"`
	JSON       string    `parquet:"json,optional"`
	Embedding  []float64 `parquet:"embedding,optional,list"`
	Stop       string    `parquet:"stop_reason,optional"`
	Input      int64     `parquet:"input_tokens,optional"`
	OutTokens  int64     `parquet:"output_tokens,optional"`
	Attempt    int64     `parquet:"attempt,optional"`
	Code       string    `parquet:"error_code,optional"`
	Message    string    `parquet:"error_message,optional"`
	Echo       string    `parquet:"input,optional"`
}

func rowsBelow(t *testing.T, w *handlertest.World, prefix string) (all []answeredRow) {
	t.Helper()
	for _, key := range w.Output.Keys(prefix) {
		body := w.Output.Bytes(key)
		r := library.NewGenericReader[answeredRow](bytes.NewReader(body))
		rows := make([]answeredRow, r.NumRows())
		if n, err := r.Read(rows); n != len(rows) || err != nil && err != io.EOF {
			t.Fatalf("%s: %d rows, %v", key, n, err)
		}
		all = append(all, rows...)
	}
	return all
}

// Each slice holds a few rows, so that reading goes on in the middle of files
// and row groups.
func TestParquetIsReadInSlicesAndItsErrorsCanBeDroppedAgain(t *testing.T) {
	const rows = 100
	broken, prepared := true, 0
	w := handlertest.New(quiet{t}, func(w *handlertest.World) {
		small(w)
		w.Slice, w.Settings.Margin = 2*time.Second, config.Duration(time.Hour)
		w.Hook = ticking{w}
		w.Outcome = func(batch.Job) memory.Outcome {
			return memory.Outcome{Line: func(n int, id string) memory.Line {
				if broken && n%3 == 1 {
					return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
				}
				return memory.Line{}
			}}
		}
		w.Invoked = func(half string, body []byte) {
			if bytes.Contains(body, []byte(`"do":"continue"`)) {
				prepared++
			}
		}
	})
	w.Input.Set("p/workload.yaml", []byte(nova+"prompt_template: 'Say {text}'\nformat: parquet\noutput: {echo: true}\n"))
	w.Input.Set("p/a.parquet", questions(t, rows))
	w.Run()
	first := one(t, w)
	if first.Rows.Total != rows || first.Rows.SetAside != rows/11 || first.Rows.Failed == 0 || first.Rows.Missing != 0 {
		t.Fatalf("notice: %+v", first)
	}
	if prepared < 3 {
		t.Errorf("prepared in %d slices", prepared)
	}
	asked := 0
	for _, sent := range w.Sent {
		if strings.Contains(sent, `"Say question `) {
			asked++
		}
	}
	if int64(asked) > first.Rows.Total {
		t.Errorf("%d records of %d rows", asked, rows)
	}
	for line := range bytes.Lines(w.Result(first, "results.jsonl")) {
		var r struct {
			Row   int64
			ID    int64
			Input question
		}
		if err := json.Unmarshal(line, &r); err != nil || r.ID != r.Row || r.Input.ID != r.Row || *r.Input.Text != fmt.Sprint("question ", r.Row) {
			t.Fatalf("%v: %s", err, line)
		}
	}
	failed := w.Result(first, "errors.jsonl")
	if !bytes.Contains(failed, []byte(`"note":"n`)) {
		t.Errorf("errors.jsonl: %.300s", failed)
	}
	broken = false
	w.Input.Set("p/again.jsonl", failed)
	w.Run()
	n := w.Notices()
	if len(n) != 2 || n[1].Rows.Answered != first.Rows.Failed || n[1].Status != pipeline.StatusCompleted {
		t.Fatalf("notices: %+v", n)
	}
	clean(t, w)
}

func TestABrokenParquetFileIsRejectedWithAReason(t *testing.T) {
	whole := questions(t, 50)
	damaged := bytes.Clone(whole)
	copy(damaged[len(whole)/4:], bytes.Repeat([]byte{0xff}, 200))
	for name, c := range map[string]struct {
		key, settings, want string
		body                []byte
	}{
		"cut off":               {"a.parquet", "", "it does not end with PAR1", whole[:len(whole)-9]},
		"not Parquet at all":    {"a.parquet", "", "it does not begin with PAR1", []byte("id,text\n1,x\n")},
		"damaged in the middle": {"a.parquet", "", "row group", damaged},
		"a column too few":      {"a.parquet", "", `"txt"`, nil},
		"another format's":      {"a.parquet", "format: csv\n", "this is Parquet", whole},
		"no rows":               {"a.parquet", "", "no rows", questions(t, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			w := handlertest.New(t, small)
			template := "prompt_template: 'Say {text}'\n"
			if c.body == nil {
				c.body, template = whole, "prompt_template: 'Say {txt}'\n"
			}
			w.Input.Set("workload.yaml", []byte(nova+template+c.settings))
			w.Input.Set(c.key, c.body)
			w.Run()
			n := one(t, w)
			if n.Status != pipeline.StatusRejected || !strings.Contains(n.Reason, c.want) {
				t.Errorf("notice: %s: %s, want Rejected with %q", n.Status, n.Reason, c.want)
			}
			clean(t, w)
		})
	}
}

func TestParquetFilesOfAFolderAreOneSubmission(t *testing.T) {
	w := handlertest.New(t, small)
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(n int, id string) memory.Line {
			if n%4 == 1 {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
			}
			return memory.Line{}
		}}
	}
	w.Input.Set("t/workload.yaml", []byte(nova+"prompt_template: 'Say {text}'\ngather: {quiet: 30s}\noutput: {parquet: true}\n"))
	w.Input.Set("t/a.parquet", questions(t, 10))
	body := questions(t, 20)
	w.Input.Set("t/b.parquet", append(body[:len(body)-8:len(body)-8], "damaged!"...))
	w.Input.Set("t/c.csv", []byte("id,text\n1,one\n"))
	w.Input.Set("t/d.parquet", questions(t, 12))
	w.Run()
	n := one(t, w)
	if n.Rows.Total != 10+1+1+12 || n.Rows.SetAside != 2 || n.Rows.Failed == 0 {
		t.Fatalf("notice: %+v", n)
	}
	if errs := w.Result(n, "errors.jsonl"); bytes.Contains(errs, []byte(`"modelInput"`)) || !bytes.Contains(errs, []byte(`"text":"question `)) {
		t.Errorf("errors.jsonl: %s", errs)
	}
	sources := map[string]int{}
	for _, row := range rowsBelow(t, w, "results/t/"+n.Submission+"/results/") {
		sources[row.Source]++
	}
	if fmt.Sprint(sources) != "map[t/a.parquet:10 t/c.csv:1 t/d.parquet:11]" {
		t.Errorf("sources: %v", sources)
	}
	clean(t, w)
}

func TestResultsComeBackAsParquetAndIntoTheWarehouse(t *testing.T) {
	for _, warehouse := range []bool{false, true} {
		t.Run(fmt.Sprint("with a warehouse: ", warehouse), func(t *testing.T) {
			tries := 0
			w := handlertest.New(t, func(w *handlertest.World) {
				small(w)
				w.Settings.Warehouse = warehouse
				w.Outcome = func(batch.Job) memory.Outcome {
					tries++
					return memory.Outcome{Line: func(n int, id string) memory.Line {
						switch {
						case id == "r0000000004":
							return memory.Line{Shape: memory.Beside, Code: 400, Message: "no \"thanks\""}
						case id == "r0000000005" && tries < 4:
							return memory.Line{Shape: memory.Beside, Code: 503, Message: "later"}
						}
						return memory.Line{}
					}}
				}
			})
			w.Input.Set("p/workload.yaml", []byte(nova+"name: asked\noutput: {parquet: true, echo: true}\n"))
			w.Input.Set("p/a.jsonl", append(prompts(20), "{\"prompt\":7}\n"...))
			w.Run()
			n := one(t, w)
			folder := "s3://out/results/p/a.jsonl/" + n.Submission + "/results/"
			if n.Results.Parquet != folder || (n.Results.Warehouse == "s3://out/warehouse/dt=2026-11-23/"+n.Submission+"-") != warehouse {
				t.Errorf("places: %+v", n.Results)
			}
			rows := rowsBelow(t, w, strings.TrimPrefix(folder, "s3://out/"))
			if copies := rowsBelow(t, w, "warehouse/"); warehouse != (len(copies) > 0) || warehouse && fmt.Sprint(copies) != fmt.Sprint(rows) {
				t.Errorf("in the warehouse: %+v", copies)
			}
			var counts pipeline.Rows
			var tokens pipeline.Tokens
			for i, row := range rows {
				if row.Row != int64(i+1) || row.ID != fmt.Sprint("u", i+1) || row.Submission != n.Submission || row.Workload != "asked" || !strings.Contains(row.Echo, row.ID) {
					t.Errorf("row %d: %+v", i+1, row)
				}
				tokens.Input, tokens.Output = tokens.Input+row.Input, tokens.Output+row.OutTokens
				switch row.Status {
				case "answered":
					counts.Answered++
					if row.Output == "" || row.Stop != "end_turn" || row.Attempt != 1 && row.ID != "u5" {
						t.Errorf("row %d: %+v", i+1, row)
					}
				case "failed":
					counts.Failed++
					if row.Code != "400" || row.Message != "no \"thanks\"" || row.Output != "" {
						t.Errorf("row %d: %+v", i+1, row)
					}
				}
			}
			if counts.Answered != n.Rows.Answered || counts.Failed != n.Rows.Failed || n.Rows.SetAside != 1 || tokens != n.Tokens {
				t.Errorf("rows %+v and tokens %+v, notice %+v", counts, tokens, n)
			}
			clean(t, w)
		})
	}
}

func TestVectorsAndStructuredAnswersComeBackAsParquet(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) {
		small(w)
		w.Answer = func(modelID string, how batch.Invocation, _ []byte) []byte {
			if strings.Contains(modelID, "titan-embed") {
				return []byte(`{"embedding":[0.25,-1e-3,3],"inputTextTokenCount":4}`)
			}
			return []byte(`{"output":{"message":{"role":"assistant","content":[{"text":"{\"a\": \"x\\ny\"}"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2}}`)
		}
	})
	w.Input.Set("e/workload.yaml", []byte("model: amazon.titan-embed-text-v2:0\noutput: {parquet: true}\n"))
	w.Input.Set("e/a.jsonl", prompts(1))
	w.Input.Set("j/workload.yaml", []byte(nova+"output: {parquet: true, json: true}\n"))
	w.Input.Set("j/a.jsonl", prompts(1))
	w.Run()
	var vectors, objects []answeredRow
	for _, n := range w.Notices() {
		prefix := strings.TrimPrefix(n.Results.Parquet, "s3://out/")
		if strings.HasPrefix(prefix, "results/e/") {
			vectors = rowsBelow(t, w, prefix)
		} else {
			objects = rowsBelow(t, w, prefix)
		}
	}
	if len(vectors) != 1 || len(vectors[0].Embedding) != 3 || math.Abs(vectors[0].Embedding[1]+1e-3) > 1e-18 || vectors[0].Input != 4 {
		t.Errorf("vectors: %+v", vectors)
	}
	if len(objects) != 1 || objects[0].JSON != `{"a": "x\ny"}` || objects[0].Output != "" {
		t.Errorf("objects: %+v", objects)
	}
}
