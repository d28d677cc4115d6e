package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// create starts the job of one part: intent, Create, ARN. A part that was
// begun before is looked up by its job's name first, so that a crash between
// any two steps never makes a second job.
func (r *submitRun) create(ctx context.Context, lease *dispatchHold, s *Submission, n, attempt int) (served, time.Duration, error) {
	name := JobName(r.deployment, s.ID, n, attempt)
	now := r.clock.Now().UTC()
	if p := s.part(n, attempt); p.Status == PartCreating {
		job, err := r.find(ctx, name)
		if err != nil {
			return served{}, 0, err
		}
		if job != nil {
			return r.adopt(ctx, s.ID, n, attempt, job.ARN)
		}
	} else {
		var err error
		s, err = r.update(ctx, s.ID, func(s *Submission) error {
			p := s.part(n, attempt)
			if p == nil || p.Late || !s.paying() || !p.rise(PartCreating) {
				return errUnchanged
			}
			p.JobName, p.StartedAt = name, &now
			return nil
		})
		if err != nil {
			return served{}, 0, err
		}
		if p := s.part(n, attempt); p == nil || p.Late || p.Status != PartCreating || !s.paying() {
			return served{stays: true, live: liveJobs(s)}, 0, nil // it was stopped meanwhile
		}
	}
	w, err := r.settingsOf(ctx, s.ID)
	if err != nil {
		return served{}, 0, err
	}
	if !lease.valid() {
		return served{full: true}, time.Second, nil
	}
	tags := maps.Clone(r.settings.JobTags)
	if tags == nil {
		tags = map[string]string{}
	}
	maps.Copy(tags, w.Tags)
	spec := batch.JobSpec{
		Name: name, ModelID: s.ModelID, RoleARN: r.jobRole, Invocation: s.Invocation,
		Input:  "s3://" + r.bucket + "/" + inputKey(s.ID, n, attempt),
		Output: "s3://" + r.bucket + "/" + outputPrefix(s.ID, n, attempt),
		Tags:   tags, KMSKey: r.settings.KMSKey,
		// Parts and outputs lie in the one bucket.
		InputOwner: r.settings.OutputOwner, OutputOwner: r.settings.OutputOwner,
		Subnets: r.settings.JobSubnets, SecurityGroups: r.settings.JobSecurityGroups,
	}
	if w.TimeoutHours != nil {
		spec.TimeoutHours = *w.TimeoutHours
	}
	arn, err := r.jobs.Create(ctx, spec)
	switch {
	case err == nil:
		lease.doc.Full = 0
		r.note(ctx, "job created", s.ID, "job", arn, "part", n, "attempt", attempt, "records", s.part(n, attempt).Records)
		return r.adopt(ctx, s.ID, n, attempt, arn)
	case errors.Is(err, batch.ErrQuota):
		return r.quotaFull(ctx, lease, s, n, attempt, err)
	case errors.Is(err, batch.ErrInUse), errors.Is(err, batch.ErrConflict):
		// It exists but could not be found yet: look again later, under the
		// same name.
		r.note(ctx, "job name in use", s.ID, "name", name)
		return served{live: liveJobs(s)}, pauseBetween, nil
	case errors.Is(err, batch.ErrAccess), errors.Is(err, batch.ErrInvalid), errors.Is(err, batch.ErrNotFound):
		return r.refused(ctx, s, n, attempt, err)
	}
	return served{}, 0, fmt.Errorf("create job %s: %w", name, err)
}

// find looks a job up by its name; nil if there is none. nameContains is a
// substring, so names and tokens are compared.
func (r *submitRun) find(ctx context.Context, name string) (*batch.Job, error) {
	for job, err := range r.jobs.List(ctx, batch.JobFilter{NameContains: name}) {
		if err != nil {
			return nil, fmt.Errorf("look for job %s: %w", name, err)
		}
		if job.Name == name && (job.Token == "" || job.Token == name) {
			return &job, nil
		}
	}
	return nil, nil
}

// adopt writes a job's ARN into its part. A submission that was stopped while
// its job was being created has the job stopped at once.
func (r *submitRun) adopt(ctx context.Context, id string, n, attempt int, arn string) (served, time.Duration, error) {
	now := r.clock.Now().UTC()
	s, err := r.update(ctx, id, func(s *Submission) error {
		p := s.part(n, attempt)
		if p == nil || p.JobARN != "" {
			return errUnchanged
		}
		p.JobARN, p.JobName = arn, JobName(r.deployment, id, n, attempt)
		p.rise(PartRunning)
		s.WaitSince = &now
		s.Stalls = 0
		return nil
	})
	if err != nil {
		return served{}, 0, err
	}
	p := s.part(n, attempt)
	if s.Stop || s.State.Terminal() || p == nil || p.Late || partRank[p.Status] >= partRank[PartEnded] && p.JobStatus == "" {
		if err := r.jobs.Stop(ctx, arn); err != nil && !errors.Is(err, batch.ErrConflict) {
			return served{}, 0, fmt.Errorf("stop job %s: %w", arn, err)
		}
	}
	if !s.State.Terminal() {
		if err := r.report(ctx, s); err != nil {
			return served{}, 0, err
		}
	}
	left := turn(s) == nil
	return served{stays: !left, left: left && s.Checkpoint == nil, live: liveJobs(s)}, 0, nil
}

// quotaFull ends the round: the part stays as it is and keeps its turn. It is
// believed for good, and quoted, only after rounds an hour apart met it while
// nobody in the account had a live job on the model.
func (r *submitRun) quotaFull(ctx context.Context, lease *dispatchHold, s *Submission, n, attempt int, cause error) (served, time.Duration, error) {
	now := r.clock.Now()
	full := served{full: true, live: liveJobs(s)}
	if now.Sub(lease.doc.FullAt) < fullApart {
		return full, 0, nil
	}
	busy, err := r.anyLive(ctx, s.QuotaKey)
	if err != nil {
		return served{}, 0, err
	}
	lease.doc.FullAt = now.UTC()
	if busy {
		lease.doc.Full = 0
		return full, 0, nil
	}
	if lease.doc.Full++; lease.doc.Full < fullRounds {
		return full, 0, nil
	}
	return r.unrunnable(ctx, s.ID, n, attempt, fmt.Sprintf("no job can be started on this model though none is running: %v", cause))
}

// anyLive reports whether anyone in the account has a live job on a model.
func (r *submitRun) anyLive(ctx context.Context, quotaKey string) (bool, error) {
	for _, status := range []batch.Status{batch.Submitted, batch.Validating, batch.Scheduled, batch.InProgress, batch.Stopping} {
		for job, err := range r.jobs.List(ctx, batch.JobFilter{Status: status}) {
			if err != nil {
				return false, fmt.Errorf("list %s jobs: %w", status, err)
			}
			if id, err := model.Parse(job.ModelID); err != nil || id.Base == "" || id.QuotaKey() == quotaKey {
				return true, nil
			}
		}
	}
	return false, nil
}

// refused handles a Create that says no for good, as far as one can know.
func (r *submitRun) refused(ctx context.Context, s *Submission, n, attempt int, cause error) (served, time.Duration, error) {
	if errors.Is(cause, batch.ErrAccess) {
		now := r.clock.Now().UTC()
		s, err := r.update(ctx, s.ID, func(s *Submission) error {
			p := s.part(n, attempt)
			if p == nil || p.Refusals >= maxRefusals {
				return errUnchanged
			}
			if p.RefusedAt != nil && now.Sub(*p.RefusedAt) < refusedApart {
				return errUnchanged // rounds may come in quick succession
			}
			p.RefusedAt = &now
			p.Refusals++
			return nil
		})
		if err != nil {
			return served{}, 0, err
		}
		if p := s.part(n, attempt); p != nil && p.Refusals < maxRefusals {
			r.note(ctx, "job refused, will be tried again", s.ID, "part", n, "attempt", attempt, "refusals", p.Refusals, "why", cause.Error())
			return served{live: liveJobs(s)}, time.Minute, nil
		}
	}
	return r.unrunnable(ctx, s.ID, n, attempt, cause.Error())
}

// unrunnable ends a part without a job, with the reason that its submission's
// notice gives.
func (r *submitRun) unrunnable(ctx context.Context, id string, n, attempt int, why string) (served, time.Duration, error) {
	now := r.clock.Now().UTC()
	s, err := r.update(ctx, id, func(s *Submission) error {
		p := s.part(n, attempt)
		if p == nil || p.JobARN != "" || !p.rise(PartEnded) {
			return errUnchanged
		}
		p.EndedAt, p.Message = &now, why
		return nil
	})
	if err != nil {
		return served{}, 0, err
	}
	r.note(ctx, "part cannot run", id, "part", n, "attempt", attempt, "why", why)
	return r.afterEnd(ctx, s)
}

// settleStopped ends what waits in a submission that starts nothing more. A
// part that was being created is looked for: its job may exist, and is then
// stopped and gathered like any other.
func (r *submitRun) settleStopped(ctx context.Context, s *Submission, pausedAt time.Time) (served, time.Duration, error) {
	now := r.clock.Now().UTC()
	var found []*batch.Job
	var at []*Part
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.How != ByJob || p.Status != PartCreating {
			continue
		}
		job, err := r.find(ctx, JobName(r.deployment, s.ID, p.N, p.Attempt))
		if err != nil {
			return served{}, 0, err
		}
		if job == nil && p.StartedAt != nil && now.Sub(*p.StartedAt) < lookupLag {
			// It may have been created and not be found yet.
			return served{live: liveJobs(s)}, time.Minute, nil
		}
		if job != nil {
			found, at = append(found, job), append(at, p)
		}
	}
	for i, job := range found {
		if _, _, err := r.adopt(ctx, s.ID, at[i].N, at[i].Attempt, job.ARN); err != nil {
			return served{}, 0, err
		}
	}
	stopped := s.Stop
	s, err := r.update(ctx, s.ID, func(s *Submission) error {
		if s.paying() && !r.overdue(s, pausedAt) {
			return errUnchanged
		}
		changed := false
		for i := range s.Parts {
			p := &s.Parts[i]
			if p.How == ByJob && (p.Status == PartWaiting || p.Status == PartCreating) {
				p.rise(PartEnded)
				p.EndedAt = &now
				p.Message = "not started: the submission was given up"
				if stopped {
					p.Message = "not started: the submission was stopped"
				}
				changed = true
			}
		}
		if !stopped && s.Ending == nil {
			s.Ending = &Ending{State: FailedEnd, Reason: fmt.Sprintf("no slot came free on the model within %s", strings.TrimSuffix(r.settings.MaxWait.Std().String(), "0m0s"))}
			changed = true
		}
		if !changed {
			return errUnchanged
		}
		return nil
	})
	if err != nil {
		return served{}, 0, err
	}
	return r.afterEnd(ctx, s)
}

// afterEnd wakes collect for parts that ended without a job.
func (r *submitRun) afterEnd(ctx context.Context, s *Submission) (served, time.Duration, error) {
	if needsCollect(s) {
		if err := r.send(ctx, r.jobsQueue, Message{Do: DoCollect, Submission: s.ID}, 0); err != nil {
			return served{}, 0, err
		}
	}
	left := turn(s) == nil
	return served{stays: !left, left: left && s.Checkpoint == nil, live: liveJobs(s)}, 0, nil
}
