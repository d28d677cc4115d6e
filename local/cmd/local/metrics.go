package main

import (
	"io/fs"
	"path/filepath"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/cloudwatch"
	"github.com/bedrock-batch/bedrock-batch/local/lambda"
	"github.com/bedrock-batch/bedrock-batch/local/logs"
)

// metrics makes CloudWatch with the template's alarms, and the reading of logs.
func (w *world) metrics() (err error) {
	w.cloudwatch, err = cloudwatch.New(cloudwatch.Config{
		Authority: w.authority, Topics: w.sns, Clock: w.clock, Measure: w.measure, Changed: w.watch.alarm, Log: w.log,
	})
	if err != nil {
		return err
	}
	for _, a := range w.stack.Alarms {
		alarm := cloudwatch.Alarm{
			Name: a.Name, Description: a.Description, Namespace: a.Namespace, Metric: a.Metric, Statistic: a.Statistic, Unit: a.Unit, Period: a.Period,
			EvaluationPeriods: a.EvaluationPeriods, DatapointsToAlarm: a.DatapointsToAlarm, Threshold: a.Threshold, Comparison: a.Comparison,
			TreatMissingData: a.TreatMissingData, ActionsDisabled: a.ActionsDisabled,
			AlarmActions: a.AlarmActions, OKActions: a.OKActions, InsufficientDataActions: a.InsufficientDataActions,
		}
		for _, d := range a.Dimensions {
			alarm.Dimensions = append(alarm.Dimensions, cloudwatch.Dimension{Name: d.Name, Value: d.Value})
		}
		if err := w.cloudwatch.Declare(alarm); err != nil {
			return err
		}
	}
	var groups []logs.Group
	for _, g := range w.stack.LogGroups {
		group := logs.Group{Name: g.Name, Days: g.Days}
		for _, f := range w.stack.Functions {
			if f.LogGroup == g.Name || f.LogGroup == "" && g.Name == "/aws/lambda/"+f.Name {
				group.File = filepath.Join(w.o.logs, f.Name, "function.log")
			}
		}
		groups = append(groups, group)
	}
	w.logs = logs.New(logs.Config{Authority: w.authority, Groups: groups, Created: w.clock.Now()})
	return nil
}

// invoked are Lambda's own metrics of an invocation.
func (w *world) invoked(function string, m lambda.Measure) {
	of := []cloudwatch.Dimension{{Name: "FunctionName", Value: function}}
	sample := func(metric, unit string, value float64) cloudwatch.Sample {
		return cloudwatch.Sample{Namespace: "AWS/Lambda", Metric: metric, Dimensions: of, Unit: unit, Value: value, At: m.At}
	}
	if m.Throttled {
		w.cloudwatch.Put(sample("Throttles", "Count", 1))
		return
	}
	failed := 0.0
	if m.Failed {
		failed = 1
	}
	w.cloudwatch.Put(sample("Invocations", "Count", 1), sample("Errors", "Count", failed), sample("Throttles", "Count", 0),
		sample("Duration", "Milliseconds", float64(m.Duration.Microseconds())/1000))
}

// measure is what the queues, the batch jobs and, once a day, the buckets show.
func (w *world) measure(now time.Time) []cloudwatch.Sample {
	var all []cloudwatch.Sample
	add := func(namespace, metric, unit string, value float64, dimensions ...cloudwatch.Dimension) {
		all = append(all, cloudwatch.Sample{Namespace: namespace, Metric: metric, Dimensions: dimensions, Unit: unit, Value: value})
	}
	for _, m := range w.sqs.Measure() {
		of := cloudwatch.Dimension{Name: "QueueName", Value: m.Queue}
		add("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Count", float64(m.Visible), of)
		add("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "Count", float64(m.InFlight), of)
		add("AWS/SQS", "ApproximateNumberOfMessagesDelayed", "Count", float64(m.Delayed), of)
		add("AWS/SQS", "ApproximateAgeOfOldestMessage", "Seconds", m.Oldest.Seconds(), of)
	}
	for model, m := range w.bedrock.Measure() {
		of := cloudwatch.Dimension{Name: "ModelId", Value: model}
		add("AWS/Bedrock/Batch", "NumberOfRecordsPendingProcessing", "Count", float64(m.Pending), of)
		add("AWS/Bedrock/Batch", "NumberOfInputTokensProcessedPerMinute", "Count", float64(m.Input), of)
		add("AWS/Bedrock/Batch", "NumberOfOutputTokensProcessedPerMinute", "Count", float64(m.Output), of)
	}
	if w.weighed.IsZero() || now.Sub(w.weighed) >= w.clock.Short(24*time.Hour) {
		w.weighed = now
		for _, b := range w.stack.Buckets {
			add("AWS/S3", "BucketSizeBytes", "Bytes", w.weigh(b.Name),
				cloudwatch.Dimension{Name: "BucketName", Value: b.Name}, cloudwatch.Dimension{Name: "StorageType", Value: "StandardStorage"})
		}
	}
	return all
}

// weigh is how many bytes lie in a bucket's folder.
func (w *world) weigh(bucket string) float64 {
	var bytes int64
	// What vanishes meanwhile weighs nothing.
	_ = filepath.WalkDir(filepath.Join(w.s3.Dir(), bucket), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return float64(bytes)
}
