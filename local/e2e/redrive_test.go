package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestADeadLetterThatIsPutBackFinishesItsSubmission(t *testing.T) {
	t.Parallel()
	// No schedule: what the dead letter does not carry on, nothing does.
	u := begin(t, setup{flags: []string{"--set", quotas}})
	u.settings("", nova)
	pause := &s3.PutObjectInput{Bucket: aws.String(u.output), Key: aws.String("control/pause"), Body: strings.NewReader("maintenance")}
	if _, err := u.s3.PutObject(t.Context(), pause); err != nil {
		t.Fatal(err)
	}
	u.drop("a.jsonl", prompts(150))
	u.within(*patience, "an upload that waits and nobody at work on it", func() string {
		visible, inFlight, delayed := u.depth("uploads")
		if len(u.keys("waiting/")) != 1 || visible+inFlight+delayed > 0 {
			return fmt.Sprintf("%d messages, %s", visible+inFlight+delayed, u.brief(""))
		}
		return ""
	})
	if _, err := u.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: pause.Bucket, Key: pause.Key}); err != nil {
		t.Fatal(err)
	}
	// The message that would carry it on has become a dead letter.
	submission := strings.TrimPrefix(u.keys("open/")[0], "open/")
	u.send("uploads-dead", fmt.Sprintf(`{"bedrock-batch":1,"do":"continue","submission":%q}`, submission))
	arn := func(name string) *string {
		attributes, err := u.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: aws.String(u.queue(name)), AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn},
		})
		if err != nil {
			t.Fatal(err)
		}
		return aws.String(attributes.Attributes["QueueArn"])
	}
	if n := len(u.said()); n > 0 {
		t.Fatalf("%d notices before the message was put back", n)
	}
	if _, err := u.sqs.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: arn("uploads-dead"), DestinationArn: arn("uploads")}); err != nil {
		t.Fatal(err)
	}
	u.completed("a.jsonl", 150)
	u.ended()
}
