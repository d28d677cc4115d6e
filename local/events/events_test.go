package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/events"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// gate allows all but the pairs of action and resource in it.
type gate map[string]bool

func (g gate) Check(_ context.Context, c access.Call) error {
	if g[c.Action+" "+c.Resource] {
		return &access.Denial{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Why: "because no resource-based policy allows the " + c.Action + " action"}
	}
	return nil
}

func (gate) AsService(service, arn string) *access.Principal {
	return &access.Principal{Name: service, Service: service, Context: map[string][]string{"aws:SourceArn": {arn}}}
}

var user = &access.Principal{Name: "user", ARN: "arn:aws:iam::123456789012:user/user"}

// flaky fails the first sends with a fault of the service.
type flaky struct {
	*sqs.Service
	failures int
}

func (f *flaky) SendAs(ctx context.Context, p *access.Principal, arn string, m sqs.Outgoing) (string, error) {
	if f.failures > 0 {
		f.failures--
		return "", errors.New("the network is down")
	}
	return f.Service.SendAs(ctx, p, arn, m)
}

type calls struct{ got []string }

func (c *calls) InvokeAsyncAs(_ context.Context, p *access.Principal, arn string, payload []byte) error {
	c.got = append(c.got, p.Service+" "+arn+" "+string(payload))
	return nil
}

func open(t *testing.T, g gate, cfg events.Config) (*events.Service, *flaky) {
	t.Helper()
	q, err := sqs.New(sqs.Config{Authority: g, Clock: cfg.Clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"q", "dead"} {
		if err := q.Declare(name, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	f := &flaky{Service: q}
	cfg.Authority, cfg.Queues = g, f
	s, err := events.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), q.Close()); err != nil {
			t.Error(err)
		}
	})
	return s, f
}

func received(t *testing.T, q *flaky, name string) []sqs.Message {
	t.Helper()
	m, err := q.ReceiveAs(t.Context(), user, sqs.ARN(name), 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const stateChange = `{"version":"0","id":"i","detail-type":"Batch Inference Job State Change","source":"aws.bedrock","account":"123456789012","time":"t","region":"us-east-1",
"resources":["arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc"],"detail":{"batchJobName":"a3154b92-x-0-0","status":"Completed","n":1.50,"list":[{"k":"v"}]}}`

func TestAMatchingEventGoesToTheTargetsUnchanged(t *testing.T) {
	fn := &calls{}
	s, q := open(t, gate{}, events.Config{Functions: fn})
	if err := s.Declare(events.Rule{Name: "ended", Pattern: []byte(`{"source":["aws.bedrock"],"detail":{"status":["Completed"],"batchJobName":[{"prefix":"a3154b92"}]}}`), Targets: []events.Target{
		{ID: "q", ARN: sqs.ARN("q")}, {ID: "f", ARN: "arn:aws:lambda:us-east-1:123456789012:function:f", Input: `{"constant":1}`},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, ev := range []string{stateChange, strings.Replace(stateChange, "Completed", "InProgress", 1)} {
		if err := s.Publish(t.Context(), []byte(ev)); err != nil {
			t.Fatal(err)
		}
	}
	if m := received(t, q, "q"); len(m) != 1 || m[0].Body != stateChange {
		t.Errorf("queue got %v", m)
	}
	if len(fn.got) != 1 || fn.got[0] != `events.amazonaws.com arn:aws:lambda:us-east-1:123456789012:function:f {"constant":1}` {
		t.Errorf("function got %v", fn.got)
	}
}

func TestInputs(t *testing.T) {
	for _, c := range []struct {
		name   string
		target events.Target
		want   string
	}{
		{"a path selects a part, its numbers as written", events.Target{InputPath: "$.detail"}, `{"batchJobName":"a3154b92-x-0-0","list":[{"k":"v"}],"n":1.50,"status":"Completed"}`},
		{"a path with an index", events.Target{InputPath: "$.resources[0]"}, `"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc"`},
		{"a template fills JSON and text", events.Target{Transformer: &events.Transformer{
			Paths:    map[string]string{"job": "$.detail.batchJobName", "n": "$.detail.n", "l": "$.detail.list", "no": "$.detail.nothing"},
			Template: `{"job":<job>,"text":"job <job> has <n> and <no> \"<l>\"","n":<n>,"none":<no>,"rule":<aws.events.rule-name>}`,
		}}, `{"job":"a3154b92-x-0-0","text":"job a3154b92-x-0-0 has 1.50 and  \"[{\"k\":\"v\"}]\"","n":1.50,"none":null,"rule":"r"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, q := open(t, gate{}, events.Config{})
			c.target.ID, c.target.ARN = "q", sqs.ARN("q")
			if err := s.Declare(events.Rule{Name: "r", Pattern: []byte(`{"source":["aws.bedrock"]}`), Targets: []events.Target{c.target}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Publish(t.Context(), []byte(stateChange)); err != nil {
				t.Fatal(err)
			}
			m := received(t, q, "q")
			if len(m) != 1 {
				t.Fatalf("got %v", m)
			}
			want := strings.ReplaceAll(c.want, `"[{"k":"v"}]`, `"[{\"k\":\"v\"}]`)
			if m[0].Body != want {
				t.Errorf("got  %s\nwant %s", m[0].Body, want)
			}
			if !json.Valid([]byte(m[0].Body)) {
				t.Errorf("not JSON: %s", m[0].Body)
			}
		})
	}
}

func TestADeniedDeliveryGoesToTheDeadLettersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := open(t, gate{"sqs:SendMessage " + sqs.ARN("q"): true}, events.Config{})
		if err := s.Declare(events.Rule{Name: "r", Pattern: []byte(`{"source":["aws.bedrock"]}`), Targets: []events.Target{{ID: "q", ARN: sqs.ARN("q"), DeadLetterARN: sqs.ARN("dead")}}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(t.Context(), []byte(stateChange)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m := received(t, q, "dead")
		if len(m) != 1 || m[0].Body != stateChange || *m[0].MessageAttributes["ERROR_CODE"].StringValue != "NO_PERMISSIONS" || *m[0].MessageAttributes["RULE_ARN"].StringValue != events.ARN("r") {
			t.Errorf("dead letters %+v", m)
		}
	})
}

func TestAPassingFailureIsRetriedAsOftenAsAllowed(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures int
		target   events.Target
		want     string // the queue that gets it
	}{
		{"three times, then it works", 3, events.Target{}, "q"},
		{"more often than allowed", 3, events.Target{Attempts: new(int)}, "dead"},
		{"longer than allowed", 7, events.Target{MaxAge: time.Minute}, "dead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, q := open(t, gate{}, events.Config{})
				c.target.ID, c.target.ARN, c.target.DeadLetterARN = "q", sqs.ARN("q"), sqs.ARN("dead")
				if err := s.Declare(events.Rule{Name: "r", Pattern: []byte(`{"source":["aws.bedrock"]}`), Targets: []events.Target{c.target}}); err != nil {
					t.Fatal(err)
				}
				q.failures = c.failures
				if c.want == "dead" { // the dead letter itself gets through
					if c.target.Attempts != nil {
						q.failures = 1
					} else {
						q.failures = 6 // at 0, 1, 3, 7, 15 and 31 s; 63 s is too late
					}
				}
				if err := s.Publish(t.Context(), []byte(stateChange)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if m := received(t, q, c.want); len(m) != 1 {
					t.Errorf("%s got %d messages", c.want, len(m))
				}
			})
		})
	}
}

func TestSchedulesFireOnTheClock(t *testing.T) {
	for _, c := range []struct {
		name, schedule string
		speed          float64
		wait           time.Duration
		want           int
	}{
		{"a rate", "rate(5 minutes)", 1, 15*time.Minute + time.Second, 3},
		{"a rate on a faster clock", "rate(5 minutes)", 60, 15*time.Second + 10*time.Millisecond, 3},
		{"every hour by cron", "cron(0 * * * ? *)", 1, 3 * time.Hour, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl, err := clock.New(c.speed)
				if err != nil {
					t.Fatal(err)
				}
				s, q := open(t, gate{}, events.Config{Clock: cl})
				if err := s.Declare(events.Rule{Name: "tick", Schedule: c.schedule, Targets: []events.Target{{ID: "a", ARN: sqs.ARN("q"), Input: `{"do":"tick"}`}, {ID: "b", ARN: sqs.ARN("dead")}}}); err != nil {
					t.Fatal(err)
				}
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.wait)
				synctest.Wait()
				m := received(t, q, "q")
				if len(m) != c.want || m[0].Body != `{"do":"tick"}` {
					t.Errorf("%d messages, want %d: %v", len(m), c.want, m)
				}
				full := received(t, q, "dead")
				if len(full) != c.want || !strings.Contains(full[0].Body, `"detail-type":"Scheduled Event"`) || !strings.Contains(full[0].Body, events.ARN("tick")) {
					t.Errorf("scheduled events %v", full)
				}
			})
		})
	}
}

func TestOnlyStateChangesOfBedrockAreLost(t *testing.T) {
	s, q := open(t, gate{}, events.Config{Lose: 1})
	if err := s.Declare(events.Rule{Name: "all", Pattern: []byte(`{"account":["123456789012"]}`), Targets: []events.Target{{ID: "q", ARN: sqs.ARN("q"), InputPath: "$.source"}}}); err != nil {
		t.Fatal(err)
	}
	for _, ev := range []string{stateChange, strings.Replace(stateChange, "aws.bedrock", "aws.other", 1)} {
		if err := s.Publish(t.Context(), []byte(ev)); err != nil {
			t.Fatal(err)
		}
	}
	if m := received(t, q, "q"); len(m) != 1 || m[0].Body != `"aws.other"` {
		t.Errorf("got %v", m)
	}
}

func TestDeclareRefuses(t *testing.T) {
	s, _ := open(t, gate{}, events.Config{})
	target := events.Target{ID: "q", ARN: sqs.ARN("q")}
	with := func(change func(*events.Target)) []events.Target {
		c := target
		change(&c)
		return []events.Target{c}
	}
	pat := []byte(`{"source":["x"]}`)
	for _, c := range []struct {
		name string
		rule events.Rule
		want string
	}{
		{"neither pattern nor schedule", events.Rule{Name: "r"}, "schedule"},
		{"an unknown operator", events.Rule{Name: "r", Pattern: []byte(`{"a":[{"regex":"x"}]}`)}, "regex"},
		{"a rate with a wrong plural", events.Rule{Name: "r", Schedule: "rate(1 minutes)"}, "singular"},
		{"a cron of five fields", events.Rule{Name: "r", Schedule: "cron(0 12 * * ?)"}, "6"},
		{"a cron that names both days", events.Rule{Name: "r", Schedule: "cron(0 12 1 * MON *)"}, "?"},
		{"an unknown kind of target", events.Rule{Name: "r", Pattern: pat, Targets: []events.Target{{ID: "k", ARN: "arn:aws:kinesis:us-east-1:123456789012:stream/s"}}}, "kinesis"},
		{"a function where there are none", events.Rule{Name: "r", Pattern: pat, Targets: []events.Target{{ID: "f", ARN: "arn:aws:lambda:us-east-1:123456789012:function:f"}}}, "functions"},
		{"two inputs", events.Rule{Name: "r", Pattern: pat, Targets: with(func(t *events.Target) { t.Input, t.InputPath = "1", "$" })}, "at most one"},
		{"an input that is not JSON", events.Rule{Name: "r", Pattern: pat, Targets: with(func(t *events.Target) { t.Input = "x" })}, "JSON"},
		{"a path with a wildcard", events.Rule{Name: "r", Pattern: pat, Targets: with(func(t *events.Target) { t.InputPath = "$.a[*]" })}, "[*]"},
		{"a placeholder without a path", events.Rule{Name: "r", Pattern: pat, Targets: with(func(t *events.Target) { t.Transformer = &events.Transformer{Template: `"<x>"`} })}, "<x>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := s.Declare(c.rule); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one saying %q", err, c.want)
			}
		})
	}
}

func TestTheAPI(t *testing.T) {
	s, q := open(t, gate{"events:ListRules *": true}, events.Config{})
	attempts := 3
	if err := s.Declare(events.Rule{Name: "own", Pattern: []byte(`{"source":["own.app"]}`), Targets: []events.Target{{ID: "q", ARN: sqs.ARN("q"), InputPath: "$.detail", Attempts: &attempts}}}); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), user)))
	}))
	defer srv.Close()
	for _, c := range []struct {
		name, op, body string
		status         int
		want           string
	}{
		{"own events are taken, those of AWS are not", "PutEvents", `{"Entries":[{"Source":"own.app","DetailType":"t","Detail":"{\"a\":1}","Time":1700000000},{"Source":"aws.bedrock","DetailType":"t","Detail":"{}"},{"Source":"x","DetailType":"t","Detail":"["}]}`, 200, `"FailedEntryCount":2`},
		{"the refusal names the source", "PutEvents", `{"Entries":[{"Source":"aws.bedrock","DetailType":"t","Detail":"{}"}]}`, 200, `NotAuthorizedForSource`},
		{"targets", "ListTargetsByRule", `{"Rule":"own"}`, 200, `"RetryPolicy":{"MaximumRetryAttempts":3}`},
		{"a rule", "DescribeRule", `{"Name":"own"}`, 200, `"State":"ENABLED"`},
		{"no such rule", "DescribeRule", `{"Name":"none"}`, 400, `ResourceNotFoundException`},
		{"a denial", "ListRules", `{}`, 403, `is not authorized to perform: events:ListRules`},
		{"a pattern that matches", "TestEventPattern", `{"EventPattern":"{\"source\":[\"s\"]}","Event":"{\"id\":\"1\",\"account\":\"a\",\"source\":\"s\",\"time\":\"t\",\"region\":\"r\",\"resources\":[],\"detail-type\":\"d\"}"}`, 200, `{"Result":true}`},
		{"a pattern that is none", "TestEventPattern", `{"EventPattern":"{}","Event":"{}"}`, 400, `InvalidEventPatternException`},
		{"an operation that is not there", "PutRule", `{}`, 400, `PutRule`},
		{"a parameter that is not there", "DescribeRule", `{"Name":"own","Colour":"red"}`, 400, `Colour`},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Amz-Target", "AWSEvents."+c.op)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(b), c.want) {
				t.Errorf("%d %s, want %d and %s", res.StatusCode, b, c.status, c.want)
			}
		})
	}
	if m := received(t, q, "q"); len(m) != 1 || m[0].Body != `{"a":1}` {
		t.Errorf("the event arrived as %v", m)
	}
}
