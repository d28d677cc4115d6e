package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestEveryAllowedModelAnswersInJobsAndOnDemand(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	embed := func(n int) []byte {
		var b bytes.Buffer
		for i := 1; i <= n; i++ {
			fmt.Fprintf(&b, `{"recordId":"e%d","modelInput":{"inputText":"%s"}}`+"\n", i, subject(i))
		}
		return b.Bytes()
	}
	models := map[string]func(int) []byte{
		"amazon.nova-micro-v1:0": prompts, "amazon.nova-lite-v1:0": prompts, "us.amazon.nova-lite-v1:0": prompts, "us.amazon.nova-pro-v1:0": prompts,
		"anthropic.claude-3-haiku-20240307-v1:0": natives, "us.anthropic.claude-haiku-4-5-20251001-v1:0": natives,
		"us.anthropic.claude-sonnet-4-5-20250929-v1:0": natives, "us.meta.llama3-3-70b-instruct-v1:0": prompts,
		"amazon.titan-embed-text-v2:0": embed,
	}
	folder := func(model string) string { return strings.ReplaceAll(model, ":", "-") + "/" }
	for model, rows := range models {
		u.settings(folder(model), "model: "+model+"\ntags: {team: reading}\n")
		u.drop(folder(model)+"job.jsonl", rows(100))
		u.drop(folder(model)+"few.jsonl", rows(2))
	}
	for model := range models {
		for name, rows := range map[string]int64{"job.jsonl": 100, "few.jsonl": 2} {
			n := u.notice(folder(model) + name)
			if n.Status != "Completed" || n.Rows.Answered != rows || n.ModelID != model {
				t.Errorf("%s: %s", n.Upload.Key, n.Raw)
			}
		}
	}
	u.ended()
}

func TestRecordsThatFailForAPassingReasonAreAskedAgain(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--fail-records", "0.5", "--set", quotas}})
	u.settings("", nova+"retries: 1\n")
	u.drop("again.jsonl", prompts(480))
	n := u.notice("again.jsonl")
	if n.Status != "CompletedWithErrors" || n.Rows.Failed == 0 || n.Rows.Failed > 200 || n.Rows.Answered+n.Rows.Failed != 480 {
		t.Fatalf("notice: %s", n.Raw)
	}
	rows := lines[result](u, n.Results.Results)
	retried := 0
	for i, r := range rows {
		if i > 0 && rows[i-1].Row >= r.Row {
			t.Fatalf("row %d comes after row %d", r.Row, rows[i-1].Row)
		}
		if !strings.Contains(r.Output, subject(int(r.Row))) {
			t.Errorf("row %d has another's answer: %s", r.Row, r.Output)
		}
		if r.Attempt == 2 {
			retried++
		}
	}
	if retried == 0 || int64(len(rows)) != n.Rows.Answered {
		t.Errorf("%d results, %d of them at the second attempt; notice: %+v", len(rows), retried, n.Rows)
	}
	failed := lines[struct {
		Prompt string
		Error  struct {
			Code     any
			Attempts int
		} `json:"_error"`
	}](u, n.Results.Errors)
	if int64(len(failed)) != n.Rows.Failed || failed[0].Prompt == "" || failed[0].Error.Attempts != 2 {
		t.Errorf("%d errors, the first: %+v; notice: %+v", len(failed), failed[:min(1, len(failed))], n.Rows)
	}
	u.ended()
}

func TestMoreJobsThanSlotsTakeTurns(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{scheduled: true, flags: []string{"--slots", "1", "--set", quotas}})
	u.settings("", nova)
	for i := range 3 {
		u.drop(fmt.Sprintf("turn-%d.jsonl", i), prompts(300))
	}
	for i := range 3 {
		u.completed(fmt.Sprintf("turn-%d.jsonl", i), 300)
	}
	if jobs := u.jobs(); len(jobs) != 6 {
		t.Errorf("%d jobs: %+v", len(jobs), jobs)
	}
}

func TestAStoppedSubmissionKeepsWhatThereIs(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--job-time", "10m"}})
	u.settings("", nova)
	u.drop("stop.jsonl", prompts(150))
	u.within(*patience, "a running job", func() string {
		if jobs := u.jobs(); len(jobs) == 0 || jobs[0].status != "InProgress" {
			return fmt.Sprintf("%+v", jobs)
		}
		return ""
	})
	id := strings.TrimPrefix(u.keys("open/")[0], "open/")
	u.send("uploads", fmt.Sprintf(`{"bedrock-batch":1,"do":"stop","submission":%q}`, id))
	n := u.notice("stop.jsonl")
	if n.Status != "Stopped" || n.Reason == "" || n.Rows.Missing == 0 || n.Rows.Total != 150 {
		t.Errorf("notice: %s", n.Raw)
	}
	if jobs := u.jobs(); len(jobs) != 1 || jobs[0].status != "Stopped" {
		t.Errorf("jobs: %+v", jobs)
	}
	u.ended()
}

func TestAPauseHoldsJobsBackUntilItIsTakenAway(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{scheduled: true})
	pause := aws.String("control/pause")
	if _, err := u.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &u.output, Key: pause, Body: bytes.NewReader(nil)}); err != nil {
		t.Fatal(err)
	}
	u.settings("", nova)
	u.drop("held.jsonl", prompts(150))
	u.drop("few.jsonl", prompts(3))
	u.within(*patience, "the prepared upload", func() string {
		if u.staged("/in/") < 1 || len(u.keys("waiting/")) < 1 {
			return u.brief("")
		}
		return ""
	})
	if jobs := u.jobs(); len(jobs) > 0 || len(u.said()) > 0 {
		t.Errorf("jobs during the pause: %+v, notices: %+v", jobs, u.said())
	}
	if _, err := u.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &u.output, Key: pause}); err != nil {
		t.Fatal(err)
	}
	u.completed("held.jsonl", 150)
	u.completed("few.jsonl", 3)
}
