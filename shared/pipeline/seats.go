package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// seatsKey is the one document by which all invocations of a deployment share
// what may be asked on demand at once.
const seatsKey = config.Control + "on-demand"

// seats says who asks on demand now, and what is known of the models' limits.
// A seat is one request under way.
type seats struct {
	Version int      `json:"version"`
	Holders []seated `json:"holders,omitempty"`
	// Models are the models that were asked, by quota key.
	Models map[string]appetite `json:"models,omitempty"`
	Writer string              `json:"writer"`
}

// seated is one slice that asks. Who dies keeps its seats until Until, when
// it is dead for certain and none of its requests can be under way, or until
// somebody else has its submission's lease, which says the same.
type seated struct {
	// Work is deployment and submission, as job names begin.
	Work  string    `json:"work"`
	Owner string    `json:"owner"`
	Model string    `json:"model"`
	Seats int       `json:"seats"`
	Until time.Time `json:"until"`
}

// appetite is how much a model took lately.
type appetite struct {
	// MovedAt is when a slice last left with answers.
	MovedAt time.Time `json:"movedAt,omitzero"`
	// Since is when it began to throttle without an answer in between, Until
	// when it may be asked again.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Limit is how many seats it gets at the most: halved when it throttles,
	// doubled when it does not, 0 for as many as there are.
	Limit int `json:"limit,omitempty"`
}

// table is the seats document as one slice sees it, and the slice's seats.
type table struct {
	*submitRun
	model, work string
	doc         seats
	etag        string
	mine        int
}

func (r *submitRun) table(s *Submission) *table {
	model := s.QuotaKey
	if model == "" {
		model = s.ModelID
	}
	return &table{submitRun: r, model: model, work: r.deployment + s.ID}
}

// without takes the submission's entry out of the document.
func (t *table) without() {
	t.doc.Holders = slices.DeleteFunc(t.doc.Holders, func(s seated) bool { return s.Work == t.work })
}

// taken counts the seats taken, of all models and of this one.
func (t *table) taken() (all, model int) {
	for _, s := range t.doc.Holders {
		all += s.Seats
		if s.Model == t.model {
			model += s.Seats
		}
	}
	return all, model
}

// grant is how many seats a slice that has t.mine and wants so many more gets.
// A quarter is left to who has none, one seat each.
func (t *table) grant(want int) int {
	all, model := t.taken()
	free := t.settings.OnDemandConcurrency - all - t.mine
	got := free - max(1, t.settings.OnDemandConcurrency/4)
	if t.mine == 0 && free > 0 {
		got = max(1, got)
	}
	if limit := t.doc.Models[t.model].Limit; limit > 0 {
		got = min(got, limit-model-t.mine)
	}
	return max(0, min(want, got))
}

// take takes up to want seats beside those that this slice has. None is got
// while the model rests or all are taken; look at mine.
func (t *table) take(ctx context.Context, want int) error {
	got := 0
	err := t.change(ctx, func(now time.Time) bool {
		got = 0
		if now.Before(t.doc.Models[t.model].Until) {
			return false
		}
		t.without()
		if got = t.grant(want); got == 0 {
			return false
		}
		t.doc.Holders = append(t.doc.Holders, seated{
			Work: t.work, Owner: t.in.owner(), Model: t.model, Seats: t.mine + got,
			Until: t.in.Deadline.Add(leaseGrace).UTC(),
		})
		return true
	})
	if err != nil {
		return err
	}
	t.mine += got
	return nil
}

// leave gives this slice's seats back and tells what the model took: answers,
// or no more.
func (t *table) leave(ctx context.Context, moved, refused bool) error {
	err := t.change(ctx, func(now time.Time) bool {
		t.without()
		m := t.doc.Models[t.model]
		if moved {
			m.MovedAt, m.Since = now, time.Time{}
		}
		switch {
		case refused:
			if m.Since.IsZero() {
				m.Since = now
			}
			// Who gives answers between is asked again soon, with fewer seats.
			// Else, the longer it has taken nothing the longer the rest: days
			// of trying every few seconds would help nobody.
			rest := min(max(throttled, now.Sub(m.Since)/8), maxDelay)
			if moved {
				rest = briefly
			}
			if until := now.Add(rest); until.After(m.Until) {
				m.Until = until
			}
			m.Limit = max(1, t.mine/2)
		case moved && m.Limit > 0:
			if m.Limit *= 2; m.Limit >= t.settings.OnDemandConcurrency {
				m.Limit = 0
			}
		}
		if t.doc.Models == nil {
			t.doc.Models = map[string]appetite{}
		}
		t.doc.Models[t.model] = m
		return true
	})
	if err == nil {
		t.mine = 0
	}
	return err
}

// rest is how long the model wants to be left alone.
func (t *table) rest() time.Duration { return t.doc.Models[t.model].Until.Sub(t.clock.Now()) }

// change changes the document by conditional write. f may be called again; it
// returns false if there is nothing to write.
func (t *table) change(ctx context.Context, f func(now time.Time) bool) error {
	for range tries {
		if err := t.read(ctx); err != nil {
			return err
		}
		if !f(t.clock.Now().UTC()) {
			return nil
		}
		landed, err := t.write(ctx)
		if err != nil || landed {
			return err
		}
	}
	return fmt.Errorf("write the seats on demand: others were quicker %d times: %w", tries, batch.ErrUnavailable)
}

// read reads the document, without those who have left unheard.
func (t *table) read(ctx context.Context) error {
	t.doc, t.etag = seats{}, ""
	body, object, err := t.shared.Get(ctx, seatsKey)
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the seats on demand: %w", err)
	}
	t.etag = object.ETag
	if err := json.Unmarshal(body, &t.doc); err != nil {
		return fmt.Errorf("read the seats on demand: %w", err)
	}
	if t.doc.Version > firstVersion {
		return fmt.Errorf("the seats on demand: %w", ErrNewer)
	}
	now := t.clock.Now()
	t.doc.Holders = slices.DeleteFunc(t.doc.Holders, func(s seated) bool { return !now.Before(s.Until) })
	return nil
}

// write stores the document; false if another write was quicker.
func (t *table) write(ctx context.Context) (landed bool, err error) {
	t.doc.Version, t.doc.Writer = firstVersion, t.writer()
	body, err := json.Marshal(t.doc)
	if err != nil {
		return false, err
	}
	cond := batch.Condition{IfMatch: t.etag}
	if t.etag == "" {
		cond = batch.Condition{IfAbsent: true}
	}
	etag, err := t.shared.Put(ctx, seatsKey, body, cond)
	if err == nil {
		t.etag = etag
		return true, nil
	}
	if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
		return false, fmt.Errorf("write the seats on demand: %w", err)
	}
	// It may have taken effect before the answer we saw: our mark tells.
	mine := t.doc.Writer
	if err := t.read(ctx); err != nil {
		return false, err
	}
	return t.doc.Writer == mine, nil
}
