package deploy_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// TestLongestNames deploys an app and to an environment whose names are as long as berth.yaml takes them, which makes the longest tag.
func TestLongestNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	environment, app := "a"+strings.Repeat("-", deployment.MaxEnvironment-2)+"b", strings.Repeat("w", deployment.MaxApp)
	f.yaml += "  - {name: " + environment + ", target: {type: fake}}\n"
	one := f.push(image(t, 1, nil), "one")
	r := f.must(deploy.Request{App: app, Environment: environment, Tag: "one"})
	if newest, there, err := f.records().Newest(t.Context(), environment, app); err != nil || !there || newest.Image.Digest != one.Digest || newest.ID != r.Record.ID {
		t.Errorf("the newest record is %+v, %t, %v", newest, there, err)
	}
}
