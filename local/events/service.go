// Package events is the event bus on one machine: rules with patterns or
// schedules, and their deliveries to queues and functions with input
// transformation, retries and dead-letter queues.
package events

import (
	"context"
	"log/slog"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
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

// Event is an event on the default bus.
type Event struct {
	// ID is made up where empty.
	ID string
	// Source is like aws.bedrock, DetailType says what the detail is.
	Source, DetailType string
	// Time is the envelope's time as text, for services that write it in
	// their own way; empty means now in RFC 3339.
	Time string
	// Resources are the ARNs the event is about.
	Resources []string
	// Detail is a JSON object.
	Detail []byte
}
