package detect_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repo is a real git repository in a temporary directory.
type repo struct {
	t   *testing.T
	dir string
}

// newRepo makes an empty one whose branch is main.
func newRepo(t *testing.T) *repo {
	t.Helper()
	r := &repo{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main", "--template=")
	return r
}

// monorepo makes one with the sample monorepo in a first commit.
func monorepo(t *testing.T) *repo {
	t.Helper()
	r := newRepo(t)
	r.copySample("")
	r.commit("a monorepo")
	return r
}

// copySample copies the sample monorepo, without what its tests and builds leave.
func (r *repo) copySample(to string) {
	r.t.Helper()
	from := filepath.Join("..", "..", "..", "examples", "monorepo")
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "dist" || base == "node_modules" || base == "__pycache__" {
				return fs.SkipDir
			}
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, name)
		if err == nil {
			r.write(filepath.Join(to, inside), string(text))
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// git runs git and gives what it says.
func (r *repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-11-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-11-01T00:00:00Z",
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always", "GIT_CONFIG_KEY_1=maintenance.auto", "GIT_CONFIG_VALUE_1=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) read(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *repo) replace(name, old, new string) {
	r.t.Helper()
	text := r.read(name)
	if !strings.Contains(text, old) {
		r.t.Fatalf("%s does not contain %q", name, old)
	}
	r.write(name, strings.ReplaceAll(text, old, new))
}

// commit commits all there is, and gives the commit.
func (r *repo) commit(message string) string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "--message", message)
	return r.git("rev-parse", "HEAD")
}

// touch changes files and commits that.
func (r *repo) touch(names ...string) string {
	r.t.Helper()
	for _, name := range names {
		old := ""
		if text, err := os.ReadFile(filepath.Join(r.dir, name)); err == nil {
			old = string(text)
		}
		r.write(name, old+"\n")
	}
	return r.commit("touch " + strings.Join(names, " "))
}

// clone clones it with the options of git clone.
func (r *repo) clone(options ...string) *repo {
	r.t.Helper()
	c := &repo{r.t, r.t.TempDir()}
	c.git(append(append([]string{"clone", "--quiet"}, options...), "file://"+r.dir, ".")...)
	return c
}
