package policy

// CloudWatch's actions about metrics.
const (
	GetMetricData       Action = "cloudwatch:GetMetricData"
	GetMetricStatistics Action = "cloudwatch:GetMetricStatistics"
	ListMetrics         Action = "cloudwatch:ListMetrics"
	PutMetricData       Action = "cloudwatch:PutMetricData"
)

// GetUsage is Berth's own: what one repository, or the registry, is used for.
const GetUsage Action = "berth:GetUsage"
