package dockercred_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/dockercred"
)

func TestAmazonsNames(t *testing.T) {
	t.Parallel()
	for named, region := range map[string]string{
		"123456789012.dkr.ecr.us-east-1.amazonaws.com":          "us-east-1",
		"https://123456789012.dkr.ecr.us-east-1.amazonaws.com":  "us-east-1",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com:443":      "us-east-1",
		"123456789012.DKR.ECR.eu-central-1.amazonaws.com":       "eu-central-1",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
		"123456789012.dkr-ecr.us-west-2.on.aws":                 "us-west-2",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":      "cn-north-1",
		"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu":      "eusc-de-east-1",
		"":                     "",
		"localhost:5080":       "",
		"registry.example.com": "",
		"public.ecr.aws":       "",
		"12345678901.dkr.ecr.us-east-1.amazonaws.com":               "",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com:8443":         "",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.org":     "",
		"123456789012.dkr.ecr.us-east-1.evil.org":                   "",
		"123456789012.dkr.ecr.x.evil.org.amazonaws.com":             "",
		"evil.org/123456789012.dkr.ecr.us-east-1.amazonaws.com":     "",
		"evil.org#123456789012.dkr.ecr.us-east-1.amazonaws.com":     "",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com@evil.org":     "",
		"https://x:y@123456789012.dkr.ecr.us-east-1.amazonaws.com":  "",
		"x123456789012.dkr.ecr.us-east-1.amazonaws.com":             "",
		"123456789012xdkr.ecr.us-east-1.amazonaws.com":              "",
		"123456789012.dkr.ecr.us-east-1.amazonawsxcom":              "",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com\nHost: a.com": "",
		"123456789012.dkr.ecr.us-east-1%2eevil.org/.amazonaws.com":  "",
	} {
		got, fips, ok := dockercred.Amazon(named)
		if got != region || ok != (region != "") {
			t.Errorf("Amazon(%q) = %q, %t; want %q", named, got, ok, region)
		}
		if want := region == "us-gov-west-1"; fips != want {
			t.Errorf("Amazon(%q): FIPS %t, want %t", named, fips, want)
		}
	}
}

func TestEndpointOfAName(t *testing.T) {
	t.Parallel()
	for named, want := range map[string]string{
		"registry.example.com":      "https://registry.example.com",
		"registry.example.com:5000": "https://registry.example.com:5000",
		"localhost:5080":            "http://localhost:5080",
		"localhost":                 "http://localhost",
		"127.0.0.1:5080":            "http://127.0.0.1:5080",
		"127.9.9.9:80":              "http://127.9.9.9:80",
		"[::1]:5080":                "http://[::1]:5080",
		"[::1]":                     "http://[::1]",
		"[2001:db8::1]:5080":        "https://[2001:db8::1]:5080",
		"10.0.0.7:5000":             "https://10.0.0.7:5000",
		"localhost.example.com":     "https://localhost.example.com",
		"127.0.0.1.example.com":     "https://127.0.0.1.example.com",
		"a b":                       "docker names no registry",
	} {
		if got := dockercred.Endpoint(named); got != want {
			t.Errorf("Endpoint(%q) = %q, want %q", named, got, want)
		}
	}
}
