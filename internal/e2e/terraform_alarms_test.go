package e2e_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// alarmConfiguration is the guide's billing alert and an alarm on an expression. THRESHOLD and MORE are what the test changes.
const alarmConfiguration = `
provider "aws" {
  skip_metadata_api_check = "true"
  default_tags {
    tags = { project = "hoopstat-haus" }
  }
}

resource "aws_cloudwatch_metric_alarm" "bill" {
  alarm_name          = "ECR-Cost-Alert"
  alarm_description   = "Alert when ECR costs exceed $10"
  namespace           = "AWS/Billing"
  metric_name         = "EstimatedCharges"
  dimensions          = { Currency = "USD", ServiceName = "AmazonECR" }
  statistic           = "Maximum"
  period              = 21600
  evaluation_periods  = 1
  threshold           = THRESHOLD
  comparison_operator = "GreaterThanThreshold"
  alarm_actions       = ["arn:aws:sns:us-east-1:123456789012:alerts"]
MORE
}

resource "aws_cloudwatch_metric_alarm" "pulls" {
  alarm_name          = "pulls"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  threshold           = 100.5
  treat_missing_data  = "notBreaching"
  actions_enabled     = false

  metric_query {
    id          = "e1"
    expression  = "m1 + FILL(m2, 0)"
    label       = "pulls of both"
    return_data = true
  }
  metric_query {
    id = "m1"
    metric {
      namespace   = "AWS/ECR"
      metric_name = "RepositoryPullCount"
      dimensions  = { RepositoryName = "hoopstat-haus/prod" }
      period      = 300
      stat        = "Sum"
    }
  }
  metric_query {
    id = "m2"
    metric {
      namespace   = "AWS/ECR"
      metric_name = "RepositoryPullCount"
      dimensions  = { RepositoryName = "hoopstat-haus/dev" }
      period      = 300
      stat        = "Sum"
      unit        = "Count"
    }
  }
}
`

// TestTerraformAlarms makes, changes, takes over and destroys alarms, with an empty plan after each step.
func TestTerraformAlarms(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not on PATH")
	}
	mirror := terraformMirror()
	if mirror == "" {
		t.Skip("no directory with Terraform's AWS provider 5.100 or newer: BERTH_TEST_TERRAFORM_MIRROR names one")
	}
	eachDatabase(t, func(t *testing.T, storage berthproc.Storage) {
		settings := filepath.Join(t.TempDir(), "berth.yaml")
		writeFile(t, settings, "targets:\n  ops:\n    webhook: http://127.0.0.1:9\n    secret: whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\n"+
			"    topics: [\"arn:aws:sns:us-east-1:123456789012:alerts\"]\n    allow-private: true\n")
		s := berthproc.Start(t, berthproc.Config{Storage: storage, Args: []string{"--config", settings, "--account-id", "123456789012"}})
		w := emptyWorkspace(t, s, mirror)
		write := func(threshold, more string) {
			writeFile(t, filepath.Join(w.dir, "main.tf"), strings.NewReplacer("THRESHOLD", threshold, "MORE", more).Replace(alarmConfiguration))
		}
		write("10", "")
		w.run("init", "-input=false")
		w.apply()
		w.settled("after the first apply")

		write("12.5", "  ok_actions = [\"arn:aws:sns:us-east-1:123456789012:alerts\"]\n  tags = { team = \"ops\" }\n  actions_enabled = false")
		w.apply()
		w.settled("after a change")

		w.shell.run("terraform", "state", "rm", "aws_cloudwatch_metric_alarm.bill")
		w.run("import", "-input=false", "aws_cloudwatch_metric_alarm.bill", "ECR-Cost-Alert")
		w.settled("after an import")

		write("12.5", "  ok_actions = [\"arn:aws:sns:us-east-1:123456789012:nobody\"]")
		if out, errs, err := w.try("", "terraform", "apply", "-no-color", "-auto-approve", "-input=false"); err == nil || !strings.Contains(unwrapped(errs), "no target in the section 'targets' of the registry's configuration") {
			t.Errorf("an action that leads to nobody: %v\n%s%s", err, out, errs)
		}
		w.run("destroy", "-auto-approve", "-input=false")
		if out := w.shell.run("aws", "cloudwatch", "describe-alarms", "--query", "length(MetricAlarms)"); strings.TrimSpace(out) != "0" {
			t.Errorf("after it was destroyed there are %s alarms", out)
		}
	})
}

// unwrapped undoes the lines that Terraform breaks a message into, and their frame.
func unwrapped(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\u2502", " ")), " ")
}
