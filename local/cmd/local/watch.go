package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
	"github.com/bedrock-batch/bedrock-batch/local/cloudwatch"
)

// watch prints, for whoever plays with the services, what comes and goes: a
// line for each upload, change of a job's state, quarter of its records, and
// notice. It shows names and counts, never contents. A nil watch prints
// nothing.
type watch struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
	// progress is how far jobs are that have not ended.
	progress map[string]progress
}

// progress are records of a job.
type progress struct{ processed, total int64 }

func (p progress) quarter() int64 { return 4 * p.processed / max(1, p.total) }

func (p progress) String() string { return fmt.Sprintf("%d of %d records", p.processed, p.total) }

func (w *watch) line(what, format string, args ...any) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// A terminal that has gone is no reason to stop.
	_, _ = fmt.Fprintf(w.out, "%s  %-7s %s\n", w.now().Local().Format(time.TimeOnly), what, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// ready says how to go on.
func (w *watch) ready(env string) {
	w.line("ready", "in another shell: . %s && aws s3 cp FILE s3://$BB_INPUT_BUCKET/FOLDER/", env)
	w.line("ready", "what happens is shown here; Ctrl-C ends it, and the data stay for the next start")
}

// uploaded reads an S3 event.
func (w *watch) uploaded(event []byte) {
	var e struct {
		Records []struct {
			S3 struct {
				Bucket struct{ Name string }
				Object struct {
					Key  string
					Size int64
				}
			}
		}
	}
	if w == nil || json.Unmarshal(event, &e) != nil {
		return // S3's test event is of another shape
	}
	for _, r := range e.Records {
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			key = r.S3.Object.Key
		}
		w.line("upload", "s3://%s/%s  %s", r.S3.Bucket.Name, key, size(r.S3.Object.Size))
	}
}

func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	case n < 1000*1000*1000:
		return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1000/1000/1000)
}

// jobs shows the state changes of jobs on their way to the bus.
func (w *watch) jobs(next bedrock.Publisher) bedrock.Publisher {
	if w == nil {
		return next
	}
	return bedrock.PublisherFunc(func(ctx context.Context, envelope []byte) error {
		var e struct {
			Detail struct{ BatchJobName, BatchModelID, Status, FailureMessage string }
		}
		if json.Unmarshal(envelope, &e) == nil {
			more := ""
			switch e.Detail.Status {
			case "Submitted":
				more = "for " + path.Base(e.Detail.BatchModelID)
			case "Failed":
				more = e.Detail.FailureMessage
			case "Completed", "PartiallyCompleted", "Stopped", "Expired":
				more = w.ended(e.Detail.BatchJobName)
			}
			w.line("job", "%s  %-18s %s", e.Detail.BatchJobName, e.Detail.Status, more)
		}
		return next.Publish(ctx, envelope)
	})
}

// progressed shows a job's records when another quarter of them is done; all
// of them are told with its end.
func (w *watch) progressed(job string, processed, total int64) {
	if w == nil {
		return
	}
	now := progress{processed, total}
	w.mu.Lock()
	if w.progress == nil {
		w.progress = map[string]progress{}
	}
	before := w.progress[job]
	w.progress[job] = now
	w.mu.Unlock()
	if now.quarter() > before.quarter() && processed < total {
		w.line("job", "%s  %-18s %s", job, "InProgress", now)
	}
}

// ended forgets a job and says how far it came; nothing if it never began.
func (w *watch) ended(job string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, began := w.progress[job]
	delete(w.progress, job)
	if !began {
		return ""
	}
	return last.String()
}

// published shows a notice by its subject; what alarms publish is shown by
// alarm.
func (w *watch) published(topicARN, subject string) {
	if fromAlarm.MatchString(subject) {
		return
	}
	if subject == "" {
		subject = "without a subject, on " + topicARN[strings.LastIndex(topicARN, ":")+1:]
	}
	w.line("notice", "%s", subject)
}

var fromAlarm = regexp.MustCompile(`^(ALARM|OK|INSUFFICIENT_DATA): "`)

// alarm shows a change of an alarm's state, but not that one was found in order
// at first.
func (w *watch) alarm(name string, from, to cloudwatch.State, reason string) {
	if from == cloudwatch.Insufficient && to == cloudwatch.OK {
		return
	}
	w.line("alarm", "%s  %s: %s", name, to, reason)
}
