package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// core is what both halves of the pipeline share.
type core struct {
	deployment string
	settings   config.Settings
	input      InputBucket
	output     batch.Bucket
	// shared holds what the deployment's invocations tell each other.
	shared batch.Documents
	// answers holds what is remembered for workloads that pay for new rows
	// only.
	answers   batch.Bucket
	uploads   Queue
	jobsQueue Queue
	clock     Clock
	observer  Observer
}

// run is one invocation's work.
type run struct {
	*core
	in     Invocation
	writes int
	// sliceEnd is when this invocation begins to put things in order.
	sliceEnd time.Time
}

// leaseGrace is added to an invocation's deadline for its lease: the clocks of
// two machines may differ, and a killed process dies a little late.
const leaseGrace = 30 * time.Second

// maxStalls is how many invocations in a row may end with nothing stored
// before the submission is given up.
const maxStalls = 5

var (
	// errBusy: somebody else holds the lease.
	errBusy = errors.New("somebody else is working on it")
	// errUnchanged tells update that there is nothing to write.
	errUnchanged = errors.New("unchanged")
	// errSliceOver ends a slice's work; the rest is for a later one.
	errSliceOver = errors.New("the slice is over")
	// ErrNewer: the document was written by a newer version of this code.
	ErrNewer = errors.New("written by a newer version")
)

func (c *core) begin(in Invocation) *run {
	now := c.clock.Now()
	margin := min(c.settings.Margin.Std(), in.Deadline.Sub(now)/3)
	return &run{core: c, in: in, sliceEnd: in.Deadline.Add(-margin)}
}

func (r *run) sliceOver() bool { return !r.clock.Now().Before(r.sliceEnd) }

func (r *run) writer() string {
	r.writes++
	return fmt.Sprintf("%s/%d", r.in.ID, r.writes)
}

func (r *run) note(ctx context.Context, name, submission string, fields ...any) {
	r.observer.Observe(ctx, Event{Name: name, Submission: submission, Fields: fields})
}

// load reads a submission. batch.ErrNotFound if there is none.
func (r *run) load(ctx context.Context, id string) (*Submission, string, error) {
	body, object, err := r.output.Get(ctx, stateKey(id))
	if err != nil {
		return nil, "", fmt.Errorf("read submission %s: %w", id, err)
	}
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(body, &version); err != nil {
		return nil, "", fmt.Errorf("read submission %s: %w", id, err)
	}
	if version.Version > StateVersion {
		return nil, "", fmt.Errorf("submission %s has version %d, this code knows %d: %w", id, version.Version, StateVersion, ErrNewer)
	}
	var s Submission
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, "", fmt.Errorf("read submission %s: %w", id, err)
	}
	return &s, object.ETag, nil
}

// store writes a version of a submission under cond. landed is true if this
// very write is what stands there now, even where the answer was lost.
func (r *run) store(ctx context.Context, s *Submission, cond batch.Condition) (etag string, landed bool, err error) {
	s.UpdatedAt = r.clock.Now().UTC()
	s.Writer = r.writer()
	if s.any(func(p *Part) bool { return p.Known != nil }) {
		s.Version = StateVersion
	}
	if s.Ending != nil && s.Ending.At.IsZero() {
		s.Ending.At = s.UpdatedAt
	}
	body, err := encodeState(s)
	if err != nil {
		return "", false, err
	}
	etag, err = r.output.Put(ctx, stateKey(s.ID), body, cond)
	if err == nil {
		return etag, true, nil
	}
	if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
		return "", false, fmt.Errorf("write submission %s: %w", s.ID, err)
	}
	// The service or a retry below us may have carried the write out before
	// the answer we saw: our own mark tells.
	there, etag, again := r.load(ctx, s.ID)
	if again == nil && there.Writer == s.Writer {
		return etag, true, nil
	}
	if again != nil && !errors.Is(again, batch.ErrNotFound) {
		return "", false, again
	}
	return "", false, fmt.Errorf("write submission %s: %w", s.ID, err)
}

// leaveToNewer drops a message about a submission that newer code has changed:
// a tick's message comes again as long as the submission is open.
func (r *run) leaveToNewer(ctx context.Context, id string) error {
	r.note(ctx, "left to newer code", id)
	return nil
}

// tries bounds how often a conditional write is begun again.
const tries = 12

// update changes a submission without its lease. change must be idempotent: it
// may be called again on a version that already holds its effect. It returns
// errUnchanged if there is nothing to write.
func (r *run) update(ctx context.Context, id string, change func(*Submission) error) (*Submission, error) {
	var last error
	for range tries {
		s, etag, err := r.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if s.State.Terminal() {
			return s, nil // finished means finished
		}
		if err := change(s); errors.Is(err, errUnchanged) {
			return s, nil
		} else if err != nil {
			return nil, err
		}
		s.settle()
		_, landed, err := r.store(ctx, s, batch.Condition{IfMatch: etag})
		if landed {
			return s, nil
		}
		if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
			return nil, err
		}
		last = err
	}
	return nil, last
}

// hold is a submission under this invocation's lease.
type hold struct {
	*run
	*Submission
	etag string
}

// take takes the lease of a submission. errBusy if it is held; a nil hold
// without an error if the submission has ended.
func (r *run) take(ctx context.Context, id string) (*hold, error) {
	var last error
	for range tries {
		s, etag, err := r.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if s.State.Terminal() {
			return nil, nil
		}
		now := r.clock.Now()
		if s.Lease != nil && s.Lease.Owner != r.in.owner() && now.Before(s.Lease.Until) {
			return nil, fmt.Errorf("submission %s: %w", id, errBusy)
		}
		r.lease(s, now)
		etag, landed, err := r.store(ctx, s, batch.Condition{IfMatch: etag})
		if landed {
			return &hold{run: r, Submission: s, etag: etag}, nil
		}
		if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
			return nil, err
		}
		last = err
	}
	return nil, last
}

// lease writes this invocation's lease into s and counts a stall, which the
// first thing stored takes back.
func (r *run) lease(s *Submission, now time.Time) {
	s.Lease = &Lease{Owner: r.in.owner(), Until: r.in.Deadline.Add(leaseGrace).UTC()}
	s.Stalls++
	if s.Stalls > maxStalls && s.Ending == nil {
		s.Ending = &Ending{State: FailedEnd, Reason: fmt.Sprintf("given up: %d attempts in a row ended without getting on; the functions' logs say why", maxStalls)}
		s.Stalls = 0
	}
	if s.Stalls > maxStalls && s.Ending != nil && now.Sub(s.Ending.At) > r.settings.MaxWait.Std() && s.abandon(now.UTC()) {
		s.Stalls = 0
	}
}

// abandon gives up the first thing that stands in the way of a given-up
// submission's end and cannot be done either: what nobody mended in days. It
// reports whether there was one.
func (s *Submission) abandon(now time.Time) bool {
	for i := range s.Parts {
		p := &s.Parts[i]
		switch {
		case s.Prepared && p.How == OnDemand && partRank[p.Status] < partRank[PartEnded]:
			p.rise(PartEnded)
			p.EndedAt, p.JobStatus = &now, batch.Stopped
		case p.Status == PartEnded:
			p.rise(PartCollected)
			p.Message = "its answers could not be gathered; the functions' logs say why"
		case s.Prepared && p.Attempt == 1 && p.Counts != nil && p.Final == nil && !s.any(func(q *Part) bool { return q.Status != PartCollected }):
			p.Counts = nil
			p.Message = "its answers could not be merged; the functions' logs say why"
		default:
			continue
		}
		return true
	}
	return false
}

// errLost: the lease has gone to somebody else.
var errLost = errors.New("lease lost")

// change changes the submission under the lease. f must be idempotent, as for
// update; it sees changes that others made without the lease.
func (h *hold) change(ctx context.Context, f func(*Submission) error) error {
	var last error
	for try := range tries {
		if try > 0 {
			s, etag, err := h.load(ctx, h.ID)
			if err != nil {
				return err
			}
			if s.State.Terminal() || s.Lease == nil || s.Lease.Owner != h.in.owner() {
				return fmt.Errorf("submission %s: %w", h.ID, errLost)
			}
			h.Submission, h.etag = s, etag
		}
		if !h.clock.Now().Before(h.Lease.Until) {
			return fmt.Errorf("submission %s: %w", h.ID, errLost)
		}
		// Work on a copy: what was not written must not be believed.
		s, err := clone(h.Submission)
		if err != nil {
			return err
		}
		if err := f(s); errors.Is(err, errUnchanged) {
			return nil
		} else if err != nil {
			return err
		}
		s.settle()
		etag, landed, err := h.store(ctx, s, batch.Condition{IfMatch: h.etag})
		if landed {
			h.Submission, h.etag = s, etag
			return nil
		}
		if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
			return err
		}
		last = err
	}
	return last
}

// progress is change for something that was got done: it ends a row of stalls.
func (h *hold) progress(ctx context.Context, f func(*Submission) error) error {
	return h.change(ctx, func(s *Submission) error {
		if err := f(s); err != nil {
			return err
		}
		s.Stalls = 0
		return nil
	})
}

// release gives the lease back. excused says that the slice got something done
// or had a reason to wait; otherwise it stays counted as a stall. The version
// released is in h.Submission: it may hold what others changed meanwhile.
// plan decides, on that version, what message is to follow.
func (h *hold) release(ctx context.Context, excused bool, plan func(*Submission)) error {
	return h.change(ctx, func(s *Submission) error {
		s.Lease = nil
		if excused {
			s.Stalls = 0
		}
		plan(s)
		return nil
	})
}

// plan reports whether a message must be sent to be there at at: not if one
// that is due before is under way already. One that never comes is made up for
// by the tick. The message at work now is not under way any more, even where the
// clock says that it came before it was due: another machine's clock set it.
func (r *run) plan(due *time.Time, now, at time.Time) bool {
	if due.After(now) && !due.After(at) && !due.Equal(r.in.Due) {
		return false
	}
	*due = at.UTC()
	return true
}

func clone(s *Submission) (*Submission, error) {
	c := *s
	c.Parts = append([]Part(nil), s.Parts...)
	c.Mismatches = append([]string(nil), s.Mismatches...)
	if s.Lease != nil {
		l := *s.Lease
		c.Lease = &l
	}
	if s.Deadline != nil {
		d := *s.Deadline
		c.Deadline = &d
	}
	return &c, nil
}

// marker is the body of an open marker: what was accepted, from which the
// state can be made.
type marker struct {
	Kind    string `json:"kind"`
	Listing string `json:"listing,omitempty"`
	// CreatedAt is the submission's; zero in markers of older code.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// Request is a request's name, Message the message itself, as long as
	// nothing was made of it yet.
	Request string `json:"request,omitempty"`
	Message string `json:"message,omitempty"`
	Upload
}

// mark puts a submission's open marker, by which the tick finds it.
func (r *run) mark(ctx context.Context, id string, m marker) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := r.output.Put(ctx, openKey(id), body, batch.Condition{}); err != nil {
		return fmt.Errorf("mark submission %s as open: %w", id, err)
	}
	return nil
}

// maxDelay is the longest that a queue holds a message back.
const maxDelay = 15 * time.Minute

func (r *run) send(ctx context.Context, q Queue, m Message, delay time.Duration) error {
	if err := q.Send(ctx, m.Encode(), min(max(delay, 0), maxDelay)); err != nil {
		return fmt.Errorf("send %s message: %w", m.Do, err)
	}
	return nil
}

// paused reports whether the deployment is paused.
func (r *run) paused(ctx context.Context) (bool, error) {
	since, err := r.pausedSince(ctx)
	return !since.IsZero(), err
}

// pausedSince is when the deployment was paused; zero if it is not.
func (r *run) pausedSince(ctx context.Context) (time.Time, error) {
	_, object, err := r.output.Get(ctx, pauseKey)
	if errors.Is(err, batch.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("look for a pause: %w", err)
	}
	if object.Modified.IsZero() {
		return r.clock.Now(), nil // paused, whenever that was
	}
	return object.Modified, nil
}

// Later reports whether err is no failure: the message it came from is to be
// handled again after a while.
func Later(err error) bool {
	return batch.Passing(err) || errors.Is(err, batch.ErrPrecondition) || errors.Is(err, errBusy) || errors.Is(err, ErrNewer)
}
