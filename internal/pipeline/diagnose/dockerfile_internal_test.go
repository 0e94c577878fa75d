package diagnose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestParseDockerFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, err string }{
		"whole":             {`{"auths":{"a":{"auth":"eDp5"}},"credsStore":"desktop","credHelpers":{"b":"berth"},"other":[1]}`, ""},
		"nothing in it":     {`{}`, ""},
		"null":              {`{"auths":null}`, ""},
		"empty":             {" \n", "it is empty"},
		"cut off":           {"{\n\"auths\": {\"a\":{\"auth\":\"c2VjcmV0\"}", "line 2: it is no JSON from here on"},
		"a comma too many":  {"{\n\"auths\": {},\n}", "line 3: it is no JSON"},
		"a path of Windows": {"{\n\"cliPluginsExtraDirs\": [\"C:\\Users\\ada\"]}", `line 2: a backslash in a string is written \\`},
		"a mark in front":   {"\ufeff{}", "byte order mark"},
		"UTF-16":            {"\xff\xfe{\x00}\x00", "UTF-16"},
		"the wrong kind":    {"{\n\"auths\": [\"c2VjcmV0\"]}", "line 2: auths is a array, and is to be an object"},
		"a helper's kind":   {`{"credHelpers":{"a":7}}`, "is to be a string"},
		"no object":         {`"c2VjcmV0"`, "the whole is a string, and is to be an object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseDockerFile([]byte(tt.text))
			switch {
			case tt.err == "" && err != nil:
				t.Errorf("parseDockerFile: %v", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("parseDockerFile = %v, want %q", err, tt.err)
			case err != nil && strings.Contains(err.Error(), "c2VjcmV0"):
				t.Errorf("the error shows what is in the file: %v", err)
			}
		})
	}
}

func TestHow(t *testing.T) {
	t.Parallel()
	f, err := parseDockerFile([]byte(`{"auths":{"https://old:5000/v1/":{"auth":"eDp5"},"both":{"auth":"eDp5"},"plain":{"auth":"eDp5"},"[::1]:5080":{}},"credHelpers":{"both":"berth","empty":""}}`))
	if err != nil {
		t.Fatal(err)
	}
	stored := f
	stored.CredsStore = "desktop"
	for name, tt := range map[string]struct {
		file   dockerFile
		host   string
		helper string
		auth   bool
	}{
		"a helper before a login":     {f, "both", "berth", false},
		"a login":                     {f, "plain", "", true},
		"as old versions wrote it":    {f, "old:5000", "", true},
		"IPv6":                        {f, "[::1]:5080", "", true},
		"an empty helper is none":     {f, "empty", "", false},
		"nothing":                     {f, "old", "", false},
		"the store before a login":    {stored, "plain", "desktop", false},
		"the helper before the store": {stored, "both", "berth", false},
	} {
		got := tt.file.how(tt.host)
		if got.Helper != tt.helper || (got.Auth != nil) != tt.auth {
			t.Errorf("%s: how(%s) = %+v, want helper %q, login %t", name, tt.host, got, tt.helper, tt.auth)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", f, f, f); strings.Contains(text, "eDp5") {
		t.Errorf("a login is printed: %s", text)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, tt := range map[string]struct {
		auth         dockerAuth
		user, secret string
		err          bool
	}{
		"encoded":      {dockerAuth{Auth: encode("AWS:a:b")}, "AWS", "a:b", false},
		"in two":       {dockerAuth{Username: "x", Password: "y"}, "x", "y", false},
		"empty":        {dockerAuth{}, "", "", true},
		"no base64":    {dockerAuth{Auth: "%"}, "", "", true},
		"no password":  {dockerAuth{Auth: encode("AWS")}, "", "", true},
		"with a blank": {dockerAuth{Auth: encode("AWS:a\x00")}, "AWS", "a", false},
	} {
		user, secret, err := tt.auth.login()
		if user != tt.user || secret != tt.secret || (err != nil) != tt.err {
			t.Errorf("%s: login = %q, %q, %v", name, user, secret, err)
		}
	}
	if end, says := tokenEnd(encode(`{"payload":"x","version":"2","type":"DATA_KEY","expiration":1700000000}`)); !says || end.Unix() != 1700000000 {
		t.Errorf("tokenEnd = %v, %t", end, says)
	}
	for _, other := range []string{"", "x", encode("{}"), encode("[]")} {
		if _, says := tokenEnd(other); says {
			t.Errorf("tokenEnd(%q) says something", other)
		}
	}
}

func TestEngineTrouble(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"docker: permission denied while trying to connect to the Docker daemon socket":                             "this user may not",
		"docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": "does not run",
		`docker: context "away": context not found: open /root/.docker/contexts/meta: no such file`:                 "context is not there",
		"docker: something else": "something else",
	} {
		if what, _ := engineTrouble(said); !strings.Contains(what, want) {
			t.Errorf("engineTrouble(%q) = %q, want %q", said, what, want)
		}
	}
}

func TestFreeOf(t *testing.T) {
	t.Parallel()
	head := "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
	for name, tt := range map[string]struct {
		table string
		free  int64
		ok    bool
	}{
		"usual":            {head + "/dev/sda1 100 40 60 40% /", 60, true},
		"spaces":           {head + "//nas/my share 100 40 60 40% /mnt/my place", 60, true},
		"no size":          {head + "overlay - - - - /", 0, false},
		"head alone":       {strings.TrimSpace(head), 0, false},
		"nothing":          {"", 0, false},
		"something else":   {"a\nb c d e f%", 0, false},
		"more than a disk": {head + "x 9223372036854775807 0 9223372036854775807 0% /", 9223372036854775807, true},
	} {
		if free, ok := freeOf(tt.table); free != tt.free || ok != tt.ok {
			t.Errorf("%s: freeOf = %d, %t; want %d, %t", name, free, ok, tt.free, tt.ok)
		}
	}
}

func TestInsecure(t *testing.T) {
	t.Parallel()
	var info engineInfo
	text := `{"RegistryConfig":{"InsecureRegistryCIDRs":["127.0.0.0/8","10.1.0.0/16","nothing"],"IndexConfigs":{"docker.io":{"Secure":true},"registry.example.com:5000":{"Secure":false}}}}`
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"http://127.0.0.1:5080": true, "http://10.1.2.3": true, "http://10.2.2.3": false, "http://registry.example.com:5000": true,
		"http://registry.example.com": false, "http://docker.io": false, "http://[::1]:5080": false,
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.insecure(u); got != want {
			t.Errorf("insecure(%s) = %t, want %t", at, got, want)
		}
	}
}
