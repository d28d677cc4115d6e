package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// What EventBridge says of batch jobs, and what the schedule says to the
// functions.
const (
	eventSource = "aws.bedrock"
	eventType   = "Batch Inference Job State Change"
	tickMessage = `{"bedrock-batch":1,"do":"tick"}`
)

const (
	// maxReceives is the least that AWS advises for a queue in front of a
	// function: throttled invocations count as receives too.
	maxReceives = 5
	// visibilityFactor times a function's time limit leaves room for the
	// retries of an invocation that Lambda itself makes.
	visibilityFactor = 6
	// deadDays is the longest that SQS keeps a message.
	deadDays = 14
)

// queue is a queue with its dead letters.
type queue struct {
	awssqs.Queue
	dead awssqs.Queue
}

func (b *builder) addQueues() {
	b.uploads = b.queue("Uploads", "uploads", b.settings.Submit.TimeoutSeconds)
	b.jobs = b.queue("Jobs", "jobs", b.settings.Collect.TimeoutSeconds)
	// Events that a rule could not deliver at all. They are apart from the
	// dead letters, which a redrive puts back into their queue.
	b.undelivered = b.deadQueue("QueueUndelivered", "undelivered")
}

func (b *builder) queue(id, name string, timeoutSeconds int) queue {
	dead := b.deadQueue("Queue"+id+"Dead", name+"-dead")
	return queue{dead: dead, Queue: awssqs.NewQueue(b.stack, jsii.String("Queue"+id), &awssqs.QueueProps{
		QueueName:           b.name(name),
		Encryption:          b.queueEncryption(),
		EncryptionMasterKey: b.key,
		EnforceSSL:          jsii.Bool(true),
		RetentionPeriod:     awscdk.Duration_Days(jsii.Number(deadDays)),
		VisibilityTimeout:   awscdk.Duration_Seconds(jsii.Number(visibilityFactor * timeoutSeconds)),
		DeadLetterQueue:     &awssqs.DeadLetterQueue{MaxReceiveCount: jsii.Number(maxReceives), Queue: dead},
	})}
}

func (b *builder) queueEncryption() awssqs.QueueEncryption {
	if b.key != nil {
		return awssqs.QueueEncryption_KMS
	}
	return awssqs.QueueEncryption_SQS_MANAGED
}

func (b *builder) deadQueue(id, name string) awssqs.Queue {
	return awssqs.NewQueue(b.stack, jsii.String(id), &awssqs.QueueProps{
		QueueName:           b.name(name),
		Encryption:          b.queueEncryption(),
		EncryptionMasterKey: b.key,
		EnforceSSL:          jsii.Bool(true),
		RetentionPeriod:     awscdk.Duration_Days(jsii.Number(deadDays)),
	})
}

// addRules connects Bedrock's events and the clock with the queues. Bedrock's
// events are best effort: the tick finds what a lost one leaves standing.
func (b *builder) addRules() {
	var terminal []string
	for _, s := range []batch.Status{batch.Completed, batch.PartiallyCompleted, batch.Failed, batch.Stopped, batch.Expired} {
		terminal = append(terminal, string(s))
	}
	pattern := func(detail map[string]any) map[string]any {
		detail["status"] = terminal
		return map[string]any{"source": []string{eventSource}, "detail-type": []string{eventType}, "detail": detail}
	}

	b.rule("RuleJobEnded", &awsevents.CfnRuleProps{
		Name:        b.name("job-ended"),
		Description: jsii.String("A job of this deployment has ended: gather its answers."),
		EventPattern: pattern(map[string]any{
			"batchJobName": []any{map[string]any{"prefix": b.settings.Deployment()}},
		}),
	}, b.jobs.Queue)
	b.rule("RuleSlotFree", &awsevents.CfnRuleProps{
		Name:         b.name("slot-free"),
		Description:  jsii.String("Any job of the account has ended: its slot may start one that waits."),
		EventPattern: pattern(map[string]any{}),
	}, b.uploads.Queue)
	b.rule("RuleTick", &awsevents.CfnRuleProps{
		Name:               b.name("tick"),
		Description:        jsii.String("Find what stands still."),
		ScheduleExpression: rate(b.settings.TickMinutes),
	}, b.uploads.Queue, b.jobs.Queue)
}

func (b *builder) rule(id string, props *awsevents.CfnRuleProps, targets ...awssqs.Queue) {
	var list []any
	for _, q := range targets {
		t := &awsevents.CfnRule_TargetProperty{
			Id:               q.Node().Id(),
			Arn:              q.QueueArn(),
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: b.undelivered.QueueArn()},
			RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(86400),
				MaximumRetryAttempts:     jsii.Number(185),
			},
		}
		if props.ScheduleExpression != nil {
			t.Input = jsii.String(tickMessage)
			// The next tick says the same.
			t.RetryPolicy = &awsevents.CfnRule_RetryPolicyProperty{
				MaximumEventAgeInSeconds: jsii.Number(300),
				MaximumRetryAttempts:     jsii.Number(10),
			}
		}
		list = append(list, t)
	}
	props.Targets = list
	rule := awsevents.NewCfnRule(b.stack, jsii.String(id), props)
	for _, q := range append(targets, b.undelivered) {
		q.AddToResourcePolicy(statement{
			sid:       "SendFor" + id,
			actions:   []string{"sqs:SendMessage"},
			resources: []*string{q.QueueArn()},
			principal: service("events.amazonaws.com"),
			conditions: map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": account()},
				"ArnEquals":    map[string]any{"aws:SourceArn": rule.AttrArn()},
			},
		}.build())
	}
}
