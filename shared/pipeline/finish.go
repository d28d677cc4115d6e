package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// finish brings a submission to its end: merge the attempts, compose the
// results, publish, mark it ended. Every step may be taken again.
func (r *collectRun) finish(ctx context.Context, h *hold, w workload.Workload) error {
	if err := r.mergeParts(ctx, h, w); err != nil {
		return err
	}
	if h.FinishedAt == nil {
		now := r.clock.Now().UTC()
		if err := h.progress(ctx, func(s *Submission) error {
			if s.FinishedAt == nil {
				s.FinishedAt = &now
			}
			s.account()
			s.NoticeID = noticeID(s.ID)
			s.Status, s.Reason = verdict(s)
			return nil
		}); err != nil {
			return err
		}
	}
	places, err := r.compose(ctx, h.Submission)
	if err != nil {
		return err
	}
	n := r.notice(h.Submission, places)
	if err := r.summarise(ctx, h.Submission, n); err != nil {
		return err
	}
	if err := r.publish(ctx, h, n); err != nil {
		return err
	}
	if err := h.progress(ctx, func(s *Submission) error {
		s.State = endState(s, n.Status)
		s.Lease = nil
		return nil
	}); err != nil {
		return err
	}
	// By whoever wrote the end: told once, or not at all after a crash just here.
	r.note(ctx, "submission ended", h.ID, "status", n.Status, "workload", n.Workload, "model", n.ModelID,
		"total", n.Rows.Total, "answered", n.Rows.Answered, "failed", n.Rows.Failed, "setAside", n.Rows.SetAside, "missing", n.Rows.Missing, "known", n.Rows.Known,
		"onDemand", answeredOnDemand(h.Submission), "inputTokens", n.Tokens.Input, "outputTokens", n.Tokens.Output, "seconds", int64(h.FinishedAt.Sub(h.CreatedAt).Seconds()))
	return r.report(ctx, h.Submission)
}

// account closes the books: every row is answered, failed, set aside or
// missing.
func (s *Submission) account() {
	rows := Rows{}
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Attempt != 1 {
			continue
		}
		rows.Total += int64(p.Records+p.Aside) + p.known()
		rows.SetAside += int64(p.Aside)
		if p.Final == nil {
			rows.Missing += int64(p.Records) + p.known() // never run
			continue
		}
		rows.Known += p.known()
		rows.Answered += p.Final.Answered
		rows.Failed += p.Final.Failed
		rows.Missing += p.Final.Missing
	}
	if sum := rows.Answered + rows.Failed + rows.SetAside + rows.Missing; sum != rows.Total {
		s.Mismatches = append(s.Mismatches, fmt.Sprintf("the rows do not add up: %d in parts, %d accounted for", rows.Total, sum))
	}
	s.Rows = rows
}

func endState(s *Submission, status string) State {
	switch status {
	case StatusSuperseded:
		return Superseded
	case StatusRejected:
		return Rejected
	case StatusStopped:
		return StoppedEnd
	case StatusFailed:
		return FailedEnd
	}
	return Done
}

// compose joins the parts' pieces into the files that come back; which exist
// is told by the places.
func (r *collectRun) compose(ctx context.Context, s *Submission) (Places, error) {
	uri := func(name string) string { return "s3://" + r.bucket + "/" + resultsKey(s, name) }
	places := Places{Summary: uri("summary.json")}
	var results, errs, aside, table, foreign, foreignErrs []batch.Object
	dialect, _ := answer.DialectOf(s.Format)
	ran := false
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Attempt != 1 {
			continue
		}
		if p.Final != nil {
			ran = true
			if p.Final.Results > 0 {
				results = append(results, batch.Object{Key: p.resultsPiece(s.ID), Size: p.Final.Results})
			}
			if p.Final.Table > 0 {
				table = append(table, batch.Object{Key: finalKey(s.ID, p.N, "results.csv"), Size: p.Final.Table})
			}
			if p.Final.Parquet > 0 {
				places.Parquet = uri(columnsFolder)
				if r.settings.Warehouse {
					places.Warehouse = "s3://" + r.bucket + "/" + warehousePrefix(s)
				}
			}
			if p.Final.Foreign > 0 {
				foreign = append(foreign, batch.Object{Key: finalKey(s.ID, p.N, dialect.Results), Size: p.Final.Foreign})
			}
			if p.Final.ForeignErrors > 0 {
				foreignErrs = append(foreignErrs, batch.Object{Key: finalKey(s.ID, p.N, dialect.Errors), Size: p.Final.ForeignErrors})
			}
			if p.Final.Errors > 0 {
				errs = append(errs, batch.Object{Key: finalKey(s.ID, p.N, "errors.jsonl"), Size: p.Final.Errors})
			}
		}
		if p.Aside > 0 {
			piece, err := r.output.Stat(ctx, asideKey(s.ID, p.N), "")
			if err != nil {
				return places, fmt.Errorf("look at set-aside rows of part %d: %w", p.N, err)
			}
			aside = append(aside, piece)
		}
	}
	if len(table) > 0 {
		head, err := r.tableHead(ctx, s)
		if err != nil {
			return places, err
		}
		table = append([]batch.Object{head}, table...)
	}
	for _, file := range []struct {
		name   string
		pieces []batch.Object
		place  *string
		always bool
	}{
		{"results.jsonl", results, &places.Results, ran},
		{"results.csv", table, &places.Table, false},
		{"errors.jsonl", errs, &places.Errors, false},
		{"set-aside.jsonl", aside, &places.SetAside, false},
		{dialect.Results, foreign, &places.Foreign, false},
		{dialect.Errors, foreignErrs, &places.ForeignErrors, false},
	} {
		if len(file.pieces) == 0 && !file.always {
			continue
		}
		if err := r.output.Compose(ctx, resultsKey(s, file.name), file.pieces); err != nil {
			return places, fmt.Errorf("compose %s of submission %s: %w", file.name, s.ID, err)
		}
		*file.place = uri(file.name)
	}
	return places, nil
}

// latest is latest.json: which submission of this key finished last.
type latest struct {
	Submission string    `json:"submission"`
	Status     string    `json:"status"`
	Results    string    `json:"results,omitempty"`
	Summary    string    `json:"summary"`
	Version    string    `json:"versionId,omitempty"`
	CreatedAt  time.Time `json:"createdAt"`
	FinishedAt time.Time `json:"finishedAt"`
}

// point lets latest.json point to this submission unless a younger one has
// finished already.
func (r *collectRun) point(ctx context.Context, s *Submission, n Notice) error {
	key := resultsPrefix(s.place()) + "latest.json"
	fresh := latest{
		Submission: s.ID, Status: n.Status, Results: n.Results.Results, Summary: n.Results.Summary,
		Version: s.Upload.VersionID, CreatedAt: s.CreatedAt, FinishedAt: n.FinishedAt,
	}
	body, err := json.Marshal(fresh)
	if err != nil {
		return err
	}
	for range tries {
		cond := batch.Condition{IfAbsent: true}
		old, object, err := r.output.Get(ctx, key)
		switch {
		case err == nil:
			var there latest
			if json.Unmarshal(old, &there) == nil && (there.Submission == s.ID && there.FinishedAt.Equal(fresh.FinishedAt) || there.CreatedAt.After(s.CreatedAt)) {
				return nil
			}
			cond = batch.Condition{IfMatch: object.ETag}
		case !errors.Is(err, batch.ErrNotFound):
			return fmt.Errorf("read %s: %w", key, err)
		}
		_, err = r.output.Put(ctx, key, body, cond)
		if err == nil {
			return nil
		}
		if !errors.Is(err, batch.ErrPrecondition) {
			return fmt.Errorf("write %s: %w", key, err)
		}
	}
	return fmt.Errorf("write %s: %w", key, batch.ErrPrecondition)
}

// cleanUp removes what an ended submission does not need any more. Its state
// stays: a late delivery of its upload meets it.
func (r *collectRun) cleanUp(ctx context.Context, id string) error {
	s, _, err := r.load(ctx, id)
	if err != nil {
		return err
	}
	if !s.State.Terminal() {
		return nil
	}
	var keys []string
	for object, err := range r.output.List(ctx, stagedPrefix(id), "") {
		if err != nil {
			return fmt.Errorf("list staged files of submission %s: %w", id, err)
		}
		if keys = append(keys, object.Key); len(keys) == 1000 {
			if err := r.output.Delete(ctx, keys...); err != nil {
				return fmt.Errorf("remove staged files of submission %s: %w", id, err)
			}
			keys = keys[:0]
		}
	}
	if s.QuotaKey != "" {
		keys = append(keys, waitingKey(s))
	}
	// The open marker last: until then a tick comes back to finish this.
	keys = append(keys, openKey(id))
	if err := r.output.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("clean up after submission %s: %w", id, err)
	}
	return nil
}
