package stack

import (
	"cmp"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/stage"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

const (
	queueMetrics    = "AWS/SQS"
	functionMetrics = "AWS/Lambda"
	batchMetrics    = "AWS/Bedrock/Batch"
	bucketMetrics   = "AWS/S3"
)

const (
	alarmMinutes = 5
	// tickMinutes is a period in which a tick surely comes.
	tickMinutes = 60
	dayMinutes  = 24 * 60
	// oldSeconds is the age of a message that is a reason to look. A delayed
	// copy waits 15 minutes at most and a slice takes 15 at most, so an hour
	// is no ordinary wait.
	oldSeconds = 3600
)

// alarm is one condition on one metric, of a service's or of the functions'
// own. docs/operations.md has an entry under each alarm's name.
type alarm struct {
	id, name, about       string
	namespace, metric, of string
	dimension             *string
	statistic             string
	threshold             float64
	minutes               int // length of a period; 0 is alarmMinutes
	periods, alert        int
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
				statistic: "Maximum", threshold: 1000 * float64(b.lateSeconds(size)), periods: 1, alert: 1})
	}
	dead("UploadsDead", "uploads-dead", b.uploads.dead, "A message of the uploads queue failed five times: an upload, or what carries a submission on, stands still.")
	dead("JobsDead", "jobs-dead", b.jobs.dead, "A message of the jobs queue failed five times: a submission's answers are not gathered.")
	dead("Undelivered", "undelivered", b.undelivered, "An event could not be delivered to a queue at all. The tick finds what it was about.")
	old("Uploads", "uploads", b.uploads.Queue, "Messages of the uploads queue wait for an hour and more.")
	old("Jobs", "jobs", b.jobs.Queue, "Messages of the jobs queue wait for an hour and more.")
	function("Submit", submitName, b.settings.Submit)
	function("Collect", collectName, b.settings.Collect)
	return append(all, b.ownAlarms()...)
}

// ownAlarms watch what the functions count themselves.
func (b *builder) ownAlarms() []alarm {
	own := func(a alarm) alarm {
		a.namespace, a.of, a.dimension = config.MetricNamespace, config.DimDeployment, jsii.String(b.settings.Prefix())
		a.periods, a.alert = 1, 1
		return a
	}
	hours := func(n int) float64 { return float64(3600 * n) }
	all := []alarm{
		own(alarm{id: "JobsFailed", name: "jobs-failed", about: "A batch job failed, ran out of time or could not be created.",
			metric: config.MetricJobsFailed, statistic: "Sum", threshold: 1}),
		own(alarm{id: "WaitingOld", name: "waiting-old", about: "A submission waits for slots longer than alarms.waiting_hours allows.",
			metric: config.MetricOldestWaitingSeconds, statistic: "Maximum", threshold: hours(b.settings.Alarms.WaitingHours), minutes: tickMinutes}),
		own(alarm{id: "OpenOld", name: "open-old", about: "A submission has not ended for longer than alarms.open_hours allows.",
			metric: config.MetricOldestOpenSeconds, statistic: "Maximum", threshold: hours(b.settings.Alarms.OpenHours), minutes: tickMinutes}),
	}
	if usd := b.settings.Alarms.SpendUSDPerDay; usd > 0 {
		all = append(all, own(alarm{id: "SpendHigh", name: "spend-high", about: "The tokens of 24 hours cost more than alarms.spend_usd_per_day by our estimate.",
			metric: config.MetricEstimatedCost, statistic: "Sum", threshold: usd, minutes: dayMinutes}))
	}
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
			Period:             jsii.Number(60 * cmp.Or(a.minutes, alarmMinutes)),
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
