package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// Tick finds what stands still: it wakes every open submission whose marker
// has not been touched for a while, and the dispatcher of every model that
// somebody waits for.
func (s *Submit) Tick(ctx context.Context, in Invocation) error {
	r := s.begin(in)
	open, err := r.wakeStale(ctx, r.uploads, DoContinue, r.settings.StaleAfter.Std())
	if err != nil {
		return err
	}
	if err := r.wakeFolders(ctx); err != nil {
		return err
	}
	waiting, err := r.wakeDispatchers(ctx)
	if err != nil {
		return err
	}
	r.count(ctx, open, waiting)
	return nil
}

// wakeStale sends a message for each open marker that has not been touched for
// this long. Who has nothing to do for the submission drops it. It tells which
// submissions are open, nil if the slice was over before all had been seen.
func (r *run) wakeStale(ctx context.Context, q Queue, do string, age time.Duration) ([]string, error) {
	now, open := r.clock.Now(), []string{}
	for object, err := range r.output.List(ctx, config.Open, "") {
		if err != nil {
			return nil, fmt.Errorf("list open submissions: %w", err)
		}
		if r.sliceOver() {
			return nil, nil // the next tick goes on
		}
		id := strings.TrimPrefix(object.Key, config.Open)
		open = append(open, id)
		if now.Sub(object.Modified) < age {
			continue
		}
		if err := r.send(ctx, q, Message{Do: do, Submission: id}, 0); err != nil {
			return nil, err
		}
	}
	return open, nil
}

// touch puts an open submission's marker again, so that the tick leaves it
// alone for a while.
func (r *run) touch(ctx context.Context, s *Submission) error {
	if s.State.Terminal() {
		return nil
	}
	m := marker{Kind: s.Kind, Listing: s.Listing, CreatedAt: s.CreatedAt, Request: s.Request, Upload: s.Upload}
	if s.Kind == KindRequest && s.ModelID == "" && s.Ending == nil {
		// Its message stands nowhere else.
		var err error
		if m, err = r.marked(ctx, s.ID); errors.Is(err, batch.ErrNotFound) {
			return nil // it has ended meanwhile
		} else if err != nil {
			return err
		}
	}
	return r.mark(ctx, s.ID, m)
}

// wakeDispatchers sends a message for each model that somebody waits for, and
// tells who waits.
func (r *submitRun) wakeDispatchers(ctx context.Context) (waits, error) {
	var w waits
	woken := "" // the model's folder
	for object, err := range r.output.List(ctx, config.Waiting, "") {
		if err != nil {
			return w, fmt.Errorf("list what waits: %w", err)
		}
		w.add(object.Key)
		folder := object.Key[:strings.LastIndexByte(object.Key, '/')+1]
		if folder == woken {
			continue
		}
		body, _, err := r.output.Get(ctx, object.Key)
		if errors.Is(err, batch.ErrNotFound) {
			continue // it has left meanwhile; the next one names the model too
		}
		if err != nil {
			return w, fmt.Errorf("read waiting marker: %w", err)
		}
		if err := r.send(ctx, r.uploads, Message{Do: DoDispatch, Model: string(body)}, 0); err != nil {
			return w, err
		}
		woken = folder
	}
	return w, nil
}
