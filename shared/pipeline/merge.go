package pipeline

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// pieces of a part's final results and errors.
func (p *Part) resultsPiece(id string) string {
	if p.Final != nil && p.Final.Joined {
		return finalKey(id, p.N, "joined.jsonl")
	}
	if p.Final != nil && p.Final.Merged {
		return finalKey(id, p.N, "results.jsonl")
	}
	return answersKey(id, p.N, 1, "results.jsonl")
}

// merged is what a part comes to.
type merged struct {
	final  PartCounts
	common []answer.ErrorCount
	// gone: rows could not be read again.
	gone bool
}

// mergeParts merges the parts that are not merged yet, two at once, as it is
// small requests one after the other that take the time. One by one, though,
// where tables are made too, which takes memory, and after a stall: a part that
// kills whoever merges it must not keep another from being stored.
func (r *collectRun) mergeParts(ctx context.Context, h *hold, w workload.Workload) error {
	var todo []Part
	for _, p := range h.Parts {
		if p.Attempt == 1 && p.Final == nil && p.Counts != nil {
			todo = append(todo, p)
		}
	}
	s, want, abreast := h.Submission, wants(w, h.Submission), 1
	if h.Stalls <= 1 && !want.any() {
		abreast = min(2, r.settings.Parallel)
	}
	var storing sync.Mutex
	return each(ctx, len(todo), abreast, func(ctx context.Context, i int) error {
		if r.sliceOver() {
			return errSliceOver
		}
		m, err := r.merge(ctx, s, w, todo[i], want)
		if err != nil {
			return fmt.Errorf("merge part %d of submission %s: %w", todo[i].N, s.ID, err)
		}
		storing.Lock()
		defer storing.Unlock()
		return h.progress(ctx, func(s *Submission) error {
			q := s.part(todo[i].N, todo[i].Attempt)
			if q.Final != nil {
				return errUnchanged
			}
			q.Final = &m.final
			s.Errors = answer.AddErrors(s.Errors, m.common)
			if m.gone && !slices.Contains(s.Mismatches, sourceGone) {
				s.Mismatches = append(s.Mismatches, sourceGone)
			}
			return nil
		})
	})
}

// merge makes a part's final pieces: where later attempts hold answers of its
// rows, or some were known already, they are put in their places, and what was
// never answered becomes lines of errors.jsonl.
func (r *collectRun) merge(ctx context.Context, s *Submission, w workload.Workload, p Part, want wanted) (m merged, err error) {
	m.final = *p.Counts
	m.final.Errors = 0
	if p.Counts.Failed+p.Counts.Missing+p.known() > 0 {
		later := s.retried(p)
		several := len(later)+int(p.known()) > 0
		merging := answer.Merging{FirstRow: p.FirstRow, LastRow: p.LastRow}
		var open closers
		defer open.close()
		if p.known() > 0 {
			known, err := open.add(r.output.Open(ctx, answersKey(s.ID, p.N, knownAttempt, "results.jsonl"), "", 0, batch.Whole))
			if err != nil {
				return m, err
			}
			merging.Attempts = append(merging.Attempts, answer.Attempt{Number: knownAttempt, Results: known})
		}
		for _, q := range append([]*Part{&p}, later...) {
			if q.Records == 0 {
				continue // all of its rows are known
			}
			a := answer.Attempt{Number: q.Attempt}
			if several { // else the results stay as they are
				if a.Results, err = open.add(r.output.Open(ctx, answersKey(s.ID, q.N, q.Attempt, "results.jsonl"), "", 0, batch.Whole)); err != nil {
					return m, err
				}
			}
			if a.Failed, err = open.add(r.output.Open(ctx, answersKey(s.ID, q.N, q.Attempt, "failed.jsonl"), "", 0, batch.Whole)); err != nil {
				return m, err
			}
			merging.Attempts = append(merging.Attempts, a)
		}
		merging.Results = io.Discard
		var results batch.Writer
		if several {
			if results, err = r.output.Create(ctx, finalKey(s.ID, p.N, "results.jsonl")); err != nil {
				return m, err
			}
			defer results.Abort()
			merging.Results = results
		}
		failed, err := r.output.Create(ctx, finalKey(s.ID, p.N, "failed.jsonl"))
		if err != nil {
			return m, err
		}
		defer failed.Abort()
		merging.Failed = failed
		rows, err := answer.Merge(ctx, merging)
		if err != nil {
			return m, err
		}
		if results != nil {
			wrote, err := results.Commit()
			if err != nil {
				return m, err
			}
			m.final.Merged, m.final.Results, m.final.Answered = true, wrote.Size, rows.Answered
		}
		if _, err := failed.Commit(); err != nil {
			return m, err
		}
		m.final.Failed, m.final.Missing, m.common = rows.Failed, rows.Missing, rows.Errors
		if rows.Failed+rows.Missing > 0 {
			if m.final.Errors, m.gone, err = r.errors(ctx, s, w, p); err != nil {
				return m, err
			}
		}
	}
	if int64(p.Records)+p.known() > 0 && want.any() || want.dialect != nil && p.Aside > 0 {
		err = r.join(ctx, s, w, p, &m.final, want)
	}
	return m, err
}

// retried are the parts of retry rounds that may hold rows of p.
func (s *Submission) retried(p Part) []*Part {
	var parts []*Part
	for i := range s.Parts {
		q := &s.Parts[i]
		if q.Attempt > 1 && q.Counts != nil && q.FirstRow <= p.LastRow && q.LastRow >= p.FirstRow {
			parts = append(parts, q)
		}
	}
	slices.SortStableFunc(parts, func(a, b *Part) int { return a.Attempt - b.Attempt })
	return parts
}

// closers are readers to be closed together.
type closers []io.Closer

func (c *closers) add(r io.ReadCloser, err error) (io.Reader, error) {
	if err != nil {
		return nil, err
	}
	*c = append(*c, r)
	return r, nil
}

func (c *closers) close() {
	for _, x := range *c {
		x.Close()
	}
}

// errors writes a part's piece of errors.jsonl: the rows without an answer, in
// the shape they were dropped in, so that they can be dropped again. gone: some
// of them could not be read again.
func (r *collectRun) errors(ctx context.Context, s *Submission, w workload.Workload, p Part) (size int64, gone bool, err error) {
	failed, err := r.output.Open(ctx, finalKey(s.ID, p.N, "failed.jsonl"), "", 0, batch.Whole)
	if err != nil {
		return 0, false, err
	}
	defer failed.Close()
	to, err := r.output.Create(ctx, finalKey(s.ID, p.N, "errors.jsonl"))
	if err != nil {
		return 0, false, err
	}
	defer to.Abort()
	o := &origins{collectRun: r, s: s, w: w, p: p}
	defer o.close()
	if _, err := answer.Errors(ctx, answer.Erring{Failed: failed, Origin: o.find, Errors: to}); err != nil {
		return 0, false, err
	}
	wrote, err := to.Commit()
	return wrote.Size, o.missing, err
}

const sourceGone = "the upload's version is gone: errors.jsonl holds records instead of the rows they were made from"
