package workspace_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// FuzzParse holds the reader to its word: an error is Problems, each at a place that there is, and a file that is taken
// makes tags and projects without more ado.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	for _, r := range refusals {
		f.Add(r.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := workspace.Parse("berth.yaml", []byte(text))
		if err != nil {
			problems, ok := errors.AsType[workspace.Problems](err)
			if !ok || len(problems) == 0 {
				t.Fatalf("Parse(%q) = %v, want Problems", text, err)
			}
			for _, p := range problems {
				if lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1; p.Line < 0 || p.Line > lines+1 || strings.TrimSpace(p.Message) == "" {
					t.Errorf("Parse(%q) says %+v, and there are %d lines", text, p, lines)
				}
			}
			return
		}
		for _, tag := range file.Tags {
			if _, err := tag.Expand(workspace.Values{App: "a", Commit: strings.Repeat("0", 40), Branch: "b"}); err != nil {
				t.Errorf("Parse(%q) takes the tag %s: %v", text, tag, err)
			}
		}
		if _, err := file.Resolve(tree); err != nil {
			if _, ok := errors.AsType[workspace.Problems](err); !ok {
				t.Errorf("Resolve after Parse(%q) = %v, want Problems", text, err)
			}
		}
	})
}
