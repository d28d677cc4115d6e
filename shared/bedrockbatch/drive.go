package bedrockbatch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// slice is the time of one step of the pipeline in this process.
const slice = 10 * time.Minute

// drive is the pipeline over one run, driven in this process: messages go
// through memory in place of queues, jobs are looked at in place of events.
type drive struct {
	run     *Run
	post    *post
	submit  *pipeline.Submit
	collect *pipeline.Collect
	jobs    *watched
	owner   string
	steps   int
}

func (r *Run) drive(owner string) *drive {
	c := r.client
	d := &drive{run: r, post: &post{clock: c.clock}, owner: owner, jobs: &watched{Jobs: c.jobs, seen: map[string]batch.Job{}}}
	observer := c.opt.Observer
	if observer == nil {
		observer = silent{}
	}
	o := pipeline.Options{
		Deployment: c.deployment(r.rec.Name), Settings: c.set,
		// The jobs' URIs are made of this and keys below the run's folder.
		OutputBucket: c.opt.Bucket + "/" + c.opt.Prefix + r.rec.Name,
		JobRole:      c.opt.Role, Workload: r.rec.Settings, TempDir: c.opt.TempDir, MaxJobs: r.rec.MaxJobs, Models: c.models,
		// All runs below one prefix share the limit of requests on demand.
		Shared: &below{bucket: c.bucket, name: c.opt.Bucket, prefix: c.opt.Prefix},
		// They know each other's answers too, where nothing else may stand.
		Answers: &below{bucket: c.bucket, name: c.opt.Bucket, prefix: c.opt.Prefix + "_"},
		Input:   r.bucket, Output: r.bucket, Uploads: d.post, Jobs: d.post, Clock: c.clock, Observer: observer,
	}
	d.submit = pipeline.NewSubmit(o, d.jobs, c.model)
	d.collect = pipeline.NewCollect(o, d.jobs, quiet{})
	r.jobs = d.jobs
	return d
}

// quiet is a topic without subscribers: what would be published stands in
// summary.json.
type quiet struct{}

func (quiet) Publish(context.Context, pipeline.Publication) error { return nil }

// work locks the run, does f with a drive, and unlocks it.
func (r *Run) work(f func(*drive) error) error {
	owner, unlock, err := lock(r.client.lockDir(), r.client.deployment(r.rec.Name)+"-"+r.id)
	if errors.Is(err, errLocked) {
		return conflict("work on run "+r.rec.Name, "wait for that one, or look with Status", "another process of this machine works on it")
	}
	if err != nil {
		return explain(err, "lock run %s", r.rec.Name)
	}
	defer unlock()
	return f(r.drive(owner))
}

func (d *drive) invocation() pipeline.Invocation {
	d.steps++
	return pipeline.Invocation{ID: random(), Deadline: d.run.client.clock.Now().Add(slice), Owner: d.owner}
}

// start does what can be done without waiting: accept, prepare, answer what is
// too little for a job, create jobs.
func (r *Run) start(ctx context.Context) error {
	err := r.work(func(d *drive) error {
		if err := d.begin(ctx); err != nil {
			return err
		}
		return d.drain(ctx)
	})
	return explain(err, "start run %s", r.rec.Name)
}

// begin takes the run up wherever it stands.
func (d *drive) begin(ctx context.Context) error {
	s, err := d.run.submission(ctx)
	if err != nil {
		return err
	}
	if s == nil {
		return d.run.client.retried(ctx, func() error { return d.submit.Uploaded(ctx, d.invocation(), d.run.rec.Upload) })
	}
	d.poll(s)
	if !s.State.Terminal() {
		d.post.put(pipeline.Message{Do: pipeline.DoContinue, Submission: s.ID}, 0)
	}
	return nil
}

// retried bears failures that pass.
func (c *Client) retried(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if err == nil || !pipeline.Later(err) {
			return err
		}
		delay := c.backoff.of(err)
		if delay.Tries > 0 && n >= delay.Tries {
			return fmt.Errorf("given up after %d tries: %w", n, err)
		}
		if err := c.clock.Sleep(ctx, delay.next(n)); err != nil {
			return err
		}
	}
}

// drain handles all messages that are due.
func (d *drive) drain(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.jobs.refusal(); err != nil {
			return err
		}
		m, ok := d.post.take()
		if !ok {
			return nil
		}
		if err := d.run.client.retried(ctx, func() error { return d.handle(ctx, m) }); err != nil {
			return err
		}
	}
}

func (d *drive) handle(ctx context.Context, m pipeline.Message) error {
	in := d.invocation()
	switch m.Do {
	case pipeline.DoContinue:
		return d.submit.Continue(ctx, in, m.Submission)
	case pipeline.DoStop:
		return d.submit.Stop(ctx, in, m.Submission)
	case pipeline.DoDispatch:
		return d.submit.Dispatch(ctx, in, m.Model)
	case pipeline.DoCollect:
		return d.collect.Collect(ctx, in, m.Submission)
	}
	return fmt.Errorf("a message of the pipeline to itself asks for %q, which a run has no use for", m.Do)
}

// poll asks after everything that may have got on by itself: the pipeline's
// events and its schedule in one.
func (d *drive) poll(s *pipeline.Submission) {
	d.post.put(pipeline.Message{Do: pipeline.DoCollect, Submission: s.ID}, 0)
	if s.State.Terminal() {
		return
	}
	waits, asked := false, false
	for i := range s.Parts {
		p := &s.Parts[i]
		waits = waits || p.How == pipeline.ByJob && (p.Status == pipeline.PartWaiting || p.Status == pipeline.PartCreating)
		asked = asked || p.How == pipeline.OnDemand && p.Status != pipeline.PartEnded && p.Status != pipeline.PartCollected
	}
	if s.Prepared && waits {
		d.post.put(pipeline.Message{Do: pipeline.DoDispatch, Model: s.QuotaKey}, 0)
	}
	if !s.Prepared || asked || s.Checkpoint != nil {
		d.post.put(pipeline.Message{Do: pipeline.DoContinue, Submission: s.ID}, 0)
	}
}

// Wait carries the run on until it has ended and returns how. progress, if not
// nil, is told whenever something has changed. When ctx ends Wait returns its
// error and the jobs run on: call Wait again, in this process or another, to
// come back.
func (r *Run) Wait(ctx context.Context, progress func(Progress)) (*Outcome, error) {
	err := r.work(func(d *drive) error { return d.toTheEnd(ctx, progress) })
	if err != nil {
		return nil, explain(err, "wait for run %s", r.rec.Name)
	}
	return r.Outcome(ctx)
}

func (d *drive) toTheEnd(ctx context.Context, tell func(Progress)) error {
	c := d.run.client
	if err := d.begin(ctx); err != nil {
		return err
	}
	var last Progress
	for idle := 0; ; {
		if err := d.drain(ctx); err != nil {
			return err
		}
		s, err := d.run.submission(ctx)
		if err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("the run's state is gone from s3://%s/%s: %w", c.opt.Bucket, d.run.bucket.prefix, batch.ErrNotFound)
		}
		now := progressOf(s, d.jobs)
		if !now.same(last) {
			idle = 0
			if tell != nil {
				tell(now)
			}
		}
		last = now
		if s.State.Terminal() {
			return d.tidied(ctx, s)
		}
		idle++
		wait := c.backoff.Poll.next(idle)
		look := true
		if at, ok := d.post.next(); ok {
			if until := at.Sub(c.clock.Now()); until < wait {
				wait, look = until, false
			}
		}
		if err := c.clock.Sleep(ctx, max(wait, 0)); err != nil {
			return err
		}
		if look {
			d.poll(s)
		}
	}
}

// tidied removes what a process that died at the very end left behind.
func (d *drive) tidied(ctx context.Context, s *pipeline.Submission) error {
	err := d.run.client.retried(ctx, func() error {
		_, _, err := d.run.bucket.Get(ctx, config.Open+s.ID)
		return err
	})
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.run.client.retried(ctx, func() error { return d.collect.Collect(ctx, d.invocation(), s.ID) })
}

// watched remembers the jobs as they were last read, and the last refusal to
// create one.
type watched struct {
	batch.Jobs
	mu      sync.Mutex
	seen    map[string]batch.Job
	refused error
}

func (w *watched) Create(ctx context.Context, spec batch.JobSpec) (string, error) {
	arn, err := w.Jobs.Create(ctx, spec)
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, batch.ErrAccess) {
		w.refused = err
	}
	return arn, err
}

// refusal is a denied Create. A deployed pipeline tries for minutes, as its
// rights may be spreading still; who sits in front of it wants to know.
func (w *watched) refusal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.refused
	w.refused = nil
	return err
}

func (w *watched) Get(ctx context.Context, arn string) (batch.Job, error) {
	job, err := w.Jobs.Get(ctx, arn)
	if err == nil {
		w.mu.Lock()
		w.seen[job.ARN] = job
		w.mu.Unlock()
	}
	return job, err
}

func (w *watched) List(ctx context.Context, f batch.JobFilter) iter.Seq2[batch.Job, error] {
	return w.Jobs.List(ctx, f)
}

// last is a job as it was last read.
func (w *watched) last(arn string) (batch.Job, bool) {
	if w == nil {
		return batch.Job{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	job, ok := w.seen[arn]
	return job, ok
}
