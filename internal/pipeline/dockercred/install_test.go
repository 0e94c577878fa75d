package dockercred_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/dockercred"
)

func TestInstall(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ before, after, refused string }{
		"an empty file": {"", "{\n\t\"credHelpers\": {\n\t\t\"localhost:5080\": \"berth\"\n\t}\n}\n", ""},
		"everything else stays": {
			`{"zeta": 1e3, "auths": {"a.example": {"auth": "eDp5"}}, "credsStore": "pass", "credHelpers": {"b.example": "gcr"}, "alpha": [1, 2.50]}`,
			"{\n\t\"zeta\": 1e3,\n\t\"auths\": {\n\t\t\"a.example\": {\n\t\t\t\"auth\": \"eDp5\"\n\t\t}\n\t},\n\t\"credsStore\": \"pass\",\n" +
				"\t\"credHelpers\": {\n\t\t\"b.example\": \"gcr\",\n\t\t\"localhost:5080\": \"berth\"\n\t},\n\t\"alpha\": [\n\t\t1,\n\t\t2.50\n\t]\n}\n", "",
		},
		"another helper gives way": {`{"credHelpers": {"localhost:5080": "pass"}}`, "{\n\t\"credHelpers\": {\n\t\t\"localhost:5080\": \"berth\"\n\t}\n}\n", ""},
		"credHelpers is null":      {`{"credHelpers": null}`, "{\n\t\"credHelpers\": {\n\t\t\"localhost:5080\": \"berth\"\n\t}\n}\n", ""},
		"it says so already":       {`{"credHelpers":{"localhost:5080":"berth"}}`, `{"credHelpers":{"localhost:5080":"berth"}}`, ""},
		"no JSON":                  {`{"credHelpers": {}`, "", "it is no JSON"},
		"no object":                {`[]`, "", "it is no JSON object"},
		"credHelpers is no object": {`{"credHelpers": "berth"}`, "", "credHelpers: it is no JSON object"},
		"something after its end":  {`{} {}`, "", "something follows its end"},
		"rubbish after its end":    {`{} }`, "", "something follows its end"},
		"credHelpers twice":        {`{"credHelpers": {}, "credHelpers": {}}`, "", `it has "credHelpers" twice`},
		"comments, as people try":  {"{ // mine\n}", "", "it is no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(file, []byte(tt.before), 0o640); err != nil {
				t.Fatal(err)
			}
			_, err := dockercred.Install(file, []string{"localhost:5080"})
			want := tt.after
			if tt.refused != "" {
				want = tt.before
				if err == nil || !strings.Contains(err.Error(), "is not changed: ") || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("Install: %v, want it to say: %s", err, tt.refused)
				}
			} else if err != nil {
				t.Errorf("Install: %v", err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the file: %v, %v; want its mode 0640 kept", info, err)
			}
		})
	}
}

// TestInstallThroughLink changes what docker's configuration links to, and leaves the link.
func TestInstallThroughLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real, link := filepath.Join(dir, "dotfiles.json"), filepath.Join(dir, ".docker", "config.json")
	for _, err := range []error{
		os.WriteFile(real, []byte("{}"), 0o600), os.Mkdir(filepath.Dir(link), 0o700), os.Symlink(real, link),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	added, err := dockercred.Install(link, []string{"https://Registry.Example.com/", "localhost:5080"})
	if diff := cmp.Diff([]string{"registry.example.com", "localhost:5080"}, added); diff != "" || err != nil {
		t.Errorf("Install: %v, added (-want +got):\n%s", err, diff)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if text, err := os.ReadFile(real); err != nil || !strings.Contains(string(text), `"registry.example.com": "berth"`) {
		t.Errorf("what it links to is %s, %v", text, err)
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "berth")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it done
		at, err := dockercred.Link(dir, program)
		if err != nil || at != filepath.Join(dir, "docker-credential-berth") {
			t.Errorf("Link = %q, %v", at, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "docker-credential-berth")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-berth"), []byte("somebody's"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := dockercred.Link(dir, program); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("Link over another program: %v, want a refusal", err)
	}
}
