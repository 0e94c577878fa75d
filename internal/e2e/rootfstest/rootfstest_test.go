package rootfstest_test

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/hoopstat-haus/berth/internal/e2e/rootfstest"
)

// TestDebian looks at what other tests rely upon.
func TestDebian(t *testing.T) {
	t.Parallel()
	image := rootfstest.Debian(t)
	if err := validate.Image(image.OCI); err != nil {
		t.Error(err)
	}
	if err := validate.Image(image.Docker, validate.Fast); err != nil {
		t.Error(err)
	}
	for step, want := range map[string]bool{rootfstest.Base: false, rootfstest.Packages: true, rootfstest.Removed: false} {
		installed := image.Installed[step]
		if len(installed) < 80 {
			t.Errorf("after %s dpkg-query said %d packages", step, len(installed))
		}
		if got := slices.ContainsFunc(installed, func(p rootfstest.Package) bool { return p.Name == rootfstest.RemovedPackage }); got != want {
			t.Errorf("after %s, %s is installed: %v, want %v", step, rootfstest.RemovedPackage, got, want)
		}
	}
	want := map[string]string{
		"var/lib/dpkg/status": rootfstest.Base, "etc/os-release": rootfstest.Base, "usr/bin/rsync": rootfstest.Packages,
		"usr/bin/.wh.rsync": rootfstest.Removed, rootfstest.GoProgram: rootfstest.App, "opt/shop/node_modules/lodash/package.json": rootfstest.App,
		"opt/shop/node_modules/.wh.moment": rootfstest.Removed, "var/lib/dpkg/info/.wh.rsync.list": rootfstest.Removed,
	}
	for _, layer := range image.Layers {
		t.Logf("%s: %d bytes", layer.Name, layer.Size)
		r, err := layer.Open()
		if err != nil {
			t.Fatal(err)
		}
		for entries := tar.NewReader(r); ; {
			h, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if name := path.Clean(h.Name); want[name] == layer.Name {
				delete(want, name)
			}
			if strings.HasPrefix(h.Name, "dev/") && h.Name != "dev/" {
				t.Errorf("%s has %s", layer.Name, h.Name)
			}
		}
		r.Close()
	}
	if len(want) > 0 {
		t.Errorf("no layer has %v", want)
	}
}

// TestSmall looks at the images that are made up.
func TestSmall(t *testing.T) {
	t.Parallel()
	if err := validate.Image(rootfstest.Alpine(t)); err != nil {
		t.Error(err)
	}
	if err := validate.Image(rootfstest.Distroless(t)); err != nil {
		t.Error(err)
	}
}
