package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/config"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	secret := write(t, hookSecret+"\n")
	c, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": write(t, `targets:
  ops: {webhook: "http://10.0.0.1/x", secret: `+hookSecret+`, allow-private: true}
events:
  - target: ops
    kinds: [image.pushed]
    repositories: ["team/*"]
    format: eventbridge
    batch: 100
  - url: https://flux.example.com/hook?token=1
    secret-file: `+secret+`
  - {name: again, target: ops}
`)}})
	want := []config.EventReceiver{
		{
			Name: "ops", Target: "ops", URL: "http://10.0.0.1/x", Secret: hookSecret, AllowPrivate: true, Kinds: []string{"image.pushed"},
			Repositories: []string{"team/*"}, Format: "eventbridge", Batch: 100,
		},
		{Name: "flux.example.com", URL: "https://flux.example.com/hook?token=1", Secret: hookSecret, SecretFile: secret, Format: "cloudevents", Batch: 1},
		{Name: "again", Target: "ops", URL: "http://10.0.0.1/x", Secret: hookSecret, AllowPrivate: true, Format: "cloudevents", Batch: 1},
	}
	if diff := cmp.Diff(want, c.Events); diff != "" || err != nil {
		t.Errorf("events: %v (-want +got):\n%s", err, diff)
	}
}

func TestBadEvents(t *testing.T) {
	t.Parallel()
	const targets = "targets:\n  ops: {webhook: \"https://a.example/x\", secret: " + hookSecret + "}\n  chat: {slack: \"https://a.example/T0KEN\"}\n"
	for entry, want := range map[string]string{
		"{}": "give one of target and url",
		"{target: ops, url: \"https://a.example\"}": "give one of target and url",
		"{target: pos}":  `there is no target "pos"`,
		"{target: chat}": "is no webhook",
		"{target: ops, secret: " + hookSecret + "}":                                          "go with url",
		"{target: ops, batch: 501}":                                                          "batch is 1 to 500",
		"{target: ops, batch: -1}":                                                           "batch is 1 to 500",
		"{target: ops, format: xml}":                                                         "format is cloudevents",
		"{target: ops, repositories: [\"\"]}":                                                "empty pattern",
		"{target: ops, name: \"a b\"}":                                                       "give a name",
		"{url: \"https://a.example/T0KEN\"}":                                                 "give secret or secret-file",
		"{url: \"https://a.example/T0KEN\", secret: hunter2}":                                "whsec_",
		"{url: \"http://a.example/T0KEN\", secret: " + hookSecret + "}":                      "without TLS",
		"{url: \"https://[::1]/T0KEN\", secret: " + hookSecret + "}":                         "give a name",
		"{target: ops}\n  - {target: ops}":                                                   "give it another",
		"{target: ops, colour: red}":                                                         "unknown field",
		"{url: \"https://me:T0KEN@a.example\", secret: " + hookSecret + "}":                  "user",
		"{url: \"https://a.example/T0KEN\", secret: " + hookSecret + ", secret-file: \"a\"}": "not both",
	} {
		_, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": write(t, targets+"events:\n  - "+entry+"\n")}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "T0KEN") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}
