package bedrockbatch_test

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
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

const haiku = "anthropic.claude-3-haiku-20240307-v1:0"

// world is a bucket and batch inference in memory. Whoever sleeps lets the
// clock and every live job move on a step.
type world struct {
	clock   *memory.Clock
	bucket  *memory.Bucket
	bedrock *memory.Bedrock
	outcome func(batch.Job) memory.Outcome
	hook    memory.Hook
	locks   string
	temp    string
	sleeps  int
	linger  int // how many looks a job that is stopping is seen so
	most    int // live jobs at once
}

func newWorld(t *testing.T) *world {
	w := &world{clock: memory.NewClock(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)), locks: t.TempDir(), temp: t.TempDir()}
	w.bucket = memory.NewBucket(memory.BucketOptions{Name: "mine", Clock: w.clock})
	w.bedrock = memory.NewBedrock(memory.BedrockOptions{Clock: w.clock, Buckets: []*memory.Bucket{w.bucket}, MinRecords: 10, MaxRecords: 20,
		Answer: func(_ string, _ batch.Invocation, modelInput []byte) []byte { return echo(modelInput) }})
	return w
}

// echo answers with the whole question.
func echo(modelInput []byte) []byte {
	var body struct {
		Messages []struct {
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
		} `json:"messages"`
	}
	_ = json.Unmarshal(modelInput, &body)
	text, _ := json.Marshal("You said: " + body.Messages[0].Content[0].Text)
	return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[{"text":%s}]}},"stopReason":"end_turn","usage":{"inputTokens":%d,"outputTokens":5,"totalTokens":%d}}`, text, len(modelInput), len(modelInput)+5)
}

func (w *world) Now() time.Time { return w.clock.Now() }

func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.sleeps++; w.sleeps > 10_000 {
		return errors.New("nobody rests")
	}
	w.most = max(w.most, w.bedrock.Live(""))
	w.clock.Advance(d)
	for _, j := range w.bedrock.All() {
		if j.Status.Terminal() {
			continue
		}
		if j.Status == batch.Stopping && w.linger > 0 {
			w.linger--
			continue
		}
		if j.Status == batch.InProgress {
			o := memory.Outcome{}
			if w.outcome != nil {
				o = w.outcome(j)
			}
			w.bedrock.End(j.ARN, o)
			continue
		}
		w.bedrock.Advance(j.ARN)
	}
	return nil
}

func (w *world) client(t *testing.T) *bedrockbatch.Client {
	t.Helper()
	set := config.Default()
	set.Quotas.MinRecords, set.Quotas.MaxRecords = 10, 20
	set.OnDemandConcurrency = 1
	var bucket batch.Bucket = w.bucket
	if w.hook != nil {
		bucket = w.bucket.Hooked(w.hook)
	}
	c, err := bedrockbatch.New(t.Context(), bedrockbatch.Options{
		Bucket: "mine", Role: "arn:aws:iam::123456789012:role/batch", Settings: &set, LockDir: w.locks, TempDir: w.temp,
		Observer: talk{t},
		Ports:    bedrockbatch.Ports{Bucket: bucket, Jobs: w.bedrock.Jobs(w.hook), Model: w.bedrock.Model(w.hook), Clock: w},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type talk struct{ t *testing.T }

func (o talk) Observe(_ context.Context, e pipeline.Event) {
	o.t.Log(append([]any{e.Name}, e.Fields...)...)
}

func prompts(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("Question %d?", i+1)
	}
	return all
}

func TestARunAnswersEveryInputInOrder(t *testing.T) {
	for _, c := range []struct {
		name     string
		inputs   int
		jobs     int
		onDemand bool
	}{
		{"one prompt is answered on demand", 1, 0, true},
		{"fewer than a job takes are answered on demand", 9, 0, true},
		{"as many as a job takes make one job", 10, 1, false},
		{"more than a job takes make several", 45, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.outcome = func(batch.Job) memory.Outcome {
				return memory.Outcome{Order: func(n int) []int { // backwards
					order := make([]int, n)
					for i := range order {
						order[i] = n - 1 - i
					}
					return order
				}}
			}
			var told []bedrockbatch.Progress
			run, o, err := w.client(t).Process(t.Context(), bedrockbatch.Spec{Model: haiku, MaxTokens: 10}, bedrockbatch.Prompts(prompts(c.inputs)...),
				func(p bedrockbatch.Progress) { told = append(told, p) })
			if err != nil {
				t.Fatal(err)
			}
			if o.Status != "Completed" || o.Err() != nil || o.Rows.Answered != int64(c.inputs) || len(o.Jobs) != c.jobs || o.OnDemand != c.onDemand {
				t.Fatalf("outcome %+v", o)
			}
			if o.Tokens.Input == 0 || o.Tokens.Total != o.Tokens.Input+o.Tokens.Output {
				t.Errorf("tokens %+v", o.Tokens)
			}
			answers, err := bedrockbatch.Collect(run.Answers(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range answers {
				if a.Row != int64(i+1) || a.Status != bedrockbatch.Answered || !strings.Contains(a.Text, fmt.Sprintf("Question %d?", i+1)) {
					t.Fatalf("answer %d: %+v", i+1, a)
				}
			}
			if len(answers) != c.inputs {
				t.Fatalf("%d answers", len(answers))
			}
			if last := told[len(told)-1]; last.Current != int64(c.inputs) || last.Total != int64(c.inputs) || last.State != pipeline.Done {
				t.Errorf("the last progress told: %+v", last)
			}
		})
	}
}

// killer ends a process at its n-th call, before or after its effect: from
// then on nothing that it does has any.
type killer struct {
	mu    sync.Mutex
	left  int
	after bool
	dead  bool
}

var errDead = errors.New("the process is dead")

func (k *killer) Before(context.Context, string, string) error { return k.step(false, nil) }

func (k *killer) After(_ context.Context, _, _ string, err error) error { return k.step(true, err) }

func (k *killer) step(after bool, err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if after == k.after && !k.dead {
		k.left--
		k.dead = k.left < 0
	}
	if k.dead {
		return errDead
	}
	return err
}

// denying denies one call.
type denying string

func (d denying) Before(_ context.Context, call, key string) error {
	if call == string(d) {
		return fmt.Errorf("%s %s: %w", call, key, batch.ErrAccess)
	}
	return nil
}

func (denying) After(_ context.Context, _, _ string, err error) error { return err }

// failing fails every n-th call, before its effect.
type failing struct {
	every, n int
	err      error
}

func (f *failing) Before(context.Context, string, string) error {
	if f.n++; f.n%f.every == 0 {
		return f.err
	}
	return nil
}

func (*failing) After(_ context.Context, _, _ string, err error) error { return err }

func contextWith(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}
