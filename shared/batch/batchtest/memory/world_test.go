package memory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
)

// account has one bucket with an input of n records, and a job on it.
func account(t *testing.T, n int) (*memory.Bedrock, *memory.Bucket, string) {
	t.Helper()
	bucket := memory.NewBucket(memory.BucketOptions{})
	var in bytes.Buffer
	for i := range n {
		fmt.Fprintf(&in, `{"recordId":"r%010d","modelInput":{ "messages":[{"role":"user","content":[{"text":"%d"}]}]}}`+"\n", i+1, i)
	}
	bucket.Set("staged/part.jsonl", in.Bytes())
	bedrock := memory.NewBedrock(memory.BedrockOptions{Buckets: []*memory.Bucket{bucket}, MinRecords: 3})
	arn, err := bedrock.Jobs(nil).Create(t.Context(), batch.JobSpec{
		Name: "job-0", ModelID: "m", RoleARN: "arn:aws:iam::123456789012:role/r", Invocation: batch.Converse,
		Input: "s3://bucket/staged/part.jsonl", Output: "s3://bucket/out/",
	})
	if err != nil {
		t.Fatal(err)
	}
	return bedrock, bucket, arn
}

func job(t *testing.T, b *memory.Bedrock, arn string) batch.Job {
	t.Helper()
	j, err := b.Jobs(nil).Get(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestAJobPassesItsStatusesOneByOneAndTellsOfEach(t *testing.T) {
	bedrock, bucket, arn := account(t, 4)
	var told []batch.Status
	bedrock.Watch(func(j batch.Job) { told = append(told, j.Status) })
	if got := bedrock.Run(arn, memory.Outcome{}); got != batch.Completed {
		t.Fatalf("status is %s", got)
	}
	want := []batch.Status{batch.Validating, batch.Scheduled, batch.InProgress, batch.Completed}
	if !slices.Equal(told, want) {
		t.Fatalf("told of %v, want %v", told, want)
	}
	j := job(t, bedrock, arn)
	if *j.Counts != (batch.Counts{Total: 4, Processed: 4, Success: 4}) {
		t.Fatalf("counts are %+v", *j.Counts)
	}
	folder := "out/" + j.ID() + "/"
	if got := bucket.Keys("out/"); !slices.Equal(got, []string{folder + "manifest.json.out", folder + "part.jsonl.out"}) {
		t.Fatalf("output is %v", got)
	}
	for line := range bytes.Lines(bucket.Bytes(folder + "part.jsonl.out")) {
		var r struct {
			RecordID    string
			ModelInput  json.RawMessage
			ModelOutput struct{ StopReason string }
		}
		if err := json.Unmarshal(line, &r); err != nil || r.ModelOutput.StopReason != "end_turn" || !strings.HasPrefix(string(r.ModelInput), `{ "messages"`) {
			t.Fatalf("line %s (%v)", line, err)
		}
	}
}

func TestAJobWithTooFewRecordsFailsWhenItIsValidated(t *testing.T) {
	bedrock, bucket, arn := account(t, 2)
	if got := bedrock.Run(arn, memory.Outcome{}); got != batch.Failed {
		t.Fatalf("status is %s", got)
	}
	if j := job(t, bedrock, arn); !strings.Contains(j.Message, "less records (2) than the required minimum of: 3") || *j.Counts != (batch.Counts{}) {
		t.Fatalf("job is %+v", j)
	}
	if len(bucket.Keys("out/")) != 0 {
		t.Fatal("it has output")
	}
}

func TestOutputTakesEveryShape(t *testing.T) {
	bedrock, bucket, arn := account(t, 8)
	shapes := []memory.Line{
		{Shape: memory.Answered}, {Shape: memory.Beside, Code: 429, Message: "busy"}, {Shape: memory.Beside, Text: true},
		{Shape: memory.Inside, Code: 400}, {Shape: memory.Neither}, {Shape: memory.Broken}, {Shape: memory.Twice}, {Shape: memory.Missing},
	}
	bedrock.Run(arn, memory.Outcome{
		Status: batch.PartiallyCompleted, Message: "out of time", Files: 2, Manifest: memory.ManifestWrong,
		Line: func(n int, _ string) memory.Line { return shapes[n] },
		Order: func(n int) []int {
			order := make([]int, n)
			for i := range order {
				order[i] = n - 1 - i
			}
			return order
		},
		Extra: []string{`{"recordId":"foreign","modelOutput":{}}`},
		Held:  true,
	})
	if len(bucket.Keys("out/")) != 0 {
		t.Fatal("held output is there")
	}
	bedrock.Release(arn)
	j := job(t, bedrock, arn)
	if j.Status != batch.PartiallyCompleted || *j.Counts != (batch.Counts{Total: 8, Processed: 7, Success: 2, Error: 5}) {
		t.Fatalf("job is %s, %+v", j.Status, *j.Counts)
	}
	folder := "out/" + j.ID() + "/"
	all := append(bucket.Bytes(folder+"part.jsonl.out"), bucket.Bytes(folder+"part-1.jsonl.out")...)
	lines := strings.Split(strings.TrimSpace(string(all)), "\n")
	want := []string{"r0000000007", "r0000000007", "r0000000006", "r0000000005", "r0000000004", "r0000000003", "r0000000002", "r0000000001", "foreign"}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		if !strings.Contains(line, `"`+want[i]+`"`) {
			t.Errorf("line %d is %s, want that of %s", i, line, want[i])
		}
	}
	for i, part := range map[int]string{
		3: `"modelOutput":{"content":[`, 4: `}]}]}}`, 5: `"modelOutput":{"error":{"errorCode":400`, 6: `"error":{"errorCode":"500"`, 7: `"error":{"errorCode":429,"errorMessage":"busy"}`,
	} {
		if line := lines[max(i-1, 0)]; !strings.Contains(line, part) {
			t.Errorf("line %s lacks %s", line, part)
		}
	}
	if !strings.Contains(string(bucket.Bytes(folder+"manifest.json.out")), `"successRecordCount":3`) {
		t.Errorf("manifest is %s", bucket.Bytes(folder+"manifest.json.out"))
	}
}

func TestAStoppedJobStops(t *testing.T) {
	bedrock, _, arn := account(t, 4)
	if err := bedrock.Jobs(nil).Stop(t.Context(), arn); err != nil {
		t.Fatal(err)
	}
	if got := bedrock.Live("m"); got != 1 {
		t.Fatalf("%d live jobs while it stops, want 1", got)
	}
	if got := bedrock.Advance(arn); got != batch.Stopped || bedrock.Live("") != 0 {
		t.Fatalf("status is %s", got)
	}
	bedrock.End(arn, memory.Outcome{})
	if got := job(t, bedrock, arn).Status; got != batch.Stopped {
		t.Fatalf("a job that had ended is %s", got)
	}
}

// recorder is a Hook that fails or crashes at the n-th half of a call.
type recorder struct {
	seen  []string
	at    int // counted from 1; 0: never
	crash bool
}

var errInjected = errors.New("injected")

func (r *recorder) half(name string) error {
	r.seen = append(r.seen, name)
	if len(r.seen) != r.at {
		return nil
	}
	if r.crash {
		panic(errInjected)
	}
	return errInjected
}

func (r *recorder) Before(_ context.Context, call, key string) error {
	return r.half("before " + call + " " + key)
}

func (r *recorder) After(_ context.Context, call, key string, err error) error {
	return errors.Join(err, r.half("after "+call+" "+key))
}

// everything makes each call that a Hook can see.
func everything(ctx context.Context, hook memory.Hook) (*memory.Bucket, error) {
	store := memory.NewBucket(memory.BucketOptions{Name: "b", Part: 4, Piece: 3})
	b := store.Hooked(hook)
	bedrock := memory.NewBedrock(memory.BedrockOptions{})
	jobs := bedrock.Jobs(hook)
	queue := memory.NewQueue(memory.QueueOptions{Hook: hook})
	topic := memory.NewTopic[string](hook)
	if _, err := b.Put(ctx, "doc", []byte("12345"), batch.Condition{}); err != nil {
		return store, err
	}
	if _, _, err := b.Get(ctx, "doc"); err != nil {
		return store, err
	}
	for _, err := range b.List(ctx, "", "") {
		if err != nil {
			return store, err
		}
	}
	piece, err := b.Stat(ctx, "doc", "")
	if err != nil {
		return store, err
	}
	r, err := b.Open(ctx, "doc", "", 0, batch.Whole)
	if err != nil {
		return store, err
	}
	if _, err := io.ReadAll(r); err != nil {
		return store, err
	}
	w, err := b.Create(ctx, "file")
	if err != nil {
		return store, err
	}
	if _, err := w.Write([]byte("123456789")); err != nil {
		return store, err
	}
	if _, err := w.Commit(); err != nil {
		return store, err
	}
	given, err := b.Create(ctx, "given-up")
	if err != nil {
		return store, err
	}
	given.Abort()
	if err := b.Compose(ctx, "whole", []batch.Object{piece, piece}); err != nil {
		return store, err
	}
	if err := b.Delete(ctx, "doc"); err != nil {
		return store, err
	}
	arn, err := jobs.Create(ctx, batch.JobSpec{
		Name: "job-0", ModelID: "m", RoleARN: "arn:aws:iam::123456789012:role/r", Invocation: batch.Converse,
		Input: "s3://bucket/in.jsonl", Output: "s3://bucket/out/",
	})
	if err != nil {
		return store, err
	}
	if _, err := jobs.Get(ctx, arn); err != nil {
		return store, err
	}
	for _, err := range jobs.List(ctx, batch.JobFilter{}) {
		if err != nil {
			return store, err
		}
	}
	if err := jobs.Stop(ctx, arn); err != nil {
		return store, err
	}
	if _, err := bedrock.Model(hook).Answer(ctx, "m", batch.Converse, []byte(`{"messages":[]}`)); err != nil {
		return store, err
	}
	if err := queue.Send(ctx, []byte("x"), 0); err != nil {
		return store, err
	}
	return store, topic.Publish(ctx, "notice")
}

func TestEveryCallPassesTheHookBeforeAndAfterItsEffect(t *testing.T) {
	all := &recorder{}
	if _, err := everything(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, call := range memory.Calls() {
		for _, half := range []string{"before ", "after "} {
			if !slices.ContainsFunc(all.seen, func(s string) bool { return strings.HasPrefix(s, half+call+" ") }) {
				t.Errorf("%s%s was never seen", half, call)
			}
		}
	}
	if n := slices.Index(all.seen, "after Bucket.Write b/file"); n < 0 || !slices.Contains(all.seen[n+1:], "before Bucket.Write b/file") {
		t.Error("a written object of three parts is not several calls")
	}
	for _, crash := range []bool{false, true} {
		for at := range len(all.seen) {
			hook := &recorder{at: at + 1, crash: crash}
			_, err := run(t.Context(), hook)
			if !errors.Is(err, errInjected) && !strings.Contains(all.seen[at], "Bucket.Abort") {
				t.Errorf("%s (crash: %v): error is %v", all.seen[at], crash, err)
			}
		}
	}
}

// run turns a crash into an error.
func run(ctx context.Context, hook memory.Hook) (b *memory.Bucket, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = p.(error)
		}
	}()
	return everything(ctx, hook)
}

func TestAnErrorBeforePreventsTheEffectAndOneAfterDoesNot(t *testing.T) {
	for at, want := range map[int][]string{1: nil, 2: {"doc"}} {
		b, err := everything(t.Context(), &recorder{at: at})
		if !errors.Is(err, errInjected) || !slices.Equal(b.Keys(""), want) {
			t.Errorf("error at half %d: %v, objects %v, want %v", at, err, b.Keys(""), want)
		}
	}
}

func TestAMessageReceivedTooOftenGoesToTheDeadLetters(t *testing.T) {
	clock := memory.NewClock(time.Unix(0, 0))
	dead := memory.NewQueue(memory.QueueOptions{Name: "dead", Clock: clock})
	q := memory.NewQueue(memory.QueueOptions{Clock: clock, Visibility: time.Minute, MaxReceives: 2, DeadLetters: dead})
	if err := q.Send(t.Context(), []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		m, ok := q.Receive()
		if !ok || m.Receives != n+1 {
			t.Fatalf("receive %d: %+v %v", n+1, m, ok)
		}
		if _, ok := q.Receive(); ok {
			t.Fatal("a hidden message was received")
		}
		next, ok := q.Next()
		if !ok || next.Sub(clock.Now()) != time.Minute {
			t.Fatalf("it is seen again at %v (%v)", next, ok)
		}
		clock.AdvanceTo(next)
	}
	if _, ok := q.Receive(); ok || q.Len() != 0 || dead.Len() != 1 {
		t.Fatalf("%d messages are left, %d dead", q.Len(), dead.Len())
	}
}

func TestAnOldReceiptDoesNotDeleteAMessageReceivedSince(t *testing.T) {
	clock := memory.NewClock(time.Unix(0, 0))
	q := memory.NewQueue(memory.QueueOptions{Clock: clock})
	q.Put([]byte("x"), 0)
	old, _ := q.Receive()
	clock.Advance(time.Minute)
	now, _ := q.Receive()
	q.Delete(old)
	if q.Len() != 1 {
		t.Fatal("it is gone")
	}
	q.Return(now, 0)
	if len(q.Ready()) != 1 {
		t.Fatal("a returned message is hidden")
	}
}
