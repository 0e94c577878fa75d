package cloudwatch

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
)

// unwatched refuses by name what an alarm of Amazon's can have and Berth would not do.
func unwatched(in *cloudwatch.PutMetricAlarmInput) error {
	for name, there := range map[string]bool{
		"ActionConfiguration": in.ActionConfiguration != nil, "EvaluationCriteria": in.EvaluationCriteria != nil,
		"EvaluationInterval": in.EvaluationInterval != nil, "EvaluationWindow": in.EvaluationWindow != nil,
		"WarmUpConfiguration": in.WarmUpConfiguration != nil, "ThresholdMetricId": in.ThresholdMetricId != nil,
		"ExtendedStatistic": in.ExtendedStatistic != nil, "EvaluateLowSampleCountPercentile": in.EvaluateLowSampleCountPercentile != nil,
	} {
		if there {
			return unsupported("%s of an alarm", name)
		}
	}
	return nil
}

// configuration reads what is to be watched. What is in it, the core checks.
func configuration(in *cloudwatch.PutMetricAlarmInput) (alarm.Configuration, error) {
	switch {
	case in.AlarmName == nil:
		return alarm.Configuration{}, missing("AlarmName")
	case in.ComparisonOperator == "":
		return alarm.Configuration{}, missing("ComparisonOperator")
	case in.EvaluationPeriods == nil:
		return alarm.Configuration{}, missing("EvaluationPeriods")
	case in.DatapointsToAlarm != nil && *in.DatapointsToAlarm < 1:
		return alarm.Configuration{}, invalid("DatapointsToAlarm must have a value greater than or equal to 1")
	}
	if err := unwatched(in); err != nil {
		return alarm.Configuration{}, err
	}
	if in.Threshold == nil {
		return alarm.Configuration{}, missing("Threshold")
	}
	if in.TreatMissingData != nil && *in.TreatMissingData == "" {
		return alarm.Configuration{}, invalid("TreatMissingData is one of breaching, notBreaching, ignore and missing")
	}
	c := alarm.Configuration{
		Name: *in.AlarmName, Description: aws.ToString(in.AlarmDescription), ActionsEnabled: in.ActionsEnabled == nil || *in.ActionsEnabled,
		OKActions: in.OKActions, AlarmActions: in.AlarmActions, InsufficientDataActions: in.InsufficientDataActions,
		Statistic: string(in.Statistic), Unit: string(in.Unit), Period: int(aws.ToInt32(in.Period)),
		EvaluationPeriods: int(*in.EvaluationPeriods), DatapointsToAlarm: int(aws.ToInt32(in.DatapointsToAlarm)),
		Threshold: *in.Threshold, Operator: string(in.ComparisonOperator), TreatMissing: aws.ToString(in.TreatMissingData),
	}
	dimensions, err := alarmDimensions(in.Dimensions)
	if err != nil {
		return alarm.Configuration{}, err
	}
	if len(in.Metrics) == 0 {
		switch {
		case in.MetricName == nil:
			return alarm.Configuration{}, missing("MetricName")
		case in.Namespace == nil:
			return alarm.Configuration{}, missing("Namespace")
		case in.Period == nil:
			return alarm.Configuration{}, missing("Period")
		case in.Statistic == "":
			return alarm.Configuration{}, missing("Statistic")
		}
	}
	c.Metric = usage.NewMetric(aws.ToString(in.Namespace), aws.ToString(in.MetricName), dimensions...)
	for _, q := range in.Metrics {
		query, err := alarmQuery(q)
		if err != nil {
			return alarm.Configuration{}, err
		}
		c.Queries = append(c.Queries, query)
	}
	return c, nil
}

func alarmQuery(q types.MetricDataQuery) (alarm.Query, error) {
	switch {
	case q.Id == nil:
		return alarm.Query{}, missing("Metrics.member.Id")
	case q.AccountId != nil:
		return alarm.Query{}, unsupported("Metrics.member.AccountId of an alarm")
	case q.Expression == nil && q.MetricStat == nil:
		return alarm.Query{}, invalid("An element of Metrics has either an Expression or a MetricStat")
	case q.Expression != nil && q.MetricStat != nil:
		return alarm.Query{}, combination("An element of Metrics has either an Expression or a MetricStat, not both.")
	}
	out := alarm.Query{ID: *q.Id, Label: aws.ToString(q.Label), ReturnData: q.ReturnData == nil || *q.ReturnData}
	if q.Expression != nil {
		out.Expression, out.Period = *q.Expression, int(aws.ToInt32(q.Period))
		if out.Expression == "" {
			return alarm.Query{}, invalid("Metrics.member.Expression must not be empty")
		}
		return out, nil
	}
	s := q.MetricStat
	switch {
	case s.Metric == nil || s.Metric.MetricName == nil || s.Metric.Namespace == nil:
		return alarm.Query{}, missing("Metrics.member.MetricStat.Metric")
	case s.Period == nil:
		return alarm.Query{}, missing("Metrics.member.MetricStat.Period")
	case s.Stat == nil:
		return alarm.Query{}, missing("Metrics.member.MetricStat.Stat")
	}
	dimensions, err := alarmDimensions(s.Metric.Dimensions)
	out.Metric = usage.NewMetric(*s.Metric.Namespace, *s.Metric.MetricName, dimensions...)
	out.Statistic, out.Unit, out.Period = *s.Stat, string(s.Unit), int(*s.Period)
	return out, err
}

func alarmDimensions(in []types.Dimension) ([]usage.Dimension, error) {
	out := make([]usage.Dimension, 0, len(in))
	for _, d := range in {
		if d.Name == nil || d.Value == nil {
			return nil, missing("Dimensions.member.Name and Dimensions.member.Value")
		}
		out = append(out, usage.Dimension{Name: *d.Name, Value: *d.Value})
	}
	return out, nil
}

func alarmTags(in []types.Tag) ([]alarm.Tag, error) {
	var out []alarm.Tag
	for _, t := range in {
		if t.Key == nil || t.Value == nil {
			return nil, missing("Tags.member.Key and Tags.member.Value")
		}
		out = append(out, alarm.Tag{Key: *t.Key, Value: *t.Value})
	}
	return out, nil
}

func metricAlarms(alarms []alarm.Alarm) []types.MetricAlarm {
	out := make([]types.MetricAlarm, 0, len(alarms))
	for _, a := range alarms {
		out = append(out, metricAlarm(a))
	}
	return out
}

// alarmList is a list that is there, empty or not, as Amazon answers.
func alarmList(s []string) []string { return append([]string{}, s...) }

func metricAlarm(a alarm.Alarm) types.MetricAlarm {
	m := types.MetricAlarm{
		AlarmName: &a.Name, AlarmArn: &a.ARN, AlarmDescription: alarmText(a.Description), AlarmConfigurationUpdatedTimestamp: alarmTime(a.ConfiguredAt),
		ActionsEnabled: &a.ActionsEnabled, OKActions: alarmList(a.OKActions), AlarmActions: alarmList(a.AlarmActions),
		InsufficientDataActions: alarmList(a.InsufficientDataActions),
		StateValue:              types.StateValue(a.State), StateReason: &a.Reason, StateReasonData: alarmText(a.ReasonData),
		StateUpdatedTimestamp: alarmTime(a.UpdatedAt), StateTransitionedTimestamp: alarmTime(a.TransitionedAt),
		EvaluationPeriods: alarmNumber(a.EvaluationPeriods), Threshold: &a.Threshold, ComparisonOperator: types.ComparisonOperator(a.Operator),
		TreatMissingData: alarmText(a.TreatMissing), Dimensions: []types.Dimension{},
	}
	if a.DatapointsToAlarm != 0 {
		m.DatapointsToAlarm = alarmNumber(a.DatapointsToAlarm)
	}
	if len(a.Queries) == 0 {
		m.MetricName, m.Namespace, m.Period, m.Statistic = &a.Metric.Name, &a.Metric.Namespace, alarmNumber(a.Period), types.Statistic(a.Statistic)
		m.Unit, m.Dimensions = types.StandardUnit(a.Unit), wireDimensions(a.Metric)
	}
	for _, q := range a.Queries {
		m.Metrics = append(m.Metrics, wireQuery(q))
	}
	return m
}

func wireQuery(q alarm.Query) types.MetricDataQuery {
	out := types.MetricDataQuery{Id: &q.ID, Label: alarmText(q.Label), ReturnData: &q.ReturnData}
	if q.Expression != "" {
		out.Expression = &q.Expression
		return out
	}
	out.MetricStat = &types.MetricStat{
		Metric: &types.Metric{MetricName: &q.Metric.Name, Namespace: &q.Metric.Namespace, Dimensions: wireDimensions(q.Metric)},
		Period: alarmNumber(q.Period), Stat: &q.Statistic, Unit: types.StandardUnit(q.Unit),
	}
	return out
}

func wireDimensions(m usage.Metric) []types.Dimension {
	out := make([]types.Dimension, 0, len(m.Dimensions))
	for _, d := range m.Dimensions {
		out = append(out, types.Dimension{Name: &d.Name, Value: &d.Value})
	}
	return out
}

// alarmNumber is a number that the core has bounded.
func alarmNumber(n int) *int32 {
	v := int32(n) //nolint:gosec // bounded
	return &v
}

// alarmText leaves a member out when it would be empty.
func alarmText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
