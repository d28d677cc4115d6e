package template

import "errors"

func readAlarm(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[alarmProperties](properties)
	if err != nil {
		return err
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	if p.Threshold == nil {
		return errors.New("Threshold: alarms without one are not supported here")
	}
	s.Alarms = append(s.Alarms, Alarm{
		Name: name, Description: p.AlarmDescription, Namespace: p.Namespace, Metric: p.MetricName, Dimensions: p.Dimensions,
		Statistic: p.Statistic, Unit: p.Unit, Period: seconds(p.Period), EvaluationPeriods: int(p.EvaluationPeriods),
		DatapointsToAlarm: int(p.DatapointsToAlarm), Threshold: float64(*p.Threshold), Comparison: p.ComparisonOperator,
		TreatMissingData: p.TreatMissingData, ActionsDisabled: p.ActionsEnabled != nil && !bool(*p.ActionsEnabled),
		AlarmActions: p.AlarmActions, OKActions: p.OKActions, InsufficientDataActions: p.InsufficientDataActions,
	})
	return nil
}
