package lambda_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/lambda"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// gate allows all but the actions in deny, and remembers who asked for what.
type gate struct {
	mu   sync.Mutex
	deny map[string]bool
	seen map[string]bool
}

func (g *gate) Check(_ context.Context, c access.Call) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = map[string]bool{}
	}
	if c.Principal != nil {
		g.seen[c.Principal.Name+" "+c.Action+" "+c.Resource] = true
	}
	if g.deny[c.Action] {
		return &access.Denial{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Why: "because no identity-based policy allows the " + c.Action + " action"}
	}
	return nil
}

func (g *gate) saw(s string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[s]
}

var role = &access.Principal{Name: "fn-role", ARN: "arn:aws:iam::123456789012:role/fn-role", Session: "arn:aws:sts::123456789012:assumed-role/fn-role/local", AccessKeyID: "AKIAROLE", Secret: "s3cr3t"}
var user = &access.Principal{Name: "user", ARN: "arn:aws:iam::123456789012:user/user"}

type stack struct {
	*lambda.Service
	queues  *sqs.Service
	gate    *gate
	logs    string
	work    string
	clock   *clock.Clock
	arn     string
	gateway string
}

func start(t *testing.T, speed float64, deny string, change func(*lambda.Function), cfg lambda.Config) *stack {
	t.Helper()
	c, err := clock.New(speed)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{deny: map[string]bool{deny: true}}
	q, err := sqs.New(sqs.Config{Authority: g, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg.LogDir, cfg.WorkDir, cfg.Endpoint = filepath.Join(dir, "log"), filepath.Join(dir, "work"), "http://127.0.0.1:4566"
	cfg.Authority, cfg.Queues, cfg.Clock = g, q, c
	// What a killed service has left there goes away.
	if err := os.MkdirAll(filepath.Join(cfg.WorkDir, "function-fn-1", "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := lambda.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(cfg.WorkDir, "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := lambda.Function{
		Name: "fn", Binary: exe, Role: role, Timeout: 30 * time.Second, MemoryMB: 256,
		Environment: map[string]string{"TEST_FUNCTION": "1", "GATE": filepath.Join(dir, "gate")},
	}
	if change != nil {
		change(&f)
	}
	if err := s.Declare(f); err != nil {
		t.Fatal(err)
	}
	return &stack{Service: s, queues: q, gate: g, logs: filepath.Join(cfg.LogDir, "fn"), work: cfg.WorkDir, clock: c, arn: lambda.ARN("fn"), gateway: filepath.Join(dir, "gate")}
}

type answer struct {
	Calls, PID, Leftovers int
	WD, Tmp, ARN          string
	Deadline              string
	Env                   []string
	ErrorType             string
	ErrorMessage          string
}

func invoke(t *testing.T, s *stack, payload string) (answer, lambda.Result) {
	t.Helper()
	res, err := s.InvokeAs(t.Context(), user, s.arn, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(res.Payload, &a); err != nil {
		t.Fatalf("payload %s: %v", res.Payload, err)
	}
	return a, res
}

func usage(t *testing.T, s *stack) []lambda.Usage {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.logs, "usage.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []lambda.Usage
	for line := range strings.Lines(string(b)) {
		var u lambda.Usage
		if err := json.Unmarshal([]byte(line), &u); err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

func TestAWarmProcessIsUsedAgain(t *testing.T) {
	s := start(t, 1, "", nil, lambda.Config{})
	first, _ := invoke(t, s, `{"do":"echo"}`)
	second, _ := invoke(t, s, `{"do":"grow"}`)
	if first.PID != second.PID || second.Calls != 2 {
		t.Errorf("pids %d and %d, calls %d: want one process and its second call", first.PID, second.PID, second.Calls)
	}
	u := usage(t, s)
	if len(u) != 2 || u[0].Outcome != "ok" || u[1].MaxRSSBytes < 64<<20 || u[0].MaxRSSBytes >= 64<<20 || u[0].InitMS == 0 || u[1].InitMS != 0 {
		t.Errorf("usage %+v: want two good lines, the second above 64 MiB, the first below and with the start", u)
	}
	log, err := os.ReadFile(filepath.Join(s.logs, "function.log"))
	if err != nil || !strings.Contains(string(log), "handled echo") || strings.Count(string(log), "REPORT RequestId: ") != 2 {
		t.Errorf("log %s %v", log, err)
	}
}

func TestTheFunctionSeesItsOwnWorldOnly(t *testing.T) {
	t.Setenv("AWS_PROFILE", "somebody")
	s := start(t, 1, "", nil, lambda.Config{})
	a, _ := invoke(t, s, `{"do":"echo"}`)
	for _, want := range []string{"AWS_ACCESS_KEY_ID=AKIAROLE", "AWS_SECRET_ACCESS_KEY=s3cr3t", "AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=http://127.0.0.1:4566",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_LAMBDA_FUNCTION_NAME=fn", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/fn", "_HANDLER=bootstrap", "TEST_FUNCTION=1"} {
		if !slices.Contains(a.Env, want) {
			t.Errorf("environment lacks %s", want)
		}
	}
	for _, e := range a.Env {
		if strings.HasPrefix(e, "AWS_PROFILE=") {
			t.Errorf("our %s leaked into the function", e)
		}
	}
	if !strings.HasPrefix(a.WD, s.work) || !strings.HasPrefix(a.Tmp, s.work) || a.Leftovers != 0 {
		t.Errorf("wd %s tmp %s leftovers %d: want private empty folders below %s", a.WD, a.Tmp, a.Leftovers, s.work)
	}
	if a.ARN != s.arn || a.Deadline == "" {
		t.Errorf("arn %s deadline %s", a.ARN, a.Deadline)
	}
}

func TestFailuresReadAsTheCloudWordsThem(t *testing.T) {
	s := start(t, 1, "", func(f *lambda.Function) { f.Timeout = time.Second }, lambda.Config{})
	for _, c := range []struct{ name, payload, kind, says, outcome string }{
		{"an error of the handler", `{"do":"fail"}`, "errorString", "as told", "error"},
		{"a program that exits", `{"do":"exit"}`, "Runtime.ExitError", "exit status 7", "crash"},
		{"a program over its time limit", `{"do":"sleep"}`, "Sandbox.Timedout", "Task timed out after 1.00 seconds", "timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, res := invoke(t, s, c.payload)
			if res.FunctionError != "Unhandled" || a.ErrorType != c.kind || !strings.Contains(a.ErrorMessage, c.says) {
				t.Errorf("got %s %s", res.FunctionError, res.Payload)
			}
			u := usage(t, s)
			if got := u[len(u)-1].Outcome; got != c.outcome {
				t.Errorf("outcome %s, want %s", got, c.outcome)
			}
		})
	}
	if a, _ := invoke(t, s, `{"do":"echo"}`); a.Calls != 1 || a.Leftovers != 0 {
		t.Errorf("after a kill: calls %d, leftovers %d, want a fresh process in a fresh folder", a.Calls, a.Leftovers)
	}
}

func TestATimeLimitPassesOnTheClock(t *testing.T) {
	for _, c := range []struct {
		name           string
		speed          float64
		timeout, limit time.Duration
	}{
		{"at the speed of life", 1, 900 * time.Second, 900 * time.Second},
		{"on a faster clock", 10, 900 * time.Second, 90 * time.Second},
		{"not below what work needs", 1000, 900 * time.Second, 30 * time.Second},
		{"a short one stays", 1000, 20 * time.Second, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.speed, "", func(f *lambda.Function) { f.Timeout = c.timeout }, lambda.Config{})
			before := time.Now()
			a, _ := invoke(t, s, `{"do":"echo"}`)
			after := time.Now()
			n, err := strconv.ParseInt(a.Deadline, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if d := time.UnixMilli(n); d.Before(before.Add(c.limit).Truncate(time.Millisecond)) || d.After(after.Add(c.limit)) {
				t.Errorf("deadline %v after the call, want %v", d.Sub(before), c.limit)
			}
		})
	}
}

func TestAProgramThatExitsAtItsStart(t *testing.T) {
	s := start(t, 1, "", func(f *lambda.Function) { f.Environment["TEST_FUNCTION"] = "exits-at-once" }, lambda.Config{})
	a, res := invoke(t, s, `{}`)
	if res.FunctionError != "Unhandled" || a.ErrorType != "Runtime.ExitError" || !strings.Contains(a.ErrorMessage, "exit status 3") {
		t.Errorf("got %s %s", res.FunctionError, res.Payload)
	}
}

func TestConcurrentInvocationsHaveProcessesOfTheirOwn(t *testing.T) {
	s := start(t, 1, "", func(f *lambda.Function) { f.Concurrency = 3 }, lambda.Config{})
	pids := make(chan int, 3)
	for range 3 {
		go func() {
			res, err := s.InvokeAs(context.Background(), user, s.arn, []byte(`{"do":"wait"}`))
			var a answer
			if err != nil || json.Unmarshal(res.Payload, &a) != nil {
				pids <- 0
				return
			}
			pids <- a.PID
		}()
	}
	eventually(t, "three processes", func() bool {
		left, _ := filepath.Glob(filepath.Join(s.work, "*"))
		return len(left) == 3
	})
	if _, err := s.InvokeAs(t.Context(), user, s.arn, []byte(`{}`)); access.AsAPIError(err).Code != "TooManyRequestsException" {
		t.Errorf("a fourth of three: %v", err)
	}
	if err := os.WriteFile(s.gateway, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for range 3 {
		seen[<-pids] = true
	}
	if len(seen) != 3 || seen[0] {
		t.Errorf("pids %v, want three different ones", seen)
	}
}

// eventually waits for work that real processes do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("did not come: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestAsynchronousInvocationsAreRetriedAndSentAway(t *testing.T) {
	s := start(t, 1000, "", func(f *lambda.Function) { f.OnFailureARN = sqs.ARN("failures") }, lambda.Config{})
	if err := s.queues.Declare("failures", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.InvokeAsyncAs(t.Context(), user, s.arn, []byte(`{"do":"fail"}`)); err != nil {
		t.Fatal(err)
	}
	var m []sqs.Message
	eventually(t, "the record of the failure", func() bool {
		var err error
		if m, err = s.queues.ReceiveAs(t.Context(), user, sqs.ARN("failures"), 1, time.Second); err != nil {
			t.Fatal(err)
		}
		return len(m) == 1
	})
	if b := m[0].Body; !strings.Contains(b, `"condition":"RetriesExhausted"`) || !strings.Contains(b, `"approximateInvokeCount":3`) || !strings.Contains(b, `"requestPayload":{"do":"fail"}`) {
		t.Errorf("record %s", b)
	}
	if n := len(usage(t, s)); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
}

func TestRandomKillsHitRunningInvocations(t *testing.T) {
	s := start(t, 1, "", func(f *lambda.Function) { f.Timeout = time.Second }, lambda.Config{Kill: 1, Seed: 1})
	a, res := invoke(t, s, `{"do":"sleep"}`)
	if res.FunctionError != "Unhandled" || !strings.Contains(a.ErrorMessage, "signal: killed") {
		t.Errorf("got %s", res.Payload)
	}
}

func TestTheAPIOverHTTP(t *testing.T) {
	s := start(t, 1, "lambda:ListFunctions", nil, lambda.Config{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), user)))
	}))
	defer srv.Close()
	do := func(method, path, body string, headers ...string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(b)
	}
	const fns = "/2015-03-31/functions"
	res, body := do("POST", fns+"/fn/invocations", `{"do":"fail"}`, "X-Amz-Log-Type", "Tail")
	tail, _ := base64.StdEncoding.DecodeString(res.Header.Get("X-Amz-Log-Result"))
	if res.StatusCode != 200 || res.Header.Get("X-Amz-Function-Error") != "Unhandled" || !strings.Contains(body, "as told") || !strings.Contains(string(tail), "REPORT") {
		t.Errorf("invoke: %d %v %s", res.StatusCode, res.Header, body)
	}
	if res, _ := do("POST", fns+"/fn/invocations", `{}`, "X-Amz-Invocation-Type", "Event"); res.StatusCode != 202 {
		t.Errorf("event: %d", res.StatusCode)
	}
	if res, _ := do("POST", fns+"/fn/invocations", ``, "X-Amz-Invocation-Type", "DryRun"); res.StatusCode != 204 {
		t.Errorf("dry run: %d", res.StatusCode)
	}
	if res, body := do("GET", fns+"/arn:aws:lambda:us-east-1:123456789012:function:fn", ""); res.StatusCode != 200 || !strings.Contains(body, `"MemorySize":256`) {
		t.Errorf("get by ARN: %d %s", res.StatusCode, body)
	}
	if res, body := do("GET", fns+"/none", ""); res.StatusCode != 404 || res.Header.Get("X-Amzn-Errortype") != "ResourceNotFoundException" {
		t.Errorf("no function: %d %s", res.StatusCode, body)
	}
	if res, body := do("GET", fns+"/", ""); res.StatusCode != 403 || !strings.Contains(body, "is not authorized to perform: lambda:ListFunctions") {
		t.Errorf("denied: %d %s", res.StatusCode, body)
	}
	if res, body := do("DELETE", fns+"/fn", ""); res.StatusCode != 404 || !strings.Contains(body, "DELETE") {
		t.Errorf("what is not there: %d %s", res.StatusCode, body)
	}
}

func TestDeclareRefuses(t *testing.T) {
	s := start(t, 1, "", nil, lambda.Config{})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		f    lambda.Function
		want string
	}{
		{"no program", lambda.Function{Name: "a", Role: role, Binary: "/none"}, "no program"},
		{"no role", lambda.Function{Name: "a", Binary: exe}, "role"},
		{"a reserved variable", lambda.Function{Name: "a", Role: role, Binary: exe, Environment: map[string]string{"AWS_REGION": "x"}}, "AWS_REGION"},
		{"too large an environment", lambda.Function{Name: "a", Role: role, Binary: exe, Environment: map[string]string{"X": strings.Repeat("x", 4096)}}, "4096"},
		{"a time limit over 15 minutes", lambda.Function{Name: "a", Role: role, Binary: exe, Timeout: 901 * time.Second}, "900"},
		{"a name twice", lambda.Function{Name: "fn", Role: role, Binary: exe}, "twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := s.Declare(c.f); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one saying %q", err, c.want)
			}
		})
	}
}
