package cloudwatch

import (
	"fmt"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// Alarm is a metric alarm as a template declares it.
type Alarm struct {
	Name, Description string
	Namespace, Metric string
	Dimensions        []Dimension
	Statistic         string
	// Unit limits the alarm to values of that unit; empty for all.
	Unit              string
	Period            time.Duration
	EvaluationPeriods int
	// DatapointsToAlarm of the last EvaluationPeriods must breach; 0 is all.
	DatapointsToAlarm int
	Threshold         float64
	Comparison        string
	// TreatMissingData is missing (default), breaching, notBreaching or ignore.
	TreatMissingData string
	// ActionsDisabled keeps the alarm from publishing.
	ActionsDisabled bool
	// The topics that are told of each state.
	AlarmActions, OKActions, InsufficientDataActions []string
}

// State is a state of an alarm in the API's spelling.
type State string

// The states.
const (
	OK           State = "OK"
	InAlarm      State = "ALARM"
	Insufficient State = "INSUFFICIENT_DATA"
)

// ARN is the ARN of the alarm with this name.
func ARN(name string) string {
	return "arn:aws:cloudwatch:" + access.Region + ":" + access.Account + ":alarm:" + name
}

// comparisons are the operators there are, with their words.
var comparisons = map[string]struct {
	breaches func(value, threshold float64) bool
	words    string
}{
	"GreaterThanOrEqualToThreshold": {func(v, t float64) bool { return v >= t }, "greater than or equal to"},
	"GreaterThanThreshold":          {func(v, t float64) bool { return v > t }, "greater than"},
	"LessThanThreshold":             {func(v, t float64) bool { return v < t }, "less than"},
	"LessThanOrEqualToThreshold":    {func(v, t float64) bool { return v <= t }, "less than or equal to"},
}

// check judges an alarm and fills in defaults.
func (a *Alarm) check() error {
	if a.DatapointsToAlarm == 0 {
		a.DatapointsToAlarm = a.EvaluationPeriods
	}
	if a.TreatMissingData == "" {
		a.TreatMissingData = "missing"
	}
	_, statistic := statistics[a.Statistic]
	_, comparison := comparisons[a.Comparison]
	seconds := int(a.Period / time.Second)
	var why string
	switch {
	case a.Name == "":
		why = "it has no name"
	case a.Namespace == "" || a.Metric == "":
		why = "Namespace and MetricName are needed; alarms on expressions are not part of the local services"
	case !statistic:
		why = fmt.Sprintf("Statistic %q is not part of the local services (SampleCount, Sum, Average, Minimum and Maximum are)", a.Statistic)
	case !comparison:
		why = fmt.Sprintf("ComparisonOperator %q is not part of the local services (the four with a fixed threshold are)", a.Comparison)
	case seconds != 10 && seconds != 30 && (seconds < 60 || seconds%60 != 0):
		why = fmt.Sprintf("Period is %d s: want 10, 30 or a multiple of 60", seconds)
	case a.EvaluationPeriods < 1:
		why = fmt.Sprintf("EvaluationPeriods is %d", a.EvaluationPeriods)
	case a.DatapointsToAlarm < 1 || a.DatapointsToAlarm > a.EvaluationPeriods:
		why = fmt.Sprintf("DatapointsToAlarm is %d of %d", a.DatapointsToAlarm, a.EvaluationPeriods)
	case time.Duration(a.EvaluationPeriods)*a.Period > 24*time.Hour && a.Period < time.Hour, time.Duration(a.EvaluationPeriods)*a.Period > 7*24*time.Hour:
		why = fmt.Sprintf("it looks back over %s: a day at most, with periods of an hour and more a week", time.Duration(a.EvaluationPeriods)*a.Period)
	}
	switch a.TreatMissingData {
	case "missing", "breaching", "notBreaching", "ignore":
	default:
		why = fmt.Sprintf("TreatMissingData %q is none of missing, breaching, notBreaching, ignore", a.TreatMissingData)
	}
	for _, actions := range [][]string{a.AlarmActions, a.OKActions, a.InsufficientDataActions} {
		for _, arn := range actions {
			if !strings.HasPrefix(arn, "arn:aws:sns:") {
				why = fmt.Sprintf("the action %s is no SNS topic; others are not part of the local services", arn)
			}
		}
	}
	if why != "" {
		return fmt.Errorf("alarm %s: %s", a.Name, why)
	}
	return nil
}

// alarm is an alarm with its state.
type alarm struct {
	Alarm
	state     State
	reason    string
	since     time.Time // of the state
	declared  time.Time
	evaluated time.Time
}

// verdict is the state that the last periods give; each is length long and the
// last ends at now.
func (a *alarm) verdict(s *series, now time.Time, length time.Duration) (State, string) {
	if s != nil && a.Unit != "" && s.unit != a.Unit {
		s = nil
	}
	breaches := comparisons[a.Comparison]
	var breaching, present int
	var values []string
	for n := range a.EvaluationPeriods {
		end := now.Add(-time.Duration(n) * length)
		p := s.between(end.Add(-length), end)
		if p.n == 0 {
			continue
		}
		present++
		v := statistics[a.Statistic](p)
		values = append(values, fmt.Sprintf("%v (%s)", v, end.Add(-length).Format("02/01/06 15:04:05")))
		if breaches.breaches(v, a.Threshold) {
			breaching++
		}
	}
	missing := a.EvaluationPeriods - present
	told := fmt.Sprintf("%d out of the last %d datapoints [%s] was %%s the threshold (%v)", breaching, a.EvaluationPeriods, strings.Join(values, ", "), a.Threshold)
	crossed := "Threshold Crossed: " + fmt.Sprintf(told, breaches.words)
	switch {
	case breaching >= a.DatapointsToAlarm:
		return InAlarm, crossed
	case missing == 0:
	case a.TreatMissingData == "breaching" && breaching+missing >= a.DatapointsToAlarm:
		return InAlarm, fmt.Sprintf("Threshold Crossed: no datapoints were received for %d periods and %d missing datapoints were treated as [Breaching].", missing, missing)
	case present == 0 && a.TreatMissingData == "notBreaching":
		return OK, fmt.Sprintf("Threshold Crossed: no datapoints were received for %d periods and %d missing datapoints were treated as [NonBreaching].", missing, missing)
	case present == 0 && a.TreatMissingData == "missing":
		return Insufficient, "Insufficient Data: there was no data to evaluate."
	case a.TreatMissingData == "missing" && breaching+missing >= a.DatapointsToAlarm, a.TreatMissingData == "ignore" && breaching+missing >= a.DatapointsToAlarm:
		return a.state, a.reason // it is open whether enough breach
	}
	return OK, "Threshold Crossed: " + fmt.Sprintf(told, "not all "+breaches.words)
}
