package logs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/logs"
)

// gate allows all but the pairs of action and resource in it.
type gate map[string]bool

func (g gate) Check(_ context.Context, c access.Call) error {
	if g[c.Action+" "+c.Resource] {
		return &access.Denial{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Why: "because no policy allows the " + c.Action + " action"}
	}
	return nil
}

var user = &access.Principal{Name: "user", ARN: "arn:aws:iam::123456789012:user/user"}

const group = "/aws/lambda/submit"

var began = time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)

// start has a group whose log holds these lines, and an empty one.
func start(t *testing.T, g gate, lines ...string) *sdk.Client {
	t.Helper()
	file := filepath.Join(t.TempDir(), "function.log")
	if len(lines) > 0 {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\nhalf a li"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := logs.New(logs.Config{Authority: g, Created: began, Groups: []logs.Group{{Name: group, File: file, Days: 14}, {Name: "/aws/lambda/collect"}}})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), user)))
	}))
	t.Cleanup(srv.Close)
	return sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""), RetryMaxAttempts: 1,
	})
}

// line is what a function logs n seconds after the beginning.
func line(n int, level, msg string) string {
	return fmt.Sprintf(`{"time":%q,"level":%q,"msg":%q,"n":%d}`, began.Add(time.Duration(n)*time.Second).Format(time.RFC3339), level, msg, n)
}

func invocation() []string {
	return []string{
		"START RequestId: 1", line(1, "INFO", "upload accepted"), line(2, "WARN", "put off"),
		fmt.Sprintf(`{"_aws":{"Timestamp":%d},"msg":"metrics"}`, began.Add(3*time.Second).UnixMilli()), line(4, "ERROR", "message failed"), "END RequestId: 1",
	}
}

func says(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return fmt.Sprint(err)
}

func TestGroupsAndStreamsAreDescribed(t *testing.T) {
	client := start(t, nil, invocation()...)
	groups, err := client.DescribeLogGroups(t.Context(), &sdk.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/")})
	if err != nil || len(groups.LogGroups) != 2 {
		t.Fatalf("%+v, %s", groups, says(err))
	}
	if g := groups.LogGroups[1]; *g.LogGroupName != group || *g.RetentionInDays != 14 || *g.StoredBytes == 0 || *g.CreationTime != began.UnixMilli() ||
		*g.Arn != "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/submit:*" {
		t.Errorf("group: %+v", g)
	}
	one, err := client.DescribeLogGroups(t.Context(), &sdk.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("SUBM"), Limit: aws.Int32(1)})
	if err != nil || len(one.LogGroups) != 1 || one.NextToken != nil {
		t.Errorf("%+v, %s", one, says(err))
	}
	streams, err := client.DescribeLogStreams(t.Context(), &sdk.DescribeLogStreamsInput{LogGroupName: aws.String(group)})
	if err != nil || len(streams.LogStreams) != 1 {
		t.Fatalf("%+v, %s", streams, says(err))
	}
	if s := streams.LogStreams[0]; *s.LogStreamName != logs.Stream || *s.FirstEventTimestamp != began.Add(time.Second).UnixMilli() || *s.LastEventTimestamp != began.Add(4*time.Second).UnixMilli() {
		t.Errorf("stream: %+v", s)
	}
	if streams, err = client.DescribeLogStreams(t.Context(), &sdk.DescribeLogStreamsInput{LogGroupName: aws.String("/aws/lambda/collect")}); err != nil || len(streams.LogStreams) != 0 {
		t.Errorf("streams of a group that was not written to: %+v, %s", streams, says(err))
	}
}

func TestEventsComeInTheirOrderWithTheirTimes(t *testing.T) {
	client := start(t, nil, invocation()...)
	out, err := client.GetLogEvents(t.Context(), &sdk.GetLogEventsInput{LogGroupName: aws.String(group), LogStreamName: aws.String(logs.Stream), StartFromHead: aws.Bool(true)})
	if err != nil {
		t.Fatal(says(err))
	}
	var got []string
	for _, e := range out.Events {
		got = append(got, fmt.Sprintf("%d %.10s", (*e.Timestamp-began.UnixMilli())/1000, *e.Message))
	}
	if want := "1 START Requ|1 {\"time\":\"2|2 {\"time\":\"2|3 {\"_aws\":{\"|4 {\"time\":\"2|4 END Reques"; strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func TestEventsComeInPagesBothWays(t *testing.T) {
	var lines []string
	for n := range 25 {
		lines = append(lines, line(n, "INFO", "x"))
	}
	client := start(t, nil, lines...)
	in := &sdk.GetLogEventsInput{LogGroupName: aws.String(group), LogStreamName: aws.String(logs.Stream), Limit: aws.Int32(10), StartFromHead: aws.Bool(true)}
	n := 0
	pages := sdk.NewGetLogEventsPaginator(client, in, func(o *sdk.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(says(err))
		}
		for _, e := range page.Events {
			if !strings.Contains(*e.Message, fmt.Sprintf(`"n":%d}`, n)) {
				t.Fatalf("event %d is %s", n, *e.Message)
			}
			n++
		}
	}
	if n != 25 {
		t.Errorf("%d events forwards", n)
	}
	// Without a word about the head the newest come first.
	in.StartFromHead = nil
	for _, want := range []string{"15-24", "5-14", "0-4", "none"} {
		out, err := client.GetLogEvents(t.Context(), in)
		if err != nil {
			t.Fatal(says(err))
		}
		got := "none"
		if k := len(out.Events); k > 0 {
			seconds := func(i int) int64 { return (*out.Events[i].Timestamp - began.UnixMilli()) / 1000 }
			got = fmt.Sprintf("%d-%d", seconds(0), seconds(k-1))
		}
		if got != want {
			t.Errorf("backwards: %s, want %s", got, want)
		}
		in.NextToken = out.NextBackwardToken
	}
	in = &sdk.GetLogEventsInput{LogGroupIdentifier: aws.String("arn:aws:logs:us-east-1:123456789012:log-group:" + group), LogStreamName: aws.String(logs.Stream),
		StartTime: aws.Int64(began.Add(3 * time.Second).UnixMilli()), EndTime: aws.Int64(began.Add(5 * time.Second).UnixMilli())}
	if out, err := client.GetLogEvents(t.Context(), in); err != nil || len(out.Events) != 2 {
		t.Errorf("of two seconds: %+v, %s", out, says(err))
	}
}

func TestEventsAreFiltered(t *testing.T) {
	client := start(t, nil, invocation()...)
	for pattern, want := range map[string]string{
		"":                      "0 1 2 3 4 5",
		"ERROR":                 "4",
		"RequestId":             "0 5",
		"RequestId -START":      "5",
		"?WARN ?ERROR":          "2 4",
		`"put off"`:             "2",
		"error":                 "",
		`{ $.level = "ERROR" }`: "4",
		`{ $.level = "ERROR" || $.level = "WARN" }`: "2 4",
		`{ ($.level != "ERROR") && ($.n >= 2) }`:    "2",
		`{ $.msg = "*a*" }`:                         "1 4",
		`{ $.n > 1 && $.n < 4 }`:                    "2",
		`{ $._aws.Timestamp > 0 }`:                  "3",
	} {
		t.Run(pattern, func(t *testing.T) {
			in := &sdk.FilterLogEventsInput{LogGroupName: aws.String(group), Limit: aws.Int32(2)}
			if pattern != "" {
				in.FilterPattern = &pattern
			}
			var got []string
			pages := sdk.NewFilterLogEventsPaginator(client, in)
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(says(err))
				}
				for _, e := range page.Events {
					for i, line := range invocation() {
						if line == *e.Message {
							got = append(got, fmt.Sprint(i))
						}
					}
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("lines %v, want %s", got, want)
			}
		})
	}
}

func TestWhatIsNotHereIsRefusedByName(t *testing.T) {
	client := start(t, gate{"logs:GetLogEvents arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/collect:log-stream:x": true}, invocation()...)
	filter := func(pattern string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.FilterLogEvents(ctx, &sdk.FilterLogEventsInput{LogGroupName: aws.String(group), FilterPattern: &pattern})
			return err
		}
	}
	for name, c := range map[string]struct {
		call func(context.Context) error
		want string
	}{
		"an operation": {func(ctx context.Context) error {
			_, err := client.CreateLogGroup(ctx, &sdk.CreateLogGroupInput{LogGroupName: aws.String("x")})
			return err
		}, "CreateLogGroup"},
		"a group": {func(ctx context.Context) error {
			_, err := client.DescribeLogStreams(ctx, &sdk.DescribeLogStreamsInput{LogGroupName: aws.String("/none")})
			return err
		}, "ResourceNotFoundException"},
		"a stream": {func(ctx context.Context) error {
			_, err := client.GetLogEvents(ctx, &sdk.GetLogEventsInput{LogGroupName: aws.String(group), LogStreamName: aws.String("none")})
			return err
		}, "ResourceNotFoundException"},
		"who may not": {func(ctx context.Context) error {
			_, err := client.GetLogEvents(ctx, &sdk.GetLogEventsInput{LogGroupName: aws.String("/aws/lambda/collect"), LogStreamName: aws.String("x")})
			return err
		}, "AccessDeniedException"},
		"a pattern of columns":          {filter("[a, b]"), "columns"},
		"a regular expression":          {filter("%a+%"), "regular expressions"},
		"a function in a pattern":       {filter("{ $.a EXISTS }"), "EXISTS"},
		"both joints":                   {filter("{ $.a = 1 && $.b = 2 || $.c = 3 }"), "&& together with ||"},
		"a text that is compared oddly": {filter(`{ $.a > "b" }`), "texts"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.call(t.Context()); err == nil || !strings.Contains(says(err), c.want) {
				t.Errorf("got %s, want it to say %s", says(err), c.want)
			}
		})
	}
}
