package config_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/config"
)

func TestFile(t *testing.T) {
	t.Parallel()
	file := write(t, `# Berth
listen: 0.0.0.0:443
account-id: 012345678901   # twelve digits, not a number
s3-path-style: true
blobs: s3://images
hostname:
shutdown-timeout: "90s"
`)
	c, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": file}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "0.0.0.0:443" || c.Account != "012345678901" || !c.S3.PathStyle || c.Hostname != "" || c.ShutdownTimeout.Seconds() != 90 || c.File != file {
		t.Errorf("Load of a file gives %+v", c)
	}
}

// TestBadFiles holds the messages to the letter: they are what an operator has to go by.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"unknown key": {
			"listen: localhost:1\nlisten_on: x\n",
			"FILE:2:1: no setting of the name \"listen_on\"\n    listen_on: x\n    ^",
		},
		"misspelt": {
			"account_id: 123456789012\n",
			"FILE:1:1: no setting of the name \"account_id\" (did you mean \"account-id\"?)\n    account_id: 123456789012\n    ^",
		},
		"nested": {
			"s3-endpoint:\n  url: x\n",
			"FILE:2:6: s3-endpoint takes a single value\n      url: x\n         ^",
		},
		"twice": {
			"region: a\nregion: b\n",
			"FILE:2:1: mapping key \"region\" already defined at [1:1]\n    region: b\n    ^",
		},
		"no mapping": {
			"- a\n",
			"FILE:1:1: a settings file is a mapping such as \"listen: localhost:5080\"\n    - a\n    ^",
		},
		"two documents": {
			"region: a\n---\nregion: b\n",
			"FILE:3:7: one document is read, and this is another\n    region: b\n          ^",
		},
		"a bad value": {
			"region: a\nshutdown-timeout: soon\n",
			`FILE:2: shutdown-timeout: "soon" is not a positive duration such as 30s or 5m`,
		},
		"a value refused later": {
			"\nlisten: x\n",
			`FILE:2: listen: "x" is not host:port such as localhost:5080 or 0.0.0.0:443`,
		},
		"its own name":   {"config: x\n", "FILE:1:1: no setting of the name \"config\"\n    config: x\n    ^"},
		"the master key": {"master-key: x\n", "FILE:1:1: no setting of the name \"master-key\""},
		"a secret in the line at fault": {
			"s3-secret-access-key: {hunter2: x}\n",
			"s3-secret-access-key takes a single value",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, test.text)
			_, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": file}})
			if err == nil {
				t.Fatal("Load accepts it")
			}
			got := strings.ReplaceAll(err.Error(), file, "FILE")
			if !strings.Contains(got, test.want) {
				t.Errorf("Load\n got %s\nwant %s", got, test.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("Load shows a secret: %s", got)
			}
		})
	}
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing yet\n", "---\n"} {
		if _, err := config.Load(config.Sources{Environment: environment("BERTH_CONFIG=" + write(t, text))}); err != nil {
			t.Errorf("Load of the file %q: %v", text, err)
		}
	}
}

func TestSections(t *testing.T) {
	t.Parallel()
	token := write(t, "from-a-file\n")
	file := write(t, `destinations:
  - region: eu-west-1
    account-id: 012345678901
    url: https://eu.example.com
    access-key-id: AKIAX
    secret-access-key: s3cret
secrets:
  ecr-pullthroughcache/hub:
    username: ada
    access-token-file: `+token+`
`)
	c, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": file}})
	if err != nil {
		t.Fatal(err)
	}
	d := config.Destination{Region: "eu-west-1", Account: "012345678901", URL: "https://eu.example.com", AccessKeyID: "AKIAX", SecretAccessKey: "s3cret"}
	if len(c.Destinations) != 1 || c.Destinations[0] != d {
		t.Errorf("destinations are %+v, want %+v", c.Destinations, d)
	}
	if s := c.Secrets["ecr-pullthroughcache/hub"]; s.Username != "ada" || s.AccessToken != "from-a-file" {
		t.Errorf("the secret is %+v", s)
	}
	for text, want := range map[string]string{
		"destinations:\n  - region: a\n":                                         `destinations: entry 1: "" is not a URL such as https://registry.example.com`,
		"destinations:\n  - url: https://x\n":                                    "destinations: entry 1: name it by region, account-id or both",
		"destinations:\n  - {region: a, url: \"https://x\", access-key-id: k}\n": "destinations: entry 1: give secret-access-key or secret-access-key-file",
		"destinations:\n  - {region: us-east-1, url: \"https://x\", access-key-id: k, secret-access-key: s}\n  - {account-id: \"123456789012\", url: \"https://y\", access-key-id: k, secret-access-key: s}\n": "destinations: entry 2: an entry before it names the same region and account",
		"destinations:\n  - {region: a, url: \"https://x\", access-key: k}\n":     "unknown field \"access-key\"",
		"secrets:\n  hub: {username: a, access-token: b, access-token-file: c}\n": "secrets: hub: give access-token or access-token-file, not both",
		"secrets:\n  hub: {username: a, access-token-file: /nowhere}\n":           "/nowhere",
		"secrets:\n  hub: {access-token: b}\n":                                    "secrets: hub: username is missing",
		"secrets: none\n":                                                         "FILE:1: secrets: ",
	} {
		file := write(t, text)
		_, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": file}})
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), file, "FILE"), want) {
			t.Errorf("Load of %q: %v, want %q", text, err, want)
		}
	}
}

// TestErrorsHaveNoSecrets makes mistakes beside and within secrets: what is said of them goes to logs.
func TestErrorsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an unknown member beside one": "destinations:\n  - region: a\n    secret-access-key: s3cret\n    regoin: b\n",
		"a list for one":               "secrets:\n  hub:\n    username: a\n    access-token: [s3cret]\n",
		"one that is not closed":       "secrets:\n  hub:\n    username: a\n    access-token: \"s3cret\n",
		"one that is there twice":      "destinations:\n  - region: a\n    secret-access-key: x\n    secret-access-key: s3cret\n",
		"one in the URL":               "destinations:\n  - {region: a, url: \"https://me:s3cret@x\", access-key-id: k, secret-access-key: s}\n",
		"one in what is no URL":        "destinations:\n  - {region: a, url: \"ftp://me:s3cret@x\", access-key-id: k, secret-access-key: s}\n",
	} {
		_, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": write(t, text)}})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
