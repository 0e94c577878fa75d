package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/config"
)

// hookSecret is one that Standard Webhooks takes.
const hookSecret = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"

func loadTargets(t *testing.T, text string) (map[string]config.Target, error) {
	t.Helper()
	c, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": write(t, text)}})
	return c.Targets, err
}

func TestTargets(t *testing.T) {
	t.Parallel()
	secret, password, hook := write(t, hookSecret+"\n"), write(t, "hunter2\n"), write(t, "https://hooks.slack.com/services/T0/B0/x\n")
	got, err := loadTargets(t, `targets:
  ops:
    webhook: https://hooks.example.com/berth
    secret-file: `+secret+`
    topics: ["arn:aws:sns:us-east-1:123456789012:alerts", "arn:aws-cn:sns:cn-north-1:123456789012:a.fifo"]
  billing:
    email: [ops@example.com, "Ada <ada@example.com>"]
    smtp: {host: smtp.example.com, from: Berth <berth@example.com>, username: berth, password-file: `+password+`}
  chat: {url-file: `+hook+`}
  inside: {webhook: "http://10.0.0.1:8080/x", secret: "`+hookSecret+" "+hookSecret+`", allow-private: true}
  relay:
    email: [ops@example.com]
    smtp: {host: 10.0.0.2, port: 25, from: berth@example.com, tls: none}
    allow-private: true
`)
	want := map[string]config.Target{
		"ops": {
			Webhook: "https://hooks.example.com/berth", Secret: hookSecret, SecretFile: secret,
			Topics: []string{"arn:aws:sns:us-east-1:123456789012:alerts", "arn:aws-cn:sns:cn-north-1:123456789012:a.fifo"},
		},
		"billing": {
			Email: []string{"ops@example.com", "Ada <ada@example.com>"},
			SMTP: &config.SMTP{
				Host: "smtp.example.com", From: "Berth <berth@example.com>", TLS: "starttls", Username: "berth", Password: "hunter2", PasswordFile: password,
			},
		},
		"chat":   {Slack: "https://hooks.slack.com/services/T0/B0/x", URLFile: hook},
		"inside": {Webhook: "http://10.0.0.1:8080/x", Secret: hookSecret + " " + hookSecret, AllowPrivate: true},
		"relay": {
			Email: []string{"ops@example.com"}, SMTP: &config.SMTP{Host: "10.0.0.2", Port: 25, From: "berth@example.com", TLS: "none"}, AllowPrivate: true,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("targets: %v (-want +got):\n%s", err, diff)
	}
}

// TestTargetsRefused has a sentence for each mistake, and no secret in any.
func TestTargetsRefused(t *testing.T) {
	t.Parallel()
	const s3cret = "s3cret"
	mail := func(smtp string) string {
		return "a: {email: [ops@example.com], smtp: {host: smtp.example.com, from: berth@example.com, " + smtp + "}}"
	}
	for text, want := range map[string]string{
		`a: {}`:                              "targets: a: give one of webhook, email, and slack or url-file",
		`"a b": {slack: "https://x/s3cret"}`: "targets: a name has letters",
		`a: {webhook: "https://x/s3cret", slack: "https://y/s3cret"}`:      "targets: a: it is slack and webhook: give one of them",
		`a: {webhook: "https://x/s3cret"}`:                                 "targets: a: give secret or secret-file",
		`a: {webhook: "https://x/s3cret", secret: s3cret, secret-file: x}`: "targets: a: give secret or secret-file, not both",
		`a: {webhook: "https://x/s3cret", secret: s3cret}`:                 "targets: a: secret is not whsec_ and the base64 of 24 to 64 bytes",
		`a: {webhook: "https://x/s3cret", secret: whsec_c3MzY3JldA==}`:     "secret is not whsec_",
		`a: {webhook: "https://x/s3cret", secret-file: /nowhere}`:          "/nowhere",
		`a: {webhook: "http://x/s3cret", secret: ` + hookSecret + `}`:      "targets: a: webhook is a URL without TLS, which needs allow-private",
		`a: {webhook: "ftp://x/s3cret", secret: ` + hookSecret + `}`:       "targets: a: webhook is not a URL such as",
		`a: {webhook: "https://me:s3cret@x", secret: ` + hookSecret + `}`:  "targets: a: webhook must not have a user",
		`a: {slack: "https://x/s3cret", url-file: x}`:                      "targets: a: give slack or url-file, not both",
		`a: {slack: "s3cret"}`:                                                    "targets: a: slack is not a URL such as",
		`a: {slack: "https://x/s3cret", secret: s3cret}`:                          "targets: a: secret and secret-file go with webhook",
		`a: {slack: "https://x/s3cret", smtp: {host: x}}`:                         "targets: a: smtp goes with email",
		`a: {slack: "https://x/s3cret", token: s3cret}`:                           `unknown field "token"`,
		`a: {email: [ops@example.com]}`:                                           "targets: a: smtp is missing",
		`a: {email: ["ops@example.com\nBcc: x@y"], smtp: {host: x, from: x@y.z}}`: "targets: a: email: entry 1 is not an address",
		mail(`port: 70000`):                                                       "targets: a: smtp: port is 1 to 65535",
		mail(`tls: maybe`):                                                        "targets: a: smtp: tls is starttls, implicit or none",
		mail(`tls: none`):                                                         "targets: a: smtp: a server without TLS needs allow-private",
		mail(`tls: none, username: a, password: s3cret`):                          "targets: a: smtp: a password is not sent without TLS",
		mail(`password: s3cret`):                                                  "targets: a: smtp: a password needs a username",
		mail(`username: a`):                                                       "targets: a: smtp: give password or password-file",
		`a: {email: [a@b.c], smtp: {from: x@y.z}}`:                                "targets: a: smtp: host is not the name",
		`a: {email: [a@b.c], smtp: {host: x, from: nobody}}`:                      "targets: a: smtp: from is not an address",
		`a: {slack: "https://x/s3cret", topics: [alerts]}`:                        `targets: a: "alerts" is not the ARN of a topic`,
		`a: {slack: "https://x/s3cret", topics: "s3cret"}`:                        "targets",
		"a: {slack: \"https://x/1\", topics: [\"arn:aws:sns:us-east-1:123456789012:t\"]}\n  b: {slack: \"https://x/2\", topics: [\"arn:aws:sns:us-east-1:123456789012:t\"]}": "targets: b: the topic arn:aws:sns:us-east-1:123456789012:t stands for the target a already",
		"a:\n    slack: \"https://x/s3cret\n": "", // not closed
	} {
		_, err := loadTargets(t, "targets:\n  "+text+"\n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\nwant %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), s3cret) {
			t.Errorf("%s\nthe error shows what is secret: %v", text, err)
		}
	}
}
