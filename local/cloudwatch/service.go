// Package cloudwatch is CloudWatch on one machine: metrics, from lines in the
// Embedded Metric Format and from the other services, and the alarms of the
// template, which are evaluated and speak to their topics. Metrics live as long
// as the process.
package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/sns"
)

// Authority decides who may do what and knows the service principals;
// *access.Authority is one.
type Authority interface {
	// Check allows the call (nil) or denies it.
	Check(ctx context.Context, call access.Call) error
	// AsService is the service acting for one of its resources.
	AsService(service, sourceARN string) *access.Principal
}

// Topics takes what alarms say; *sns.Service is one.
type Topics interface {
	// PublishAs publishes as the principal, authorised against the topic's
	// policy.
	PublishAs(ctx context.Context, p *access.Principal, topicARN string, m sns.Publication) (string, error)
}

// Config is what a Service needs.
type Config struct {
	// Authority decides on every call.
	Authority Authority
	// Topics takes what alarms say.
	Topics Topics
	// Clock makes the alarms' periods pass faster; default the machine's. The
	// times of measurements stay those of the machine.
	Clock *clock.Clock
	// Measure is asked for what the services show just now, once a minute of
	// Clock; nil: they show nothing.
	Measure func(now time.Time) []Sample
	// Changed hears of each change of an alarm's state; nil for nobody.
	Changed func(name string, from, to State, reason string)
	// Log gets lines that hold no readable metrics and actions that failed;
	// default slog.Default().
	Log *slog.Logger
}

// Service is CloudWatch. It is safe for concurrent use.
type Service struct {
	cfg   Config
	clock *clock.Clock
	log   *slog.Logger
	grain time.Duration

	mu     sync.Mutex
	series map[string]*series
	alarms map[string]*alarm

	background sync.WaitGroup
	running    context.Context
	stop       context.CancelFunc
}

// New makes a service without metrics and alarms.
func New(cfg Config) (*Service, error) {
	if cfg.Authority == nil || cfg.Topics == nil {
		return nil, errors.New("cloudwatch: authority and topics are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Service{
		cfg: cfg, clock: cfg.Clock, log: cfg.Log, grain: max(cfg.Clock.Short(time.Second), time.Millisecond),
		series: map[string]*series{}, alarms: map[string]*alarm{},
	}
	s.running, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Declare adds an alarm. Its state is INSUFFICIENT_DATA until it is evaluated.
func (s *Service) Declare(a Alarm) error {
	if err := a.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alarms[a.Name] != nil {
		return fmt.Errorf("alarm %s: declared twice", a.Name)
	}
	now := s.clock.Now()
	s.alarms[a.Name] = &alarm{Alarm: a, state: Insufficient, reason: "Unchecked: Initial alarm creation", since: now, declared: now}
	return nil
}

// Start begins to measure and to evaluate, both once a minute of the clock
// and at once.
func (s *Service) Start() {
	s.background.Go(func() {
		for {
			s.Step()
			if s.clock.Sleep(s.running, time.Minute) != nil {
				return
			}
		}
	})
}

// Close ends measuring and evaluating.
func (s *Service) Close() error {
	s.stop()
	s.background.Wait()
	return nil
}

// Step measures the services and evaluates all alarms once.
func (s *Service) Step() {
	now := s.clock.Now()
	if s.cfg.Measure != nil {
		s.Put(s.cfg.Measure(now)...)
	}
	s.mu.Lock()
	var changes []change
	for _, name := range slices.Sorted(maps.Keys(s.alarms)) {
		changes = append(changes, s.evaluate(s.alarms[name], now, false)...)
	}
	s.mu.Unlock()
	s.act(changes)
}

// Logged takes a line that a function logged, for the metrics it may hold.
func (s *Service) Logged(function string, line []byte) {
	samples, err := Embedded(line)
	if err != nil {
		s.log.Error("cloudwatch: CloudWatch would make no metrics of this line", "function", function, "error", err)
		return
	}
	s.Put(samples...)
}

// Put adds measurements. One that comes late, as lines of logs do, is not
// missed by alarms with short periods: they look back at its time too.
func (s *Service) Put(samples ...Sample) {
	s.mu.Lock()
	now := s.clock.Now()
	var changes []change
	for _, m := range samples {
		if m.At.IsZero() {
			m.At = now
		}
		at := m.At.Truncate(s.grain)
		k := key(m.Namespace, m.Metric, m.Dimensions)
		x := s.series[k]
		if x == nil {
			x = &series{namespace: m.Namespace, metric: m.Metric, unit: m.Unit, dimensions: sorted(m.Dimensions)}
			if x.unit == "" {
				x.unit = "None"
			}
			s.series[k] = x
		}
		x.put(at, m.Value)
	}
	for _, m := range samples {
		if m.At.IsZero() {
			continue
		}
		for _, a := range s.alarms {
			if a.Metric == m.Metric && key(a.Namespace, a.Metric, a.Dimensions) == key(m.Namespace, m.Metric, m.Dimensions) {
				changes = append(changes, s.evaluate(a, m.At, true)...)
			}
		}
	}
	s.mu.Unlock()
	s.act(changes)
}

// change is a change of an alarm's state.
type change struct {
	alarm // as it is now
	from  State
}

// evaluate sets an alarm's state at a time, or only to ALARM; s.mu is held.
func (s *Service) evaluate(a *alarm, at time.Time, alarmOnly bool) []change {
	state, reason := a.verdict(s.series[key(a.Namespace, a.Metric, a.Dimensions)], at, s.clock.Short(a.Period))
	if alarmOnly && state != InAlarm {
		return nil
	}
	a.evaluated = s.clock.Now()
	if state == a.state {
		return nil
	}
	from := a.state
	a.state, a.reason, a.since = state, reason, a.evaluated
	return []change{{*a, from}}
}
