package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// JobReader is what Collect may do with jobs: look.
type JobReader interface {
	Get(ctx context.Context, arn string) (batch.Job, error)
	List(ctx context.Context, filter batch.JobFilter) iter.Seq2[batch.Job, error]
}

// Collect gathers what jobs wrote, starts retry rounds, writes results and
// publishes notices. Its methods may be called for the same thing any number
// of times, at once and by several invocations.
type Collect struct {
	core    core
	jobs    JobReader
	topic   Topic
	bucket  string
	tempDir string
}

// NewCollect builds the collecting half.
func NewCollect(o Options, jobs JobReader, topic Topic) *Collect {
	return &Collect{core: o.core(), jobs: jobs, topic: topic, bucket: o.OutputBucket, tempDir: o.TempDir}
}

// collectRun is one invocation of Collect.
type collectRun struct {
	*run
	*Collect
	staged bool // a retry round waits for Submit
}

func (c *Collect) begin(in Invocation) *collectRun {
	return &collectRun{run: c.core.begin(in), Collect: c}
}

// jobUnknown is how long a job that was created may not be found before it is
// believed that there is none.
const jobUnknown = 24 * time.Hour

// outputAgain is the delay after which output that is not there yet is looked
// for again.
const outputAgain = time.Minute

// JobEnded takes the news that a job has ended. The event's own words are not
// believed: the job is read.
func (c *Collect) JobEnded(ctx context.Context, in Invocation, arn, name string) error {
	r := c.begin(in)
	deployment, id, _, _, ok := ParseJobName(name)
	if !ok || deployment != r.deployment {
		r.note(ctx, "event of somebody else's job ignored", "", "job", arn, "name", name)
		return nil
	}
	job, err := r.jobs.Get(ctx, arn)
	if err != nil && !errors.Is(err, batch.ErrNotFound) {
		return fmt.Errorf("read job %s: %w", arn, err)
	}
	if err != nil || !job.Status.Terminal() || job.Name != name {
		// Told too early, or not the job it says it is: look later, by id.
		return r.send(ctx, r.jobsQueue, Message{Do: DoCollect, Submission: id}, outputAgain)
	}
	if _, err := r.ended(ctx, id, job); errors.Is(err, batch.ErrNotFound) {
		r.note(ctx, "event of an unknown submission ignored", id, "job", arn)
		return nil
	} else if err != nil {
		return err
	}
	return r.proceed(ctx, id)
}

// ended writes a job's end into its part. It needs no lease: parts only rise.
func (r *collectRun) ended(ctx context.Context, id string, job batch.Job) (*Submission, error) {
	_, _, n, attempt, _ := ParseJobName(job.Name)
	now := r.clock.Now().UTC()
	return r.update(ctx, id, func(s *Submission) error {
		p := s.part(n, attempt)
		if p == nil || p.Status == PartCollected || p.JobStatus != "" && p.Status == PartEnded {
			return errUnchanged
		}
		if p.JobARN != "" && p.JobARN != job.ARN {
			return errUnchanged // not the job that this part is known to run in
		}
		p.JobARN, p.JobName, p.JobStatus, p.Reported = job.ARN, job.Name, job.Status, job.Counts
		if job.Message != "" {
			p.Message = job.Message
		}
		p.rise(PartEnded)
		p.EndedAt = &now
		s.WaitSince = &now
		s.Stalls = 0
		return nil
	})
}

// Collect carries a submission on: it asks after its running jobs and gathers
// what has ended.
func (c *Collect) Collect(ctx context.Context, in Invocation, id string) error {
	r := c.begin(in)
	s, _, err := r.load(ctx, id)
	if errors.Is(err, batch.ErrNotFound) {
		r.note(ctx, "unknown submission", id, "do", DoCollect)
		return nil
	}
	if errors.Is(err, ErrNewer) {
		return r.leaveToNewer(ctx, id)
	}
	if err != nil {
		return err
	}
	for i := range s.Parts {
		p := s.Parts[i]
		if p.How != ByJob || p.JobARN == "" || partRank[p.Status] >= partRank[PartEnded] {
			continue
		}
		job, err := r.jobs.Get(ctx, p.JobARN)
		if errors.Is(err, batch.ErrNotFound) {
			// A job may take a while until it can be read. Jobs are kept for
			// long; one that is still not there has nothing more to say.
			if p.StartedAt != nil && r.clock.Now().Sub(*p.StartedAt) < jobUnknown {
				continue
			}
			job, err = batch.Job{ARN: p.JobARN, Name: p.JobName, Status: batch.Failed, Message: "the job is not known to the service any more"}, nil
		}
		if err != nil {
			return fmt.Errorf("read job %s: %w", p.JobARN, err)
		}
		if job.Status.Terminal() {
			job.Name = JobName(r.deployment, id, p.N, p.Attempt)
			if s, err = r.ended(ctx, id, job); err != nil {
				return err
			}
		}
	}
	return r.proceed(ctx, id)
}

// Tick is the second line behind Submit's: it wakes what has stood still for
// twice as long.
func (c *Collect) Tick(ctx context.Context, in Invocation) error {
	r := c.begin(in)
	_, err := r.wakeStale(ctx, r.jobsQueue, DoCollect, 2*r.settings.StaleAfter.Std())
	return err
}

// proceed gathers what has ended, under the submission's lease.
func (r *collectRun) proceed(ctx context.Context, id string) error {
	h, err := r.take(ctx, id)
	if errors.Is(err, errBusy) {
		// Its holder may be about to let go without having seen what has
		// ended just now.
		return r.later(ctx, r.jobsQueue, DoCollect, id, func(s *Submission) *time.Time { return &s.CollectAt })
	}
	if err != nil {
		return err
	}
	if h == nil {
		return r.cleanUp(ctx, id)
	}
	delay, err := r.steps(ctx, h)
	if errors.Is(err, errLost) {
		return nil
	}
	excused := h.Stalls == 0 || delay > 0 || delay == noDelay
	if err != nil && !batch.Passing(err) && !errors.Is(err, errSliceOver) {
		return err
	}
	switch {
	case errors.Is(err, errSliceOver):
		delay, excused = 0, h.Stalls == 0
	case err != nil:
		delay, excused = pauseBetween, true
		r.note(ctx, "put off", id, "error", err)
	}
	if h.State.Terminal() {
		return r.cleanUp(ctx, id)
	}
	now, goOn := r.clock.Now(), false
	if err := h.release(ctx, excused, func(s *Submission) {
		// What ended while the lease was held is seen here.
		if delay == noDelay && s.any(func(p *Part) bool { return p.Status == PartEnded }) {
			delay = 0
		}
		goOn = delay != noDelay && r.plan(&s.CollectAt, now, now.Add(delay))
	}); errors.Is(err, errLost) {
		return nil
	} else if err != nil {
		return err
	}
	return r.wake(ctx, h, goOn, delay)
}

// wake sends the messages that carry the submission on after its lease was
// released.
func (r *collectRun) wake(ctx context.Context, h *hold, goOn bool, delay time.Duration) error {
	if goOn {
		if err := r.send(ctx, r.jobsQueue, Message{Do: DoCollect, Submission: h.ID, Due: h.CollectAt}, delay); err != nil {
			return err
		}
	}
	// Only for parts of its own making: Submit wakes Collect for every
	// running submission, and two who wake each other never rest.
	if r.staged {
		return r.send(ctx, r.uploads, Message{Do: DoContinue, Submission: h.ID}, 0)
	}
	return nil
}

// steps gathers until the slice is over, something has to be waited for, or
// the submission has ended. noDelay: its next message will come by itself.
func (r *collectRun) steps(ctx context.Context, h *hold) (time.Duration, error) {
	if h.Ending != nil && !h.Prepared {
		if err := r.endUnprepared(ctx, h); err != nil {
			return noDelay, err
		}
	}
	if h.Ending != nil && (h.Ending.State == Rejected || h.Ending.State == Superseded) {
		return noDelay, r.finish(ctx, h, workload.Workload{})
	}
	if !h.Prepared {
		return noDelay, nil
	}
	var w workload.Workload
	if h.ModelID != "" {
		var err error
		if w, err = r.settingsOf(ctx, h.ID); err != nil {
			return noDelay, err
		}
	}
	if late, err := r.collectEnded(ctx, h, w); err != nil || late != noDelay {
		return late, err
	}
	if late, err := r.hurry(ctx, h, w); err != nil || late {
		r.staged = late
		return noDelay, err
	}
	if h.any(func(p *Part) bool { return p.Status != PartCollected }) && h.Checkpoint == nil {
		return noDelay, r.report(ctx, h.Submission)
	}
	if again, err := r.retry(ctx, h, w); err != nil || again {
		r.staged = again
		return noDelay, err
	}
	return noDelay, r.finish(ctx, h, w)
}

// endUnprepared closes the books of an upload that was given up or stopped
// while it was being read: what was staged was never run.
func (r *collectRun) endUnprepared(ctx context.Context, h *hold) error {
	now := r.clock.Now().UTC()
	return h.progress(ctx, func(s *Submission) error {
		s.Prepared, s.Checkpoint = true, nil
		for i := range s.Parts {
			if s.Parts[i].rise(PartEnded) {
				s.Parts[i].EndedAt = &now
			}
		}
		return nil
	})
}

// collectEnded gathers the parts that have ended, one after the other: a part
// whose output kills whoever reads it must not keep the one before from being
// stored.
func (r *collectRun) collectEnded(ctx context.Context, h *hold, w workload.Workload) (late time.Duration, err error) {
	late = noDelay
	for i := 0; i < len(h.Parts); i++ {
		p := h.Parts[i]
		if p.Status != PartEnded {
			continue
		}
		if r.sliceOver() {
			return noDelay, errSliceOver
		}
		delay, err := r.part(ctx, h, w, p)
		if err != nil {
			return noDelay, err
		}
		late = max(late, delay)
	}
	return late, nil
}

// part gathers one ended part. delay is not noDelay if its output is not all
// there yet.
func (r *collectRun) part(ctx context.Context, h *hold, w workload.Workload, p Part) (delay time.Duration, err error) {
	n, attempt := p.N, p.Attempt
	if p.Records == 0 {
		return noDelay, r.store(ctx, h, n, attempt, answer.Tally{}, nil, 0, 0)
	}
	outputs, manifest, err := r.outputs(ctx, h.ID, p)
	if err != nil {
		return noDelay, err
	}
	wait := r.clock.Now().Sub(*p.EndedAt) < r.settings.LateOutput.Std()
	if wait && p.JobStatus == batch.Completed && p.How == ByJob && (len(outputs) == 0 || manifest == nil) {
		return outputAgain, nil
	}
	source, err := r.sources(ctx, h.Submission)
	if err != nil {
		return noDelay, err
	}
	shape, err := w.Schema()
	if err != nil {
		return noDelay, fmt.Errorf("read the schema of submission %s: %w", h.ID, err)
	}
	results, err := r.output.Create(ctx, answersKey(h.ID, n, attempt, "results.jsonl"))
	if err != nil {
		return noDelay, fmt.Errorf("write answers of part %d: %w", n, err)
	}
	defer results.Abort()
	failed, err := r.output.Create(ctx, answersKey(h.ID, n, attempt, "failed.jsonl"))
	if err != nil {
		return noDelay, fmt.Errorf("write answers of part %d: %w", n, err)
	}
	defer failed.Abort()
	tally, err := answer.Order(ctx, answer.Job{
		Index: func(ctx context.Context) (io.ReadCloser, error) {
			return r.output.Open(ctx, indexKey(h.ID, n, attempt), "", 0, batch.Whole)
		},
		Outputs: outputs, Invocation: h.Invocation, Family: prompt.FamilyOf(w), Attempt: attempt,
		Raw: w.Raw(), JSON: shape, Source: source,
		Dir: r.tempDir, Memory: r.settings.MemoryBytes, Spill: r.settings.SpillBytes,
		Results: results, Failed: failed,
	})
	if err != nil {
		return noDelay, fmt.Errorf("gather part %d of submission %s: %w", n, h.ID, err)
	}
	// Further lines of one record do not stand for those of another.
	if wait && p.Reported != nil && tally.Answered+tally.Failed+tally.Unreadable < p.Reported.Processed {
		return outputAgain, nil
	}
	failed.Finish() // beside the results
	wrote, err := results.Commit()
	if err != nil {
		return noDelay, fmt.Errorf("write answers of part %d: %w", n, err)
	}
	lost, err := failed.Commit()
	if err != nil {
		return noDelay, fmt.Errorf("write answers of part %d: %w", n, err)
	}
	if err := r.remember(ctx, h.Submission, w, p, tally.Answered, source); err != nil {
		return noDelay, err
	}
	return noDelay, r.store(ctx, h, n, attempt, tally, manifest, wrote.Size, lost.Size)
}

// sources is how the index's numbers of objects become keys; nil where there
// is one object only.
func (r *run) sources(ctx context.Context, s *Submission) (func(int) (string, error), error) {
	if s.Kind != "folder" {
		return nil, nil
	}
	listing, err := r.readListing(ctx, s.Listing)
	if err != nil {
		return nil, err
	}
	return func(n int) (string, error) {
		if n < 0 || n >= len(listing) {
			return "", fmt.Errorf("object %d of a listing of %d", n, len(listing))
		}
		return listing[n].Key, nil
	}, nil
}

// store stores what came of a part.
func (r *collectRun) store(ctx context.Context, h *hold, n, attempt int, t answer.Tally, manifest *batch.Manifest, results, failed int64) error {
	counts := PartCounts{
		Answered: t.Answered, Failed: t.Failed, Missing: t.Missing, Retryable: t.Retryable,
		Tokens: Tokens{Input: t.InputTokens, Output: t.OutputTokens}, TokensKnown: t.TokensKnown,
		Results: results, Errors: failed,
		Truncated: t.StopReasons["max_tokens"], Refused: t.StopReasons["refusal"], Filtered: t.StopReasons["content_filtered"],
	}
	if !t.TokensKnown && manifest != nil && manifest.InputTokens != nil {
		counts.Tokens.Input, counts.TokensKnown = *manifest.InputTokens, true
		if manifest.OutputTokens != nil {
			counts.Tokens.Output = *manifest.OutputTokens
		}
	}
	err := h.progress(ctx, func(s *Submission) error {
		p := s.part(n, attempt)
		if !p.rise(PartCollected) {
			return errUnchanged
		}
		p.Counts = &counts
		s.Tokens.Input += counts.Tokens.Input
		s.Tokens.Output += counts.Tokens.Output
		for _, m := range mismatches(*p, t, manifest) {
			if len(s.Mismatches) < 50 {
				s.Mismatches = append(s.Mismatches, m)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p := h.part(n, attempt)
	fields := []any{"part", n, "attempt", attempt, "how", p.How, "job", p.JobARN, "status", p.JobStatus, "refused", p.JobARN == "" && p.Message != "",
		"workload", h.Workload, "model", h.ModelID, "answered", counts.Answered, "failed", counts.Failed, "missing", counts.Missing,
		"inputTokens", counts.Tokens.Input, "outputTokens", counts.Tokens.Output, "passes", t.Passes}
	if usd, known := r.costOf(h.Submission, p); known {
		fields = append(fields, "estimatedCostUSD", usd)
	}
	r.note(ctx, "part collected", h.ID, fields...)
	return r.report(ctx, h.Submission)
}

// mismatches tells where a job's own figures and its lines disagree.
func mismatches(p Part, t answer.Tally, manifest *batch.Manifest) []string {
	var out []string
	say := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("part %d attempt %d: ", p.N, p.Attempt)+fmt.Sprintf(format, args...))
	}
	if p.How == ByJob {
		if c := p.Reported; c != nil && c.Processed > 0 && (c.Success != t.Answered || c.Error != t.Failed) {
			say("the job reports %d successes and %d errors, its output has %d answers and %d failures", c.Success, c.Error, t.Answered, t.Failed)
		}
		if manifest != nil && (manifest.Success != t.Answered || manifest.Error != t.Failed) {
			say("the manifest says %d successes and %d errors, the output has %d answers and %d failures", manifest.Success, manifest.Error, t.Answered, t.Failed)
		}
	}
	if t.Foreign > 0 {
		say("%d lines with a recordId that is not of this part", t.Foreign)
	}
	if t.Duplicate > 0 {
		say("%d further lines for a record that had one", t.Duplicate)
	}
	if t.Unreadable > 0 {
		say("%d lines that cannot be read", t.Unreadable)
	}
	return out
}

// outputs lists what a part's job wrote. What is not there is not an error.
func (r *collectRun) outputs(ctx context.Context, id string, p Part) ([]answer.Output, *batch.Manifest, error) {
	if p.How == ByJob && p.JobARN == "" {
		return nil, nil, nil // it never ran
	}
	var outputs []answer.Output
	var manifest *batch.Manifest
	for object, err := range r.output.List(ctx, outputPrefix(id, p.N, p.Attempt), "") {
		if err != nil {
			return nil, nil, fmt.Errorf("list output of part %d: %w", p.N, err)
		}
		switch {
		case strings.HasSuffix(object.Key, ".jsonl.out"):
			outputs = append(outputs, answer.Output{Size: object.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
				return r.output.Open(ctx, object.Key, "", 0, batch.Whole)
			}})
		case strings.HasSuffix(object.Key, "manifest.json.out"):
			body, _, err := r.output.Get(ctx, object.Key)
			if err != nil {
				return nil, nil, fmt.Errorf("read manifest of part %d: %w", p.N, err)
			}
			m := new(batch.Manifest)
			if err := json.Unmarshal(body, m); err != nil {
				r.note(ctx, "manifest cannot be read", id, "part", p.N, "error", err)
				continue
			}
			manifest = m
		}
	}
	return outputs, manifest, nil
}
