package stack

import (
	"encoding/json"
	"fmt"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// widget is one graph of the dashboard, a third as wide as the page.
type widget struct {
	title   string
	metrics [][]any
	stat    string
	minutes int // 0 is alarmMinutes
}

// section is a question and the graphs that answer it.
type section struct {
	question string
	widgets  []widget
}

const (
	pageWidth    = 24
	widgetWidth  = 8
	widgetHeight = 6
	headHeight   = 1
)

// dashboard is the dashboard's JSON, with pseudo parameters for Fn::Sub. Names
// are written rather than referred to, for they are known here.
func (b *builder) dashboard() string {
	var alarms []string
	for _, a := range b.alarms() {
		alarms = append(alarms, "arn:${AWS::Partition}:cloudwatch:"+here+":alarm:"+*b.name(a.name))
	}
	y := 4
	page := []any{map[string]any{
		"type": "alarm", "x": 0, "y": 0, "width": pageWidth, "height": y,
		"properties": map[string]any{"title": "Alarms", "alarms": alarms},
	}}
	for _, s := range []section{b.whatRuns(), b.whatWaits(), b.whatFailed(), b.whatItCosts()} {
		page = append(page, map[string]any{"type": "text", "x": 0, "y": y, "width": pageWidth, "height": headHeight,
			"properties": map[string]any{"markdown": "## " + s.question}})
		y += headHeight
		for i, w := range s.widgets {
			x := widgetWidth * i % pageWidth
			if i > 0 && x == 0 {
				y += widgetHeight
			}
			page = append(page, w.place(x, y))
		}
		y += widgetHeight
	}
	return text(map[string]any{"widgets": append(page, b.logWidget(y))})
}

func (w widget) place(x, y int) map[string]any {
	period := 60 * alarmMinutes
	if w.minutes > 0 {
		period = 60 * w.minutes
	}
	return map[string]any{
		"type": "metric", "x": x, "y": y, "width": widgetWidth, "height": widgetHeight,
		"properties": map[string]any{
			"title": w.title, "metrics": w.metrics, "stat": w.stat, "period": period, "region": "${AWS::Region}", "view": "timeSeries",
		},
	}
}

func (b *builder) whatRuns() section {
	return section{"What is running", []widget{
		{"Submissions that have not ended", b.own(config.MetricOpenSubmissions), "Maximum", 0},
		{"Age of the oldest in seconds", b.own(config.MetricOldestOpenSeconds), "Maximum", 0},
		{"Rows answered", b.own(config.MetricRowsAnswered, config.MetricRowsOnDemand, config.MetricRowsKnown), "Sum", 0},
		{"Records that batch jobs still hold (all jobs of the account)", batchJobs("NumberOfRecordsPendingProcessing"), "Average", 0},
		{"Input tokens a minute in batch jobs (all jobs of the account)", batchJobs("NumberOfInputTokensProcessedPerMinute"), "Average", 0},
		{"Output tokens a minute in batch jobs (all jobs of the account)", batchJobs("NumberOfOutputTokensProcessedPerMinute"), "Average", 0},
		{"From upload to notice, seconds (average)", b.own(config.MetricSubmissionSeconds), "Average", tickMinutes},
		{"Rows of a submission (average)", b.own(config.MetricRows), "Average", tickMinutes},
		{"Longest slice in milliseconds", b.functions("Duration"), "Maximum", 0},
	}}
}

func (b *builder) whatWaits() section {
	return section{"What waits", []widget{
		{"Submissions that wait for slots", b.own(config.MetricWaitingSubmissions), "Maximum", 0},
		{"Age of the oldest that waits, in seconds", b.own(config.MetricOldestWaitingSeconds), "Maximum", 0},
		{"Messages that wait", b.queues("ApproximateNumberOfMessagesVisible", "uploads", "jobs"), "Maximum", 0},
		{"Age of the oldest message in seconds", b.queues("ApproximateAgeOfOldestMessage", "uploads", "jobs"), "Maximum", 0},
		{"Messages held back on purpose", b.queues("ApproximateNumberOfMessagesDelayed", "uploads", "jobs"), "Maximum", 0},
	}}
}

func (b *builder) whatFailed() section {
	return section{"What failed", []widget{
		{"Jobs that have ended, by status", b.search(config.DimStatus, config.MetricJobs, alarmMinutes), "Sum", 0},
		{"Submissions that have ended, by status", b.search(config.DimStatus, config.MetricSubmissions, alarmMinutes), "Sum", 0},
		{"Rows without an answer", b.own(config.MetricRowsFailed, config.MetricRowsSetAside, config.MetricRowsMissing), "Sum", 0},
		{"Rows tried again", b.own(config.MetricRowsRetried), "Sum", 0},
		{"Dead letters", b.queues("ApproximateNumberOfMessagesVisible", "uploads-dead", "jobs-dead", "undelivered"), "Maximum", 0},
		{"Invocations, errors, throttles", b.functions("Invocations", "Errors", "Throttles"), "Sum", 0},
	}}
}

func (b *builder) whatItCosts() section {
	share := append(b.own(config.MetricRowsOnDemand, config.MetricRowsAnswered),
		[]any{map[string]any{"expression": "100*m0/m1", "label": "percent"}})
	for i := range 2 {
		options := share[i][len(share[i])-1].(map[string]any)
		options["id"], options["visible"] = fmt.Sprintf("m%d", i), false
	}
	bucket := func(what string) []any {
		return []any{bucketMetrics, "BucketSizeBytes", "BucketName", b.bucketName(what), "StorageType", "StandardStorage",
			map[string]any{"label": what, "period": 60 * dayMinutes}}
	}
	return section{"What it costs", []widget{
		{"Estimated cost of tokens by day, USD", b.own(config.MetricEstimatedCost), "Sum", dayMinutes},
		{"Estimated cost of tokens by hour and model, USD", b.search(config.DimModel, config.MetricEstimatedCost, tickMinutes), "Sum", tickMinutes},
		{"Tokens by hour", b.own(config.MetricInputTokens, config.MetricOutputTokens), "Sum", tickMinutes},
		{"Share of rows answered on demand, at twice the price", share, "Sum", tickMinutes},
		{"Bytes in the buckets", [][]any{bucket("in"), bucket("out")}, "Average", 0},
	}}
}

// own are metrics of this deployment.
func (b *builder) own(metrics ...string) [][]any {
	var lines [][]any
	for _, m := range metrics {
		lines = append(lines, []any{config.MetricNamespace, m, config.DimDeployment, b.settings.Prefix(), map[string]any{"label": m}})
	}
	return lines
}

// search is a metric of this deployment, split by a dimension.
func (b *builder) search(dimension, metric string, minutes int) [][]any {
	return [][]any{{map[string]any{"expression": fmt.Sprintf(`SEARCH('{%s,%s,%s} MetricName="%s" %s="%s"', 'Sum', %d)`,
		config.MetricNamespace, config.DimDeployment, dimension, metric, config.DimDeployment, b.settings.Prefix(), 60*minutes)}}}
}

// batchJobs is a metric of Bedrock's batch inference, by model.
func batchJobs(metric string) [][]any {
	return [][]any{{map[string]any{"expression": fmt.Sprintf(`SEARCH('{%s,ModelId} MetricName="%s"', 'Average', %d)`, batchMetrics, metric, 60*alarmMinutes)}}}
}

func (b *builder) queues(metric string, names ...string) [][]any {
	var lines [][]any
	for _, n := range names {
		lines = append(lines, []any{queueMetrics, metric, "QueueName", *b.name(n), map[string]any{"label": n}})
	}
	return lines
}

func (b *builder) functions(metrics ...string) [][]any {
	var lines [][]any
	for _, n := range []string{submitName, collectName} {
		for _, m := range metrics {
			lines = append(lines, []any{functionMetrics, m, "FunctionName", *b.name(n), map[string]any{"label": n + " " + m}})
		}
	}
	return lines
}

// logWidget lists what the functions logged above the level of news.
func (b *builder) logWidget(y int) map[string]any {
	query := fmt.Sprintf("SOURCE '/aws/lambda/%s' | SOURCE '/aws/lambda/%s' | fields @timestamp, level, msg, submission, error, why\n"+
		"| filter level in ['WARN', 'ERROR']\n| sort @timestamp desc\n| limit 50", *b.name(submitName), *b.name(collectName))
	return map[string]any{
		"type": "log", "x": 0, "y": y, "width": pageWidth, "height": 8,
		"properties": map[string]any{"title": "Warnings and errors", "query": query, "region": "${AWS::Region}", "view": "table"},
	}
}

// text is a value of this package's own making as JSON.
func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps, texts and numbers
	}
	return string(data)
}
