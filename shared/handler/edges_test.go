package handler_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// quiet is a test that does not tell each event.
type quiet struct{ testing.TB }

func (quiet) Log(...any) {}

func TestPartsAreLegalAtTheEdgesOfTheQuotas(t *testing.T) {
	for _, c := range []struct {
		rows, jobs, asked int
	}{
		{1, 0, 1}, {99, 0, 99}, {100, 1, 0}, {101, 1, 0},
		{49_999, 1, 0}, {50_000, 1, 0}, {50_001, 2, 0}, {50_050, 2, 0}, {50_099, 2, 0}, {50_100, 2, 0},
		{100_000, 2, 0}, {100_001, 3, 0},
	} {
		t.Run(fmt.Sprint(c.rows), func(t *testing.T) {
			w := handlertest.New(quiet{t}, nil)
			w.Input.Set("workload.yaml", []byte(nova))
			w.Input.Set("a.jsonl", prompts(c.rows))
			w.Run()
			n := one(t, w)
			if n.Status != pipeline.StatusCompleted || n.Rows.Answered != int64(c.rows) {
				t.Fatalf("notice: %s, %+v: %s", n.Status, n.Rows, n.Reason)
			}
			if jobs, asked := len(w.Bedrock.All()), len(w.Bedrock.Asked()); jobs != c.jobs || asked != c.asked {
				t.Errorf("%d jobs and %d requests, want %d and %d", jobs, asked, c.jobs, c.asked)
			}
			for _, j := range n.Jobs {
				if j.Status != batch.Completed || j.Records < 100 || j.Records > 50_000 {
					t.Errorf("job %+v", j)
				}
			}
			lines := bytes.Split(bytes.TrimSpace(w.Result(n, "results.jsonl")), []byte("\n"))
			for i, line := range lines {
				if !bytes.HasPrefix(line, fmt.Appendf(nil, `{"recordId":"r%010d"`, i+1)) {
					t.Fatalf("line %d is %.60s", i+1, line)
				}
			}
			clean(t, w)
		})
	}
}

func TestPartsAreLegalAtTheEdgesOfTheFileSize(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for range 60 {
		rows := 1 + random.IntN(40)
		limit := int64(600 + random.IntN(3000))
		w := handlertest.New(quiet{t}, func(w *handlertest.World) {
			w.Settings.Quotas = config.Quotas{MinRecords: 3, MaxRecords: 12, MaxFileBytes: limit}
		})
		var b bytes.Buffer
		for i := range rows {
			fmt.Fprintf(&b, `{"prompt":"%d %s"}`+"\n", i, strings.Repeat("x", random.IntN(500)))
		}
		w.Input.Set("workload.yaml", []byte(nova))
		w.Input.Set("a.jsonl", b.Bytes())
		w.Run()
		n := one(t, w)
		if n.Status != pipeline.StatusCompleted || n.Rows.Answered != int64(rows) {
			t.Fatalf("%d rows, limit %d: %s %+v %s", rows, limit, n.Status, n.Rows, n.Reason)
		}
		for _, j := range n.Jobs {
			if j.Status != batch.Completed || j.Records < 3 || j.Records > 12 {
				t.Errorf("%d rows, limit %d: job %+v", rows, limit, j)
			}
		}
	}
}

// counting counts calls on the buckets.
type counting struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *counting) Before(_ context.Context, call, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[call]++
	return nil
}

func (c *counting) After(_ context.Context, _, _ string, err error) error { return err }

func TestTwentyThousandDocumentsAreOneSubmission(t *testing.T) {
	const n = 20_000
	count := &counting{calls: map[string]int{}}
	w := handlertest.New(quiet{t}, func(w *handlertest.World) { w.Hook = count })
	w.Input.Set("docs/workload.yaml", []byte(nova+"prompt_template: 'Summarise: {content}'\n"))
	random := rand.New(rand.NewPCG(1, 2))
	var objects []batch.Object
	for i := range n {
		objects = append(objects, w.Input.Set(fmt.Sprintf("docs/%02d/%05d.txt", i%40, i), fmt.Appendf(nil, "document %d", i)))
	}
	// A tenth of the news comes twice, and in any order.
	for _, i := range random.Perm(n)[:n/10] {
		w.Uploads.Put(handlertest.Notification("in", objects[i]), time.Duration(random.IntN(60))*time.Second)
	}
	w.Run()
	notice := one(t, w)
	if notice.Status != pipeline.StatusCompleted || notice.Rows.Answered != n {
		t.Fatalf("notice: %s %+v %s", notice.Status, notice.Rows, notice.Reason)
	}
	if got := sources(t, w, notice); len(got) != n {
		t.Errorf("%d sources", len(got))
	}
	// Stated in docs/architecture.md. Reads of streams are parts of a call.
	per := func(calls ...string) float64 {
		sum := 0
		for _, call := range calls {
			sum += count.calls["Bucket."+call]
		}
		return float64(sum) / n
	}
	reads, writes := per("Get", "Stat", "Open"), per("Put", "Create", "Compose")
	t.Logf("per document: %.2f reads, %.2f writes, %.3f listings", reads, writes, per("List"))
	if reads > 4.5 || writes > 2.5 || per("List") > 0.05 {
		t.Errorf("per document: %.2f reads, %.2f writes, %.3f listings; want at most 4.5, 2.5 and 0.05", reads, writes, per("List"))
	}
	clean(t, w)
}

func TestAPauseHoldsEverythingAndCostsNothing(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("workload.yaml", []byte(nova))
	w.Output.Set("control/pause", []byte("maintenance"))
	w.Input.Set("a.jsonl", prompts(20))
	w.Input.Set("b.jsonl", prompts(2))
	w.Run()
	w.Ticks(12)
	if len(w.Bedrock.All()) != 0 || len(w.Bedrock.Asked()) != 0 || len(w.Notices()) != 0 {
		t.Fatalf("%d jobs, %d requests, %d notices while paused", len(w.Bedrock.All()), len(w.Bedrock.Asked()), len(w.Notices()))
	}
	// Far beyond what a submission may wait: the pause stops that clock.
	w.Clock.Advance(10 * 24 * time.Hour)
	w.Ticks(1)
	if err := w.Output.Delete(context.Background(), "control/pause"); err != nil {
		t.Fatal(err)
	}
	w.Ticks(15)
	for _, n := range w.Notices() {
		if n.Status != pipeline.StatusCompleted {
			t.Errorf("notice: %s %s", n.Status, n.Reason)
		}
	}
	if len(w.Notices()) != 2 {
		t.Errorf("%d notices", len(w.Notices()))
	}
	clean(t, w)
}

func TestGuardsRefuseBeforeAnythingIsPaid(t *testing.T) {
	for name, c := range map[string]struct {
		caps     config.Caps
		settings string
		want     []string
	}{
		"records of the deployment": {config.Caps{MaxRecords: 10}, "", []string{"more than 10 rows"}},
		"records of the workload":   {config.Caps{MaxRecords: 1000}, "limits: {max_records: 5}\n", []string{"more than 5 rows"}},
		"a workload cannot raise":   {config.Caps{MaxRecords: 10}, "limits: {max_records: 500}\n", []string{"more than 10 rows"}},
		"bytes":                     {config.Caps{MaxBytes: 100}, "", []string{"the limit is 100"}},
		"cost":                      {config.Caps{MaxEstimatedCostUSD: 0.0001}, "inference: {max_tokens: 1000}\n", []string{"it may cost up to $", "the limit is $0.00"}},
		"cost of an unknown model":  {config.Caps{MaxEstimatedCostUSD: 5}, "model: mistral.brand-new-v9:0\n", []string{"no price is known"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Settings.Caps = c.caps })
			settings := nova
			if strings.Contains(c.settings, "model:") {
				settings = ""
			}
			w.Input.Set("workload.yaml", []byte(settings+c.settings))
			w.Input.Set("a.jsonl", prompts(20))
			w.Run()
			n := one(t, w)
			if n.Status != pipeline.StatusRejected || len(w.Bedrock.All())+len(w.Bedrock.Asked()) > 0 {
				t.Fatalf("notice: %s %+v", n.Status, n)
			}
			for _, want := range c.want {
				if !strings.Contains(n.Reason, want) {
					t.Errorf("reason %q lacks %q", n.Reason, want)
				}
			}
			clean(t, w)
		})
	}
}

func TestManySlicesPrepareAndCollectAHugeUpload(t *testing.T) {
	var prepared, collected int
	w := handlertest.New(quiet{t}, func(w *handlertest.World) {
		small(w)
		w.Slice = 3 * time.Second
		w.Settings.Margin = config.Duration(time.Hour)         // a third of the slice
		w.Settings.MemoryBytes, w.Settings.SpillBytes = 1, 200 // several passes over each output
		w.Outcome = func(batch.Job) memory.Outcome {
			return memory.Outcome{Order: func(n int) []int {
				order := make([]int, n)
				for i := range order {
					order[i] = n - 1 - i
				}
				return order
			}}
		}
		// Time passes with every call, so that a slice holds a few of them.
		w.Hook = ticking{w}
		w.Invoked = func(half string, body []byte) {
			if bytes.Contains(body, []byte(`"do":"continue"`)) || bytes.Contains(body, []byte(`"eventSource"`)) {
				prepared++
			}
			if half == "collect" {
				collected++
			}
		}
	})
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("a.jsonl", prompts(200))
	w.Run()
	n := one(t, w)
	if n.Status != pipeline.StatusCompleted || n.Rows.Answered != 200 {
		t.Fatalf("notice: %s %+v %s", n.Status, n.Rows, n.Reason)
	}
	if prepared < 5 || collected < 5 {
		t.Errorf("prepared in %d slices, collected in %d, want at least 5 each", prepared, collected)
	}
	t.Logf("%d messages to prepare, %d to collect", prepared, collected)
	clean(t, w)
}

// ticking lets time pass with every call on a bucket.
type ticking struct{ w *handlertest.World }

func (k ticking) Before(context.Context, string, string) error {
	k.w.Clock.Advance(50 * time.Millisecond)
	return nil
}

func (k ticking) After(_ context.Context, _, _ string, err error) error { return err }
