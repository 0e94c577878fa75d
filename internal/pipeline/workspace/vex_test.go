package workspace_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

const vexDocument = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"alice","timestamp":"2026-11-01T00:00:00Z","version":1,
	"statements":[{"vulnerability":{"name":"NAME"},"products":[{"@id":"pkg:oci/prod?repository_url=h/a/prod"}],"status":"not_affected","impact_statement":"never called","expires":"2027-01-01T00:00:00Z"}]}`

func TestReadVEX(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		".vex/a.json": strings.Replace(vexDocument, "NAME", "CVE-1", 1), ".vex/deep/b.json": strings.Replace(vexDocument, "NAME", "CVE-2", 1),
		"apps/x/vex.json": strings.Replace(vexDocument, "NAME", "CVE-3", 1), ".vex/notes.txt": "no document",
		"bad/1.json": strings.Replace(vexDocument, "expires", "ends", 1), "bad/2.json": strings.Replace(vexDocument, "products", "p", 1), "bad/3.json": "",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct{ key, want, wrong string }{
		"not given": {"", "CVE-1", ""},
		"patterns":  {"  vex: [.vex/**, 'apps/*/vex.json']\n", "", ".vex/notes.txt: the document is no OpenVEX"},
		"deep":      {"  vex: ['.vex/**/*.json', 'apps/*/vex.json']\n", "CVE-1 CVE-2 CVE-3", ""},
		"one file":  {"  vex: [.vex/deep/b.json]\n", "CVE-2", ""},
		"nothing":   {"  vex: [none/*.json]\n", "", ""},
		"bad ones":  {"  vex: [bad/*]\n", "", "bad/1.json: statement 1 (NAME) has no end: add \"expires\""},
		"no end":    {"  vex: [bad/*]\n", "", "bad/2.json: what is said of NAME is about no product"},
		"empty":     {"  vex: [bad/*]\n", "", "bad/3.json: "},
	} {
		f, err := workspace.Parse("berth.yaml", []byte("repository: a/prod\napps: [apps/*]\ngate:\n  severity: high\n"+tt.key))
		if err != nil {
			t.Fatal(err)
		}
		err = f.ReadVEXIn(root)
		if (err != nil) != (tt.wrong != "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: error %v, want %q", name, err, tt.wrong)
		}
		if tt.wrong != "" {
			continue
		}
		var got []string
		for _, s := range f.Gate.Statements {
			got = append(got, s.Vulnerability)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
