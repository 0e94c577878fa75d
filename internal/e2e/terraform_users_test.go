package e2e_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const usersConfiguration = `
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
}

provider "aws" {
  skip_metadata_api_check = "true"
  default_tags { tags = { project = "hoopstat-haus" } }
}

variable "user" { default = "ci" }
variable "path" { default = "/" }
variable "status" { default = "Active" }

resource "aws_iam_user" "ci" {
  name = var.user
  path = var.path
  tags = { path = var.path }
}

resource "aws_iam_access_key" "ci" {
  user   = aws_iam_user.ci.name
  status = var.status
}

resource "aws_iam_group" "readers" {
  name = "readers"
  path = var.path
}

resource "aws_iam_user_group_membership" "ci" {
  user   = aws_iam_user.ci.name
  groups = [aws_iam_group.readers.name]
}
`

// TestTerraformUsers has Terraform make, change and destroy a user with a key and a group.
func TestTerraformUsers(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not on PATH")
	}
	if _, err := exec.LookPath("aws"); err != nil {
		berthproc.Missing(t, "aws is not on PATH")
	}
	mirror := terraformMirror()
	if mirror == "" {
		t.Skip("no directory with Terraform's AWS provider 5.100 or newer: BERTH_TEST_TERRAFORM_MIRROR names one")
	}
	w := emptyWorkspace(t, berthproc.Start(t, berthproc.Config{}), mirror)
	writeFile(t, filepath.Join(w.dir, "main.tf"), usersConfiguration)
	w.run("init", "-input=false")
	w.apply()
	w.settled("after the first apply")
	w.variables = []string{"path=/bots/", "status=Inactive"}
	w.apply()
	w.settled("after a change")
	for what, want := range map[string]string{
		"get-user --query User.Arn":                           "arn:aws:iam::123456789012:user/bots/ci",
		"list-access-keys --query AccessKeyMetadata[].Status": "Inactive",
		"list-groups-for-user --query Groups[].Arn":           "arn:aws:iam::123456789012:group/bots/readers",
		"list-user-tags --query Tags[?Key=='path'].Value":     "/bots/",
		"list-user-tags --query Tags[?Key=='project'].Value":  "hoopstat-haus",
	} {
		if got := w.shell.run("aws", append(strings.Fields("iam "+what), "--user-name", "ci", "--output", "text")...); got != want {
			t.Errorf("aws iam %s after the change: %q, want %q", what, got, want)
		}
	}
	w.run("destroy", "-auto-approve", "-input=false")
	if left := w.shell.run("aws", "iam", "get-account-summary", "--query", "SummaryMap.[Users,Groups]", "--output", "text"); left != "0\t0" {
		t.Errorf("terraform destroy leaves %q users and groups", left)
	}
}
