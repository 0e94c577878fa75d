package cloudwatch_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// tool finds a program that the tests of real clients need.
func tool(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatalf("BERTH_TEST_REQUIRE=all, and there is no %s in PATH", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return program
}

// environment is that of a client of the server.
func (s *server) environment(t *testing.T) []string {
	t.Helper()
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_ENDPOINT_URL=" + s.url, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + rootKey.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + rootKey.SecretAccessKey,
	}
}

// run gives what a program printed, and its complaint.
func (s *server) run(t *testing.T, program string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = s.environment(t)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil && complaint.Len() == 0 {
		t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return out.String(), complaint.String()
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// TestCLIReadsYesterdaysPulls asks as an operator does who reads the guide's part about monitoring.
func TestCLIReadsYesterdaysPulls(t *testing.T) {
	aws := tool(t, "aws")
	s := newServer(t)
	yesterday := noon.Truncate(24 * time.Hour).Add(-24 * time.Hour)
	s.count(t, pulls(repo), "Count", ones(yesterday.Add(-time.Minute), 100), ones(yesterday, 3), ones(yesterday.Add(13*time.Hour), 4), ones(yesterday.Add(24*time.Hour-time.Second), 1), ones(yesterday.Add(24*time.Hour), 50))
	times := []string{"--start-time", yesterday.Format(time.RFC3339), "--end-time", yesterday.Add(24 * time.Hour).Format(time.RFC3339)}
	dimensions := "Name=RepositoryName,Value=" + repo

	out, complaint := s.run(t, aws, append([]string{
		"cloudwatch", "get-metric-statistics", "--namespace", "AWS/ECR", "--metric-name", "RepositoryPullCount", "--dimensions", dimensions,
		"--period", "86400", "--statistics", "Sum", "--query", "Datapoints[0].Sum", "--output", "text",
	}, times...)...)
	if strings.TrimSpace(out) != "8.0" {
		t.Errorf("get-metric-statistics: %q %s, want 8.0", out, complaint)
	}
	queries := `[{"Id":"pulls","MetricStat":{"Metric":{"Namespace":"AWS/ECR","MetricName":"RepositoryPullCount","Dimensions":[{"Name":"RepositoryName","Value":"` + repo + `"}]},"Period":3600,"Stat":"Sum"}},
		{"Id":"rate","Expression":"RATE(FILL(pulls,0))*PERIOD(pulls)","Label":"change"}]`
	out, complaint = s.run(t, aws, append([]string{"cloudwatch", "get-metric-data", "--metric-data-queries", queries, "--scan-by", "TimestampAscending"}, times...)...)
	var data struct {
		MetricDataResults []struct {
			ID     string `json:"Id"`
			Label  string
			Values []float64
		}
	}
	decode(t, out, &data)
	if r := data.MetricDataResults; len(r) != 2 || len(r[0].Values) != 3 || r[0].Values[1] != 4 || r[1].Label != "change" || len(r[1].Values) != 23 || r[1].Values[12] != 4 {
		t.Errorf("get-metric-data: %+v %s", r, complaint)
	}
	out, complaint = s.run(t, aws, "cloudwatch", "list-metrics", "--namespace", "AWS/ECR", "--query", "Metrics[].Dimensions[0].Value", "--output", "text")
	if strings.TrimSpace(out) != repo {
		t.Errorf("list-metrics: %q %s", out, complaint)
	}
	if _, complaint = s.run(t, aws, "cloudwatch", "put-metric-data", "--namespace", "Wetter", "--metric-name", "rain", "--value", "3", "--unit", "Count", "--timestamp", yesterday.Format(time.RFC3339)); complaint != "" {
		t.Errorf("put-metric-data: %s", complaint)
	}
	for _, tt := range []struct{ args, want string }{
		{"put-metric-data --namespace AWS/ECR --metric-name RepositoryPullCount --value 3", "(InvalidParameterValue) when calling the PutMetricData operation"},
		{"list-metrics --recently-active PT1H", "(InvalidParameterValue)"},
		{"get-metric-statistics --namespace N --metric-name m --period 7 --statistics Sum --start-time 2026-11-23T00:00:00Z --end-time 2026-11-24T00:00:00Z", "(InvalidParameterValue)"},
		{"get-dashboard --dashboard-name d", "(UnsupportedOperation)"},
	} {
		if _, complaint := s.run(t, aws, append([]string{"cloudwatch"}, strings.Fields(tt.args)...)...); !strings.Contains(complaint, tt.want) {
			t.Errorf("aws cloudwatch %s: %q, want %s", tt.args, complaint, tt.want)
		}
	}
}

// boto is a program for Python's SDK: it puts, gets in pages, and catches the exceptions of the model.
const boto = `
import boto3, datetime, json
c = boto3.client('cloudwatch')
noon = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.timezone.utc)
hours = datetime.timedelta(hours=1)
c.put_metric_data(Namespace='Wetter', MetricData=[
    {'MetricName': 'rain', 'Timestamp': noon - i * hours, 'Values': [1.5, 2], 'Counts': [1, i + 1], 'Unit': 'Count'} for i in range(12)])
q = [{'Id': 'a', 'MetricStat': {'Metric': {'Namespace': 'Wetter', 'MetricName': 'rain'}, 'Period': 3600, 'Stat': 'Sum', 'Unit': 'Count'}}]
values = []
for page in c.get_paginator('get_metric_data').paginate(MetricDataQueries=q, StartTime=noon - 24 * hours, EndTime=noon + hours, PaginationConfig={'PageSize': 5}):
    for r in page['MetricDataResults']:
        values += r['Values']
errors = []
try:
    c.put_metric_data(Namespace='AWS/ECR', MetricData=[{'MetricName': 'm', 'Value': 1}])
except c.exceptions.InvalidParameterValueException as e:
    errors.append(e.response['Error']['Code'])
try:
    c.get_metric_statistics(Namespace='N', MetricName='m', StartTime=noon - 48 * hours, EndTime=noon, Period=60, Statistics=['Sum'])
except c.exceptions.InvalidParameterCombinationException as e:
    errors.append(e.response['Error']['Code'])
try:
    c.list_metrics(NextToken='x')
except c.exceptions.InvalidNextToken as e:
    errors.append(e.response['Error']['Code'])
points = c.get_metric_statistics(Namespace='Wetter', MetricName='rain', StartTime=noon, EndTime=noon + hours, Period=60, Statistics=['Average'])['Datapoints']
print(json.dumps({'values': values, 'errors': errors, 'at': points[0]['Timestamp'].isoformat(), 'average': points[0]['Average'],
    'metrics': [m['MetricName'] for p in c.get_paginator('list_metrics').paginate(Namespace='Wetter') for m in p['Metrics']]}))
`

func TestBotoSpeaksJSON(t *testing.T) {
	python := tool(t, "python3")
	s := newServer(t)
	if _, complaint := s.run(t, python, "-c", "import boto3"); complaint != "" {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatal("BERTH_TEST_REQUIRE=all, and there is no boto3")
		}
		t.Skip("boto3 is not installed")
	}
	out, complaint := s.run(t, python, "-c", boto)
	want := `{"values": [3.5, 5.5, 7.5, 9.5, 11.5, 13.5, 15.5, 17.5, 19.5, 21.5, 23.5, 25.5], "errors": ["InvalidParameterValue", "InvalidParameterCombination", "InvalidNextToken"], "at": "2026-11-24T12:00:00+00:00", "average": 1.75, "metrics": ["rain"]}`
	if strings.TrimSpace(out) != want {
		t.Errorf("Python printed %s %s, want %s", out, complaint, want)
	}
}
