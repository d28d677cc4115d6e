// Package sqs sends messages to one queue of Amazon SQS.
package sqs

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// MaxDelay is the longest delay that the service knows.
const MaxDelay = 15 * time.Minute

// API is the part of the SDK's client that a Queue uses.
type API interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

// Queue is one standard queue.
type Queue struct {
	api API
	url string
}

// New makes a Queue from the SDK's configuration.
func New(cfg aws.Config, url string) *Queue { return Over(sqs.NewFromConfig(cfg), url) }

// Over makes a Queue over a client.
func Over(api API, url string) *Queue { return &Queue{api: api, url: url} }

// Send implements pipeline.Queue: the message is to be received after the delay (whole
// seconds, rounded up; at most MaxDelay, more is batch.ErrInvalid). After
// batch.ErrUnavailable it may have been sent; sent messages can arrive twice.
func (q *Queue) Send(ctx context.Context, body []byte, delay time.Duration) error {
	if delay < 0 || delay > MaxDelay {
		return fmt.Errorf("send to %s: delay %v is not within 0 and %v: %w", q.url, delay, MaxDelay, batch.ErrInvalid)
	}
	in := &sqs.SendMessageInput{
		QueueUrl:     &q.url,
		MessageBody:  aws.String(string(body)),
		DelaySeconds: int32((delay + time.Second - 1) / time.Second),
	}
	_, err := q.api.SendMessage(ctx, in)
	return fault.Of(ctx, err, "send to %s", q.url)
}
