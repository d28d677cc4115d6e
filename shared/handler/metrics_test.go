package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// counted reads metric lines as CloudWatch does: the sums by metric and set of
// dimensions, as RowsAnswered{Deployment=d}, and the last values.
func counted(t *testing.T, lines []byte) (sums, last map[string]float64) {
	t.Helper()
	sums, last = map[string]float64{}, map[string]float64{}
	for line := range bytes.Lines(lines) {
		var root map[string]any
		if err := json.Unmarshal(line, &root); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var meta struct {
			AWS struct {
				Timestamp         int64
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				}
			} `json:"_aws"`
		}
		if err := json.Unmarshal(line, &meta); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if meta.AWS.Timestamp == 0 || len(meta.AWS.CloudWatchMetrics) == 0 {
			t.Errorf("no metrics in %s", line)
		}
		for _, d := range meta.AWS.CloudWatchMetrics {
			if d.Namespace != "BedrockBatch" {
				t.Errorf("namespace %q in %s", d.Namespace, line)
			}
			for _, set := range d.Dimensions {
				for _, m := range d.Metrics {
					value, ok := root[m.Name].(float64)
					if !ok {
						t.Fatalf("%s is %v in %s", m.Name, root[m.Name], line)
					}
					var dims []string
					for _, name := range set {
						v, ok := root[name].(string)
						if !ok || v == "" {
							t.Fatalf("dimension %s is %v in %s", name, root[name], line)
						}
						dims = append(dims, name+"="+v)
					}
					key := m.Name + "{" + strings.Join(dims, ",") + "}"
					sums[key] += value
					last[key] = value
				}
			}
		}
	}
	return sums, last
}

// counts lets a world count into out.
func counts(w *handlertest.World, out *bytes.Buffer) {
	w.Observer = handler.Observer{Log: slog.New(slog.DiscardHandler), Metrics: handler.NewMetrics(
		config.Environment{Name: "d", Settings: w.Settings}, out, func() time.Time { return time.UnixMilli(1) })}
}

// uneven lets the first record of a job fail for a passing reason once, the
// second for good, and the job of the first part end as Failed.
func uneven(j batch.Job) memory.Outcome {
	o := memory.Outcome{Line: func(n int, id string) memory.Line {
		switch {
		case strings.HasSuffix(j.Name, "-1") && n == 1:
			return memory.Line{Shape: memory.Beside, Code: 429, Message: "slow down"}
		case n == 2:
			return memory.Line{Shape: memory.Beside, Code: 400, Message: "no"}
		}
		return memory.Line{}
	}}
	if strings.HasSuffix(j.Name, "-0-1") {
		o.Status = batch.Failed
	}
	return o
}

func TestMetricsAddUpToTheNotices(t *testing.T) {
	var out bytes.Buffer
	w := handlertest.New(t, func(w *handlertest.World) {
		small(w)
		w.Settings.WorkloadMetrics = true
		counts(w, &out)
	})
	w.Outcome = uneven
	w.Input.Set("workload.yaml", []byte(nova+"name: all\n"))
	w.Input.Set("many.jsonl", append(prompts(40), "broken\n"...))
	w.Input.Set("few.jsonl", prompts(2))
	w.Input.Set("none.jsonl", nil)
	w.Run()
	w.Ticks(3)

	want := map[string]float64{}
	add := func(metric string, value float64, n pipeline.Notice) {
		want[metric+"{Deployment=d}"] += value
		if n.ModelID != "" {
			want[metric+"{Deployment=d,ModelId="+n.ModelID+"}"] += value
		}
		if n.Workload != "" {
			want[metric+"{Deployment=d,Workload="+n.Workload+"}"] += value
		}
	}
	for _, n := range w.Notices() {
		add("Rows", float64(n.Rows.Total), n)
		add("RowsAnswered", float64(n.Rows.Answered), n)
		add("RowsFailed", float64(n.Rows.Failed), n)
		add("RowsSetAside", float64(n.Rows.SetAside), n)
		add("RowsMissing", float64(n.Rows.Missing), n)
		add("InputTokens", float64(n.Tokens.Input), n)
		add("OutputTokens", float64(n.Tokens.Output), n)
		if n.EstimatedCostUSD != nil {
			add("EstimatedCostUSD", *n.EstimatedCostUSD, n)
		}
		want["Submissions{Deployment=d,Status="+n.Status+"}"]++
		for _, j := range n.Jobs {
			want["Jobs{Deployment=d,Status="+string(j.Status)+"}"]++
			if j.Status == batch.Failed || j.Status == batch.Expired {
				want["JobsFailed{Deployment=d}"]++
			}
		}
		if strings.HasSuffix(n.Upload.Key, "few.jsonl") {
			want["RowsAnsweredOnDemand{Deployment=d}"] += float64(n.Rows.Answered)
		}
	}
	got, last := counted(t, out.Bytes())
	for key, value := range want {
		if math.Abs(got[key]-value) > 1e-9 {
			t.Errorf("%s is %v, the notices say %v", key, got[key], value)
		}
	}
	for _, key := range []string{"RowsFailed{Deployment=d}", "JobsFailed{Deployment=d}", "RowsAnsweredOnDemand{Deployment=d}", "EstimatedCostUSD{Deployment=d}",
		"RowsRetried{Deployment=d}", "Jobs{Deployment=d,Status=Completed}", "Submissions{Deployment=d,Status=Rejected}"} {
		if got[key] == 0 {
			t.Errorf("%s was not counted", key)
		}
	}
	if v, ok := last["OpenSubmissions{Deployment=d}"]; !ok || v != 0 {
		t.Errorf("open submissions at the end: %v", last)
	}
	for _, secret := range []string{"plus one", "slow down"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("a metric line holds %q", secret)
		}
	}
	for key := range got {
		if strings.Contains(key, "Workload=") && !strings.Contains(key, "Workload=all") {
			t.Errorf("dimension of no workload: %s", key)
		}
	}
}

func TestMetricsByWorkloadAreOptional(t *testing.T) {
	var out bytes.Buffer
	w := handlertest.New(t, func(w *handlertest.World) { small(w); counts(w, &out) })
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("some/folder/a.jsonl", prompts(20))
	w.Run()
	got, _ := counted(t, out.Bytes())
	for key := range got {
		if strings.Contains(key, "Workload=") {
			t.Errorf("%s costs as much as a metric", key)
		}
	}
	if got["RowsAnswered{Deployment=d,ModelId=us.amazon.nova-lite-v1:0}"] != 20 {
		t.Errorf("got %v", got)
	}
}

func TestTicksTellWhatIsOpenAndWhatWaits(t *testing.T) {
	var out bytes.Buffer
	w := handlertest.New(t, func(w *handlertest.World) { small(w); counts(w, &out) })
	w.Output.Set("control/pause", []byte("for the test"))
	w.Input.Set("workload.yaml", []byte(nova))
	w.Input.Set("first.jsonl", prompts(20))
	w.Run()
	w.Clock.Advance(26 * time.Hour)
	w.Input.Set("second.jsonl", prompts(20))
	w.Run()
	w.Ticks(1)
	_, last := counted(t, out.Bytes())
	for key, want := range map[string]float64{"OpenSubmissions": 2, "WaitingSubmissions": 2, "OldestOpenSeconds": 26 * 3600, "OldestWaitingSeconds": 26 * 3600} {
		if got := last[key+"{Deployment=d}"]; got < want || got > want+3600 {
			t.Errorf("%s is %v, want %v or a little more", key, got, want)
		}
	}
}

// atStates passes on the calls about states and results: what reads and writes
// rows runs in goroutines of its own, where a crash would end the test.
type atStates struct{ *crashing }

func ours(name string) bool {
	_, key, _ := strings.Cut(name, "/") // after the bucket
	return strings.HasPrefix(key, config.Submissions) || strings.HasPrefix(key, config.Results) || strings.HasPrefix(key, config.Open)
}

func (c atStates) Before(ctx context.Context, call, key string) error {
	if !ours(key) {
		return nil
	}
	return c.crashing.Before(ctx, call, key)
}

func (c atStates) After(ctx context.Context, call, key string, err error) error {
	if !ours(key) {
		return err
	}
	return c.crashing.After(ctx, call, key, err)
}

// Whatever is written as a metric was told after a write that nobody else can
// make: a crash may cost a count, never add one.
func TestACrashAtAnyStepOfTheEndCountsNothingTwice(t *testing.T) {
	struck, lost := 0, 0
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			var out bytes.Buffer
			crash := &crashing{n: n, after: after, struckAt: func(string, string) {}}
			w := handlertest.New(quiet{t}, func(w *handlertest.World) {
				small(w)
				counts(w, &out)
				w.Hook = atStates{crash}
				w.Invoked = func(half string, _ []byte) { crash.armed = half == "collect" }
			})
			w.Outcome = uneven
			w.Input.Set("workload.yaml", []byte(nova))
			w.Input.Set("a.jsonl", append(prompts(12), "broken\n"...))
			w.Run()
			w.Ticks(30)
			if !crash.struck {
				break
			}
			struck++
			notices := w.Notices()
			if len(notices) == 0 {
				t.Fatalf("no notice after the crash at call %d", n)
			}
			got, _ := counted(t, out.Bytes())
			for key, most := range map[string]int64{"Rows": notices[0].Rows.Total, "RowsAnswered": notices[0].Rows.Answered,
				"RowsFailed": notices[0].Rows.Failed, "InputTokens": notices[0].Tokens.Input, "OutputTokens": notices[0].Tokens.Output} {
				switch value := int64(got[key+"{Deployment=d}"]); {
				case value > most:
					t.Errorf("crash at call %d (after its effect: %v): %s is %d, the notice says %d", n, after, key, value, most)
				case value < most && key == "Rows":
					lost++
				}
			}
		}
	}
	if struck < 40 {
		t.Errorf("only %d places to crash", struck)
	}
	// The one place is the write of the end itself, cut off after its effect.
	if lost > 1 {
		t.Errorf("%d of %d crashes cost a submission its count", lost, struck)
	}
	t.Logf("%d places to crash, %d without a count", struck, lost)
}
