package app_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
)

func (c *castle) cloudwatchAs(key aws.Credentials) *cw.Client {
	return cw.New(cw.Options{BaseEndpoint: aws.String(c.URL().String()), Region: "us-east-1", HTTPClient: c.client, Credentials: static(key), Retryer: aws.NopRetryer{}})
}

// plausibleMetrics gives members of CloudWatch's inputs values with which nothing but permission is lacking.
func plausibleMetrics() map[string]any {
	now := time.Now()
	return map[string]any{
		"Namespace": "Wetter", "MetricName": "rain", "Period": aws.Int32(60), "Statistics": []types.Statistic{"Sum"}, "Statistic": types.StatisticSum,
		"StartTime": aws.Time(now.Add(-time.Hour)), "EndTime": &now, "MetricData": []types.MetricDatum{{MetricName: aws.String("rain"), Value: aws.Float64(1)}},
		"MetricDataQueries": []types.MetricDataQuery{{Id: aws.String("a"), MetricStat: &types.MetricStat{
			Metric: &types.Metric{Namespace: aws.String("Wetter"), MetricName: aws.String("rain")}, Period: aws.Int32(60), Stat: aws.String("Sum"),
		}}},
		"AlarmName": "a", "AlarmNames": []string{"a"}, "ComparisonOperator": types.ComparisonOperatorGreaterThanThreshold, "EvaluationPeriods": aws.Int32(1),
		"Threshold": aws.Float64(1), "StateValue": types.StateValueOk, "StateReason": "r",
		"ResourceARN": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a", "TagKeys": []string{"k"},
	}
}

// TestNobodyIsAnsweredMetrics is TestNobodyIsAnsweredAnything for CloudWatch's face, in CBOR.
func TestNobodyIsAnsweredMetrics(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	reader := c.user("reader", allowing("cloudwatch:ListMetrics", "*"))
	callers := map[string]aws.Credentials{"a user without policies": c.user("nobody", ""), "a user who may list": reader, "a stranger": {}}
	operations := slices.Sorted(maps.Keys(cloudwatch.New(cloudwatch.Config{}).Operations))
	if len(operations) < 4 {
		t.Fatalf("CloudWatch's face has the operations %v", operations)
	}
	for who, key := range callers {
		want := "AccessDenied"
		if key.AccessKeyID == "" {
			want = "MissingAuthenticationToken"
		}
		client := c.cloudwatchAs(key)
		for _, op := range operations {
			err := invokeWith(t, client, op, plausibleMetrics())
			if op == "ListMetrics" && key == reader {
				c.must(nil, err)
				continue
			}
			c.refused(who+": "+op, err, want)
		}
	}
}

// invokeWith is invoke with other values.
func invokeWith(t *testing.T, client any, op string, values map[string]any) error {
	t.Helper()
	method := reflect.ValueOf(client).MethodByName(op)
	in := reflect.New(method.Type().In(1).Elem())
	fill(in.Elem(), values)
	out := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
	err, _ := reflect.TypeAssert[error](out[1])
	return err
}

// TestMetricsThroughTheServer puts and reads by the whole server, which is what sends CBOR's paths to the right face.
func TestMetricsThroughTheServer(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	client := c.cloudwatchAs(c.root)
	values := plausibleMetrics()
	c.must(nil, invokeWith(t, client, "PutMetricData", values))
	out, err := client.GetMetricStatistics(t.Context(), &cw.GetMetricStatisticsInput{
		Namespace: aws.String("Wetter"), MetricName: aws.String("rain"), Period: aws.Int32(3600), Statistics: []types.Statistic{"Sum"},
		StartTime: aws.Time(time.Now().Add(-2 * time.Hour)), EndTime: aws.Time(time.Now().Add(2 * time.Hour)),
	})
	if err != nil || len(out.Datapoints) != 1 || *out.Datapoints[0].Sum != 1 {
		t.Errorf("GetMetricStatistics after PutMetricData: %+v, %v", out, err)
	}
}
