package workspace_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func TestTemplateMatches(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0a", 20)
	for _, tt := range []struct {
		template workspace.Template
		tag      string
		want     bool
	}{
		{"{app}-{sha}", "web-" + commit, true},
		{"{app}-{sha}", "web-a1b2c3d4", true},
		{"{app}-{sha}", "web-admin-" + commit, false},
		{"{app}-{sha}", "web-latest", false},
		{"{app}-latest", "web-latest", true},
		{"{app}-latest", "web-admin-latest", false},
		{"{branch}.{app}", "feature-x.web", true},
		{"{app}-{date}", "web-20261126", true},
		{"{app}.{sha8}", "webx0a0a0a0a", false},
	} {
		if got := tt.template.Matches("web", tt.tag); got != tt.want {
			t.Errorf("%s matches %s: %t, want %t", tt.template, tt.tag, got, tt.want)
		}
	}
}

func TestTemplateCommit(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0a", 20)
	for _, tt := range []struct {
		template  workspace.Template
		tag, want string
	}{
		{"{app}-{sha}", "web-" + commit, commit},
		{"{app}-{sha}", "web-a1b2c3d4", "a1b2c3d4"},
		{"{app}-{branch}-{date}-{sha8}", "web-main-20261126-a1b2c3d4", "a1b2c3d4"},
		{"{app}-{sha}", "shop-" + commit, ""},
		{"{app}-{sha}", "web-latest", ""},
		{"{app}-latest", "web-latest", ""},
		{"{app}-{date}", "web-20261126", ""},
	} {
		if got := tt.template.Commit("web", tt.tag); got != tt.want {
			t.Errorf("%s has of %s the commit %q, want %q", tt.template, tt.tag, got, tt.want)
		}
	}
}
