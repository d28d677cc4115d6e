package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// user is somebody with the deployment's variables and a queue that is
// subscribed to the notices.
type user struct {
	*services
	t       *testing.T
	s3      *s3.Client
	sqs     *sqs.Client
	sns     *sns.Client
	bedrock *bedrock.Client
	metrics *cloudwatch.Client
	logs    *cloudwatchlogs.Client
	input   string
	output  string
	*inbox
}

// inbox holds the notices that came.
type inbox struct {
	mu      sync.Mutex
	notices []notice
	failure error
}

// in is the user in the hands of a subtest.
func (u *user) in(t *testing.T) *user {
	v := *u
	v.t = t
	return &v
}

// begin starts services and a user of theirs.
func begin(t *testing.T, s setup) *user {
	t.Helper()
	w := serve(t, s)
	cfg := aws.Config{
		Region: w.env["AWS_REGION"], BaseEndpoint: aws.String(w.env["AWS_ENDPOINT_URL"]),
		Credentials: credentials.NewStaticCredentialsProvider(w.env["AWS_ACCESS_KEY_ID"], w.env["AWS_SECRET_ACCESS_KEY"], ""),
	}
	u := &user{
		services: w, t: t, input: w.env["BB_INPUT_BUCKET"], output: w.env["BB_OUTPUT_BUCKET"], inbox: &inbox{},
		s3: s3.NewFromConfig(cfg), sqs: sqs.NewFromConfig(cfg), sns: sns.NewFromConfig(cfg), bedrock: bedrock.NewFromConfig(cfg),
		metrics: cloudwatch.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg),
	}
	queue := u.subscribe("notices", "")
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.listen(ctx, queue)
	}()
	t.Cleanup(func() { stop(); <-done })
	return u
}

// subscribe makes a queue that gets the notices which pass the filter.
func (u *user) subscribe(name, filter string) (url string) {
	u.t.Helper()
	return u.subscribeTo(u.env["BB_TOPIC_ARN"], name, filter)
}

// subscribeTo makes a queue that gets what a topic publishes.
func (u *user) subscribeTo(topic, name, filter string) (url string) {
	u.t.Helper()
	arn := strings.Replace(topic[:strings.LastIndexByte(topic, ':')+1]+name, ":sns:", ":sqs:", 1)
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":%q,
		"Principal":{"Service":"sns.amazonaws.com"},"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, arn, topic)
	queue, err := u.sqs.CreateQueue(u.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{"Policy": policy}})
	if err != nil {
		u.t.Fatal(err)
	}
	attributes := map[string]string{"RawMessageDelivery": "true"}
	if filter != "" {
		attributes["FilterPolicy"] = filter
	}
	if _, err := u.sns.Subscribe(u.t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("sqs"), Endpoint: &arn, Attributes: attributes}); err != nil {
		u.t.Fatal(err)
	}
	return *queue.QueueUrl
}

// listen collects notices until ctx ends.
func (u *user) listen(ctx context.Context, queue string) {
	for ctx.Err() == nil {
		got, err := u.receive(ctx, queue)
		u.mu.Lock()
		u.notices = append(u.notices, got...)
		if err != nil && ctx.Err() == nil {
			u.failure = err
			u.mu.Unlock()
			return
		}
		u.mu.Unlock()
	}
}

// receive takes what a queue of notices has, waiting up to a second.
func (u *user) receive(ctx context.Context, queue string) ([]notice, error) {
	got, err := u.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 20,
		MessageAttributeNames: []string{"All"}})
	if err != nil {
		return nil, err
	}
	var all []notice
	for _, m := range got.Messages {
		n := notice{Attributes: map[string]string{}, Raw: *m.Body}
		if err := json.Unmarshal([]byte(*m.Body), &n); err != nil {
			return all, fmt.Errorf("a notice cannot be read: %w", err)
		}
		for name, a := range m.MessageAttributes {
			n.Attributes[name] = aws.ToString(a.StringValue)
		}
		all = append(all, n)
		if _, err := u.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
			return all, err
		}
	}
	return all, nil
}

// notice is the message that tells how a submission ended.
type notice struct {
	NoticeID, Status, Reason, Submission, Workload, ModelID string
	Request                                                 string
	Upload                                                  struct{ Bucket, Key, VersionID string }
	Rows                                                    struct{ Total, Answered, Failed, SetAside, Missing, Known int64 }
	Answers                                                 struct{ Truncated int64 }
	Tokens                                                  struct{ Input, Output int64 }
	EstimatedCostUSD                                        *float64
	Results                                                 struct{ Results, CSV, Errors, SetAside, Summary string }
	Jobs                                                    []struct {
		JobArn, Status string
		Records        int64
	}
	Errors []struct {
		Code, Message string
		Count         int64
	}

	Attributes map[string]string `json:"-"`
	Raw        string            `json:"-"`
}

// within polls until ready says nothing any more, or fails the test with what
// it said last.
func (u *user) within(limit time.Duration, what string, ready func() (waitingFor string)) {
	u.t.Helper()
	u.watch(limit, 50*time.Millisecond, what, ready)
}

func (u *user) watch(limit, every time.Duration, what string, ready func() (waitingFor string)) {
	u.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		why := ready()
		if why == "" {
			return
		}
		select {
		case <-deadline.C:
			u.t.Fatalf("%s: not within %v: %s", what, limit, why)
		case <-tick.C:
		}
	}
}

// said are the notices so far.
func (u *user) said() []notice {
	u.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failure != nil {
		u.t.Fatal("listen to the notices:", u.failure)
	}
	return slices.Clone(u.notices)
}

// about waits for n notices on a key (uploads), or on a folder's first object.
func (u *user) about(key string, n int) []notice {
	u.t.Helper()
	var found []notice
	u.within(*patience, "notice on "+key, func() string {
		found = slices.DeleteFunc(u.said(), func(n notice) bool { return n.Upload.Key != key })
		if len(found) < n {
			return fmt.Sprintf("%d of %d came; in the output bucket: %s", len(found), n, u.brief(""))
		}
		return ""
	})
	if len(found) > n {
		u.t.Fatalf("%d notices on %s, want %d: %+v", len(found), key, n, found)
	}
	return found
}

// notice waits for the one notice on an upload.
func (u *user) notice(key string) notice {
	u.t.Helper()
	return u.about(key, 1)[0]
}

// drop puts an object into the input bucket and returns its version.
func (u *user) drop(key string, body []byte) string {
	u.t.Helper()
	out, err := u.s3.PutObject(u.t.Context(), &s3.PutObjectInput{Bucket: &u.input, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		u.t.Fatalf("drop %s: %v", key, err)
	}
	return aws.ToString(out.VersionId)
}

// setting puts a workload.yaml.
func (u *user) settings(folder, text string) {
	u.t.Helper()
	u.drop(folder+"workload.yaml", []byte(text))
}

// open streams an s3:// URI.
func (u *user) open(uri string) io.ReadCloser {
	u.t.Helper()
	bucket, key, ok := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !ok {
		u.t.Fatalf("%q is no s3:// URI", uri)
	}
	out, err := u.s3.GetObject(u.t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		u.t.Fatalf("read %s: %v", uri, err)
	}
	return out.Body
}

func (u *user) read(uri string) []byte {
	u.t.Helper()
	body := u.open(uri)
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		u.t.Fatalf("read %s: %v", uri, err)
	}
	return data
}

// exists reports whether the output bucket has the key.
func (u *user) exists(key string) bool {
	u.t.Helper()
	_, err := u.s3.HeadObject(u.t.Context(), &s3.HeadObjectInput{Bucket: &u.output, Key: &key})
	var missing *s3types.NotFound
	if err != nil && !errors.As(err, &missing) {
		u.t.Fatalf("look at %s: %v", key, err)
	}
	return err == nil
}

// keys lists the output bucket.
func (u *user) keys(prefix string) []string {
	u.t.Helper()
	var all []string
	pages := s3.NewListObjectsV2Paginator(u.s3, &s3.ListObjectsV2Input{Bucket: &u.output, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(u.t.Context())
		if err != nil {
			u.t.Fatalf("list %s: %v", prefix, err)
		}
		for _, o := range page.Contents {
			all = append(all, *o.Key)
		}
	}
	return all
}

// brief shows what is below a prefix of the output bucket.
func (u *user) brief(prefix string) string {
	u.t.Helper()
	keys := u.keys(prefix)
	return fmt.Sprintf("%d objects %.1500q", len(keys), keys[:min(len(keys), 12)])
}

// job is a model invocation job as its list shows it.
type job struct {
	arn, name, status, model string
	records                  int64
}

// jobs are all, the oldest first.
func (u *user) jobs() []job {
	u.t.Helper()
	var all []job
	pages := bedrock.NewListModelInvocationJobsPaginator(u.bedrock, &bedrock.ListModelInvocationJobsInput{SortOrder: types.SortOrderAscending})
	for pages.HasMorePages() {
		page, err := pages.NextPage(u.t.Context())
		if err != nil {
			u.t.Fatal("list jobs:", err)
		}
		for _, j := range page.InvocationJobSummaries {
			all = append(all, job{*j.JobArn, *j.JobName, string(j.Status), *j.ModelId, aws.ToInt64(j.TotalRecordCount)})
		}
	}
	return all
}

// queue is the URL of one of the stack's queues: uploads, jobs, uploads-dead,
// jobs-dead, undelivered.
func (u *user) queue(name string) string {
	url := u.env["BB_UPLOADS_QUEUE_URL"]
	return url[:strings.LastIndexByte(url, '/')+1] + stackName + "-" + name
}

// depth counts a queue's messages: those to be had, those in flight and those
// delayed.
func (u *user) depth(name string) (visible, inFlight, delayed int) {
	u.t.Helper()
	out, err := u.sqs.GetQueueAttributes(u.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(u.queue(name)), AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll}})
	if err != nil {
		u.t.Fatalf("look at queue %s: %v", name, err)
	}
	count := func(attribute string) int {
		n, err := strconv.Atoi(out.Attributes[attribute])
		if err != nil {
			u.t.Fatalf("queue %s: attribute %s: %v", name, attribute, err)
		}
		return n
	}
	return count("ApproximateNumberOfMessages"), count("ApproximateNumberOfMessagesNotVisible"), count("ApproximateNumberOfMessagesDelayed")
}

func (u *user) send(queue, body string) {
	u.t.Helper()
	if _, err := u.sqs.SendMessage(u.t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(u.queue(queue)), MessageBody: &body}); err != nil {
		u.t.Fatal(err)
	}
}

// ended checks that nothing is left to do or lies about: no marker, no staged
// object, no message, nobody's dead letter, no second notice.
func (u *user) ended() {
	u.t.Helper()
	u.within(*patience, "the end of all work", func() string {
		for _, prefix := range []string{"open/", "waiting/", "gather/", "staged/"} {
			if len(u.keys(prefix)) > 0 {
				return prefix + " holds " + u.brief(prefix)
			}
		}
		for _, name := range []string{"uploads", "jobs"} {
			if visible, inFlight, delayed := u.depth(name); visible+inFlight+delayed > 0 {
				return fmt.Sprintf("queue %s has %d messages, %d in flight, %d delayed", name, visible, inFlight, delayed)
			}
		}
		return ""
	})
	for _, name := range []string{"uploads-dead", "jobs-dead", "undelivered"} {
		if visible, inFlight, delayed := u.depth(name); visible+inFlight+delayed > 0 {
			u.t.Errorf("queue %s has %d messages", name, visible+inFlight+delayed)
		}
	}
	seen := map[string]bool{}
	for _, n := range u.said() {
		if seen[n.Submission] {
			u.t.Errorf("two notices on submission %s (%s)", n.Submission, n.Upload.Key)
		}
		seen[n.Submission] = true
		if r := n.Rows; r.Total != r.Answered+r.Failed+r.SetAside+r.Missing {
			u.t.Errorf("rows of %s do not add up: %+v", n.Upload.Key, r)
		}
	}
}
