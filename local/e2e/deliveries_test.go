package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestFiftyThousandAndOneRowsMakeTwoLegalJobs(t *testing.T) {
	t.Parallel()
	const rows = 50_001
	u := begin(t, setup{})
	u.settings("", nova)
	u.drop("many.jsonl", prompts(rows))
	n := u.completed("many.jsonl", rows)
	var records int64
	for _, j := range n.Jobs {
		if j.Status != "Completed" || j.Records < 100 || j.Records > 50_000 {
			t.Errorf("job %+v", j)
		}
		records += j.Records
	}
	if len(n.Jobs) != 2 || len(u.jobs()) != 2 || records != rows {
		t.Errorf("jobs: %+v, at Bedrock: %+v", n.Jobs, u.jobs())
	}
	u.ended()
}

func TestFiveDeliveriesOfAnUploadMakeOneJob(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--reorder"}})
	u.settings("", nova)
	version := u.drop("a b.jsonl", prompts(150))
	event := u.created("a b.jsonl", version)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { u.send("uploads", event) })
	}
	group.Wait()
	u.completed("a b.jsonl", 150)
	u.ended()
	// Long after, the submission's end is remembered.
	u.send("uploads", event)
	u.ended()
	if jobs := u.jobs(); len(jobs) != 1 {
		t.Errorf("%d jobs: %+v", len(jobs), jobs)
	}
}

// created is S3's message about an object of the input bucket.
func (u *user) created(key, version string) string {
	u.t.Helper()
	head, err := u.s3.HeadObject(u.t.Context(), &s3.HeadObjectInput{Bucket: &u.input, Key: &key, VersionId: &version})
	if err != nil {
		u.t.Fatal(err)
	}
	return fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2026-02-03T04:05:06.789Z",
		"eventName":"ObjectCreated:Put","s3":{"s3SchemaVersion":"1.0","configurationId":"uploads","bucket":{"name":%q,"arn":"arn:aws:s3:::%s"},
		"object":{"key":%q,"size":%d,"eTag":%q,"versionId":%q,"sequencer":"0A1B2C3D4E5F678901"}}}]}`,
		u.input, u.input, url.QueryEscape(key), *head.ContentLength, strings.Trim(*head.ETag, `"`), version)
}

func TestOverwrittenAndDeletedUploadsAreNotPaid(t *testing.T) {
	t.Parallel()
	// Without a model uploads wait a while for their settings.
	u := begin(t, setup{flags: []string{"--set", "workload={}", "--speed", "5", "--job-time", "2s"}})
	old := u.drop("x/twice.jsonl", prompts(101))
	u.drop("x/gone.jsonl", prompts(102))
	u.drop("x/twice.jsonl", prompts(103))
	if _, err := u.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &u.input, Key: aws.String("x/gone.jsonl")}); err != nil {
		t.Fatal(err)
	}
	u.settings("x/", nova)
	if n := u.notice("x/gone.jsonl"); n.Status != "Rejected" || !strings.Contains(n.Reason, "deleted") {
		t.Errorf("deleted: %s", n.Raw)
	}
	for _, n := range u.about("x/twice.jsonl", 2) {
		if n.Upload.VersionID == old {
			if n.Status != "Superseded" || n.Rows.Answered != 0 {
				t.Errorf("overwritten: %s", n.Raw)
			}
			continue
		}
		if n.Status != "Completed" {
			t.Errorf("newer: %s", n.Raw)
		}
		u.answered(n, upTo(103))
	}
	if jobs := u.jobs(); len(jobs) != 1 {
		t.Errorf("%d jobs: %+v", len(jobs), jobs)
	}
	u.ended()
}
