package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// with puts a row in place of others; rows count from 1.
func with(n int, rows map[int]string) []byte {
	all := strings.SplitAfter(string(prompts(n)), "\n")
	for row, text := range rows {
		all[row-1] = text + "\n"
	}
	return []byte(strings.Join(all, ""))
}

func TestBadInputCostsNoOtherRow(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--set", "workload={}"}})
	u.settings("ok/", nova)
	huge := `{"prompt":"` + strings.Repeat("x", 26_000_000) + `"}`
	deep := `{"prompt":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`
	latin := "{\"prompt\":\"caf\xe9\"}"
	windows := append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(prompts(120), []byte("\n"), []byte("\r\n"))...)
	segments := func(segment string, bytes int) string {
		var b strings.Builder
		for b.Len()+len(segment)+1 < bytes {
			b.WriteString(segment + "/")
		}
		return b.String() + strings.Repeat("z", bytes-b.Len())
	}
	cases := []struct {
		name     string
		key      string
		settings string // of the key's folder
		body     []byte
		status   string
		reason   string // parts of the notice's reason, separated by |
		aside    map[int]string
		rows     int
	}{
		{name: "an empty file", key: "ok/empty.jsonl", status: "Rejected", reason: "empty"},
		{name: "a file of white space", key: "ok/blank.jsonl", body: []byte("\n \n\r\n"), status: "Rejected", reason: "empty"},
		{name: "a file in UTF-16", key: "ok/wide.jsonl", body: append([]byte("\xff\xfe"), bytes.Repeat([]byte("{\x00}\x00\n\x00"), 200)...), status: "Rejected", reason: "UTF-16"},
		{name: "a file that is no text", key: "noise/a.jsonl", settings: nova + "format: prompt\n", body: bytes.Repeat([]byte{0xc1, 0x80, 0xf5, '\n'}, 200), status: "Rejected", reason: "none of the 200 rows"},
		{name: "rows that are not UTF-8, broken, too deep, no object", key: "ok/rows.jsonl",
			body:   with(120, map[int]string{5: latin, 6: `{"prompt":"half`, 7: deep, 8: `"text"`, 9: `{"other":1}`, 10: `{"prompt":7}`}),
			status: "CompletedWithErrors", rows: 120,
			aside: map[int]string{5: "UTF-8", 6: "", 7: "deep", 8: "object", 9: "prompt", 10: "prompt"}},
		{name: "a row over 25 MB", key: "ok/large.jsonl", body: with(110, map[int]string{50: huge}), status: "CompletedWithErrors", rows: 110,
			aside: map[int]string{50: "row_too_large"}},
		{name: "byte order mark, CRLF and no last line break", key: "ok/windows.jsonl", body: bytes.TrimRight(windows, "\r\n"), status: "Completed", rows: 120},
		{name: "settings that cannot be read", key: "yaml/a.jsonl", settings: nova + "retries: 1\nmodle: x\n", body: prompts(120),
			status: "Rejected", reason: "yaml/workload.yaml|3|modle|model"},
		{name: "settings out of range", key: "range/a.jsonl", settings: nova + "retries: 9\n", body: prompts(120),
			status: "Rejected", reason: "range/workload.yaml|2|retries|5"},
		{name: "no model", key: "bare/a.jsonl", body: prompts(120), status: "Rejected", reason: "no model|bare/a.jsonl"},
		{name: "a model that is not allowed", key: "dear/a.jsonl", settings: "model: us.anthropic.claude-opus-4-1-20250805-v1:0\n", body: prompts(120),
			status: "Rejected", reason: "us.anthropic.claude-opus-4-1-20250805-v1:0|allowed"},
		{name: "a key with spaces and signs", key: "ok/a b+c%d=e&f,g;h@i$j'k(l)/100% ü 😀.jsonl", body: prompts(120), status: "Completed", rows: 120},
		{name: "a key that looks encoded", key: "ok/a%20b%2Fc+d.jsonl", body: prompts(121), status: "Completed", rows: 121},
		{name: "a key of 1,000 bytes", key: "ok/" + segments(strings.Repeat("s p", 60), 1000-len("ok/.jsonl")) + ".jsonl", body: prompts(120), status: "Completed", rows: 120},
		{name: "a key of 1,000 bytes in short segments", key: "ok/" + segments("né", 1000-len("ok/.jsonl")) + ".jsonl", body: prompts(120), status: "Completed", rows: 120},
	}
	for _, c := range cases {
		if c.settings != "" {
			u.settings(c.key[:strings.LastIndexByte(c.key, '/')+1], c.settings)
		}
		u.drop(c.key, c.body)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u := u.in(t)
			n := u.notice(c.key)
			if n.Status != c.status {
				t.Fatalf("notice: %s, want %s", n.Raw, c.status)
			}
			for _, part := range strings.Split(c.reason, "|") {
				if !strings.Contains(n.Reason, part) {
					t.Errorf("reason %q does not tell %q", n.Reason, part)
				}
			}
			if c.rows == 0 {
				return
			}
			u.answered(n, func(yield func(int64, string) bool) {
				for row, subject := range upTo(c.rows) {
					if _, bad := c.aside[int(row)]; !bad && !yield(row, subject) {
						return
					}
				}
			})
			if n.Rows.SetAside != int64(len(c.aside)) || len(c.aside) == 0 {
				if n.Rows.SetAside != 0 {
					t.Errorf("rows: %+v, want %d set aside", n.Rows, len(c.aside))
				}
				return
			}
			for _, s := range lines[setAside](u, n.Results.SetAside) {
				want, ok := c.aside[int(s.Line)]
				if !ok || !strings.Contains(s.Code+" "+s.Reason, want) || s.Raw == "" && s.RawBase64 == "" {
					t.Errorf("set aside: line %d %s: %s, want %q", s.Line, s.Code, s.Reason, want)
				}
				if raw, err := base64.StdEncoding.DecodeString(s.RawBase64); err != nil || s.Line == 5 && string(raw) != latin {
					t.Errorf("the bytes of line 5 came back as %q (%v)", raw, err)
				}
			}
		})
	}
	u.ended()
}

func TestSomebodyElsesJobIsLeftAlone(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	put := func(key string, body []byte) {
		if _, err := u.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &u.output, Key: &key, Body: bytes.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	put("staged/other/in/a.jsonl", bytes.ReplaceAll(natives(100), []byte("mine-"), []byte("other-")))
	location := func(key string) *string { return aws.String("s3://" + u.output + "/" + key) }
	out, err := u.bedrock.CreateModelInvocationJob(t.Context(), &bedrock.CreateModelInvocationJobInput{
		JobName: aws.String("somebody-elses"), ModelId: aws.String("us.anthropic.claude-haiku-4-5-20251001-v1:0"), RoleArn: aws.String(u.env["BB_JOB_ROLE_ARN"]),
		InputDataConfig:  &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{Value: types.ModelInvocationJobS3InputDataConfig{S3Uri: location("staged/other/in/a.jsonl")}},
		OutputDataConfig: &types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig{Value: types.ModelInvocationJobS3OutputDataConfig{S3Uri: location("staged/other/out/")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	u.within(*patience, "the end of the job", func() string {
		for _, j := range u.jobs() {
			if j.status != "Completed" {
				return j.status
			}
		}
		return ""
	})
	// The rule keeps such events from the jobs queue; should one come anyway:
	u.send("jobs", fmt.Sprintf(`{"version":"0","id":"e1","detail-type":"Batch Inference Job State Change","source":"aws.bedrock","account":"123456789012",
		"time":"Wed Aug 28 22:58:30 UTC 2026","region":"us-east-1","resources":[%q],"detail":{"version":"0.0","accountId":"123456789012",
		"batchJobName":"somebody-elses","batchJobArn":%q,"batchModelId":"us.anthropic.claude-haiku-4-5-20251001-v1:0","status":"Completed","failureMessage":"","creationTime":"Aug 28, 2026, 10:47:53 PM"}}`, *out.JobArn, *out.JobArn))
	u.within(*patience, "the end of all messages", func() string {
		for _, name := range []string{"uploads", "jobs"} {
			if visible, inFlight, delayed := u.depth(name); visible+inFlight+delayed > 0 {
				return fmt.Sprintf("queue %s has %d messages, %d in flight, %d delayed", name, visible, inFlight, delayed)
			}
		}
		return ""
	})
	for _, name := range []string{"uploads-dead", "jobs-dead"} {
		if visible, _, _ := u.depth(name); visible > 0 {
			t.Errorf("queue %s has %d messages", name, visible)
		}
	}
	if got := u.said(); len(got) > 0 {
		t.Errorf("notices: %+v", got)
	}
	if !strings.Contains(u.functionLog(t, "collect"), "somebody-elses") {
		t.Error("no log line tells of the job")
	}
	if n := len(u.keys("staged/other/")); n < 3 {
		t.Errorf("of the job's objects %d are left", n)
	}
}

func TestJunkOnTheQueuesEndsInTheDeadLetterQueues(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{
		flags: []string{"--speed", "400", "--job-time", "100s"},
		edit:  func(_ *testing.T, c *cloud) { c.timeout(60, 360) },
	})
	u.settings("", nova)
	junk := []string{"confidential {{{", `{"confidential-member":"confidential value"}`, `["confidential"]`, `{"bedrock-batch":1,"do":"confidential"}`,
		`{"Records":[{"eventSource":"aws:s3","s3":{"bucket":{"name":"confidential"},"object":{"key":"a"}}}]}`, `{"bedrock-batch":99,"do":"tick"}`}
	for _, queue := range []string{"uploads", "jobs"} {
		for _, body := range junk {
			u.send(queue, body)
		}
	}
	u.drop("between.jsonl", prompts(130))
	u.completed("between.jsonl", 130)
	for queue, function := range map[string]string{"uploads": "submit", "jobs": "collect"} {
		u.within(*patience, "dead letters of "+queue, func() string {
			if visible, _, _ := u.depth(queue + "-dead"); visible < len(junk) {
				return fmt.Sprintf("%d of %d", visible, len(junk))
			}
			return ""
		})
		log := u.functionLog(t, function)
		if !strings.Contains(log, "confidential-member") || strings.Count(log, `"message failed"`) < len(junk) {
			t.Errorf("%s logs nothing of the junk on its queue:\n%.3000s", function, log)
		}
		if strings.Contains(log, "confidential value") || strings.Contains(log, "confidential {{{") {
			t.Errorf("%s logs content", function)
		}
	}
}
