package stack

import (
	"encoding/json"
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/stage"
)

const (
	queueMetrics    = "AWS/SQS"
	functionMetrics = "AWS/Lambda"
	batchMetrics    = "AWS/Bedrock/Batch"
	bucketMetrics   = "AWS/S3"
)

const (
	alarmMinutes = 5
	// oldSeconds is the age of a message that is a reason to look. A delayed
	// copy waits 15 minutes at most and a slice takes 15 at most, so an hour
	// is no ordinary wait.
	oldSeconds = 3600
)

// alarm is one condition on one metric that the services themselves write.
// docs/operations.md has an entry under each alarm's name.
type alarm struct {
	id, name, about           string
	namespace, metric, of     string
	dimension                 *string
	statistic                 string
	threshold, periods, alert int
}

// alarms are all of them, in the order of the dashboard.
func (b *builder) alarms() []alarm {
	var all []alarm
	dead := func(id, name string, q awssqs.Queue, about string) {
		all = append(all, alarm{id: id + "Filled", name: name + "-filled", about: about,
			namespace: queueMetrics, metric: "ApproximateNumberOfMessagesVisible", of: "QueueName", dimension: q.QueueName(),
			statistic: "Maximum", threshold: 1, periods: 1, alert: 1})
	}
	old := func(id, name string, q awssqs.Queue, about string) {
		all = append(all, alarm{id: id + "Old", name: name + "-old", about: about,
			namespace: queueMetrics, metric: "ApproximateAgeOfOldestMessage", of: "QueueName", dimension: q.QueueName(),
			statistic: "Maximum", threshold: oldSeconds, periods: 3, alert: 3})
	}
	function := func(id, name string, size stage.Function) {
		f := b.name(name)
		all = append(all,
			alarm{id: id + "Errors", name: name + "-errors", about: "The function " + name + " ended with an error, a crash or its time limit. Its messages are tried again.",
				namespace: functionMetrics, metric: "Errors", of: "FunctionName", dimension: f,
				statistic: "Sum", threshold: 1, periods: 1, alert: 1},
			alarm{id: id + "Slow", name: name + "-slow", about: "The function " + name + " came close to its time limit: a slice did not end where it should.",
				namespace: functionMetrics, metric: "Duration", of: "FunctionName", dimension: f,
				statistic: "Maximum", threshold: 1000 * b.lateSeconds(size), periods: 1, alert: 1})
	}
	dead("UploadsDead", "uploads-dead", b.uploads.dead, "A message of the uploads queue failed five times: an upload, or what carries a submission on, stands still.")
	dead("JobsDead", "jobs-dead", b.jobs.dead, "A message of the jobs queue failed five times: a submission's answers are not gathered.")
	dead("Undelivered", "undelivered", b.undelivered, "An event could not be delivered to a queue at all. The tick finds what it was about.")
	old("Uploads", "uploads", b.uploads.Queue, "Messages of the uploads queue wait for an hour and more.")
	old("Jobs", "jobs", b.jobs.Queue, "Messages of the jobs queue wait for an hour and more.")
	function("Submit", submitName, b.settings.Submit)
	function("Collect", collectName, b.settings.Collect)
	return all
}

// lateSeconds is a duration that no slice reaches which ends where it should:
// two thirds of the time that slices keep for themselves are used up.
func (b *builder) lateSeconds(size stage.Function) int {
	margin := min(int(b.settings.Pipeline.Margin.Std().Seconds()), size.TimeoutSeconds/3)
	return size.TimeoutSeconds - max(1, margin/3)
}

// addWatch makes the operations topic, the alarms that speak there, and the
// dashboard.
func (b *builder) addWatch() {
	b.operations = b.newTopic("TopicOperations", "operations", "Bedrock batch operations")
	for _, address := range b.settings.OperationsEmails {
		subscribe(b, "Operations"+emailID(address), b.operations, address)
	}
	source := arn("cloudwatch", here, "alarm:"+b.settings.Prefix()+"-*")
	b.operations.AddToResourcePolicy(statement{
		sid: "AlarmsSpeak", actions: []string{"sns:Publish"}, resources: []*string{b.operations.TopicArn()},
		principal: service("cloudwatch.amazonaws.com"), conditions: from(source),
	}.build())
	for _, a := range b.alarms() {
		awscloudwatch.NewCfnAlarm(b.stack, jsii.String("Alarm"+a.id), &awscloudwatch.CfnAlarmProps{
			AlarmName:          b.name(a.name),
			AlarmDescription:   jsii.String(a.about + " See docs/operations.md, " + a.name + "."),
			Namespace:          jsii.String(a.namespace),
			MetricName:         jsii.String(a.metric),
			Dimensions:         []any{&awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(a.of), Value: a.dimension}},
			Statistic:          jsii.String(a.statistic),
			Period:             jsii.Number(60 * alarmMinutes),
			EvaluationPeriods:  jsii.Number(a.periods),
			DatapointsToAlarm:  jsii.Number(a.alert),
			Threshold:          jsii.Number(a.threshold),
			ComparisonOperator: jsii.String("GreaterThanOrEqualToThreshold"),
			// Queues that rest and functions that do not run say nothing.
			TreatMissingData: jsii.String("notBreaching"),
			AlarmActions:     &[]any{b.operations.TopicArn()},
			OkActions:        &[]any{b.operations.TopicArn()},
		})
	}
	awscloudwatch.NewCfnDashboard(b.stack, jsii.String("Dashboard"), &awscloudwatch.CfnDashboardProps{
		DashboardName: b.name("overview"),
		DashboardBody: awscdk.Fn_Sub(jsii.String(b.dashboard()), nil),
	})
}

// newTopic makes a topic that asks for TLS.
func (b *builder) newTopic(id, name, display string) awssns.Topic {
	return awssns.NewTopic(b.stack, jsii.String(id), &awssns.TopicProps{
		TopicName: b.name(name), DisplayName: jsii.String(display), EnforceSSL: jsii.Bool(true), MasterKey: b.key,
	})
}

func subscribe(b *builder, id string, topic awssns.Topic, address string) {
	awssns.NewSubscription(b.stack, jsii.String(id), &awssns.SubscriptionProps{
		Topic: topic, Protocol: awssns.SubscriptionProtocol_EMAIL, Endpoint: jsii.String(address),
	})
}

// widget is one graph of the dashboard, half as wide as the page.
type widget struct {
	title   string
	metrics [][]any
	stat    string
}

// dashboard is the dashboard's JSON, with pseudo parameters for Fn::Sub. Names
// are written rather than referred to, for they are known here.
func (b *builder) dashboard() string {
	queue := func(metric string, names ...string) [][]any {
		var lines [][]any
		for _, n := range names {
			lines = append(lines, []any{queueMetrics, metric, "QueueName", *b.name(n), map[string]any{"label": n}})
		}
		return lines
	}
	function := func(metrics ...string) [][]any {
		var lines [][]any
		for _, n := range []string{submitName, collectName} {
			for _, m := range metrics {
				lines = append(lines, []any{functionMetrics, m, "FunctionName", *b.name(n), map[string]any{"label": n + " " + m}})
			}
		}
		return lines
	}
	models := func(metric string) [][]any {
		search := fmt.Sprintf(`SEARCH('{%s,ModelId} MetricName="%s"', 'Average', %d)`, batchMetrics, metric, 60*alarmMinutes)
		return [][]any{{map[string]any{"expression": search}}}
	}
	bucket := func(what string) []any {
		return []any{bucketMetrics, "BucketSizeBytes", "BucketName", b.bucketName(what), "StorageType", "StandardStorage",
			map[string]any{"label": what, "period": 86400}}
	}
	var alarms []string
	for _, a := range b.alarms() {
		alarms = append(alarms, "arn:${AWS::Partition}:cloudwatch:"+here+":alarm:"+*b.name(a.name))
	}
	page := []any{map[string]any{
		"type": "alarm", "x": 0, "y": 0, "width": 24, "height": 3,
		"properties": map[string]any{"title": "Alarms", "alarms": alarms},
	}}
	for i, w := range []widget{
		{"Messages that wait", queue("ApproximateNumberOfMessagesVisible", "uploads", "jobs"), "Maximum"},
		{"Age of the oldest message in seconds", queue("ApproximateAgeOfOldestMessage", "uploads", "jobs"), "Maximum"},
		{"Messages held back on purpose", queue("ApproximateNumberOfMessagesDelayed", "uploads", "jobs"), "Maximum"},
		{"Dead letters", queue("ApproximateNumberOfMessagesVisible", "uploads-dead", "jobs-dead", "undelivered"), "Maximum"},
		{"Invocations, errors, throttles", function("Invocations", "Errors", "Throttles"), "Sum"},
		{"Longest slice in milliseconds", function("Duration"), "Maximum"},
		{"Records that batch jobs still hold (all jobs of the account)", models("NumberOfRecordsPendingProcessing"), "Average"},
		{"Input tokens a minute in batch jobs (all jobs of the account)", models("NumberOfInputTokensProcessedPerMinute"), "Average"},
		{"Output tokens a minute in batch jobs (all jobs of the account)", models("NumberOfOutputTokensProcessedPerMinute"), "Average"},
		{"Bytes in the buckets", [][]any{bucket("in"), bucket("out")}, "Average"},
	} {
		page = append(page, map[string]any{
			"type": "metric", "x": 12 * (i % 2), "y": 3 + 6*(i/2), "width": 12, "height": 6,
			"properties": map[string]any{
				"title": w.title, "metrics": w.metrics, "stat": w.stat, "period": 60 * alarmMinutes,
				"region": "${AWS::Region}", "view": "timeSeries",
			},
		})
	}
	page = append(page, b.logWidget(3+6*5))
	return text(map[string]any{"widgets": page})
}

// logWidget lists what the functions logged above the level of news.
func (b *builder) logWidget(y int) map[string]any {
	query := fmt.Sprintf("SOURCE '/aws/lambda/%s' | SOURCE '/aws/lambda/%s' | fields @timestamp, level, msg, submission, error, why\n"+
		"| filter level in ['WARN', 'ERROR']\n| sort @timestamp desc\n| limit 50", *b.name(submitName), *b.name(collectName))
	return map[string]any{
		"type": "log", "x": 0, "y": y, "width": 24, "height": 8,
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
