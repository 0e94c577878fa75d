// Package cloudwatch is Amazon CloudWatch's API over what the registry counts and what clients put: metrics, and their alarms.
//
// Python's clients speak JSON to it, Go's (and so Terraform) CBOR, and older ones Query; awswire tells them apart, and one table of
// operations serves all. docs/api/cloudwatch.md says what is done and where it differs from Amazon.
package cloudwatch

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// face holds the operations.
type face struct {
	usage  Usage
	alarms Alarms
	now    func() time.Time
}

// Config is what the service translates to. All must be set to serve; what the service is can be told without.
type Config struct {
	Usage  Usage
	Alarms Alarms
	Now    func() time.Time
}

// New makes the service.
func New(c Config) awswire.Service {
	f := face{usage: c.Usage, alarms: c.Alarms, now: c.Now}
	operations := f.operations()
	return awswire.Service{
		Name:            "monitoring",
		Protocol:        awswire.JSON10,
		Further:         []awswire.Protocol{awswire.CBOR, awswire.Query},
		QueryCompatible: true,
		TargetPrefix:    "GraniteServiceVersion20100801",
		Version:         "2010-08-01",
		Namespace:       "http://monitoring.amazonaws.com/doc/2010-08-01/",
		Operations:      operations,
		Known:           awswire.Others(others, operations),
		Exceptions:      exceptionFor,
		Internal:        internalFault,
	}
}

// operations gathers the families. Each family's file names its own.
func (f face) operations() map[string]awswire.Operation {
	return awswire.Operations(f.metricOperations(), f.alarmOperations())
}

// others are all of Amazon's operations.
const others = `
	AssociateDatasetKmsKey CreateResourceMetricsConfiguration DeleteAlarmMuteRule DeleteAlarms DeleteAnomalyDetector DeleteDashboards
	DeleteInsightRules DeleteMetricStream DeleteResourceMetricsConfiguration DescribeAlarmContributors DescribeAlarmHistory DescribeAlarms
	DescribeAlarmsForMetric DescribeAnomalyDetectors DescribeInsightRules DisableAlarmActions DisableInsightRules DisassociateDatasetKmsKey
	EnableAlarmActions EnableInsightRules GetAlarmMuteRule GetDashboard GetDataset GetInsightRuleReport GetMetricData GetMetricStatistics
	GetMetricStream GetMetricWidgetImage GetOTelEnrichment GetResourceMetricsConfiguration ListAlarmMuteRules ListDashboards
	ListManagedInsightRules ListMetricStreams ListMetrics ListTagsForResource PutAlarmMuteRule PutAnomalyDetector PutCompositeAlarm
	PutDashboard PutInsightRule PutLogAlarm PutManagedInsightRules PutMetricAlarm PutMetricData PutMetricStream SetAlarmState
	StartMetricStreams StartOTelEnrichment StopMetricStreams StopOTelEnrichment TagResource UntagResource UpdateOTelEnrichment
	UpdateResourceMetricsConfiguration`
