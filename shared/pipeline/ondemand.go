package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

const (
	// askTries is how often a record is asked about in one slice before its
	// failure is believed.
	askTries = 3
	// throttled is the shortest pause after which a throttled submission
	// goes on.
	throttled = 20 * time.Second
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
			if p := &h.Parts[j]; p.How == OnDemand && partRank[p.Status] < partRank[PartEnded] && p.Attempt == h.Round {
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

	mu      sync.Mutex
	have    map[string]bool // recordIds that are answered
	stored  int
	halted  error // why no more is asked in this slice
	looked  time.Time
	told    time.Time
	records int
}

var (
	errThrottled = errors.New("throttled")
	errPaused    = errors.New("paused")
	errStopped   = errors.New("stopped")
)

func (a *asking) rowPrefix() string { return answersKey(a.h.ID, a.n, a.attempt, "rows/") }

// part asks for what has no answer yet. noDelay: the part has ended.
func (a *asking) part(ctx context.Context) (time.Duration, error) {
	a.have = map[string]bool{}
	for object, err := range a.output.List(ctx, a.rowPrefix(), "") {
		if err != nil {
			return noDelay, fmt.Errorf("list stored answers: %w", err)
		}
		a.have[strings.TrimPrefix(object.Key, a.rowPrefix())] = true
	}
	started := a.h.part(a.n, a.attempt)
	a.records = started.Records
	if started.Status != PartRunning {
		if err := a.h.change(ctx, func(s *Submission) error { s.part(a.n, a.attempt).rise(PartRunning); return nil }); err != nil {
			return noDelay, err
		}
	}
	a.told = a.clock.Now()
	err := a.askAll(ctx)
	if err != nil {
		return noDelay, err
	}
	switch {
	case a.halted == nil, errors.Is(a.halted, errStopped):
		return noDelay, a.finish(ctx)
	case errors.Is(a.halted, errSliceOver):
		return 0, nil
	case errors.Is(a.halted, errPaused):
		return time.Minute, a.keepWaiting(ctx, true)
	default:
		err := a.keepWaiting(ctx, a.stored > 0)
		return a.patience(), err
	}
}

// patience is the pause before a throttled submission goes on: the longer it
// has got nowhere the longer, as days of trying every few seconds would help
// nobody.
func (a *asking) patience() time.Duration {
	if a.h.WaitSince == nil {
		return throttled
	}
	return min(max(throttled, a.clock.Now().Sub(*a.h.WaitSince)/8), maxDelay)
}

// keepWaiting restarts the clock that limits waiting where something got done
// or the deployment is paused, and gives up a part that has waited too long.
func (a *asking) keepWaiting(ctx context.Context, moved bool) error {
	now := a.clock.Now().UTC()
	return a.h.change(ctx, func(s *Submission) error {
		if moved || s.WaitSince == nil {
			s.WaitSince = &now
			return nil
		}
		if now.Sub(*s.WaitSince) > a.settings.MaxWait.Std() && s.Ending == nil {
			s.Ending = &Ending{State: FailedEnd, Reason: fmt.Sprintf("the model throttled every request for %s", a.settings.MaxWait.Std())}
		}
		return nil
	})
}

// askAll walks the part's records and asks for those without an answer, a
// bounded number at once.
func (a *asking) askAll(ctx context.Context) error {
	lines, err := openLines(ctx, a.output, inputKey(a.h.ID, a.n, a.attempt))
	if err != nil {
		return err
	}
	defer lines.Close()
	workers := max(1, min(a.settings.OnDemandConcurrency, a.records))
	if workers == 1 {
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
	for range workers {
		wg.Go(func() {
			for line := range work {
				if err := a.ask(ctx, line); err != nil {
					cancel(err)
					return
				}
			}
		})
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
	paused := false
	if err == nil {
		paused, err = a.paused(ctx)
	}
	if paused {
		a.halted = errPaused
		return true
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

// finish writes the part's output from the stored answers and ends the part.
func (a *asking) finish(ctx context.Context) error {
	lines, err := openLines(ctx, a.output, inputKey(a.h.ID, a.n, a.attempt))
	if err != nil {
		return err
	}
	defer lines.Close()
	w, err := a.output.Create(ctx, outputPrefix(a.h.ID, a.n, a.attempt)+"on-demand/"+partName(a.n, a.attempt)+".jsonl.out")
	if err != nil {
		return fmt.Errorf("write on-demand output: %w", err)
	}
	defer w.Abort()
	for {
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		id, modelInput, err := splitRecord(line)
		if err != nil {
			return err
		}
		if !a.have[id] {
			continue // stopped before its turn: missing
		}
		body, _, err := a.output.Get(ctx, a.rowPrefix()+id)
		if err != nil {
			return fmt.Errorf("read stored answer of %s: %w", id, err)
		}
		out := make([]byte, 0, len(body)+len(modelInput)+64)
		out = append(out, `{"recordId":"`...)
		out = append(out, id...)
		out = append(out, `","modelInput":`...)
		out = append(out, modelInput...)
		if len(body) > 2 {
			out = append(out, ',')
		}
		out = append(out, body[1:]...)
		if _, err := w.Write(append(out, '\n')); err != nil {
			return fmt.Errorf("write on-demand output: %w", err)
		}
	}
	if _, err := w.Commit(); err != nil {
		return fmt.Errorf("write on-demand output: %w", err)
	}
	now := a.clock.Now().UTC()
	err = a.h.progress(ctx, func(s *Submission) error {
		p := s.part(a.n, a.attempt)
		if p.rise(PartEnded) {
			p.EndedAt, p.JobStatus = &now, batch.Completed
			if errors.Is(a.halted, errStopped) {
				p.JobStatus = batch.Stopped
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.note(ctx, "part answered on demand", a.h.ID, "part", a.n, "attempt", a.attempt, "answers", len(a.have), "records", a.records)
	return a.report(ctx, a.h.Submission)
}

// splitRecord takes a record's line, which we wrote ourselves, apart.
func splitRecord(line []byte) (id string, modelInput []byte, err error) {
	rest, ok := bytes.CutPrefix(bytes.TrimRight(line, "\n"), []byte(`{"recordId":"`))
	end := bytes.Index(rest, []byte(`","modelInput":`))
	if !ok || end < 0 || !bytes.HasSuffix(rest, []byte("}")) {
		return "", nil, errors.New("a staged record is not in the shape that it was written in")
	}
	return string(rest[:end]), rest[end+len(`","modelInput":`) : len(rest)-1], nil
}

// lines reads an object of ours line by line; a line may be as long as the
// longest record.
type lines struct {
	io.Closer
	r   *bufio.Reader
	buf []byte
}

func openLines(ctx context.Context, files batch.Files, key string) (*lines, error) {
	body, err := files.Open(ctx, key, "", 0, batch.Whole)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return &lines{Closer: body, r: bufio.NewReaderSize(body, 256<<10)}, nil
}

// next is the next line, valid until the next call. io.EOF after the last.
func (l *lines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		chunk, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, chunk...)
		if err == bufio.ErrBufferFull {
			if len(l.buf) > 4*dataset.MaxRow {
				return nil, errors.New("a staged line is too long")
			}
			continue
		}
		if err == io.EOF && len(l.buf) > 0 {
			err = nil
		}
		return l.buf, err
	}
}
