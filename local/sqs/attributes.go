package sqs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// attributes are a queue's settings.
type attributes struct {
	delay, visibility, retention, wait time.Duration
	maxBytes                           int
	redrive                            *redrivePolicy
	allow                              *redriveAllowPolicy
	policy                             *access.Policy
	// text is what was set, as it was set.
	text map[string]string
}

type redrivePolicy struct {
	DeadLetterTargetARN string `json:"deadLetterTargetArn"`
	MaxReceiveCount     number `json:"maxReceiveCount"`
}

type redriveAllowPolicy struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns,omitzero"`
}

// number is an integer that may be written as text.
type number int

func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.Atoi(strings.Trim(string(b), `"`))
	if err != nil {
		return fmt.Errorf("%s is not a whole number", b)
	}
	*n = number(v)
	return nil
}

func defaultAttributes() attributes {
	return attributes{
		visibility: 30 * time.Second, retention: 4 * 24 * time.Hour, maxBytes: 1 << 20,
		text: map[string]string{},
	}
}

// ranges of the attributes that are numbers.
var ranges = map[string][2]int{
	"DelaySeconds":                  {0, 900},
	"MaximumMessageSize":            {1024, 1 << 20},
	"MessageRetentionPeriod":        {60, 1209600},
	"ReceiveMessageWaitTimeSeconds": {0, 20},
	"VisibilityTimeout":             {0, 43200},
	"KmsDataKeyReusePeriodSeconds":  {60, 86400},
}

// parseAttributes lays the texts over what a queue has.
func parseAttributes(base attributes, set map[string]string) (attributes, error) {
	a := base
	a.text = map[string]string{}
	for k, v := range base.text {
		a.text[k] = v
	}
	for name, v := range set {
		invalid := func(reason string, args ...any) error {
			return access.Errorf("InvalidAttributeValue", "Invalid value for the parameter %s. Reason: %s", name, fmt.Sprintf(reason, args...))
		}
		a.text[name] = v
		if r, ok := ranges[name]; ok {
			n, err := strconv.Atoi(v)
			if err != nil || n < r[0] || n > r[1] {
				return base, invalid("%q is not a number between %d and %d.", v, r[0], r[1])
			}
			d := time.Duration(n) * time.Second
			switch name {
			case "DelaySeconds":
				a.delay = d
			case "MaximumMessageSize":
				a.maxBytes = n
			case "MessageRetentionPeriod":
				a.retention = d
			case "ReceiveMessageWaitTimeSeconds":
				a.wait = d
			case "VisibilityTimeout":
				a.visibility = d
			}
			continue
		}
		switch name {
		case "RedrivePolicy":
			a.redrive = nil
			if v == "" {
				delete(a.text, name)
				continue
			}
			var r redrivePolicy
			if err := json.Unmarshal([]byte(v), &r, json.RejectUnknownMembers(true)); err != nil {
				return base, invalid("%v", err)
			}
			if !strings.HasPrefix(r.DeadLetterTargetARN, ARN("")) {
				return base, invalid("deadLetterTargetArn %q is not a queue of this account and region.", r.DeadLetterTargetARN)
			}
			if r.MaxReceiveCount == 0 && !strings.Contains(v, "maxReceiveCount") {
				r.MaxReceiveCount = 10
			}
			if r.MaxReceiveCount < 1 || r.MaxReceiveCount > 1000 {
				return base, invalid("maxReceiveCount %d is not between 1 and 1000.", r.MaxReceiveCount)
			}
			a.redrive = &r
		case "RedriveAllowPolicy":
			a.allow = nil
			if v == "" {
				delete(a.text, name)
				continue
			}
			var r redriveAllowPolicy
			if err := json.Unmarshal([]byte(v), &r, json.RejectUnknownMembers(true)); err != nil {
				return base, invalid("%v", err)
			}
			switch r.Permission {
			case "allowAll", "denyAll", "byQueue":
			default:
				return base, invalid("redrivePermission %q is none of allowAll, denyAll, byQueue.", r.Permission)
			}
			if (r.Permission == "byQueue") != (len(r.Sources) > 0) {
				return base, invalid("sourceQueueArns goes with byQueue, and only with it.")
			}
			a.allow = &r
		case "Policy":
			a.policy = nil
			if v == "" {
				delete(a.text, name)
				continue
			}
			p, err := access.ParsePolicy([]byte(v), access.ResourcePolicy)
			if err != nil {
				return base, invalid("%v", err)
			}
			a.policy = p
		case "SqsManagedSseEnabled":
			if v != "true" && v != "false" {
				return base, invalid("%q is neither true nor false.", v)
			}
		case "KmsMasterKeyId":
			if v != "" {
				return base, access.Errorf("UnsupportedOperation", "KmsMasterKeyId: encryption with keys of one's own is not part of the local services; leave it out or use SqsManagedSseEnabled")
			}
		case "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
			if v == "false" {
				delete(a.text, name)
				continue
			}
			return base, access.Errorf("UnsupportedOperation", "%s: FIFO queues are not part of the local services", name)
		default:
			return base, access.Errorf("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
	}
	return a, nil
}

// takesFrom tells whether the queue is a dead-letter queue for the source.
func (a attributes) takesFrom(sourceARN string) bool {
	if a.allow == nil {
		return true
	}
	switch a.allow.Permission {
	case "denyAll":
		return false
	case "byQueue":
		for _, s := range a.allow.Sources {
			if s == sourceARN {
				return true
			}
		}
		return false
	}
	return true
}

// validName checks a queue's name.
func validName(name string) error {
	if strings.HasSuffix(name, ".fifo") {
		return access.Errorf("UnsupportedOperation", "%s: FIFO queues are not part of the local services", name)
	}
	if name == "" || len(name) > 80 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return access.Errorf("InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	return nil
}
