package sts_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/sts"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/identity/identitytest"
)

// serveSigned serves STS to holders of the returned root key.
func serveSigned(t *testing.T) (url string, root identity.AccessKey) {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatalf("GenerateMasterKey: %v", err)
	}
	directory := identity.NewDirectory(identity.Config{
		Store: &identitytest.Memory{}, Master: master, Account: "000123456789", Now: time.Now,
	})
	if root, _, err = directory.EnsureRoot(t.Context()); err != nil {
		t.Fatalf("EnsureRoot: %v", err)
	}
	handler, err := awswire.New(awswire.Config{
		Authenticator: authn.New(authn.Config{Directory: directory, Now: time.Now}),
		Services:      []awswire.Service{sts.New(nil)},
	})
	if err != nil {
		t.Fatalf("awswire.New: %v", err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL, root
}

// needs finds a program, or ends the test with a sentence.
func needs(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
		t.Fatalf("BERTH_TEST_REQUIRE=all, and %s is not installed: %v", program, err)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

// awsEnvironment is an environment in which AWS's tools find the server and nothing else.
func awsEnvironment(t *testing.T, url string, root identity.AccessKey) []string {
	t.Helper()
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(environment,
		"AWS_ENDPOINT_URL="+url, "AWS_ACCESS_KEY_ID="+root.ID, "AWS_SECRET_ACCESS_KEY="+root.Secret,
		"AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+t.TempDir()+"/none", "AWS_SHARED_CREDENTIALS_FILE="+t.TempDir()+"/none",
		"NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
}

func TestTheAWSCLI(t *testing.T) {
	t.Parallel()
	program := needs(t, "aws")
	url, root := serveSigned(t)
	run := func(key identity.AccessKey, arguments ...string) (stdout, stderr string, err error) {
		var out, errs strings.Builder
		cmd := exec.CommandContext(t.Context(), program, append(arguments, "--output", "json")...)
		cmd.Env, cmd.Stdout, cmd.Stderr = awsEnvironment(t, url, key), &out, &errs
		err = cmd.Run()
		return out.String(), errs.String(), err
	}
	stdout, stderr, err := run(root, "sts", "get-caller-identity")
	var who struct{ UserID, Account, Arn string }
	if err != nil || json.Unmarshal([]byte(stdout), &who) != nil || who.Account != "000123456789" || who.Arn != root.Principal.ARN {
		t.Errorf("aws sts get-caller-identity: %v\n%s%s", err, stdout, stderr)
	}
	wrong, unknown := root, root
	wrong.Secret = "wrong"
	unknown.ID = "AKIAAAAAAAAAAAAAAAAA"
	for _, refusal := range []struct {
		key       identity.AccessKey
		operation string
		words     []string
	}{
		{wrong, "get-caller-identity", []string{"(SignatureDoesNotMatch)", "does not match"}},
		{unknown, "get-caller-identity", []string{"(InvalidClientTokenId)", "The security token included in the request is invalid."}},
	} {
		stdout, stderr, err := run(refusal.key, "sts", refusal.operation)
		for _, words := range refusal.words {
			if err == nil || !strings.Contains(stderr, words) {
				t.Errorf("aws sts %s as %s: %v, want %q\n%s%s", refusal.operation, refusal.key.ID, err, words, stdout, stderr)
			}
		}
	}
}

// TestBoto3Presigns makes a pre-signed URL with botocore's signer, which shares no code with the Go SDK's.
func TestBoto3Presigns(t *testing.T) {
	t.Parallel()
	python := needs(t, "python3")
	if err := exec.CommandContext(t.Context(), python, "-c", "import boto3").Run(); err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatalf("BERTH_TEST_REQUIRE=all, and python3 has no boto3: %v", err)
		}
		t.Skip("python3 has no boto3")
	}
	url, root := serveSigned(t)
	cmd := exec.CommandContext(t.Context(), python, "-c", "import boto3\n"+
		"print(boto3.client('sts').generate_presigned_url('get_caller_identity', ExpiresIn=60, HttpMethod='GET'))")
	cmd.Env = awsEnvironment(t, url, root)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("boto3: %v\n%s", err, out)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(string(out)), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s", out, res.Status)
	}
}
