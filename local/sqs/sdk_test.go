package sqs_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// gate allows all but the actions named in it.
type gate map[string]bool

func (g gate) Check(_ context.Context, c access.Call) error {
	if g[c.Action] {
		return &access.Denial{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Why: "because no identity-based policy allows the " + c.Action + " action"}
	}
	return nil
}

var user = &access.Principal{Name: "user", ARN: "arn:aws:iam::123456789012:user/user", Session: "arn:aws:iam::123456789012:user/user"}

func serve(t *testing.T, cfg sqs.Config) (*sqs.Service, *awssqs.Client, string) {
	t.Helper()
	var s *sqs.Service
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), user)))
	}))
	t.Cleanup(srv.Close)
	if cfg.Authority == nil {
		cfg.Authority = gate{}
	}
	cfg.Endpoint = srv.URL
	var err error
	if s, err = sqs.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	client := awssqs.New(awssqs.Options{
		Region: access.Region, BaseEndpoint: &srv.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
		Retryer:     aws.NopRetryer{},
	})
	return s, client, srv.URL
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func create(t *testing.T, c *awssqs.Client, name string, attrs map[string]string) *string {
	t.Helper()
	q, err := c.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: &name, Attributes: attrs})
	if err != nil {
		t.Fatal(err)
	}
	return q.QueueUrl
}

func TestAMessageTravelsWithItsAttributes(t *testing.T) {
	_, c, _ := serve(t, sqs.Config{})
	ctx := t.Context()
	q := create(t, c, "q", nil)
	sent, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: q, MessageBody: aws.String("hällo"), MessageAttributes: map[string]types.MessageAttributeValue{
		"kind.a": {DataType: aws.String("String"), StringValue: aws.String("x")},
		"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"kind.*"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Messages) != 1 {
		t.Fatalf("received %d messages, want 1", len(got.Messages))
	}
	m := got.Messages[0]
	if *m.Body != "hällo" || *m.MessageId != *sent.MessageId || m.Attributes["ApproximateReceiveCount"] != "1" || m.Attributes["SentTimestamp"] == "" {
		t.Errorf("received %+v", m)
	}
	if len(m.MessageAttributes) != 1 || *m.MessageAttributes["kind.a"].StringValue != "x" {
		t.Errorf("attributes: %+v, want kind.a alone", m.MessageAttributes)
	}
	if again, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q}); err != nil || len(again.Messages) != 0 {
		t.Errorf("in flight, yet received: %v %v", again, err)
	}
	if _, err := c.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: q, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	attrs, err := c.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{QueueUrl: q, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	if a := attrs.Attributes; a["ApproximateNumberOfMessages"] != "0" || a["ApproximateNumberOfMessagesNotVisible"] != "0" || a["QueueArn"] != sqs.ARN("q") {
		t.Errorf("attributes %v", a)
	}
}

func TestBatchesReportEachEntry(t *testing.T) {
	_, c, _ := serve(t, sqs.Config{})
	ctx := t.Context()
	q := create(t, c, "q", nil)
	out, err := c.SendMessageBatch(ctx, &awssqs.SendMessageBatchInput{QueueUrl: q, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("1")},
		{Id: aws.String("b"), MessageBody: aws.String("2"), DelaySeconds: 901},
		{Id: aws.String("c"), MessageBody: aws.String("3")},
	}})
	if err != nil || len(out.Successful) != 2 || len(out.Failed) != 1 || *out.Failed[0].Id != "b" {
		t.Fatalf("batch: %+v %v", out, err)
	}
	got, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q, MaxNumberOfMessages: 10})
	if err != nil || len(got.Messages) != 2 {
		t.Fatalf("receive: %+v %v", got, err)
	}
	vis, err := c.ChangeMessageVisibilityBatch(ctx, &awssqs.ChangeMessageVisibilityBatchInput{QueueUrl: q, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
		{Id: aws.String("x"), ReceiptHandle: got.Messages[0].ReceiptHandle, VisibilityTimeout: 0},
	}})
	if err != nil || len(vis.Successful) != 1 {
		t.Fatalf("visibility: %+v %v", vis, err)
	}
	del, err := c.DeleteMessageBatch(ctx, &awssqs.DeleteMessageBatchInput{QueueUrl: q, Entries: []types.DeleteMessageBatchRequestEntry{
		{Id: aws.String("x"), ReceiptHandle: got.Messages[1].ReceiptHandle}, {Id: aws.String("y"), ReceiptHandle: aws.String("junk")},
	}})
	if err != nil || len(del.Successful) != 1 || len(del.Failed) != 1 || *del.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Fatalf("delete: %+v %v", del, err)
	}
	_, err = c.SendMessageBatch(ctx, &awssqs.SendMessageBatchInput{QueueUrl: q, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("1")}, {Id: aws.String("a"), MessageBody: aws.String("2")},
	}})
	var distinct *types.BatchEntryIdsNotDistinct
	if !errors.As(err, &distinct) {
		t.Errorf("same id twice: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	_, c, _ := serve(t, sqs.Config{Authority: gate{"sqs:PurgeQueue": true}})
	ctx := t.Context()
	q := create(t, c, "q", map[string]string{"MaximumMessageSize": "1024"})
	receive := func(max, wait int32) error {
		_, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q, MaxNumberOfMessages: max, WaitTimeSeconds: wait})
		return err
	}
	send := func(in awssqs.SendMessageInput) error {
		if in.QueueUrl = q; in.MessageBody == nil {
			in.MessageBody = aws.String("x")
		}
		_, err := c.SendMessage(ctx, &in)
		return err
	}
	createErr := func(name string, attrs map[string]string) error {
		_, err := c.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name, Attributes: attrs})
		return err
	}
	gone := strings.Replace(*q, "/q", "/none", 1)
	for _, k := range []struct {
		name string
		err  error
		want string
		says string
	}{
		{"more than ten messages", receive(11, 0), "InvalidParameterValue", "MaxNumberOfMessages"},
		{"a wait over 20 seconds", receive(1, 21), "InvalidParameterValue", "WaitTimeSeconds"},
		{"a body over the queue's limit", send(awssqs.SendMessageInput{MessageBody: aws.String(strings.Repeat("x", 1025))}), "InvalidParameterValue", "1024"},
		{"a control character", send(awssqs.SendMessageInput{MessageBody: aws.String("a\x01")}), "InvalidMessageContents", ""},
		{"a group id", send(awssqs.SendMessageInput{MessageGroupId: aws.String("g")}), "AWS.SimpleQueueService.UnsupportedOperation", "MessageGroupId"},
		{"a FIFO queue by name", createErr("q.fifo", nil), "AWS.SimpleQueueService.UnsupportedOperation", "FIFO"},
		{"a FIFO queue by attribute", createErr("f", map[string]string{"FifoQueue": "true"}), "AWS.SimpleQueueService.UnsupportedOperation", "FifoQueue"},
		{"an unknown attribute", createErr("u", map[string]string{"Colour": "red"}), "InvalidAttributeName", "Colour"},
		{"another value for a queue that is there", createErr("q", map[string]string{"DelaySeconds": "5"}), "QueueAlreadyExists", "DelaySeconds"},
		{"a queue that is not there", func() error {
			_, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: &gone, MessageBody: aws.String("x")})
			return err
		}(), "AWS.SimpleQueueService.NonExistentQueue", ""},
		{"a denied action, worded as AWS does", func() error {
			_, err := c.PurgeQueue(ctx, &awssqs.PurgeQueueInput{QueueUrl: q})
			return err
		}(), "AccessDenied", "is not authorized to perform: sqs:PurgeQueue on resource: " + sqs.ARN("q")},
		{"an operation that is not there", func() error {
			_, err := c.AddPermission(ctx, &awssqs.AddPermissionInput{QueueUrl: q, Label: aws.String("l"), AWSAccountIds: []string{"1"}, Actions: []string{"*"}})
			return err
		}(), "AWS.SimpleQueueService.UnsupportedOperation", "AddPermission"},
	} {
		t.Run(k.name, func(t *testing.T) {
			if k.err == nil || code(k.err) != k.want || !strings.Contains(k.err.Error(), k.says) {
				t.Errorf("error %v (code %s), want code %s saying %q", k.err, code(k.err), k.want, k.says)
			}
		})
	}
}

func TestALongPollWakesOnSendAndEndsWithTheClient(t *testing.T) {
	_, c, _ := serve(t, sqs.Config{})
	q := create(t, c, "q", nil)
	got := make(chan int, 1)
	go func() {
		out, err := c.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: q, WaitTimeSeconds: 20})
		if err != nil {
			got <- -1
			return
		}
		got <- len(out.Messages)
	}()
	if _, err := c.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: q, MessageBody: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-got:
		if n != 1 {
			t.Errorf("received %d, want 1", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("the long poll did not wake")
	}
}

func TestDeadLettersAreMovedBack(t *testing.T) {
	fast, err := clock.New(1000)
	if err != nil {
		t.Fatal(err)
	}
	_, c, _ := serve(t, sqs.Config{Clock: fast})
	ctx := t.Context()
	dlq := create(t, c, "dlq", nil)
	q := create(t, c, "q", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + sqs.ARN("dlq") + `","maxReceiveCount":"1"}`, "VisibilityTimeout": "0"})
	sent, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: q, MessageBody: aws.String("x")})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		out, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q})
		if err != nil || len(out.Messages) != want {
			t.Fatalf("receive %d: %v %v, want %d messages", i, out, err, want)
		}
	}
	if _, err := c.StartMessageMoveTask(ctx, &awssqs.StartMessageMoveTaskInput{SourceArn: aws.String(sqs.ARN("q"))}); code(err) != "InvalidParameterValue" {
		t.Errorf("a task from a queue that is nobody's DLQ: %v", err)
	}
	if src, err := c.ListDeadLetterSourceQueues(ctx, &awssqs.ListDeadLetterSourceQueuesInput{QueueUrl: dlq}); err != nil || len(src.QueueUrls) != 1 {
		t.Errorf("sources: %v %v", src, err)
	}
	if _, err := c.StartMessageMoveTask(ctx, &awssqs.StartMessageMoveTaskInput{SourceArn: aws.String(sqs.ARN("dlq"))}); err != nil {
		t.Fatal(err)
	}
	out, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q, WaitTimeSeconds: 20, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	for i := 0; i < 200 && err == nil && len(out.Messages) == 0; i++ { // 20 s are 20 ms here
		out, err = c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q, WaitTimeSeconds: 20, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	}
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("after the move: %v %v", out, err)
	}
	if m := out.Messages[0]; *m.MessageId == *sent.MessageId || m.Attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("a moved message is a new one; got %+v", m)
	}
	list, err := c.ListMessageMoveTasks(ctx, &awssqs.ListMessageMoveTasksInput{SourceArn: aws.String(sqs.ARN("dlq"))})
	if err != nil || len(list.Results) != 1 || list.Results[0].ApproximateNumberOfMessagesMoved != 1 {
		t.Errorf("tasks: %+v %v", list, err)
	}
}

func TestTheQueryProtocol(t *testing.T) {
	_, c, base := serve(t, sqs.Config{})
	q := create(t, c, "q", nil)
	post := func(form url.Values) (int, string) {
		res, err := http.PostForm(base+"/", form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	status, body := post(url.Values{"Action": {"SendMessage"}, "QueueUrl": {*q}, "MessageBody": {"a<b"},
		"MessageAttribute.1.Name": {"k"}, "MessageAttribute.1.Value.DataType": {"String"}, "MessageAttribute.1.Value.StringValue": {"v"}})
	if status != 200 || !strings.Contains(body, "<SendMessageResult><MessageId>") {
		t.Fatalf("send: %d %s", status, body)
	}
	status, body = post(url.Values{"Action": {"ReceiveMessage"}, "QueueUrl": {*q}, "AttributeName.1": {"ApproximateReceiveCount"}, "MessageAttributeName.1": {"All"}})
	for _, want := range []string{"<Message><MessageId>", "<Body>a&lt;b</Body>", "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>",
		"<MessageAttribute><Name>k</Name><Value><StringValue>v</StringValue><DataType>String</DataType></Value></MessageAttribute>"} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("receive: %d, %s, want %s", status, body, want)
		}
	}
	status, body = post(url.Values{"Action": {"GetQueueUrl"}, "QueueName": {"none"}})
	if status != 400 || !strings.Contains(body, "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>") {
		t.Errorf("no queue: %d %s", status, body)
	}
	status, body = post(url.Values{"Action": {"PurgeQueue"}, "QueueUrl": {*q}, "Force": {"yes"}})
	if status != 400 || !strings.Contains(body, "Force") {
		t.Errorf("unknown parameter: %d %s", status, body)
	}
}
