package pipeline

import (
	"context"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Queue takes messages to one queue.
type Queue interface {
	// Send puts a message on the queue, to be seen after delay (0 to 15
	// minutes). It is not idempotent: after ErrUnavailable the message may
	// be there, and a second try may put it there twice.
	Send(ctx context.Context, body []byte, delay time.Duration) error
}

// Publication is a notice as it is published.
type Publication struct {
	// Subject is ASCII, shorter than 100 characters.
	Subject string
	// JSON is the notice for programs, Email the same for people.
	JSON, Email string
	// Attributes serve filter policies; none is empty.
	Attributes map[string]string
}

// Topic publishes notices.
type Topic interface {
	// Publish sends a notice to the topic's subscribers. It is not
	// idempotent: after ErrUnavailable it may have been sent.
	Publish(ctx context.Context, p Publication) error
}

// Clock tells the time.
type Clock interface {
	Now() time.Time
}

// Observer is told what happens, for logs and metrics. It never sees prompts
// or answers.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// Event is something that happened to a submission.
type Event struct {
	// Name is a short stable name, as "job created".
	Name       string
	Submission string
	// Fields are alternating keys and values.
	Fields []any
}

// Invocation is one run of a function: its id is unique, its deadline is when
// it is killed.
type Invocation struct {
	ID       string
	Deadline time.Time
	// Owner is the name that leases are taken under, if not ID: one that
	// invocations share of which each begins after the one before has ended
	// for certain, so that none waits for the lease of its dead predecessor.
	Owner string
	// Due is the message's, if it has one.
	Due time.Time
}

func (in Invocation) owner() string {
	if in.Owner != "" {
		return in.Owner
	}
	return in.ID
}

// InputBucket is what the pipeline reads of the users' bucket; it never
// writes there.
type InputBucket interface {
	batch.Documents
	batch.Files
}
