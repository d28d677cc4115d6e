// Package stranger_test adds a format and a family from outside, each in one
// file as the documentation shows, and runs uploads with them.
package stranger_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

var update = flag.Bool("update", false, "write the generated parts of the documentation anew")

func small(w *handlertest.World) {
	w.Settings.Quotas = config.Quotas{MinRecords: 3, MaxRecords: 8, MaxFileBytes: 1 << 20}
}

func TestAStrangersFormat(t *testing.T) {
	w := handlertest.New(t, small)
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(_ int, id string) memory.Line {
			if id == "r0000000002" {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
			}
			return memory.Line{}
		}}
	}
	w.Input.Set("workload.yaml", []byte("model: us.amazon.nova-lite-v1:0\nprompt_template: 'Rate: {text}'\n"))
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "paragraph %d\nof two lines\r\n\n\n", i)
	}
	text.WriteString("not \xff UTF-8")
	w.Input.Set("a.para", []byte(text.String()))
	w.Run()
	n := notice(t, w)
	if n.Rows != (pipeline.Rows{Total: 21, Answered: 19, Failed: 1, SetAside: 1}) {
		t.Fatalf("notice: %+v", n)
	}
	// The failed row is found again in the upload.
	if got := string(w.Result(n, "errors.jsonl")); !strings.HasPrefix(got, `{"text":"paragraph 1\nof two lines","_error":{"code":"400"`) {
		t.Errorf("errors: %s", got)
	}
}

func TestAStrangersFamily(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) {
		small(w)
		w.Answer = func(_ string, _ batch.Invocation, in []byte) []byte {
			return fmt.Appendf(nil, `{"said":"polly","why":"length","tokens":{"in":3,"out":%d}}`, len(in))
		}
	})
	w.Input.Set("workload.yaml", []byte("model: us.acme.parrot-v1:0\n"))
	w.Input.Set("a.jsonl", []byte(strings.Repeat(`{"modelInput":{"hear":"hello"}}`+"\n", 5)))
	w.Run()
	n := notice(t, w)
	if n.Status != pipeline.StatusCompleted || n.Rows.Answered != 5 || n.Tokens.Input != 15 {
		t.Fatalf("notice: %+v", n)
	}
	if got := string(w.Result(n, "results.jsonl")); !strings.HasPrefix(got, `{"recordId":"r0000000001","row":1,"output":"polly","stopReason":"max_tokens","modelStopReason":"length","usage":{"inputTokens":3,"outputTokens":16}`) {
		t.Errorf("results: %s", got)
	}
}

func notice(t *testing.T, w *handlertest.World) pipeline.Notice {
	t.Helper()
	n := w.Notices()
	if len(n) != 1 || len(w.Failed) > 0 {
		t.Fatalf("%d notices, failed messages %q", len(n), w.Failed)
	}
	return n[0]
}

// What the documentation shows is what was run here.
func TestTheDocumentationShowsTheseFiles(t *testing.T) {
	for page, file := range map[string]string{"adding-a-format.md": "paragraphs_test.go", "adding-a-family.md": "parrot_test.go"} {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page = "../../../../docs/" + page
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(text), "```go\n")
		_, after, closed := strings.Cut(rest, "```")
		if !ok || !closed {
			t.Fatalf("%s has no Go code", page)
		}
		want := before + "```go\n" + string(code) + "```" + after
		if *update {
			if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(text) != want {
			t.Errorf("%s does not show %s; run this test with -update", page, file)
		}
	}
}
