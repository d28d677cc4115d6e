package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// ask makes a request message of n prompts and further members.
func ask(n int, members string) []byte {
	var rows []string
	for line := range bytes.Lines(prompts(n)) {
		rows = append(rows, strings.TrimSpace(string(line)))
	}
	return fmt.Appendf(nil, `{"bedrock-batch":1,"do":"request","prompts":[%s]%s}`, strings.Join(rows, ","), members)
}

const novaMember = `,"workload":{"model":"us.amazon.nova-lite-v1:0"}`

func TestPromptsInAMessageBecomeResultsAndANotice(t *testing.T) {
	for _, rows := range []int{2, 20} {
		w := handlertest.New(t, small)
		w.Uploads.Put(ask(rows, novaMember+`,"id":"order-7","attributes":{"team":"blue"}`), 0)
		w.Run()
		n := one(t, w)
		if n.Status != pipeline.StatusCompleted || int(n.Rows.Answered) != rows || n.Request != "order-7" || n.Attributes["team"] != "blue" || n.Workload != "request" {
			t.Fatalf("notice: %+v", n)
		}
		if want := "s3://out/results/requests/order-7/" + n.Submission + "/results.jsonl"; n.Results.Results != want {
			t.Errorf("results: %s, want %s", n.Results.Results, want)
		}
		if p := w.Topic.Published()[0]; p.Attributes["team"] != "blue" || !strings.Contains(p.Subject, "order-7") || !strings.Contains(p.Email, "request order-7") {
			t.Errorf("published: %+v", p)
		}
		lines := strings.Split(strings.TrimSpace(string(w.Result(n, "results.jsonl"))), "\n")
		for i, line := range lines {
			if want := fmt.Sprintf(`{"recordId":"r%010d","row":%d,"id":"u%d",`, i+1, i+1, i+1); !strings.HasPrefix(line, want) {
				t.Fatalf("line %d is %.120s, want %s...", i+1, line, want)
			}
		}
		if len(lines) != rows || w.Output.Bytes("results/requests/order-7/latest.json") == nil {
			t.Errorf("%d results", len(lines))
		}
		clean(t, w)
	}
}

func TestRowsOfARequestThatFailComeBackAsTheyWereSent(t *testing.T) {
	w := handlertest.New(t, small)
	w.Outcome = func(batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(n int, _ string) memory.Line {
			if n == 3 {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
			}
			return memory.Line{}
		}}
	}
	body := ask(5, `,"workload":{"model":"us.amazon.nova-lite-v1:0","output":{"echo":true,"csv":true}}`)
	body = bytes.Replace(body, []byte(`"prompts":[`), []byte(`"prompts":[{"prompt":7}, `), 1)
	w.Uploads.Put(body, 0)
	w.Run()
	n := one(t, w)
	if n.Status != pipeline.StatusCompletedWithErrors || n.Rows.Answered != 4 || n.Rows.Failed != 1 || n.Rows.SetAside != 1 {
		t.Fatalf("notice: %+v", n)
	}
	if errors := w.Result(n, "errors.jsonl"); !bytes.HasPrefix(errors, []byte(`{"id":"u4","prompt":"What is 4 plus one?","_error":`)) {
		t.Errorf("errors.jsonl: %s", errors)
	}
	if results := w.Result(n, "results.jsonl"); !bytes.Contains(results, []byte(`"input":{"id":"u1","prompt":"What is 1 plus one?"}`)) {
		t.Errorf("results.jsonl: %s", results)
	}
	if table := w.Result(n, "results.csv"); !bytes.HasPrefix(table, []byte("row,id,source,output,")) {
		t.Errorf("results.csv: %s", table)
	}
	clean(t, w)
}

func TestAnObjectIsAskedForWithSettingsOfTheRequest(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("apps/workload.yaml", []byte(nova+"system: from the folder\ninference: {max_tokens: 7}\nnotice: {attributes: {team: blue, stage: test}}\n"))
	w.Input.Set("apps/_rows.jsonl", prompts(4)) // intake leaves it alone
	w.Input.Set("apps/_rows.jsonl", []byte("{\"prompt\":\"a newer version\"}\n"))
	old := w.Input.Set("apps/_old.jsonl", prompts(5))
	w.Input.Set("apps/_old.jsonl", []byte("{\"prompt\":\"a newer version\"}\n"))
	w.Run()
	if len(w.Notices()) != 0 {
		t.Fatalf("notices: %+v", w.Notices())
	}
	w.Uploads.Put([]byte(`{"bedrock-batch":1,"do":"request","id":"a","s3Uri":"s3://in/apps/_rows.jsonl"}`), 0)
	w.Uploads.Put([]byte(`{"bedrock-batch":1,"do":"request","id":"b","s3Uri":"s3://in/apps/_old.jsonl","version":"`+old.Version+`","workload":{"name":"mine","system":"from the request"},"attributes":{"team":"red"}}`), 0)
	w.Run()
	notices := w.Notices()
	if len(notices) != 2 {
		t.Fatalf("notices: %+v", notices)
	}
	if n := notices[0]; n.Request != "a" || n.Rows.Answered != 1 || n.Upload.Key != "apps/_rows.jsonl" || n.Upload.VersionID == "" || n.Workload != "apps" {
		t.Errorf("notice: %+v", n)
	}
	if n := notices[1]; n.Request != "b" || n.Rows.Answered != 5 || n.Workload != "mine" || n.Upload.VersionID != old.Version {
		t.Errorf("notice: %+v", n)
	}
	if a := w.Topic.Published()[1].Attributes; a["team"] != "red" || a["stage"] != "test" || a["keyPrefix"] != "apps/" {
		t.Errorf("attributes: %v", a)
	}
	if sent := strings.Join(w.Sent, ""); !strings.Contains(sent, "from the request") || !strings.Contains(sent, `"maxTokens":7`) {
		t.Errorf("sent: %s", sent)
	}
	clean(t, w)
}

func TestARequestThatCannotBeFollowedIsRejectedWithAReason(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"a member that is not known": {`,"prompts":[{"prompt":"x"}],"modell":"x"`, `"modell" is no member`},
		"settings that are wrong":    {`,"prompts":[{"prompt":"x"}],"workload":{"retries":9}`, "retries: 9 is not between 0 and 5"},
		"no model":                   {`,"prompts":[{"prompt":"x"}]`, "no model"},
		"rows of nothing known":      {`,"prompts":[7]` + novaMember, "prompt_template must say"},
		"another bucket":             {`,"s3Uri":"s3://other/a.jsonl"` + novaMember, "not in the input bucket"},
		"no such object":             {`,"s3Uri":"s3://in/a.jsonl"` + novaMember, "not there"},
		"settings as an object":      {`,"s3Uri":"s3://in/x/workload.yaml"` + novaMember, "none whose rows could be asked for"},
		"a folder":                   {`,"s3Uri":"s3://in/x/"` + novaMember, "none whose rows could be asked for"},
		"a document of the bucket":   {`,"prompts":[{"_document":{"bucket":"in","key":"x/a.txt","versionId":""}}]` + novaMember, "prompt_template"},
		"no version of the protocol": {`,"prompts":"x"`, "not a list of rows"},
	} {
		t.Run(name, func(t *testing.T) {
			w := handlertest.New(t, small)
			w.Uploads.Put([]byte(`{"bedrock-batch":1,"do":"request","id":"q-1","attributes":{"team":"blue"}`+c.body+`}`), 0)
			w.Run()
			n := one(t, w)
			if n.Status != pipeline.StatusRejected || !strings.Contains(n.Reason, c.want) || n.Request != "q-1" || len(w.Bedrock.All()) > 0 {
				t.Errorf("notice: %+v, want %q", n, c.want)
			}
			if p := w.Topic.Published()[0]; p.Attributes["team"] != "blue" || p.Attributes["status"] != "Rejected" {
				t.Errorf("attributes: %v", p.Attributes)
			}
			clean(t, w)
		})
	}
}

func TestARequestUnderOneNameIsOneSubmission(t *testing.T) {
	w := handlertest.New(t, small)
	for range 3 {
		w.Uploads.Put(ask(4, novaMember+`,"id":"order-7"`), 0)
	}
	w.Run()
	w.Clock.Advance(48 * time.Hour)
	w.Uploads.Put(ask(4, novaMember+`,"id":"order-7"`), 0)
	w.Uploads.Put(ask(9, `,"id":"order-7"`), 0)
	w.Ticks(8)
	if n := one(t, w); n.Rows.Answered != 4 || len(w.Bedrock.All()) != 1 {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}

// A request without an id has that of its message, also when the message was a
// dead letter, which the queue names anew.
func TestARequestWithoutAnIDHasThatOfItsMessage(t *testing.T) {
	w := handlertest.New(t, small)
	var again []byte
	w.Invoked = func(_ string, body []byte) {
		if bytes.Contains(body, []byte(`"messageId"`)) {
			again = bytes.Clone(body)
		}
	}
	w.Uploads.Put(ask(4, novaMember), 0)
	w.Run()
	first := one(t, w)
	if again == nil || first.Request == "" {
		t.Fatalf("the message was not sent again with its id: %+v", first)
	}
	w.Uploads.Put(again, 0) // as a redrive does
	w.Run()
	one(t, w)
	w.Uploads.Put(ask(4, novaMember), 0) // another message, another request
	w.Run()
	if n := w.Notices(); len(n) != 2 || n[0].Request == n[1].Request {
		t.Errorf("notices: %+v", n)
	}
	clean(t, w)
}

// Whatever write an invocation dies at, before or behind it: the message comes
// again, or the tick finds what it left.
func TestARequestSurvivesACrashAtEveryWrite(t *testing.T) {
	for at := 1; ; at++ {
		writes, died := 0, false
		var w *handlertest.World
		w = handlertest.New(t, func(w *handlertest.World) {
			small(w)
			w.Hook = crashes(func(call, _ string) bool {
				if call != "Bucket.Put" && call != "Bucket.Commit" && call != "Bucket.Delete" {
					return false
				}
				writes++
				if !died && writes == at {
					died = true
					return true
				}
				return false
			})
		})
		w.Uploads.Put(ask(9, novaMember+`,"id":"order-7"`), 0)
		w.Run()
		w.Clock.Advance(2 * time.Hour)
		w.Ticks(14)
		if n := w.Notices(); len(n) == 0 || n[0].Rows.Answered != 9 || len(n) > 2 {
			t.Fatalf("write %d: notices %+v", at, n)
		}
		if jobs := len(w.Bedrock.All()); jobs != 2 {
			t.Fatalf("write %d: %d jobs", at, jobs)
		}
		if !died {
			if at < 20 {
				t.Errorf("only %d writes", at)
			}
			return
		}
	}
}

// crashes kills the invocation behind the calls about keys that it is told of.
type crashes func(call, key string) bool

func (c crashes) Before(context.Context, string, string) error { return nil }
func (c crashes) After(_ context.Context, call, key string, err error) error {
	if c(call, key) {
		panic(handlertest.Crash)
	}
	return err
}

// The sample event is a request that works.
func TestTheSampleRequestIsAnswered(t *testing.T) {
	body, err := os.ReadFile("../../events/request.json")
	if err != nil {
		t.Fatal(err)
	}
	var event struct{ Records []struct{ Body string } }
	if err := json.Unmarshal(body, &event); err != nil {
		t.Fatal(err)
	}
	w := handlertest.New(t, small)
	w.Uploads.Put([]byte(event.Records[0].Body), 0)
	w.Run()
	if n := one(t, w); n.Rows.Answered != 2 || n.Workload != "on-the-spot" || n.Attributes["caller"] != "example" {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}
