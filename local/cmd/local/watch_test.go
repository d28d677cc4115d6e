package main

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
)

// screen is a terminal that tests look at.
type screen struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan string
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	for line := range strings.Lines(string(p)) {
		s.lines <- strings.TrimSpace(line)
	}
	return len(p), nil
}

func TestWatchShowsUploadsJobsAndNotices(t *testing.T) {
	out := &screen{lines: make(chan string, 64)}
	w := &watch{out: out, now: time.Now}
	published := 0
	jobs := w.jobs(bedrock.PublisherFunc(func(context.Context, []byte) error {
		published++
		return nil
	}))
	w.uploaded([]byte(`{"Service":"Amazon S3","Event":"s3:TestEvent"}`))
	w.uploaded([]byte(`{"Records":[{"s3":{"bucket":{"name":"in"},"object":{"key":"day+1/%C3%BC.csv","size":1234567}}}]}`))
	for _, status := range []string{"Submitted", "InProgress", "Completed"} {
		if status == "Completed" {
			for processed := int64(0); processed <= 264; processed += 13 {
				w.progressed("bb-1", min(processed, 264), 264)
			}
			w.progressed("bb-1", 264, 264)
		}
		if err := jobs.Publish(t.Context(), []byte(`{"detail":{"batchJobName":"bb-1","batchModelId":"arn:aws:bedrock:us-east-1::foundation-model/m","status":"`+status+`"}}`)); err != nil {
			t.Fatal(err)
		}
	}
	w.published("arn:aws:sns:us-east-1:123456789012:notices", "day 1 is done")
	w.published("arn:aws:sns:us-east-1:123456789012:notices", "")
	want := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  upload  s3://in/day 1/ü\.csv  1\.2 MB
\d\d:\d\d:\d\d  job     bb-1  Submitted          for m
\d\d:\d\d:\d\d  job     bb-1  InProgress
\d\d:\d\d:\d\d  job     bb-1  InProgress         78 of 264 records
\d\d:\d\d:\d\d  job     bb-1  InProgress         143 of 264 records
\d\d:\d\d:\d\d  job     bb-1  InProgress         208 of 264 records
\d\d:\d\d:\d\d  job     bb-1  Completed          264 of 264 records
\d\d:\d\d:\d\d  notice  day 1 is done
\d\d:\d\d:\d\d  notice  without a subject, on notices
$`)
	if got := out.text.String(); !want.MatchString(got) || published != 3 {
		t.Errorf("published %d, shown:\n%s", published, got)
	}
}

func TestWatchingServicesSayHowToGoOn(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		lines int
	}{{"watching", []string{"--watch"}, 1}, {"not watching", nil, 0}} {
		t.Run(c.name, func(t *testing.T) {
			out := &screen{lines: make(chan string, 64)}
			ctx, stop := context.WithCancel(t.Context())
			dir := t.TempDir()
			code := make(chan int, 1)
			var said bytes.Buffer
			go func() {
				code <- run(ctx, append(c.args, "--services-only", "--port", "0", "--data", filepath.Join(dir, "data")), out, &said)
				close(out.lines)
			}()
			line := <-out.lines
			env := readEnv(t, strings.TrimPrefix(strings.Fields(line + " env= env=")[2], "env="))
			if _, err := sns.NewFromConfig(config(env)).Publish(t.Context(), &sns.PublishInput{
				TopicArn: aws.String(env["BB_TOPIC_ARN"]), Subject: aws.String("a subject"), Message: aws.String("a secret"),
			}); err != nil {
				t.Error(err)
			}
			if _, err := s3.NewFromConfig(config(env)).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
				t.Error(err)
			}
			stop()
			if c := <-code; c != 0 {
				t.Fatalf("exit code %d: %s", c, &said)
			}
			leave(t)
			text := out.text.String()
			if n := strings.Count(text, "notice  a subject"); n != c.lines || strings.Contains(text, "a secret") {
				t.Errorf("%d notices in\n%s", n, text)
			}
			if hint := strings.Contains(text, "aws s3 cp FILE"); hint != (c.lines == 1) {
				t.Errorf("said:\n%s", text)
			}
		})
	}
}
