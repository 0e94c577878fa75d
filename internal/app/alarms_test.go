package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/app"
)

// toldOf is a message that a webhook got.
type toldOf struct {
	signature string
	Type      string
	Data      struct {
		ID, Subject, Text string
		Detail            struct{ AlarmName, NewStateValue, OldStateValue, NewStateReason string }
	}
}

// TestAnAlarmFiresAWebhook has a whole server watch what a client put, and tell a webhook, while another target is dead.
func TestAnAlarmFiresAWebhook(t *testing.T) {
	t.Parallel()
	got := make(chan toldOf, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		h := toldOf{signature: r.Header.Get("Webhook-Signature")}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &h); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		got <- h
	}))
	t.Cleanup(receiver.Close)
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "berth.yaml")
	const dead, alive = "arn:aws:sns:us-east-1:123456789012:dead", "arn:aws:sns:us-east-1:123456789012:alive"
	text := strings.NewReplacer("URL", receiver.URL, "DEAD", dead, "ALIVE", alive).Replace(`targets:
  a-dead-one: {slack: "http://127.0.0.1:1/", allow-private: true, topics: ["DEAD"]}
  hook: {webhook: "URL/in", secret: whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0, allow-private: true, topics: ["ALIVE"]}
`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, settings(t, data, "config="+file), deps())
	key, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	client := cloudwatch.New(cloudwatch.Options{
		BaseEndpoint: aws.String(r.URL().String()), Region: "us-east-1", HTTPClient: r.client, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	})
	_, err = client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Weather"), MetricData: []types.MetricDatum{
		{MetricName: aws.String("rain"), Value: aws.Float64(12.5), Timestamp: aws.Time(time.Now().Add(-100 * time.Second))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("rain"), Namespace: aws.String("Weather"), MetricName: aws.String("rain"), Statistic: types.StatisticMaximum,
		Period: aws.Int32(3600), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(10),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, AlarmActions: []string{dead, alive},
	}
	if _, err := client.PutMetricAlarm(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	h := <-got
	if h.signature == "" || h.Type != "notice" || h.Data.Subject != `ALARM: "rain" in us-east-1` || h.Data.Detail.AlarmName != "rain" ||
		h.Data.Detail.NewStateValue != "ALARM" || h.Data.Detail.OldStateValue != "INSUFFICIENT_DATA" || !strings.Contains(h.Data.Detail.NewStateReason, "12.5") {
		t.Errorf("the webhook got %+v", h)
	}
	out, err := client.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil || len(out.MetricAlarms) != 1 || out.MetricAlarms[0].StateValue != types.StateValueAlarm {
		t.Errorf("DescribeAlarms: %+v, %v", out, err)
	}
	in.AlarmActions = []string{"arn:aws:sns:us-east-1:123456789012:nobody"}
	if _, err := client.PutMetricAlarm(t.Context(), in); err == nil || !strings.Contains(err.Error(), "section 'targets'") {
		t.Errorf("an action that leads to nobody: %v", err)
	}
}
