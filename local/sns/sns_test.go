package sns_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sns"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// gate allows all but the pairs of action and resource in it.
type gate map[string]bool

func (g gate) Check(_ context.Context, c access.Call) error {
	if g[c.Action+" "+c.Resource] {
		return &access.Denial{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Why: "because no policy allows the " + c.Action + " action"}
	}
	return nil
}

func (gate) AsService(service, arn string) *access.Principal {
	return &access.Principal{Name: service, Service: service, Context: map[string][]string{"aws:SourceArn": {arn}}}
}

var user = &access.Principal{Name: "user", ARN: "arn:aws:iam::123456789012:user/user"}

type stack struct {
	*awssns.Client
	service *sns.Service
	queues  *sqs.Service
	mail    string
	topic   string
	url     string
}

func start(t *testing.T, g gate, dir string) *stack {
	t.Helper()
	q, err := sqs.New(sqs.Config{Authority: g})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"q", "dead"} {
		if err := q.Declare(name, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	var s *sns.Service
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), user)))
	}))
	mail := filepath.Join(t.TempDir(), "mail")
	if s, err = sns.New(sns.Config{Endpoint: srv.URL, MailDir: mail, Dir: dir, Authority: g, Queues: q}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		srv.Close()
		if err := errors.Join(s.Close(), q.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := s.Declare("notices", map[string]string{"DisplayName": "Bedrock batch"}); err != nil {
		t.Fatal(err)
	}
	client := awssns.New(awssns.Options{Region: access.Region, BaseEndpoint: &srv.URL, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", "")})
	return &stack{client, s, q, mail, sns.ARN("notices"), srv.URL}
}

func (s *stack) subscribe(t *testing.T, protocol, endpoint string, attrs map[string]string) string {
	t.Helper()
	out, err := s.Subscribe(t.Context(), &awssns.SubscribeInput{TopicArn: &s.topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: attrs, ReturnSubscriptionArn: true})
	if err != nil {
		t.Fatal(err)
	}
	return *out.SubscriptionArn
}

func (s *stack) received(t *testing.T, name string) []sqs.Message {
	t.Helper()
	m, err := s.queues.ReceiveAs(t.Context(), user, sqs.ARN(name), 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func text(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &s}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestAQueueGetsTheEnvelope(t *testing.T) {
	s := start(t, gate{}, "")
	s.subscribe(t, "sqs", sqs.ARN("q"), nil)
	out, err := s.Publish(t.Context(), &awssns.PublishInput{TopicArn: &s.topic, Message: aws.String(`{"default":"d","sqs":"for <queues>"}`), MessageStructure: aws.String("json"),
		Subject: aws.String("Done"), MessageAttributes: map[string]types.MessageAttributeValue{"status": text("Completed")}})
	if err != nil {
		t.Fatal(err)
	}
	m := s.received(t, "q")
	if len(m) != 1 {
		t.Fatalf("got %d messages", len(m))
	}
	var e struct {
		Type, MessageId, TopicArn, Subject, Message, Timestamp, SignatureVersion, UnsubscribeURL string
		MessageAttributes                                                                        map[string]struct{ Type, Value string }
	}
	if err := json.Unmarshal([]byte(m[0].Body), &e); err != nil {
		t.Fatal(err)
	}
	if e.Type != "Notification" || e.MessageId != *out.MessageId || e.TopicArn != s.topic || e.Subject != "Done" || e.Message != "for <queues>" || e.MessageAttributes["status"].Value != "Completed" || e.UnsubscribeURL == "" {
		t.Errorf("envelope %+v", e)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", e.Timestamp); err != nil {
		t.Error(err)
	}
}

func TestRawDeliveryPassesTextAndAttributes(t *testing.T) {
	s := start(t, gate{}, "")
	s.subscribe(t, "sqs", sqs.ARN("q"), map[string]string{"RawMessageDelivery": "true"})
	if _, err := s.Publish(t.Context(), &awssns.PublishInput{TopicArn: &s.topic, Message: aws.String("plain"), MessageAttributes: map[string]types.MessageAttributeValue{"b": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}}}}); err != nil {
		t.Fatal(err)
	}
	m := s.received(t, "q")
	if len(m) != 1 || m[0].Body != "plain" || string(m[0].MessageAttributes["b"].BinaryValue) != "\x00\xff" {
		t.Errorf("got %+v", m)
	}
}

func TestFilterPolicies(t *testing.T) {
	for _, c := range []struct {
		name, filter, scope, message string
		attrs                        map[string]types.MessageAttributeValue
		want                         bool
	}{
		{"an attribute that fits", `{"status":["Failed",{"prefix":"Complete"}]}`, "", "m", map[string]types.MessageAttributeValue{"status": text("CompletedWithErrors")}, true},
		{"an attribute that does not", `{"status":["Failed"]}`, "", "m", map[string]types.MessageAttributeValue{"status": text("Completed")}, false},
		{"an attribute that is missing", `{"status":["Failed"]}`, "", "m", nil, false},
		{"a number in a range", `{"n":[{"numeric":[">",100]}]}`, "", "m", map[string]types.MessageAttributeValue{"n": {DataType: aws.String("Number"), StringValue: aws.String("150")}}, true},
		{"an element of an array", `{"tags":["b"]}`, "", "m", map[string]types.MessageAttributeValue{"tags": {DataType: aws.String("String.Array"), StringValue: aws.String(`["a","b"]`)}}, true},
		{"the body, nested", `{"rows":{"failed":[{"numeric":[">",0]}]}}`, "MessageBody", `{"rows":{"failed":2}}`, nil, true},
		{"the body, not fitting", `{"rows":{"failed":[{"numeric":[">",0]}]}}`, "MessageBody", `{"rows":{"failed":0}}`, nil, false},
		{"a body that is no JSON", `{"rows":{"failed":[0]}}`, "MessageBody", `plain`, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, gate{}, "")
			attrs := map[string]string{"FilterPolicy": c.filter}
			if c.scope != "" {
				attrs["FilterPolicyScope"] = c.scope
			}
			s.subscribe(t, "sqs", sqs.ARN("q"), attrs)
			if _, err := s.Publish(t.Context(), &awssns.PublishInput{TopicArn: &s.topic, Message: &c.message, MessageAttributes: c.attrs}); err != nil {
				t.Fatal(err)
			}
			if got := len(s.received(t, "q")) == 1; got != c.want {
				t.Errorf("delivered: %v, want %v", got, c.want)
			}
		})
	}
}

func TestAMailboxIsAskedFirstThenGetsFiles(t *testing.T) {
	s := start(t, gate{}, "")
	mails := func() []string {
		files, err := filepath.Glob(filepath.Join(s.mail, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(b))
		}
		return out
	}
	out, err := s.Subscribe(t.Context(), &awssns.SubscribeInput{TopicArn: &s.topic, Protocol: aws.String("email"), Endpoint: aws.String("a@example.com")})
	if err != nil || *out.SubscriptionArn != "pending confirmation" {
		t.Fatalf("%v %v", out, err)
	}
	publish := func() {
		if _, err := s.Publish(t.Context(), &awssns.PublishInput{TopicArn: &s.topic, Subject: aws.String("Fertig"), Message: aws.String("line 1\nline 2")}); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	first := mails()
	if len(first) != 1 || !strings.Contains(first[0], "Token: ") {
		t.Fatalf("mails %q, want the confirmation alone", first)
	}
	token := strings.TrimSpace(first[0][strings.Index(first[0], "Token: ")+len("Token: "):])
	if _, err := s.ConfirmSubscription(t.Context(), &awssns.ConfirmSubscriptionInput{TopicArn: &s.topic, Token: &token}); err != nil {
		t.Fatal(err)
	}
	publish()
	all := mails()
	if len(all) != 2 || !strings.Contains(all[1], "Subject: Fertig\r\n") || !strings.Contains(all[1], "From: Bedrock batch <") || !strings.Contains(all[1], "line 1\r\nline 2\r\n") {
		t.Errorf("mails %q", all)
	}
}

func TestAnHTTPEndpointConfirmsAndIsServed(t *testing.T) {
	s := start(t, gate{}, "")
	type post struct {
		kind string
		body map[string]any
	}
	posts := make(chan post, 10)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		posts <- post{r.Header.Get("x-amz-sns-message-type"), body}
	}))
	defer endpoint.Close()
	s.subscribe(t, "http", endpoint.URL+"/hook", nil)
	ask := <-posts
	link, ok := ask.body["SubscribeURL"].(string)
	if ask.kind != "SubscriptionConfirmation" || !ok {
		t.Fatalf("asked by %+v", ask)
	}
	res, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 200 || !strings.Contains(string(b), "<SubscriptionArn>"+s.topic) {
		t.Fatalf("confirm: %s %s %v", res.Status, b, err)
	}
	if _, err := s.Publish(t.Context(), &awssns.PublishInput{TopicArn: &s.topic, Message: aws.String("hello")}); err != nil {
		t.Fatal(err)
	}
	if got := <-posts; got.kind != "Notification" || got.body["Message"] != "hello" {
		t.Errorf("posted %+v", got)
	}
}

func TestADeniedDeliveryGoesToTheDeadLetters(t *testing.T) {
	s := start(t, gate{"sqs:SendMessage " + sqs.ARN("q"): true}, "")
	s.subscribe(t, "sqs", sqs.ARN("q"), map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + sqs.ARN("dead") + `"}`})
	if _, err := s.Publish(t.Context(), &awssns.PublishInput{TopicArn: &s.topic, Message: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	if m := s.received(t, "dead"); len(m) != 1 || !strings.Contains(m[0].Body, `"Message":"x"`) {
		t.Errorf("dead letters %v", m)
	}
}

func TestABatchReportsEachEntry(t *testing.T) {
	s := start(t, gate{}, "")
	s.subscribe(t, "sqs", sqs.ARN("q"), nil)
	out, err := s.PublishBatch(t.Context(), &awssns.PublishBatchInput{TopicArn: &s.topic, PublishBatchRequestEntries: []types.PublishBatchRequestEntry{
		{Id: aws.String("a"), Message: aws.String("1"), MessageAttributes: map[string]types.MessageAttributeValue{"k": text("v")}},
		{Id: aws.String("b"), Message: aws.String("2"), Subject: aws.String("two\nlines")},
	}})
	if err != nil || len(out.Successful) != 1 || len(out.Failed) != 1 || *out.Failed[0].Id != "b" || !out.Failed[0].SenderFault {
		t.Errorf("%+v %v", out, err)
	}
	if n := len(s.received(t, "q")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, gate{"sns:DeleteTopic " + sns.ARN("notices"): true}, "")
	publish := func(in awssns.PublishInput) error {
		if in.TopicArn == nil && in.PhoneNumber == nil {
			in.TopicArn = &s.topic
		}
		if in.Message == nil {
			in.Message = aws.String("m")
		}
		_, err := s.Publish(t.Context(), &in)
		return err
	}
	subscribe := func(protocol, endpoint string, attrs map[string]string) error {
		_, err := s.Subscribe(t.Context(), &awssns.SubscribeInput{TopicArn: &s.topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: attrs})
		return err
	}
	q := sqs.ARN("q")
	for _, c := range []struct {
		name       string
		err        error
		code, says string
	}{
		{"a subject of 100 characters", publish(awssns.PublishInput{Subject: aws.String(strings.Repeat("s", 100))}), "InvalidParameter", "Subject"},
		{"a message over 256 KiB", publish(awssns.PublishInput{Message: aws.String(strings.Repeat("m", 256<<10+1))}), "InvalidParameter", "too long"},
		{"a structure without default", publish(awssns.PublishInput{Message: aws.String(`{"sqs":"x"}`), MessageStructure: aws.String("json")}), "InvalidParameter", "default"},
		{"a structure with a key twice", publish(awssns.PublishInput{Message: aws.String(`{"default":"x","default":"y"}`), MessageStructure: aws.String("json")}), "InvalidParameter", "parse"},
		{"an empty attribute", publish(awssns.PublishInput{MessageAttributes: map[string]types.MessageAttributeValue{"k": text("")}}), "InvalidParameter", "'k'"},
		{"a group", publish(awssns.PublishInput{MessageGroupId: aws.String("g")}), "InvalidParameter", "MessageGroupId"},
		{"a telephone", publish(awssns.PublishInput{PhoneNumber: aws.String("+1")}), "InvalidParameter", "PhoneNumber"},
		{"a topic that is not there", publish(awssns.PublishInput{TopicArn: aws.String(sns.ARN("none"))}), "NotFound", "Topic"},
		{"an unknown protocol", subscribe("sms", "+1", nil), "InvalidParameter", "sms"},
		{"an unknown operator in a filter", subscribe("sqs", q, map[string]string{"FilterPolicy": `{"a":[{"regex":"x"}]}`}), "InvalidParameter", "regex"},
		{"a nested filter over attributes", subscribe("sqs", q, map[string]string{"FilterPolicy": `{"a":{"b":["x"]}}`}), "InvalidParameter", "nested"},
		{"a filter of six keys", subscribe("sqs", q, map[string]string{"FilterPolicy": `{"a":["x"],"b":["x"],"c":["x"],"d":["x"],"e":["x"],"f":["x"]}`}), "InvalidParameter", "5 keys"},
		{"an unknown attribute of a subscription", subscribe("sqs", q, map[string]string{"DeliveryPolicy": `{}`}), "InvalidParameter", "DeliveryPolicy"},
		{"a denied action", func() error {
			_, err := s.DeleteTopic(t.Context(), &awssns.DeleteTopicInput{TopicArn: &s.topic})
			return err
		}(), "AuthorizationError", "is not authorized to perform: sns:DeleteTopic on resource: " + s.topic},
		{"a FIFO topic", func() error {
			_, err := s.CreateTopic(t.Context(), &awssns.CreateTopicInput{Name: aws.String("t.fifo")})
			return err
		}(), "InvalidParameter", "FIFO"},
		{"an operation that is not there", func() error {
			_, err := s.ListPhoneNumbersOptedOut(t.Context(), &awssns.ListPhoneNumbersOptedOutInput{})
			return err
		}(), "InvalidAction", "ListPhoneNumbersOptedOut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.err == nil || code(c.err) != c.code || !strings.Contains(c.err.Error(), c.says) {
				t.Errorf("error %v (code %s), want %s saying %q", c.err, code(c.err), c.code, c.says)
			}
		})
	}
	res, err := http.PostForm(s.url, url.Values{"Action": {"ListTopics"}, "Colour": {"red"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 400 || !strings.Contains(string(b), "Colour") {
		t.Errorf("unknown parameter: %s %s", res.Status, b)
	}
}

func TestTopicsAndSubscriptionsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, gate{}, dir)
	ctx := t.Context()
	made, err := s.CreateTopic(ctx, &awssns.CreateTopicInput{Name: aws.String("own"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetTopicAttributes(ctx, &awssns.SetTopicAttributesInput{TopicArn: made.TopicArn, AttributeName: aws.String("DisplayName"), AttributeValue: aws.String("Own")}); err != nil {
		t.Fatal(err)
	}
	mine := s.subscribe(t, "sqs", sqs.ARN("q"), map[string]string{"FilterPolicy": `{"a":["x"]}`})
	if err := s.service.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, gate{}, dir)
	declared, err := again.service.DeclareSubscription(again.topic, "email", "a@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	topics, err := again.ListTopics(ctx, &awssns.ListTopicsInput{})
	if err != nil || len(topics.Topics) != 2 {
		t.Errorf("topics %+v %v", topics, err)
	}
	tags, err := again.ListTagsForResource(ctx, &awssns.ListTagsForResourceInput{ResourceArn: made.TopicArn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "v" {
		t.Errorf("tags %+v %v", tags, err)
	}
	subs, err := again.ListSubscriptionsByTopic(ctx, &awssns.ListSubscriptionsByTopicInput{TopicArn: &again.topic})
	if err != nil || len(subs.Subscriptions) != 2 || *subs.Subscriptions[0].SubscriptionArn != mine || *subs.Subscriptions[1].SubscriptionArn != declared {
		t.Errorf("subscriptions %+v %v", subs, err)
	}
	attrs, err := again.GetSubscriptionAttributes(ctx, &awssns.GetSubscriptionAttributesInput{SubscriptionArn: &mine})
	if err != nil || attrs.Attributes["FilterPolicy"] != `{"a":["x"]}` || attrs.Attributes["FilterPolicyScope"] != "MessageAttributes" {
		t.Errorf("attributes %+v %v", attrs, err)
	}
	if _, err := again.Unsubscribe(ctx, &awssns.UnsubscribeInput{SubscriptionArn: &mine}); err != nil {
		t.Fatal(err)
	}
	topic, err := again.GetTopicAttributes(ctx, &awssns.GetTopicAttributesInput{TopicArn: &again.topic})
	if err != nil || topic.Attributes["SubscriptionsConfirmed"] != "1" || topic.Attributes["DisplayName"] != "Bedrock batch" {
		t.Errorf("topic %+v %v", topic, err)
	}
	if _, err := again.DeleteTopic(ctx, &awssns.DeleteTopicInput{TopicArn: made.TopicArn}); err != nil {
		t.Fatal(err)
	}
}
