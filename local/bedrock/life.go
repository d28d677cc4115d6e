package bedrock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// arm makes a job ready to live and to be stopped; the caller holds s.mu or is
// New, and calls the returned function without it.
func (s *Service) arm(j *job) (start func()) {
	ctx, stop := context.WithCancel(s.ctx)
	j.stop = stop
	s.wait.Add(1)
	return func() {
		go func() {
			defer s.wait.Done()
			defer stop()
			if err := s.live(ctx, j); err != nil && s.ctx.Err() == nil {
				s.log.Error("a job cannot go on", "job", j.Detail.ARN, "error", err)
			}
		}()
	}
}

// errMoved says that the job is no longer where its worker thinks: somebody
// stopped it.
var errMoved = errors.New("the job was moved by somebody else")

// move takes a job from one status to another, keeps it and tells the bus. It
// is the only way in which a status changes.
func (s *Service) move(j *job, from, to Status, change func(*detail)) error {
	s.mu.Lock()
	if j.Detail.Status != from {
		s.mu.Unlock()
		return errMoved
	}
	if !slices.Contains(next[from], to) {
		s.mu.Unlock()
		return fmt.Errorf("a job cannot go from %s to %s", from, to)
	}
	before := j.Detail
	now := s.cfg.Clock.Now()
	j.Detail.Status, j.Detail.Modified = to, stamp{now}
	if to.terminal() {
		j.Detail.Ended = stamp{now}
	}
	if change != nil {
		change(&j.Detail)
	}
	if err := s.save(j); err != nil {
		j.Detail = before
		s.mu.Unlock()
		return err
	}
	shown := j.Detail
	s.mu.Unlock()
	return s.tell(shown)
}

// halt asks a job to stop.
func (s *Service) halt(j *job) error {
	for {
		s.mu.Lock()
		status := j.Detail.Status
		s.mu.Unlock()
		if status == Stopping {
			return nil
		}
		if status.terminal() {
			return conflict("The job %s has ended with the status %s and cannot be stopped.", j.Detail.ARN, status)
		}
		err := s.move(j, status, Stopping, nil)
		switch {
		case errors.Is(err, errMoved):
			continue // it went on by itself in between
		case err != nil:
			return err
		}
		j.stop()
		return nil
	}
}

// live takes a job from where it stands to its end. On the way ctx ends when
// the job is stopped or the service closes; s.ctx tells which.
func (s *Service) live(ctx context.Context, j *job) error {
	fate := s.fateOf(j)
	for {
		s.mu.Lock()
		status := j.Detail.Status
		s.mu.Unlock()
		if status.terminal() {
			return nil
		}
		var err error
		switch status {
		case Submitted:
			if err = s.pause(ctx, j, 0.05, fate, status); err == nil {
				err = s.move(j, Submitted, Validating, nil)
			}
		case Validating:
			err = s.validate(ctx, j, fate)
		case Scheduled:
			err = s.schedule(ctx, j, fate)
		case InProgress:
			err = s.work(ctx, j, fate)
		case Stopping:
			if err = s.cfg.Clock.Sleep(s.ctx, s.cfg.JobTime/20); err == nil {
				err = s.move(j, Stopping, Stopped, nil)
			}
		}
		switch {
		case s.ctx.Err() != nil:
			return nil // taken up again at the next start
		case err == nil, errors.Is(err, errMoved), ctx.Err() != nil && status != Stopping:
			// The status says what comes now; a job is stopped only after it
			// has moved to Stopping.
		default:
			return err
		}
	}
}

// fate is what the seed has in store for a job.
type fate struct {
	expire, partial bool
	// stopAt is the status in which somebody stops the job, or empty.
	stopAt Status
	// share is how much of the records is done where a job does not finish.
	share float64
	// manifest says whether a job that does not finish leaves one.
	manifest bool
}

func (s *Service) fateOf(j *job) fate {
	name := j.Detail.Name
	f := fate{
		expire:   s.chance("expire", name) < s.cfg.Expire,
		partial:  s.chance("partial", name) < s.cfg.Partial,
		share:    s.chance("share", name),
		manifest: s.chance("manifest", name) < 0.5,
	}
	if s.chance("stop", name) < s.cfg.Stop {
		stages := []Status{Submitted, Validating, Scheduled, InProgress, InProgress, InProgress}
		f.stopAt = stages[s.hash("stop at", name)%uint64(len(stages))]
	}
	return f
}

// pause waits for a share of the job's time; where the seed stops the job in
// this status, it does so half way.
func (s *Service) pause(ctx context.Context, j *job, share float64, f fate, status Status) error {
	d := time.Duration(float64(s.cfg.JobTime) * share)
	if f.stopAt == status {
		if err := s.cfg.Clock.Sleep(ctx, d/2); err != nil {
			return err
		}
		return s.halt(j)
	}
	return s.cfg.Clock.Sleep(ctx, d)
}

// validate looks at the role and the input, and schedules or fails the job.
func (s *Service) validate(ctx context.Context, j *job, f fate) error {
	if err := s.pause(ctx, j, 0.1, f, Validating); err != nil {
		return err
	}
	total, err := s.inspect(ctx, j)
	var fault *fault
	switch {
	case errors.As(err, &fault):
		return s.move(j, Validating, Failed, func(d *detail) { d.Message = fault.message })
	case err != nil:
		return err
	}
	s.mu.Lock()
	j.Records = total
	s.mu.Unlock()
	return s.move(j, Validating, Scheduled, nil)
}

// schedule lets the job wait for its turn.
func (s *Service) schedule(ctx context.Context, j *job, f fate) error {
	if err := s.pause(ctx, j, 0.25, f, Scheduled); err != nil {
		return err
	}
	if f.expire || !s.cfg.Clock.Now().Before(j.Detail.Expires.Time) {
		return s.move(j, Scheduled, Expired, func(d *detail) {
			d.Message = "The job timed out before it started. Submit it again."
		})
	}
	return s.move(j, Scheduled, InProgress, func(d *detail) { d.Total = j.Records })
}

// work runs the job and ends it.
func (s *Service) work(ctx context.Context, j *job, f fate) error {
	done, err := s.run(ctx, j, f)
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	s.count(j, done)
	var fault *fault
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // stopped: what was done is stored
	case errors.As(err, &fault):
		return s.move(j, InProgress, Failed, func(d *detail) { d.Message = fault.message })
	case err != nil:
		return s.move(j, InProgress, Failed, func(d *detail) { d.Message = "Internal error: " + err.Error() })
	case done.success+done.errors < j.Records:
		return s.move(j, InProgress, PartiallyCompleted, func(d *detail) {
			d.Message = "The job timed out before all records could be processed."
		})
	}
	return s.move(j, InProgress, Completed, nil)
}

// count shows how far a job is.
func (s *Service) count(j *job, t tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &j.Detail
	d.Processed, d.Success, d.Errors = t.success+t.errors, t.success, t.errors
}

// tell publishes a state change.
func (s *Service) tell(d detail) error {
	now := s.cfg.Clock.Now().UTC()
	when := now.Format(time.RFC3339)
	// AWS's printed sample has this form, its other samples RFC 3339.
	if s.hash("time", d.ARN, string(d.Status))%4 == 0 {
		when = now.Format("Mon Jan 02 15:04:05 MST 2006")
	}
	type body struct {
		Version string `json:"version"`
		Account string `json:"accountId"`
		Name    string `json:"batchJobName"`
		ARN     string `json:"batchJobArn"`
		Model   string `json:"batchModelId"`
		Status  Status `json:"status"`
		Failure string `json:"failureMessage"`
		Created string `json:"creationTime"`
	}
	failure := ""
	if d.Status == Failed {
		failure = d.Message
	}
	inner, err := json.Marshal(body{"0.0", access.Account, d.Name, d.ARN, d.ModelID, d.Status, failure,
		d.Submitted.UTC().Format("Jan 2, 2006, 3:04:05 PM")})
	if err != nil {
		return fmt.Errorf("encode the state change of %s: %w", d.ARN, err)
	}
	envelope, err := json.Marshal(struct {
		Version   string         `json:"version"`
		ID        string         `json:"id"`
		Type      string         `json:"detail-type"`
		Source    string         `json:"source"`
		Account   string         `json:"account"`
		Time      string         `json:"time"`
		Region    string         `json:"region"`
		Resources []string       `json:"resources"`
		Detail    jsontext.Value `json:"detail"`
	}{"0", requestID(), "Batch Inference Job State Change", "aws.bedrock", access.Account, when, access.Region, []string{d.ARN}, inner})
	if err != nil {
		return fmt.Errorf("encode the state change of %s: %w", d.ARN, err)
	}
	if err := s.cfg.Events.Publish(context.WithoutCancel(s.ctx), envelope); err != nil {
		// The real service's events are best effort too: the job goes on.
		s.log.Error("a state change was not taken", "job", d.ARN, "status", d.Status, "error", err)
	}
	return nil
}
