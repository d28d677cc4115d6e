package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Submit accepts uploads, prepares their parts and dispatches jobs. Its
// methods may be called for the same thing any number of times, at once and by
// several invocations.
type Submit struct {
	core    core
	jobs    batch.Jobs
	model   batch.Model
	models  batch.Models
	jobRole string
	bucket  string // the output bucket's name, for the jobs' URIs
	base    workload.Workload
	tempDir string
	maxJobs int

	// What an invocation may know from an earlier one of the same process,
	// to spare requests; nothing depends on it.
	mu     sync.Mutex
	memory map[string]remembered // settings by folder
	due    map[string]time.Time  // folders that will be looked at
}

// Settings of both halves.
type Options struct {
	Deployment   string
	Settings     config.Settings
	OutputBucket string // its name
	JobRole      string // ARN; Submit only
	// Workload is the deployment's default workload.
	Workload workload.Workload
	// MaxJobs is the most jobs that one submission has live at once; 0: as
	// many as there are slots.
	MaxJobs int
	// TempDir is a private folder for what does not fit memory.
	TempDir string
	Input   InputBucket
	Output  batch.Bucket
	// Shared is where those stand together who share one limit of requests
	// on demand (settings' on_demand_concurrency). Nil: Output.
	Shared batch.Documents
	// Answers is where those stand that are remembered for workloads that pay
	// for new rows only. Nil: Output.
	Answers  batch.Bucket
	Uploads  Queue
	Jobs     Queue
	Clock    Clock
	Observer Observer
	// Models tells the models behind profiles; Submit only. Nil: they are
	// taken as their ids tell.
	Models batch.Models
}

func (o Options) core() core {
	if o.Shared == nil {
		o.Shared = o.Output
	}
	if o.Answers == nil {
		o.Answers = o.Output
	}
	return core{
		deployment: o.Deployment, settings: o.Settings, input: o.Input, output: o.Output, shared: o.Shared, answers: o.Answers,
		uploads: o.Uploads, jobsQueue: o.Jobs, clock: o.Clock, observer: o.Observer,
	}
}

// NewSubmit builds the submitting half.
func NewSubmit(o Options, jobs batch.Jobs, model batch.Model) *Submit {
	return &Submit{
		core: o.core(), jobs: jobs, model: model, models: o.Models, jobRole: o.JobRole,
		bucket: o.OutputBucket, base: o.Workload, tempDir: o.TempDir,
		maxJobs: o.MaxJobs,
	}
}

// submitRun is one invocation of Submit.
type submitRun struct {
	*run
	*Submit
	// intake is set while the news of an upload is handled.
	intake bool
}

func (s *Submit) begin(in Invocation) *submitRun {
	return &submitRun{run: s.core.begin(in), Submit: s}
}

// Uploaded takes the news that a version of an object was created in the input
// bucket.
func (s *Submit) Uploaded(ctx context.Context, in Invocation, u Upload) error {
	r := s.begin(in)
	if why := ignored(u.Key); why != "" {
		r.note(ctx, "upload ignored", "", "key", u.Key, "why", why)
		return nil
	}
	id := SubmissionID(u)
	r.intake = true
	if known, err := r.known(ctx, id); known || err != nil {
		return err
	}
	if taken, err := r.taken(ctx, id); err != nil || taken {
		return err
	}
	rule, err := r.rule(ctx, u.Key, false)
	switch {
	case err != nil:
		return err
	case rule != nil && rule.skip:
		r.note(ctx, "upload ignored", "", "key", u.Key, "why", "excluded by its workload's gather globs")
		return nil
	case rule != nil:
		return r.gather(ctx, rule, id, u)
	}
	if err := r.open(ctx, id, marker{Kind: "upload", Upload: u}); err != nil {
		return err
	}
	return r.proceed(ctx, id)
}

// taken reports whether a round of a folder took this version.
func (r *submitRun) taken(ctx context.Context, id string) (bool, error) {
	_, _, err := r.output.Get(ctx, takenKey(id))
	if errors.Is(err, batch.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether a version is taken: %w", err)
	}
	return true, nil
}

// open makes the submission's state exist: the marker first, so that the tick
// finds what this invocation may not live to finish.
func (r *submitRun) open(ctx context.Context, id string, m marker) error {
	now := r.clock.Now().UTC()
	m.CreatedAt = now
	if err := r.mark(ctx, id, m); err != nil {
		return err
	}
	u := m.Upload
	fresh := &Submission{
		Version: firstVersion, ID: id, Kind: m.Kind, Upload: u, Listing: m.Listing, Request: m.Request, State: Preparing,
		Parts: []Part{}, CreatedAt: now,
	}
	_, landed, err := r.store(ctx, fresh, batch.Condition{IfAbsent: true})
	if landed {
		r.note(ctx, "upload accepted", id, "kind", m.Kind, "key", u.Key, "version", u.VersionID, "bytes", u.Size)
		return nil
	}
	if errors.Is(err, batch.ErrPrecondition) {
		return nil // another delivery was quicker
	}
	return err
}

// ignored says why an object is not an upload; empty if it is one.
func ignored(key string) string {
	name := key[strings.LastIndexByte(key, '/')+1:]
	switch {
	case name == "":
		return "folder marker"
	case name == workload.FileName:
		return "settings"
	case name[0] == '_' || name[0] == '.':
		return "name begins with " + name[:1]
	}
	return ""
}

// Continue carries a submission on from wherever it stands.
func (s *Submit) Continue(ctx context.Context, in Invocation, id string) error {
	r := s.begin(in)
	sub, _, err := r.load(ctx, id)
	if errors.Is(err, batch.ErrNotFound) {
		return r.reopen(ctx, id)
	}
	if errors.Is(err, ErrNewer) {
		return r.leaveToNewer(ctx, id)
	}
	if err != nil {
		return err
	}
	// Touched, the marker keeps the tick away for a while.
	if err := r.touch(ctx, sub); err != nil {
		return err
	}
	if idle(sub) {
		// Not even the lease: it would stand in Collect's way, and giving it
		// back would take Collect's stalls for got over.
		return r.send(ctx, r.jobsQueue, Message{Do: DoCollect, Submission: id}, 0)
	}
	return r.proceed(ctx, id)
}

// idle reports whether nothing is left for Submit to do under the lease.
func idle(s *Submission) bool {
	return s.State.Terminal() || s.State == Collecting || s.Ending != nil && !s.Prepared
}

// reopen makes the state of a submission from its marker: the invocation that
// put the marker died before it could.
func (r *submitRun) reopen(ctx context.Context, id string) error {
	m, err := r.marked(ctx, id)
	if errors.Is(err, batch.ErrNotFound) {
		return nil // neither state nor marker: nothing was ever accepted
	}
	if err != nil {
		return err
	}
	if err := r.open(ctx, id, m); err != nil {
		return err
	}
	return r.proceed(ctx, id)
}

// proceed does the submission's next steps under its lease. The news of an
// upload may be dropped if somebody is at work already; any other message
// comes back later.
func (r *submitRun) proceed(ctx context.Context, id string) error {
	h, err := r.take(ctx, id)
	if errors.Is(err, errBusy) {
		if r.intake {
			return nil
		}
		return r.later(ctx, r.uploads, DoContinue, id, func(s *Submission) *time.Time { return &s.ContinueAt })
	}
	if err != nil {
		return err
	}
	if h == nil {
		// It has ended; what its end left behind is collect's to remove.
		return r.send(ctx, r.jobsQueue, Message{Do: DoCollect, Submission: id}, 0)
	}
	delay, excused, err := r.steps(ctx, h)
	if errors.Is(err, errLost) {
		return nil
	}
	if err != nil && !batch.Passing(err) {
		return err // the lease runs out, the stall stays counted
	}
	if err != nil {
		delay, excused = 30*time.Second, true
		r.note(ctx, "put off", id, "error", err)
	}
	now, goOn := r.clock.Now(), false
	if err := h.release(ctx, excused, func(s *Submission) {
		goOn = delay != noDelay && r.plan(&s.ContinueAt, now, now.Add(delay))
	}); errors.Is(err, errLost) {
		return nil
	} else if err != nil {
		return err
	}
	return r.wake(ctx, h, goOn, delay)
}

// noDelay says that nothing is left for Submit to do under the lease.
const noDelay = time.Duration(-1)

// steps works until the slice is over or nothing is left to do under the
// lease. delay is after how long it goes on; noDelay if it need not.
func (r *submitRun) steps(ctx context.Context, h *hold) (delay time.Duration, excused bool, err error) {
	if idle(h.Submission) {
		return noDelay, true, nil
	}
	if h.Ending != nil {
		return r.onDemand(ctx, h) // asks no more, and ends what was being asked
	}
	if h.ModelID == "" {
		delay, err := r.resolve(ctx, h)
		if err != nil || delay != noDelay || h.Ending != nil {
			return delay, true, err
		}
	}
	if h.Stop && !h.Prepared {
		return noDelay, true, h.end(ctx, Ending{State: StoppedEnd, Reason: "stopped before anything was run"})
	}
	if !h.Prepared {
		err := r.prepare(ctx, h)
		if errors.Is(err, errSliceOver) {
			return 0, h.Stalls == 0, nil
		}
		if err != nil || h.Ending != nil {
			return noDelay, true, err
		}
	}
	if h.Stop {
		// Who created a job meanwhile, and was to stop it, may have died.
		if err := r.stopJobs(ctx, h.Submission); err != nil {
			return noDelay, true, err
		}
	}
	look, err := r.deadline(ctx, h)
	if err != nil {
		return noDelay, true, err
	}
	delay, excused, err = r.onDemand(ctx, h)
	if look != noDelay && (delay == noDelay || look < delay) {
		delay = look
	}
	return delay, excused, err
}

// end decides how the submission ends; collect does the rest.
func (h *hold) end(ctx context.Context, e Ending) error {
	return h.progress(ctx, func(s *Submission) error {
		if s.Ending == nil {
			s.Ending = &e
		}
		return nil
	})
}

// wake sends the messages that carry a submission on after its lease was
// released: to ourselves after delay, to the dispatcher if parts wait for
// slots, to collect if something has ended.
func (r *submitRun) wake(ctx context.Context, h *hold, goOn bool, delay time.Duration) error {
	if goOn {
		if err := r.send(ctx, r.uploads, Message{Do: DoContinue, Submission: h.ID, Due: h.ContinueAt}, delay); err != nil {
			return err
		}
	}
	// On a tick collect is woken for every live job: it may have ended unheard.
	if needsCollect(h.Submission) || !r.intake && liveJobs(h.Submission) > 0 {
		if err := r.send(ctx, r.jobsQueue, Message{Do: DoCollect, Submission: h.ID}, 0); err != nil {
			return err
		}
	}
	if !needsSlots(h.Submission) {
		return nil
	}
	if !r.intake {
		// The marker may have been taken for an old one and removed.
		if err := r.markWaiting(ctx, h.Submission); err != nil {
			return err
		}
	}
	return r.dispatch(ctx, h.QuotaKey)
}

// needsCollect: something has ended, or the submission's end is decided.
func needsCollect(s *Submission) bool {
	return s.Ending != nil || s.State == Collecting ||
		s.any(func(p *Part) bool { return p.Status == PartEnded })
}

// needsSlots: parts wait for the dispatcher, be it to be created or, in a
// stopped submission, to be settled.
func needsSlots(s *Submission) bool {
	return s.Prepared && s.QuotaKey != "" && s.any(func(p *Part) bool {
		return p.How == ByJob && (p.Status == PartWaiting || p.Status == PartCreating)
	})
}

// later has a message come when the lease that stands in its way has run out,
// unless one comes anyway.
func (r *run) later(ctx context.Context, q Queue, do, id string, due func(*Submission) *time.Time) error {
	var delay time.Duration
	send := false
	s, err := r.update(ctx, id, func(s *Submission) error {
		now := r.clock.Now()
		delay = time.Second
		if s.Lease != nil {
			delay += max(0, s.Lease.Until.Sub(now))
		}
		delay = min(delay, maxDelay)
		if send = r.plan(due(s), now, now.Add(delay)); !send {
			return errUnchanged
		}
		return nil
	})
	if err != nil || !send {
		return err
	}
	return r.send(ctx, q, Message{Do: do, Submission: id, Due: *due(s)}, delay)
}

// Stop stops a submission: what is running is stopped, nothing more starts,
// what there is gets collected.
func (s *Submit) Stop(ctx context.Context, in Invocation, id string) error {
	r := s.begin(in)
	sub, err := r.update(ctx, id, func(s *Submission) error {
		if s.Stop {
			return errUnchanged
		}
		s.Stop = true
		return nil
	})
	if errors.Is(err, batch.ErrNotFound) {
		r.note(ctx, "unknown submission", id, "do", DoStop)
		return nil
	}
	if err != nil {
		return err
	}
	if sub.State.Terminal() {
		return nil
	}
	if err := r.stopJobs(ctx, sub); err != nil {
		return err
	}
	if needsSlots(sub) {
		if err := r.dispatch(ctx, sub.QuotaKey); err != nil {
			return err
		}
	}
	return r.proceed(ctx, id)
}

// stopJobs asks for the end of every job of the submission that has an ARN.
func (r *submitRun) stopJobs(ctx context.Context, s *Submission) error {
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.How != ByJob || p.JobARN == "" || partRank[p.Status] >= partRank[PartEnded] {
			continue
		}
		err := r.jobs.Stop(ctx, p.JobARN)
		if errors.Is(err, batch.ErrConflict) {
			continue // it is stopping, or over
		}
		if err != nil {
			return fmt.Errorf("stop job %s: %w", p.JobARN, err)
		}
		r.note(ctx, "job stopped", s.ID, "job", p.JobARN)
	}
	return nil
}
