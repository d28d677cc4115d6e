package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// DeadLetters is a queue with one that takes what could not be handled.
type DeadLetters struct {
	client *sqs.Client
	url    string
}

// NewDeadLetters looks after the dead letters of the queue with this URL.
func NewDeadLetters(cfg aws.Config, url string) *DeadLetters {
	return &DeadLetters{client: sqs.NewFromConfig(cfg), url: url}
}

// arns are those of the queue and of its dead-letter queue, as the queue's
// redrive policy names it.
func (d *DeadLetters) arns(ctx context.Context) (own, dead string, err error) {
	out, err := d.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &d.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameRedrivePolicy, types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return "", "", fault.Of(ctx, err, "read redrive policy of %s", d.url)
	}
	var policy struct {
		Target string `json:"deadLetterTargetArn"`
	}
	text := out.Attributes[string(types.QueueAttributeNameRedrivePolicy)]
	if text == "" || json.Unmarshal([]byte(text), &policy) != nil || policy.Target == "" {
		return "", "", fmt.Errorf("queue %s has no dead-letter queue: %w", d.url, batch.ErrNotFound)
	}
	return out.Attributes[string(types.QueueAttributeNameQueueArn)], policy.Target, nil
}

// Count is about how many dead letters there are.
func (d *DeadLetters) Count(ctx context.Context) (int, error) {
	_, arn, err := d.arns(ctx)
	if err != nil {
		return 0, err
	}
	name := arn[lastColon(arn)+1:]
	url, err := d.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return 0, fault.Of(ctx, err, "find queue %s", name)
	}
	out, err := d.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: url.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages},
	})
	if err != nil {
		return 0, fault.Of(ctx, err, "count messages of %s", name)
	}
	return strconv.Atoi(out.Attributes[string(types.QueueAttributeNameApproximateNumberOfMessages)])
}

// Redrive has the service move all dead letters back to the queue. It may be called again once it is done; meanwhile it is
// batch.ErrInvalid.
func (d *DeadLetters) Redrive(ctx context.Context) error {
	own, arn, err := d.arns(ctx)
	if err != nil {
		return err
	}
	// The destination is named, so that letters that were put there by hand
	// go the same way: they do not know where they came from.
	_, err = d.client.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: &arn, DestinationArn: &own})
	return fault.Of(ctx, err, "move messages of %s back", arn)
}

func lastColon(arn string) int {
	for i := len(arn) - 1; i >= 0; i-- {
		if arn[i] == ':' {
			return i
		}
	}
	return -1
}
