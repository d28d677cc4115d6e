package sns

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/events/pattern"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// topic is a topic and its subscriptions, guarded by the service's mutex.
type topic struct {
	name       string
	attributes map[string]string // as set
	tags       map[string]string
	policy     *access.Policy
	maxBytes   int
	subs       []*subscription
	deleted    int
}

// subscription is an endpoint of a topic.
type subscription struct {
	arn, topic, protocol, endpoint string
	confirmed, declared            bool
	mustSign                       bool // to unsubscribe
	token                          string
	attributes                     map[string]string // as set
	filter                         *pattern.Pattern
	bodyScope, raw                 bool
	deadLetters                    string
}

func newTopic(name string) *topic {
	return &topic{name: name, attributes: map[string]string{}, tags: map[string]string{}, maxBytes: 256 << 10}
}

func (t *topic) arn() string { return ARN(t.name) }

func invalid(format string, args ...any) *access.APIError {
	return access.Errorf("InvalidParameter", "Invalid parameter: %s", fmt.Sprintf(format, args...))
}

func validTopicName(name string) error {
	if strings.HasSuffix(name, ".fifo") {
		return invalid("%s: FIFO topics are not part of the local services", name)
	}
	if name == "" || len(name) > 256 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return invalid("Topic Name")
	}
	return nil
}

// set lays attributes over what the topic has.
func (t *topic) set(attributes map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		v := attributes[name]
		switch name {
		case "DisplayName":
			if len(v) > 100 {
				return invalid("DisplayName: longer than 100 characters")
			}
		case "Policy":
			p, err := access.ParsePolicy([]byte(v), access.ResourcePolicy)
			if err != nil {
				return invalid("Policy: %v", err)
			}
			t.policy = p
		case "MaximumMessageSize":
			n, err := strconv.Atoi(v)
			if err != nil || n < 1024 || n > 1<<20 {
				return invalid("MaximumMessageSize: %q is not between 1024 and 1048576", v)
			}
			t.maxBytes = n
		case "SignatureVersion":
			if v != "1" && v != "2" {
				return invalid("SignatureVersion: %q is neither 1 nor 2", v)
			}
		case "TracingConfig":
			if v != "PassThrough" && v != "Active" {
				return invalid("TracingConfig: %q is neither PassThrough nor Active", v)
			}
		case "FifoTopic", "ContentBasedDeduplication":
			if v != "false" {
				return invalid("%s: FIFO topics are not part of the local services", name)
			}
		case "KmsMasterKeyId":
			if v != "" {
				return invalid("KmsMasterKeyId: encryption with keys of one's own is not part of the local services")
			}
		default:
			return invalid("AttributeName: %s is not part of the local services", name)
		}
		t.attributes[name] = v
	}
	return nil
}

// subscribe finds or makes a subscription. One that is there is given the
// attributes by a template (declared), and refuses others from a caller.
func (t *topic) subscribe(protocol, endpoint string, attributes map[string]string, declared bool) (*subscription, error) {
	switch protocol {
	case "sqs":
		if !strings.HasPrefix(endpoint, sqs.ARN("")) {
			return nil, invalid("SQS endpoint ARN")
		}
	case "email", "email-json":
		if name, host, ok := strings.Cut(endpoint, "@"); !ok || name == "" || !strings.Contains(host, ".") || strings.ContainsAny(endpoint, " \r\n/\\<>") {
			return nil, invalid("Email address")
		}
	case "http", "https":
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != protocol || u.Host == "" {
			return nil, invalid("Endpoint must match the specified protocol")
		}
	default:
		return nil, invalid("protocol %q is not part of the local services (there are: sqs, email, email-json, http, https)", protocol)
	}
	for _, s := range t.subs {
		if s.protocol != protocol || s.endpoint != endpoint {
			continue
		}
		if !declared {
			for k, v := range attributes {
				if s.attributes[k] != v {
					return nil, invalid("Attributes Reason: Subscription already exists with different attributes")
				}
			}
			return s, nil
		}
		fresh := &subscription{arn: s.arn, topic: s.topic, protocol: protocol, endpoint: endpoint}
		if err := fresh.set(attributes); err != nil {
			return nil, err
		}
		fresh.confirmed, fresh.declared = true, true
		*s = *fresh
		return s, nil
	}
	s := &subscription{topic: t.arn(), protocol: protocol, endpoint: endpoint, declared: declared, token: newID() + newID()}
	id := newID()
	if declared { // the same after each start
		sum := sha256.Sum256([]byte(protocol + " " + endpoint))
		id = fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	}
	s.arn = t.arn() + ":" + id
	if err := s.set(attributes); err != nil {
		return nil, err
	}
	t.subs = append(t.subs, s)
	return s, nil
}

// set lays attributes over what the subscription has, all or none.
func (s *subscription) set(attributes map[string]string) error {
	c := *s
	c.attributes = maps.Clone(s.attributes)
	if c.attributes == nil {
		c.attributes = map[string]string{}
	}
	for name, v := range attributes {
		switch name {
		case "RawMessageDelivery":
			if v != "true" && v != "false" {
				return invalid("Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", v)
			}
			if v == "true" && strings.HasPrefix(c.protocol, "email") {
				return invalid("Attributes Reason: RawMessageDelivery: not for protocol %s", c.protocol)
			}
			c.raw = v == "true"
		case "FilterPolicyScope":
			if v != "MessageAttributes" && v != "MessageBody" {
				return invalid("FilterPolicyScope: Invalid value [%s]. Please use either MessageBody or MessageAttributes", v)
			}
			c.bodyScope = v == "MessageBody"
		case "FilterPolicy":
		case "RedrivePolicy":
			c.deadLetters = ""
			if v == "" {
				break
			}
			var r struct {
				DeadLetterTargetARN string `json:"deadLetterTargetArn"`
			}
			if err := json.Unmarshal([]byte(v), &r, json.RejectUnknownMembers(true)); err != nil {
				return invalid("RedrivePolicy: %v", err)
			}
			if !strings.HasPrefix(r.DeadLetterTargetARN, sqs.ARN("")) {
				return invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
			}
			c.deadLetters = r.DeadLetterTargetARN
		default:
			return invalid("AttributeName: %s is not part of the local services", name)
		}
		c.attributes[name] = v
	}
	// Last, for what a policy may hold depends on its scope.
	c.filter = nil
	if text := c.attributes["FilterPolicy"]; text != "" && strings.TrimSpace(text) != "{}" {
		f, err := compileFilter(text, c.bodyScope)
		if err != nil {
			return invalid("FilterPolicy: %v", err)
		}
		c.filter = f
	}
	*s = c
	return nil
}

// compileFilter reads a filter policy and checks the limits that SNS adds.
func compileFilter(text string, bodyScope bool) (*pattern.Pattern, error) {
	if len(text) > 256<<10 {
		return nil, fmt.Errorf("it is larger than 256 KiB")
	}
	var opts []pattern.Option
	if !bodyScope {
		opts = append(opts, pattern.Flat())
	}
	f, err := pattern.Compile([]byte(text), opts...)
	if err != nil {
		return nil, err
	}
	v, err := pattern.Decode([]byte(text))
	if err != nil {
		return nil, err
	}
	if m, ok := v.(map[string]any); ok && len(m) > 5 {
		return nil, fmt.Errorf("Filter policy can not have more than 5 keys")
	}
	if n := combinations(v, 1); n > 150 {
		return nil, fmt.Errorf("Filter policy is too complex: %d combinations, the most is 150", n)
	}
	return f, nil
}

// combinations multiplies the numbers of values of all keys; a nested key
// counts once for each level it is deep.
func combinations(v any, depth int) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			switch e := e.(type) {
			case []any:
				n *= len(e) * depth
			default:
				n *= combinations(e, depth+1)
			}
		}
	}
	return n
}

func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
