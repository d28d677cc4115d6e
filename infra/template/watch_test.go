package template_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

func TestAlarmsWatchWhatIsThereAndSpeakUp(t *testing.T) {
	p := load(t)
	alarms := p.ofType("AWS::CloudWatch::Alarm")
	if len(alarms) == 0 {
		t.Fatal("no alarms")
	}
	watched := map[string]bool{}
	for _, id := range alarms {
		a := p.Resources[id].Properties
		for _, k := range []string{"AlarmActions", "OKActions"} {
			if l := list(a[k]); len(l) != 1 || target(l[0]) != "TopicOperations" {
				t.Errorf("%s: %s is %v, want the operations topic", id, k, l)
			}
		}
		if a["TreatMissingData"] != "notBreaching" {
			t.Errorf("%s: a queue that rests would alarm", id)
		}
		name := p.text(t, at(a, "Dimensions", 0, "Value"))
		if r := target(at(a, "Dimensions", 0, "Value")); r != "" {
			name = p.text(t, p.Resources[r].Properties["QueueName"])
		}
		watched[a["MetricName"].(string)+" "+name] = true
	}
	var missing []string
	for _, id := range p.ofType("AWS::SQS::Queue") {
		q := p.Resources[id].Properties
		metric := "ApproximateNumberOfMessagesVisible" // dead letters
		if q["RedrivePolicy"] != nil {
			metric = "ApproximateAgeOfOldestMessage"
		}
		missing = append(missing, metric+" "+p.text(t, q["QueueName"]))
	}
	for _, id := range p.ofType("AWS::Lambda::Function") {
		name := p.text(t, p.Resources[id].Properties["FunctionName"])
		missing = append(missing, "Errors "+name, "Duration "+name)
		// What the functions count themselves stands under this name.
		if own := p.text(t, at(p.Resources[id].Properties, "Environment", "Variables", config.EnvName)); own != "bedrock-batch-dev" {
			t.Errorf("%s counts under %q", id, own)
		}
	}
	for _, own := range []string{config.MetricJobsFailed, config.MetricOldestWaitingSeconds, config.MetricOldestOpenSeconds, config.MetricEstimatedCost} {
		missing = append(missing, own+" bedrock-batch-dev")
	}
	for _, want := range missing {
		if !watched[want] {
			t.Errorf("nothing watches %s", want)
		}
		delete(watched, want)
	}
	if len(watched) > 0 {
		t.Errorf("alarms watch what is not there: %v", watched)
	}
}

func TestSlowMeansLaterThanASliceEnds(t *testing.T) {
	p := load(t)
	for function, alarm := range map[string]string{"FunctionSubmit": "AlarmSubmitSlow", "FunctionCollect": "AlarmCollectSlow"} {
		limit, _ := p.Resources[function].Properties["Timeout"].(float64)
		threshold, _ := p.Resources[alarm].Properties["Threshold"].(float64)
		// Slices end 45 seconds before the limit by default.
		if threshold <= 1000*(limit-45) || threshold >= 1000*limit {
			t.Errorf("%s at %v ms; slices end at %v s, the limit is %v s", alarm, threshold, limit-45, limit)
		}
	}
}

func TestEveryAlarmHasAnEntryInTheRunbook(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for line := range strings.Lines(string(runbook)) {
		if names, ok := strings.CutPrefix(line, "### "); ok {
			entries = append(entries, strings.Split(strings.TrimSpace(names), ", ")...)
		}
	}
	p := load(t)
	for _, id := range p.ofType("AWS::CloudWatch::Alarm") {
		name := strings.TrimPrefix(p.text(t, p.Resources[id].Properties["AlarmName"]), "bedrock-batch-dev-")
		if !slices.Contains(entries, name) {
			t.Errorf("docs/operations.md has no entry for %s", name)
		}
	}
}

func TestTheDashboardIsReadable(t *testing.T) {
	p := load(t)
	var body struct {
		Widgets []struct {
			Type       string
			Properties struct {
				Title, Markdown string
				Alarms          []string
			}
		}
	}
	if err := json.Unmarshal([]byte(p.text(t, p.Resources["Dashboard"].Properties["DashboardBody"])), &body); err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, w := range body.Widgets {
		if w.Properties.Title == "" && w.Properties.Markdown == "" {
			t.Errorf("a %s widget without a title", w.Type)
		}
		named = append(named, w.Properties.Alarms...)
	}
	for _, id := range p.ofType("AWS::CloudWatch::Alarm") {
		arn := "arn:aws:cloudwatch:" + region + ":" + accountID + ":alarm:" + p.text(t, p.Resources[id].Properties["AlarmName"])
		if !slices.Contains(named, arn) {
			t.Errorf("the dashboard does not show %s", arn)
		}
	}
}
