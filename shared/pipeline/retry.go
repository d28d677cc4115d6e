package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// again reports which rows of a collected part are worth another attempt:
// those that failed for a passing reason, and, of a job that ran out of time
// or failed, those that nothing was heard of. Rows of a job that somebody
// stopped, or missing from one that completed, are not asked for again.
func again(p *Part) (failed, missing bool) {
	if p.Late || p.Status != PartCollected || p.Counts == nil || p.JobStatus == "" || p.JobStatus == batch.Stopped {
		return false, false
	}
	switch p.JobStatus {
	case batch.Expired, batch.PartiallyCompleted, batch.Failed:
		missing = p.Counts.Missing > 0
	}
	return p.Counts.Retryable > 0, missing
}

// retry stages the next round, if there is one to come. It reports whether
// there is: the submission then goes on instead of finishing.
func (r *collectRun) retry(ctx context.Context, h *hold, w workload.Workload) (bool, error) {
	if h.Checkpoint == nil && (!h.paying() || h.Round > retries(w)) {
		return false, nil
	}
	if h.Checkpoint != nil && !h.paying() {
		// Stopped while the round was being staged: it never was.
		return false, r.dropStaged(ctx, h)
	}
	var records int64
	for _, p := range h.round(h.Round) {
		failed, missing := again(p)
		if failed {
			records += p.Counts.Retryable
		}
		if missing {
			records += p.Counts.Missing
		}
	}
	quota := r.quota(w, h.QuotaKey)
	if records == 0 || w.Small == workload.Reject && records < int64(quota.MinRecords) {
		return false, nil
	}
	s := &staging{collectRun: r, h: h, round: h.Round + 1, quota: quota}
	if err := s.stage(ctx); err != nil {
		return false, err
	}
	return true, s.finish(ctx)
}

// before are the parts without those of an attempt from number n on.
func before(parts []Part, attempt, n int) []Part {
	kept := make([]Part, 0, len(parts)+1)
	for _, p := range parts {
		if p.Attempt != attempt || p.N < n {
			kept = append(kept, p)
		}
	}
	return kept
}

// staging is one slice of staging a retry round.
type staging struct {
	*collectRun
	h     *hold
	round int
	quota part.Quota
	from  int64 // rows before this one are staged already
	late  bool  // it is no retry round, but what a deadline left without an answer
}

func (s *staging) stage(ctx context.Context) error {
	first := 0
	if c := s.h.Checkpoint; c != nil {
		first, s.from = c.Part, c.Position.Row
	}
	sink := &sink{ctx: ctx, bucket: s.output, id: s.h.ID, attempt: s.round, closed: s.closed}
	defer sink.abort()
	err := s.into(ctx, sink, first)
	if serr := sink.settle(); err == nil {
		err = serr
	}
	return err
}

// into copies what is asked for again into the sink.
func (s *staging) into(ctx context.Context, sink *sink, first int) error {
	builder, err := part.NewBuilder(s.quota, sink, part.Options{First: first, TempDir: s.tempDir})
	if err != nil {
		return err
	}
	defer builder.Close()
	for _, p := range s.taken() {
		failed, missing := s.which(p)
		if !failed && !missing || p.LastRow < s.from {
			continue
		}
		if err := s.copy(ctx, builder, p, failed, missing); err != nil {
			return err
		}
	}
	return builder.End()
}

// copy takes the failed rows' records of one part into the new round: both
// files are in row order.
func (s *staging) copy(ctx context.Context, builder *part.Builder, p *Part, failed, missing bool) error {
	lost, err := s.output.Open(ctx, answersKey(s.h.ID, p.N, p.Attempt, "failed.jsonl"), "", 0, batch.Whole)
	if err != nil {
		return fmt.Errorf("read failed rows of part %d: %w", p.N, err)
	}
	defer lost.Close()
	records, err := openLines(ctx, s.output, inputKey(s.h.ID, p.N, p.Attempt))
	if err != nil {
		return err
	}
	defer records.Close()
	var own []byte // line of the index
	looked := 0
	for f, err := range answer.Failures(lost) {
		if err != nil {
			return fmt.Errorf("read failed rows of part %d: %w", p.N, err)
		}
		// A missing row is worth it or not by how its job ended, whatever its
		// line says.
		if f.Row < s.from || f.Missing && !missing || !f.Missing && !(failed && f.Retryable) {
			continue
		}
		prefix := appendRecordID(nil, f.Row)
		for {
			if looked++; looked%lookEvery == 0 && s.sliceOver() {
				return errSliceOver
			}
			line, err := records.next()
			if err == io.EOF {
				return fmt.Errorf("part %d attempt %d has no record of row %d", p.N, p.Attempt, f.Row)
			}
			if err != nil {
				return fmt.Errorf("read records of part %d: %w", p.N, err)
			}
			if !bytes.HasPrefix(line, prefix) {
				continue
			}
			own = part.AppendEntry(own[:0], part.Entry{Row: f.Row, Off: f.Off, Len: f.Len, Source: f.Source, ID: f.ID})
			if err := builder.Add(part.Item{
				Record: line, Row: f.Row, Line: own,
				At: dataset.Position{Row: f.Row}, Next: dataset.Position{Row: f.Row + 1},
			}); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func (s *staging) closed(ctx context.Context, b part.Part) error {
	fresh := Part{
		N: b.N, Attempt: s.round, Records: b.Records, Bytes: b.Bytes,
		FirstRow: b.FirstRow, LastRow: b.LastRow, How: ByJob, Status: PartStaged,
	}
	if b.Small || s.late {
		fresh.How = OnDemand
	}
	checkpoint := &Checkpoint{Position: b.Resume, Part: b.N + 1, Round: s.round}
	err := s.h.progress(ctx, func(sub *Submission) error {
		sub.Parts = append(before(sub.Parts, s.round, b.N), fresh)
		sub.Checkpoint = checkpoint
		return nil
	})
	if err != nil {
		return err
	}
	if s.sliceOver() {
		return errSliceOver
	}
	return nil
}

// finish starts the staged round.
func (s *staging) finish(ctx context.Context) error {
	if !s.late { // which waits for no slot
		if err := s.markWaiting(ctx, s.h.Submission); err != nil {
			return err
		}
	}
	now := s.clock.Now().UTC()
	err := s.h.progress(ctx, func(sub *Submission) error {
		switch {
		case sub.Round == s.round || s.late && sub.Deadline.Staged:
			return errUnchanged
		case s.late:
			sub.Deadline.Staged = true
		default:
			sub.Round = s.round
		}
		sub.Checkpoint, sub.WaitSince = nil, &now
		for _, p := range sub.round(s.round) {
			p.rise(PartWaiting)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var records int
	for _, p := range s.h.round(s.round) {
		records += p.Records
	}
	s.note(ctx, "retry round staged", s.h.ID, "round", s.round, "records", records)
	return nil
}
