package build_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
)

// TestStopped ends a build in the middle of a RUN: what it started ends, and nothing is left. While it runs, the secret is in no
// argument and no environment of any program.
func TestStopped(t *testing.T) {
	s := newShelf(t)
	onEach(t, func(t *testing.T, m *machine) {
		// A number that no other process has in its arguments.
		nap := "31" + strings.TrimLeft(strings.ReplaceAll(filepath.Base(filepath.Dir(m.temp)), "TestStopped", ""), "/_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
		root := tree(t, map[string]string{"Dockerfile": "FROM base\nRUN echo now-it-\"\"sleeps; sleep " + nap + "\n"})
		ctx, stop := context.WithCancelCause(t.Context())
		why := errors.New("^C")
		out := &tee{want: "now-it-sleeps", seen: make(chan struct{})}
		done := make(chan error, 1)
		b := m.builder(t)
		go func() {
			built, err := b.Build(ctx, build.Spec{Root: root, Context: ".", Dockerfile: "Dockerfile", Bases: map[string]string{"base": s.base()}, Login: s.login, Epoch: epoch}, out)
			if built != nil {
				err = errors.New("it was built")
			}
			done <- err
		}()
		select {
		case <-out.seen:
		case err := <-done:
			t.Fatalf("the build ended: %v\n%s", err, out)
		}
		if found := processes(t, []byte(nap), "cmdline"); len(found) == 0 {
			t.Error("nothing sleeps: this test looks for the wrong thing")
		}
		for _, file := range []string{"cmdline", "environ"} {
			for _, text := range []string{secret, base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))} {
				if found := processes(t, []byte(text), file); len(found) > 0 {
					t.Errorf("the secret is in the %s of %s", file, found)
				}
			}
		}
		private(t, m)
		stop(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("it ended with %v, want the reason why", err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) { // an engine ends it in its own time
			found := processes(t, []byte(nap), "cmdline")
			if len(found) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("still there: %s", found)
			}
		}
		if m.want == "buildah" {
			list := exec.CommandContext(t.Context(), "buildah", "containers", "--quiet")
			list.Env = slices.Concat(os.Environ(), m.env)
			if left, err := list.Output(); err != nil || len(left) > 0 {
				t.Errorf("buildah's containers that are left: %s, %v", left, err)
			}
		}
	})
}

// private checks that only the owner reads what is in the directory of a running build, and that the secret is there, or this
// test would see nothing.
func private(t *testing.T, m *machine) {
	t.Helper()
	found := false
	err := filepath.WalkDir(m.temp, func(name string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		found = found || bytes.Contains(text, []byte(`"auths"`))
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", name, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Error("there is no file with the login")
	}
}

// processes gives those, by name, that have a text in a file of /proc.
func processes(t *testing.T, text []byte, file string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/" + file)
	if err != nil || len(files) == 0 {
		t.Skip("there is no /proc to look at")
	}
	var found []string
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err == nil && bytes.Contains(content, text) {
			found = append(found, strings.ReplaceAll(string(content), "\x00", " "))
		}
	}
	return found
}
