package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// client is a user with the services' variables.
type client struct {
	env     map[string]string
	s3      *s3.Client
	sns     *sns.Client
	sqs     *sqs.Client
	bedrock *bedrock.Client
	queue   string // URL
}

func newClient(env map[string]string) *client {
	cfg := aws.Config{
		Region:       env["AWS_REGION"],
		BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]),
		Credentials:  credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	}
	return &client{env: env, s3: s3.NewFromConfig(cfg), sns: sns.NewFromConfig(cfg), sqs: sqs.NewFromConfig(cfg), bedrock: bedrock.NewFromConfig(cfg)}
}

// subscribe makes a queue of its own and subscribes it to the notices.
func (c *client) subscribe(ctx context.Context) error {
	const name = "demo-notices"
	topic := c.env["BB_TOPIC_ARN"]
	// topic is arn:aws:sns:region:account:name
	arn := strings.Replace(topic[:strings.LastIndexByte(topic, ':')+1]+name, ":sns:", ":sqs:", 1)
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn,
		"Principal": map[string]string{"Service": "sns.amazonaws.com"},
		"Condition": map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": topic}},
	}}})
	if err != nil {
		return fmt.Errorf("write the queue's policy: %w", err)
	}
	queue, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: map[string]string{"Policy": string(policy)}})
	if err != nil {
		return fmt.Errorf("make the queue for notices: %w", err)
	}
	c.queue = *queue.QueueUrl
	_, err = c.sns.Subscribe(ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("sqs"), Endpoint: &arn,
		Attributes: map[string]string{"RawMessageDelivery": "true"}})
	if err != nil {
		return fmt.Errorf("subscribe to the notices: %w", err)
	}
	return nil
}

// notices takes what has come, waiting up to a second.
func (c *client) notices(ctx context.Context) ([]notice, error) {
	got, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &c.queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
	if err != nil {
		return nil, fmt.Errorf("receive notices: %w", err)
	}
	var all []notice
	for _, m := range got.Messages {
		var n notice
		if err := json.Unmarshal([]byte(aws.ToString(m.Body)), &n); err != nil {
			return nil, fmt.Errorf("a notice cannot be read: %w", err)
		}
		all = append(all, n)
		if _, err := c.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &c.queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
			return nil, fmt.Errorf("delete a received notice: %w", err)
		}
	}
	return all, nil
}

// put drops a file into the input bucket.
func (c *client) put(ctx context.Context, key string, body []byte) error {
	_, err := c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(c.env["BB_INPUT_BUCKET"]), Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		return fmt.Errorf("drop %s: %w", key, err)
	}
	return nil
}

// open streams what an s3:// URI names.
func (c *client) open(ctx context.Context, uri string) (io.ReadCloser, error) {
	bucket, key, ok := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !ok || !strings.HasPrefix(uri, "s3://") {
		return nil, fmt.Errorf("%q is not an s3:// address", uri)
	}
	got, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", uri, err)
	}
	return got.Body, nil
}

// progress is how far the newest submission of an upload is; nil if there is
// nothing to see yet.
func (c *client) progress(ctx context.Context, key string) (*progress, error) {
	bucket := c.env["BB_OUTPUT_BUCKET"]
	pages := s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("results/" + key + "/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look for progress: %w", err)
		}
		for _, o := range page.Contents {
			if !strings.HasSuffix(*o.Key, "/progress.json") {
				continue
			}
			body, err := c.open(ctx, "s3://"+bucket+"/"+*o.Key)
			var gone *s3types.NoSuchKey
			if errors.As(err, &gone) {
				return nil, nil // it goes when the submission ends
			}
			if err != nil {
				return nil, err
			}
			var p progress
			err = json.NewDecoder(body).Decode(&p)
			if err = errors.Join(err, body.Close()); err != nil {
				return nil, fmt.Errorf("read the progress of %s: %w", key, err)
			}
			return &p, nil
		}
	}
	return nil, nil
}

// jobs says in one line each how far the jobs are, the oldest first.
func (c *client) jobs(ctx context.Context) ([]string, error) {
	pages := bedrock.NewListModelInvocationJobsPaginator(c.bedrock, &bedrock.ListModelInvocationJobsInput{SortOrder: bedrocktypes.SortOrderAscending})
	var all []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look at the jobs: %w", err)
		}
		for _, j := range page.InvocationJobSummaries {
			line := fmt.Sprintf("job %s %s", (*j.JobArn)[strings.LastIndexByte(*j.JobArn, '/')+1:], j.Status)
			if total := aws.ToInt64(j.TotalRecordCount); total > 0 {
				line += fmt.Sprintf(", %d of %d records", aws.ToInt64(j.ProcessedRecordCount), total)
			}
			all = append(all, line)
		}
	}
	return all, nil
}

// notice is what the topic sends when a submission has ended.
type notice struct {
	NoticeID, Status, Reason, Submission, Workload, ModelID string
	Upload                                                  struct{ Bucket, Key string }
	Rows                                                    struct{ Total, Answered, Failed, SetAside, Missing int64 }
	Tokens                                                  struct{ Input, Output int64 }
	EstimatedCostUSD                                        *float64
	Results                                                 struct{ Results, Errors, SetAside, Summary, Warehouse string }
	Jobs                                                    []struct{ JobArn, Status string }
	Errors                                                  []struct {
		Code, Message string
		Count         int64
	}
}

// progress is progress.json.
type progress struct {
	State string
	Rows  struct{ Total, Answered, Failed, SetAside int64 }
	Parts struct{ Waiting, Running, Ended int }
}
