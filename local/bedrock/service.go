package bedrock

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
)

// Authority decides on calls and gives roles to the service;
// *access.Authority is one.
type Authority interface {
	// Check allows or denies a call; a denial unwraps to an *access.APIError.
	Check(ctx context.Context, call access.Call) error
	// Assume gives the role's principal to the service acting for sourceARN if
	// the role's trust policy allows it.
	Assume(ctx context.Context, service, sourceARN, roleARN string) (*access.Principal, error)
}

// Object is an object of a listing.
type Object struct {
	Key  string
	Size int64
}

// ObjectStore is S3 as one principal sees it. A refusal for lack of rights is
// an error that wraps ErrDenied, an absent bucket or object one that wraps
// ErrAbsent.
type ObjectStore interface {
	// List yields the objects below prefix in byte order.
	List(ctx context.Context, bucket, prefix string) iter.Seq2[Object, error]
	// Open streams an object.
	Open(ctx context.Context, bucket, key string) (io.ReadCloser, error)
	// Put stores body under key, whatever its length, without holding all of
	// it. Nothing is stored if body fails.
	Put(ctx context.Context, bucket, key string, body io.Reader) error
	// MayPut finds out whether Put is allowed, without storing anything.
	MayPut(ctx context.Context, bucket, key string) error
}

// Publisher takes the events of the account's default bus; *events.Service is
// one.
type Publisher interface {
	// Publish hands over one event: the whole envelope as JSON, with its id.
	Publish(ctx context.Context, envelope []byte) error
}

// PublisherFunc is a function as a Publisher.
type PublisherFunc func(ctx context.Context, envelope []byte) error

// Publish calls f.
func (f PublisherFunc) Publish(ctx context.Context, envelope []byte) error { return f(ctx, envelope) }

// Config is what the service is made of.
type Config struct {
	// Dir keeps the jobs; it is created. Required.
	Dir string
	// Authority decides on every call. Required.
	Authority Authority
	// Objects is S3 as the given principal sees it. Required; see S3.
	Objects func(*access.Principal) ObjectStore
	// Events takes the state changes. Required.
	Events Publisher
	// Progress is told how many records of a job are processed, of how many,
	// some twenty times a job. Optional; it must be quick.
	Progress func(jobName string, processed, total int64)
	// Clock paces the jobs; default is the machine's.
	Clock *clock.Clock
	// Answers answers records and runtime calls; default model.BuiltIn.
	Answers model.Answerer
	// Log receives a line per job that fails for a reason of this service;
	// default slog.Default(). No prompt or answer is ever logged.
	Log *slog.Logger

	// Seed decides everything that is left to chance.
	Seed uint64
	// JobTime is how long a job takes from Submitted to its end; default 3 s.
	// The states take 1/20, 1/10, 1/4 and the rest of it.
	JobTime time.Duration
	// AnswerTime is how long an answer on demand takes, by the machine's
	// clock: the caller's client waits for it.
	AnswerTime time.Duration
	// Slots is how many jobs that have not ended an account may have per base
	// model; default 20.
	Slots int
	// Throttle is the share of calls, control plane and runtime, that are
	// refused with ThrottlingException.
	Throttle float64
	// FailRecords is the share of records that fail for a passing reason (429,
	// 500, 503).
	FailRecords float64
	// Partial, Expire and Stop are the shares of jobs that run out of time
	// while running, run out of time while waiting, or are stopped by hand.
	Partial, Expire, Stop float64
}

// Service is Bedrock and Bedrock Runtime on one machine.
type Service struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	calls  uint64
	asking int             // calls of models on demand under way
	jobs   map[string]*job // by id
	names  map[string]*job
	tokens map[string]*job
	used   map[string]Measure // tokens since the last Measure, by model
}

// New makes the service and goes on with the jobs it finds in Dir.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Dir == "":
		return nil, fmt.Errorf("bedrock: Config.Dir is empty")
	case cfg.Authority == nil:
		return nil, fmt.Errorf("bedrock: Config.Authority is nil")
	case cfg.Objects == nil:
		return nil, fmt.Errorf("bedrock: Config.Objects is nil")
	case cfg.Events == nil:
		return nil, fmt.Errorf("bedrock: Config.Events is nil")
	}
	for name, p := range map[string]float64{"Throttle": cfg.Throttle, "FailRecords": cfg.FailRecords,
		"Partial": cfg.Partial, "Expire": cfg.Expire, "Stop": cfg.Stop} {
		if !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("bedrock: Config.%s is %v: want a share from 0 to 1", name, p)
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Answers == nil {
		cfg.Answers = model.BuiltIn(model.Rates{})
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.JobTime == 0 {
		cfg.JobTime = 3 * time.Second
	}
	if cfg.Slots == 0 {
		cfg.Slots = 20
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{cfg: cfg, log: cfg.Log, ctx: ctx, cancel: cancel,
		jobs: map[string]*job{}, names: map[string]*job{}, tokens: map[string]*job{}, used: map[string]Measure{}}
	if err := s.load(); err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

// Close lets running jobs go; they are taken up again by the next New on the
// same Dir. It returns when nothing of the service runs any more.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wait.Wait()
}
