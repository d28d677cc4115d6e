package cloudwatch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/cloudwatch"
	"github.com/bedrock-batch/bedrock-batch/local/sns"
)

// gate allows all but the actions in it.
type gate map[string]bool

func (g gate) Check(_ context.Context, c access.Call) error {
	if g[c.Action] {
		return &access.Denial{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Why: "because no policy allows the " + c.Action + " action"}
	}
	return nil
}

func (gate) AsService(service, arn string) *access.Principal {
	return &access.Principal{Name: service, Service: service, Context: map[string][]string{"aws:SourceArn": {arn}}}
}

// said is what alarms published.
type said struct {
	mu  sync.Mutex
	all []publication
}

type publication struct{ topic, who, from, subject, body string }

func (s *said) PublishAs(_ context.Context, p *access.Principal, topic string, m sns.Publication) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, publication{topic, p.Name, p.Context["aws:SourceArn"][0], *m.Subject, m.Message})
	return "id", nil
}

var user = &access.Principal{Name: "user", ARN: "arn:aws:iam::123456789012:user/user"}

func start(t *testing.T, g gate) (*cloudwatch.Service, *sdk.Client, string) {
	t.Helper()
	s, err := cloudwatch.New(cloudwatch.Config{Authority: g, Topics: &said{}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), user)))
	}))
	t.Cleanup(srv.Close)
	return s, sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""), RetryMaxAttempts: 1,
	}), srv.URL
}

// at is a minute in the past.
var at = time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)

func fill(s *cloudwatch.Service) {
	by := func(model string) []cloudwatch.Dimension {
		return []cloudwatch.Dimension{{Name: "Deployment", Value: "d"}, {Name: "ModelId", Value: model}}
	}
	for i, v := range []float64{3, 1, 4, 1, 5} {
		when := at.Add(time.Duration(i) * 40 * time.Second)
		s.Put(cloudwatch.Sample{Namespace: "BedrockBatch", Metric: "Rows", Dimensions: by("m"), Value: v, Unit: "Count", At: when},
			cloudwatch.Sample{Namespace: "BedrockBatch", Metric: "Rows", Dimensions: by("n"), Value: 10 * v, Unit: "Count", At: when},
			cloudwatch.Sample{Namespace: "AWS/SQS", Metric: "ApproximateAgeOfOldestMessage", Value: v, Unit: "Seconds", At: when})
	}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return fmt.Sprint(err)
}

func TestMetricsAreListedByWhatTheyAre(t *testing.T) {
	s, client, _ := start(t, nil)
	fill(s)
	for name, c := range map[string]struct {
		in   sdk.ListMetricsInput
		want int
	}{
		"all":               {sdk.ListMetricsInput{}, 3},
		"a namespace":       {sdk.ListMetricsInput{Namespace: aws.String("BedrockBatch")}, 2},
		"a name":            {sdk.ListMetricsInput{MetricName: aws.String("ApproximateAgeOfOldestMessage")}, 1},
		"a dimension":       {sdk.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: aws.String("ModelId")}}}, 2},
		"a dimension's one": {sdk.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: aws.String("ModelId"), Value: aws.String("n")}}}, 1},
		"none":              {sdk.ListMetricsInput{MetricName: aws.String("Rowz")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := client.ListMetrics(t.Context(), &c.in)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Metrics) != c.want {
				t.Errorf("%d metrics, want %d: %+v", len(out.Metrics), c.want, out.Metrics)
			}
		})
	}
}

func TestManyMetricsComeInPages(t *testing.T) {
	s, client, _ := start(t, nil)
	for i := range 1200 {
		s.Put(cloudwatch.Sample{Namespace: "N", Metric: fmt.Sprintf("m%d", i), Value: 1})
	}
	seen := map[string]bool{}
	pages := sdk.NewListMetricsPaginator(client, &sdk.ListMetricsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Metrics {
			seen[*m.MetricName] = true
		}
	}
	if len(seen) != 1200 {
		t.Errorf("%d metrics", len(seen))
	}
}

func TestMetricDataComesByPeriodAndStatistic(t *testing.T) {
	s, client, _ := start(t, nil)
	fill(s)
	query := func(id, stat, model string) types.MetricDataQuery {
		return types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{Period: aws.Int32(60), Stat: &stat, Metric: &types.Metric{
			Namespace: aws.String("BedrockBatch"), MetricName: aws.String("Rows"),
			Dimensions: []types.Dimension{{Name: aws.String("ModelId"), Value: &model}, {Name: aws.String("Deployment"), Value: aws.String("d")}},
		}}}
	}
	in := &sdk.GetMetricDataInput{StartTime: aws.Time(at), EndTime: aws.Time(at.Add(time.Hour)), ScanBy: types.ScanByTimestampAscending,
		MetricDataQueries: []types.MetricDataQuery{query("a", "Sum", "m"), query("b", "Maximum", "n"), query("c", "SampleCount", "m"), query("d", "Average", "m"), query("e", "Sum", "none")}}
	out, err := client.GetMetricData(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	// In minutes: 3 and 1; 4; 1 and 5.
	want := map[string]string{"a": "[4 4 6]", "b": "[30 40 50]", "c": "[2 1 2]", "d": "[2 4 3]", "e": "[]"}
	for _, r := range out.MetricDataResults {
		if got := fmt.Sprint(r.Values); got != want[*r.Id] || r.StatusCode != types.StatusCodeComplete {
			t.Errorf("%s: %s %s, want %s", *r.Id, got, r.StatusCode, want[*r.Id])
		}
	}
	if len(out.MetricDataResults) != len(want) || !out.MetricDataResults[0].Timestamps[1].Equal(at.Add(time.Minute)) {
		t.Errorf("results: %+v", out.MetricDataResults)
	}
	in.ScanBy = ""
	if out, err = client.GetMetricData(t.Context(), in); err != nil || fmt.Sprint(out.MetricDataResults[0].Values) != "[6 4 4]" {
		t.Errorf("newest first: %+v, %v", out, err)
	}
}

func TestStatisticsComeTogether(t *testing.T) {
	s, client, _ := start(t, nil)
	fill(s)
	out, err := client.GetMetricStatistics(t.Context(), &sdk.GetMetricStatisticsInput{
		Namespace: aws.String("AWS/SQS"), MetricName: aws.String("ApproximateAgeOfOldestMessage"), Period: aws.Int32(300),
		StartTime: aws.Time(at), EndTime: aws.Time(at.Add(5 * time.Minute)),
		Statistics: []types.Statistic{types.StatisticSum, types.StatisticMinimum, types.StatisticMaximum, types.StatisticAverage, types.StatisticSampleCount},
	})
	if err != nil || len(out.Datapoints) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	d := out.Datapoints[0]
	if *d.Sum != 14 || *d.Minimum != 1 || *d.Maximum != 5 || *d.Average != 2.8 || *d.SampleCount != 5 || d.Unit != types.StandardUnitSeconds || !d.Timestamp.Equal(at) {
		t.Errorf("datapoint: %+v", d)
	}
}

func TestAlarmsAreDescribed(t *testing.T) {
	s, client, _ := start(t, nil)
	for _, name := range []string{"dev-one", "dev-two", "prod-one"} {
		a := jobsFailed()
		a.Name = name
		if err := s.Declare(a); err != nil {
			t.Fatal(err)
		}
	}
	s.Put(cloudwatch.Sample{Namespace: "BedrockBatch", Metric: "JobsFailed", Dimensions: jobsFailed().Dimensions, Value: 2})
	out, err := client.DescribeAlarms(t.Context(), &sdk.DescribeAlarmsInput{AlarmNamePrefix: aws.String("dev-"), AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm}})
	if err != nil || len(out.MetricAlarms) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	a := out.MetricAlarms[0]
	if *a.AlarmName != "dev-one" || *a.AlarmArn != "arn:aws:cloudwatch:us-east-1:123456789012:alarm:dev-one" || a.StateValue != types.StateValueInsufficientData ||
		*a.Period != 300 || *a.Threshold != 1 || a.Statistic != types.StatisticSum || *a.TreatMissingData != "notBreaching" ||
		*a.Dimensions[0].Value != "d" || a.AlarmActions[0] != topic || !*a.ActionsEnabled || a.StateUpdatedTimestamp.IsZero() {
		t.Errorf("alarm: %+v", a)
	}
	s.Step()
	out, err = client.DescribeAlarms(t.Context(), &sdk.DescribeAlarmsInput{StateValue: types.StateValueAlarm, MaxRecords: aws.Int32(2)})
	if err != nil || len(out.MetricAlarms) != 2 || out.NextToken == nil || !strings.Contains(*out.MetricAlarms[0].StateReason, "[2 (") {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = client.DescribeAlarms(t.Context(), &sdk.DescribeAlarmsInput{AlarmNames: []string{"prod-one", "gone"}, ActionPrefix: aws.String(topic)})
	if err != nil || len(out.MetricAlarms) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestWhatIsNotHereIsRefusedByName(t *testing.T) {
	_, client, url := start(t, gate{"cloudwatch:ListMetrics": true})
	period, stat := aws.Int32(60), aws.String("p99")
	from, to := aws.Time(at), aws.Time(at.Add(time.Hour))
	for name, c := range map[string]struct {
		call func(ctx context.Context) error
		want []string
	}{
		"an operation": {func(ctx context.Context) error {
			_, err := client.PutMetricData(ctx, &sdk.PutMetricDataInput{Namespace: aws.String("N"), MetricData: []types.MetricDatum{{MetricName: aws.String("m")}}})
			return err
		}, []string{"UnknownOperationException", "PutMetricData", "DescribeAlarms"}},
		"a percentile": {func(ctx context.Context) error {
			_, err := client.GetMetricData(ctx, &sdk.GetMetricDataInput{StartTime: from, EndTime: to, MetricDataQueries: []types.MetricDataQuery{
				{Id: aws.String("a"), MetricStat: &types.MetricStat{Metric: &types.Metric{MetricName: aws.String("m"), Namespace: aws.String("N")}, Period: period, Stat: stat}}}})
			return err
		}, []string{"InvalidParameterValue", "p99"}},
		"an expression": {func(ctx context.Context) error {
			_, err := client.GetMetricData(ctx, &sdk.GetMetricDataInput{StartTime: from, EndTime: to, MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("1+1")}}})
			return err
		}, []string{"InvalidParameterValue", "Expression"}},
		"a time that runs backwards": {func(ctx context.Context) error {
			_, err := client.GetMetricStatistics(ctx, &sdk.GetMetricStatisticsInput{StartTime: to, EndTime: from, Period: period, Namespace: stat, MetricName: stat, Statistics: []types.Statistic{types.StatisticSum}})
			return err
		}, []string{"InvalidParameterValue", "StartTime"}},
		"an odd period": {func(ctx context.Context) error {
			_, err := client.GetMetricStatistics(ctx, &sdk.GetMetricStatisticsInput{StartTime: from, EndTime: to, Period: aws.Int32(61), Namespace: stat, MetricName: stat, Statistics: []types.Statistic{types.StatisticSum}})
			return err
		}, []string{"InvalidParameterValue", "61"}},
		"a parameter": {func(ctx context.Context) error {
			_, err := client.DescribeAlarms(ctx, &sdk.DescribeAlarmsInput{ChildrenOfAlarmName: aws.String("x")})
			return err
		}, []string{"ChildrenOfAlarmName"}},
		"who may not": {func(ctx context.Context) error {
			_, err := client.ListMetrics(ctx, &sdk.ListMetricsInput{})
			return err
		}, []string{"AccessDenied", "cloudwatch:ListMetrics"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.call(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(code(err), want) {
					t.Errorf("got %s, want it to say %s", code(err), want)
				}
			}
		})
	}
	t.Run("the query protocol", func(t *testing.T) {
		status, body := post(t, url, "application/x-www-form-urlencoded", "", "Action=ListMetrics&Version=2010-08-01")
		if status != 400 || !strings.Contains(body, "query protocol") {
			t.Errorf("%d %s", status, body)
		}
	})
}

func TestJSONIsSpokenToo(t *testing.T) {
	s, _, url := start(t, nil)
	fill(s)
	status, body := post(t, url, "application/x-amz-json-1.0", "GraniteServiceVersion20100801.GetMetricStatistics",
		fmt.Sprintf(`{"Namespace":"AWS/SQS","MetricName":"ApproximateAgeOfOldestMessage","Period":300,"StartTime":%d,"EndTime":%d.5,"Statistics":["Sum"]}`, at.Unix(), at.Unix()+60))
	if status != 200 || !strings.Contains(body, `"Sum":14`) || !strings.Contains(body, fmt.Sprintf(`"Timestamp":%d`, at.Unix())) {
		t.Errorf("%d %s", status, body)
	}
	status, body = post(t, url, "application/x-amz-json-1.0", "GraniteServiceVersion20100801.ListMetrics", `{"Namespaze":"AWS/SQS"}`)
	if status != 400 || !strings.Contains(body, "Namespaze") {
		t.Errorf("%d %s", status, body)
	}
}

func post(t *testing.T, url, kind, target, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("X-Amz-Target", target)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestLinesHoldMetricsOrNone(t *testing.T) {
	const good = `{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["D"],[]],"Metrics":[{"Name":"a","Unit":"Count"},{"Name":"b"}]}]},"D":"d","a":1.5,"b":[1,2],"msg":"x"}`
	samples, err := cloudwatch.Embedded([]byte(good))
	if err != nil || len(samples) != 6 {
		t.Fatalf("%+v, %v", samples, err)
	}
	if s := samples[0]; s.Metric != "a" || s.Value != 1.5 || s.Unit != "Count" || s.Dimensions[0].Value != "d" || s.At.UnixMilli() != 1700000000000 {
		t.Errorf("%+v", s)
	}
	for _, line := range []string{"", "START RequestId: 1", `{"msg":"_aws"}`, `["_aws"]`, `{"level":"INFO","error":"\"_aws\" is odd"}`} {
		if samples, err := cloudwatch.Embedded([]byte(line)); err != nil || len(samples) > 0 {
			t.Errorf("%s: %+v, %v", line, samples, err)
		}
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"no time":                 {`"Timestamp":1700000000000,`, "", "Timestamp"},
		"a metric that is absent": {`"a":1.5,`, "", "metric a"},
		"a metric that is text":   {`"a":1.5`, `"a":"1.5"`, "metric a"},
		"an empty dimension":      {`"D":"d"`, `"D":""`, "dimension D"},
		"a numeric dimension":     {`"D":"d"`, `"D":3`, "dimension D"},
		"no namespace":            {`"Namespace":"N"`, `"Namespace":""`, "Namespace"},
		"an unknown member":       {`"Namespace":"N"`, `"Namespace":"N","Namezpace":"N"`, "Namezpace"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := cloudwatch.Embedded([]byte(strings.Replace(good, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %s", err, c.want)
			}
		})
	}
}
