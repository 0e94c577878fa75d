package config_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/config"
)

func TestOIDCProviders(t *testing.T) {
	t.Parallel()
	keys := write(t, `{"keys":[]}`)
	load := func(text string) (config.Config, error) {
		return config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": write(t, text)}})
	}
	c, err := load("oidc-providers:\n  https://kubernetes.default.svc.cluster.local:\n    jwks-file: " + keys +
		"\n  https://gitlab.internal/:\n    allow-private: true\n  http://127.0.0.1:8080:\n    allow-private: true\n")
	if err != nil {
		t.Fatal(err)
	}
	if p := c.OIDCProviders["https://kubernetes.default.svc.cluster.local"]; string(p.JWKS) != `{"keys":[]}` || p.AllowPrivate {
		t.Errorf("the cluster is %+v", p)
	}
	if p := c.OIDCProviders["https://gitlab.internal/"]; p.JWKS != nil || !p.AllowPrivate {
		t.Errorf("GitLab is %+v", p)
	}
	if len(c.OIDCProviders) != 3 {
		t.Errorf("there are %d providers", len(c.OIDCProviders))
	}
	for entry, want := range map[string]string{
		"https://a: {}": "https://a: give jwks-file or allow-private: true",
		"https://a: {jwks-file: " + keys + ", allow-private: true}":              "not both",
		"https://a: {jwks-file: /nowhere}":                                       "oidc-providers: https://a: open /nowhere",
		"https://a: {jwks-file: " + write(t, " \n") + "}":                        "is empty",
		"https://a: {jwks-file: " + write(t, strings.Repeat(" ", 1<<20+1)) + "}": "has more than 1048576 bytes",
		"https://a: {jwks: x}":                                                   `unknown field "jwks"`,
		"a.example.com: {allow-private: true}":                                   "an entry is not named by an issuer",
		"https://a?b: {allow-private: true}":                                     "an entry is not named by an issuer",
		"https://me:s3cret@a: {allow-private: true}":                             "an entry is not named by an issuer",
		"http://a: {}": "an issuer without TLS",
	} {
		_, err := load("oidc-providers:\n  " + entry + "\n")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}
