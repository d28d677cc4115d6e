package cloudwatch

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// A day of seconds is more than anybody reads at once.
const (
	maxData       = 100_800 // points of one GetMetricData
	maxStatistics = 1440    // points of one GetMetricStatistics
)

type dimensionFilter struct {
	Name  string
	Value *string
}

type listMetricsIn struct {
	Namespace, MetricName, NextToken, RecentlyActive, OwningAccount string
	Dimensions                                                      []dimensionFilter
	IncludeLinkedAccounts                                           *bool
}

type metric struct {
	Namespace, MetricName string
	Dimensions            []Dimension
}

type listMetricsOut struct {
	Metrics   []metric
	NextToken string `json:",omitempty"`
}

func (c call) listMetrics(in *listMetricsIn) (*listMetricsOut, error) {
	switch {
	case in.OwningAccount != "" || in.IncludeLinkedAccounts != nil && *in.IncludeLinkedAccounts:
		return nil, absent("ListMetrics of other accounts")
	case in.RecentlyActive != "" && in.RecentlyActive != "PT3H":
		return nil, invalid("RecentlyActive %q is not PT3H", in.RecentlyActive)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []metric
	for _, s := range c.series {
		if in.Namespace != "" && in.Namespace != s.namespace || in.MetricName != "" && in.MetricName != s.metric {
			continue
		}
		if in.RecentlyActive != "" && (len(s.points) == 0 || c.clock.Now().Sub(s.points[len(s.points)-1].at) > 3*time.Hour) {
			continue
		}
		has := func(f dimensionFilter) bool {
			return slices.ContainsFunc(s.dimensions, func(d Dimension) bool { return d.Name == f.Name && (f.Value == nil || d.Value == *f.Value) })
		}
		if slices.ContainsFunc(in.Dimensions, func(f dimensionFilter) bool { return !has(f) }) {
			continue
		}
		all = append(all, metric{s.namespace, s.metric, append([]Dimension{}, s.dimensions...)})
	}
	slices.SortFunc(all, func(a, b metric) int {
		return cmp.Compare(key(a.Namespace, a.MetricName, a.Dimensions), key(b.Namespace, b.MetricName, b.Dimensions))
	})
	out := &listMetricsOut{}
	var err error
	out.Metrics, out.NextToken, err = page(append([]metric{}, all...), in.NextToken, 500)
	return out, err
}

// checkSpan judges a period in seconds and what is asked for.
func checkSpan(from, to time.Time, period int) error {
	switch {
	case !from.Before(to):
		return invalid("The parameter StartTime must be less than the parameter EndTime.")
	case period != 1 && period != 5 && period != 10 && period != 20 && period != 30 && (period < 60 || period%60 != 0):
		return invalid("Period %d: want 1, 5, 10, 20, 30 or a multiple of 60", period)
	}
	return nil
}

// each calls f for each period of a metric in which there is something, the
// oldest first. Periods begin at the whole minute before from.
func (c call) each(s *series, unit string, from, to time.Time, period int, f func(at time.Time, p point)) {
	if s == nil || unit != "" && unit != s.unit {
		return
	}
	length := time.Duration(period) * time.Second
	from = from.Truncate(min(length, time.Minute))
	for at := from; at.Before(to); at = at.Add(length) {
		// A period has its beginning and not its end.
		if p := s.between(at.Add(-1), at.Add(length-1)); p.n > 0 {
			f(at, p)
		}
	}
}

type metricStat struct {
	Metric     metric
	Period     int
	Stat, Unit string
}

type metricDataQuery struct {
	Id, Expression, Label, AccountId string
	MetricStat                       *metricStat
	Period                           *int
	ReturnData                       *bool
}

type getMetricDataIn struct {
	MetricDataQueries  []metricDataQuery
	StartTime, EndTime time.Time
	NextToken, ScanBy  string
	MaxDatapoints      int
	LabelOptions       *struct{ Timezone string }
}

type metricDataResult struct {
	Id, Label  string
	Timestamps []time.Time
	Values     []float64
	StatusCode string
}

type getMetricDataOut struct {
	MetricDataResults []metricDataResult
	Messages          []string
}

var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)

func (c call) getMetricData(in *getMetricDataIn) (*getMetricDataOut, error) {
	if len(in.MetricDataQueries) == 0 || len(in.MetricDataQueries) > 500 {
		return nil, invalid("MetricDataQueries has %d members: want 1 to 500", len(in.MetricDataQueries))
	}
	if in.ScanBy != "" && in.ScanBy != "TimestampDescending" && in.ScanBy != "TimestampAscending" {
		return nil, invalid("ScanBy %q is neither TimestampDescending nor TimestampAscending", in.ScanBy)
	}
	if in.NextToken != "" {
		return nil, access.Errorf("InvalidNextToken", "NextToken is not from here: everything comes at once")
	}
	most := cmp.Or(in.MaxDatapoints, maxData)
	c.mu.Lock()
	defer c.mu.Unlock()
	out, seen := &getMetricDataOut{MetricDataResults: []metricDataResult{}, Messages: []string{}}, map[string]bool{}
	for _, q := range in.MetricDataQueries {
		if !queryID.MatchString(q.Id) || seen[q.Id] {
			return nil, invalid("The Id %q is taken or does not begin with a lower case letter and hold letters, digits and underscores.", q.Id)
		}
		seen[q.Id] = true
		switch {
		case q.Expression != "":
			return nil, absent("MetricDataQueries: %s: Expression", q.Id)
		case q.AccountId != "":
			return nil, absent("MetricDataQueries: %s: AccountId", q.Id)
		case q.MetricStat == nil:
			return nil, invalid("MetricDataQueries: %s has neither MetricStat nor Expression", q.Id)
		}
		statistic := statistics[q.MetricStat.Stat]
		if statistic == nil {
			return nil, absent("MetricDataQueries: %s: Stat %q", q.Id, q.MetricStat.Stat)
		}
		if err := checkSpan(in.StartTime, in.EndTime, q.MetricStat.Period); err != nil {
			return nil, err
		}
		m := q.MetricStat.Metric
		r := metricDataResult{Id: q.Id, Label: cmp.Or(q.Label, m.MetricName), StatusCode: "Complete", Timestamps: []time.Time{}, Values: []float64{}}
		c.each(c.series[key(m.Namespace, m.MetricName, m.Dimensions)], q.MetricStat.Unit, in.StartTime, in.EndTime, q.MetricStat.Period, func(at time.Time, p point) {
			r.Timestamps, r.Values = append(r.Timestamps, at), append(r.Values, statistic(p))
		})
		if most -= len(r.Values); most < 0 {
			return nil, absent("MetricDataQueries: more than %d points at once", cmp.Or(in.MaxDatapoints, maxData))
		}
		if in.ScanBy != "TimestampAscending" {
			slices.Reverse(r.Timestamps)
			slices.Reverse(r.Values)
		}
		if q.ReturnData == nil || *q.ReturnData {
			out.MetricDataResults = append(out.MetricDataResults, r)
		}
	}
	return out, nil
}

type getMetricStatisticsIn struct {
	Namespace, MetricName, Unit    string
	Dimensions                     []Dimension
	StartTime, EndTime             time.Time
	Period                         int
	Statistics, ExtendedStatistics []string
}

type datapoint struct {
	Timestamp                                   time.Time
	SampleCount, Average, Sum, Minimum, Maximum *float64 `json:",omitempty"`
	Unit                                        string
}

type getMetricStatisticsOut struct {
	Label      string
	Datapoints []datapoint
}

func (c call) getMetricStatistics(in *getMetricStatisticsIn) (*getMetricStatisticsOut, error) {
	if len(in.ExtendedStatistics) > 0 {
		return nil, absent("ExtendedStatistics %v", in.ExtendedStatistics)
	}
	if len(in.Statistics) == 0 {
		return nil, invalid("Statistics is empty")
	}
	for _, name := range in.Statistics {
		if statistics[name] == nil {
			return nil, invalid("Statistics: %q is none of SampleCount, Average, Sum, Minimum, Maximum", name)
		}
	}
	if err := checkSpan(in.StartTime, in.EndTime, in.Period); err != nil {
		return nil, err
	}
	if n := int(in.EndTime.Sub(in.StartTime)/time.Second) / in.Period; n > maxStatistics {
		return nil, invalid("You have requested up to %d datapoints, which exceeds the limit of %d.", n, maxStatistics)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &getMetricStatisticsOut{Label: in.MetricName, Datapoints: []datapoint{}}
	s := c.series[key(in.Namespace, in.MetricName, in.Dimensions)]
	c.each(s, in.Unit, in.StartTime, in.EndTime, in.Period, func(at time.Time, p point) {
		d := datapoint{Timestamp: at, Unit: s.unit}
		for name, to := range map[string]**float64{"SampleCount": &d.SampleCount, "Average": &d.Average, "Sum": &d.Sum, "Minimum": &d.Minimum, "Maximum": &d.Maximum} {
			if slices.Contains(in.Statistics, name) {
				v := statistics[name](p)
				*to = &v
			}
		}
		out.Datapoints = append(out.Datapoints, d)
	})
	return out, nil
}

type describeAlarmsIn struct {
	AlarmNames, AlarmTypes                                                             []string
	AlarmNamePrefix, ChildrenOfAlarmName, ParentsOfAlarmName, StateValue, ActionPrefix string
	MaxRecords                                                                         int
	NextToken                                                                          string
}

type metricAlarm struct {
	AlarmName, AlarmArn                                       string
	AlarmDescription                                          string `json:",omitempty"`
	AlarmConfigurationUpdatedTimestamp, StateUpdatedTimestamp time.Time
	StateTransitionedTimestamp                                time.Time
	ActionsEnabled                                            bool
	OKActions, AlarmActions, InsufficientDataActions          []string
	StateValue                                                State
	StateReason                                               string
	MetricName, Namespace, Statistic                          string
	Dimensions                                                []Dimension
	Period                                                    int
	Unit                                                      string `json:",omitempty"`
	EvaluationPeriods, DatapointsToAlarm                      int
	Threshold                                                 float64
	ComparisonOperator, TreatMissingData                      string
}

type describeAlarmsOut struct {
	MetricAlarms []metricAlarm
	// CompositeAlarms are none here.
	CompositeAlarms []struct{}
	NextToken       string `json:",omitempty"`
}

func (c call) describeAlarms(in *describeAlarmsIn) (*describeAlarmsOut, error) {
	if in.ChildrenOfAlarmName != "" || in.ParentsOfAlarmName != "" {
		return nil, absent("DescribeAlarms: ChildrenOfAlarmName and ParentsOfAlarmName: composite alarms")
	}
	if in.MaxRecords < 0 || in.MaxRecords > 100 {
		return nil, invalid("MaxRecords %d: want 1 to 100", in.MaxRecords)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []metricAlarm{}
	for _, a := range c.alarms {
		acts := func(arn string) bool { return strings.HasPrefix(arn, in.ActionPrefix) }
		switch {
		case len(in.AlarmNames) > 0 && !slices.Contains(in.AlarmNames, a.Name),
			!strings.HasPrefix(a.Name, in.AlarmNamePrefix),
			in.StateValue != "" && in.StateValue != string(a.state),
			in.ActionPrefix != "" && !slices.ContainsFunc(slices.Concat(a.AlarmActions, a.OKActions, a.InsufficientDataActions), acts),
			len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, "MetricAlarm"):
			continue
		}
		all = append(all, metricAlarm{
			AlarmName: a.Name, AlarmArn: ARN(a.Name), AlarmDescription: a.Description,
			AlarmConfigurationUpdatedTimestamp: a.declared, StateUpdatedTimestamp: a.since, StateTransitionedTimestamp: a.since,
			ActionsEnabled: !a.ActionsDisabled, OKActions: append([]string{}, a.OKActions...), AlarmActions: append([]string{}, a.AlarmActions...),
			InsufficientDataActions: append([]string{}, a.InsufficientDataActions...), StateValue: a.state, StateReason: a.reason,
			MetricName: a.Metric, Namespace: a.Namespace, Statistic: a.Statistic, Dimensions: append([]Dimension{}, a.Dimensions...),
			Period: int(a.Period / time.Second), Unit: a.Unit, EvaluationPeriods: a.EvaluationPeriods, DatapointsToAlarm: a.DatapointsToAlarm,
			Threshold: a.Threshold, ComparisonOperator: a.Comparison, TreatMissingData: a.TreatMissingData,
		})
	}
	slices.SortFunc(all, func(a, b metricAlarm) int { return cmp.Compare(a.AlarmName, b.AlarmName) })
	out := &describeAlarmsOut{CompositeAlarms: []struct{}{}}
	var err error
	out.MetricAlarms, out.NextToken, err = page(all, in.NextToken, cmp.Or(in.MaxRecords, 50))
	return out, err
}
