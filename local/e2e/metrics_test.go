package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// sum is what a metric of the product's own came to, over all of the test.
func (u *user) sum(metric string, more ...string) float64 {
	u.t.Helper()
	dimensions := []types.Dimension{{Name: aws.String("Deployment"), Value: aws.String(stackName)}}
	for i := 0; i < len(more); i += 2 {
		dimensions = append(dimensions, types.Dimension{Name: aws.String(more[i]), Value: aws.String(more[i+1])})
	}
	out, err := u.metrics.GetMetricData(u.t.Context(), &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(time.Now().Add(-time.Hour)), EndTime: aws.Time(time.Now().Add(time.Minute)),
		MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("a"), MetricStat: &types.MetricStat{
			Period: aws.Int32(60), Stat: aws.String("Sum"),
			Metric: &types.Metric{Namespace: aws.String("BedrockBatch"), MetricName: &metric, Dimensions: dimensions},
		}}},
	})
	if err != nil {
		u.t.Fatalf("read metric %s: %v", metric, err)
	}
	total := 0.0
	for _, v := range out.MetricDataResults[0].Values {
		total += v
	}
	return total
}

// graphs are what the dashboard's graphs show, as namespace and metric.
func graphs(t *testing.T, u *user) map[string]bool {
	t.Helper()
	var dashboard string
	editTemplate(t, u.dir+"/dashboard.json", func(t *testing.T, c *cloud) {
		dashboard = c.properties("Dashboard")["DashboardBody"].(map[string]any)["Fn::Sub"].(string)
	})
	var body struct {
		Widgets []struct{ Properties struct{ Metrics [][]any } }
	}
	if err := json.Unmarshal([]byte(dashboard), &body); err != nil {
		t.Fatal(err)
	}
	search, all := regexp.MustCompile(`^SEARCH\('\{([^,}]+).*MetricName="([^"]+)"`), map[string]bool{}
	for _, w := range body.Widgets {
		for _, m := range w.Properties.Metrics {
			if len(m) > 1 {
				all[fmt.Sprintf("%s %s", m[0], m[1])] = true
			} else if found := search.FindStringSubmatch(fmt.Sprint(m[0].(map[string]any)["expression"])); found != nil {
				all[found[1]+" "+found[2]] = true
			}
		}
	}
	return all
}

func TestMetricsOfARunEqualItsNotices(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{scheduled: true, flags: []string{"--fail-records", "0.2", "--set", quotas}})
	u.settings("", nova+"retries: 1\n")
	u.settings("other/", "model: amazon.nova-micro-v1:0\nretries: 0\n")
	u.drop("many.jsonl", append(prompts(480), "broken\n"...))
	u.drop("few.jsonl", prompts(5))
	u.drop("other/many.jsonl", prompts(120))
	u.drop("empty.jsonl", nil)
	keys := []string{"many.jsonl", "few.jsonl", "other/many.jsonl", "empty.jsonl"}
	want := map[string]float64{}
	for _, key := range keys {
		n := u.notice(key)
		for metric, v := range map[string]int64{
			"Rows": n.Rows.Total, "RowsAnswered": n.Rows.Answered, "RowsFailed": n.Rows.Failed, "RowsSetAside": n.Rows.SetAside,
			"RowsMissing": n.Rows.Missing, "InputTokens": n.Tokens.Input, "OutputTokens": n.Tokens.Output,
		} {
			want[metric] += float64(v)
			if n.ModelID != "" {
				want[metric+" ModelId "+n.ModelID] += float64(v)
			}
		}
		if n.EstimatedCostUSD != nil {
			want["EstimatedCostUSD"] += *n.EstimatedCostUSD
		}
		want["Submissions Status "+n.Status]++
		for _, j := range n.Jobs {
			want["Jobs Status "+j.Status]++
		}
	}
	u.ended()
	// The lines come with the end of the invocation that wrote them.
	u.within(*patience, "metrics that equal the notices", func() string {
		for key, value := range want {
			parts := strings.Split(key, " ")
			if got := u.sum(parts[0], parts[1:]...); math.Abs(got-value) > 1e-9 {
				return fmt.Sprintf("%s is %v, the notices say %v", key, got, value)
			}
		}
		return ""
	})
	for _, some := range []string{"RowsFailed", "RowsRetried", "RowsAnsweredOnDemand", "EstimatedCostUSD", "SubmissionSeconds"} {
		if u.sum(some) == 0 {
			t.Errorf("%s is nothing", some)
		}
	}
	for key, value := range map[string]float64{"Submissions Status Rejected": want["Submissions Status Rejected"], "Jobs Status Completed": want["Jobs Status Completed"]} {
		if value == 0 {
			t.Errorf("%s: nothing to compare", key)
		}
	}

	// What the dashboard shows is there, the services' own beside ours.
	shown := graphs(t, u)
	if len(shown) < 25 {
		t.Errorf("only %d metrics on the dashboard: %v", len(shown), shown)
	}
	u.within(*patience, "all that the dashboard shows", func() string {
		there := map[string]bool{}
		pages := cloudwatch.NewListMetricsPaginator(u.metrics, &cloudwatch.ListMetricsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page.Metrics {
				there[*m.Namespace+" "+*m.MetricName] = true
			}
		}
		for metric := range shown {
			if !there[metric] {
				return "nobody measures " + metric
			}
		}
		return ""
	})

	// The log says the same, and is read like the cloud's.
	ended, err := u.logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String("/aws/lambda/" + stackName + "-collect"), FilterPattern: aws.String(`{ $.msg = "submission ended" }`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(ended.Events) != len(keys) {
		t.Errorf("%d submissions ended by the log, %d by the notices", len(ended.Events), len(keys))
	}
}
