package template_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// matches is EventBridge's matching, as far as the rules here use it: lists
// of values of which one must fit, and prefixes.
func matches(t *testing.T, pattern map[string]any, event any) bool {
	for k, want := range pattern {
		got := at(event, k)
		if nested, ok := want.(map[string]any); ok {
			if !matches(t, nested, got) {
				return false
			}
			continue
		}
		fits := slices.ContainsFunc(list(want), func(w any) bool {
			switch w := w.(type) {
			case string:
				return got == w
			case map[string]any:
				prefix, ok := w["prefix"].(string)
				if !ok || len(w) != 1 {
					t.Fatalf("the matcher of this test does not know %v", w)
				}
				text, ok := got.(string)
				return ok && strings.HasPrefix(text, prefix)
			}
			t.Fatalf("the matcher of this test does not know %v", w)
			return false
		})
		if !fits {
			return false
		}
	}
	return true
}

// rulesFor gives the queues that an event is sent to, by the rules' patterns.
func rulesFor(t *testing.T, p parsed, event any) []string {
	var queues []string
	for _, id := range p.ofType("AWS::Events::Rule") {
		pattern, ok := p.Resources[id].Properties["EventPattern"].(map[string]any)
		if !ok || !matches(t, pattern, event) {
			continue
		}
		for _, target_ := range list(p.Resources[id].Properties["Targets"]) {
			queues = append(queues, target(at(target_, "Arn")))
		}
	}
	return queues
}

func event(t *testing.T, name string) map[string]any {
	t.Helper()
	_, all := bodies(t, name)
	var e map[string]any
	if err := json.Unmarshal([]byte(all[0]), &e); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

func TestRulesTakeTheEventsOfEndedJobs(t *testing.T) {
	p := load(t)
	own, others := []string{"QueueJobs", "QueueUploads"}, []string{"QueueUploads"}
	files, err := filepath.Glob("../../events/job-state-change-*.json")
	if err != nil || len(files) != 5 {
		t.Fatalf("%d payloads of ended jobs, want one for each of the five terminal states: %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		if got := rulesFor(t, p, event(t, name)); !slices.Equal(got, own) {
			t.Errorf("%s goes to %v, want %v", name, got, own)
		}
	}
	if got := rulesFor(t, p, event(t, "slot-free")); !slices.Equal(got, others) {
		t.Errorf("a foreign job's end goes to %v, want %v", got, others)
	}

	t.Run("but not of jobs that go on", func(t *testing.T) {
		e := event(t, "job-state-change-completed")
		for _, status := range []string{"Submitted", "Validating", "Scheduled", "InProgress", "Stopping"} {
			e["detail"].(map[string]any)["status"] = status
			if got := rulesFor(t, p, e); got != nil {
				t.Errorf("%s goes to %v", status, got)
			}
		}
	})
	t.Run("nor of another kind or source", func(t *testing.T) {
		for k, v := range map[string]string{"source": "aws.sagemaker", "detail-type": "Model Customization Job State Change"} {
			e := event(t, "job-state-change-completed")
			e[k] = v
			if got := rulesFor(t, p, e); got != nil {
				t.Errorf("%s %s goes to %v", k, v, got)
			}
		}
	})
}

func TestTheScheduleSaysTickToBothQueues(t *testing.T) {
	p := load(t)
	rule := p.Resources["RuleTick"].Properties
	if rule["ScheduleExpression"] != "rate(5 minutes)" {
		t.Errorf("schedule is %v", rule["ScheduleExpression"])
	}
	var queues []string
	for _, target_ := range list(rule["Targets"]) {
		queues = append(queues, target(at(target_, "Arn")))
		for _, name := range []string{"tick", "tick-jobs"} {
			if _, body := bodies(t, name); body[0] != at(target_, "Input") {
				t.Errorf("the schedule says %v, events/%s.json holds %s", at(target_, "Input"), name, body[0])
			}
		}
	}
	if !slices.Equal(queues, []string{"QueueUploads", "QueueJobs"}) {
		t.Errorf("the schedule speaks to %v", queues)
	}
}

func TestPayloadsComeFromQueuesOfTheTemplate(t *testing.T) {
	p := load(t)
	var arns []string
	for _, id := range p.ofType("AWS::Lambda::EventSourceMapping") {
		arns = append(arns, p.text(t, p.Resources[id].Properties["EventSourceArn"]))
	}
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no payloads: %v", err)
	}
	for _, f := range files {
		queue, all := bodies(t, strings.TrimSuffix(filepath.Base(f), ".json"))
		if len(all) == 0 || !slices.Contains(arns, queue) {
			t.Errorf("%s: %d messages from %s, want some from one of %v", filepath.Base(f), len(all), queue, arns)
		}
	}
}
