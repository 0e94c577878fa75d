package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
)

// TestLoginBesideStore logs in to a private base where the user keeps logins in a store, which knows nothing of it, and leaves the user's
// settings alone.
func TestLoginBesideStore(t *testing.T) {
	s := newShelf(t)
	root := tree(t, map[string]string{"Dockerfile": "FROM base\nCOPY Dockerfile /\n"})
	onEach(t, func(t *testing.T, m *machine) {
		if m.want == "buildah" {
			m.env = append(m.env, "REGISTRY_AUTH_FILE="+filepath.Join(t.TempDir(), "config.json"))
		}
		config := ""
		for _, kv := range m.env {
			for _, name := range []string{"DOCKER_CONFIG=", "REGISTRY_AUTH_FILE="} {
				if value, ok := strings.CutPrefix(kv, name); ok {
					config = filepath.Join(strings.TrimSuffix(value, "/config.json"), "config.json")
				}
			}
		}
		const helper = "#!/bin/sh\ncase $1 in list) echo '{}';; *) echo 'credentials not found in native keychain'; exit 1;; esac\n"
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "docker-credential-test"), []byte(helper), 0o755); err != nil { //nolint:gosec // it is to be run
			t.Fatal(err)
		}
		m.env = append(m.env, "PATH="+bin+":"+os.Getenv("PATH"))
		const settings = `{"auths": {"example.com": {}}, "credsStore": "test", "credHelpers": {"example.org": "test"}, "currentContext": "default"}`
		if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		m.build(t, build.Spec{Root: root, Context: ".", Dockerfile: "Dockerfile", Bases: map[string]string{"base": s.base()}, Login: s.login})
		if text, err := os.ReadFile(config); err != nil || string(text) != settings {
			t.Errorf("the user's settings are now %s, %v", text, err)
		}
	})
}
