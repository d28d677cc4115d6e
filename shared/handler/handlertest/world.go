// Package handlertest runs both functions' handlers over a world in memory:
// buckets, queues, batch inference and a topic under a virtual clock, without
// faults. It is for tests of what the pipeline does; what it does under faults
// is the simulation's.
package handlertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Deployment is the deployment's digits in the sample payloads.
const Deployment = "3f9a1c04"

// Crash is what a hook panics with to kill the invocation.
var Crash = errors.New("crash")

// World is one deployment and the services around it.
type World struct {
	Clock         *memory.Clock
	Input, Output *memory.Bucket
	Uploads, Jobs *memory.Queue
	Bedrock       *memory.Bedrock
	Topic         *memory.Topic[pipeline.Publication]
	Settings      config.Settings
	Workload      workload.Workload
	// Outcome decides how a job ends; nil: all answered.
	Outcome func(batch.Job) memory.Outcome
	// Answer gives modelOutput for modelInput; nil: a text in the shape of
	// Converse or of Anthropic's messages.
	Answer func(modelID string, how batch.Invocation, modelInput []byte) []byte
	// Models tells what is behind profiles; nil: nothing does.
	Models batch.Models
	// Hold keeps running jobs from ending by themselves; those that are stopped
	// end.
	Hold bool
	// LoseEvents drops every state-change event.
	LoseEvents bool
	// Slice is how long one invocation may take.
	Slice time.Duration
	// Hook sees every call on the buckets. They are then made one by one, unless
	// the settings say how many at once.
	Hook memory.Hook
	// Invoked is told of every message that a half handles.
	Invoked func(half string, body []byte)
	// Observer is told too of what happens; nil: nobody.
	Observer pipeline.Observer
	// Sent are the modelInputs of the jobs' records.
	Sent []string
	// Failed are the errors of invocations that gave their message back.
	Failed []string
	// TempDir is the functions' temporary folder.
	TempDir string

	submit      *handler.Submit
	invocations int
	t           testing.TB
	jobEvents   []batch.Job
}

// New makes a world with the default settings and small quotas where asked.
func New(t testing.TB, change func(*World)) *World {
	w := &World{Clock: memory.NewClock(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)), Settings: config.Default(), Slice: 15 * time.Minute, t: t, TempDir: t.TempDir()}
	w.Topic = memory.NewTopic[pipeline.Publication](nil)
	if change != nil {
		change(w)
	}
	if w.Hook != nil && w.Settings.Parallel == config.Default().Parallel {
		// Calls come in a known order, and a crash in a goroutine of its own
		// would end the test.
		w.Settings.Parallel = 1
	}
	w.Input = memory.NewBucket(memory.BucketOptions{Name: "in", Versioned: true, Clock: w.Clock, Hook: w.Hook})
	w.Output = memory.NewBucket(memory.BucketOptions{Name: "out", Clock: w.Clock, Hook: w.Hook})
	w.Uploads = memory.NewQueue(memory.QueueOptions{Name: "uploads", Clock: w.Clock, Visibility: 90 * time.Minute, MaxReceives: 5})
	w.Jobs = memory.NewQueue(memory.QueueOptions{Name: "jobs", Clock: w.Clock, Visibility: 90 * time.Minute, MaxReceives: 5})
	w.Bedrock = memory.NewBedrock(memory.BedrockOptions{Clock: w.Clock, Buckets: []*memory.Bucket{w.Input, w.Output},
		MinRecords: w.Settings.Quotas.MinRecords, MaxRecords: w.Settings.Quotas.MaxRecords, Answer: w.Answer})
	w.Input.Watch(func(o batch.Object) { w.Uploads.Put(Notification("in", o), 0) })
	w.Bedrock.Watch(func(j batch.Job) {
		if j.Status == batch.Submitted {
			w.sent(j)
		}
		if j.Status.Terminal() {
			w.jobEvents = append(w.jobEvents, j)
		}
	})
	return w
}

// Notification is S3's message about an object.
func Notification(bucket string, o batch.Object) []byte {
	body, err := json.Marshal(map[string]any{"Records": []any{map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": "ObjectCreated:Put",
		"s3": map[string]any{
			"bucket": map[string]any{"name": bucket},
			"object": map[string]any{"key": url.QueryEscape(o.Key), "size": o.Size, "eTag": o.ETag, "versionId": o.Version},
		},
	}}})
	if err != nil {
		panic(err)
	}
	return body
}

// StateChange is Bedrock's event about a job, with times as they are printed
// in the service's own documentation.
func StateChange(j batch.Job) []byte {
	body, err := json.Marshal(map[string]any{
		"version": "0", "detail-type": "Batch Inference Job State Change", "source": "aws.bedrock",
		"time": "Mon Nov 23 12:34:56 UTC 2026", "resources": []string{j.ARN},
		"detail": map[string]any{
			"version": "0.0", "batchJobName": j.Name, "batchJobArn": j.ARN, "batchModelId": j.ModelID,
			"status": string(j.Status), "failureMessage": j.Message, "creationTime": "Nov 23, 2026, 10:16:02 AM",
		},
	})
	if err != nil {
		panic(err)
	}
	return body
}

func (w *World) options() pipeline.Options {
	return pipeline.Options{
		Deployment: Deployment, Settings: w.Settings, OutputBucket: "out", JobRole: "arn:aws:iam::123456789012:role/batch",
		Workload: w.Workload, TempDir: w.TempDir, Input: w.Input, Output: w.Output,
		Uploads: w.Uploads, Jobs: w.Jobs, Clock: w.Clock, Observer: observer{w.t, w.Observer}, Models: w.Models,
	}
}

type observer struct {
	t    testing.TB
	also pipeline.Observer
}

func (o observer) Observe(ctx context.Context, e pipeline.Event) {
	if o.also != nil {
		o.also.Observe(ctx, e)
	}
	o.t.Log(append([]any{e.Name, e.Submission}, e.Fields...)...)
}

// Submit is the submitting half over this world, one process that stays warm.
func (w *World) Submit() *handler.Submit {
	if w.submit == nil {
		w.submit = w.newSubmit()
	}
	return w.submit
}

func (w *World) newSubmit() *handler.Submit {
	return handler.NewSubmit(pipeline.NewSubmit(w.options(), w.Bedrock.Jobs(nil), w.Bedrock.Model(nil)), "in", w.Uploads, slog.New(slog.DiscardHandler), w.Clock.Now)
}

// Collect is the collecting half over this world.
func (w *World) Collect() *handler.Collect {
	return handler.NewCollect(pipeline.NewCollect(w.options(), w.Bedrock.Jobs(nil), w.Topic), w.Jobs, slog.New(slog.DiscardHandler), w.Clock.Now)
}

// Invoke hands one message body to a handler as Lambda does and reports
// whether it was acknowledged.
func (w *World) Invoke(handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error), body []byte) (done bool) {
	return w.invoke(handle, "m", body)
}

func (w *World) invoke(handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error), id string, body []byte) (done bool) {
	w.invocations++
	defer func() {
		switch p := recover(); p {
		case nil:
		case Crash:
			w.submit, done = nil, false // the process is gone and what it knew
		default:
			panic(p)
		}
	}()
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: fmt.Sprintf("invocation-%d", w.invocations)})
	ctx = deadlineContext{ctx, w.Clock.Now().Add(w.Slice)}
	r, err := handle(ctx, events.SQSEvent{Records: []events.SQSMessage{{MessageId: id, Body: string(body)}}})
	return err == nil && len(r.BatchItemFailures) == 0
}

// deadlineContext has a deadline of the virtual clock.
type deadlineContext struct {
	context.Context
	deadline time.Time
}

func (c deadlineContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Step does one thing that is ready: a message, or the end of a live job. It
// reports false if nothing is.
func (w *World) Step() bool {
	for _, q := range []struct {
		half   string
		queue  *memory.Queue
		handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)
	}{{"submit", w.Uploads, w.Submit().Handle}, {"collect", w.Jobs, w.Collect().Handle}} {
		m, ok := q.queue.Receive()
		if !ok {
			continue
		}
		if w.Invoked != nil {
			w.Invoked(q.half, m.Body)
		}
		if w.invoke(q.handle, m.MessageID, m.Body) {
			q.queue.Delete(m)
		} else {
			w.Failed = append(w.Failed, string(m.Body))
		}
		w.deliver()
		return true
	}
	for _, j := range w.Bedrock.All() {
		if j.Status.Terminal() || w.Hold && j.Status == batch.InProgress {
			continue
		}
		if w.Hold && j.Status != batch.Stopping {
			w.Bedrock.Advance(j.ARN)
			return true
		}
		o := memory.Outcome{}
		if w.Outcome != nil {
			o = w.Outcome(j)
		}
		w.Clock.Advance(time.Minute)
		if w.Hold && j.Status == batch.Stopping {
			o.Status = batch.Stopped
			w.Bedrock.End(j.ARN, o)
		} else {
			w.Bedrock.Run(j.ARN, o)
		}
		w.deliver()
		return true
	}
	return false
}

// sent remembers what a new job will be asked.
func (w *World) sent(j batch.Job) {
	_, key, _ := strings.Cut(strings.TrimPrefix(j.Input, "s3://"), "/")
	for line := range bytes.Lines(w.Output.Bytes(key)) {
		var record struct {
			ModelInput json.RawMessage `json:"modelInput"`
		}
		if json.Unmarshal(line, &record) == nil {
			w.Sent = append(w.Sent, string(record.ModelInput))
		}
	}
}

func (w *World) deliver() {
	for _, j := range w.jobEvents {
		if !w.LoseEvents {
			w.Uploads.Put(StateChange(j), 0)
			w.Jobs.Put(StateChange(j), 0)
		}
	}
	w.jobEvents = nil
}

// Run steps until nothing is left to do but wait, and waits for delayed
// messages too, up to a day.
func (w *World) Run() {
	end := w.Clock.Now().Add(24 * time.Hour)
	for range 100_000 {
		if w.Step() {
			continue
		}
		next, ok := w.Uploads.Next()
		if n, ok2 := w.Jobs.Next(); ok2 && (!ok || n.Before(next)) {
			next, ok = n, true
		}
		if !ok || next.After(end) {
			return
		}
		w.Clock.AdvanceTo(next)
	}
	w.t.Fatal("the world does not come to rest")
}

// Ticks runs the schedule n times, five minutes apart.
func (w *World) Ticks(n int) {
	for range n {
		w.Clock.Advance(5 * time.Minute)
		w.Uploads.Put(pipeline.Message{Do: pipeline.DoTick}.Encode(), 0)
		w.Jobs.Put(pipeline.Message{Do: pipeline.DoTick}.Encode(), 0)
		w.Run()
	}
}

// Notices are the notices published, in order.
func (w *World) Notices() []pipeline.Notice {
	var out []pipeline.Notice
	for _, p := range w.Topic.Published() {
		var n pipeline.Notice
		if err := json.Unmarshal([]byte(p.JSON), &n); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// Result reads a file below an upload's results.
func (w *World) Result(n pipeline.Notice, name string) []byte {
	place := n.Upload.Key
	if n.Request != "" {
		place = "requests/" + n.Request
	}
	return w.Output.Bytes("results/" + place + "/" + n.Submission + "/" + name)
}
