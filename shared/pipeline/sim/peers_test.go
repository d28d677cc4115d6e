package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// What other tools of this kind are known to get wrong, as cases of ours.

// until is a context with a deadline on the virtual clock.
type until struct {
	context.Context
	at time.Time
}

func (u until) Deadline() (time.Time, bool) { return u.at, true }

// drain handles messages until none is left, waiting for delayed ones.
func (p *place) drain(topic *memory.Topic[pipeline.Publication]) {
	p.t.Helper()
	for range 1000 {
		queue := p.uploads
		m, ok := queue.Receive()
		if !ok {
			queue = p.jobs
			m, ok = queue.Receive()
		}
		if !ok {
			next, later := p.uploads.Next()
			if other, is := p.jobs.Next(); is && (!later || other.Before(next)) {
				next, later = other, true
			}
			if !later {
				return
			}
			p.clock.AdvanceTo(next)
			continue
		}
		o, in := p.options(&hook{})
		ctx := lambdacontext.NewContext(p.t.Context(), &lambdacontext.LambdaContext{AwsRequestID: in.ID})
		ctx = until{ctx, in.Deadline}
		log := slog.New(slog.DiscardHandler)
		event := events.SQSEvent{Records: []events.SQSMessage{{MessageId: m.MessageID, Body: string(m.Body)}}}
		var out events.SQSEventResponse
		var err error
		if queue == p.uploads {
			out, err = handler.NewSubmit(pipeline.NewSubmit(o, p.bedrock.Jobs(nil), p.bedrock.Model(nil)), "in", p.uploads, log, p.clock.Now).Handle(ctx, event)
		} else {
			out, err = handler.NewCollect(pipeline.NewCollect(o, p.bedrock.Jobs(nil), topic), p.jobs, log, p.clock.Now).Handle(ctx, event)
		}
		if err != nil || len(out.BatchItemFailures) > 0 {
			p.t.Fatalf("message %s failed: %v", m.Body, err)
		}
		queue.Delete(m)
	}
	p.t.Fatal("the messages do not end")
}

// record is S3's of an object, its key encoded as S3 does.
func record(o batch.Object, key string) string {
	return fmt.Sprintf(`{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"in"},"object":{"key":"%s","size":%d,"eTag":"%s","versionId":"%s"}}}`, key, o.Size, o.ETag, o.Version)
}

func notification(records ...string) []byte {
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

// end ends every live job with the lines that make gives for each record, in
// files as named, and sends the event of it.
func (p *place) end(status batch.Status, files func(folder string, lines []string) map[string]string, line func(n int, record string) string) {
	for _, job := range p.bedrock.All() {
		if job.Status.Terminal() {
			continue
		}
		for p.bedrock.Advance(job.ARN) != batch.InProgress {
		}
		input := p.output.Bytes(strings.TrimPrefix(job.Input, "s3://out/"))
		var lines []string
		for n, record := range strings.Split(strings.TrimSpace(string(input)), "\n") {
			if text := line(n, strings.TrimSuffix(record, "}")); text != "" {
				lines = append(lines, text)
			}
		}
		p.bedrock.End(job.ARN, memory.Outcome{Status: status, NoOutput: true, NoCounts: true})
		for name, body := range files(strings.TrimPrefix(job.Output, "s3://out/")+job.ID()+"/", lines) {
			p.output.Set(name, []byte(body))
		}
		p.jobs.Put(fmt.Appendf(nil, `{"version":"0","detail-type":"Batch Inference Job State Change","source":"aws.bedrock","time":"Mon Nov 23 12:34:56 UTC 2026","detail":{"batchJobName":"%s","batchJobArn":"%s","batchModelId":"%s","status":"%s","creationTime":"Nov 23, 2026, 10:16:02 AM"}}`, job.Name, job.ARN, job.ModelID, status), 0)
	}
}

// usual is one output file and a manifest beside it.
func usual(folder string, lines []string) map[string]string {
	return map[string]string{folder + "0.jsonl.out": strings.Join(lines, "\n") + "\n", folder + "manifest.json.out": `{"totalRecordCount":4}`}
}

const said = `,"modelOutput":{"output":{"message":{"role":"assistant","content":[{"text":"fine"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}}`

func content(blocks string) string {
	return `,"modelOutput":{"output":{"message":{"role":"assistant","content":[` + blocks + `]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}}`
}

func TestWhatOthersAreKnownToGetWrong(t *testing.T) {
	const four = `{"prompt":"a"}` + "\n" + `{"prompt":"b"}` + "\n" + `{"prompt":"c"}` + "\n" + `{"prompt":"d"}` + "\n"
	all := func(_ int, record string) string { return record + said }
	first := func(k int) func(int, string) string {
		return func(n int, record string) string {
			if n < k {
				return record + said
			}
			return ""
		}
	}
	third := func(instead string) func(int, string) string {
		return func(n int, record string) string {
			if n == 2 {
				return record + instead
			}
			return record + said
		}
	}
	for name, c := range map[string]struct {
		upload   string
		settings string
		status   batch.Status
		files    func(string, []string) map[string]string
		line     func(int, string) string
		want     string // of the notice
		rows     pipeline.Rows
		results  string // is in results.jsonl
	}{
		"line ends between records are CRLF": {
			upload: strings.ReplaceAll(four, "\n", "\r\n"), line: all,
			files: func(folder string, lines []string) map[string]string {
				return map[string]string{folder + "0.jsonl.out": strings.Join(lines, "\r\n") + "\r\n", folder + "manifest.json.out": "{}"}
			},
			want: pipeline.StatusCompleted, rows: pipeline.Rows{Total: 4, Answered: 4},
		},
		"a brace, a line end and a brace stand inside a string": {
			upload: strings.Replace(four, `"c"`, `"c}\n{c"`, 1), line: third(content(`{"text":"so}\n{so"}`)),
			want: pipeline.StatusCompleted, rows: pipeline.Rows{Total: 4, Answered: 4}, results: `"output":"so}\n{so"`,
		},
		"the output file is empty": {
			upload: four, line: first(0), files: func(folder string, _ []string) map[string]string {
				return map[string]string{folder + "0.jsonl.out": "", folder + "manifest.json.out": "{}"}
			},
			want: pipeline.StatusFailed, rows: pipeline.Rows{Total: 4, Missing: 4},
		},
		"an answer has an empty list of content": {
			upload: four, line: third(content(``)),
			want: pipeline.StatusCompleted, rows: pipeline.Rows{Total: 4, Answered: 4}, results: `"output":""`,
		},
		"a tool use is the last block of an answer": {
			upload: four, line: third(content(`{"text":"looking"},{"toolUse":{"toolUseId":"1","name":"find","input":{"a":1}}}`)),
			want: pipeline.StatusCompleted, rows: pipeline.Rows{Total: 4, Answered: 4}, results: `"output":"looking"`,
		},
		"one row failed among good ones": {
			upload: four, line: third(`,"error":{"errorCode":400,"errorMessage":"no"}}`),
			want: pipeline.StatusCompletedWithErrors, rows: pipeline.Rows{Total: 4, Answered: 3, Failed: 1},
		},
		"an error's code is a text": {
			upload: four, settings: "retries: 0\n", line: third(`,"error":{"errorCode":"ThrottlingException","errorMessage":"slow down"}}`),
			want: pipeline.StatusCompletedWithErrors, rows: pipeline.Rows{Total: 4, Answered: 3, Failed: 1},
		},
		"an error stands inside modelOutput": {
			upload: four, line: third(`,"modelOutput":{"error":{"errorCode":400,"errorMessage":"no"}}}`),
			want: pipeline.StatusCompletedWithErrors, rows: pipeline.Rows{Total: 4, Answered: 3, Failed: 1},
		},
		"output and manifest lie one folder deeper": {
			upload: four, line: all, files: func(folder string, lines []string) map[string]string {
				return map[string]string{folder + "deeper/0.jsonl.out": strings.Join(lines, "\n"), folder + "deeper/manifest.json.out": "{}"}
			},
			want: pipeline.StatusCompleted, rows: pipeline.Rows{Total: 4, Answered: 4},
		},
		"a job that ran out of time leaves some output": {
			upload: four, settings: "retries: 0\n", status: batch.PartiallyCompleted, line: first(3),
			want: pipeline.StatusCompletedWithErrors, rows: pipeline.Rows{Total: 4, Answered: 3, Missing: 1},
		},
		"an expired job leaves some output": {
			upload: four, settings: "retries: 0\n", status: batch.Expired, line: first(2),
			want: pipeline.StatusCompletedWithErrors, rows: pipeline.Rows{Total: 4, Answered: 2, Missing: 2},
		},
		"a job stopped by hand leaves some output": {
			upload: four, status: batch.Stopped, line: first(1),
			want: pipeline.StatusCompletedWithErrors, rows: pipeline.Rows{Total: 4, Answered: 1, Missing: 3},
		},
		"a completed job has no good row": {
			upload: four, line: func(_ int, record string) string {
				return record + `,"error":{"errorCode":400,"errorMessage":"no"}}`
			},
			want: pipeline.StatusFailed, rows: pipeline.Rows{Total: 4, Failed: 4},
		},
		"the tail would make the last part too large": {
			upload: four + four + four + four + `{"prompt":"e"}` + "\n", line: all,
			want: pipeline.StatusCompleted, rows: pipeline.Rows{Total: 17, Answered: 17},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			topic := memory.NewTopic[pipeline.Publication](nil)
			p.input.Set("workload.yaml", []byte("model: amazon.nova-lite-v1:0\n"+c.settings))
			p.uploads.Put(notification(record(p.input.Set("rows.jsonl", []byte(c.upload)), "rows.jsonl")), 0)
			p.drain(topic)
			for _, job := range p.bedrock.All() {
				if n := strings.Count(string(p.output.Bytes(strings.TrimPrefix(job.Input, "s3://out/"))), "\n"); n < 3 || n > 8 {
					t.Errorf("job %s has %d records, its quotas are 3 and 8", job.Name, n)
				}
			}
			if c.status == "" {
				c.status = batch.Completed
			}
			if c.files == nil {
				c.files = usual
			}
			p.end(c.status, c.files, c.line)
			p.drain(topic)
			n := p.notice(topic)
			if n.Status != c.want || n.Rows != c.rows {
				t.Errorf("the notice says %s %+v (%s), want %s %+v", n.Status, n.Rows, n.Reason, c.want, c.rows)
			}
			results := string(p.output.Bytes(strings.TrimPrefix(n.Results.Results, "s3://out/")))
			if strings.Count(results, "\n") != int(c.rows.Answered) || !strings.Contains(results, c.results) {
				t.Errorf("results.jsonl holds\n%s\nwant %d lines, one with %s", results, c.rows.Answered, c.results)
			}
		})
	}
}

// notice is the only one that was published.
func (p *place) notice(topic *memory.Topic[pipeline.Publication]) (n pipeline.Notice) {
	p.t.Helper()
	all := topic.Published()
	if len(all) != 1 {
		p.t.Fatalf("%d notices were published, want one", len(all))
	}
	if err := json.Unmarshal([]byte(all[0].JSON), &n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func TestTwoRecordsInOneMessageAndKeysWithPlusAndPercentAreTwoUploads(t *testing.T) {
	p := newPlace(t)
	topic := memory.NewTopic[pipeline.Publication](nil)
	const rows = `{"prompt":"a"}` + "\n" + `{"prompt":"b"}` + "\n" + `{"prompt":"c"}` + "\n"
	p.uploads.Put(notification(
		record(p.input.Set("a+b %41.jsonl", []byte(rows)), "a%2Bb+%2541.jsonl"),
		record(p.input.Set("ü&=.jsonl", []byte(rows)), "%C3%BC%26%3D.jsonl"),
	), 0)
	p.drain(topic)
	p.end(batch.Completed, usual, func(_ int, record string) string { return record + said })
	p.drain(topic)
	var keys []string
	for _, published := range topic.Published() {
		var n pipeline.Notice
		if err := json.Unmarshal([]byte(published.JSON), &n); err != nil {
			t.Fatal(err)
		}
		if n.Status != pipeline.StatusCompleted {
			t.Errorf("%s is %s: %s", n.Upload.Key, n.Status, n.Reason)
		}
		keys = append(keys, n.Upload.Key)
	}
	if got := strings.Join(keys, " and "); got != "a+b %41.jsonl and ü&=.jsonl" && got != "ü&=.jsonl and a+b %41.jsonl" {
		t.Errorf("notices are of %s", got)
	}
}

func TestAnEventThatSaysADifferentTimeInWordsIsUnderstood(t *testing.T) {
	p := newPlace(t)
	topic := memory.NewTopic[pipeline.Publication](nil)
	p.upload("a.jsonl", &hook{})
	p.end(batch.Completed, usual, func(_ int, record string) string { return record + said })
	before := p.clock.Now()
	p.drain(topic)
	if n := p.notice(topic); n.Status != pipeline.StatusCompleted || p.clock.Now().Sub(before) > time.Minute {
		t.Errorf("the notice is %s after %v, want Completed at once", n.Status, p.clock.Now().Sub(before))
	}
}

func TestAFoldersFirstObjectDoesNotDecideForTheOthers(t *testing.T) {
	for name, first := range map[string]string{"it is empty": "", "it holds nothing but a mark": "\xef\xbb\xbf", "its rows are none": "42\n", "its rows tell nothing": "{}\n"} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			topic := memory.NewTopic[pipeline.Publication](nil)
			p.input.Set("quiet/workload.yaml", []byte("gather: {quiet: 2m}\n"))
			const rows = `{"prompt":"a"}` + "\n" + `{"prompt":"b"}` + "\n" + `{"prompt":"c"}` + "\n"
			p.uploads.Put(notification(
				record(p.input.Set("quiet/a.jsonl", []byte(first)), "quiet/a.jsonl"),
				record(p.input.Set("quiet/b.jsonl", []byte(rows)), "quiet/b.jsonl"),
			), 0)
			p.drain(topic)
			p.end(batch.Completed, usual, func(_ int, record string) string { return record + said })
			p.drain(topic)
			if n := p.notice(topic); n.Rows != (pipeline.Rows{Total: 4, Answered: 3, SetAside: 1}) {
				t.Errorf("the notice says %s %+v (%s), want three answers and one row set aside", n.Status, n.Rows, n.Reason)
			}
		})
	}
}
