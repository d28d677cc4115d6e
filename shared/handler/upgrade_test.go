package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// The files below testdata/states are what version 1 of the state documents
// looked like in the middle of things. They are not to be written again by
// later code: that they are old is what they are for.
var states = flag.Bool("states", false, "write what stands in the middle of things, for a new version of the state documents")

// standstill is a deployment between two invocations.
type standstill struct {
	Now           time.Time
	Input, Output []object
	Jobs          []job
	Uploads, Told []string // the messages of the uploads and of the jobs queue
}

// object is text, or bytes.
type object struct {
	Key, Text string
	Bytes     []byte `json:",omitempty"`
}

func objectOf(key string, body []byte) object {
	if utf8.Valid(body) {
		return object{Key: key, Text: string(body)}
	}
	return object{Key: key, Bytes: body}
}

func (o object) body() []byte {
	if o.Bytes != nil {
		return o.Bytes
	}
	return []byte(o.Text)
}

type job struct {
	Spec   batch.JobSpec
	Status batch.Status
}

var middles = []struct {
	name   string
	rows   int
	change func(*handlertest.World)
	// there says that this is the place.
	there func(*handlertest.World, pipeline.Submission) bool
	jobs  int
	// paused: somebody has paused the deployment, and resumes it afterwards.
	paused bool
}{
	{
		name: "preparing", rows: 60, jobs: 8,
		change: func(w *handlertest.World) { w.Slice, w.Hook = 3*time.Second, ticking{w} },
		there: func(_ *handlertest.World, s pipeline.Submission) bool {
			return s.State == pipeline.Preparing && s.Checkpoint != nil && len(s.Parts) > 1
		},
	},
	{
		name: "crashed while preparing", rows: 60, jobs: 8,
		change: func(w *handlertest.World) {
			w.Slice, w.Hook = 10*time.Second, &dying{ticking{w}, "/staged/", 4}
		},
		there: func(_ *handlertest.World, s pipeline.Submission) bool { return s.Lease != nil },
	},
	{
		name: "waiting", rows: 30, jobs: 4, paused: true,
		there: func(_ *handlertest.World, s pipeline.Submission) bool { return s.State == pipeline.WaitingFor },
	},
	{
		name: "running", rows: 30, jobs: 4,
		there: func(w *handlertest.World, s pipeline.Submission) bool {
			return s.State == pipeline.Running && w.Bedrock.Live("") > 2 && len(w.Uploads.Ready()) == 0
		},
	},
	{
		name: "asking on demand", rows: 2, jobs: 0,
		change: func(w *handlertest.World) { w.Hook = &dying{ticking{w}, "/rows/r0000000001", 1} },
		there: func(w *handlertest.World, s pipeline.Submission) bool {
			return s.Lease != nil && len(w.Bedrock.Asked()) == 1
		},
	},
	{
		name: "collecting", rows: 60, jobs: 8,
		change: func(w *handlertest.World) { w.Hook = &dying{ticking{w}, "/results.jsonl", 1} },
		there: func(_ *handlertest.World, s pipeline.Submission) bool {
			return s.State == pipeline.Collecting && s.Lease != nil
		},
	},
	{
		name: "a retry round is wanted", rows: 30, jobs: 5,
		change: func(w *handlertest.World) {
			w.Outcome = func(j batch.Job) memory.Outcome {
				if strings.HasSuffix(j.Name, "-1") {
					return memory.Outcome{Line: func(n int, _ string) memory.Line {
						if n == 0 {
							return memory.Line{Shape: memory.Beside, Code: 503, Message: "busy"}
						}
						return memory.Line{}
					}}
				}
				return memory.Outcome{}
			}
		},
		there: func(_ *handlertest.World, s pipeline.Submission) bool {
			return s.State == pipeline.Running && s.Parts[len(s.Parts)-1].Attempt == 2
		},
	},
}

// dying kills the invocation at the n-th call about a key.
type dying struct {
	ticking
	key string
	n   int
}

func (c *dying) After(ctx context.Context, call, key string, err error) error {
	if strings.Contains("/"+key, c.key) {
		if c.n--; c.n == 0 {
			panic(handlertest.Crash)
		}
	}
	return c.ticking.After(ctx, call, key, err)
}

func middle(t *testing.T, change func(*handlertest.World)) *handlertest.World {
	return handlertest.New(quiet{t}, func(w *handlertest.World) {
		small(w)
		w.Settings.OnDemandConcurrency = 1
		w.Settings.Margin = config.Duration(time.Hour) // a third of the slice
		if change != nil {
			change(w)
		}
	})
}

func stateIn(t *testing.T, w *handlertest.World) (s pipeline.Submission, key string) {
	t.Helper()
	for _, key := range w.Output.Keys("submissions/") {
		if strings.HasSuffix(key, "/submission.json") {
			if err := json.Unmarshal(w.Output.Bytes(key), &s); err != nil {
				t.Fatal(err)
			}
			return s, key
		}
	}
	return s, ""
}

// stand lets a world run to its middle and describes what stands there.
func stand(t *testing.T, rows int, paused bool, change func(*handlertest.World), there func(*handlertest.World, pipeline.Submission) bool) standstill {
	w := middle(t, change)
	var still standstill
	put := func(key, body string) {
		w.Input.Set(key, []byte(body))
		still.Input = append(still.Input, objectOf(key, []byte(body)))
	}
	if paused {
		w.Output.Set(pipeline.PauseKey, nil)
	}
	put("workload.yaml", nova)
	put("a.jsonl", string(prompts(rows)))
	for range 1000 {
		s, key := stateIn(t, w)
		if key != "" && there(w, s) {
			break
		}
		if w.Step() {
			continue
		}
		next, ok := w.Uploads.Next()
		if n, ok2 := w.Jobs.Next(); ok2 && (!ok || n.Before(next)) {
			next, ok = n, true
		}
		if !ok {
			t.Fatal("the world came to rest before its middle")
		}
		w.Clock.AdvanceTo(next)
	}
	still.Now = w.Clock.Now()
	for _, key := range w.Output.Keys("") {
		if key == pipeline.PauseKey {
			continue
		}
		still.Output = append(still.Output, objectOf(key, w.Output.Bytes(key)))
	}
	for _, j := range w.Bedrock.All() {
		spec, _ := w.Bedrock.Spec(j.ARN)
		still.Jobs = append(still.Jobs, job{spec, j.Status})
	}
	for _, body := range w.Uploads.Bodies() {
		still.Uploads = append(still.Uploads, string(body))
	}
	for _, body := range w.Jobs.Bodies() {
		still.Told = append(still.Told, string(body))
	}
	return still
}

// wake makes a world of what stood still, with what this code is.
func (s standstill) wake(t *testing.T) *handlertest.World {
	w := middle(t, nil)
	w.Clock.AdvanceTo(s.Now)
	for _, o := range s.Input {
		w.Input.Set(o.Key, o.body())
	}
	for w.Uploads.Len() > 0 { // the news of the uploads were taken
		m, _ := w.Uploads.Receive()
		w.Uploads.Delete(m)
	}
	set := func() {
		for _, o := range s.Output {
			w.Output.Set(o.Key, o.body())
		}
	}
	set()
	for _, j := range s.Jobs {
		arn, err := w.Bedrock.Jobs(nil).Create(t.Context(), j.Spec)
		if err != nil {
			t.Fatal(err)
		}
		if j.Status.Terminal() {
			w.Bedrock.Run(arn, memory.Outcome{})
		}
	}
	set()
	for _, body := range s.Uploads {
		w.Uploads.Put([]byte(body), 0)
	}
	for _, body := range s.Told {
		w.Jobs.Put([]byte(body), 0)
	}
	return w
}

func TestSubmissionsOfTheFirstVersionAreCarriedOn(t *testing.T) {
	for _, m := range middles {
		t.Run(m.name, func(t *testing.T) {
			file := filepath.Join("testdata", "states", strings.ReplaceAll(m.name, " ", "-")+".v1.json")
			if *states {
				text, err := json.MarshalIndent(stand(t, m.rows, m.paused, m.change, m.there), "", " ")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var still standstill
			if err := json.Unmarshal(text, &still); err != nil {
				t.Fatal(err)
			}

			w := still.wake(t)
			w.Run()
			w.Clock.Advance(time.Hour) // a dead invocation's lease runs out
			w.Ticks(3)
			n := one(t, w)
			if n.Status != pipeline.StatusCompleted || n.Rows.Answered != int64(m.rows) {
				t.Errorf("notice: %s %+v %s", n.Status, n.Rows, n.Reason)
			}
			if jobs := len(w.Bedrock.All()); jobs != m.jobs {
				t.Errorf("there are %d jobs, want %d: nothing is paid for twice", jobs, m.jobs)
			}
			if m.jobs == 0 && len(w.Bedrock.Asked()) != m.rows-1 {
				t.Errorf("%d rows were asked about, want %d: one answer was stored", len(w.Bedrock.Asked()), m.rows-1)
			}
			for at, line := range bytes.Split(bytes.TrimSpace(w.Result(n, "results.jsonl")), []byte("\n")) {
				var r struct{ Row int }
				if err := json.Unmarshal(line, &r); err != nil || r.Row != at+1 {
					t.Fatalf("line %d of results.jsonl is row %d (%v)", at+1, r.Row, err)
				}
			}
			clean(t, w)
		})
		t.Run(m.name+", written by a newer version", func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "states", strings.ReplaceAll(m.name, " ", "-")+".v1.json"))
			if err != nil {
				t.Fatal(err)
			}
			var still standstill
			if err := json.Unmarshal(text, &still); err != nil {
				t.Fatal(err)
			}
			w := still.wake(t)
			_, key := stateIn(t, w)
			newer := bytes.Replace(w.Output.Bytes(key), []byte(`"version":1`), []byte(`"version":1000`), 1)
			w.Output.Set(key, newer)
			jobs, asked := len(w.Bedrock.All()), len(w.Bedrock.Asked())
			w.Run()
			w.Ticks(12)
			if !bytes.Equal(w.Output.Bytes(key), newer) {
				t.Errorf("its state was rewritten: %s", w.Output.Bytes(key))
			}
			if len(w.Notices()) > 0 || len(w.Bedrock.All()) != jobs || len(w.Bedrock.Asked()) != asked {
				t.Errorf("something was done for it: %d notices, %d jobs, %d requests", len(w.Notices()), len(w.Bedrock.All())-jobs, len(w.Bedrock.Asked())-asked)
			}
		})
	}
}
