package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// askTries is how often a record is asked about in one slice before its
	// failure is believed.
	askTries = 3
	// throttled is the shortest rest of a model that throttles and answers
	// nobody, briefly that of one that answers between.
	throttled = 20 * time.Second
	briefly   = 2 * time.Second
	// full is the shortest delay of who finds all seats taken.
	full = 10 * time.Second
	// pausedAgain is after how long a pause is looked at again.
	pausedAgain = 5 * time.Minute
	// leaveTime is what giving seats back may take where the work was
	// cancelled.
	leaveTime = 10 * time.Second
	// lookForStop is how often stop and pause are looked for while asking.
	lookForStop = 5 * time.Second
	// reportEvery is how often progress is told while asking.
	reportEvery = time.Minute
)

// onDemand answers the parts that are too small for a job, one request a
// record. Each answer is stored as it comes and never asked for again; the
// part's output is written in the shape that a job would write.
func (r *submitRun) onDemand(ctx context.Context, h *hold) (time.Duration, bool, error) {
	for {
		i := -1
		for j := range h.Parts {
			if p := &h.Parts[j]; p.How == OnDemand && partRank[p.Status] < partRank[PartEnded] && (p.Attempt == h.Round || h.Deadline != nil && p.Attempt == h.Deadline.Attempt) {
				i = j
				break
			}
		}
		if i < 0 || h.Checkpoint != nil {
			return noDelay, true, nil
		}
		a := &asking{submitRun: r, h: h, n: h.Parts[i].N, attempt: h.Parts[i].Attempt}
		delay, err := a.part(ctx)
		if err != nil || delay != noDelay {
			return delay, a.stored > 0 || delay > 0, err
		}
	}
}

// asking is one slice of one part's on-demand work.
type asking struct {
	*submitRun
	h          *hold
	n, attempt int
	seats      *table

	mu     sync.Mutex
	have   map[string]bool // recordIds that are answered
	stored int
	halted error // why no more is asked in this slice
	// pausedFor is how long the deployment had been paused when that halted us.
	pausedFor time.Duration
	looked    time.Time
	told      time.Time
	records   int
}

var (
	errThrottled = errors.New("throttled")
	errResting   = errors.New("others were throttled")
	errFull      = errors.New("all seats are taken")
	errPaused    = errors.New("paused")
	errStopped   = errors.New("stopped")
)

func (a *asking) rowPrefix() string { return answersKey(a.h.ID, a.n, a.attempt, "rows/") }

// left is how many records have no answer yet.
func (a *asking) left() int { return a.records - len(a.have) }

// part asks for what has no answer yet. noDelay: the part has ended.
func (a *asking) part(ctx context.Context) (time.Duration, error) {
	a.have = map[string]bool{}
	for object, err := range a.output.List(ctx, a.rowPrefix(), "") {
		if err != nil {
			return noDelay, fmt.Errorf("list stored answers: %w", err)
		}
		a.have[strings.TrimPrefix(object.Key, a.rowPrefix())] = true
	}
	a.records, a.told = a.h.part(a.n, a.attempt).Records, a.clock.Now()
	a.seats = a.table(a.h.Submission)
	if a.left() > 0 && !a.stopNow(ctx) {
		if err := a.sitDown(ctx); err != nil {
			return noDelay, err
		}
	}
	switch {
	case a.halted == nil, errors.Is(a.halted, errStopped):
		return noDelay, a.finish(ctx)
	case errors.Is(a.halted, errSliceOver):
		return 0, nil
	case errors.Is(a.halted, errPaused):
		// The longer the pause has been the more seldom its end is looked for.
		return min(max(pausedAgain, a.pausedFor/8), maxDelay), a.keepWaiting(ctx, true)
	}
	if err := a.keepWaiting(ctx, a.stored > 0); err != nil {
		return noDelay, err
	}
	if errors.Is(a.halted, errFull) {
		// Seldom where nobody gets on, soon where seats come free.
		return min(max(full, a.clock.Now().Sub(*a.h.WaitSince)/8), maxDelay), nil
	}
	if rest := a.seats.rest(); rest > 0 {
		return max(rest, time.Second), nil
	}
	return throttled, nil
}

// sitDown asks as far as the deployment's seats and the slice reach.
func (a *asking) sitDown(ctx context.Context) error {
	err := a.seats.take(ctx, a.left())
	if err == nil && a.seats.mine == 0 {
		a.halted = errFull
		if a.seats.rest() > 0 {
			a.halted = errResting
		}
		return nil
	}
	if err == nil && a.h.part(a.n, a.attempt).Status != PartRunning {
		err = a.h.change(ctx, func(s *Submission) error { s.part(a.n, a.attempt).rise(PartRunning); return nil })
	}
	if err == nil {
		err = a.askAll(ctx)
	}
	// Whatever happened, nothing is under way any more.
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if left := a.seats.leave(free, a.stored > 0, errors.Is(a.halted, errThrottled)); left != nil {
		a.note(ctx, "seats not given back", a.h.ID, "error", left) // they run out
	}
	return err
}

// keepWaiting restarts the clock that limits waiting where something got done,
// for whichever submission, or the deployment is paused, and gives up what has
// waited too long.
func (a *asking) keepWaiting(ctx context.Context, moved bool) error {
	now := a.clock.Now().UTC()
	took := a.seats.doc.Models[a.seats.model]
	return a.h.change(ctx, func(s *Submission) error {
		switch {
		case moved || s.WaitSince == nil:
			s.WaitSince = &now
		case took.MovedAt.After(*s.WaitSince):
			s.WaitSince = &took.MovedAt
		}
		if now.Sub(*s.WaitSince) > a.settings.MaxWait.Std() && s.Ending == nil {
			why := "the model throttled every request for"
			if took.Since.IsZero() {
				why = "no room came free among the requests on demand for"
			}
			s.Ending = &Ending{State: FailedEnd, Reason: why + " " + a.settings.MaxWait.Std().String()}
		}
		return nil
	})
}
