package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

const nova = "model: us.amazon.nova-lite-v1:0\n"

func TestAnUploadBecomesResultsAndOneNotice(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	rejected := u.subscribe("rejected", `{"status":["Rejected"],"workload":[{"prefix":"rev"}]}`)
	if _, err := u.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: aws.String(u.env["BB_TOPIC_ARN"]), Protocol: aws.String("email"),
		Endpoint: aws.String("team@example.com")}); err != nil {
		t.Fatal(err)
	}
	u.confirm("team@example.com")

	u.settings("reviews/", nova+"notice: {attributes: {team: reading}}\n")
	u.drop("reviews/spring.jsonl", prompts(250))
	n := u.completed("reviews/spring.jsonl", 250)

	if len(n.Jobs) != 1 || n.Jobs[0].Status != "Completed" || n.Jobs[0].Records != 250 {
		t.Errorf("jobs in the notice: %+v", n.Jobs)
	}
	if n.Workload != "reviews" || n.ModelID != "us.amazon.nova-lite-v1:0" || n.EstimatedCostUSD == nil || *n.EstimatedCostUSD <= 0 || n.Tokens.Output == 0 {
		t.Errorf("notice: %s", n.Raw)
	}
	for name, want := range map[string]string{"status": "Completed", "workload": "reviews", "team": "reading", "modelId": n.ModelID, "bucket": u.input} {
		if n.Attributes[name] != want {
			t.Errorf("attribute %s is %q, want %q (all: %v)", name, n.Attributes[name], want, n.Attributes)
		}
	}
	below := "results/reviews/spring.jsonl/"
	if want := "s3://" + u.output + "/" + below + n.Submission + "/results.jsonl"; n.Results.Results != want {
		t.Errorf("results at %s, want %s", n.Results.Results, want)
	}
	var latest map[string]any
	if err := json.Unmarshal(u.read("s3://"+u.output+"/"+below+"latest.json"), &latest); err != nil || latest["submission"] != n.Submission {
		t.Errorf("latest.json: %v, %v; want submission %s", latest, err, n.Submission)
	}
	var summary struct {
		NoticeID   string
		Parts      []struct{ Records int }
		Mismatches []string
	}
	if err := json.Unmarshal(u.read(n.Results.Summary), &summary); err != nil || summary.NoticeID != n.NoticeID || len(summary.Parts) != 1 || len(summary.Mismatches) > 0 {
		t.Errorf("summary.json: %+v, %v", summary, err)
	}
	for _, uri := range []string{n.Results.Errors, n.Results.SetAside} {
		if uri != "" && len(u.read(uri)) > 0 {
			t.Errorf("%s is not empty", uri)
		}
	}

	u.drop("reviews/empty.jsonl", nil)
	if n := u.notice("reviews/empty.jsonl"); n.Status != "Rejected" {
		t.Errorf("notice: %s", n.Raw)
	}
	got, err := u.receive(t.Context(), rejected)
	if err != nil || len(got) != 1 || got[0].Upload.Key != "reviews/empty.jsonl" {
		t.Errorf("behind a filter policy came %+v, %v", got, err)
	}
	mails := u.mails("team@example.com", n.Submission)
	if len(mails) != 1 {
		t.Fatalf("%d e-mails", len(mails))
	}
	head, text, _ := strings.Cut(mails[0], "\r\n\r\n")
	for _, want := range []string{"reviews/spring.jsonl", "250", n.Results.Results, "Completed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the e-mail does not tell %q:\n%s", want, mails[0])
		}
	}
	if strings.Contains(text, `{"`) || !strings.Contains(head, "Subject: ") {
		t.Errorf("the e-mail is not for readers:\n%s", mails[0])
	}
	u.ended()
}

// mails are the e-mails to an address that hold a text.
func (u *user) mails(to, text string) []string {
	u.t.Helper()
	paths, err := filepath.Glob(filepath.Join(u.dir, "mail", "*-"+to+".eml"))
	if err != nil {
		u.t.Fatal(err)
	}
	var all []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			u.t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			all = append(all, string(data))
		}
	}
	return all
}

// confirm confirms the subscription of a mailbox as its reader would.
func (u *user) confirm(address string) {
	u.t.Helper()
	var mails []string
	u.within(*patience, "confirmation mail", func() string {
		if mails = u.mails(address, "\nToken: "); len(mails) == 0 {
			return "no mail"
		}
		return ""
	})
	_, token, _ := strings.Cut(mails[0], "\nToken: ")
	token, _, _ = strings.Cut(token, "\r\n")
	if _, err := u.sns.ConfirmSubscription(u.t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: aws.String(u.env["BB_TOPIC_ARN"]), Token: &token}); err != nil {
		u.t.Fatal(err)
	}
}

func TestNativeRowsAndBadRows(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	u.settings("claude/", "model: us.anthropic.claude-haiku-4-5-20251001-v1:0\n")
	u.drop("claude/native.jsonl", natives(120))
	u.settings("mixed/", nova)
	rows := strings.SplitAfter(string(prompts(152)), "\n")
	rows[9], rows[99] = "{\"prompt\": \n", "[\"no object\"]\n"
	u.drop("mixed/rows.jsonl", []byte(strings.Join(rows, "")))

	n := u.completed("claude/native.jsonl", 120)
	if first := lines[result](u, n.Results.Results)[0]; first.ID != "mine-1" {
		t.Errorf("the user's id of row 1 is %v", first.ID)
	}

	n = u.notice("mixed/rows.jsonl")
	if n.Status != "CompletedWithErrors" || n.Rows.SetAside != 2 || n.Rows.Answered != 150 || n.Rows.Total != 152 {
		t.Fatalf("notice: %s", n.Raw)
	}
	u.answered(n, func(yield func(int64, string) bool) {
		for row, subject := range upTo(152) {
			if row != 10 && row != 100 && !yield(row, subject) {
				return
			}
		}
	})
	aside := lines[setAside](u, n.Results.SetAside)
	if len(aside) != 2 || aside[0].Line != 10 || aside[1].Line != 100 || aside[0].Raw != `{"prompt": ` || aside[1].Raw != `["no object"]` {
		t.Errorf("set aside: %+v", aside)
	}
	u.ended()
}

// setAside is a line of set-aside.jsonl.
type setAside struct {
	Line                                 int64
	Code, Reason, Raw, RawBase64, Source string
}

func TestWithTheScheduleOffNothingElseIsNeeded(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--set", quotas}})
	u.settings("", nova)
	for i := range 3 {
		u.drop(fmt.Sprintf("off-%d.jsonl", i), prompts(300))
	}
	for i := range 3 {
		u.completed(fmt.Sprintf("off-%d.jsonl", i), 300)
	}
	u.ended()
}

func TestWithAllJobEventsLostTheScheduleFinishes(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{scheduled: true, flags: []string{"--lose-events", "1", "--speed", "100", "--job-time", "50s",
		"--set", quotas, "--set", `stale_after="2s"`}})
	u.settings("", nova)
	u.drop("lost.jsonl", prompts(500))
	u.completed("lost.jsonl", 500)
}
