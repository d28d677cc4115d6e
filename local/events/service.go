// Package events is the event bus on one machine: rules with patterns or
// schedules, and their deliveries to queues and functions with input
// transformation, retries and dead-letter queues.
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/events/pattern"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// Authority decides who may do what and knows the service principals;
// *access.Authority is one.
type Authority interface {
	// Check allows the call (nil) or denies it.
	Check(ctx context.Context, call access.Call) error
	// AsService is the service acting for one of its resources.
	AsService(service, sourceARN string) *access.Principal
}

// Queues takes the messages of rules; *sqs.Service is one.
type Queues interface {
	// SendAs sends as the principal, authorised against the queue's policy.
	SendAs(ctx context.Context, p *access.Principal, queueARN string, m sqs.Outgoing) (id string, err error)
}

// Functions takes asynchronous invocations; *lambda.Service is one.
type Functions interface {
	// InvokeAsyncAs queues an invocation, authorised against the function's policy.
	InvokeAsyncAs(ctx context.Context, p *access.Principal, functionARN string, payload []byte) error
}

// Config is what a Service needs.
type Config struct {
	// Authority decides on every call and delivery.
	Authority Authority
	// Queues and Functions are the targets; without Functions a rule with a
	// function as target is refused.
	Queues    Queues
	Functions Functions
	// Clock drives schedules and retries; default the machine's.
	Clock *clock.Clock
	// Log gets deliveries that failed for good; default slog.Default().
	Log *slog.Logger
	// Lose is the chance that a state change event of Bedrock is lost, which
	// it gives on a best-effort basis. Other events are never lost.
	Lose float64
	// Seed makes chance repeatable.
	Seed uint64
}

// Rule is a rule of the default event bus, with a pattern or a schedule.
type Rule struct {
	// Name is the rule's name, its ARN follows from it.
	Name, Description string
	// Pattern is the event pattern, a JSON object; nil for none.
	Pattern []byte
	// Schedule is rate(...) or cron(...); empty for none.
	Schedule string
	// Disabled rules match nothing.
	Disabled bool
	// Targets are one to five.
	Targets []Target
}

// Target is where a rule sends what it matches. At most one of Input,
// InputPath and Transformer is set; without, the event goes as it is.
type Target struct {
	// ID names the target within its rule.
	ID string
	// ARN is a queue's or a function's.
	ARN string
	// Input is constant JSON text that is sent instead of the event.
	Input string
	// InputPath selects a part of the event, such as $.detail.
	InputPath string
	// Transformer makes the text out of parts of the event.
	Transformer *Transformer
	// Attempts is the number of retries (0 to 185), nil means 185.
	Attempts *int
	// MaxAge is how long retries go on (1 minute to 24 hours), 0 means 24 hours.
	MaxAge time.Duration
	// DeadLetterARN is the queue for what cannot be delivered, or empty.
	DeadLetterARN string
}

// Transformer is an InputTransformer: values taken from the event by path and
// a template with <name> in their places.
type Transformer struct {
	// Paths maps names to JSON paths.
	Paths map[string]string
	// Template is the text with placeholders.
	Template string
}

// rule is a declared rule, ready to match.
type rule struct {
	Rule
	pattern  *pattern.Pattern
	schedule schedule
}

func (r *rule) arn() string { return ARN(r.Name) }

// ARN is the ARN of the rule with this name.
func ARN(name string) string {
	return "arn:aws:events:" + access.Region + ":" + access.Account + ":rule/" + name
}

// Service is the default event bus. It is safe for concurrent use.
type Service struct {
	cfg   Config
	clock *clock.Clock
	log   *slog.Logger

	chanceMu sync.Mutex
	chance   *rand.Rand

	mu    sync.RWMutex
	rules map[string]*rule

	running    context.Context
	stop       context.CancelFunc
	background sync.WaitGroup
}

// New makes a bus without rules.
func New(cfg Config) (*Service, error) {
	if cfg.Authority == nil || cfg.Queues == nil {
		return nil, errors.New("events: authority and queues are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Service{
		cfg: cfg, clock: cfg.Clock, log: cfg.Log, rules: map[string]*rule{},
		chance: rand.New(rand.NewPCG(cfg.Seed, 0xe7e275)),
	}
	s.running, s.stop = context.WithCancel(context.Background())
	return s, nil
}

var ruleName = regexp.MustCompile(`^[.\-_A-Za-z0-9]{1,64}$`)

// Declare makes a rule. Whatever it holds that would not work is an error now.
// Schedules begin with Start.
func (s *Service) Declare(r Rule) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("rule %s: %w", r.Name, fmt.Errorf(format, args...))
	}
	compiled := &rule{Rule: r}
	switch {
	case !ruleName.MatchString(r.Name):
		return fail("a name has 1 to 64 letters, digits or . - _")
	case len(r.Pattern) == 0 && r.Schedule == "":
		return fail("it needs an event pattern or a schedule expression")
	case len(r.Targets) > 5:
		return fail("%d targets are more than 5", len(r.Targets))
	}
	var err error
	if len(r.Pattern) > 0 {
		if compiled.pattern, err = pattern.Compile(r.Pattern); err != nil {
			return fail("%w", err)
		}
	}
	if r.Schedule != "" {
		if compiled.schedule, err = parseSchedule(r.Schedule); err != nil {
			return fail("%w", err)
		}
	}
	ids := map[string]bool{}
	for _, t := range r.Targets {
		if err := s.checkTarget(t); err != nil {
			return fail("target %s: %w", t.ID, err)
		}
		if ids[t.ID] {
			return fail("target %s is there twice", t.ID)
		}
		ids[t.ID] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rules[r.Name] != nil {
		return fail("declared twice")
	}
	s.rules[r.Name] = compiled
	return nil
}

func (s *Service) checkTarget(t Target) error {
	service := ""
	if parts := strings.Split(t.ARN, ":"); len(parts) >= 6 {
		service = parts[2]
	}
	inputs := 0
	for _, given := range []bool{t.Input != "", t.InputPath != "", t.Transformer != nil} {
		if given {
			inputs++
		}
	}
	switch {
	case service == "lambda" && s.cfg.Functions == nil:
		return fmt.Errorf("%s: there are no functions here", t.ARN)
	case service != "sqs" && service != "lambda":
		return fmt.Errorf("%s: only queues and functions can be targets here", t.ARN)
	case inputs > 1:
		return errors.New("at most one of Input, InputPath and InputTransformer can be given")
	case t.Attempts != nil && (*t.Attempts < 0 || *t.Attempts > 185):
		return fmt.Errorf("%d retries are not between 0 and 185", *t.Attempts)
	case t.MaxAge != 0 && (t.MaxAge < time.Minute || t.MaxAge > 24*time.Hour):
		return fmt.Errorf("an age of %v is not between 1 minute and 24 hours", t.MaxAge)
	case t.DeadLetterARN != "" && !strings.HasPrefix(t.DeadLetterARN, sqs.ARN("")):
		return fmt.Errorf("dead letters to %s: not a queue of this account and region", t.DeadLetterARN)
	case t.Input != "" && !jsontext.Value(t.Input).IsValid():
		return errors.New("Input is not valid JSON")
	}
	if t.InputPath != "" {
		if _, err := parsePath(t.InputPath); err != nil {
			return fmt.Errorf("InputPath: %w", err)
		}
	}
	if t.Transformer != nil {
		return t.Transformer.check()
	}
	return nil
}

// Start sets the schedules going.
func (s *Service) Start(context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.rules {
		if r.schedule != nil && !r.Disabled {
			s.background.Go(func() { s.tick(r) })
		}
	}
	return nil
}

// Close ends schedules and retries and waits for deliveries under way.
func (s *Service) Close() error {
	s.stop()
	s.background.Wait()
	return nil
}

// tick fires a rule on its schedule. The clock runs faster than dates do, so a
// schedule by dates counts from the start on.
func (s *Service) tick(r *rule) {
	start := s.clock.Now()
	last := start
	for {
		next, ok := r.schedule.next(last)
		if !ok {
			return // its year is over
		}
		due := start.Add(s.clock.Short(next.Sub(start)))
		t := time.NewTimer(max(0, due.Sub(s.clock.Now())))
		select {
		case <-s.running.Done():
			t.Stop()
			return
		case <-t.C:
		}
		last = next
		event, err := json.Marshal(envelope{
			Version: "0", ID: newID(), DetailType: "Scheduled Event", Source: "aws.events", Account: access.Account,
			Time: s.clock.Now().Format(time.RFC3339), Region: access.Region, Resources: []string{r.arn()}, Detail: jsontext.Value("{}"),
		})
		if err != nil {
			s.log.Error("events: make a scheduled event", "rule", r.Name, "error", err)
			continue
		}
		s.deliverAll(r, event)
	}
}

// envelope is an event on the bus.
type envelope struct {
	Version    string         `json:"version"`
	ID         string         `json:"id"`
	DetailType string         `json:"detail-type"`
	Source     string         `json:"source"`
	Account    string         `json:"account"`
	Time       string         `json:"time"`
	Region     string         `json:"region"`
	Resources  []string       `json:"resources"`
	Detail     jsontext.Value `json:"detail"`
}

// Publish puts the event of an AWS service on the bus: the whole envelope as
// JSON, with its id. It returns when each matching rule's targets were tried
// once; what failed for a passing reason is tried again in the background.
func (s *Service) Publish(ctx context.Context, event []byte) error {
	v, err := pattern.Decode(event)
	if err != nil {
		return fmt.Errorf("events: publish: %w", err)
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return errors.New("events: publish: the event is not a JSON object")
	}
	if doc["source"] == "aws.bedrock" && doc["detail-type"] == "Batch Inference Job State Change" && s.throw(s.cfg.Lose) {
		return nil
	}
	s.mu.RLock()
	var hit []*rule
	for _, r := range s.rules {
		if r.pattern != nil && !r.Disabled && r.pattern.MatchValue(doc) {
			hit = append(hit, r)
		}
	}
	s.mu.RUnlock()
	for _, r := range hit {
		s.deliverAll(r, event)
	}
	return ctx.Err()
}

func (s *Service) throw(p float64) bool {
	if p <= 0 {
		return false
	}
	s.chanceMu.Lock()
	defer s.chanceMu.Unlock()
	return s.chance.Float64() < p
}
