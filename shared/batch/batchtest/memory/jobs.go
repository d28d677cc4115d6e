package memory

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Jobs implements batch.Jobs on a Bedrock.
type Jobs struct {
	bedrock *Bedrock
	hook    Hook
}

var _ batch.Jobs = (*Jobs)(nil)

// page is the number of jobs of one call of a listing.
const page = 100

// Jobs is the control plane, through a hook (nil: none).
func (b *Bedrock) Jobs(hook Hook) *Jobs { return &Jobs{bedrock: b, hook: hook} }

// Create implements batch.Jobs.
func (p *Jobs) Create(ctx context.Context, spec batch.JobSpec) (arn string, err error) {
	err = around(ctx, p.hook, "Jobs.Create", spec.Name, func() error {
		if arn, err = p.bedrock.create(spec); err != nil {
			return fmt.Errorf("create job %s: %w", spec.Name, err)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return arn, nil
}

func (b *Bedrock) create(spec batch.JobSpec) (string, error) {
	if err := check(spec); err != nil {
		return "", err
	}
	b.mu.Lock()
	for _, j := range b.jobs {
		if j.Name != spec.Name {
			continue
		}
		defer b.mu.Unlock()
		switch b.set.Repeat {
		case RepeatConflict:
			return "", &batch.ServiceError{Class: batch.ErrInUse, Code: "ConflictException", Message: "The provided job name is currently in use.", Status: 400}
		case RepeatInvalid:
			return "", &batch.ServiceError{Class: batch.ErrInUse, Code: "ValidationException", Message: "The provided job name is currently in use.", Status: 400}
		}
		return j.ARN, nil
	}
	if b.live(spec.ModelID) >= b.set.Slots {
		defer b.mu.Unlock()
		return "", &batch.ServiceError{
			Class: batch.ErrQuota, Code: "ServiceQuotaExceededException", Status: 400,
			Message: fmt.Sprintf("You have reached the quota of %d jobs for model %s", b.set.Slots, spec.ModelID),
		}
	}
	b.serial++
	now := b.set.Clock.Now()
	hours := spec.TimeoutHours
	if hours == 0 {
		hours = 24
	}
	spec.Tags = maps.Clone(spec.Tags)
	j := &job{spec: spec, Job: batch.Job{
		ARN:        fmt.Sprintf("arn:aws:bedrock:%s:%s:model-invocation-job/%s", b.set.Region, b.set.Account, id(b.serial)),
		Name:       spec.Name,
		Token:      spec.Name,
		ModelID:    spec.ModelID,
		Status:     batch.Submitted,
		Invocation: spec.Invocation,
		Input:      spec.Input,
		Output:     spec.Output,
		Counts:     &batch.Counts{},
		Submitted:  now,
		Expires:    now.Add(time.Duration(hours) * time.Hour),
	}}
	b.jobs = append(b.jobs, j)
	arn := j.ARN
	b.changed(j, "")
	return arn, nil
}

// Get implements batch.Jobs.
func (p *Jobs) Get(ctx context.Context, arn string) (out batch.Job, err error) {
	err = around(ctx, p.hook, "Jobs.Get", arn, func() error {
		p.bedrock.mu.Lock()
		defer p.bedrock.mu.Unlock()
		j := p.bedrock.find(arn)
		if j == nil {
			return fmt.Errorf("get job %s: %w", arn, batch.ErrNotFound)
		}
		out = j.snapshot()
		return nil
	})
	if err != nil {
		return batch.Job{}, err
	}
	return out, nil
}

// snapshot shares nothing that changes.
func (j *job) snapshot() batch.Job {
	out := j.Job
	if j.Counts != nil {
		counts := *j.Counts
		out.Counts = &counts
	}
	return out
}

// List implements batch.Jobs.
func (p *Jobs) List(ctx context.Context, filter batch.JobFilter) iter.Seq2[batch.Job, error] {
	return func(yield func(batch.Job, error) bool) {
		for from := 0; ; from += page {
			var some []batch.Job
			more := false
			if err := around(ctx, p.hook, "Jobs.List", filter.NameContains, func() error {
				matching := p.bedrock.matching(filter)
				some = matching[min(from, len(matching)):min(from+page, len(matching))]
				more = from+page < len(matching)
				return nil
			}); err != nil {
				yield(batch.Job{}, err)
				return
			}
			for _, j := range some {
				if !yield(j, nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

func (b *Bedrock) matching(filter batch.JobFilter) []batch.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []batch.Job
	for _, j := range b.jobs {
		if !strings.Contains(j.Name, filter.NameContains) ||
			filter.Status != "" && j.Status != filter.Status ||
			!filter.SubmittedFrom.IsZero() && j.Submitted.Before(filter.SubmittedFrom) ||
			!filter.SubmittedTo.IsZero() && j.Submitted.After(filter.SubmittedTo) {
			continue
		}
		out = append(out, j.snapshot())
	}
	if filter.NewestFirst {
		slices.Reverse(out)
	}
	return out
}

// Stop implements batch.Jobs. A job that is stopping already is left to it.
func (p *Jobs) Stop(ctx context.Context, arn string) error {
	return around(ctx, p.hook, "Jobs.Stop", arn, func() error {
		b := p.bedrock
		b.mu.Lock()
		j := b.find(arn)
		if j == nil {
			b.mu.Unlock()
			return fmt.Errorf("stop job %s: %w", arn, batch.ErrNotFound)
		}
		if j.Status.Terminal() {
			b.mu.Unlock()
			return fmt.Errorf("stop job %s: it is %s: %w", arn, j.Status, batch.ErrConflict)
		}
		was := j.Status
		j.Status = batch.Stopping
		b.changed(j, was)
		return nil
	})
}
