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
	if err := r.wakeStale(ctx, r.uploads, DoContinue, r.settings.StaleAfter.Std()); err != nil {
		return err
	}
	if err := r.wakeFolders(ctx); err != nil {
		return err
	}
	return r.wakeDispatchers(ctx)
}

// wakeStale sends a message for each open marker that has not been touched for
// this long. Who has nothing to do for the submission drops it.
func (r *run) wakeStale(ctx context.Context, q Queue, do string, age time.Duration) error {
	now := r.clock.Now()
	for object, err := range r.output.List(ctx, config.Open, "") {
		if err != nil {
			return fmt.Errorf("list open submissions: %w", err)
		}
		if r.sliceOver() {
			return nil // the next tick goes on
		}
		if now.Sub(object.Modified) < age {
			continue
		}
		id := strings.TrimPrefix(object.Key, config.Open)
		if err := r.send(ctx, q, Message{Do: do, Submission: id}, 0); err != nil {
			return err
		}
	}
	return nil
}

// touch puts an open submission's marker again, so that the tick leaves it
// alone for a while.
func (r *run) touch(ctx context.Context, s *Submission) error {
	if s.State.Terminal() {
		return nil
	}
	return r.mark(ctx, s.ID, marker{s.Kind, s.Listing, s.Upload})
}

func (r *submitRun) wakeDispatchers(ctx context.Context) error {
	after := ""
	for {
		found := ""
		for object, err := range r.output.List(ctx, config.Waiting, after) {
			if err != nil {
				return fmt.Errorf("list what waits: %w", err)
			}
			found = object.Key
			break
		}
		if found == "" {
			return nil
		}
		body, _, err := r.output.Get(ctx, found)
		if err != nil && !errors.Is(err, batch.ErrNotFound) {
			return fmt.Errorf("read waiting marker: %w", err)
		}
		folder := found[:strings.LastIndexByte(found, '/')+1]
		if err == nil {
			if err := r.send(ctx, r.uploads, Message{Do: DoDispatch, Model: string(body)}, 0); err != nil {
				return err
			}
			after = folder + "\xff"
		} else {
			after = found
		}
	}
}
