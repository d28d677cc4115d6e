package bedrockbatch

import (
	"context"
	"iter"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Jobs yields the account's batch jobs that match, paging as it goes. An
// error ends the sequence.
func (c *Client) Jobs(ctx context.Context, filter batch.JobFilter) iter.Seq2[batch.Job, error] {
	return func(yield func(batch.Job, error) bool) {
		for job, err := range c.jobs.List(ctx, filter) {
			if !yield(job, explain(err, "list jobs")) {
				return
			}
		}
	}
}

// Job reads one job by ARN or id, with its record counts.
func (c *Client) Job(ctx context.Context, arn string) (batch.Job, error) {
	job, err := c.jobs.Get(ctx, arn)
	return job, explain(err, "read job %s", arn)
}

// CancelJob asks a job to stop: what it has answered so far comes back.
// batch.ErrConflict if it has ended.
func (c *Client) CancelJob(ctx context.Context, arn string) error {
	return explain(c.jobs.Stop(ctx, arn), "cancel job %s", arn)
}

// WaitJob looks at a job until it has ended, however it ends, with back-off
// and jitter. progress, if not nil, is told whenever status or counts have
// changed.
func (c *Client) WaitJob(ctx context.Context, arn string, progress func(batch.Job)) (batch.Job, error) {
	var last batch.Job
	failures := 0
	for idle := 1; ; idle++ {
		job, err := c.jobs.Get(ctx, arn)
		wait := c.backoff.Poll.next(idle)
		switch {
		case err != nil && !pipeline.Later(err):
			return last, explain(err, "wait for job %s", arn)
		case err != nil:
			failures++
			delay := c.backoff.of(err)
			if delay.Tries > 0 && failures >= delay.Tries {
				return last, explain(err, "wait for job %s", arn)
			}
			wait = delay.next(failures)
		default:
			failures = 0
			if job.Status != last.Status || moved(job.Counts, last.Counts) {
				idle = 1
				if progress != nil {
					progress(job)
				}
			}
			last = job
			if job.Status.Terminal() {
				return job, nil
			}
		}
		if err := c.clock.Sleep(ctx, wait); err != nil {
			return last, explain(err, "wait for job %s", arn)
		}
	}
}

func moved(a, b *batch.Counts) bool {
	if a == nil || b == nil {
		return a != b
	}
	return *a != *b
}
