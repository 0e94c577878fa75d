package amazon_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/stubtest"
)

func TestAccount(t *testing.T) {
	stubtest.Account(t)
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte("[profile production]\naws_access_key_id = AKIAPRODUCTION\naws_secret_access_key = x\nregion = eu-central-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", path)
	t.Setenv("AWS_ENDPOINT_URL", "http://berth.example")
	for name, c := range map[string]struct {
		account                     amazon.Account
		key, region, configured, at string
	}{
		"as configured":      {amazon.Account{}, "AKIAIOSFODNN7EXAMPLE", "us-east-1", "http://berth.example", "http://berth.example"},
		"Amazon's own":       {amazon.Account{Endpoint: amazon.Own}, "AKIAIOSFODNN7EXAMPLE", "us-east-1", "http://berth.example", ""},
		"a URL":              {amazon.Account{Endpoint: "http://local.example"}, "AKIAIOSFODNN7EXAMPLE", "us-east-1", "http://berth.example", "http://local.example"},
		"a region":           {amazon.Account{Region: "eu-west-1"}, "AKIAIOSFODNN7EXAMPLE", "eu-west-1", "http://berth.example", "http://berth.example"},
		"a profile":          {amazon.Account{Profile: "production", Endpoint: amazon.Own}, "AKIAPRODUCTION", "us-east-1", "http://berth.example", ""},
		"a profile's region": {amazon.Account{Profile: "production", Region: "eu-central-1"}, "AKIAPRODUCTION", "eu-central-1", "http://berth.example", "http://berth.example"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := c.account.Config(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			key, err := config.Credentials.Retrieve(t.Context())
			if at := aws.ToString(c.account.At(&c.configured)); err != nil || key.AccessKeyID != c.key || config.Region != c.region || at != c.at {
				t.Errorf("it asks %q in %s as %s, %v, want %q in %s as %s", at, config.Region, key.AccessKeyID, err, c.at, c.region, c.key)
			}
		})
	}
}

func TestNobody(t *testing.T) {
	stubtest.Account(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, err := (amazon.Account{}).Config(t.Context()); err == nil {
		t.Error("Config without credentials gives no error")
	}
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	if _, err := (amazon.Account{}).Config(t.Context()); err == nil || !strings.Contains(err.Error(), "no region is set") {
		t.Errorf("Config without a region gives %v", err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	for want, c := range map[string]struct {
		code string
		ctx  context.Context
	}{
		"lambda:GetFunction is not allowed: a sentence": {code: "AccessDeniedException"},
		"the AWS credentials are refused":               {code: "ExpiredTokenException"},
		`"endpoint: amazon" asks Amazon`:                {code: "UnknownOperationException"},
		"context canceled":                              {code: "AccessDeniedException", ctx: ended},
		"ThrottlingException":                           {code: "ThrottlingException"},
	} {
		if c.ctx == nil {
			c.ctx = t.Context()
		}
		err := amazon.Explain(c.ctx, &smithy.GenericAPIError{Code: c.code, Message: "a sentence"}, "lambda:GetFunction", aws.String("http://berth.example"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Explain of %s gives %v, want %q in it", c.code, err, want)
		}
	}
	if answer, ok := errors.AsType[*platform.Error](amazon.Explain(t.Context(), &smithy.GenericAPIError{Code: "X"}, "", nil)); !ok || answer.Code != "X" {
		t.Errorf("Explain loses the code: %v", answer)
	}
}

func TestRegion(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"123456789012.dkr.ecr.us-east-1.amazonaws.com":          "us-east-1",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/prod":     "eu-west-1",
		"123456789012.dkr.ecr-fips.us-east-2.amazonaws.com/p/q": "us-east-2",
		"123456789012.dkr-ecr.us-east-1.on.aws/prod":            "us-east-1",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/prod": "cn-north-1",
		"berth.example.com/prod":                                "",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com.evil/x":   "",
	} {
		if got := amazon.Region(at); got != want {
			t.Errorf("Region(%q) = %q, want %q", at, got, want)
		}
	}
}
