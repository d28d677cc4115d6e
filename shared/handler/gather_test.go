package handler_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

const summarise = nova + "prompt_template: 'Summarise: {content}'\n"

func drop(w *handlertest.World, n int) {
	for i := range n {
		w.Input.Set(fmt.Sprintf("docs/%s/%03d.txt", []string{"x", "y"}[i%2], i), fmt.Appendf(nil, "document %d", i))
	}
}

func sources(t *testing.T, w *handlertest.World, n pipeline.Notice) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, line := range bytes.Split(bytes.TrimSpace(w.Result(n, "results.jsonl")), []byte("\n")) {
		var r struct{ Source string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got[r.Source]++
	}
	return got
}

func TestAFolderOfDocumentsIsOneSubmission(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("docs/workload.yaml", []byte(summarise))
	drop(w, 20)
	w.Run()
	n := one(t, w)
	if n.Status != pipeline.StatusCompleted || n.Rows.Answered != 20 || n.Upload.Key != "docs" {
		t.Fatalf("notice: %+v", n)
	}
	if got := sources(t, w, n); len(got) != 20 || got["docs/x/000.txt"] != 1 {
		t.Errorf("sources: %v", got)
	}
	clean(t, w)
}

func TestLateAndRepeatedDocumentsAreNeverTakenTwice(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("docs/workload.yaml", []byte(summarise))
	drop(w, 6)
	first := w.Input.Set("docs/again.txt", []byte("first"))
	w.Input.Set("docs/again.txt", []byte("second"))
	w.Run()
	w.Uploads.Put(handlertest.Notification("in", first), 0)
	w.Clock.Advance(72 * time.Hour)
	w.Input.Set("docs/late.txt", []byte("late"))
	w.Run()
	notices := w.Notices()
	if len(notices) != 2 || notices[0].Rows.Total != 7 || notices[1].Rows.Total != 1 {
		t.Fatalf("notices: %+v", notices)
	}
	if got := sources(t, w, notices[1]); got["docs/late.txt"] != 1 {
		t.Errorf("sources: %v", got)
	}
	clean(t, w)
}

func TestAnExpectedNumberSettlesAtOnce(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("docs/workload.yaml", []byte(summarise+"gather: {quiet: 10m, expect: 5, exclude: ['skip*']}\n"))
	drop(w, 5)
	w.Input.Set("docs/skip-me.txt", []byte("x"))
	w.Run()
	if n := one(t, w); n.Rows.Total != 5 {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}

func TestSettingsThatComeAfterTheDocumentsStillHold(t *testing.T) {
	w := handlertest.New(t, small)
	drop(w, 8)
	w.Clock.Advance(20 * time.Second)
	w.Input.Set("docs/workload.yaml", []byte(summarise))
	w.Run()
	if n := one(t, w); n.Rows.Total != 8 || n.Status != pipeline.StatusCompleted || n.Upload.Key != "docs" {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}

func TestTablesOfAFolderAreOneSubmissionWhereTheWorkloadIsPatient(t *testing.T) {
	w := handlertest.New(t, small)
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(n int, id string) memory.Line {
			if n%4 == 1 {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
			}
			return memory.Line{}
		}}
	}
	w.Input.Set("t/workload.yaml", []byte(nova+"prompt_template: 'Translate {text}'\ngather: {quiet: 30s}\n"))
	w.Input.Set("t/a.csv", []byte("id,text\n1,one\n2,\"two\nlines\"\n3,three\n4,four\n"))
	w.Input.Set("t/b.csv", []byte("text,id\nfive,5\nsix\nseven,7\neight,8\n"))
	w.Input.Set("t/c.bin", []byte("\x00\x01"))
	w.Run()
	n := one(t, w)
	if n.Rows.Total != 9 || n.Rows.SetAside != 2 || n.Rows.Failed == 0 {
		t.Fatalf("notice: %+v", n)
	}
	errors := string(w.Result(n, "errors.jsonl"))
	if !strings.Contains(errors, `"text":"two\nlines"`) {
		t.Errorf("errors.jsonl: %s", errors)
	}
	clean(t, w)
}

func TestATableComesBackWithTheUsersColumnsFirstAndUntouched(t *testing.T) {
	w := handlertest.New(t, small)
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(n int, id string) memory.Line {
			if n == 1 {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no, thanks"}
			}
			return memory.Line{}
		}}
	}
	w.Input.Set("t/workload.yaml", []byte(nova+"prompt_template: 'Translate {text}'\noutput: {echo: true}\n"))
	w.Input.Set("t/a.csv", []byte("\xef\xbb\xbfid,text , output\r\n1,one, x\r\n 2,\"two\r\nlines\",\r\n3,\"thr\"\"ee\",z\n4,four,\n"))
	w.Run()
	n := one(t, w)
	table := string(w.Result(n, "results.csv"))
	for _, want := range []string{"id,text , output,", "output_answer", "\n 2,\"two\r\nlines\",,", "400: no, thanks", "\n3,\"thr\"\"ee\",z,"} {
		if !strings.Contains(table, want) {
			t.Errorf("results.csv lacks %q:\n%s", want, table)
		}
	}
	if results := string(w.Result(n, "results.jsonl")); !strings.Contains(results, `"input":{"id":"3","text":"thr\"ee"`) {
		t.Errorf("results.jsonl lacks the row: %s", results)
	}
	clean(t, w)
}

func TestErrorsOfAnyFormatCanBeDroppedAgainAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct{ settings, key, body string }{
		"prompt rows": {nova, "d/a.jsonl", string(prompts(12))},
		"table":       {nova + "prompt_template: 'Say {t}'\n", "d/a.csv", "id,t\n1,a\n2,\"b\nc\"\n3,c\n4,d\n5,e\n"},
		"array":       {nova + "prompt_template: 'Say {t}'\n", "d/a.json", "[{\"t\":\"a\",\n\"u\":1},{\"t\":\"b\"},{\"t\":\"c\"},{\"t\":\"d\"}]"},
	} {
		t.Run(name, func(t *testing.T) {
			w := handlertest.New(t, small)
			broken := true
			w.Outcome = func(batch.Job) memory.Outcome {
				return memory.Outcome{Line: func(n int, id string) memory.Line {
					if broken {
						return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
					}
					return memory.Line{}
				}}
			}
			w.Input.Set("d/workload.yaml", []byte(c.settings))
			w.Input.Set(c.key, []byte(c.body))
			w.Run()
			first := one(t, w)
			broken = false
			w.Input.Set("d/again.jsonl", w.Result(first, "errors.jsonl"))
			w.Run()
			n := w.Notices()
			if len(n) != 2 || first.Rows.Failed == 0 || n[1].Rows.Answered != first.Rows.Failed || n[1].Status != pipeline.StatusCompleted {
				t.Fatalf("notices: %+v", n)
			}
		})
	}
}

func TestErrorsOfDocumentsCanBeDroppedAgainButReachNoFurther(t *testing.T) {
	w := handlertest.New(t, small)
	broken := true
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(n int, id string) memory.Line {
			if broken {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
			}
			return memory.Line{}
		}}
	}
	w.Input.Set("docs/workload.yaml", []byte(nova))
	w.Input.Set("secret/a.txt", []byte("not yours"))
	drop(w, 6)
	w.Run()
	broken = false
	var first pipeline.Notice
	for _, n := range w.Notices() {
		if n.Upload.Key == "docs" {
			first = n
		}
	}
	again := w.Result(first, "errors.jsonl")
	again = append(again, `{"_document":{"bucket":"in","key":"secret/a.txt","versionId":"v0000000002"},"_error":{}}`+"\n"...)
	w.Input.Set("docs/again.jsonl", again)
	w.Run()
	notices := w.Notices()
	n := notices[len(notices)-1]
	if n.Rows.Answered != 6 || n.Rows.SetAside != 1 {
		t.Fatalf("notice: %+v; dropped again: %s", n, again)
	}
	if aside := string(w.Result(n, "set-aside.jsonl")); !strings.Contains(aside, pipeline.CodeDocumentNotAllowed) {
		t.Errorf("set-aside.jsonl: %s", aside)
	}
}
