package template

import (
	"time"
)

// Stack is what the template declares, resolved. Lists are in the order of the
// logical ids.
type Stack struct {
	Buckets       []Bucket
	Queues        []Queue
	Topics        []Topic
	Subscriptions []Subscription
	Roles         []Role
	Functions     []Function
	Mappings      []Mapping
	Rules         []Rule
	LogGroups     []LogGroup
	Alarms        []Alarm
	Outputs       map[string]string
	// OutputTexts describe outputs, where the template does.
	OutputTexts map[string]string
	Description string
	// Source is the template itself.
	Source []byte
	// Declared are all resources with the names they are known by.
	Declared []Declared

	// parts that belong to another resource until join
	bucketPolicies map[string][]byte
	queuePolicies  map[string][]byte // by URL
	topicPolicies  map[string][]byte // by ARN
	rolePolicies   map[string]map[string][]byte
	invokes        map[string]invoke
	permissions    map[string][]permissionProperties
}

// Declared is a resource as the template lists it.
type Declared struct {
	LogicalID, Type string
	// PhysicalID is what Ref gives; the logical id where it gives nothing.
	PhysicalID string
}

// Bucket is an S3 bucket.
type Bucket struct {
	Name          string
	Versioned     bool
	Policy        []byte
	Notifications []Notification
}

// Notification tells a queue of a bucket's new objects.
type Notification struct {
	ID             string
	Event          string
	QueueARN       string
	Prefix, Suffix string
}

// Queue is an SQS queue; its attributes are texts as the API has them, without
// the policy.
type Queue struct {
	Name, ARN, URL string
	Attributes     map[string]string
	Policy         []byte
}

// Topic is an SNS topic.
type Topic struct {
	Name, ARN, DisplayName string
	Policy                 []byte
}

// Subscription is one to an SNS topic; its attributes are texts as the API has
// them.
type Subscription struct {
	TopicARN, Protocol, Endpoint string
	Attributes                   map[string]string
}

// Role is an IAM role with its trust policy and its policies by name.
type Role struct {
	Name, ARN string
	Trust     []byte
	Policies  map[string][]byte
}

// Function is a Lambda function.
type Function struct {
	Name, ARN string
	// Code is the name of the folder with the program: the asset's key
	// without its ending.
	Code        string
	Handler     string
	RoleARN     string
	Timeout     time.Duration
	MemoryMB    int
	Environment map[string]string
	LogGroup    string
	// Concurrency is the most invocations at a time; 0 is no limit.
	Concurrency int
	// Retries, MaxEventAge and OnFailureARN are about asynchronous
	// invocations; nil, 0 and empty are the defaults.
	Retries      *int
	MaxEventAge  time.Duration
	OnFailureARN string
	// Policy is the function's resource policy made of its permissions, or nil.
	Policy []byte
}

// Mapping connects a queue to a function.
type Mapping struct {
	FunctionName, QueueARN  string
	BatchSize               int
	Window                  time.Duration
	MaximumConcurrency      int
	ReportBatchItemFailures bool
	Disabled                bool
}

// Rule is a rule of the default event bus.
type Rule struct {
	Name, Description, Schedule string
	Pattern                     []byte
	Disabled                    bool
	Targets                     []Target
}

// Target is where a rule sends.
type Target struct {
	ID, ARN, Input, InputPath string
	// Paths and Template are the InputTransformer; Template empty for none.
	Paths    map[string]string
	Template string
	// Attempts is nil for the default.
	Attempts      *int
	MaxAge        time.Duration
	DeadLetterARN string
}

// LogGroup is a log group; Days is 0 where events are kept for ever.
type LogGroup struct {
	Name string
	Days int
}

// Alarm is a CloudWatch alarm on one metric.
type Alarm struct {
	Name, Description                                string
	Namespace, Metric                                string
	Dimensions                                       []Dimension
	Statistic, Unit                                  string
	Period                                           time.Duration
	EvaluationPeriods, DatapointsToAlarm             int
	Threshold                                        float64
	Comparison, TreatMissingData                     string
	ActionsDisabled                                  bool
	AlarmActions, OKActions, InsufficientDataActions []string
}

// Dimension is a part of a metric's identity.
type Dimension struct{ Name, Value string }

type invoke struct {
	retries   *int
	maxAge    time.Duration
	onFailure string
}

func newStack() *Stack {
	return &Stack{
		Outputs: map[string]string{}, OutputTexts: map[string]string{}, bucketPolicies: map[string][]byte{}, queuePolicies: map[string][]byte{},
		topicPolicies: map[string][]byte{}, rolePolicies: map[string]map[string][]byte{},
		invokes: map[string]invoke{}, permissions: map[string][]permissionProperties{},
	}
}
