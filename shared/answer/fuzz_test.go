package answer_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
)

// FuzzOrder reads any bytes as a job's output: no panic, no row lost or
// invented, every line accounted for, and what comes out is JSON in row order.
func FuzzOrder(f *testing.F) {
	files, err := filepath.Glob("testdata/*.jsonl.out")
	if err != nil || len(files) == 0 {
		f.Fatal(err, "no seeds")
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	rows := []int64{1, 2, 3, 5, 8}
	answer.ReadInSteps(f, 64, 0, 1)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, out []byte) {
		job := answer.Job{Index: text(index(rows...)), Outputs: outputs(string(out)), Attempt: 1, Raw: true, Dir: dir}
		got := order(t, job)
		ta := got.tally
		if ta.Records != 5 || ta.Answered+ta.Failed+ta.Missing != 5 {
			t.Fatalf("tally %+v", ta)
		}
		var lines int64
		for line := range bytes.SplitSeq(out, []byte{'\n'}) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines++
			}
		}
		if n := ta.Lines(); n != lines {
			t.Fatalf("%d lines, accounted for %d: %+v", lines, n, ta)
		}
		seen := map[int64]bool{}
		for _, stream := range []string{got.results, got.failed} {
			last := int64(0)
			for line := range strings.Lines(stream) {
				var row struct{ Row int64 }
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				if row.Row <= last || seen[row.Row] {
					t.Fatalf("row %d behind %d, or twice", row.Row, last)
				}
				last, seen[row.Row] = row.Row, true
			}
		}
		if len(seen) != 5 {
			t.Fatalf("rows %v", seen)
		}
		for f, err := range answer.Failures(strings.NewReader(got.failed)) {
			if err != nil {
				t.Fatalf("%v in %s", err, got.failed)
			}
			if f.Code == "" {
				t.Fatalf("a failure without code: %+v", f)
			}
		}
		job.Memory, job.Spill = -1, -1
		if again := order(t, job); again.results != got.results || again.failed != got.failed {
			t.Fatalf("with no room at all:\n%s%s\ninstead of\n%s%s", again.results, again.failed, got.results, got.failed)
		}
	})
}
