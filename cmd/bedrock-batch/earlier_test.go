package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/awstest"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/settings"
)

// use makes the services those of this process and of the commands it starts.
func use(services *awstest.Services) {
	for name, value := range services.Env {
		os.Setenv(name, value)
	}
}

// there are the objects that stand in the input bucket before the pipeline is
// deployed.
var there = map[string]string{
	"earlier/workload.yaml": settingsFile,
	"earlier/a.jsonl":       rows(2, "earlier a"),
	"earlier/b.jsonl":       rows(3, "earlier b"),
	"lost/workload.yaml":    settingsFile,
	"lost/c.jsonl":          rows(4, "lost"),
}

// earlier puts objects into an input bucket that has no pipeline yet: the same
// services run first with a template of the bucket alone.
func earlier(dir string) error {
	template := filepath.Join(dir, "bucket.json")
	const bucket = "bedrock-batch-dev-in-123456789012-us-east-1"
	text := fmt.Sprintf(`{"Resources":{"BucketInput":{"Type":"AWS::S3::Bucket","Properties":{"BucketName":%q,"VersioningConfiguration":{"Status":"Enabled"}}}}}`, bucket)
	if err := os.WriteFile(template, []byte(text), 0o644); err != nil {
		return err
	}
	services, end, err := awstest.FromTemplate(dir, template)
	if err != nil {
		return err
	}
	use(services)
	put := func() error {
		cfg, err := settings.Load(context.Background())
		if err != nil {
			return err
		}
		for key, body := range there {
			if _, err := s3.NewFromConfig(cfg).PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)}); err != nil {
				return err
			}
		}
		return nil
	}
	err = put()
	said, stopped := end()
	if err = errors.Join(err, stopped); err != nil {
		return fmt.Errorf("objects of earlier: %w\n%s", err, said)
	}
	return nil
}

func TestBackfillTellsThePipelineOfObjectsThatWereThereBefore(t *testing.T) {
	for range 2 { // it has heard of nothing by itself
		if _, stderr, code := call(t, "status", "earlier/a.jsonl"); code != 4 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
	}
	stdout, stderr, code := call(t, "--json", "backfill", "earlier/")
	all := objects(t, stdout)
	if code != 0 || len(all["upload"]) != 2 || all["backfill"][0]["objects"] != 2.0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for key, want := range map[string]string{"earlier/a.jsonl": "2 answered", "earlier/b.jsonl": "3 answered"} {
		heard(t, key)
		if _, stderr, code := call(t, "watch", key); code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d\n%s", key, code, stderr)
		}
	}
	if stdout, stderr, code := call(t, "backfill", "earlier/"); code != 0 || stdout != "" || !strings.Contains(stderr, "0 objects") {
		t.Errorf("again: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// heard waits until the pipeline knows of an object.
func heard(t *testing.T, key string) {
	t.Helper()
	for range 300 {
		if _, _, code := call(t, "status", key); code == 0 {
			return
		}
	}
	t.Fatalf("the pipeline does not hear of %s", key)
}

func TestRedriveMovesDeadLettersBackAndTheirWorkIsDone(t *testing.T) {
	cfg, err := settings.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bucket, key := os.Getenv("BB_INPUT_BUCKET"), "lost/c.jsonl"
	head, err := s3.NewFromConfig(cfg).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":%q},`+
		`"object":{"key":%q,"size":%d,"eTag":%q,"versionId":%q}}}]}`, bucket, key, *head.ContentLength, strings.Trim(*head.ETag, `"`), *head.VersionId)
	queues := sqs.NewFromConfig(cfg)
	dead := os.Getenv("BB_UPLOADS_QUEUE_URL") + "-dead"
	if _, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &dead, MessageBody: &body}); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := call(t, "doctor")
	if code != 0 || !strings.Contains(stdout, "warning  uploads queue: about 1 dead letters") || !strings.Contains(stdout, "bedrock-batch redrive") {
		t.Errorf("doctor: exit code %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code = call(t, "redrive"); code != 0 || stdout != "1\n" {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	heard(t, key)
	if _, stderr, code = call(t, "watch", key); code != 0 || !strings.Contains(stderr, "4 answered") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if stdout, stderr, code = call(t, "redrive"); code != 0 || stdout != "0\n" {
		t.Errorf("again: exit code %d\n%s%s", code, stdout, stderr)
	}
}
