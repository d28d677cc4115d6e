package handler_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// urgent is a workload whose rows may cost so much on demand after two hours.
func urgent(usd string) []byte {
	return []byte(nova + "inference: {max_tokens: 1000}\ndeadline: {after: 2h, max_cost_usd: " + usd + "}\n")
}

// attempts are how often each attempt answered, and the rows in order.
func attempts(t *testing.T, w *handlertest.World, n pipeline.Notice) map[int]int {
	t.Helper()
	got, last := map[int]int{}, 0
	for _, line := range bytes.Split(bytes.TrimSpace(w.Result(n, "results.jsonl")), []byte("\n")) {
		var r struct{ Row, Attempt int }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.Row <= last {
			t.Errorf("row %d comes behind row %d", r.Row, last)
		}
		last = r.Row
		got[r.Attempt]++
	}
	return got
}

func summary(t *testing.T, w *handlertest.World, n pipeline.Notice) (s pipeline.Summary) {
	t.Helper()
	if err := json.Unmarshal(w.Result(n, "summary.json"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Half of what a stopped job was asked is in its output: that half is kept, the
// other half goes on demand, none is asked twice.
func TestWhatHasNoAnswerAtTheDeadlineGoesOnDemand(t *testing.T) {
	for _, lost := range []bool{false, true} {
		var mu sync.Mutex // questions are asked side by side
		asked := map[string]int{}
		w := handlertest.New(t, func(w *handlertest.World) {
			small(w)
			w.Hold, w.LoseEvents = true, lost
			w.Outcome = func(batch.Job) memory.Outcome {
				return memory.Outcome{Line: func(n int, _ string) memory.Line {
					if n%2 == 1 {
						return memory.Line{Shape: memory.Missing}
					}
					return memory.Line{}
				}}
			}
			w.Answer = func(_ string, _ batch.Invocation, in []byte) []byte {
				mu.Lock()
				asked[string(in)]++
				mu.Unlock()
				return []byte(`{"output":{"message":{"role":"assistant","content":[{"text":"x"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}`)
			}
		})
		w.Input.Set("a/workload.yaml", urgent("1"))
		w.Input.Set("a/rows.jsonl", prompts(20))
		began := w.Clock.Now()
		w.Run()
		w.Ticks(6)
		n := one(t, w)
		if n.Status != pipeline.StatusCompleted || n.Rows.Answered != 20 || n.Reason != "" {
			t.Fatalf("notice: %+v", n)
		}
		took := n.FinishedAt.Sub(began)
		if took < 2*time.Hour || took > 3*time.Hour || !lost && took > 2*time.Hour+10*time.Minute {
			t.Errorf("it took %v", took)
		}
		if got := attempts(t, w, n); got[1] < 9 || got[3] < 9 || got[1]+got[3] != 20 {
			t.Errorf("answered by attempt: %v", got)
		}
		for in, times := range asked {
			if times > 1 {
				t.Errorf("asked %d times: %s", times, in)
			}
		}
		if d := summary(t, w, n).Deadline; d == nil || d.Records != 20 || d.Left != 0 || d.EstimatedUSD > 1 || !d.Staged {
			t.Errorf("summary: %+v", d)
		}
		clean(t, w)
	}
}

// Nothing runs yet, for there is no slot: nothing is stopped, all goes on
// demand.
func TestWhatWaitsForASlotAtTheDeadlineGoesOnDemand(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Hold = true })
	w.Bedrock.SetSlots(-1)
	w.Input.Set("a/workload.yaml", urgent("1"))
	w.Input.Set("a/rows.jsonl", prompts(20))
	w.Run()
	w.Ticks(6)
	n := one(t, w)
	if n.Status != pipeline.StatusCompleted || len(w.Bedrock.All()) > 0 {
		t.Fatalf("notice: %+v, %d jobs", n, len(w.Bedrock.All()))
	}
	if got := attempts(t, w, n); got[3] != 20 {
		t.Errorf("answered by attempt: %v", got)
	}
	clean(t, w)
}

// What would cost more than is allowed stays with its job.
func TestTheCapBoundsWhatGoesOnDemand(t *testing.T) {
	for usd, want := range map[string]int{"0": 0, "0.0025": 8, "0.0045": 16, "0.02": 20} {
		w := handlertest.New(t, func(w *handlertest.World) {
			small(w)
			w.Hold = true
			w.Outcome = func(j batch.Job) memory.Outcome {
				o := memory.Outcome{}
				if j.Status == batch.Stopping {
					o.NoOutput = true
				}
				return o
			}
		})
		w.Input.Set("a/workload.yaml", urgent(usd))
		w.Input.Set("a/rows.jsonl", prompts(20))
		w.Run()
		w.Hold = false // a day later what is left ends
		w.Run()
		n := one(t, w)
		got := attempts(t, w, n)
		d := summary(t, w, n).Deadline
		if n.Status != pipeline.StatusCompleted || got[3] != want || got[1] != 20-want || d.Records != int64(want) || d.Left != int64(20-want) {
			t.Errorf("cap %s: %v on demand, want %d; %+v; deadline %+v", usd, got, want, n.Rows, d)
		}
		clean(t, w)
	}
}

func TestADeadlineThatIsMetChangesNothing(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("a/workload.yaml", urgent("1"))
	w.Input.Set("a/rows.jsonl", prompts(20))
	w.Run()
	w.Clock.Advance(3 * time.Hour)
	w.Ticks(4)
	n := one(t, w)
	if got := attempts(t, w, n); got[1] != 20 {
		t.Errorf("answered by attempt: %v", got)
	}
	if d := summary(t, w, n).Deadline; d == nil || d.DecidedAt != nil {
		t.Errorf("summary: %+v", d)
	}
	clean(t, w)
}

func TestADeadlineWaitsForThePause(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Hold = true })
	w.Input.Set("a/workload.yaml", urgent("1"))
	w.Input.Set("a/rows.jsonl", prompts(20))
	for range 60 {
		w.Step()
	}
	w.Output.Set(pipeline.PauseKey, []byte("{}"))
	w.Run()
	for _, j := range w.Bedrock.All() {
		if j.Status == batch.Stopped {
			t.Fatalf("a job was stopped in a pause: %+v", j)
		}
	}
	if err := w.Output.Delete(t.Context(), pipeline.PauseKey); err != nil {
		t.Fatal(err)
	}
	w.Ticks(10)
	if n := one(t, w); n.Status != pipeline.StatusCompleted {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}

func TestADeadlineNeedsACapAndAPrice(t *testing.T) {
	for settings, want := range map[string]string{
		nova + "deadline: {after: 2h}\n":                                                   "after and max_cost_usd go together",
		nova + "deadline: {max_cost_usd: 2}\n":                                             "after and max_cost_usd go together",
		nova + "deadline: {after: 5m, max_cost_usd: 2}\n":                                  "is not between",
		"model: nobody.knows-v1:0\nfamily: nova\ndeadline: {after: 2h, max_cost_usd: 2}\n": "no price is known",
	} {
		w := handlertest.New(t, small)
		w.Input.Set("a/workload.yaml", []byte(settings))
		w.Input.Set("a/rows.jsonl", prompts(20))
		w.Run()
		if n := one(t, w); n.Status != pipeline.StatusRejected || !strings.Contains(n.Reason, want) {
			t.Errorf("%s: %s, want %q", settings, n.Reason, want)
		}
	}
}

// Whatever write or stop an invocation dies at, before or behind the deadline:
// no row is asked twice beyond what was in flight, and all are answered.
func TestADeadlineSurvivesACrashAtEveryStep(t *testing.T) {
	for at := 1; ; at++ {
		steps, died := 0, false
		w := handlertest.New(t, func(w *handlertest.World) {
			small(w)
			w.Hold, w.Settings.OnDemandConcurrency = true, 1
			w.Outcome = func(batch.Job) memory.Outcome { return memory.Outcome{NoOutput: true} }
			w.Hook = crashes(func(call, _ string) bool {
				if call != "Bucket.Put" && call != "Bucket.Commit" || w.Clock.Now().Before(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) {
					return false
				}
				steps++
				if !died && steps == at {
					died = true
					return true
				}
				return false
			})
		})
		w.Input.Set("a/workload.yaml", urgent("1"))
		w.Input.Set("a/rows.jsonl", prompts(10))
		w.Run()
		w.Ticks(20)
		if n := w.Notices(); len(n) == 0 || n[0].Rows.Answered != 10 || len(n) > 2 {
			t.Fatalf("step %d: notices %+v", at, n)
		}
		if !died {
			if at < 20 {
				t.Errorf("only %d steps", at)
			}
			return
		}
	}
}
