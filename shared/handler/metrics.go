package handler

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Metrics writes what the pipeline tells as lines in CloudWatch's Embedded
// Metric Format: CloudWatch Logs makes metrics of them, so that a function
// needs no right and no request for them.
//
// What is told once is counted once: the pipeline tells of an end after the
// write that nobody else can make any more. A process that dies between that
// write and its line leaves the one event uncounted; nothing is ever counted
// twice.
type Metrics struct {
	out        io.Writer
	deployment string
	byWorkload bool
	now        func() time.Time
}

// NewMetrics writes to out, each line with one call. The dimension Deployment
// is the environment's name.
func NewMetrics(env config.Environment, out io.Writer, now func() time.Time) *Metrics {
	return &Metrics{out: out, deployment: env.Name, byWorkload: env.Settings.WorkloadMetrics, now: now}
}

// units of CloudWatch.
const (
	count   = "Count"
	seconds = "Seconds"
	none    = "None" // CloudWatch has no unit of money
)

// measure is one metric's value.
type measure struct {
	name, unit string
	value      any
}

// directive is a set of metrics with the sets of dimensions they are kept by.
type directive struct {
	dimensions [][]string
	measures   []measure
}

// count writes the line of an event; most events have none.
func (m *Metrics) count(e pipeline.Event) error {
	if m == nil {
		return nil
	}
	f := fieldsOf(e)
	line := map[string]any{}
	var all []directive
	switch e.Name {
	case "submission ended":
		all = []directive{
			{m.split(f), []measure{
				{config.MetricRows, count, f["total"]}, {config.MetricRowsAnswered, count, f["answered"]},
				{config.MetricRowsFailed, count, f["failed"]}, {config.MetricRowsSetAside, count, f["setAside"]},
				{config.MetricRowsMissing, count, f["missing"]}, {config.MetricRowsOnDemand, count, f["onDemand"]},
				{config.MetricRowsKnown, count, f["known"]},
				{config.MetricSubmissionSeconds, seconds, f["seconds"]},
			}},
			m.byStatus(line, f.text("status"), config.MetricSubmissions),
		}
	case "part collected":
		measures := []measure{
			{config.MetricInputTokens, count, f["inputTokens"]}, {config.MetricOutputTokens, count, f["outputTokens"]},
		}
		if usd, known := f["estimatedCostUSD"]; known {
			measures = append(measures, measure{config.MetricEstimatedCost, none, usd})
		}
		all = []directive{{m.split(f), measures}}
		if f.text("how") == pipeline.ByJob {
			all = append(all, m.job(line, f)...)
		}
	case "retry round staged":
		all = []directive{{[][]string{{config.DimDeployment}}, []measure{{config.MetricRowsRetried, count, f["records"]}}}}
	case "open submissions counted":
		all = []directive{{[][]string{{config.DimDeployment}}, []measure{
			{config.MetricOpenSubmissions, count, f["open"]}, {config.MetricOldestOpenSeconds, seconds, f["oldestOpenSeconds"]},
			{config.MetricWaitingSubmissions, count, f["waiting"]}, {config.MetricOldestWaitingSeconds, seconds, f["oldestWaitingSeconds"]},
		}}}
	default:
		return nil
	}
	for name, key := range map[string]string{config.DimModel: "model", config.DimWorkload: "workload"} {
		if v := f.text(key); v != "" {
			line[name] = v
		}
	}
	if e.Submission != "" {
		line["submission"] = e.Submission
	}
	return m.write(line, all)
}

// job counts a part that was to be run by a job.
func (m *Metrics) job(line map[string]any, f fields) []directive {
	status, failed := f.text("status"), 0
	switch refused := f["refused"] == true; {
	case status == "" && !refused:
		return nil // stopped before its job was created
	case status == "":
		status, failed = "Refused", 1
	case status == string(batch.Failed), status == string(batch.Expired):
		failed = 1
	}
	return []directive{
		m.byStatus(line, status, config.MetricJobs),
		{[][]string{{config.DimDeployment}}, []measure{{config.MetricJobsFailed, count, failed}}},
	}
}

// byStatus counts one of something under its status.
func (m *Metrics) byStatus(line map[string]any, status, metric string) directive {
	line[config.DimStatus] = status
	return directive{[][]string{{config.DimDeployment, config.DimStatus}}, []measure{{metric, count, 1}}}
}

// split are the dimensions of what is kept by model, and by workload where
// that is wanted. A dimension without a value is none.
func (m *Metrics) split(f fields) [][]string {
	sets := [][]string{{config.DimDeployment}}
	if f.text("model") != "" {
		sets = append(sets, []string{config.DimDeployment, config.DimModel})
	}
	if m.byWorkload && f.text("workload") != "" {
		sets = append(sets, []string{config.DimDeployment, config.DimWorkload})
	}
	return sets
}

// The shape of the line that CloudWatch reads.
type emfMetadata struct {
	Timestamp         int64 // milliseconds since 1970
	CloudWatchMetrics []emfDirective
}

type emfDirective struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []emfMetric
}

type emfMetric struct{ Name, Unit string }

func (m *Metrics) write(line map[string]any, all []directive) error {
	meta := emfMetadata{Timestamp: m.now().UnixMilli()}
	for _, d := range all {
		e := emfDirective{Namespace: config.MetricNamespace, Dimensions: d.dimensions}
		for _, v := range d.measures {
			if v.value == nil {
				return fmt.Errorf("metric %s has no value", v.name)
			}
			line[v.name] = v.value
			e.Metrics = append(e.Metrics, emfMetric{v.name, v.unit})
		}
		meta.CloudWatchMetrics = append(meta.CloudWatchMetrics, e)
	}
	// level and msg as in the log, for queries over both.
	line["_aws"], line["level"], line["msg"], line[config.DimDeployment] = meta, "INFO", "metrics", m.deployment
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = m.out.Write(append(text, '\n'))
	return err
}

// fields are an event's, by name.
type fields map[string]any

func fieldsOf(e pipeline.Event) fields {
	f := fields{}
	for i := 0; i+1 < len(e.Fields); i += 2 {
		if name, ok := e.Fields[i].(string); ok {
			f[name] = e.Fields[i+1]
		}
	}
	return f
}

// text is a field as text; empty if there is none.
func (f fields) text(name string) string {
	if f[name] == nil {
		return ""
	}
	return fmt.Sprint(f[name])
}
