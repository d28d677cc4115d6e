package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// dispatcher is the lease of one model's dispatcher, and what it remembers
// from one round to the next.
type dispatcher struct {
	Version int       `json:"version"`
	Owner   string    `json:"owner,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// Again is raised by whoever finds the lease taken: its holder makes one
	// more round before it lets go.
	Again int `json:"again"`
	// Live are the submissions that had live jobs in the last round.
	Live []string `json:"live,omitempty"`
	// Full counts the rounds, an hour apart, that met a full quota though
	// the account had no live job on the model; FullAt is the last.
	Full   int       `json:"full,omitempty"`
	FullAt time.Time `json:"fullAt,omitzero"`
	// PausedAt is when the deployment was last seen paused: waiting counts
	// from there at the earliest.
	PausedAt time.Time `json:"pausedAt,omitzero"`
	// Next is when the next round is due that was asked for by message.
	Next   time.Time `json:"next,omitzero"`
	Writer string    `json:"writer"`
}

const (
	// fullRounds rounds at least fullApart from each other must meet a full
	// quota with no live job in the account before it is believed for good.
	fullRounds = 5
	fullApart  = time.Hour
	// maxRefusals is how often Create may be denied before it is believed:
	// a fresh deployment's permissions take minutes to spread.
	maxRefusals = 5
	// refusedApart lies between two denials that count.
	refusedApart = time.Minute
	// lookupLag is how long a job that was created may not be found by its
	// name.
	lookupLag = 10 * time.Minute
	// pauseBetween is the delay after a passing failure.
	pauseBetween = 30 * time.Second
)

// SlotFree takes the news that a job of the account has ended.
func (s *Submit) SlotFree(ctx context.Context, in Invocation, modelID string) error {
	r := s.begin(in)
	id, err := model.Parse(modelID)
	if err != nil {
		r.note(ctx, "event of an unknown model ignored", "", "model", modelID)
		return nil
	}
	return r.dispatch(ctx, id.QuotaKey())
}

// Dispatch fills the free slots of a model.
func (s *Submit) Dispatch(ctx context.Context, in Invocation, quotaKey string) error {
	return s.begin(in).dispatch(ctx, quotaKey)
}

// dispatch is the only code that creates jobs. It holds the model's lease, so
// that two dispatchers never decide about the same slot.
func (r *submitRun) dispatch(ctx context.Context, quotaKey string) error {
	waiting, err := r.anyWaiting(ctx, quotaKey)
	if err != nil || !waiting {
		return err
	}
	lease, err := r.takeDispatch(ctx, quotaKey)
	if err != nil || lease == nil {
		return err
	}
	for {
		again, err := r.round(ctx, quotaKey, lease)
		if err != nil && !batch.Passing(err) {
			return err // the lease runs out
		}
		if err != nil {
			again = pauseBetween
			r.note(ctx, "dispatch put off", "", "model", quotaKey, "error", err)
		}
		now := r.clock.Now()
		goOn := again > 0 && r.plan(&lease.doc.Next, now, now.Add(again))
		due := lease.doc.Next
		released, err := lease.release(ctx)
		if err != nil {
			return err
		}
		if goOn {
			if err := r.send(ctx, r.uploads, Message{Do: DoDispatch, Model: quotaKey, Due: due}, again); err != nil {
				return err
			}
		}
		if released {
			return nil
		}
	}
}

func (r *run) anyWaiting(ctx context.Context, quotaKey string) (bool, error) {
	for _, err := range r.output.List(ctx, waitingPrefix(quotaKey), "") {
		if err != nil {
			return false, fmt.Errorf("list what waits for %s: %w", quotaKey, err)
		}
		return true, nil
	}
	return false, nil
}

// markWaiting puts the marker by which the dispatcher finds a submission. Its
// body is the quota key, so that the tick can name the model.
func (r *run) markWaiting(ctx context.Context, s *Submission) error {
	if _, err := r.output.Put(ctx, waitingKey(s), []byte(s.QuotaKey), batch.Condition{}); err != nil {
		return fmt.Errorf("mark submission %s as waiting: %w", s.ID, err)
	}
	return nil
}

// dispatchHold is a model's dispatcher lease, held.
type dispatchHold struct {
	*submitRun
	key  string
	doc  dispatcher
	etag string
}

// takeDispatch takes the model's lease, or tells its holder to look again: nil
// without an error.
func (r *submitRun) takeDispatch(ctx context.Context, quotaKey string) (*dispatchHold, error) {
	h := &dispatchHold{submitRun: r, key: dispatchKey(quotaKey)}
	for range tries {
		if err := h.read(ctx); err != nil {
			return nil, err
		}
		if h.doc.Version > firstVersion {
			return nil, fmt.Errorf("dispatcher of %s: %w", quotaKey, ErrNewer)
		}
		held := h.doc.Owner != "" && h.doc.Owner != r.in.owner() && r.clock.Now().Before(h.doc.Until)
		if held {
			h.doc.Again++
		} else {
			h.doc.Owner, h.doc.Until, h.doc.Again = r.in.owner(), r.in.Deadline.Add(leaseGrace).UTC(), 0
		}
		landed, err := h.write(ctx)
		if err != nil {
			return nil, err
		}
		if landed && held {
			return nil, nil
		}
		if landed {
			return h, nil
		}
	}
	// Too many at once: a later message comes to look.
	return nil, r.send(ctx, r.uploads, Message{Do: DoDispatch, Model: quotaKey}, pauseBetween)
}

func (h *dispatchHold) read(ctx context.Context) error {
	h.doc, h.etag = dispatcher{}, ""
	body, object, err := h.output.Get(ctx, h.key)
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read dispatcher's lease: %w", err)
	}
	h.etag = object.ETag
	if err := json.Unmarshal(body, &h.doc); err != nil {
		return fmt.Errorf("read dispatcher's lease: %w", err)
	}
	return nil
}

// write stores the lease's document; false if another write was quicker.
func (h *dispatchHold) write(ctx context.Context) (landed bool, err error) {
	h.doc.Version, h.doc.Writer = firstVersion, h.writer()
	body, err := json.Marshal(h.doc)
	if err != nil {
		return false, err
	}
	cond := batch.Condition{IfMatch: h.etag}
	if h.etag == "" {
		cond = batch.Condition{IfAbsent: true}
	}
	etag, err := h.output.Put(ctx, h.key, body, cond)
	if err == nil {
		h.etag = etag
		return true, nil
	}
	if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
		return false, fmt.Errorf("write dispatcher's lease: %w", err)
	}
	mine := h.doc.Writer
	there := &dispatchHold{submitRun: h.submitRun, key: h.key}
	if err := there.read(ctx); err != nil {
		return false, err
	}
	if there.doc.Writer == mine {
		h.etag = there.etag
		return true, nil
	}
	return false, nil
}

// release lets the lease go. false if somebody asked for another round
// meanwhile: the lease is still held.
func (h *dispatchHold) release(ctx context.Context) (bool, error) {
	mine := h.doc
	for range tries {
		// What this round learnt is kept, whatever was read since.
		h.doc.Live, h.doc.Full, h.doc.FullAt = mine.Live, mine.Full, mine.FullAt
		h.doc.PausedAt, h.doc.Next = mine.PausedAt, mine.Next
		h.doc.Owner, h.doc.Until, h.doc.Again = "", time.Time{}, 0
		landed, err := h.write(ctx)
		if err != nil {
			return false, err
		}
		if landed {
			return true, nil
		}
		if err := h.read(ctx); err != nil {
			return false, err
		}
		if h.doc.Owner != h.in.owner() {
			return true, nil // it ran out and is somebody else's now
		}
		if h.doc.Again > 0 {
			// Take the wish as heard.
			h.doc.Live, h.doc.Full, h.doc.FullAt = mine.Live, mine.Full, mine.FullAt
			h.doc.PausedAt, h.doc.Next, h.doc.Again = mine.PausedAt, mine.Next, 0
			landed, err := h.write(ctx)
			if err != nil {
				return false, err
			}
			if landed {
				return false, nil
			}
			if err := h.read(ctx); err != nil {
				return false, err
			}
		}
	}
	return true, nil // it runs out by itself
}

// valid reports whether the lease still stands.
func (h *dispatchHold) valid() bool { return h.clock.Now().Before(h.doc.Until) }

// line is the queue of submissions that wait for one model.
type line struct {
	ids  []string          // oldest first
	keys map[string]string // id -> marker
	live map[string]int    // known numbers of live jobs
}

// next picks who gets the next slot: the fewest live jobs, then the oldest.
func (l *line) next() string {
	best := ""
	for _, id := range l.ids {
		if best == "" || l.live[id] < l.live[best] {
			best = id
		}
	}
	return best
}

func (l *line) leave(id string) {
	for i, other := range l.ids {
		if other == id {
			l.ids = append(l.ids[:i:i], l.ids[i+1:]...)
			return
		}
	}
}

// round creates jobs until the quota is full, nobody waits or the slice is
// over. again is after how long another round is wanted, 0 for none.
func (r *submitRun) round(ctx context.Context, quotaKey string, lease *dispatchHold) (again time.Duration, err error) {
	paused, err := r.paused(ctx)
	if err != nil {
		return 0, err
	}
	if paused {
		lease.doc.PausedAt = r.clock.Now().UTC()
	}
	l, err := r.line(ctx, quotaKey, lease.doc.Live)
	if err != nil {
		return 0, err
	}
	defer func() { lease.doc.Live = l.living() }()
	for id := l.next(); id != ""; id = l.next() {
		if r.sliceOver() || !lease.valid() {
			return time.Second, nil
		}
		more, wait, err := r.serve(ctx, lease, id, paused)
		if err != nil {
			return 0, err
		}
		again = max(again, wait)
		if !more.stays {
			l.leave(id)
		}
		if more.left {
			if err := r.output.Delete(ctx, l.keys[id]); err != nil {
				return 0, fmt.Errorf("remove waiting marker of %s: %w", id, err)
			}
		}
		l.live[id] = more.live
		if more.full {
			break
		}
	}
	return again, nil
}

func (l *line) living() []string {
	var ids []string
	for id, n := range l.live {
		if n > 0 {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids
}

// line lists who waits, and reads the state of those that had live jobs.
func (r *submitRun) line(ctx context.Context, quotaKey string, living []string) (*line, error) {
	l := &line{keys: map[string]string{}, live: map[string]int{}}
	prefix := waitingPrefix(quotaKey)
	for object, err := range r.output.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list what waits for %s: %w", quotaKey, err)
		}
		_, id, ok := strings.Cut(strings.TrimPrefix(object.Key, prefix), "-")
		if !ok {
			continue
		}
		l.ids = append(l.ids, id)
		l.keys[id] = object.Key
	}
	for _, id := range living {
		if l.keys[id] == "" {
			continue // it waits for nothing any more
		}
		s, _, err := r.load(ctx, id)
		if errors.Is(err, batch.ErrNotFound) || errors.Is(err, ErrNewer) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l.live[id] = liveJobs(s)
	}
	return l, nil
}

func liveJobs(s *Submission) int {
	n := 0
	for i := range s.Parts {
		if s.Parts[i].live() {
			n++
		}
	}
	return n
}

// served says how a submission stands after its turn.
type served struct {
	stays bool // it may get another slot in this round
	left  bool // it waits for nothing any more: its marker goes
	live  int
	full  bool // the quota is
}

// serve gives one submission its turn: one job.
func (r *submitRun) serve(ctx context.Context, lease *dispatchHold, id string, paused bool) (served, time.Duration, error) {
	s, _, err := r.load(ctx, id)
	if errors.Is(err, batch.ErrNotFound) || errors.Is(err, ErrNewer) {
		return served{}, 0, nil // its own message makes the state, or a newer function serves it
	}
	if err != nil {
		return served{}, 0, err
	}
	if !s.State.Terminal() && !s.Prepared {
		return served{}, 0, nil // the marker comes before the state that needs it
	}
	p := turn(s)
	if s.State.Terminal() || p == nil {
		if s.Checkpoint != nil {
			return served{live: liveJobs(s)}, 0, nil // a retry round is being staged: its marker stands already
		}
		return served{left: true, live: liveJobs(s)}, 0, nil
	}
	if !s.paying() || r.overdue(s, lease.doc.PausedAt) {
		return r.settleStopped(ctx, s, lease.doc.PausedAt)
	}
	if p.Late {
		return r.settleLate(ctx, s, p.N, p.Attempt)
	}
	if !paused { // a round may be long: look again before every job
		if paused, err = r.paused(ctx); err != nil {
			return served{}, 0, err
		}
	}
	if paused {
		return served{live: liveJobs(s)}, 0, nil
	}
	if r.maxJobs > 0 && p.Status != PartCreating && liveJobs(s) >= r.maxJobs {
		return served{live: liveJobs(s)}, 0, nil
	}
	return r.create(ctx, lease, s, p.N, p.Attempt)
}

// turn is the part whose job is next: one that was begun goes first.
func turn(s *Submission) *Part {
	var first *Part
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.How != ByJob {
			continue
		}
		if p.Status == PartCreating {
			return p
		}
		if p.Status == PartWaiting && first == nil {
			first = p
		}
	}
	return first
}

// overdue reports whether a submission has waited too long for slots. A pause
// stops the clock, and it starts anew. A job that could not be created yet is
// what is waited for.
func (r *submitRun) overdue(s *Submission, pausedAt time.Time) bool {
	if s.WaitSince == nil || s.any(func(p *Part) bool { return p.How == ByJob && p.Status == PartRunning }) {
		return false
	}
	since := *s.WaitSince
	if pausedAt.After(since) {
		since = pausedAt
	}
	return r.clock.Now().Sub(since) > r.settings.MaxWait.Std()
}
