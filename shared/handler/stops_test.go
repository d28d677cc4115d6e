package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// stopping answers a native Claude record with the stop reason that its system
// prompt names.
func stopping(_ string, _ batch.Invocation, in []byte) []byte {
	var body struct{ System string }
	if err := json.Unmarshal(in, &body); err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"content":[{"type":"text","text":"x"}],"stop_reason":%q,"usage":{"input_tokens":1,"output_tokens":2}}`, body.System)
}

func TestTheNoticeCountsAnswersThatWereCutRefusedAndFiltered(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Answer = stopping })
	// One of the refused is answered in the second round.
	failedOnce := false
	w.Outcome = func(batch.Job) memory.Outcome {
		first := !failedOnce
		failedOnce = true
		return memory.Outcome{Line: func(_ int, id string) memory.Line {
			if first && id == "r0000000002" {
				return memory.Line{Shape: memory.Beside, Code: 503, Message: "busy"}
			}
			return memory.Line{}
		}}
	}
	w.Input.Set("workload.yaml", []byte("model: us.anthropic.claude-haiku-4-5-20251001-v1:0\n"))
	var rows strings.Builder
	for _, stop := range []string{"end_turn", "refusal", "max_tokens", "refusal", "max_tokens", "max_tokens", "content_filtered", "stop_sequence"} {
		fmt.Fprintf(&rows, `{"modelInput":{"system":%q}}`+"\n", stop)
	}
	w.Input.Set("a.jsonl", []byte(rows.String()))
	w.Run()
	n := one(t, w)
	if n.Status != pipeline.StatusCompleted || n.Rows.Answered != 8 || n.Answers != (pipeline.NoticeAnswers{Truncated: 3, Refused: 2, Filtered: 1}) {
		t.Errorf("notice: %+v", n)
	}
	var sum pipeline.Summary
	if err := json.Unmarshal(w.Result(n, "summary.json"), &sum); err != nil || sum.Answers != n.Answers {
		t.Errorf("summary: %+v, %v", sum.Answers, err)
	}
	if mail := w.Topic.Published()[0].Email; !strings.Contains(mail, "3 cut at max_tokens, 2 refused by the model, 1 filtered") {
		t.Errorf("e-mail: %s", mail)
	}
	clean(t, w)
}

// Submit is woken by every tick, and has nothing to do for what is being
// gathered: it must not take Collect's stalls for got over.
func TestWhatKillsWhoeverReadsItIsGivenUpWhileTicksWakeSubmit(t *testing.T) {
	died := 0
	w := handlertest.New(t, func(w *handlertest.World) {
		small(w)
		w.Hook = crashes(func(call, key string) bool {
			if call == "Bucket.Get" && strings.HasSuffix(key, "manifest.json.out") {
				died++
				return true
			}
			return false
		})
	})
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("a.jsonl", prompts(6))
	var s pipeline.Submission
	for range 200 {
		for w.Step() {
		}
		if err := json.Unmarshal(w.Output.Bytes(w.Output.Keys("submissions/")[0]), &s); err != nil {
			t.Fatal(err)
		}
		if s.Ending != nil {
			break
		}
		w.Clock.Advance(5 * time.Minute)
		w.Uploads.Put(pipeline.Message{Do: pipeline.DoTick}.Encode(), 0)
		w.Jobs.Put(pipeline.Message{Do: pipeline.DoTick}.Encode(), 0)
	}
	if s.Ending == nil || s.Ending.State != pipeline.FailedEnd || !strings.Contains(s.Ending.Reason, "given up") {
		t.Fatalf("ending %+v with %d stalls, %d invocations died", s.Ending, s.Stalls, died)
	}
	if died != 6 { // the sixth gives it up, and dies too
		t.Errorf("%d invocations died until it was given up", died)
	}
}

// abreast counts how many merges of parts are under way at once.
type abreast struct {
	mu         sync.Mutex
	now, most  int
	fail       error
	both, done chan struct{}
}

func (a *abreast) Before(_ context.Context, call, key string) error {
	if call != "Bucket.Open" || !strings.HasSuffix(key, "-1/failed.jsonl") {
		return nil
	}
	a.mu.Lock()
	a.now++
	a.most = max(a.most, a.now)
	if a.now == 2 && a.both != nil {
		close(a.both)
		a.both = nil
	}
	err, done := a.fail, a.done
	a.mu.Unlock()
	if done != nil {
		<-done // the first one waits for the second
	}
	return err
}

func (a *abreast) After(_ context.Context, call, key string, err error) error {
	if call == "Bucket.Commit" && strings.HasSuffix(key, "/errors.jsonl") {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.now--
	}
	return err
}

func TestPartsAreMergedTwoAtOnceAndAfterAStallOneByOne(t *testing.T) {
	hook := &abreast{fail: errors.New("no memory left"), both: make(chan struct{})}
	hook.done = hook.both
	w := handlertest.New(t, func(w *handlertest.World) {
		small(w)
		w.Settings.Parallel = 2
		w.Hook = hook
	})
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(line int, _ string) memory.Line {
			if line == 0 {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
			}
			return memory.Line{}
		}}
	}
	failures := 0
	w.Invoked = func(string, []byte) {
		if hook.fail == nil || hook.most == 0 {
			return
		}
		if failures++; failures == 2 { // the first came after something was got done, and is no stall yet
			hook.fail = nil
		}
		hook.most, hook.now = 0, 0
	}
	w.Input.Set("workload.yaml", []byte(nova+"retries: 0\n"))
	w.Input.Set("a.jsonl", prompts(40))
	w.Run()
	w.Ticks(30)
	n := one(t, w)
	if parts := len(w.Bedrock.All()); parts < 3 || n.Rows.Failed != int64(parts) || n.Rows.Answered != 40-int64(parts) {
		t.Errorf("%d jobs, rows %+v", parts, n.Rows)
	}
	if hook.fail != nil || hook.most != 1 {
		t.Errorf("failing still: %v, then up to %d at once", hook.fail, hook.most)
	}
	if len(w.Failed) != 2 {
		t.Errorf("failed messages: %q", w.Failed)
	}
}
