// Package lambda runs functions on one machine: compiled programs behind the
// Runtime API, one process for each concurrent invocation, kept warm, stopped
// at their time limit, fed by Invoke calls and by event source mappings from
// queues.
package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	// default the system's folder for temporary files. A folder of one's own
	// is also wiped at the start of what a killed service has left there.
	WorkDir string
	// Authority decides on every call.
	Authority Authority
	// Queues is polled by the mappings.
	Queues Queues
	// Clock drives time limits and the retries of asynchronous invocations. On
	// a faster clock a time limit is shorter too, but never cut below 30 s.
	Clock *clock.Clock
	// Logged gets each line that a function's processes or Lambda itself log, soon
	// after and in order; nil for nobody.
	Logged func(function string, line []byte)
	// Measured hears of each invocation; nil for nobody.
	Measured func(function string, m Measure)
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
	// Concurrency is the most invocations at a time (reserved concurrency);
	// 0 means no limit.
	Concurrency int
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

// Service runs functions. It is safe for concurrent use.
type Service struct {
	cfg   Config
	clock *clock.Clock
	log   *slog.Logger

	chanceMu sync.Mutex
	chance   *rand.Rand

	mu        sync.RWMutex
	functions map[string]*function
	mappings  []*mapping

	running    context.Context
	stop       context.CancelFunc
	background sync.WaitGroup
}

// New makes a service without functions.
func New(cfg Config) (*Service, error) {
	if cfg.Authority == nil || cfg.Queues == nil || cfg.LogDir == "" {
		return nil, errors.New("lambda: authority, queues and a folder for logs are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	for _, dir := range []*string{&cfg.LogDir, &cfg.WorkDir} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, fmt.Errorf("lambda: %w", err)
		}
		if err := os.MkdirAll(abs, 0o755); err != nil {
			return nil, fmt.Errorf("lambda: make folder: %w", err)
		}
		*dir = abs
	}
	if cfg.WorkDir != "" {
		left, err := filepath.Glob(filepath.Join(cfg.WorkDir, "function-*"))
		if err != nil {
			return nil, fmt.Errorf("lambda: look for leftovers: %w", err)
		}
		for _, dir := range left {
			if err := os.RemoveAll(dir); err != nil {
				return nil, fmt.Errorf("lambda: remove leftovers: %w", err)
			}
		}
	}
	s := &Service{
		cfg: cfg, clock: cfg.Clock, log: cfg.Log, functions: map[string]*function{},
		chance: rand.New(rand.NewPCG(cfg.Seed, 0x1a3bda)),
	}
	s.running, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// ARN is the ARN of the function with this name.
func ARN(name string) string {
	return "arn:aws:lambda:" + access.Region + ":" + access.Account + ":function:" + name
}

// reserved are the environment variables that a function cannot set.
var reserved = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// Declare makes a function known. Its program is started with the first invocation.
func (s *Service) Declare(f Function) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("function %s: %s", f.Name, fmt.Sprintf(format, args...))
	}
	f.MemoryMB = cmp.Or(f.MemoryMB, 128)
	f.Timeout = cmp.Or(f.Timeout, 3*time.Second)
	f.Handler = cmp.Or(f.Handler, "bootstrap")
	f.LogGroup = cmp.Or(f.LogGroup, "/aws/lambda/"+f.Name)
	f.MaxEventAge = cmp.Or(f.MaxEventAge, 6*time.Hour)
	switch {
	case f.Name == "" || len(f.Name) > 64 || strings.ContainsAny(f.Name, "/\\: "):
		return fail("a name has 1 to 64 letters, digits, hyphens or underscores")
	case f.Role == nil:
		return fail("no role given")
	case f.Timeout < time.Second || f.Timeout > 900*time.Second:
		return fail("timeout %v is not between 1 and 900 seconds", f.Timeout)
	case f.MemoryMB < 128 || f.MemoryMB > 10240:
		return fail("memory of %d MB is not between 128 and 10240", f.MemoryMB)
	case f.Retries != nil && (*f.Retries < 0 || *f.Retries > 2):
		return fail("%d retries are not between 0 and 2", *f.Retries)
	}
	size := 0
	for _, k := range slices.Sorted(maps.Keys(f.Environment)) {
		if slices.Contains(reserved, k) {
			return fail("environment variable %s is reserved", k)
		}
		size += len(k) + len(f.Environment[k])
	}
	if size > 4096 {
		return fail("the environment takes %d bytes, more than 4096", size)
	}
	info, err := os.Stat(f.Binary)
	switch {
	case err != nil:
		return fail("no program: %v (build the functions first)", err)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fail("%s is no executable file", f.Binary)
	}
	if f.Binary, err = filepath.Abs(f.Binary); err != nil {
		return fail("%v", err)
	}
	dir := filepath.Join(s.cfg.LogDir, f.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail("make the folder of its logs: %v", err)
	}
	open := func(name string) (*os.File, error) {
		return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	}
	fn := &function{Function: f, service: s, processes: map[*process]bool{}, dir: dir}
	if fn.logFile, err = open("function.log"); err != nil {
		return fail("open its log: %v", err)
	}
	if fn.usage, err = open("usage.jsonl"); err != nil {
		return fail("open its usage record: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.functions[f.Name] != nil {
		return errors.Join(fail("declared twice"), fn.logFile.Close(), fn.usage.Close())
	}
	s.functions[f.Name] = fn
	fn.logRead = fn.logEnd() // what is older was read by whoever ran before
	if s.cfg.Logged != nil {
		s.background.Go(fn.follow)
	}
	return nil
}

// Close stops polling, kills the processes and waits until they are gone.
func (s *Service) Close() error {
	s.stop()
	s.mu.RLock()
	functions := slices.Collect(maps.Values(s.functions))
	s.mu.RUnlock()
	for _, f := range functions {
		f.killAll()
	}
	s.background.Wait()
	var errs []error
	for _, f := range functions {
		f.readLog()
		errs = append(errs, f.logFile.Close(), f.usage.Close())
	}
	return errors.Join(errs...)
}

// authorised finds the function for a caller who may do the action on it.
func (s *Service) authorised(ctx context.Context, p *access.Principal, action, name string) (*function, error) {
	name = plainName(name)
	s.mu.RLock()
	f := s.functions[name]
	s.mu.RUnlock()
	var policy *access.Policy
	if f != nil {
		policy = f.Policy
	}
	err := s.cfg.Authority.Check(ctx, access.Call{Principal: p, Action: "lambda:" + action, Resource: ARN(name), ResourcePolicy: policy})
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, &access.APIError{Code: "ResourceNotFoundException", Status: 404, Message: "Function not found: " + ARN(name)}
	}
	return f, nil
}

// plainName is the name in a name, partial or whole ARN, without $LATEST.
func plainName(name string) string {
	name = strings.TrimPrefix(name, ARN(""))
	name = strings.TrimPrefix(name, access.Account+":function:")
	return strings.TrimSuffix(name, ":$LATEST")
}

// throw is a throw of the dice with this chance of true.
func (s *Service) throw(p float64) (bool, float64) {
	if p <= 0 {
		return false, 0
	}
	s.chanceMu.Lock()
	defer s.chanceMu.Unlock()
	return s.chance.Float64() < p, s.chance.Float64()
}
