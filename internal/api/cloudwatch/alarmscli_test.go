package cloudwatch_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestAlarmsFromTheCommandLine goes through an alarm's life with the real AWS command line. It runs by itself: a Python for each command crowds
// out whatever runs beside it.
func TestAlarmsFromTheCommandLine(t *testing.T) {
	program, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatal("BERTH_TEST_REQUIRE=all, and there is no aws in PATH")
		}
		t.Skip("the AWS CLI is not installed")
	}
	s := newAlarmServer(t)
	run := func(args ...string) (string, string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"cloudwatch", "--output", "text"}, args...)...)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_REGION=" + region,
			"AWS_DEFAULT_REGION=" + region, "AWS_ENDPOINT_URL=" + s.url, "AWS_ACCESS_KEY_ID=" + rootKey.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + rootKey.SecretAccessKey,
		}
		var out, complaint bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaint
		if err := cmd.Run(); err != nil && complaint.Len() == 0 {
			t.Fatalf("aws cloudwatch %v: %v", args, err)
		}
		return strings.TrimSpace(out.String()), complaint.String()
	}
	ok := func(want string, args ...string) {
		t.Helper()
		if out, complaint := run(args...); complaint != "" || out != want {
			t.Errorf("aws cloudwatch %v: %q, %s; want %q", args, out, complaint, want)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if _, complaint := run(args...); !strings.Contains(complaint, want) {
			t.Errorf("aws cloudwatch %v: %s; want %q", args, complaint, want)
		}
	}
	put := []string{
		"put-metric-alarm", "--alarm-name", "ECR-Cost-Alert", "--alarm-description", "Alert when ECR costs exceed $10", "--metric-name", "EstimatedCharges",
		"--namespace", "AWS/Billing", "--statistic", "Maximum", "--period", "86400", "--threshold", "10", "--comparison-operator", "GreaterThanThreshold",
		"--evaluation-periods", "1", "--dimensions", "Name=ServiceName,Value=AmazonECR", "Name=Currency,Value=USD",
	}
	ok("", append(put, "--alarm-actions", alerts, "--tags", "Key=team,Value=ops")...)
	refused("(InvalidParameterValue)", append(put, "--alarm-actions", alerts+"x")...)
	ok("", "wait", "alarm-exists", "--alarm-names", "ECR-Cost-Alert")
	ok("INSUFFICIENT_DATA\t10.0\t"+alerts, "describe-alarms", "--alarm-name-prefix", "ECR", "--query", "MetricAlarms[].[StateValue,Threshold,AlarmActions[0]]")
	ok("", "set-alarm-state", "--alarm-name", "ECR-Cost-Alert", "--state-value", "ALARM", "--state-reason", "a try", "--state-reason-data", `{"n":1}`)
	ok("ALARM\ta try", "describe-alarms", "--state-value", "ALARM", "--query", "MetricAlarms[].[StateValue,StateReason]")
	ok("", "disable-alarm-actions", "--alarm-names", "ECR-Cost-Alert")
	ok("False", "describe-alarms-for-metric", "--metric-name", "EstimatedCharges", "--namespace", "AWS/Billing", "--dimensions", "Name=Currency,Value=USD",
		"Name=ServiceName,Value=AmazonECR", "--query", "MetricAlarms[].ActionsEnabled")
	ok("", "enable-alarm-actions", "--alarm-names", "ECR-Cost-Alert")
	ok("StateUpdate\tAlarm updated from INSUFFICIENT_DATA to ALARM", "describe-alarm-history", "--alarm-name", "ECR-Cost-Alert", "--history-item-type", "StateUpdate",
		"--query", "AlarmHistoryItems[].[HistoryItemType,HistorySummary]")
	ok("team\tops", "list-tags-for-resource", "--resource-arn", "arn:aws:cloudwatch:us-east-1:"+account+":alarm:ECR-Cost-Alert", "--query", "Tags[].[Key,Value]")
	refused("PutCompositeAlarm", "put-composite-alarm", "--alarm-name", "c", "--alarm-rule", `ALARM("ECR-Cost-Alert")`)
	ok("", "delete-alarms", "--alarm-names", "ECR-Cost-Alert")
	refused("(ResourceNotFound)", "delete-alarms", "--alarm-names", "ECR-Cost-Alert")
}
