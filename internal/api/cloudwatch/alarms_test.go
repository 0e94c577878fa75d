package cloudwatch_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const alerts = "arn:aws:sns:us-east-1:" + account + ":alerts"

// alarmServer is the face over real alarms and usage on a real database, with a clock that the test moves.
type alarmServer struct {
	*server
	alarms *alarm.Service
	now    time.Time
}

func newAlarmServer(t *testing.T) *alarmServer {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &alarmServer{server: &server{}, now: noon}
	db, now := metadbtest.New(t), func() time.Time { return s.now }
	r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: region, Now: now})
	rows := db.Usage()
	s.usage = usage.New(usage.Config{Registry: r, Store: rows, Upkeep: rows, Images: rows, Now: now})
	s.alarms = alarm.New(alarm.Config{
		Registry: r, Region: region, Rows: db.Alarms(), Points: s.usage, Known: func(a string) bool { return a == alerts }, Now: now,
	})
	s.service = cloudwatch.New(cloudwatch.Config{Usage: s.usage, Alarms: s.alarms, Now: now})
	handler, err := awswire.New(awswire.Config{Authenticator: &keyring{}, Services: []awswire.Service{s.service}})
	if err != nil {
		t.Fatalf("awswire.New: %v", err)
	}
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	s.url = listener.URL
	s.client, s.nobody = s.connect(rootKey), s.connect(lowKey)
	return s
}

// evaluate has the alarms looked at a minute later.
func (s *alarmServer) evaluate(t *testing.T) {
	t.Helper()
	s.now = s.now.Add(time.Minute)
	if _, err := s.alarms.EvaluateOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// bill is the guide's alarm: what the month costs.
func bill() *cw.PutMetricAlarmInput {
	return &cw.PutMetricAlarmInput{
		AlarmName: aws.String("ECR-Cost-Alert"), AlarmDescription: aws.String("Alert when ECR costs exceed $10"), MetricName: aws.String("EstimatedCharges"),
		Namespace: aws.String("AWS/Billing"), Statistic: types.StatisticMaximum, Period: aws.Int32(86400), Threshold: aws.Float64(10),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, EvaluationPeriods: aws.Int32(1), AlarmActions: []string{alerts},
		Dimensions: []types.Dimension{{Name: aws.String("ServiceName"), Value: aws.String("AmazonECR")}, {Name: aws.String("Currency"), Value: aws.String("USD")}},
		Tags:       []types.Tag{{Key: aws.String("team"), Value: aws.String("ops")}},
	}
}

// TestAlarmCycle makes an alarm with the Go SDK, has it go off, and reads it in every way.
func TestAlarmCycle(t *testing.T) {
	t.Parallel()
	s := newAlarmServer(t)
	ctx := t.Context()
	if _, err := s.client.PutMetricAlarm(ctx, bill()); err != nil {
		t.Fatal(err)
	}
	charges := usage.NewMetric("AWS/Billing", "EstimatedCharges", usage.Dimension{Name: "Currency", Value: "USD"}, usage.Dimension{Name: "ServiceName", Value: "AmazonECR"})
	s.count(t, charges, "None", usage.Point{At: s.now, Count: 1, Sum: 12.5, Min: 12.5, Max: 12.5})
	s.evaluate(t)
	s.evaluate(t)
	out, err := s.client.DescribeAlarms(ctx, &cw.DescribeAlarmsInput{AlarmNamePrefix: aws.String("ECR-"), AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm}})
	if err != nil || len(out.MetricAlarms) != 1 || out.NextToken != nil {
		t.Fatalf("DescribeAlarms: %+v, %v", out, err)
	}
	got := out.MetricAlarms[0]
	arn := "arn:aws:cloudwatch:us-east-1:" + account + ":alarm:ECR-Cost-Alert"
	want := types.MetricAlarm{
		AlarmName: aws.String("ECR-Cost-Alert"), AlarmArn: &arn, AlarmDescription: aws.String("Alert when ECR costs exceed $10"), ActionsEnabled: aws.Bool(true),
		AlarmActions: []string{alerts}, OKActions: []string{}, InsufficientDataActions: []string{}, MetricName: aws.String("EstimatedCharges"),
		Namespace: aws.String("AWS/Billing"), Statistic: types.StatisticMaximum, Period: aws.Int32(86400), Threshold: aws.Float64(10),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, EvaluationPeriods: aws.Int32(1), Dimensions: []types.Dimension{
			{Name: aws.String("Currency"), Value: aws.String("USD")}, {Name: aws.String("ServiceName"), Value: aws.String("AmazonECR")},
		},
		StateValue: types.StateValueAlarm, AlarmConfigurationUpdatedTimestamp: aws.Time(noon), StateUpdatedTimestamp: &s.now, StateTransitionedTimestamp: &s.now,
		StateReason: aws.String("Threshold Crossed: 1 out of the last 1 datapoints [12.5 (23/11/26 12:01:00)] was greater than the threshold (10.0) " +
			"(minimum 1 datapoint for INSUFFICIENT_DATA -> ALARM transition)."),
		StateReasonData: got.StateReasonData,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(types.MetricAlarm{}, types.Dimension{})); diff != "" || !json.Valid([]byte(*got.StateReasonData)) {
		t.Errorf("the alarm (-want +got):\n%s", diff)
	}
	one := bill()
	metric, err := s.client.DescribeAlarmsForMetric(ctx, &cw.DescribeAlarmsForMetricInput{MetricName: one.MetricName, Namespace: one.Namespace, Dimensions: one.Dimensions})
	if err != nil || len(metric.MetricAlarms) != 1 {
		t.Errorf("DescribeAlarmsForMetric: %+v, %v", metric, err)
	}
	history, err := s.client.DescribeAlarmHistory(ctx, &cw.DescribeAlarmHistoryInput{AlarmName: one.AlarmName, ScanBy: types.ScanByTimestampAscending})
	if err != nil || len(history.AlarmHistoryItems) != 3 || history.AlarmHistoryItems[2].HistoryItemType != types.HistoryItemTypeAction ||
		!history.AlarmHistoryItems[1].Timestamp.Equal(s.now) {
		t.Errorf("DescribeAlarmHistory: %+v, %v", history, err)
	}
	s.changeAlarm(t, arn)
}

// changeAlarm goes through the operations that change an alarm.
func (s *alarmServer) changeAlarm(t *testing.T, arn string) {
	t.Helper()
	ctx, name := t.Context(), bill().AlarmName
	describe := func() types.MetricAlarm {
		t.Helper()
		out, err := s.client.DescribeAlarms(ctx, &cw.DescribeAlarmsInput{AlarmNames: []string{*name}})
		if err != nil || len(out.MetricAlarms) != 1 {
			t.Fatalf("DescribeAlarms: %+v, %v", out, err)
		}
		return out.MetricAlarms[0]
	}
	if _, err := s.client.SetAlarmState(ctx, &cw.SetAlarmStateInput{AlarmName: name, StateValue: types.StateValueOk, StateReason: aws.String("a try")}); err != nil {
		t.Error(err)
	}
	if a := describe(); a.StateValue != types.StateValueOk || *a.StateReason != "a try" || a.StateReasonData != nil {
		t.Errorf("set: %+v", a)
	}
	if _, err := s.client.DisableAlarmActions(ctx, &cw.DisableAlarmActionsInput{AlarmNames: []string{*name}}); err != nil || *describe().ActionsEnabled {
		t.Errorf("DisableAlarmActions: %v", err)
	}
	if _, err := s.client.EnableAlarmActions(ctx, &cw.EnableAlarmActionsInput{AlarmNames: []string{*name}}); err != nil || !*describe().ActionsEnabled {
		t.Errorf("EnableAlarmActions: %v", err)
	}
	_, err := s.client.TagResource(ctx, &cw.TagResourceInput{ResourceARN: &arn, Tags: []types.Tag{{Key: aws.String("env"), Value: aws.String("")}}})
	if err != nil {
		t.Error(err)
	}
	if _, err := s.client.UntagResource(ctx, &cw.UntagResourceInput{ResourceARN: &arn, TagKeys: []string{"team"}}); err != nil {
		t.Error(err)
	}
	tags, err := s.client.ListTagsForResource(ctx, &cw.ListTagsForResourceInput{ResourceARN: &arn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "env" {
		t.Errorf("ListTagsForResource: %+v, %v", tags, err)
	}
	if _, err := s.client.DeleteAlarms(ctx, &cw.DeleteAlarmsInput{AlarmNames: []string{*name}}); err != nil {
		t.Error(err)
	}
	_, err = s.client.DeleteAlarms(ctx, &cw.DeleteAlarmsInput{AlarmNames: []string{*name}})
	wantError(t, "deleting it again", err, "ResourceNotFound", "no alarm with the name 'ECR-Cost-Alert'")
	_, err = s.client.ListTagsForResource(ctx, &cw.ListTagsForResourceInput{ResourceARN: &arn})
	wantError(t, "tags of what is gone", err, "ResourceNotFound", "no alarm")
}

// TestAlarmOnAnExpression goes there and back.
func TestAlarmOnAnExpression(t *testing.T) {
	t.Parallel()
	s := newAlarmServer(t)
	in := &cw.PutMetricAlarmInput{
		AlarmName: aws.String("sum"), ComparisonOperator: types.ComparisonOperatorLessThanThreshold, EvaluationPeriods: aws.Int32(3), DatapointsToAlarm: aws.Int32(2),
		Threshold: aws.Float64(-0.5), TreatMissingData: aws.String("notBreaching"), ActionsEnabled: aws.Bool(false),
		Metrics: []types.MetricDataQuery{
			{Id: aws.String("e"), Expression: aws.String("m * 2"), Label: aws.String("twice"), ReturnData: aws.Bool(true)},
			{Id: aws.String("m"), MetricStat: &types.MetricStat{Metric: wirePulls(repo), Period: aws.Int32(300), Stat: aws.String("Sum"), Unit: types.StandardUnitCount}, ReturnData: aws.Bool(false)},
		},
	}
	if _, err := s.client.PutMetricAlarm(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	out, err := s.client.DescribeAlarms(t.Context(), &cw.DescribeAlarmsInput{})
	if err != nil || len(out.MetricAlarms) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	a := out.MetricAlarms[0]
	ignore := cmpopts.IgnoreUnexported(types.MetricDataQuery{}, types.MetricStat{}, types.Metric{}, types.Dimension{})
	if diff := cmp.Diff(in.Metrics, a.Metrics, ignore); diff != "" || *a.DatapointsToAlarm != 2 || *a.TreatMissingData != "notBreaching" || a.MetricName != nil || a.Period != nil || *a.ActionsEnabled {
		t.Errorf("%+v (-want +got):\n%s", a, diff)
	}
}

// TestAlarmFaults has the code and words of each mistake.
func TestAlarmFaults(t *testing.T) {
	t.Parallel()
	s := newAlarmServer(t)
	const (
		value   = "InvalidParameterValue"
		lacking = "MissingParameter"
		mixed   = "InvalidParameterCombination"
	)
	base := `"AlarmName":"a","Namespace":"n","MetricName":"m","Statistic":"Sum","Period":60,"EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold"`
	with := func(more string) string { return "{" + base + "," + more + "}" }
	without := func(member string) string {
		var all map[string]any
		if err := json.Unmarshal([]byte("{"+base+"}"), &all); err != nil {
			t.Fatal(err)
		}
		delete(all, member)
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	tests := []struct{ operation, body, code, words string }{
		{"PutMetricAlarm", with(`"AlarmActions":["arn:aws:sns:us-east-1:000000000042:other"]`), value, "no target in the section 'targets' of the registry's configuration"},
		{"PutMetricAlarm", with(`"AlarmActions":["ops"]`), value, "section 'targets'"},
		{"PutMetricAlarm", with(`"ExtendedStatistic":"p90"`), value, "ExtendedStatistic"},
		{"PutMetricAlarm", with(`"EvaluateLowSampleCountPercentile":"ignore"`), value, "EvaluateLowSampleCountPercentile"},
		{"PutMetricAlarm", with(`"ThresholdMetricId":"ad1"`), value, "ThresholdMetricId"},
		{"PutMetricAlarm", with(`"EvaluationInterval":30`), value, "EvaluationInterval"},
		{"PutMetricAlarm", with(`"DatapointsToAlarm":0`), value, "DatapointsToAlarm"},
		{"PutMetricAlarm", with(`"Metrics":[{"Id":"m1","Expression":"1"}]`), value, "together with MetricName"},
		{"PutMetricAlarm", with(`"Tags":[{"Key":"aws:a","Value":"b"}]`), value, "aws:"},
		{"PutMetricAlarm", with(`"Dimensions":[{"Name":"a"}]`), lacking, "Dimensions"},
		{"SetAlarmState", `{"AlarmName":"none","StateValue":"OK","StateReason":"x"}`, "ResourceNotFound", "no alarm"},
		{"SetAlarmState", `{"AlarmName":"a","StateValue":"RED","StateReason":"x"}`, value, "StateValue"},
		{"SetAlarmState", `{"AlarmName":"a","StateValue":"OK"}`, lacking, "StateReason"},
		{"DeleteAlarms", `{"AlarmNames":[]}`, lacking, "AlarmNames"},
		{"DeleteAlarms", `{"AlarmNames":["none"]}`, "ResourceNotFound", "'none'"},
		{"DescribeAlarms", `{"AlarmNames":["a"],"AlarmNamePrefix":"b"}`, mixed, "cannot be given together"},
		{"DescribeAlarms", `{"ChildrenOfAlarmName":"a"}`, value, "composite"},
		{"DescribeAlarms", `{"MaxRecords":0}`, value, "MaxRecords"},
		{"DescribeAlarms", `{"MaxRecords":101}`, value, "MaxRecords"},
		{"DescribeAlarms", `{"NextToken":"x"}`, "InvalidNextToken", "NextToken"},
		{"DescribeAlarms", `{"StateValue":"RED"}`, value, "StateValue"},
		{"DescribeAlarms", `{"AlarmTypes":["LogAlarm"]}`, value, "LogAlarm"},
		{"DescribeAlarmHistory", `{"StartDate":1795525200,"EndDate":1795521600}`, value, "StartDate"},
		{"DescribeAlarmHistory", `{"HistoryItemType":"Gossip"}`, value, "HistoryItemType"},
		{"DescribeAlarmHistory", `{"ScanBy":"Age"}`, value, "ScanBy"},
		{"DescribeAlarmsForMetric", `{"Namespace":"n"}`, lacking, "MetricName"},
		{"ListTagsForResource", `{"ResourceARN":"arn:aws:ecr:us-east-1:000000000042:repository/a"}`, value, "ResourceARN"},
		{"TagResource", `{"ResourceARN":"arn:aws:cloudwatch:us-east-1:000000000042:alarm:none","Tags":[]}`, "ResourceNotFound", "no alarm"},
		{"PutCompositeAlarm", `{"AlarmName":"a","AlarmRule":"TRUE"}`, "", "PutCompositeAlarm"},
		{"PutAnomalyDetector", `{}`, "", "PutAnomalyDetector"},
	}
	for _, member := range []string{"AlarmName", "Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold", "ComparisonOperator"} {
		tests = append(tests, struct{ operation, body, code, words string }{"PutMetricAlarm", without(member), lacking, member})
	}
	if status, code, message := s.post(t, rootKey, "PutMetricAlarm", "{"+base+"}"); status != 200 {
		t.Fatalf("what is right: %d %s %s", status, code, message)
	}
	for _, tt := range tests {
		status, code, message := s.post(t, rootKey, tt.operation, tt.body)
		if status < 400 || status >= 500 || tt.code != "" && code != tt.code || !strings.Contains(message, tt.words) {
			t.Errorf("%s %s: %d %s: %s; want %s with %q", tt.operation, tt.body, status, code, message, tt.code, tt.words)
		}
	}
}

// TestOfAlarmsNobodyIsAllowedAnything calls each operation about alarms as somebody who may do nothing.
func TestOfAlarmsNobodyIsAllowedAnything(t *testing.T) {
	t.Parallel()
	s := newAlarmServer(t)
	arn := `"ResourceARN":"arn:aws:cloudwatch:us-east-1:` + account + `:alarm:a"`
	valid := map[string]string{
		"PutMetricAlarm": `{"AlarmName":"a","Namespace":"n","MetricName":"m","Statistic":"Sum","Period":60,"EvaluationPeriods":1,"Threshold":1,"ComparisonOperator":"GreaterThanThreshold"}`,
		"DescribeAlarms": `{}`, "DescribeAlarmsForMetric": `{"Namespace":"n","MetricName":"m"}`, "DescribeAlarmHistory": `{}`,
		"SetAlarmState": `{"AlarmName":"a","StateValue":"OK","StateReason":""}`, "EnableAlarmActions": `{"AlarmNames":["a"]}`, "DisableAlarmActions": `{"AlarmNames":["a"]}`,
		"TagResource": `{` + arn + `,"Tags":[{"Key":"a","Value":"b"}]}`, "UntagResource": `{` + arn + `,"TagKeys":["a"]}`, "ListTagsForResource": `{` + arn + `}`,
		"DeleteAlarms": `{"AlarmNames":["a"]}`,
	}
	operations := slices.Sorted(maps.Keys(valid))
	slices.SortStableFunc(operations, func(a, b string) int { // it is made first, and deleted last
		order := map[string]int{"PutMetricAlarm": -1, "DeleteAlarms": 1}
		return order[a] - order[b]
	})
	for _, operation := range operations {
		status, code, message := s.post(t, lowKey, operation, valid[operation])
		if status != 400 || code != "AccessDenied" || !strings.Contains(message, "is not authorized to perform: cloudwatch:"+operation) {
			t.Errorf("%s by somebody who may do nothing: %d %s %s", operation, status, code, message)
		}
		if status, code, message := s.post(t, rootKey, operation, valid[operation]); status != 200 {
			t.Errorf("%s is not a good input: %d %s %s", operation, status, code, message)
		}
	}
	for operation := range s.service.Operations {
		if strings.Contains(operation, "Alarm") && valid[operation] == "" {
			t.Errorf("%s is not tried", operation)
		}
	}
}

// TestAlarmPages follows tokens to the end.
func TestAlarmPages(t *testing.T) {
	t.Parallel()
	s := newAlarmServer(t)
	for i := range 5 {
		in := bill()
		in.AlarmName = aws.String(fmt.Sprintf("alarm %d", i))
		if _, err := s.client.PutMetricAlarm(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	pages := cw.NewDescribeAlarmsPaginator(s.client, &cw.DescribeAlarmsInput{MaxRecords: aws.Int32(2)})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.MetricAlarms {
			names = append(names, *a.AlarmName)
		}
	}
	if want := []string{"alarm 0", "alarm 1", "alarm 2", "alarm 3", "alarm 4"}; !slices.Equal(names, want) {
		t.Errorf("pages have %v", names)
	}
	history := cw.NewDescribeAlarmHistoryPaginator(s.client, &cw.DescribeAlarmHistoryInput{MaxRecords: aws.Int32(2)})
	n := 0
	for history.HasMorePages() {
		page, err := history.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.AlarmHistoryItems)
	}
	if n != 5 {
		t.Errorf("the history has %d lines", n)
	}
}
