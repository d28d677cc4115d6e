// Package sqs is the queue service on one machine: standard queues with
// visibility timeouts, delays, receive counts, dead-letter queues and redrive,
// kept in a journal so that messages survive a restart. Deliveries are at
// least once and in no particular order, as in the cloud.
package sqs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
)

// Authority decides who may do what; *access.Authority is one.
type Authority interface {
	// Check allows the call (nil) or denies it.
	Check(ctx context.Context, call access.Call) error
}

// Weather makes deliveries as bad as AWS allows them to be. The zero value is
// fair weather.
type Weather struct {
	// Repeat is the chance that a message sent by a service (S3, EventBridge,
	// SNS) arrives twice.
	Repeat float64
	// Delay is the longest extra delay of a message sent by a service; each
	// is delayed by a random part of it.
	Delay time.Duration
	// Reorder hands out visible messages in random order.
	Reorder bool
	// Seed makes chance repeatable.
	Seed uint64
}

// Config is what a Service needs.
type Config struct {
	// Endpoint is the base of queue URLs, such as http://127.0.0.1:4566.
	Endpoint string
	// Dir holds the journals, one file per queue; empty keeps all in memory.
	Dir string
	// Authority decides on every call.
	Authority Authority
	// Clock makes delays and timeouts pass faster; default the machine's.
	Clock *clock.Clock
	// Log gets what goes wrong behind the callers' backs; default slog.Default().
	Log *slog.Logger
	// Weather is the deliveries' weather.
	Weather Weather
}

// Service is the queue service. It is safe for concurrent use.
type Service struct {
	cfg   Config
	clock *clock.Clock
	log   *slog.Logger

	chanceMu sync.Mutex
	chance   *rand.Rand

	mu     sync.RWMutex
	queues map[string]*queue
	moves  []*moveTask

	background sync.WaitGroup
	stop       context.CancelFunc
	running    context.Context
}

// New opens the journals below cfg.Dir and offers the queues they hold.
func New(cfg Config) (*Service, error) {
	if cfg.Authority == nil {
		return nil, errors.New("sqs: no authority given")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Service{
		cfg: cfg, clock: cfg.Clock, log: cfg.Log, queues: map[string]*queue{},
		chance: rand.New(rand.NewPCG(cfg.Weather.Seed, 0x5153)),
	}
	s.running, s.stop = context.WithCancel(context.Background())
	if cfg.Dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("sqs: make the folder of the journals: %w", err)
	}
	return s, s.load()
}

// Close ends redrive tasks and long polls and closes the journals.
func (s *Service) Close() error {
	s.stop()
	s.background.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, q := range s.queues {
		errs = append(errs, q.close())
	}
	return errors.Join(errs...)
}

// ARN is the ARN of the queue with this name.
func ARN(name string) string {
	return "arn:aws:sqs:" + access.Region + ":" + access.Account + ":" + name
}

// URL is the address of the queue with this name.
func (s *Service) URL(name string) string {
	return strings.TrimSuffix(s.cfg.Endpoint, "/") + "/" + access.Account + "/" + name
}

// Declare makes the queue, or gives these attributes to the one that is there
// and keeps its messages. Attributes are those of the API, as text
// (RedrivePolicy and Policy are JSON documents).
func (s *Service) Declare(name string, attributes, tags map[string]string) error {
	a, err := parseAttributes(defaultAttributes(), attributes)
	if err != nil {
		return fmt.Errorf("queue %s: %w", name, err)
	}
	if err := validName(name); err != nil {
		return fmt.Errorf("queue %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[name]; q != nil {
		return q.setAttributes(a, tags)
	}
	_, err = s.add(name, a, tags)
	return err
}

// SetPolicy sets the queue's resource policy.
func (s *Service) SetPolicy(name string, document []byte) error {
	q, ok := s.queue(name)
	if !ok {
		return fmt.Errorf("set the policy of queue %s: no such queue", name)
	}
	a, err := parseAttributes(q.attributes(), map[string]string{"Policy": string(document)})
	if err != nil {
		return fmt.Errorf("set the policy of queue %s: %w", name, err)
	}
	return q.setAttributes(a, nil)
}

// Names lists the queues, sorted.
func (s *Service) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, 0, len(s.queues))
	for n := range s.queues {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// add makes a queue; s.mu is held.
func (s *Service) add(name string, a attributes, tags map[string]string) (*queue, error) {
	q := newQueue(name, a, tags, s.clock)
	q.reorder = s.reorder
	if s.cfg.Dir != "" {
		j, err := createJournal(s.journalPath(name))
		if err != nil {
			return nil, err
		}
		q.journal = j
		if err := q.writeHead(); err != nil {
			return nil, err
		}
	}
	s.queues[name] = q
	return q, nil
}

func (s *Service) queue(name string) (*queue, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	q, ok := s.queues[name]
	return q, ok
}

// byARN finds a queue of this account and region.
func (s *Service) byARN(arn string) (*queue, bool) {
	name, ok := strings.CutPrefix(arn, ARN(""))
	if !ok {
		return nil, false
	}
	return s.queue(name)
}

// authorised finds the queue with this name for a caller who may do the
// action on it. Who may not is told so whether or not there is such a queue.
func (s *Service) authorised(ctx context.Context, p *access.Principal, action, name string) (*queue, error) {
	q, ok := s.queue(name)
	var policy *access.Policy
	if ok {
		policy = q.policy()
	}
	err := s.cfg.Authority.Check(ctx, access.Call{Principal: p, Action: "sqs:" + action, Resource: ARN(name), ResourcePolicy: policy})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, access.Errorf("QueueDoesNotExist", "The specified queue does not exist.")
	}
	return q, nil
}

// roll is one throw of the weather's dice.
func (s *Service) roll() float64 {
	s.chanceMu.Lock()
	defer s.chanceMu.Unlock()
	return s.chance.Float64()
}

// reorder picks which of n visible messages is handed out.
func (s *Service) reorder(n int) int {
	if !s.cfg.Weather.Reorder || n < 2 {
		return 0
	}
	s.chanceMu.Lock()
	defer s.chanceMu.Unlock()
	return s.chance.IntN(n)
}

// SendAs sends a message as the principal, which is authorised against its own
// policies and the queue's, and returns the message's id. Services (S3,
// EventBridge, SNS) send with it; the weather falls on their messages alone.
func (s *Service) SendAs(ctx context.Context, p *access.Principal, queueARN string, m Outgoing) (string, error) {
	name, ok := strings.CutPrefix(queueARN, ARN(""))
	if !ok {
		return "", access.Errorf("QueueDoesNotExist", "The specified queue does not exist: %s", queueARN)
	}
	q, err := s.authorised(ctx, p, "SendMessage", name)
	if err != nil {
		return "", err
	}
	if p != nil && p.IsService() {
		if w := s.cfg.Weather; w.Delay > 0 {
			d := q.attributes().delay
			if m.Delay != nil {
				d = *m.Delay
			}
			d += time.Duration(s.roll() * float64(w.Delay))
			m.Delay = &d
		}
		if s.cfg.Weather.Repeat > 0 && s.roll() < s.cfg.Weather.Repeat {
			if _, err := q.send(p, m); err != nil {
				return "", err
			}
		}
	}
	sent, err := q.send(p, m)
	if err != nil {
		return "", err
	}
	return sent.id, nil
}

// ReceiveAs receives up to max messages (1 to 10) as the principal, waiting up
// to wait for the first. No messages is no error.
func (s *Service) ReceiveAs(ctx context.Context, p *access.Principal, queueARN string, max int, wait time.Duration) ([]Message, error) {
	q, err := s.authorised(ctx, p, "ReceiveMessage", strings.TrimPrefix(queueARN, ARN("")))
	if err != nil {
		return nil, err
	}
	return s.receive(ctx, q, receive{max: max, wait: wait, visibility: q.attributes().visibility})
}

// DeleteAs deletes a received message as the principal.
func (s *Service) DeleteAs(ctx context.Context, p *access.Principal, queueARN, receiptHandle string) error {
	q, err := s.authorised(ctx, p, "DeleteMessage", strings.TrimPrefix(queueARN, ARN("")))
	if err != nil {
		return err
	}
	return q.delete(receiptHandle)
}

// AttributesAs reads the queue's attributes as the principal.
func (s *Service) AttributesAs(ctx context.Context, p *access.Principal, queueARN string) (map[string]string, error) {
	q, err := s.authorised(ctx, p, "GetQueueAttributes", strings.TrimPrefix(queueARN, ARN("")))
	if err != nil {
		return nil, err
	}
	return q.describe(), nil
}

// Hold keeps a received message from becoming visible until release is called,
// which restores the visibility timeout, counted from the receive. A function
// does not work faster on a faster clock, but its message's timeout passes
// faster: held, the message cannot come back while its invocation runs. At the
// speed of life it changes nothing, for a function's time limit is at most the
// visibility timeout.
func (s *Service) Hold(queueARN, receiptHandle string) (release func()) {
	q, ok := s.byARN(queueARN)
	if !ok {
		return func() {}
	}
	return q.hold(receiptHandle)
}

// receive takes messages and moves to the dead-letter queue what was received
// too often.
func (s *Service) receive(ctx context.Context, q *queue, r receive) ([]Message, error) {
	var deadline <-chan time.Time
	if r.wait > 0 {
		t := s.clock.NewTimer(r.wait)
		defer t.Stop()
		deadline = t.C
	}
	for {
		out, dead, changed, next := q.take(r, s.deadLetters(q))
		for _, m := range dead {
			if err := s.bury(q, m); err != nil {
				return nil, err
			}
		}
		if len(out) > 0 || r.wait <= 0 {
			return out, nil
		}
		if err := s.await(ctx, changed, next, deadline); err != nil {
			if errors.Is(err, errWaited) {
				return nil, nil
			}
			return nil, err
		}
	}
}

var errWaited = errors.New("the wait is over")

func (s *Service) await(ctx context.Context, changed <-chan struct{}, next time.Time, deadline <-chan time.Time) error {
	var visible <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(max(0, next.Sub(s.clock.Now())))
		defer t.Stop()
		visible = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.running.Done():
		return errWaited
	case <-deadline:
		return errWaited
	case <-changed:
	case <-visible:
	}
	return nil
}

// deadLetters is the dead-letter queue of q, or nil if it has none that takes
// its messages: then they stay, as in the cloud.
func (s *Service) deadLetters(q *queue) *queue {
	r := q.attributes().redrive
	if r == nil {
		return nil
	}
	d, ok := s.byARN(r.DeadLetterTargetARN)
	if !ok || !d.attributes().takesFrom(ARN(q.name)) {
		return nil
	}
	return d
}

// bury puts a message that take has removed into the dead-letter queue. It is
// written there before it is erased here: a crash may double it, never lose it.
func (s *Service) bury(q *queue, m *message) error {
	d := s.deadLetters(q)
	if d == nil {
		return q.putBack(m)
	}
	m.source = cmp.Or(m.source, ARN(q.name))
	if err := d.insert(m); err != nil {
		return err
	}
	return q.forget(m.id)
}
