// Package sns is the notification service on one machine: topics with
// subscriptions of queues, HTTP endpoints, functions and mailboxes (files),
// filter policies, raw delivery and the envelope of the cloud.
package sns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

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

// Queues takes the messages of sqs subscriptions; *sqs.Service is one.
type Queues interface {
	// SendAs sends as the principal, authorised against the queue's policy.
	SendAs(ctx context.Context, p *access.Principal, queueARN string, m sqs.Outgoing) (id string, err error)
}

// Config is what a Service needs.
type Config struct {
	// Endpoint is the base of the links in envelopes, such as http://127.0.0.1:4566.
	Endpoint string
	// MailDir gets one file per e-mail; absolute.
	MailDir string
	// Dir keeps topics and subscriptions that were made over the API, so that
	// they survive a restart; empty keeps them in memory.
	Dir string
	// Authority decides on every call and delivery.
	Authority Authority
	// Queues takes deliveries to queues.
	Queues Queues
	// HTTP delivers to http and https endpoints; default a client with a
	// time limit of 15 s.
	HTTP *http.Client
	// Clock drives retries; default the machine's.
	Clock *clock.Clock
	// Published hears of each message that was taken, by topic and subject; nil
	// for nobody.
	Published func(topicARN, subject string)
	// Log gets deliveries that failed for good; default slog.Default().
	Log *slog.Logger
}

// Service is the notification service. It is safe for concurrent use.
type Service struct {
	cfg   Config
	clock *clock.Clock
	log   *slog.Logger

	mu     sync.RWMutex
	topics map[string]*topic

	background sync.WaitGroup
	running    context.Context
	stop       context.CancelFunc
}

// New makes the service with what cfg.Dir remembers.
func New(cfg Config) (*Service, error) {
	if cfg.Authority == nil {
		return nil, errors.New("sns: no authority given")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: httpLimit}
	}
	s := &Service{cfg: cfg, clock: cfg.Clock, log: cfg.Log, topics: map[string]*topic{}}
	s.running, s.stop = context.WithCancel(context.Background())
	if cfg.Dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("sns: make the folder of topics: %w", err)
	}
	return s, s.load()
}

// Close waits for the deliveries under way and ends retries.
func (s *Service) Close() error {
	s.stop()
	s.background.Wait()
	return nil
}

// ARN is the ARN of the topic with this name.
func ARN(name string) string {
	return "arn:aws:sns:" + access.Region + ":" + access.Account + ":" + name
}

// Declare makes the topic, or gives these attributes (DisplayName, Policy and
// others of the API) to the one that is there and keeps its subscriptions.
func (s *Service) Declare(name string, attributes map[string]string) error {
	if err := validTopicName(name); err != nil {
		return fmt.Errorf("topic %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[ARN(name)]
	if t == nil {
		t = newTopic(name)
	}
	if err := t.set(attributes); err != nil {
		return fmt.Errorf("topic %s: %w", name, err)
	}
	s.topics[ARN(name)] = t
	return s.save()
}

// SetPolicy sets the topic's resource policy.
func (s *Service) SetPolicy(topicARN string, document []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[topicARN]
	if t == nil {
		return fmt.Errorf("set the policy of topic %s: no such topic", topicARN)
	}
	if err := t.set(map[string]string{"Policy": string(document)}); err != nil {
		return fmt.Errorf("set the policy of topic %s: %w", topicARN, err)
	}
	return s.save()
}

// DeclareSubscription subscribes the endpoint without asking for confirmation,
// as a template does; one that is there gets these attributes (FilterPolicy,
// FilterPolicyScope, RawMessageDelivery, RedrivePolicy). Returns its ARN.
func (s *Service) DeclareSubscription(topicARN, protocol, endpoint string, attributes map[string]string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[topicARN]
	if t == nil {
		return "", fmt.Errorf("subscribe %s to topic %s: no such topic", endpoint, topicARN)
	}
	sub, err := t.subscribe(protocol, endpoint, attributes, true)
	if err != nil {
		return "", fmt.Errorf("subscribe %s to topic %s: %w", endpoint, topicARN, err)
	}
	sub.confirmed = true
	return sub.arn, s.save()
}

// PublishAs publishes as the principal, which is authorised against its own
// policies and the topic's, and returns the message's id.
func (s *Service) PublishAs(ctx context.Context, p *access.Principal, topicARN string, m Publication) (string, error) {
	t, err := s.authorised(ctx, p, "Publish", topicARN)
	if err != nil {
		return "", err
	}
	return s.publish(t, m)
}

// authorised finds the topic for a caller who may do the action on it.
func (s *Service) authorised(ctx context.Context, p *access.Principal, action, topicARN string) (*topic, error) {
	s.mu.RLock()
	t := s.topics[topicARN]
	var policy *access.Policy
	if t != nil {
		policy = t.policy
	}
	s.mu.RUnlock()
	if err := s.check(ctx, p, action, topicARN, policy); err != nil {
		return nil, err
	}
	if t == nil {
		return nil, &access.APIError{Code: "NotFound", Status: http.StatusNotFound, Message: "Topic does not exist"}
	}
	return t, nil
}

func (s *Service) check(ctx context.Context, p *access.Principal, action, resource string, policy *access.Policy) error {
	return s.cfg.Authority.Check(ctx, access.Call{Principal: p, Action: "sns:" + action, Resource: resource, ResourcePolicy: policy})
}

// Names lists the topics' ARNs, sorted.
func (s *Service) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	arns := make([]string, 0, len(s.topics))
	for arn := range s.topics {
		arns = append(arns, arn)
	}
	slices.SortFunc(arns, strings.Compare)
	return arns
}
