package lambda_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/lambda"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

func counts(t *testing.T, s *stack, arn string) (visible, flying string) {
	t.Helper()
	a, err := s.queues.AttributesAs(t.Context(), user, arn)
	if err != nil {
		t.Fatal(err)
	}
	return a["ApproximateNumberOfMessages"], a["ApproximateNumberOfMessagesNotVisible"]
}

func TestAMappingDeletesWhatSucceededAndLeavesTheRest(t *testing.T) {
	s := start(t, 20, "", nil, lambda.Config{})
	dlq := sqs.ARN("dlq")
	if err := s.queues.Declare("dlq", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.queues.Declare("q", map[string]string{"VisibilityTimeout": "30", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":2}`, dlq)}, nil); err != nil {
		t.Fatal(err)
	}
	q := sqs.ARN("q")
	if err := s.Map(lambda.Mapping{FunctionName: "fn", QueueARN: q, BatchSize: 5, MaximumConcurrency: 2, ReportBatchItemFailures: true}); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"good", "bad", "good"} {
		if _, err := s.queues.SendAs(t.Context(), user, q, sqs.Outgoing{Body: body, Attributes: map[string]sqs.Attribute{"a": {DataType: "Binary", BinaryValue: []byte{1}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The bad one is received twice, a visibility timeout apart, then buried.
	eventually(t, "the bad message in the dead-letter queue", func() bool {
		visible, _ := counts(t, s, dlq)
		return visible == "1"
	})
	if visible, flying := counts(t, s, q); visible != "0" || flying != "0" {
		t.Errorf("left in the queue: %s visible, %s in flight", visible, flying)
	}
	if n := len(usage(t, s)); n != 2 {
		t.Errorf("%d invocations, want 2: the batch and the bad one again", n)
	}
	for _, action := range []string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
		if !s.gate.saw("fn-role sqs:" + action + " " + q) {
			t.Errorf("sqs:%s was not asked for as the function's role", action)
		}
	}
}

func TestACrashLeavesTheWholeBatch(t *testing.T) {
	s := start(t, 20, "", nil, lambda.Config{})
	if err := s.queues.Declare("q", map[string]string{"VisibilityTimeout": "43200"}, nil); err != nil {
		t.Fatal(err)
	}
	q := sqs.ARN("q")
	for _, body := range []string{"good", "panic"} {
		if _, err := s.queues.SendAs(t.Context(), user, q, sqs.Outgoing{Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Map(lambda.Mapping{FunctionName: "fn", QueueARN: q, ReportBatchItemFailures: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the crash", func() bool { return len(usage(t, s)) == 1 })
	if visible, flying := counts(t, s, q); visible != "0" || flying != "2" {
		t.Errorf("%s visible, %s in flight, want both in flight until their timeout", visible, flying)
	}
}

func TestAMappingIsRefusedOrDenied(t *testing.T) {
	t.Run("a visibility timeout below the function's", func(t *testing.T) {
		s := start(t, 1, "", func(f *lambda.Function) { f.Timeout = time.Minute }, lambda.Config{})
		if err := s.queues.Declare("q", nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Map(lambda.Mapping{FunctionName: "fn", QueueARN: sqs.ARN("q")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "less than function timeout") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a role that may not receive", func(t *testing.T) {
		s := start(t, 1000, "sqs:ReceiveMessage", nil, lambda.Config{})
		if err := s.queues.Declare("q", nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Map(lambda.Mapping{FunctionName: "fn", QueueARN: sqs.ARN("q")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the denied call", func() bool { return s.gate.saw("fn-role sqs:ReceiveMessage " + sqs.ARN("q")) })
	})
	t.Run("a queue that is not there", func(t *testing.T) {
		s := start(t, 1, "", nil, lambda.Config{})
		if err := s.Map(lambda.Mapping{FunctionName: "fn", QueueARN: sqs.ARN("none")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}
