package cloudwatch

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
)

// Alarms keeps and changes alarms: alarm.Service. Each operation asks the caller's permission.
type Alarms interface {
	AlarmReads
	AlarmTags
	Put(ctx context.Context, caller identity.Caller, c alarm.Configuration, tags []alarm.Tag) error
	Delete(ctx context.Context, caller identity.Caller, names []string) error
	SetActions(ctx context.Context, caller identity.Caller, names []string, enabled bool) error
	SetState(ctx context.Context, caller identity.Caller, name string, state alarm.State, reason, data string) error
}

// AlarmReads tells about alarms.
type AlarmReads interface {
	Describe(ctx context.Context, caller identity.Caller, f alarm.Filter, limit int, token string) (registry.Page[alarm.Alarm], error)
	ForMetric(ctx context.Context, caller identity.Caller, m usage.Metric, statistic, unit string, period int) ([]alarm.Alarm, error)
	History(ctx context.Context, caller identity.Caller, f alarm.HistoryFilter, limit int, token string) (registry.Page[alarm.Entry], error)
}

// AlarmTags are the tags of alarms, by the alarm's ARN.
type AlarmTags interface {
	Tags(ctx context.Context, caller identity.Caller, arn string) ([]alarm.Tag, error)
	Tag(ctx context.Context, caller identity.Caller, arn string, tags []alarm.Tag) error
	Untag(ctx context.Context, caller identity.Caller, arn string, keys []string) error
}

func (f face) alarmOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"DeleteAlarms":            awswire.Op(f.deleteAlarms),
		"DescribeAlarmHistory":    awswire.Op(f.describeAlarmHistory),
		"DescribeAlarms":          awswire.Op(f.describeAlarms),
		"DescribeAlarmsForMetric": awswire.Op(f.describeAlarmsForMetric),
		"DisableAlarmActions":     awswire.Op(f.disableAlarmActions),
		"EnableAlarmActions":      awswire.Op(f.enableAlarmActions),
		"ListTagsForResource":     awswire.Op(f.listTagsForResource),
		"PutMetricAlarm":          awswire.Op(f.putMetricAlarm),
		"SetAlarmState":           awswire.Op(f.setAlarmState),
		"TagResource":             awswire.Op(f.tagResource),
		"UntagResource":           awswire.Op(f.untagResource),
	}
}

func (f face) putMetricAlarm(ctx context.Context, call awswire.Call, in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error) {
	c, err := configuration(in)
	if err != nil {
		return nil, err
	}
	tags, err := alarmTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &cloudwatch.PutMetricAlarmOutput{}, f.alarms.Put(ctx, call.Caller, c, tags)
}

func (f face) deleteAlarms(ctx context.Context, call awswire.Call, in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
	if len(in.AlarmNames) == 0 {
		return nil, missing("AlarmNames")
	}
	return &cloudwatch.DeleteAlarmsOutput{}, f.alarms.Delete(ctx, call.Caller, in.AlarmNames)
}

func (f face) enableAlarmActions(ctx context.Context, call awswire.Call, in *cloudwatch.EnableAlarmActionsInput) (*cloudwatch.EnableAlarmActionsOutput, error) {
	if len(in.AlarmNames) == 0 {
		return nil, missing("AlarmNames")
	}
	return &cloudwatch.EnableAlarmActionsOutput{}, f.alarms.SetActions(ctx, call.Caller, in.AlarmNames, true)
}

func (f face) disableAlarmActions(ctx context.Context, call awswire.Call, in *cloudwatch.DisableAlarmActionsInput) (*cloudwatch.DisableAlarmActionsOutput, error) {
	if len(in.AlarmNames) == 0 {
		return nil, missing("AlarmNames")
	}
	return &cloudwatch.DisableAlarmActionsOutput{}, f.alarms.SetActions(ctx, call.Caller, in.AlarmNames, false)
}

func (f face) setAlarmState(ctx context.Context, call awswire.Call, in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
	switch {
	case in.AlarmName == nil:
		return nil, missing("AlarmName")
	case in.StateValue == "":
		return nil, missing("StateValue")
	case in.StateReason == nil:
		return nil, missing("StateReason")
	}
	err := f.alarms.SetState(ctx, call.Caller, *in.AlarmName, alarm.State(in.StateValue), *in.StateReason, aws.ToString(in.StateReasonData))
	return &cloudwatch.SetAlarmStateOutput{}, err
}

// alarmsAsked tells whether a listing is to have metric alarms in it: the only ones that there are.
func alarmsAsked(kinds []types.AlarmType) (bool, error) {
	asked := len(kinds) == 0
	for _, k := range kinds {
		switch k {
		case types.AlarmTypeMetricAlarm:
			asked = true
		case types.AlarmTypeCompositeAlarm: // there are none
		default:
			return false, unsupported("An alarm of the type %q", k)
		}
	}
	return asked, nil
}

func (f face) describeAlarms(ctx context.Context, call awswire.Call, in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	if in.ChildrenOfAlarmName != nil || in.ParentsOfAlarmName != nil {
		return nil, unsupported("Asking for the children or parents of composite alarms (ChildrenOfAlarmName, ParentsOfAlarmName)")
	}
	asked, err := alarmsAsked(in.AlarmTypes)
	if err != nil {
		return nil, err
	}
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != nil {
		return nil, combination("AlarmNames and AlarmNamePrefix cannot be given together.")
	}
	limit, err := maxRecords(in.MaxRecords)
	if err != nil {
		return nil, err
	}
	page, err := f.alarms.Describe(ctx, call.Caller, alarm.Filter{
		Names: in.AlarmNames, Prefix: aws.ToString(in.AlarmNamePrefix), ActionPrefix: aws.ToString(in.ActionPrefix), State: alarm.State(in.StateValue),
	}, limit, aws.ToString(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{}, CompositeAlarms: []types.CompositeAlarm{}}
	if asked {
		out.MetricAlarms, out.NextToken = metricAlarms(page.Items), alarmText(page.Next)
	}
	return out, nil
}

func (f face) describeAlarmsForMetric(
	ctx context.Context, call awswire.Call, in *cloudwatch.DescribeAlarmsForMetricInput,
) (*cloudwatch.DescribeAlarmsForMetricOutput, error) {
	switch {
	case in.MetricName == nil:
		return nil, missing("MetricName")
	case in.Namespace == nil:
		return nil, missing("Namespace")
	case in.ExtendedStatistic != nil:
		return &cloudwatch.DescribeAlarmsForMetricOutput{MetricAlarms: []types.MetricAlarm{}}, nil // no alarm has one
	}
	dimensions, err := alarmDimensions(in.Dimensions)
	if err != nil {
		return nil, err
	}
	m := usage.NewMetric(*in.Namespace, *in.MetricName, dimensions...)
	found, err := f.alarms.ForMetric(ctx, call.Caller, m, string(in.Statistic), string(in.Unit), int(aws.ToInt32(in.Period)))
	if err != nil {
		return nil, err
	}
	return &cloudwatch.DescribeAlarmsForMetricOutput{MetricAlarms: metricAlarms(found)}, nil
}

func (f face) describeAlarmHistory(ctx context.Context, call awswire.Call, in *cloudwatch.DescribeAlarmHistoryInput) (*cloudwatch.DescribeAlarmHistoryOutput, error) {
	if in.AlarmContributorId != nil {
		return nil, unsupported("Asking for one of an alarm's contributors (AlarmContributorId)")
	}
	if in.ScanBy != "" && in.ScanBy != types.ScanByTimestampAscending && in.ScanBy != types.ScanByTimestampDescending {
		return nil, invalid("ScanBy is TimestampDescending or TimestampAscending")
	}
	asked, err := alarmsAsked(in.AlarmTypes)
	if err != nil {
		return nil, err
	}
	limit, err := maxRecords(in.MaxRecords)
	if err != nil {
		return nil, err
	}
	page, err := f.alarms.History(ctx, call.Caller, alarm.HistoryFilter{
		Name: aws.ToString(in.AlarmName), Kind: alarm.Kind(in.HistoryItemType), From: aws.ToTime(in.StartDate), To: aws.ToTime(in.EndDate),
		Rising: in.ScanBy == types.ScanByTimestampAscending,
	}, limit, aws.ToString(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.DescribeAlarmHistoryOutput{AlarmHistoryItems: []types.AlarmHistoryItem{}, NextToken: alarmText(page.Next)}
	for _, e := range page.Items {
		if !asked {
			return &cloudwatch.DescribeAlarmHistoryOutput{AlarmHistoryItems: []types.AlarmHistoryItem{}}, nil
		}
		out.AlarmHistoryItems = append(out.AlarmHistoryItems, types.AlarmHistoryItem{
			AlarmName: &e.Name, AlarmType: types.AlarmTypeMetricAlarm, HistoryItemType: types.HistoryItemType(e.Kind),
			HistorySummary: &e.Summary, HistoryData: &e.Data, Timestamp: alarmTime(e.At),
		})
	}
	return out, nil
}

func (f face) listTagsForResource(ctx context.Context, call awswire.Call, in *cloudwatch.ListTagsForResourceInput) (*cloudwatch.ListTagsForResourceOutput, error) {
	if in.ResourceARN == nil {
		return nil, missing("ResourceARN")
	}
	tags, err := f.alarms.Tags(ctx, call.Caller, *in.ResourceARN)
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for _, t := range tags {
		out.Tags = append(out.Tags, types.Tag{Key: &t.Key, Value: &t.Value})
	}
	return out, nil
}

func (f face) tagResource(ctx context.Context, call awswire.Call, in *cloudwatch.TagResourceInput) (*cloudwatch.TagResourceOutput, error) {
	switch {
	case in.ResourceARN == nil:
		return nil, missing("ResourceARN")
	case in.Tags == nil:
		return nil, missing("Tags")
	}
	tags, err := alarmTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &cloudwatch.TagResourceOutput{}, f.alarms.Tag(ctx, call.Caller, *in.ResourceARN, tags)
}

func (f face) untagResource(ctx context.Context, call awswire.Call, in *cloudwatch.UntagResourceInput) (*cloudwatch.UntagResourceOutput, error) {
	switch {
	case in.ResourceARN == nil:
		return nil, missing("ResourceARN")
	case in.TagKeys == nil:
		return nil, missing("TagKeys")
	}
	return &cloudwatch.UntagResourceOutput{}, f.alarms.Untag(ctx, call.Caller, *in.ResourceARN, in.TagKeys)
}

// maxRecords reads a page's size; 0 is the usual one.
func maxRecords(n *int32) (int, error) {
	if n != nil && *n < 1 {
		return 0, invalid("MaxRecords must have a value from 1 to 100")
	}
	return int(aws.ToInt32(n)), nil
}

// alarmTime leaves out what is no time.
func alarmTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
