package iam_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// cli gives a way to run the real AWS command line against the server with a key, as its user would: it prints what the
// command says, or its complaint. Its tests run by themselves: a Python for each command crowds out whatever runs
// beside it.
func (s *server) cli(t *testing.T) func(keyID, secret string, args ...string) (stdout, complaint string) {
	t.Helper()
	program, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatal("BERTH_TEST_REQUIRE=all, and there is no aws in PATH")
		}
		t.Skip("the AWS CLI is not installed")
	}
	home := t.TempDir()
	return func(keyID, secret string, args ...string) (string, string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
			"AWS_ENDPOINT_URL=" + s.url, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region, "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secret,
		}
		var out, complaint bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaint
		if err := cmd.Run(); err != nil && complaint.Len() == 0 {
			t.Fatalf("aws %s: %v", strings.Join(args, " "), err)
		}
		return out.String(), complaint.String()
	}
}

func TestUsersByTheCommandLine(t *testing.T) {
	s := newServer(t)
	run := s.cli(t)
	root := func(args ...string) string {
		t.Helper()
		out, complaint := run(s.rootKey.AccessKeyID, s.rootKey.SecretAccessKey, append([]string{"iam"}, args...)...)
		if complaint != "" {
			t.Fatalf("aws iam %s: %s", strings.Join(args, " "), complaint)
		}
		return out
	}
	root("create-user", "--user-name", "ci", "--path", "/bots/", "--tags", "Key=team,Value=data")
	var made struct {
		AccessKey struct{ AccessKeyID, SecretAccessKey, UserName, Status string }
	}
	if err := json.Unmarshal([]byte(root("create-access-key", "--user-name", "ci")), &made); err != nil || made.AccessKey.UserName != "ci" {
		t.Fatalf("create-access-key: %+v, %v", made, err)
	}
	root("create-group", "--group-name", "readers")
	root("add-user-to-group", "--group-name", "readers", "--user-name", "ci")
	if out := root("get-group", "--group-name", "readers", "--query", "Users[].Arn", "--output", "text"); strings.TrimSpace(out) != "arn:aws:iam::"+account+":user/bots/ci" {
		t.Errorf("get-group: %q", out)
	}
	if out := root("get-access-key-last-used", "--access-key-id", made.AccessKey.AccessKeyID, "--query", "[UserName,AccessKeyLastUsed.ServiceName]", "--output", "text"); out != "ci\tN/A\n" {
		t.Errorf("get-access-key-last-used: %q", out)
	}
	if out := root("get-user", "--query", "User.Arn", "--output", "text"); out != "arn:aws:iam::"+account+":root\n" {
		t.Errorf("get-user of the root principal: %q", out)
	}
	_, complaint := run(made.AccessKey.AccessKeyID, made.AccessKey.SecretAccessKey, "iam", "list-users")
	if want := "(AccessDenied) when calling the ListUsers operation: User: arn:aws:iam::" + account + ":user/bots/ci is not authorized to perform: iam:ListUsers"; !strings.Contains(complaint, want) {
		t.Errorf("list-users of one who may not: %q, want %q", complaint, want)
	}
}
