package bedrockbatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// below is the part of a bucket below a prefix, as if it were a bucket. What
// the caller may not do it says with the missing policy statement.
type below struct {
	bucket batch.Bucket
	name   string // the bucket's
	prefix string
}

var _ batch.Bucket = (*below)(nil)

func (b *below) strip(o batch.Object) batch.Object {
	o.Key = strings.TrimPrefix(o.Key, b.prefix)
	return o
}

// denied adds the missing statement to an access error.
func (b *below) denied(err error, action string) error {
	if !errors.Is(err, batch.ErrAccess) {
		return err
	}
	objects := "arn:aws:s3:::" + b.name + "/" + b.prefix + "*"
	if action == "s3:ListBucket" {
		return &Denied{Statement: statement("arn:aws:s3:::"+b.name, action), Err: err}
	}
	if action == "s3:GetObject" {
		// Without the right to list, what is absent is denied.
		return &Denied{Statement: statement(objects, action, "s3:GetObjectVersion") + ", " + statement("arn:aws:s3:::"+b.name, "s3:ListBucket"), Err: err}
	}
	return &Denied{Statement: statement(objects, action), Err: err}
}

func statement(resource string, actions ...string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Action":["%s"],"Resource":"%s"}`, strings.Join(actions, `","`), resource)
}

// Get implements batch.Documents.
func (b *below) Get(ctx context.Context, key string) ([]byte, batch.Object, error) {
	body, o, err := b.bucket.Get(ctx, b.prefix+key)
	return body, b.strip(o), b.denied(err, "s3:GetObject")
}

// Put implements batch.Documents.
func (b *below) Put(ctx context.Context, key string, body []byte, cond batch.Condition) (string, error) {
	etag, err := b.bucket.Put(ctx, b.prefix+key, body, cond)
	return etag, b.denied(err, "s3:PutObject")
}

// Delete implements batch.Documents.
func (b *below) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = b.prefix + key
	}
	return b.denied(b.bucket.Delete(ctx, full...), "s3:DeleteObject")
}

// List implements batch.Documents.
func (b *below) List(ctx context.Context, prefix, after string) iter.Seq2[batch.Object, error] {
	if after != "" {
		after = b.prefix + after
	}
	return func(yield func(batch.Object, error) bool) {
		for o, err := range b.bucket.List(ctx, b.prefix+prefix, after) {
			if !yield(b.strip(o), b.denied(err, "s3:ListBucket")) {
				return
			}
		}
	}
}

// Stat implements batch.Files.
func (b *below) Stat(ctx context.Context, key, version string) (batch.Object, error) {
	o, err := b.bucket.Stat(ctx, b.prefix+key, version)
	return b.strip(o), b.denied(err, "s3:GetObject")
}

// Open implements batch.Files.
func (b *below) Open(ctx context.Context, key, version string, off, end int64) (io.ReadCloser, error) {
	body, err := b.bucket.Open(ctx, b.prefix+key, version, off, end)
	return body, b.denied(err, "s3:GetObject")
}

// Create implements batch.Files.
func (b *below) Create(ctx context.Context, key string) (batch.Writer, error) {
	w, err := b.bucket.Create(ctx, b.prefix+key)
	if err != nil {
		return nil, b.denied(err, "s3:PutObject")
	}
	return &writerBelow{w, b}, nil
}

// Compose implements batch.Files.
func (b *below) Compose(ctx context.Context, key string, pieces []batch.Object) error {
	full := make([]batch.Object, len(pieces))
	for i, o := range pieces {
		o.Key = b.prefix + o.Key
		full[i] = o
	}
	return b.denied(b.bucket.Compose(ctx, b.prefix+key, full), "s3:PutObject")
}

type writerBelow struct {
	batch.Writer
	below *below
}

func (w *writerBelow) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	return n, w.below.denied(err, "s3:PutObject")
}

func (w *writerBelow) Commit() (batch.Object, error) {
	o, err := w.Writer.Commit()
	return w.below.strip(o), w.below.denied(err, "s3:PutObject")
}

// explainedJobs says which right is missing where a call is denied.
type explainedJobs struct {
	jobs batch.Jobs
	role string
}

func (j *explainedJobs) denied(err error, action string) error {
	if !errors.Is(err, batch.ErrAccess) {
		return err
	}
	text := statement("*", action)
	if action == "bedrock:CreateModelInvocationJob" && j.role != "" {
		text += `, {"Effect":"Allow","Action":["iam:PassRole"],"Resource":"` + j.role + `","Condition":{"StringEquals":{"iam:PassedToService":"bedrock.amazonaws.com"}}}`
	}
	return &Denied{Statement: text, Err: err}
}

func (j *explainedJobs) Create(ctx context.Context, spec batch.JobSpec) (string, error) {
	arn, err := j.jobs.Create(ctx, spec)
	return arn, j.denied(err, "bedrock:CreateModelInvocationJob")
}

func (j *explainedJobs) Get(ctx context.Context, arn string) (batch.Job, error) {
	job, err := j.jobs.Get(ctx, arn)
	return job, j.denied(err, "bedrock:GetModelInvocationJob")
}

func (j *explainedJobs) List(ctx context.Context, filter batch.JobFilter) iter.Seq2[batch.Job, error] {
	return func(yield func(batch.Job, error) bool) {
		for job, err := range j.jobs.List(ctx, filter) {
			if !yield(job, j.denied(err, "bedrock:ListModelInvocationJobs")) {
				return
			}
		}
	}
}

func (j *explainedJobs) Stop(ctx context.Context, arn string) error {
	return j.denied(j.jobs.Stop(ctx, arn), "bedrock:StopModelInvocationJob")
}
