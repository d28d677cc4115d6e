package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/demo"
)

// The test program plays the local services when this variable says how.
const role = "DEMO_TEST_ROLE"

func TestMain(m *testing.M) {
	if how := os.Getenv(role); how != "" {
		play(how)
		return
	}
	os.Exit(m.Run())
}

// play is the local services and the product behind them: whatever file comes
// has its notice at once.
func play(how string) {
	flag := func(name string) string {
		for i, a := range os.Args {
			if a == name {
				return os.Args[i+1]
			}
		}
		return ""
	}
	if how == "broken" {
		fmt.Fprintln(os.Stderr, "local: the template is not there")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p := &product{how: how, objects: map[string][]byte{}}
	web := httptest.NewServer(p)
	defer web.Close()
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	env := fmt.Sprintf("export AWS_ENDPOINT_URL='%s'\nexport AWS_REGION='us-east-1'\nexport AWS_ACCESS_KEY_ID='a'\nexport AWS_SECRET_ACCESS_KEY='b'\n"+
		"export BB_INPUT_BUCKET='in'\nexport BB_OUTPUT_BUCKET='out'\nexport BB_TOPIC_ARN='arn:aws:sns:us-east-1:123456789012:notices'\n", web.URL)
	must(os.WriteFile(flag("--env"), []byte(env), 0o600))
	must(os.MkdirAll(filepath.Join(flag("--log"), "submit"), 0o700))
	must(os.WriteFile(filepath.Join(flag("--log"), "submit", "function.log"), []byte("the last thing submit did\n"), 0o600))
	fmt.Printf("ready %s env=%s\n", web.URL, flag("--env"))
	<-ctx.Done()
}

// product answers S3, SQS and SNS as far as the demo goes.
type product struct {
	how string

	mu      sync.Mutex
	objects map[string][]byte
	queue   []string
	n       int
}

func (p *product) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasSuffix(target, "CreateQueue"):
		fmt.Fprint(w, `{"QueueUrl":"http://127.0.0.1/123456789012/demo-notices"}`)
	case strings.HasSuffix(target, "ReceiveMessage"):
		var messages []map[string]string
		for _, m := range p.queue {
			messages = append(messages, map[string]string{"MessageId": "m", "ReceiptHandle": "r", "Body": m})
		}
		p.queue = nil
		_ = json.NewEncoder(w).Encode(map[string]any{"Messages": messages})
	case target != "":
		fmt.Fprint(w, "{}")
	case strings.HasPrefix(r.URL.Path, "/model-invocation-jobs"):
		fmt.Fprint(w, `{"invocationJobSummaries":[{"jobArn":"arn/abcdefghijkl","jobName":"j","status":"InProgress","totalRecordCount":5,"processedRecordCount":2}]}`)
	case r.Method == "POST":
		fmt.Fprint(w, "<SubscribeResponse><SubscribeResult><SubscriptionArn>s</SubscriptionArn></SubscribeResult></SubscribeResponse>")
	case r.Method == "PUT":
		if strings.HasSuffix(r.URL.Path, ".jsonl") && p.how != "silent" {
			p.answer(strings.TrimPrefix(r.URL.Path, "/in/"), body)
		}
	case r.URL.Query().Get("list-type") == "2":
		fmt.Fprint(w, "<ListBucketResult>")
		for _, path := range slices.Sorted(maps.Keys(p.objects)) {
			if key := strings.TrimPrefix(path, "/out/"); strings.HasPrefix(key, r.URL.Query().Get("prefix")) {
				fmt.Fprintf(w, "<Contents><Key>%s</Key></Contents>", key)
			}
		}
		fmt.Fprint(w, "</ListBucketResult>")
	default:
		_, _ = w.Write(p.objects[r.URL.Path])
	}
}

// answer writes the results and the notice, twice, of an upload whose rows that
// begin with x are bad.
func (p *product) answer(key string, body []byte) {
	var results, aside bytes.Buffer
	answered, bad, row := 0, 0, 0
	for line := range strings.Lines(string(body)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if row++; strings.HasPrefix(line, "x") {
			bad++
			fmt.Fprintf(&aside, `{"line":%d,"code":"not_json","reason":"no JSON"}`+"\n", row)
			continue
		}
		answered++
		fmt.Fprintf(&results, `{"row":%d,"output":"answer %d"}`+"\n", row, row)
	}
	missing := 0
	if p.how == "loses" {
		answered, missing = answered-1, 1
		results.Truncate(bytes.LastIndexByte(results.Bytes()[:results.Len()-1], '\n') + 1)
	}
	p.objects["/out/results/"+key+"/results.jsonl"] = results.Bytes()
	p.objects["/out/results/"+key+"/set-aside.jsonl"] = aside.Bytes()
	p.n++
	if p.how != "promises" {
		p.objects[fmt.Sprintf("/out/warehouse/dt=2026-11-26/s%d-00000.parquet", p.n)] = []byte("PAR1")
	}
	if p.how == "whose" {
		p.objects["/out/warehouse/dt=2026-11-26/other-00000.parquet"] = nil
	}
	notice := fmt.Sprintf(`{"version":1,"noticeId":"n%d","status":"Completed","upload":{"bucket":"in","key":"%s"},"modelId":"m",
		"rows":{"total":%d,"answered":%d,"failed":0,"setAside":%d,"missing":%d},"tokens":{"input":5,"output":6},"estimatedCostUSD":0.01,
		"results":{"results":"s3://out/results/%[2]s/results.jsonl","setAside":"s3://out/results/%[2]s/set-aside.jsonl","warehouse":"s3://out/warehouse/dt=2026-11-26/s%[1]d-"},"jobs":[{"jobArn":"a/abc","status":"Completed"}]}`,
		p.n, key, row, answered, bad, missing)
	p.queue = append(p.queue, notice, notice)
}

// examples makes two folders with five rows, one of them bad.
func examples(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/workload.yaml": "model: m\n", "a/one.jsonl": "{}\n\n{}\nx\n",
		"b/workload.yaml": "model: m\n", "b/two.jsonl": "{}\n{}",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheDemoEndsWithItsLineAndItsVerdict(t *testing.T) {
	tests := []struct {
		how, line string
		timeout   time.Duration
		problems  []string
	}{
		{"right", "demo: submissions=2 notices=2 rows=5 answered=4 failed=0 set_aside=1 missing=0 ok\n", time.Minute, nil},
		{"loses", "demo: submissions=2 notices=2 rows=5 answered=2 failed=0 set_aside=1 missing=2 FAILED\n", time.Minute, []string{"2 rows are missing"}},
		{"promises", "demo: submissions=2 notices=2 rows=5 answered=4 failed=0 set_aside=1 missing=0 FAILED\n", time.Minute,
			[]string{"the notice of a/one.jsonl says that there is Parquet at s3://out/warehouse/dt=2026-11-26/s1-, and there is none"}},
		{"whose", "demo: submissions=2 notices=2 rows=5 answered=4 failed=0 set_aside=1 missing=0 FAILED\n", time.Minute,
			[]string{"no notice tells of warehouse/dt=2026-11-26/other-00000.parquet"}},
		{"silent", "demo: submissions=2 notices=0 rows=5 answered=0 failed=0 set_aside=0 missing=0 FAILED\n", 2 * time.Second,
			[]string{"waiting for the notices of a/one.jsonl, b/two.jsonl", "submit/function.log", "the last thing submit did"}},
		{"broken", "demo: submissions=2 notices=0 rows=5 answered=0 failed=0 set_aside=0 missing=0 FAILED\n", time.Minute,
			[]string{"ended before they were ready", "the template is not there"}},
	}
	for _, test := range tests {
		t.Run(test.how, func(t *testing.T) {
			t.Setenv(role, test.how)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			results := filepath.Join(t.TempDir(), "results")
			err = demo.Run(t.Context(), demo.Options{Services: self, Examples: examples(t), Timeout: test.timeout, Results: results}, &out)
			if !strings.HasSuffix(out.String(), test.line) {
				t.Errorf("it ends with\n%s\nwant\n%s", out.String(), test.line)
			}
			if (err == nil) != (test.problems == nil) {
				t.Errorf("error %v", err)
			}
			for _, part := range test.problems {
				if !strings.Contains(fmt.Sprint(err), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if test.how == "right" {
				for _, part := range []string{"dropped a/one.jsonl (3 rows)", "NOTICE Completed: b/two.jsonl", "3 = 2 answered + 0 failed + 1 set aside + 0 missing", "answer 1", "not_json", "job abcdefghijkl InProgress, 2 of 5 records",
					"4 files below results/", filepath.Join(results, "warehouse", "dt=2026-11-26", "s2-00000.parquet"), "make queries RESULTS=" + results} {
					if !strings.Contains(out.String(), part) {
						t.Errorf("it does not show %q:\n%s", part, out.String())
					}
				}
				for name, want := range map[string]string{
					"results/a/one.jsonl/results.jsonl":        `{"row":1,"output":"answer 1"}` + "\n" + `{"row":2,"output":"answer 2"}` + "\n",
					"warehouse/dt=2026-11-26/s1-00000.parquet": "PAR1",
				} {
					if got, err := os.ReadFile(filepath.Join(results, filepath.FromSlash(name))); err != nil || string(got) != want {
						t.Errorf("%s is %q, %v", name, got, err)
					}
				}
			}
		})
	}
}

func TestTheResultsOfTwoRunsAreNotMixed(t *testing.T) {
	results := t.TempDir()
	if err := os.WriteFile(filepath.Join(results, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := demo.Run(t.Context(), demo.Options{Services: "none", Examples: examples(t), Results: results}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), results+", is not empty") {
		t.Errorf("got %v", err)
	}
}
