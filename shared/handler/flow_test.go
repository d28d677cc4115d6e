package handler_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

const nova = "model: us.amazon.nova-lite-v1:0\n"

func prompts(n int) []byte {
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"id":"u%d","prompt":"What is %d plus one?"}`+"\n", i, i)
	}
	return b.Bytes()
}

func small(w *handlertest.World) {
	w.Settings.Quotas = config.Quotas{MinRecords: 3, MaxRecords: 8, MaxFileBytes: 1 << 20}
}

func one(t *testing.T, w *handlertest.World) pipeline.Notice {
	t.Helper()
	n := w.Notices()
	if len(n) != 1 {
		t.Fatalf("%d notices, want 1; failed messages: %q", len(n), w.Failed)
	}
	if n[0].Rows.Total != n[0].Rows.Answered+n[0].Rows.Failed+n[0].Rows.SetAside+n[0].Rows.Missing {
		t.Errorf("rows do not add up: %+v", n[0].Rows)
	}
	return n[0]
}

func clean(t *testing.T, w *handlertest.World) {
	t.Helper()
	for _, prefix := range []string{config.Staged, config.Open, config.Waiting} {
		if keys := w.Output.Keys(prefix); len(keys) > 0 {
			t.Errorf("left behind: %q", keys)
		}
	}
	if len(w.Failed) > 0 {
		t.Errorf("failed messages: %q", w.Failed)
	}
}

func TestAnUploadBecomesResultsInInputOrderAndOneNotice(t *testing.T) {
	w := handlertest.New(t, nil)
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Files: 3, Order: func(n int) []int {
			order := make([]int, n)
			for i := range order {
				order[i] = (i*7 + 3) % n
			}
			return order
		}}
	}
	w.Input.Set("reviews/workload.yaml", []byte(nova))
	w.Input.Set("reviews/a.jsonl", prompts(250))
	w.Run()
	n := one(t, w)
	if n.Status != pipeline.StatusCompleted || n.Rows.Answered != 250 {
		t.Fatalf("notice: %+v", n)
	}
	lines := strings.Split(strings.TrimSpace(string(w.Result(n, "results.jsonl"))), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf(`{"recordId":"r%010d","row":%d,"id":"u%d",`, i+1, i+1, i+1); !strings.HasPrefix(line, want) {
			t.Fatalf("line %d is %.120s, want %s...", i+1, line, want)
		}
	}
	if len(lines) != 250 {
		t.Errorf("%d results", len(lines))
	}
	clean(t, w)
}

func TestSeveralPartsAndASmallRestAreOneResult(t *testing.T) {
	for _, rows := range []int{1, 2, 3, 8, 9, 10, 11, 16, 17, 50} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			w := handlertest.New(t, small)
			w.Input.Set("workload.yaml", []byte(nova))
			w.Input.Set("a b+c%.jsonl", prompts(rows))
			w.Run()
			n := one(t, w)
			if n.Status != pipeline.StatusCompleted || n.Rows.Answered != int64(rows) {
				t.Fatalf("notice: %+v", n)
			}
			clean(t, w)
		})
	}
}

func TestFailedRowsAreTriedAgainAndThenReported(t *testing.T) {
	w := handlertest.New(t, small)
	w.Outcome = func(j batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(n int, id string) memory.Line {
			switch {
			case strings.HasSuffix(j.Name, "-1") && n == 1:
				return memory.Line{Shape: memory.Beside, Code: 429, Message: "slow down"}
			case n == 2:
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
			}
			return memory.Line{}
		}}
	}
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("a.jsonl", append(prompts(40), "broken\n"...))
	w.Run()
	n := one(t, w)
	if n.Status != pipeline.StatusCompletedWithErrors || n.Rows.SetAside != 1 || n.Rows.Failed == 0 || n.Rows.Missing != 0 {
		t.Fatalf("notice: %+v", n)
	}
	if got := bytes.Count(w.Result(n, "errors.jsonl"), []byte("\n")); int64(got) != n.Rows.Failed {
		t.Errorf("%d lines in errors.jsonl, %d failed", got, n.Rows.Failed)
	}
	if !bytes.Contains(w.Result(n, "errors.jsonl"), []byte(`"prompt":"What is`)) {
		t.Errorf("errors.jsonl lacks the rows' own members: %s", w.Result(n, "errors.jsonl"))
	}
	clean(t, w)
}

func TestWithAllEventsLostTheTickFinishes(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) { small(w); w.LoseEvents = true })
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("a.jsonl", prompts(20))
	w.Run()
	w.Ticks(20)
	if n := one(t, w); n.Status != pipeline.StatusCompleted {
		t.Fatalf("notice: %+v", n)
	}
	clean(t, w)
}

func TestWhatCannotBeRunIsRejectedWithAReason(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		ending   string
		body     []byte
		want     string
	}{
		"an empty file":                {nova, ".jsonl", nil, "empty"},
		"no model anywhere":            {"", ".jsonl", prompts(3), "no model"},
		"settings that cannot be read": {"modell: x\n", ".jsonl", prompts(3), "workload.yaml"},
		"no usable row":                {nova, ".jsonl", []byte("{\"prompt\":1}\n{\"prompt\":2}\n"), "none of the 2 rows"},
		"a format nobody knows":        {nova, ".xyz", []byte("\x00\x01\x02\x03"), "format"},
		"small files not wanted":       {nova + "small: reject\n", ".jsonl", prompts(2), "small: reject"},
		"too dear":                     {nova + "limits: {max_estimated_cost_usd: 0.0000001}\n", ".jsonl", prompts(3), "the limit is"},
	} {
		t.Run(name, func(t *testing.T) {
			w := handlertest.New(t, small)
			if c.settings != "" {
				w.Input.Set("workload.yaml", []byte(c.settings))
			}
			w.Input.Set("a"+c.ending, c.body)
			w.Run()
			n := one(t, w)
			if n.Status != pipeline.StatusRejected || !strings.Contains(n.Reason, c.want) {
				t.Errorf("notice: %s: %s, want Rejected with %q", n.Status, n.Reason, c.want)
			}
			clean(t, w)
		})
	}
}

func TestAnUploadDeliveredFiveTimesMakesOneJob(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("workload.yaml", []byte(nova))
	o := w.Input.Set("a.jsonl", prompts(5))
	for range 4 {
		w.Uploads.Put(handlertest.Notification("in", o), 0)
	}
	w.Run()
	w.Uploads.Put(handlertest.Notification("in", o), 0)
	w.Clock.Advance(100 * 24 * time.Hour)
	w.Run()
	if n := len(w.Bedrock.All()); n != 1 {
		t.Errorf("%d jobs", n)
	}
	one(t, w)
	clean(t, w)
}

func TestAnOverwrittenUploadIsNotPaid(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("a.jsonl", prompts(5))
	w.Input.Set("a.jsonl", prompts(6))
	w.Run()
	got := map[string]int{}
	for _, n := range w.Notices() {
		got[n.Status]++
	}
	if got[pipeline.StatusSuperseded] != 1 || got[pipeline.StatusCompleted] != 1 || len(w.Bedrock.All()) != 1 {
		t.Errorf("notices %v, %d jobs", got, len(w.Bedrock.All()))
	}
	clean(t, w)
}

func TestAStoppedSubmissionKeepsWhatThereIs(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("workload.yaml", []byte(nova))
	o := w.Input.Set("a.jsonl", prompts(20))
	for len(w.Bedrock.All()) == 0 {
		w.Step()
	}
	id := pipeline.SubmissionID(pipeline.Upload{Bucket: "in", Key: o.Key, VersionID: o.Version})
	w.Uploads.Put(pipeline.Message{Do: pipeline.DoStop, Submission: id}.Encode(), 0)
	w.Run()
	if n := one(t, w); n.Status != pipeline.StatusStopped {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}

func TestShortSlicesContinue(t *testing.T) {
	w := handlertest.New(t, small)
	w.Settings.Margin = config.Duration(time.Hour)
	w.Slice = 3 * time.Second
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("a.jsonl", prompts(100))
	w.Run()
	if n := one(t, w); n.Status != pipeline.StatusCompleted {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}
