package e2e

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestADeadLetterThatIsPutBackFinishesItsSubmission(t *testing.T) {
	t.Parallel()
	// No schedule: what the dead letter does not carry on, nothing does.
	u := begin(t, setup{
		flags: []string{"--slow-s3", "150ms", "--set", quotas},
		edit:  func(_ *testing.T, c *cloud) { c.timeout(10, 60) },
	})
	u.settings("", nova)
	u.within(*patience, "the settings' own message to be gone", func() string {
		if visible, inFlight, delayed := u.depth("uploads"); visible+inFlight+delayed > 0 {
			return "it is there"
		}
		return ""
	})
	u.drop("a.jsonl", prompts(150))
	// Whoever takes the upload's message dies of it, every time.
	u.watch(*patience, 5*time.Millisecond, "a dead letter", func() string {
		for _, pid := range u.processes(t, "submit") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
		}
		visible, inFlight, delayed := u.depth("uploads")
		if dead, _, _ := u.depth("uploads-dead"); dead == 0 || visible+inFlight+delayed > 0 {
			return fmt.Sprintf("%d dead letters, %d messages, %d in flight; %d deaths", dead, visible+delayed, inFlight, u.crashes("submit"))
		}
		return ""
	})
	if n := len(u.said()); n > 0 {
		t.Fatalf("%d notices though nobody lived to finish", n)
	}
	attributes, err := u.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(u.queue("uploads-dead")), AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.sqs.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: aws.String(attributes.Attributes["QueueArn"])}); err != nil {
		t.Fatal(err)
	}
	u.completed("a.jsonl", 150)
	u.ended()
}
