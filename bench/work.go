package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/functions"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// The names of everything in the benchmark's deployment.
const (
	deployment = "be9c4001"
	inBucket   = "in"
	outBucket  = "out"
)

// awsConfig points the SDK at the stand-in. It is addressed by IP, so that
// buckets are addressed by path.
func awsConfig(endpoint string) aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}
}

// world is the product over the stand-in: the real handlers, pipeline and S3
// adapter; queues, jobs and topic are in memory, as no user data passes them.
type world struct {
	start         time.Time
	input, output *s3.Bucket
	uploads, jobs *queue
	bedrock       *jobs
	topic         *topic
	requests      map[string]int64
}

func newWorld(endpoint string) *world {
	cfg := awsConfig(endpoint)
	return &world{
		start: time.Now(), input: s3.New(cfg, inBucket, s3.Settings{}), output: s3.New(cfg, outBucket, s3.Settings{}),
		uploads: &queue{}, jobs: &queue{}, bedrock: &jobs{}, topic: &topic{},
	}
}

func (w *world) options() pipeline.Options {
	return pipeline.Options{
		Deployment: deployment, Settings: config.Default(), OutputBucket: outBucket, JobRole: "arn:aws:iam::123456789012:role/batch",
		TempDir: os.TempDir(), Input: w.input, Output: w.output, Uploads: w.uploads, Jobs: w.jobs, Clock: wall{}, Observer: silent{},
	}
}

func (w *world) submit() func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return functions.Frugal(handler.NewSubmit(pipeline.NewSubmit(w.options(), w.bedrock, noModel{}), inBucket, w.uploads, logger(), time.Now).Handle)
}

func (w *world) collect() func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return functions.Frugal(handler.NewCollect(pipeline.NewCollect(w.options(), w.bedrock, w.topic), w.jobs, logger(), time.Now).Handle)
}

func logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// drive hands messages to a handler until its queue is empty; delays pass at
// once.
func drive(ctx context.Context, q *queue, handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)) error {
	for len(q.bodies) > 0 {
		body := q.bodies[0]
		q.bodies = q.bodies[1:]
		limited, cancel := context.WithTimeout(ctx, 15*time.Minute)
		r, err := handle(limited, events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", Body: string(body)}}})
		cancel()
		if err != nil {
			return err
		}
		if len(r.BatchItemFailures) > 0 {
			return fmt.Errorf("message given back: %s", body)
		}
	}
	return nil
}

// notification is S3's message about the upload.
func notification(key string, size int64) []byte {
	body, err := json.Marshal(map[string]any{"Records": []any{map[string]any{
		"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
		"s3": map[string]any{
			"bucket": map[string]any{"name": inBucket},
			"object": map[string]any{"key": url.QueryEscape(key), "size": size, "eTag": "e", "versionId": "null"},
		},
	}}})
	if err != nil {
		panic(err)
	}
	return body
}

// stateChange is Bedrock's event about a job.
func stateChange(j batch.Job) []byte {
	body, err := json.Marshal(map[string]any{
		"detail-type": "Batch Inference Job State Change", "source": "aws.bedrock",
		"detail": map[string]any{"batchJobName": j.Name, "batchJobArn": j.ARN, "batchModelId": j.ModelID, "status": string(j.Status)},
	})
	if err != nil {
		panic(err)
	}
	return body
}

type wall struct{}

func (wall) Now() time.Time { return time.Now() }

type silent struct{}

func (silent) Observe(context.Context, pipeline.Event) {}

// queue is a queue whose messages are there at once.
type queue struct {
	bodies [][]byte
	sent   int64
	once   bool // what is sent is for later, and never comes
}

func (q *queue) Send(_ context.Context, body []byte, _ time.Duration) error {
	q.sent++
	if !q.once {
		q.bodies = append(q.bodies, body)
	}
	return nil
}

// jobs is batch inference that takes every job and never runs one; ended are
// those that the benchmark ended itself.
type jobs struct {
	created []batch.JobSpec
	first   time.Time
	calls   int64
	slots   int // so many jobs are taken; 0: all
	ended   map[string]batch.Job
}

func jobARN(name string) string {
	return "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/" + name
}

func (j *jobs) Create(_ context.Context, spec batch.JobSpec) (string, error) {
	j.calls++
	if j.slots != 0 && len(j.created) >= j.slots {
		return "", batch.ErrQuota
	}
	if len(j.created) == 0 {
		j.first = time.Now()
	}
	j.created = append(j.created, spec)
	return jobARN(spec.Name), nil
}

func (j *jobs) Get(_ context.Context, arn string) (batch.Job, error) {
	j.calls++
	if job, ok := j.ended[arn]; ok {
		return job, nil
	}
	return batch.Job{}, batch.ErrNotFound
}

func (j *jobs) List(context.Context, batch.JobFilter) iter.Seq2[batch.Job, error] {
	j.calls++
	return func(func(batch.Job, error) bool) {}
}

func (j *jobs) Stop(context.Context, string) error { return batch.ErrConflict }

// topic counts notices.
type topic struct {
	notices atomic.Int64
	at      time.Time
	last    string
}

func (t *topic) Publish(_ context.Context, p pipeline.Publication) error {
	t.notices.Add(1)
	t.at, t.last = time.Now(), p.JSON
	return nil
}

type noModel struct{}

func (noModel) Answer(context.Context, string, batch.Invocation, []byte) ([]byte, error) {
	return nil, fmt.Errorf("nothing is answered on demand here: %w", batch.ErrInvalid)
}
