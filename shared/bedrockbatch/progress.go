package bedrockbatch

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Progress is how far a run has come.
type Progress struct {
	// Current of Total rows have an answer or an error, or are set aside.
	// Total grows while inputs are read.
	Current, Total int64
	// State is where the run stands.
	State pipeline.State
	// Reason says why a run does not go its whole way.
	Reason string
	Parts  []PartProgress
}

// PartProgress is how far one part of a run has come.
type PartProgress struct {
	// N is the part's number, from 0; Attempt is 1 for the first round.
	N       int `json:"n"`
	Attempt int `json:"attempt"`
	Records int `json:"records"`
	// Done records have an answer or an error, as far as the service tells.
	Done int64 `json:"done"`
	// OnDemand says that the part is too small for a job.
	OnDemand bool `json:"onDemand"`
	// JobARN is empty until the part's job is created; Job is its status as
	// last read, empty until then.
	JobARN string              `json:"jobArn,omitempty"`
	Job    batch.Status        `json:"job,omitempty"`
	Status pipeline.PartStatus `json:"status"`
}

func (p Progress) same(q Progress) bool { return reflect.DeepEqual(p, q) }

func progressOf(s *pipeline.Submission, jobs *watched) Progress {
	p := Progress{State: s.State, Total: s.Rows.Total, Current: s.Rows.SetAside}
	if s.Ending != nil {
		p.Reason = s.Ending.Reason
	}
	for i := range s.Parts {
		q := &s.Parts[i]
		if q.Known != nil {
			p.Current += q.Known.Rows
		}
		part := PartProgress{N: q.N, Attempt: q.Attempt, Records: q.Records, OnDemand: q.How == pipeline.OnDemand, JobARN: q.JobARN, Job: q.JobStatus, Status: q.Status}
		if job, ok := jobs.last(q.JobARN); ok {
			part.Job = job.Status
			if job.Counts != nil {
				part.Done = min(job.Counts.Processed, int64(q.Records))
			}
		} else if q.JobARN != "" && part.Job == "" {
			part.Job = batch.Submitted
		}
		if q.Status == pipeline.PartEnded || q.Status == pipeline.PartCollected {
			part.Done = int64(q.Records)
		}
		if q.Attempt == 1 {
			p.Current += part.Done
		}
		p.Parts = append(p.Parts, part)
	}
	if s.State.Terminal() {
		p.Current = p.Total
	}
	return p
}

// Status is how a run stands now.
type Status struct {
	Name string
	// Status sums up: a run is Submitted until its inputs are in parts,
	// Scheduled while it waits for slots, then InProgress; Stopping once it
	// was cancelled. It ends Completed, PartiallyCompleted (rows failed, are
	// missing or were set aside), Failed (no row was answered) or Stopped.
	Status batch.Status
	// OnDemand says that the inputs were fewer than a job takes: they are
	// answered one by one, at the price of single requests.
	OnDemand bool
	// Records counts the records as the service does.
	Records batch.Counts
	Progress
}

// Status reads the run's state and its live jobs.
func (r *Run) Status(ctx context.Context) (Status, error) {
	st := Status{Name: r.rec.Name, Status: batch.Submitted}
	s, err := r.submission(ctx)
	if err != nil {
		return st, explain(err, "status of run %s", r.rec.Name)
	}
	if s == nil {
		return st, nil
	}
	jobs := &watched{Jobs: r.client.jobs, seen: map[string]batch.Job{}}
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.JobARN == "" || p.JobStatus != "" {
			continue
		}
		if _, err := jobs.Get(ctx, p.JobARN); err != nil && !errors.Is(err, batch.ErrNotFound) {
			return st, explain(err, "status of run %s", r.rec.Name)
		}
	}
	st.Progress = progressOf(s, jobs)
	st.Status = sum(s)
	st.OnDemand = len(s.Parts) > 0
	for i := range s.Parts {
		p := &s.Parts[i]
		st.OnDemand = st.OnDemand && p.How == pipeline.OnDemand
		if p.Attempt > 1 {
			continue
		}
		st.Records.Total += int64(p.Records)
		if p.Known != nil {
			st.Records.Total += p.Known.Rows
			st.Records.Processed += p.Known.Rows
			st.Records.Success += p.Known.Rows
		}
		if job, ok := jobs.last(p.JobARN); ok && job.Counts != nil {
			st.Records.Processed += job.Counts.Processed
			st.Records.Success += job.Counts.Success
			st.Records.Error += job.Counts.Error
		} else if p.Counts != nil {
			st.Records.Processed += p.Counts.Answered + p.Counts.Failed
			st.Records.Success += p.Counts.Answered
			st.Records.Error += p.Counts.Failed
		}
	}
	if s.State.Terminal() {
		st.Records.Success, st.Records.Error = s.Rows.Answered, s.Rows.Failed
		st.Records.Processed = s.Rows.Answered + s.Rows.Failed
	}
	return st, nil
}

func sum(s *pipeline.Submission) batch.Status {
	switch s.State {
	case pipeline.Done:
		if s.Rows.Answered < s.Rows.Total {
			return batch.PartiallyCompleted
		}
		return batch.Completed
	case pipeline.StoppedEnd:
		return batch.Stopped
	case pipeline.FailedEnd, pipeline.Rejected, pipeline.Superseded:
		return batch.Failed
	}
	switch {
	case s.Stop:
		return batch.Stopping
	case s.State == pipeline.Preparing:
		return batch.Submitted
	case s.State == pipeline.WaitingFor:
		return batch.Scheduled
	}
	return batch.InProgress
}

// String is one line for people.
func (p Progress) String() string {
	jobs, waiting := 0, 0
	for _, part := range p.Parts {
		if part.JobARN != "" && part.Status == pipeline.PartRunning {
			jobs++
		}
		if part.Status == pipeline.PartWaiting {
			waiting++
		}
	}
	text := fmt.Sprintf("%s: %d of %d rows, %d jobs running", p.State, p.Current, p.Total, jobs)
	if waiting > 0 {
		text += fmt.Sprintf(", %d parts waiting", waiting)
	}
	return text
}
