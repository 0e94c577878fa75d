package policy

// CloudWatch's actions on alarms: one for each operation. Tags of alarms have CloudWatch's own names.
const (
	DeleteAlarms            Action = "cloudwatch:DeleteAlarms"
	DescribeAlarmHistory    Action = "cloudwatch:DescribeAlarmHistory"
	DescribeAlarms          Action = "cloudwatch:DescribeAlarms"
	DescribeAlarmsForMetric Action = "cloudwatch:DescribeAlarmsForMetric"
	DisableAlarmActions     Action = "cloudwatch:DisableAlarmActions"
	EnableAlarmActions      Action = "cloudwatch:EnableAlarmActions"
	ListTagsForAlarm        Action = "cloudwatch:ListTagsForResource"
	PutMetricAlarm          Action = "cloudwatch:PutMetricAlarm"
	SetAlarmState           Action = "cloudwatch:SetAlarmState"
	TagAlarm                Action = "cloudwatch:TagResource"
	UntagAlarm              Action = "cloudwatch:UntagResource"
)

// AlarmARN names an alarm as policies do. The name may be * for any.
func AlarmARN(region, account, name string) string {
	return "arn:aws:cloudwatch:" + region + ":" + account + ":alarm:" + name
}
