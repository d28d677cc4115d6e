package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// misbehaving makes a function of the test binary.
const misbehaving = "E2E_MISBEHAVES"

// misbehave is a function that does what its message says: crash, or take
// nearly all of its time.
func misbehave() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		res, err := http.Get(base + "next")
		if err != nil {
			os.Exit(0) // the services are gone
		}
		event, err := io.ReadAll(res.Body)
		if err != nil {
			os.Exit(0)
		}
		switch {
		case bytes.Contains(event, []byte("crash")):
			os.Exit(1)
		case bytes.Contains(event, []byte("dawdle")):
			millis, err := strconv.ParseInt(res.Header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
			if err != nil {
				os.Exit(1)
			}
			time.Sleep(time.Until(time.UnixMilli(millis).Add(-200 * time.Millisecond)))
		}
		post, err := http.Post(base+res.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", strings.NewReader("{}"))
		if err != nil {
			os.Exit(0)
		}
		post.Body.Close()
	}
}

// tower is somebody who watches the alarms: what is said on the operations
// topic and what states CloudWatch shows.
type tower struct {
	*user
	queue      string
	said, seen map[string]bool // alarms that spoke up; alarms seen in ALARM
	over       map[string]bool // alarms that spoke up again when it was over
}

func (u *user) tower() *tower {
	return &tower{user: u, queue: u.subscribeTo(u.env["BB_OPERATIONS_TOPIC_ARN"], "operations", ""),
		said: map[string]bool{}, seen: map[string]bool{}, over: map[string]bool{}}
}

// look takes what has been said since and looks at the states.
func (w *tower) look() {
	w.t.Helper()
	out, err := w.metrics.DescribeAlarms(w.t.Context(), &cloudwatch.DescribeAlarmsInput{StateValue: types.StateValueAlarm})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range out.MetricAlarms {
		w.seen[strings.TrimPrefix(*a.AlarmName, stackName+"-")] = true
	}
	got, err := w.sqs.ReceiveMessage(w.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &w.queue, MaxNumberOfMessages: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range got.Messages {
		var said struct {
			AlarmName, AlarmArn, NewStateValue, OldStateValue, NewStateReason string
			Trigger                                                           struct{ MetricName string }
		}
		if err := json.Unmarshal([]byte(*m.Body), &said); err != nil || said.NewStateReason == "" || said.Trigger.MetricName == "" || !strings.HasSuffix(said.AlarmArn, ":alarm:"+said.AlarmName) {
			w.t.Errorf("an alarm said %s (%v)", *m.Body, err)
		}
		switch name := strings.TrimPrefix(said.AlarmName, stackName+"-"); {
		case said.NewStateValue == "ALARM":
			w.said[name] = true
		case said.OldStateValue == "ALARM":
			w.over[name] = true
		}
		if _, err := w.sqs.DeleteMessage(w.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &w.queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// until waits for alarms that were seen and heard; meanwhile keeps their
// condition up.
func (w *tower) until(alarms []string, meanwhile func()) {
	w.t.Helper()
	w.within(*patience, "alarms "+strings.Join(alarms, ", "), func() string {
		if meanwhile != nil {
			meanwhile()
		}
		w.look()
		var missing []string
		for _, name := range alarms {
			if !w.said[name] || !w.seen[name] {
				missing = append(missing, fmt.Sprintf("%s (said: %v, seen: %v)", name, w.said[name], w.seen[name]))
			}
		}
		return strings.Join(missing, ", ")
	})
}

// silent fails the test if one of these has spoken up before its condition.
func (w *tower) silent(alarms ...string) {
	w.t.Helper()
	w.look()
	for _, name := range alarms {
		if w.said[name] || w.seen[name] {
			w.t.Errorf("%s spoke up before there was a reason", name)
		}
	}
}

// The alarms by who brings about their conditions.
var (
	badFunctions = []string{"submit-errors", "collect-errors", "submit-slow", "collect-slow", "uploads-old", "jobs-old", "uploads-dead-filled", "jobs-dead-filled"}
	badDays      = []string{"undelivered-filled", "jobs-failed", "spend-high", "waiting-old", "open-old"}
)

func TestEveryAlarmOfTheTemplateIsBroughtAbout(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	out, err := u.metrics.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(100)})
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, a := range out.MetricAlarms {
		there = append(there, strings.TrimPrefix(*a.AlarmName, stackName+"-"))
	}
	if want := slices.Sorted(slices.Values(slices.Concat(badFunctions, badDays))); !slices.Equal(there, want) {
		t.Errorf("the template has the alarms\n%v, the tests here bring about\n%v", there, want)
	}
}

// Functions that crash and dawdle: a message that is worked on all the time is
// old, one that crashes its function ends in the dead letters.
func TestAlarmsAboutFunctionsAndQueues(t *testing.T) {
	t.Parallel()
	functions := filepath.Join(programs.dir, "misbehaving")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"submit", "collect"} {
		if err := os.MkdirAll(filepath.Join(functions, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(self, filepath.Join(functions, name, "bootstrap")); err != nil {
			t.Fatal(err)
		}
	}
	u := begin(t, setup{functions: functions, flags: []string{"--speed", "300"}, edit: func(t *testing.T, c *cloud) {
		c.timeout(900, 900)
		for _, name := range []string{"FunctionSubmit", "FunctionCollect"} {
			c.properties(name)["Environment"].(map[string]any)["Variables"].(map[string]any)[misbehaving] = "1"
		}
	}})
	w := u.tower()
	w.silent(badFunctions...)
	for _, queue := range []string{"uploads", "jobs"} {
		u.send(queue, "crash")
		u.send(queue, "dawdle")
	}
	w.until(badFunctions, nil)
	w.silent(badDays...)
	u.within(*patience, "the word that it is over", func() string {
		w.look()
		if !w.over["submit-errors"] || !w.over["jobs-old"] {
			return fmt.Sprint(w.over)
		}
		return ""
	})
}

// Days that cost too much, jobs that fail, submissions that stand still.
func TestAlarmsAboutSubmissionsAndSpending(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{scheduled: true, flags: []string{"--speed", "60", "--expire", "1", "--set", quotas,
		"--set", "caps.max_estimated_cost_usd=0", "--set", `prices={"us.amazon.nova":{"input":1e6,"output":1e6}}`}})
	w := u.tower()
	w.silent(badDays...)

	u.send("undelivered", "nobody could be told")
	w.until([]string{"undelivered-filled"}, nil)

	u.settings("", nova+"retries: 0\n")
	w.silent("jobs-failed")
	u.drop("late.jsonl", prompts(150))
	w.until([]string{"jobs-failed"}, nil)

	w.silent("spend-high")
	u.drop("dear.jsonl", prompts(5)) // a dollar a token
	w.until([]string{"spend-high"}, nil)

	// A submission that cannot go on, and whose markers say that it began long ago.
	u.notice("dear.jsonl")
	u.notice("late.jsonl")
	put := func(key string, body []byte) {
		if _, err := u.s3.PutObject(context.WithoutCancel(t.Context()), &s3.PutObjectInput{Bucket: &u.output, Key: &key, Body: bytes.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	put("control/pause", []byte("for the test"))
	u.drop("held.jsonl", prompts(150))
	u.within(*patience, "a submission that waits", func() string {
		if len(u.keys("waiting/")) == 0 {
			return u.brief("")
		}
		return ""
	})
	w.silent("waiting-old", "open-old")
	waiting := u.keys("waiting/")[0]
	folder := waiting[:strings.LastIndexByte(waiting, '/')+1]
	id := waiting[strings.LastIndexByte(waiting, '-')+1:]
	put(fmt.Sprintf("%s%012x-%s", folder, time.Now().Add(-49*time.Hour).UnixMilli(), id), u.read("s3://"+u.output+"/"+waiting))
	w.until([]string{"waiting-old"}, nil)

	w.silent("open-old")
	w.until([]string{"open-old"}, func() {
		var marker map[string]any
		if err := json.Unmarshal(u.read("s3://"+u.output+"/open/"+id), &marker); err != nil {
			t.Fatal(err)
		}
		marker["createdAt"] = time.Now().Add(-121 * time.Hour).UTC()
		body, err := json.Marshal(marker)
		if err != nil {
			t.Fatal(err)
		}
		put("open/"+id, body)
	})
	w.silent(slices.DeleteFunc(slices.Clone(badFunctions), func(name string) bool { return strings.HasSuffix(name, "-old") })...)
}
