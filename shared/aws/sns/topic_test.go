package sns_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/sns"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// inbox reads calls as the service does.
type inbox struct {
	t    *testing.T
	came []*awssns.PublishInput
}

func (i *inbox) Publish(ctx context.Context, in *awssns.PublishInput, _ ...func(*awssns.Options)) (*awssns.PublishOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if aws.ToString(in.MessageStructure) != "json" || aws.ToString(in.TopicArn) != "arn:topic" {
		i.t.Errorf("structure %v, topic %v", in.MessageStructure, in.TopicArn)
	}
	for name, a := range in.MessageAttributes {
		if aws.ToString(a.DataType) != "String" || aws.ToString(a.StringValue) == "" {
			i.t.Errorf("attribute %s is %+v", name, a)
		}
	}
	i.came = append(i.came, in)
	return &awssns.PublishOutput{}, nil
}

// message is what subscribers of a protocol get.
func (i *inbox) message(n int, protocol string) string {
	var variants map[string]string
	if err := json.Unmarshal([]byte(*i.came[n].Message), &variants); err != nil {
		i.t.Fatal(err)
	}
	if text, ok := variants[protocol]; ok {
		return text
	}
	return variants["default"]
}

func TestTopicKeepsTheContract(t *testing.T) {
	batchtest.Topic(t, func() batchtest.Board {
		box := &inbox{t: t}
		topic := sns.Over(box, "arn:topic")
		seen := 0
		return batchtest.Board{
			Publish: func(ctx context.Context, subject, json, email string, attributes map[string]string) error {
				return topic.Publish(ctx, pipeline.Publication{Subject: subject, JSON: json, Email: email, Attributes: attributes})
			},
			Next: func(*testing.T) (batchtest.Publication, bool) {
				if seen == len(box.came) {
					return batchtest.Publication{}, false
				}
				in := box.came[seen]
				p := batchtest.Publication{Subject: aws.ToString(in.Subject), JSON: box.message(seen, "sqs")}
				for name, a := range in.MessageAttributes {
					if p.Attributes == nil {
						p.Attributes = make(map[string]string)
					}
					p.Attributes[name] = *a.StringValue
				}
				seen++
				return p, true
			},
		}
	})
}

func TestEMailGetsItsOwnText(t *testing.T) {
	box := &inbox{t: t}
	topic := sns.Over(box, "arn:topic")
	for _, email := range []string{"Completed.\n", ""} {
		err := topic.Publish(t.Context(), pipeline.Publication{JSON: `{"version":1}`, Email: email, Attributes: map[string]string{"empty": ""}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := box.message(0, "email"); got != "Completed.\n" {
		t.Fatalf("e-mail is %q", got)
	}
	if got := box.message(1, "email"); got != `{"version":1}` {
		t.Fatalf("e-mail without a text is %q", got)
	}
	if len(box.came[0].MessageAttributes) != 0 {
		t.Fatalf("an empty attribute was sent: %v", box.came[0].MessageAttributes)
	}
}
