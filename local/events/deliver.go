package events

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

const (
	defaultAttempts = 185
	defaultAge      = 24 * time.Hour
	firstWait       = time.Second
	longestWait     = 10 * time.Minute
)

// delivery is one event on its way to one target.
type delivery struct {
	rule     *rule
	target   Target
	payload  string
	began    time.Time
	attempts int // after the first
}

// deliverAll sends the event to each of the rule's targets.
func (s *Service) deliverAll(r *rule, event []byte) {
	for _, t := range r.Targets {
		payload, err := t.input(r, event, s.clock.Now())
		if err != nil {
			s.log.Error("events: make the input of a target", "rule", r.Name, "target", t.ID, "error", err)
			continue
		}
		d := &delivery{rule: r, target: t, payload: payload, began: s.clock.Now()}
		if err := s.try(d); err != nil {
			s.background.Go(func() { s.persist(d, err) })
		}
	}
}

// principal is the service acting for the rule.
func (s *Service) principal(r *rule) *access.Principal {
	return s.cfg.Authority.AsService("events.amazonaws.com", r.arn())
}

func (s *Service) try(d *delivery) error {
	if strings.HasPrefix(d.target.ARN, "arn:aws:lambda:") {
		return s.cfg.Functions.InvokeAsyncAs(s.running, s.principal(d.rule), d.target.ARN, []byte(d.payload))
	}
	_, err := s.cfg.Queues.SendAs(s.running, s.principal(d.rule), d.target.ARN, sqs.Outgoing{Body: d.payload})
	return err
}

// persist retries with growing waits, as long as the target allows, then hands
// the event to the dead-letter queue. A denial, or a target that is not there,
// is not retried.
func (s *Service) persist(d *delivery, err error) {
	limit, age := defaultAttempts, defaultAge
	if d.target.Attempts != nil {
		limit = *d.target.Attempts
	}
	if d.target.MaxAge != 0 {
		age = d.target.MaxAge
	}
	wait := firstWait
	for {
		condition := ""
		switch {
		case permanent(err):
		case d.attempts >= limit:
			condition = "MaximumRetryAttempts"
		case s.clock.Now().Add(s.clock.Short(wait)).Sub(d.began) > s.clock.Short(age):
			condition = "MaximumEventAgeInSeconds"
		default:
			if s.clock.Sleep(s.running, wait) != nil {
				return // the services are stopping
			}
			wait = min(2*wait, longestWait)
			d.attempts++
			if err = s.try(d); err == nil {
				return
			}
			continue
		}
		s.bury(d, err, condition)
		return
	}
}

// permanent tells whether trying again is no use.
func permanent(err error) bool {
	var denial *access.Denial
	if errors.As(err, &denial) {
		return true
	}
	e := access.AsAPIError(err)
	return e.HTTPStatus() < 500 && e.Code != "TooManyRequestsException"
}

// bury sends what could not be delivered to the target's dead-letter queue.
func (s *Service) bury(d *delivery, cause error, condition string) {
	e := access.AsAPIError(cause)
	s.log.Error("events: not delivered", "rule", d.rule.Name, "target", d.target.ARN, "attempts", d.attempts+1, "error", cause, "deadLetters", d.target.DeadLetterARN)
	if d.target.DeadLetterARN == "" {
		return
	}
	code := "SDK_CLIENT_ERROR"
	var denial *access.Denial
	switch {
	case errors.As(cause, &denial):
		code = "NO_PERMISSIONS"
	case e.Code == "QueueDoesNotExist" || e.Code == "ResourceNotFoundException":
		code = "NO_RESOURCE"
	case e.HTTPStatus() == 429:
		code = "THROTTLING"
	case e.HTTPStatus() >= 500:
		code = "INTERNAL_ERROR"
	}
	attrs := map[string]sqs.Attribute{}
	for name, v := range map[string]string{
		"RULE_ARN": d.rule.arn(), "TARGET_ARN": d.target.ARN, "ERROR_CODE": code, "ERROR_MESSAGE": cause.Error(),
		"RETRY_ATTEMPTS": strconv.Itoa(d.attempts), "EXHAUSTED_RETRY_CONDITION": condition,
	} {
		if v != "" {
			attrs[name] = sqs.Attribute{DataType: "String", StringValue: &v}
		}
	}
	if _, err := s.cfg.Queues.SendAs(s.running, s.principal(d.rule), d.target.DeadLetterARN, sqs.Outgoing{Body: d.payload, Attributes: attrs}); err != nil {
		s.log.Error("events: dead letter lost", "rule", d.rule.Name, "queue", d.target.DeadLetterARN, "error", err)
	}
}

func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
