// Package lambda runs functions on one machine: compiled programs behind the
// Runtime API, one process for each concurrent invocation, kept warm, stopped
// at their time limit, fed by Invoke calls and by event source mappings from
// queues.
package lambda

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
}

// Queues is what mappings poll and failed invocations are sent to;
// *sqs.Service is one.
type Queues interface {
	// ReceiveAs waits for up to max messages; none is no error.
	ReceiveAs(ctx context.Context, p *access.Principal, queueARN string, max int, wait time.Duration) ([]sqs.Message, error)
	// DeleteAs deletes a received message.
	DeleteAs(ctx context.Context, p *access.Principal, queueARN, receiptHandle string) error
	// AttributesAs reads the queue's attributes.
	AttributesAs(ctx context.Context, p *access.Principal, queueARN string) (map[string]string, error)
	// SendAs sends a message.
	SendAs(ctx context.Context, p *access.Principal, queueARN string, m sqs.Outgoing) (id string, err error)
	// Hold keeps a received message invisible until release is called.
	Hold(queueARN, receiptHandle string) (release func())
}

// Config is what a Service needs. Paths should be absolute: embedding the S3
// server changes the process's working directory.
type Config struct {
	// Endpoint is what functions get as AWS_ENDPOINT_URL.
	Endpoint string
	// LogDir gets <function>/function.log and <function>/usage.jsonl.
	LogDir string
	// WorkDir holds the processes' private folders, wiped with each process;
	// default the system's folder for temporary files.
	WorkDir string
	// Authority decides on every call.
	Authority Authority
	// Queues is polled by the mappings.
	Queues Queues
	// Clock drives retries of asynchronous invocations. A function's own time
	// limit always passes at the speed of life, for so does the function.
	Clock *clock.Clock
	// Log gets what goes wrong with invocations; default slog.Default().
	Log *slog.Logger
	// Kill is the chance that an invocation's process is killed (kill -9) at
	// some moment while it runs.
	Kill float64
	// Seed makes chance repeatable.
	Seed uint64
}

// Function describes a function.
type Function struct {
	// Name is the function's name; its ARN follows from it.
	Name string
	// Binary is the absolute path of the program (bootstrap).
	Binary string
	// Handler is what the program sees as _HANDLER; default bootstrap.
	Handler string
	// Role is whom the function runs as.
	Role *access.Principal
	// Environment is the function's own.
	Environment map[string]string
	// MemoryMB is told to the program and reported, not enforced; default 128.
	MemoryMB int
	// Timeout is the time limit of an invocation; default 3 s.
	Timeout time.Duration
	// LogGroup is told to the program; default /aws/lambda/<name>.
	LogGroup string
	// Retries of asynchronous invocations (0 to 2), nil means 2.
	Retries *int
	// MaxEventAge of asynchronous invocations, 0 means 6 hours.
	MaxEventAge time.Duration
	// OnFailureARN is the queue for asynchronous invocations that failed for
	// good, or empty.
	OnFailureARN string
	// Policy says who besides roles and users with the right may invoke: a
	// parsed resource policy, or nil.
	Policy *access.Policy
}

// Mapping connects a queue to a function.
type Mapping struct {
	// FunctionName and QueueARN are what is connected.
	FunctionName, QueueARN string
	// BatchSize is 1 to 10 000 messages an invocation; default 10.
	BatchSize int
	// Window is how long a batch is filled up (0 to 300 s).
	Window time.Duration
	// MaximumConcurrency is the highest number of invocations at a time (2 to
	// 1000); 0 means the default of 10 here.
	MaximumConcurrency int
	// ReportBatchItemFailures lets the function say which messages failed.
	ReportBatchItemFailures bool
	// Disabled mappings do not poll.
	Disabled bool
}
