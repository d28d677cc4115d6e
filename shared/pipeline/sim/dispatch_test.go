package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// hook does something in the middle of a call, once.
type hook struct {
	call, key string
	n         int // at which time
	after     bool
	do        func()
	seen      int
	dead      error // what every further call comes back with
}

func (h *hook) at(call, key string, after bool) {
	if h.do == nil || after != h.after || call != h.call || !strings.Contains(key, h.key) {
		return
	}
	if h.seen++; h.seen == h.n {
		h.do()
	}
}

func (h *hook) Before(_ context.Context, call, key string) error {
	h.at(call, key, false)
	return h.dead
}

func (h *hook) After(_ context.Context, call, key string, err error) error {
	h.at(call, key, true)
	if h.dead != nil {
		return h.dead
	}
	return err
}

type silent struct{}

func (silent) Observe(context.Context, pipeline.Event) {}

// place is a world without faults, driven by hand.
type place struct {
	t             *testing.T
	clock         *memory.Clock
	input, output *memory.Bucket
	bedrock       *memory.Bedrock
	uploads, jobs *memory.Queue
	n             int
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, clock: memory.NewClock(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))}
	p.input = memory.NewBucket(memory.BucketOptions{Name: "in", Versioned: true, Clock: p.clock})
	p.output = memory.NewBucket(memory.BucketOptions{Name: "out", Clock: p.clock})
	p.bedrock = memory.NewBedrock(memory.BedrockOptions{Clock: p.clock, MinRecords: 3, MaxRecords: 8, Buckets: []*memory.Bucket{p.output}})
	p.uploads = memory.NewQueue(memory.QueueOptions{Name: "uploads", Clock: p.clock})
	p.jobs = memory.NewQueue(memory.QueueOptions{Name: "jobs", Clock: p.clock})
	p.input.Set("workload.yaml", []byte("model: amazon.nova-lite-v1:0\n"))
	return p
}

// options are an invocation's, and what it is.
func (p *place) options(h *hook) (pipeline.Options, pipeline.Invocation) {
	set := config.Default()
	set.Quotas = config.Quotas{MinRecords: 3, MaxRecords: 8, MaxFileBytes: 10_000}
	set.OnDemandConcurrency = 1
	p.n++
	return pipeline.Options{
		Deployment: "a3154b92", Settings: set, OutputBucket: "out", JobRole: "arn:aws:iam::123456789012:role/jobs",
		Input: p.input.Hooked(h), Output: p.output.Hooked(h), Uploads: p.uploads.Hooked(h), Jobs: p.jobs.Hooked(h),
		Clock: p.clock, Observer: silent{},
	}, pipeline.Invocation{ID: fmt.Sprintf("invocation-%d", p.n), Deadline: p.clock.Now().Add(15 * time.Minute)}
}

// submit is an invocation of the submitting half.
func (p *place) submit(h *hook) (*pipeline.Submit, pipeline.Invocation) {
	o, in := p.options(h)
	return pipeline.NewSubmit(o, p.bedrock.Jobs(h), p.bedrock.Model(h)), in
}

// collect is an invocation of the collecting half.
func (p *place) collect(h *hook, topic *memory.Topic[pipeline.Publication]) (*pipeline.Collect, pipeline.Invocation) {
	o, in := p.options(h)
	return pipeline.NewCollect(o, p.bedrock.Jobs(h), topic.Hooked(h)), in
}

// upload drops three rows and handles the news of them.
func (p *place) upload(key string, h *hook) pipeline.Upload {
	o := p.input.Set(key, []byte(`{"prompt":"a"}`+"\n"+`{"prompt":"b"}`+"\n"+`{"prompt":"c"}`+"\n"))
	u := pipeline.Upload{Bucket: "in", Key: key, VersionID: o.Version, ETag: o.ETag, Size: o.Size}
	s, in := p.submit(h)
	if err := s.Uploaded(p.t.Context(), in, u); err != nil {
		p.t.Fatalf("upload %s: %v", key, err)
	}
	return u
}

func TestAWakeAtATakenDispatcherIsNotLost(t *testing.T) {
	p := newPlace(t)
	// The first dispatcher is about to let go when the second upload comes.
	p.upload("a.jsonl", &hook{call: "Bucket.Put", key: "control/dispatch/", n: 2, do: func() { p.upload("b.jsonl", &hook{}) }})
	if jobs := p.bedrock.All(); len(jobs) != 2 {
		t.Fatalf("%d jobs were created, want one for each upload without any further message", len(jobs))
	}
}

func TestOnlyOneDispatcherOfAModelCreatesJobs(t *testing.T) {
	p := newPlace(t)
	p.upload("a.jsonl", &hook{call: "Jobs.Create", n: 1, do: func() {
		p.upload("b.jsonl", &hook{})
		if jobs := p.bedrock.All(); len(jobs) != 0 {
			t.Errorf("a second dispatcher created job %s while the first held the lease", jobs[0].Name)
		}
	}})
	if jobs := p.bedrock.All(); len(jobs) != 2 {
		t.Errorf("%d jobs were created, want 2", len(jobs))
	}
}

func TestAStopThatComesWhileAJobIsCreatedStopsIt(t *testing.T) {
	p := newPlace(t)
	o := p.input.Set("a.jsonl", []byte(`{"prompt":"a"}`+"\n"+`{"prompt":"b"}`+"\n"+`{"prompt":"c"}`+"\n"))
	u := pipeline.Upload{Bucket: "in", Key: "a.jsonl", VersionID: o.Version, ETag: o.ETag, Size: o.Size}
	s, in := p.submit(&hook{call: "Jobs.Create", n: 1, after: true, do: func() {
		other, in := p.submit(&hook{})
		if err := other.Stop(t.Context(), in, pipeline.SubmissionID(u)); err != nil {
			t.Errorf("stop: %v", err)
		}
	}})
	if err := s.Uploaded(t.Context(), in, u); err != nil {
		t.Fatal(err)
	}
	jobs := p.bedrock.All()
	if len(jobs) != 1 || jobs[0].Status != batch.Stopping {
		t.Fatalf("after a stop that came with the creation of a job the jobs are %+v, want one that is stopping", jobs)
	}
}

func TestAStopBehindTheBooksDoesNotChangeTheNotice(t *testing.T) {
	p := newPlace(t)
	id := pipeline.SubmissionID(p.upload("a.jsonl", &hook{}))
	p.bedrock.Run(p.bedrock.All()[0].ARN, memory.Outcome{})
	topic := memory.NewTopic[pipeline.Publication](nil)
	dead := errors.New("dead")
	var h *hook
	h = &hook{call: "Topic.Publish", n: 1, after: true, do: func() {
		s, in := p.submit(&hook{})
		if err := s.Stop(t.Context(), in, id); err != nil {
			t.Errorf("stop: %v", err)
		}
		h.dead = dead // and the publisher dies
	}}
	c, in := p.collect(h, topic)
	if err := c.Collect(t.Context(), in, id); !errors.Is(err, dead) {
		t.Fatalf("collect: %v, want the death of its invocation", err)
	}
	p.clock.Advance(time.Hour) // its lease runs out
	c, in = p.collect(&hook{}, topic)
	if err := c.Collect(t.Context(), in, id); err != nil {
		t.Fatal(err)
	}
	var notices []pipeline.Notice
	for _, published := range topic.Published() {
		var n pipeline.Notice
		if err := json.Unmarshal([]byte(published.JSON), &n); err != nil {
			t.Fatal(err)
		}
		notices = append(notices, n)
	}
	if len(notices) != 2 || notices[0].Status != pipeline.StatusCompleted || notices[1].Status != pipeline.StatusCompleted || notices[0].NoticeID != notices[1].NoticeID {
		t.Errorf("published %+v, want the same notice of completion twice", notices)
	}
}
