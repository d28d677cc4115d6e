package awstest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/awstest"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrockruntime"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sns"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sqs"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

func TestMain(m *testing.M) { awstest.Main(m) }

const haiku = "anthropic.claude-3-haiku-20240307-v1:0"

// One start serves all suites: each works in a corner of its own.
func TestAdaptersKeepTheContractsOverTheLocalServices(t *testing.T) {
	services := awstest.Start(t, "--slots", "3", "--job-time", "1s")
	cfg := services.Config(t)
	contract := s3.New(cfg, "contract", s3.Settings{})
	versioned := s3.New(cfg, "contract-versioned", s3.Settings{})

	t.Run("s3 documents", func(t *testing.T) {
		batchtest.Documents(t, func() batch.Documents { return contract })
	})
	t.Run("s3 files without versions", func(t *testing.T) {
		batchtest.Files(t, func() batch.Bucket { return contract })
	})
	t.Run("s3 files with versions", func(t *testing.T) {
		batchtest.Files(t, func() batch.Bucket { return versioned })
	})
	t.Run("bedrock jobs", func(t *testing.T) {
		var records strings.Builder
		for i := range 100 {
			fmt.Fprintf(&records, `{"recordId":"r%010d","modelInput":{"messages":[{"role":"user","content":[{"text":"Say %d."}]}]}}`+"\n", i, i)
		}
		if _, err := contract.Put(t.Context(), "jobs/part.jsonl", []byte(records.String()), batch.Condition{}); err != nil {
			t.Fatal(err)
		}
		jobs := bedrock.New(cfg)
		batchtest.Jobs(t, func() batchtest.Account {
			return batchtest.Account{
				Jobs:  jobs,
				Slots: 4,
				Spec: func(name string) batch.JobSpec {
					return batch.JobSpec{
						Name: name, ModelID: haiku, Invocation: batch.Converse,
						RoleARN: services.Env["BB_JOB_ROLE_ARN"],
						Input:   "s3://contract/jobs/part.jsonl", Output: "s3://contract/jobs-out/" + name + "/",
					}
				},
				End: func(t *testing.T, arn string) { end(t, jobs, arn) },
			}
		})
	})
	t.Run("bedrock-runtime model", func(t *testing.T) {
		batchtest.Model(t, func() batchtest.Inference {
			return batchtest.Inference{Model: bedrockruntime.New(cfg), ModelID: haiku}
		})
	})
	t.Run("sqs queue", func(t *testing.T) {
		url := services.Env["BB_UPLOADS_QUEUE_URL"]
		client := awssqs.NewFromConfig(cfg)
		batchtest.Queue(t, func() batchtest.Line {
			return batchtest.Line{Send: sqs.New(cfg, url).Send, Receive: func(t *testing.T, within time.Duration) ([]byte, bool) {
				return receive(t, client, url, within)
			}}
		})
	})
	t.Run("sns topic", func(t *testing.T) {
		topic := sns.New(cfg, services.Env["BB_TOPIC_ARN"])
		err := topic.Publish(t.Context(), pipeline.Publication{
			Subject: "reviews: Completed", JSON: `{"version":1}`, Email: "All is well.", Attributes: map[string]string{"status": "Completed"},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = sns.New(cfg, services.Env["BB_TOPIC_ARN"]+"-absent").Publish(t.Context(), pipeline.Publication{JSON: "{}"})
		if !errors.Is(err, batch.ErrNotFound) {
			t.Fatalf("a topic that is not there: %v", err)
		}
	})
}

// end stops a job, unless it has ended, and waits until Get says so. It may
// run when the test's own context has ended.
func end(t *testing.T, jobs batch.Jobs, arn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := jobs.Stop(ctx, arn); err != nil && !errors.Is(err, batch.ErrConflict) {
		t.Fatal(err)
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		j, err := jobs.Get(ctx, arn)
		if err != nil {
			t.Fatal(err)
		}
		if j.Status.Terminal() {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("job %s is still %s", arn, j.Status)
		}
	}
}

// receive polls in short steps. The SDK may lose an answer that comes while its
// request's last byte is being written: what it held is then in flight, and
// comes again soon.
func receive(t *testing.T, client *awssqs.Client, url string, within time.Duration) ([]byte, bool) {
	t.Helper()
	for left := int32(within / time.Second); ; left-- {
		out, err := client.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{
			QueueUrl: &url, WaitTimeSeconds: min(left, 1), VisibilityTimeout: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			if left > 0 {
				continue
			}
			return nil, false
		}
		if _, err := client.DeleteMessage(t.Context(), &awssqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: out.Messages[0].ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
		return []byte(aws.ToString(out.Messages[0].Body)), true
	}
}
