package handler

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

const payloads = "../../events"

func payload(t *testing.T, name string) events.SQSEvent {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(payloads, name))
	if err != nil {
		t.Fatal(err)
	}
	var e events.SQSEvent
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(e.Records) != 1 {
		t.Fatalf("%s holds %d messages, a function gets one at a time", name, len(e.Records))
	}
	return e
}

func TestEveryPayloadIsUnderstood(t *testing.T) {
	want := map[string]struct {
		kind kind
		do   string
		key  string // of the first upload
		junk bool
	}{
		"s3-put.json":                              {kind: kindUploads, key: "reviews/2026-11-23.jsonl"},
		"s3-put-two-records.json":                  {kind: kindUploads},
		"s3-put-workload.json":                     {kind: kindUploads},
		"s3-test-event.json":                       {kind: kindTest},
		"job-state-change-completed.json":          {kind: kindStateChange},
		"job-state-change-expired.json":            {kind: kindStateChange},
		"job-state-change-failed.json":             {kind: kindStateChange},
		"job-state-change-partiallycompleted.json": {kind: kindStateChange},
		"job-state-change-stopped.json":            {kind: kindStateChange},
		"slot-free.json":                           {kind: kindStateChange},
		"again.json":                               {kind: kindOwn, do: pipeline.DoAgain},
		"collect.json":                             {kind: kindOwn, do: pipeline.DoCollect},
		"continue.json":                            {kind: kindOwn, do: pipeline.DoContinue},
		"dispatch.json":                            {kind: kindOwn, do: pipeline.DoDispatch},
		"settle.json":                              {kind: kindOwn, do: pipeline.DoSettle},
		"stop.json":                                {kind: kindOwn, do: pipeline.DoStop},
		"tick.json":                                {kind: kindOwn, do: pipeline.DoTick},
		"tick-jobs.json":                           {kind: kindOwn, do: pipeline.DoTick},
		"request.json":                             {kind: kindRequest, do: pipeline.DoRequest},
		"junk.json":                                {junk: true},
		"junk-text.json":                           {junk: true},
	}
	files, err := filepath.Glob(filepath.Join(payloads, "*.json"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d payloads, %d are tested (%v)", len(files), len(want), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		w, ok := want[name]
		if !ok {
			t.Errorf("%s is not tested", name)
			continue
		}
		m, err := parse([]byte(payload(t, name).Records[0].Body))
		if w.junk {
			if !errors.Is(err, errJunk) {
				t.Errorf("%s: %v, want junk", name, err)
			}
			continue
		}
		if err != nil || m.kind != w.kind || m.own.Do != w.do {
			t.Errorf("%s: kind %s, do %s, error %v", name, m.kind, m.own.Do, err)
			continue
		}
		switch {
		case w.key != "" && m.uploads[0].Key != w.key:
			t.Errorf("%s: key %q, want %q", name, m.uploads[0].Key, w.key)
		case w.kind == kindStateChange && (!batch.Status(m.event.Detail.Status).Terminal() || m.event.Detail.JobARN == ""):
			t.Errorf("%s: %+v", name, m.event)
		}
	}
}

// resent remembers what was put off.
type resent struct {
	bodies [][]byte
	delays []time.Duration
	err    error
}

func (r *resent) Send(_ context.Context, body []byte, delay time.Duration) error {
	r.bodies, r.delays = append(r.bodies, body), append(r.delays, delay)
	return r.err
}

func TestAMessageEndsDoneLaterOrFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err           error
		lost          error // of sending the copy
		failed, later bool
	}{
		"done":                                {},
		"throttled is put off":                {err: batch.ErrThrottled, later: true},
		"a lost conditional write is put off": {err: batch.ErrPrecondition, later: true},
		"a newer document is left for later":  {err: pipeline.ErrNewer, later: true},
		"what cannot be put off fails":        {err: batch.ErrUnavailable, lost: batch.ErrUnavailable, later: true, failed: true},
		"anything else fails":                 {err: errors.New("bug"), failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &resent{err: c.lost}
			q := &queue{log: slog.New(slog.DiscardHandler), resend: r, now: time.Now, route: func(context.Context, pipeline.Invocation, message) error { return c.err }}
			response, err := q.Handle(context.Background(), payload(t, "s3-put.json"))
			if err != nil || len(response.BatchItemFailures) == 1 != c.failed || len(r.bodies) == 1 != c.later {
				t.Errorf("failures %v, put off %d, error %v", response.BatchItemFailures, len(r.bodies), err)
			}
		})
	}
}

func TestWhatIsPutOffIsHandledAgainWithLongerDelays(t *testing.T) {
	r := &resent{}
	var seen []string
	q := &queue{log: slog.New(slog.DiscardHandler), resend: r, now: time.Now, route: func(_ context.Context, _ pipeline.Invocation, m message) error {
		seen = append(seen, m.uploads[0].Key)
		return batch.ErrThrottled
	}}
	body := []byte(payload(t, "s3-put.json").Records[0].Body)
	for range 3 {
		if err := q.message(context.Background(), pipeline.Invocation{}, body, "m", "", 0); err != nil {
			t.Fatal(err)
		}
		body = r.bodies[len(r.bodies)-1]
	}
	if len(seen) != 3 || seen[0] != seen[2] || !(r.delays[0] < r.delays[1] && r.delays[1] < r.delays[2]) {
		t.Errorf("seen %q, delays %v", seen, r.delays)
	}
}

func TestOneUploadsTroublePutsOffNoOther(t *testing.T) {
	r := &resent{}
	var calls int
	q := &queue{log: slog.New(slog.DiscardHandler), resend: r, now: time.Now, route: func(_ context.Context, in pipeline.Invocation, m message) error {
		if calls++; calls == 1 {
			return batch.ErrThrottled
		}
		return nil
	}}
	if _, err := q.Handle(context.Background(), payload(t, "s3-put-two-records.json")); err != nil {
		t.Fatal(err)
	}
	if calls != 2 || len(r.bodies) != 1 {
		t.Errorf("%d calls, %d put off", calls, len(r.bodies))
	}
	again, err := parse(r.bodies[0])
	if err != nil {
		t.Fatal(err)
	}
	if m, err := parse(again.own.Message); err != nil || len(m.uploads) != 1 {
		t.Errorf("put off %+v, %v", m, err)
	}
}

func TestJunkIsLoggedByItsNamesAlone(t *testing.T) {
	var log strings.Builder
	q := &queue{log: slog.New(slog.NewJSONHandler(io.Writer(&log), nil)), resend: &resent{}, now: time.Now}
	e := payload(t, "junk.json")
	e.Records[0].Body = `{"secret-name":"secret value"}`
	response, err := q.Handle(context.Background(), e)
	if err != nil || len(response.BatchItemFailures) != 1 {
		t.Errorf("%v %v", response, err)
	}
	if text := log.String(); !strings.Contains(text, "secret-name") || strings.Contains(text, "secret value") {
		t.Errorf("log: %s", text)
	}
}
