package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Deadline is when what has no answer yet goes on demand, and what came of it.
type Deadline struct {
	At         time.Time `json:"at"`
	MaxCostUSD float64   `json:"maxCostUSD"`
	// Attempt is that of the rows which go on demand: behind all retry rounds.
	Attempt int `json:"attempt"`
	// DecidedAt is when the parts were chosen whose rows go on demand, once.
	DecidedAt *time.Time `json:"decidedAt,omitempty"`
	// Records were taken from jobs, at the most; they may cost EstimatedUSD.
	// Left stay with their jobs: they would cost more than is allowed.
	Records      int64   `json:"records"`
	EstimatedUSD float64 `json:"estimatedUSD"`
	Left         int64   `json:"left"`
	// Staged: what has no answer is in parts on demand.
	Staged bool `json:"staged,omitempty"`
}

// deadlineOf is what a workload says of a submission's deadline; nil if
// nothing.
func deadlineOf(s *Submission, w workload.Workload) *Deadline {
	if w.Deadline == nil || w.Deadline.After == nil || w.Deadline.MaxCostUSD == nil {
		return nil
	}
	return &Deadline{
		At: s.CreatedAt.Add(time.Duration(*w.Deadline.After)).UTC(), MaxCostUSD: *w.Deadline.MaxCostUSD,
		Attempt: 2 + retries(w),
	}
}

// deadline looks whether the submission's deadline has come: then parts are
// chosen that are taken from their jobs, jobs are stopped, and what has no
// answer when they have ended is staged for on-demand work by collect. A pause
// holds the choice back, since nothing could be asked for. delay is
// after how long it has to be looked at again.
func (r *submitRun) deadline(ctx context.Context, h *hold) (delay time.Duration, err error) {
	d := h.Deadline
	if d == nil || !h.paying() || d.Staged {
		return noDelay, nil
	}
	if now := r.clock.Now(); now.Before(d.At) {
		return min(d.At.Sub(now), maxDelay), nil
	}
	if d.DecidedAt == nil {
		if h.Checkpoint != nil {
			return noDelay, nil // a retry round is being staged, and wakes us
		}
		paused, err := r.paused(ctx)
		if err != nil || paused {
			return maxDelay, err // nothing could be asked for
		}
		w, err := r.settingsOf(ctx, h.ID)
		if err != nil {
			return noDelay, err
		}
		if err := r.takeFromJobs(ctx, h, w); err != nil {
			return noDelay, err
		}
	}
	delay = noDelay
	for i := range h.Parts {
		p := &h.Parts[i]
		if !p.Late || partRank[p.Status] >= partRank[PartEnded] {
			continue
		}
		delay = maxDelay // it is looked at until it has ended
		if p.JobARN == "" {
			continue // the dispatcher looks for its job
		}
		if err := r.jobs.Stop(ctx, p.JobARN); err != nil && !errors.Is(err, batch.ErrConflict) {
			return noDelay, fmt.Errorf("stop job %s: %w", p.JobARN, err)
		}
	}
	return delay, nil
}

// takeFromJobs decides which parts' rows go on demand: as many as the cost
// allows, first those without a job, last those whose job runs.
func (r *submitRun) takeFromJobs(ctx context.Context, h *hold, w workload.Workload) error {
	now := r.clock.Now().UTC()
	err := h.progress(ctx, func(s *Submission) error {
		if s.Deadline.DecidedAt != nil {
			return errUnchanged
		}
		d := *s.Deadline
		d.DecidedAt = &now
		parts := s.round(s.Round)
		slices.SortStableFunc(parts, func(a, b *Part) int { return turnOf(a) - turnOf(b) })
		for _, p := range parts {
			records, bytes := unanswered(p)
			if records == 0 {
				continue
			}
			usd, known := r.priceOf(s, true, model.EstimateTokens(bytes), records*r.longest(w, s))
			if !known || d.EstimatedUSD+usd > d.MaxCostUSD {
				d.Left += records
				continue
			}
			d.EstimatedUSD += usd
			d.Records += records
			p.Late = true
			if p.Status == PartWaiting {
				p.rise(PartEnded)
				p.EndedAt, p.Message = &now, "not started: the deadline came first"
			}
		}
		s.Deadline = &d
		return nil
	})
	if err != nil {
		return err
	}
	d := h.Deadline
	r.note(ctx, "deadline has come", h.ID, "records", d.Records, "estimatedUSD", d.EstimatedUSD, "left", d.Left)
	return nil
}

// turnOf says which parts are taken from their jobs first.
func turnOf(p *Part) int {
	switch p.Status {
	case PartRunning:
		return 2
	case PartCreating:
		return 1
	}
	return 0
}

// unanswered is how many of a part's records go on demand at a deadline, at
// the most, and how many bytes they have.
func unanswered(p *Part) (records, bytes int64) {
	if p.How != ByJob || p.Records == 0 {
		return 0, 0
	}
	if p.Status != PartCollected {
		return int64(p.Records), p.Bytes
	}
	failed, missing := again(p)
	if failed {
		records += p.Counts.Retryable
	}
	if missing {
		records += p.Counts.Missing
	}
	return records, p.Bytes * records / int64(p.Records)
}

// settleLate ends a part whose deadline came while its job was being created,
// when it is certain that there is no job; one that is found is stopped.
func (r *submitRun) settleLate(ctx context.Context, s *Submission, n, attempt int) (served, time.Duration, error) {
	job, err := r.find(ctx, JobName(r.deployment, s.ID, n, attempt))
	if err != nil {
		return served{}, 0, err
	}
	if job != nil {
		return r.adopt(ctx, s.ID, n, attempt, job.ARN)
	}
	if r.clock.Now().Sub(*s.Deadline.DecidedAt) < lookupLag {
		return served{live: liveJobs(s)}, time.Minute, nil // it may not be found yet
	}
	return r.unrunnable(ctx, s.ID, n, attempt, "not started: the deadline came first")
}

// hurry stages the rows of parts that were taken from their jobs for on-demand
// work, when all of them are collected. It reports whether it did.
func (r *collectRun) hurry(ctx context.Context, h *hold, w workload.Workload) (bool, error) {
	d := h.Deadline
	if d == nil || d.DecidedAt == nil || d.Staged || h.Checkpoint != nil && h.Checkpoint.Round != d.Attempt {
		return false, nil
	}
	if h.any(func(p *Part) bool { return p.Late && p.Status != PartCollected }) {
		return false, nil
	}
	if !h.paying() {
		return false, r.dropStaged(ctx, h)
	}
	s := &staging{collectRun: r, h: h, round: d.Attempt, quota: r.quota(w, h.QuotaKey), late: true}
	if err := s.stage(ctx); err != nil {
		return false, err
	}
	return true, s.finish(ctx)
}

// taken are the parts whose rows a staging is about, and which of them: those
// that failed for a passing reason, those that nothing was heard of.
func (s *staging) taken() (parts []*Part) {
	if !s.late {
		return s.h.round(s.h.Round)
	}
	for i := range s.h.Parts {
		if p := &s.h.Parts[i]; p.Late && p.Counts != nil {
			parts = append(parts, p)
		}
	}
	return parts
}

func (s *staging) which(p *Part) (failed, missing bool) {
	if !s.late {
		return again(p)
	}
	// Whatever stopped the job, its rows are wanted; one that says it is
	// complete has been asked about all of them.
	return true, p.JobStatus != batch.Completed
}

// dropStaged takes back what was staged of a round that will not come.
func (r *collectRun) dropStaged(ctx context.Context, h *hold) error {
	if h.Checkpoint == nil {
		return nil
	}
	round := h.Checkpoint.Round
	return h.progress(ctx, func(s *Submission) error {
		s.Checkpoint = nil
		s.Parts = before(s.Parts, round, 0)
		return nil
	})
}
