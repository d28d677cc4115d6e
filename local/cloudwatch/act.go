package cloudwatch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sns"
)

const (
	service = "cloudwatch.amazonaws.com"
	// region is the region's name as messages have it.
	region = "US East (N. Virginia)"
	// longestSubject is what SNS takes.
	longestSubject = 99
)

// message is what an alarm says to a topic.
type message struct {
	AlarmName                          string
	AlarmDescription                   *string
	AWSAccountId                       string
	AlarmConfigurationUpdatedTimestamp string
	NewStateValue                      State
	NewStateReason                     string
	StateChangeTime                    string
	Region                             string
	AlarmArn                           string
	OldStateValue                      State
	OKActions                          []string
	AlarmActions                       []string
	InsufficientDataActions            []string
	Trigger                            trigger
}

type trigger struct {
	MetricName, Namespace            string
	StatisticType, Statistic         string
	Unit                             *string
	Dimensions                       []triggerDimension
	Period                           int
	EvaluationPeriods                int
	DatapointsToAlarm                int
	ComparisonOperator               string
	Threshold                        float64
	TreatMissingData                 string
	EvaluateLowSampleCountPercentile string
}

type triggerDimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

const stamp = "2006-01-02T15:04:05.000-0700"

func (c change) message() ([]byte, error) {
	m := message{
		AlarmName: c.Name, AWSAccountId: access.Account, AlarmConfigurationUpdatedTimestamp: c.declared.Format(stamp),
		NewStateValue: c.state, NewStateReason: c.reason, StateChangeTime: c.since.Format(stamp), Region: region, AlarmArn: ARN(c.Name), OldStateValue: c.from,
		OKActions: append([]string{}, c.OKActions...), AlarmActions: append([]string{}, c.AlarmActions...),
		InsufficientDataActions: append([]string{}, c.InsufficientDataActions...),
		Trigger: trigger{
			MetricName: c.Metric, Namespace: c.Namespace, StatisticType: "Statistic", Statistic: strings.ToUpper(c.Statistic),
			Dimensions: []triggerDimension{}, Period: int(c.Period / time.Second), EvaluationPeriods: c.EvaluationPeriods,
			DatapointsToAlarm: c.DatapointsToAlarm, ComparisonOperator: c.Comparison, Threshold: c.Threshold, TreatMissingData: c.TreatMissingData,
		},
	}
	if c.Description != "" {
		m.AlarmDescription = &c.Description
	}
	if c.Unit != "" {
		m.Trigger.Unit = &c.Unit
	}
	for _, d := range c.Dimensions {
		m.Trigger.Dimensions = append(m.Trigger.Dimensions, triggerDimension{d.Value, d.Name})
	}
	return json.Marshal(m)
}

// actions are the topics that are told of the new state.
func (c change) actions() []string {
	switch {
	case c.ActionsDisabled:
		return nil
	case c.state == InAlarm:
		return c.AlarmActions
	case c.state == OK:
		return c.OKActions
	}
	return c.InsufficientDataActions
}

// act tells of changes. An action that fails fails alone, as in the cloud,
// which shows it in the alarm's history; here it is logged.
func (s *Service) act(changes []change) {
	for _, c := range changes {
		if s.cfg.Changed != nil {
			s.cfg.Changed(c.Name, c.from, c.state, c.reason)
		}
		body, err := c.message()
		if err != nil {
			s.log.Error("cloudwatch: word an alarm", "alarm", c.Name, "error", err)
			continue
		}
		subject := fmt.Sprintf("%s: %q in %s", c.state, c.Name, region)
		subject = subject[:min(len(subject), longestSubject)]
		for _, topic := range c.actions() {
			_, err := s.cfg.Topics.PublishAs(context.WithoutCancel(s.running), s.cfg.Authority.AsService(service, ARN(c.Name)), topic,
				sns.Publication{Message: string(body), Subject: &subject})
			if err != nil {
				s.log.Error("cloudwatch: the action of an alarm failed", "alarm", c.Name, "action", topic, "error", err)
			}
		}
	}
}
