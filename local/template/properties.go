package template

import "encoding/json"

// The properties of each resource type. A property that is not here is an
// error; one of type noEffect is taken and changes nothing on one machine.

type bucketProperties struct {
	BucketName                     string
	VersioningConfiguration        *struct{ Status string }
	NotificationConfiguration      *notificationProperties
	BucketEncryption               noEffect
	LifecycleConfiguration         noEffect
	OwnershipControls              noEffect
	PublicAccessBlockConfiguration noEffect
	Tags                           noEffect
}

type notificationProperties struct {
	QueueConfigurations []struct {
		Event  string
		Queue  string
		Filter *struct {
			S3Key struct {
				Rules []struct{ Name, Value string }
			}
		}
	}
}

type bucketPolicyProperties struct {
	Bucket         string
	PolicyDocument json.RawMessage
}

type queueProperties struct {
	QueueName                     string
	DelaySeconds                  *number
	MaximumMessageSize            *number
	MessageRetentionPeriod        *number
	ReceiveMessageWaitTimeSeconds *number
	VisibilityTimeout             *number
	RedrivePolicy                 json.RawMessage
	RedriveAllowPolicy            json.RawMessage
	SqsManagedSseEnabled          noEffect
	Tags                          noEffect
}

type queuePolicyProperties struct {
	Queues         []string
	PolicyDocument json.RawMessage
}

type topicProperties struct {
	TopicName    string
	DisplayName  string
	Subscription []struct{ Protocol, Endpoint string }
	Tags         noEffect
}

type topicPolicyProperties struct {
	Topics         []string
	PolicyDocument json.RawMessage
}

type subscriptionProperties struct {
	TopicArn            string
	Protocol            string
	Endpoint            string
	FilterPolicy        json.RawMessage
	FilterPolicyScope   string
	RawMessageDelivery  *truth
	RedrivePolicy       json.RawMessage
	SubscriptionRoleArn noEffect
}

type functionProperties struct {
	FunctionName string
	Code         struct{ S3Bucket, S3Key string }
	Handler      string
	Runtime      string
	Role         string
	Timeout      number
	MemorySize   number
	Environment  *struct{ Variables map[string]string }
	// ReservedConcurrentExecutions is the most invocations at a time.
	ReservedConcurrentExecutions number
	// LoggingConfig names the log group; level and format are the function's.
	LoggingConfig *struct {
		LogGroup  string
		LogFormat noEffect
	}
	Architectures    noEffect
	Description      noEffect
	EphemeralStorage noEffect
	RecursiveLoop    noEffect
	TracingConfig    noEffect
	Tags             noEffect
}

type mappingProperties struct {
	FunctionName                   string
	EventSourceArn                 string
	BatchSize                      number
	MaximumBatchingWindowInSeconds number
	Enabled                        *truth
	FunctionResponseTypes          []string
	ScalingConfig                  *struct{ MaximumConcurrency number }
}

type invokeConfigProperties struct {
	FunctionName             string
	Qualifier                string
	MaximumRetryAttempts     *number
	MaximumEventAgeInSeconds number
	DestinationConfig        *struct {
		OnFailure *struct{ Destination string }
	}
}

type permissionProperties struct {
	FunctionName  string
	Action        string
	Principal     string
	SourceArn     string
	SourceAccount string
}

type roleProperties struct {
	RoleName                 string
	AssumeRolePolicyDocument json.RawMessage
	Policies                 []struct {
		PolicyName     string
		PolicyDocument json.RawMessage
	}
	Description        noEffect
	MaxSessionDuration noEffect
	Tags               noEffect
}

type policyProperties struct {
	PolicyName     string
	PolicyDocument json.RawMessage
	Roles          []string
}

type ruleProperties struct {
	Name               string
	Description        string
	EventPattern       json.RawMessage
	ScheduleExpression string
	State              string
	EventBusName       string
	Targets            []targetProperties
}

type targetProperties struct {
	Id               string
	Arn              string
	Input            string
	InputPath        string
	InputTransformer *struct {
		InputPathsMap map[string]string
		InputTemplate string
	}
	DeadLetterConfig *struct{ Arn string }
	RetryPolicy      *struct {
		MaximumEventAgeInSeconds number
		MaximumRetryAttempts     *number
	}
}

type logGroupProperties struct {
	LogGroupName string
	// RetentionInDays is told and nothing is removed.
	RetentionInDays number
	Tags            noEffect
}

// alarmProperties are those of alarms on one metric: expressions, percentiles
// and bands are not here.
type alarmProperties struct {
	AlarmName               string
	AlarmDescription        string
	ActionsEnabled          *truth
	Namespace               string
	MetricName              string
	Dimensions              []Dimension
	Statistic               string
	Unit                    string
	Period                  number
	EvaluationPeriods       number
	DatapointsToAlarm       number
	Threshold               *decimal
	ComparisonOperator      string
	TreatMissingData        string
	AlarmActions            []string
	OKActions               []string
	InsufficientDataActions []string
	Tags                    noEffect
}

type dashboardProperties struct {
	DashboardName noEffect
	// DashboardBody must be a JSON object.
	DashboardBody string
}
