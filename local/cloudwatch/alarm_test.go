package cloudwatch_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/cloudwatch"
)

const topic = "arn:aws:sns:us-east-1:123456789012:operations"

func jobsFailed() cloudwatch.Alarm {
	return cloudwatch.Alarm{
		Name: "jobs-failed", Description: "A job failed.", Namespace: "BedrockBatch", Metric: "JobsFailed",
		Dimensions: []cloudwatch.Dimension{{Name: "Deployment", Value: "d"}}, Statistic: "Sum", Period: 5 * time.Minute, EvaluationPeriods: 1,
		Threshold: 1, Comparison: "GreaterThanOrEqualToThreshold", TreatMissingData: "notBreaching", AlarmActions: []string{topic}, OKActions: []string{topic},
	}
}

// sample is one value of what jobsFailed watches.
func sample(v float64, age time.Duration) cloudwatch.Sample {
	return cloudwatch.Sample{Namespace: "BedrockBatch", Metric: "JobsFailed", Dimensions: jobsFailed().Dimensions, Value: v, At: time.Now().Add(-age)}
}

func watched(t *testing.T, a cloudwatch.Alarm, speed float64) (*cloudwatch.Service, *said) {
	t.Helper()
	told := &said{}
	c, err := clock.New(speed)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cloudwatch.New(cloudwatch.Config{Authority: gate{}, Topics: told, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(a); err != nil {
		t.Fatal(err)
	}
	return s, told
}

func TestAnAlarmSpeaksWhenItsStateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := watched(t, jobsFailed(), 1)
		s.Start()
		defer s.Close()
		subjects := func() string {
			synctest.Wait()
			told.mu.Lock()
			defer told.mu.Unlock()
			var all []string
			for _, p := range told.all {
				all = append(all, p.subject)
			}
			return strings.Join(all, "\n")
		}
		const ok, alarm = `OK: "jobs-failed" in US East (N. Virginia)`, `ALARM: "jobs-failed" in US East (N. Virginia)`
		if got := subjects(); got != ok {
			t.Errorf("at first: %s", got)
		}
		time.Sleep(10 * time.Minute)
		s.Put(sample(0, 0))
		time.Sleep(time.Minute)
		if got := subjects(); got != ok {
			t.Errorf("before anything failed: %s", got)
		}
		s.Put(sample(1, 0))
		time.Sleep(3 * time.Minute)
		if got := subjects(); got != ok+"\n"+alarm {
			t.Errorf("after a failure: %s", got)
		}
		time.Sleep(10 * time.Minute)
		if got := subjects(); got != ok+"\n"+alarm+"\n"+ok {
			t.Errorf("when it was over: %s", got)
		}

		p := told.all[1]
		if p.topic != topic || p.who != "cloudwatch.amazonaws.com" || p.from != "arn:aws:cloudwatch:us-east-1:123456789012:alarm:jobs-failed" {
			t.Errorf("published %+v", p)
		}
		var m struct {
			AlarmName, AlarmDescription, AWSAccountId, NewStateValue, NewStateReason, OldStateValue, Region, AlarmArn, StateChangeTime string
			Trigger                                                                                                                    struct {
				MetricName, Namespace, Statistic, ComparisonOperator string
				Period, EvaluationPeriods                            int
				Threshold                                            float64
				Dimensions                                           []struct{ Name, Value string }
			}
		}
		if err := json.Unmarshal([]byte(p.body), &m); err != nil {
			t.Fatal(err)
		}
		if m.AlarmName != "jobs-failed" || m.NewStateValue != "ALARM" || m.OldStateValue != "OK" || m.AWSAccountId != "123456789012" || m.AlarmDescription == "" ||
			!strings.Contains(m.NewStateReason, "greater than or equal to the threshold (1)") || m.Trigger.Statistic != "SUM" || m.Trigger.Period != 300 || m.Trigger.Dimensions[0].Value != "d" {
			t.Errorf("message: %s", p.body)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000-0700", m.StateChangeTime); err != nil {
			t.Error(err)
		}
	})
}

func TestStatesFollowFromThePeriods(t *testing.T) {
	const none = -1
	for name, c := range map[string]struct {
		change func(*cloudwatch.Alarm)
		values []float64 // one a period, the oldest first
		want   cloudwatch.State
	}{
		"below":                                 {nil, []float64{0}, cloudwatch.OK},
		"at the threshold":                      {nil, []float64{1}, cloudwatch.InAlarm},
		"greater, at the threshold":             {func(a *cloudwatch.Alarm) { a.Comparison = "GreaterThanThreshold" }, []float64{1}, cloudwatch.OK},
		"less than":                             {func(a *cloudwatch.Alarm) { a.Comparison = "LessThanThreshold" }, []float64{0.5}, cloudwatch.InAlarm},
		"less or equal":                         {func(a *cloudwatch.Alarm) { a.Comparison = "LessThanOrEqualToThreshold" }, []float64{1}, cloudwatch.InAlarm},
		"two of two, once":                      {periods(2, 2), []float64{0, 1}, cloudwatch.OK},
		"two of two, twice":                     {periods(2, 2), []float64{1, 1}, cloudwatch.InAlarm},
		"two of three, with a gap":              {periods(3, 2), []float64{1, none, 1}, cloudwatch.InAlarm},
		"two of three, one":                     {periods(3, 2), []float64{1, none, 0}, cloudwatch.OK},
		"nothing, not breaching":                {nil, []float64{none}, cloudwatch.OK},
		"nothing, breaching":                    {missing("breaching"), []float64{none}, cloudwatch.InAlarm},
		"nothing, missing":                      {missing("missing"), []float64{none}, cloudwatch.Insufficient},
		"nothing, ignored":                      {missing("ignore"), []float64{none}, cloudwatch.Insufficient},
		"nothing, default":                      {missing(""), []float64{none}, cloudwatch.Insufficient},
		"of another unit":                       {func(a *cloudwatch.Alarm) { a.Unit = "Bytes" }, []float64{1}, cloudwatch.OK},
		"too long ago":                          {nil, []float64{1, none}, cloudwatch.OK},
		"breaching where some of three is gone": {func(a *cloudwatch.Alarm) { periods(3, 3)(a); a.TreatMissingData = "breaching" }, []float64{1, none, 1}, cloudwatch.InAlarm},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := jobsFailed()
				if c.change != nil {
					c.change(&a)
				}
				s, told := watched(t, a, 1)
				for i, v := range c.values {
					if v != none {
						s.Put(cloudwatch.Sample{Namespace: a.Namespace, Metric: a.Metric, Dimensions: a.Dimensions, Value: v})
					}
					if i < len(c.values)-1 {
						time.Sleep(a.Period)
					}
				}
				s.Step()
				got := cloudwatch.Insufficient
				if n := len(told.all); n > 0 {
					got = cloudwatch.State(strings.Split(told.all[n-1].subject, ":")[0])
				}
				if got != c.want {
					t.Errorf("%s, want %s: %+v", got, c.want, told.all)
				}
			})
		})
	}
}

func periods(n, of int) func(*cloudwatch.Alarm) {
	return func(a *cloudwatch.Alarm) { a.EvaluationPeriods, a.DatapointsToAlarm = n, of }
}

func missing(how string) func(*cloudwatch.Alarm) {
	return func(a *cloudwatch.Alarm) { a.TreatMissingData = how }
}

func TestPeriodsPassFasterOnAFasterClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := jobsFailed()
		a.Period, a.Statistic, a.Threshold = 24*time.Hour, "Sum", 10
		s, told := watched(t, a, 3600)
		s.Step() // in order
		s.Put(sample(6, 0))
		time.Sleep(20 * time.Second) // 20 hours
		s.Put(sample(5, 0))
		if n := len(told.all); n != 2 {
			t.Errorf("eleven within a day: %+v", told.all)
		}
		time.Sleep(10 * time.Second)
		s.Step()
		if n := len(told.all); n != 3 || !strings.HasPrefix(told.all[2].subject, "OK") {
			t.Errorf("six of them a day ago: %+v", told.all)
		}
	})
}

func TestALineThatComesLateIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, told := watched(t, jobsFailed(), 1)
		s.Put(sample(1, time.Hour))
		if len(told.all) != 1 || !strings.HasPrefix(told.all[0].subject, "ALARM") {
			t.Errorf("told %+v", told.all)
		}
	})
}

func TestAlarmsThatAreNotUnderstoodAreRefusedByName(t *testing.T) {
	for want, change := range map[string]func(*cloudwatch.Alarm){
		"Statistic":          func(a *cloudwatch.Alarm) { a.Statistic = "p99" },
		"ComparisonOperator": func(a *cloudwatch.Alarm) { a.Comparison = "GreaterThanUpperThreshold" },
		"Period":             func(a *cloudwatch.Alarm) { a.Period = 61 * time.Second },
		"EvaluationPeriods":  func(a *cloudwatch.Alarm) { a.EvaluationPeriods = 0 },
		"DatapointsToAlarm":  periods(1, 2),
		"TreatMissingData":   missing("sometimes"),
		"MetricName":         func(a *cloudwatch.Alarm) { a.Metric = "" },
		"looks back":         func(a *cloudwatch.Alarm) { a.EvaluationPeriods = 300 },
		"arn:aws:lambda":     func(a *cloudwatch.Alarm) { a.OKActions = []string{"arn:aws:lambda:us-east-1:123456789012:function:f"} },
	} {
		a := jobsFailed()
		change(&a)
		s, _ := watched(t, func() cloudwatch.Alarm { b := jobsFailed(); b.Name = "another"; return b }(), 1)
		if err := s.Declare(a); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "jobs-failed") {
			t.Errorf("got %v, want an error of jobs-failed about %s", err, want)
		}
	}
}
