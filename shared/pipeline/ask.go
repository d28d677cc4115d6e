package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// askAll walks the part's records and asks for those without an answer, as
// many at once as there are seats.
func (a *asking) askAll(ctx context.Context) error {
	lines, err := openLines(ctx, a.output, inputKey(a.h.ID, a.n, a.attempt))
	if err != nil {
		return err
	}
	defer lines.Close()
	if most := a.settings.OnDemandConcurrency - 1; most <= 1 || a.left() == 1 {
		for {
			line, err := lines.next()
			if err == io.EOF || a.stopNow(ctx) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := a.ask(ctx, line); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan []byte)
	var wg sync.WaitGroup
	workers := 0
	// A look may have found further seats.
	hire := func() {
		for ; workers < a.seats.mine; workers++ {
			wg.Go(func() {
				for line := range work {
					if err := a.ask(ctx, line); err != nil {
						cancel(err)
						return
					}
				}
			})
		}
	}
	err = func() error {
		defer close(work)
		for {
			line, err := lines.next()
			if err == io.EOF || a.stopNow(ctx) {
				return nil
			}
			if err != nil {
				return err
			}
			hire()
			select {
			case work <- bytes.Clone(line):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}()
	wg.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// stopNow looks whether asking must end: the slice is over, the model
// throttles, somebody stopped the submission or paused the deployment.
func (a *asking) stopNow(ctx context.Context) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.halted != nil {
		return true
	}
	now := a.clock.Now()
	if a.sliceOver() {
		a.halted = errSliceOver
		return true
	}
	if now.Sub(a.looked) < lookForStop {
		return false
	}
	a.looked = now
	s, _, err := a.load(ctx, a.h.ID)
	if err == nil && !s.paying() {
		a.halted = errStopped
		return true
	}
	var paused time.Time
	if err == nil {
		paused, err = a.pausedSince(ctx)
	}
	if !paused.IsZero() {
		a.halted, a.pausedFor = errPaused, now.Sub(paused)
		return true
	}
	if err == nil && a.seats.mine > 0 {
		err = a.lookRound(ctx)
		if a.halted != nil {
			return true
		}
	}
	if err != nil {
		// Who cannot see whether to go on does not.
		a.note(ctx, "asking put off", a.h.ID, "error", err)
		a.halted = err
		return true
	}
	if now.Sub(a.told) >= reportEvery {
		a.told = now
		if err := a.reportAsked(ctx, s, a.n, a.attempt, len(a.have)); err != nil {
			a.note(ctx, "progress not told", a.h.ID, "error", err)
		}
	}
	return false
}

// lookRound looks whether others were throttled, and for seats that came free.
func (a *asking) lookRound(ctx context.Context) error {
	if err := a.seats.take(ctx, a.left()-a.seats.mine); err != nil {
		return err
	}
	if a.seats.rest() > 0 {
		a.halted = errResting
	}
	return nil
}

type storedError struct {
	Code    int    `json:"errorCode"`
	Message string `json:"errorMessage"`
}

// ask asks about one record and stores what came back.
func (a *asking) ask(ctx context.Context, line []byte) error {
	id, modelInput, err := splitRecord(line)
	if err != nil {
		return err
	}
	a.mu.Lock()
	skip := a.have[id] || a.halted != nil
	a.mu.Unlock()
	if skip {
		return nil
	}
	var body []byte // what stands below rows/: the answer byte for byte, or the error
	for try := 1; ; try++ {
		output, err := a.model.Answer(ctx, a.h.ModelID, a.h.Invocation, modelInput)
		if err == nil {
			body = append(append(append(make([]byte, 0, len(output)+20), `{"modelOutput":`...), output...), '}')
			break
		}
		if ctx.Err() != nil {
			return err
		}
		if errors.Is(err, batch.ErrThrottled) || errors.Is(err, batch.ErrQuota) {
			a.halt(errThrottled) // all workers: the limit is the account's
			return nil
		}
		if errors.Is(err, batch.ErrUnavailable) && try < askTries {
			continue
		}
		failure := recordError(err)
		if failure == nil {
			return fmt.Errorf("ask %s about %s: %w", a.h.ModelID, id, err)
		}
		if body, err = json.Marshal(map[string]*storedError{"error": failure}); err != nil {
			return err
		}
		break
	}
	if _, err := a.output.Put(ctx, a.rowPrefix()+id, body, batch.Condition{}); err != nil {
		return fmt.Errorf("store answer of %s: %w", id, err)
	}
	a.mu.Lock()
	a.have[id] = true
	a.stored++
	a.mu.Unlock()
	return nil
}

func (a *asking) halt(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.halted == nil {
		a.halted = why
	}
}

// recordError is a failure that belongs to the record, as a job would write
// it; nil for one that does not.
func recordError(err error) *storedError {
	e := &storedError{Message: err.Error()}
	var service *batch.ServiceError
	if errors.As(err, &service) {
		e.Code, e.Message = service.Status, service.Message
	}
	switch {
	case e.Code != 0:
	case errors.Is(err, batch.ErrInvalid):
		e.Code = 400
	case errors.Is(err, batch.ErrAccess):
		e.Code = 403
	case errors.Is(err, batch.ErrNotFound):
		e.Code = 404
	case errors.Is(err, batch.ErrUnavailable):
		e.Code = 503
	default:
		return nil
	}
	return e
}
