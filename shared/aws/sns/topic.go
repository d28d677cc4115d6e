// Package sns publishes notices to one topic of Amazon SNS.
package sns

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// API is the part of the SDK's client that a Topic uses.
type API interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Topic is one standard topic.
type Topic struct {
	api API
	arn string
}

var _ pipeline.Topic = (*Topic)(nil)

// New makes a Topic from the SDK's configuration.
func New(cfg aws.Config, arn string) *Topic { return Over(sns.NewFromConfig(cfg), arn) }

// Over makes a Topic over a client.
func Over(api API, arn string) *Topic { return &Topic{api: api, arn: arn} }

// Publish implements pipeline.Topic: JSON for all subscribers, Email, a
// readable text, for those who subscribed by e-mail (JSON too if it is empty).
// Attributes are sent as strings, those with an empty value not at all.
//
// It is not idempotent: after batch.ErrUnavailable, and after a retry inside,
// the notice may have been sent, or sent twice.
func (t *Topic) Publish(ctx context.Context, p pipeline.Publication) error {
	variants := map[string]string{"default": p.JSON}
	if p.Email != "" {
		variants["email"] = p.Email
	}
	message, err := json.Marshal(variants)
	if err != nil {
		return fault.Of(ctx, err, "publish to %s", t.arn)
	}
	in := &sns.PublishInput{
		TopicArn:         &t.arn,
		Message:          aws.String(string(message)),
		MessageStructure: aws.String("json"),
	}
	if p.Subject != "" {
		in.Subject = &p.Subject
	}
	for name, value := range p.Attributes {
		if value == "" {
			continue // the service refuses empty values
		}
		if in.MessageAttributes == nil {
			in.MessageAttributes = make(map[string]types.MessageAttributeValue, len(p.Attributes))
		}
		in.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	_, err = t.api.Publish(ctx, in)
	return fault.Of(ctx, err, "publish to %s", t.arn)
}
