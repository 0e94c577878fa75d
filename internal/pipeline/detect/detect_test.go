package detect_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
)

const (
	zeros   = "0000000000000000000000000000000000000000"
	nowhere = "0123456789012345678901234567890123456789"
	all     = "money calculator! dbtool flaky! greeting pricing report! web!"
)

// outcome is what is wanted: the projects, those with a ! behind are built too, and what is said.
type outcome struct {
	method   detect.Method
	affected string
	says     []string // parts of notes, or of the reason
}

func push(before string) ci.Run {
	return ci.Run{System: "GitHub Actions", Event: "push", Push: true, Base: before}
}

func pull(base string) ci.Run {
	return ci.Run{System: "GitHub Actions", Event: "pull_request", Base: base}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		setUp func(t *testing.T) (*repo, detect.Request)
		want  outcome
	}{
		{"the first commit", func(t *testing.T) (*repo, detect.Request) {
			return monorepo(t), detect.Request{}
		}, outcome{detect.Everything, all, []string{"it is the first commit"}}},

		{"no commit yet", func(t *testing.T) (*repo, detect.Request) {
			r := newRepo(t)
			r.copySample("")
			return r, detect.Request{}
		}, outcome{detect.Everything, all, []string{"there is no commit yet"}}},

		{"a submodule where apps are, and settings behind a link", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("update-index", "--add", "--cacheinfo", "160000,"+nowhere+",apps/other")
			r.git("mv", "berth.yaml", "settings.yaml")
			if err := os.Symlink("settings.yaml", filepath.Join(r.dir, "berth.yaml")); err != nil {
				t.Fatal(err)
			}
			r.git("add", "berth.yaml")
			r.git("commit", "--quiet", "--message", "link")
			r.replace("settings.yaml", "{app}-latest", "{app}-newest")
			r.git("add", "settings.yaml")
			r.git("commit", "--quiet", "--message", "other tags")
			return r, detect.Request{Base: "HEAD~1", Head: "HEAD"}
		}, outcome{detect.Everything, all, []string{"apps/other is a submodule", "berth.yaml is a link"}}},

		{"a tag that is called like the default branch", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("checkout", "--quiet", "-b", "feature")
			r.touch("apps/web/server.js")
			r.git("tag", "main")
			r.touch("apps/flaky/index.js")
			return r, detect.Request{}
		}, outcome{detect.SinceAncestor, "flaky! web!", nil}},

		{"one library", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("libs/money/money.go")
			return r, detect.Request{Base: "HEAD~1", Head: "HEAD"}
		}, outcome{detect.SinceAncestor, "money calculator! dbtool flaky!", nil}},

		{"nothing", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("README.md")
			return r, detect.Request{Base: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "", nil}},

		{"tests and documents are in no image", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/report/test_report.py", "libs/greeting/index.test.js", "apps/flaky/README.md")
			return r, detect.Request{Base: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "flaky greeting report web", nil}},

		{"a Dockerfile, and what is ignored", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/flaky/Dockerfile", ".dockerignore")
			return r, detect.Request{Base: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "flaky! report! web!", nil}},

		{"what is not committed", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.write("apps/flaky/index.js", "changed")
			r.write("apps/web/server.js", "staged")
			r.git("add", "apps/web")
			r.write("libs/pricing/new.py", "untracked")
			r.write("apps/calculator/dist/calculator", "ignored")
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.SinceAncestor, "flaky! pricing report web!", nil}},

		{"what is not committed does not count with a head", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/web/server.js")
			r.write("apps/flaky/index.js", "changed")
			r.write("berth.yaml", "nonsense")
			return r, detect.Request{Base: "HEAD~1", Head: "main"}
		}, outcome{detect.SinceAncestor, "web!", nil}},

		{"a file that goes from one to another", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("mv", "libs/pricing/pricing/__init__.py", "libs/greeting/prices.py")
			r.commit("rename")
			return r, detect.Request{Base: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "greeting pricing report! web", nil}},

		{"a library that goes", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("rm", "-r", "--quiet", "libs/greeting")
			r.commit("delete")
			return r, detect.Request{Base: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "web!", []string{"there is no libs/greeting", "removed libs/greeting"}}},

		{"a library that goes and is not committed", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			if err := os.RemoveAll(filepath.Join(r.dir, "libs/greeting")); err != nil {
				t.Fatal(err)
			}
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.SinceAncestor, "web!", []string{"removed libs/greeting"}}},

		{"an app that is new", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.write("apps/new/Dockerfile", "FROM scratch\n")
			r.commit("new")
			return r, detect.Request{Base: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "new!", nil}},

		{"the commit before, on main", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/web/server.js")
			r.touch("apps/flaky/index.js")
			return r, detect.Request{}
		}, outcome{detect.SinceAncestor, "flaky!", []string{"HEAD is in main: it is compared with its first parent"}}},

		{"a merge", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("switch", "--quiet", "--create", "topic")
			r.touch("apps/web/server.js")
			r.touch("libs/pricing/pricing/__init__.py")
			r.git("switch", "--quiet", "main")
			r.touch("apps/flaky/index.js")
			r.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
			return r, detect.Request{}
		}, outcome{detect.SinceAncestor, "pricing report! web!", []string{"HEAD is in main: it is compared with its first parent"}}},

		{"a branch, and main went on", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("switch", "--quiet", "--create", "topic")
			r.touch("apps/web/server.js")
			r.git("switch", "--quiet", "main")
			r.touch("apps/flaky/index.js")
			r.git("switch", "--quiet", "topic")
			return r, detect.Request{}
		}, outcome{detect.SinceAncestor, "web!", nil}},

		{"a clone's own commits", func(t *testing.T) (*repo, detect.Request) {
			c := monorepo(t).clone()
			c.touch("apps/web/server.js")
			c.touch("apps/flaky/index.js")
			return c, detect.Request{}
		}, outcome{detect.SinceAncestor, "flaky! web!", nil}},

		{"a push", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			before := r.touch("README.md")
			r.touch("apps/web/server.js")
			r.touch("apps/flaky/index.js")
			return r.clone(), detect.Request{Run: push(before)}
		}, outcome{detect.SinceAncestor, "flaky! web!", nil}},

		{"a push with force", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			before := r.touch("libs/pricing/pricing/__init__.py")
			r.git("reset", "--quiet", "--hard", "HEAD~1")
			r.touch("apps/web/server.js")
			return r, detect.Request{Base: before, Run: push(before)}
		}, outcome{detect.Rewritten, "pricing report! web!", []string{"as after a force-push: what it lost counts as changed too"}}},

		{"a push with force to an earlier commit", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			before := r.touch("apps/web/server.js")
			r.git("reset", "--quiet", "--hard", "HEAD~1")
			return r, detect.Request{Run: push(before)}
		}, outcome{detect.Rewritten, "web!", []string{"as after a force-push"}}},

		{"a push with force, and what was before is not here", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/web/server.js")
			return r, detect.Request{Run: push(nowhere)}
		}, outcome{detect.Everything, all, []string{"the base 0123456789 is not here any more, as after a force-push"}}},

		{"a base that has the head", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/web/server.js")
			return r, detect.Request{Base: "main", Head: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "", []string{"there is nothing that HEAD~1 brings"}}},

		{"a new branch", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/flaky/index.js")
			c := r.clone()
			c.git("switch", "--quiet", "--create", "topic")
			c.touch("apps/web/server.js")
			return c, detect.Request{Run: push(zeros)}
		}, outcome{detect.SinceAncestor, "web!", []string{"the base is all zeros, so the branch is new: it is compared with origin/main"}}},

		{"a new branch with nothing new", func(t *testing.T) (*repo, detect.Request) {
			c := monorepo(t).clone()
			c.git("switch", "--quiet", "--create", "topic")
			return c, detect.Request{Base: zeros}
		}, outcome{detect.Everything, all, []string{"the branch is new, and there is no other that it left"}}},

		{"a shallow clone", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			before := r.touch("apps/flaky/index.js")
			r.touch("apps/web/server.js")
			return r.clone("--depth=1"), detect.Request{Run: push(before)}
		}, outcome{detect.Everything, all, []string{"is not in this shallow clone: fetch more of the history (fetch-depth: 0 in actions/checkout)"}}},

		{"a shallow clone, asked for nothing", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/web/server.js")
			return r.clone("--depth=1"), detect.Request{}
		}, outcome{detect.Everything, all, []string{"the clone is shallow and ends with"}}},

		{"a shallow clone that has the base", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			before := r.touch("apps/flaky/index.js")
			r.touch("apps/web/server.js")
			return r.clone("--depth=2"), detect.Request{Run: push(before)}
		}, outcome{detect.SinceAncestor, "web!", nil}},

		{"a shallow clone that has the base, and not what is between", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			before := r.touch("apps/flaky/index.js")
			r.touch("apps/web/server.js")
			r.touch("libs/pricing/pricing/__init__.py")
			r.git("config", "uploadpack.allowAnySHA1InWant", "true")
			c := r.clone("--depth=1")
			c.git("fetch", "--quiet", "--depth=1", "origin", before)
			return c, detect.Request{Run: push(before)}
		}, outcome{detect.Trees, "pricing report! web!", []string{"is not in this shallow clone: their files are compared directly"}}},

		{"a pull request", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("switch", "--quiet", "--create", "topic")
			r.touch("apps/web/server.js")
			r.git("switch", "--quiet", "main")
			base := r.touch("apps/flaky/index.js")
			r.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
			return r, detect.Request{Run: pull(base)}
		}, outcome{detect.SinceAncestor, "web!", nil}},

		{"a pull request in a shallow clone of its merge", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("switch", "--quiet", "--create", "topic")
			r.touch("apps/web/server.js")
			r.git("switch", "--quiet", "main")
			old := r.touch("libs/money/money.go")
			r.touch("apps/flaky/index.js")
			r.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
			run := pull(old) // main went on after the event
			run.Merge = r.git("rev-parse", "HEAD")
			return r.clone("--depth=2"), detect.Request{Run: run}
		}, outcome{detect.SinceAncestor, "web!", nil}},

		{"a pull request whose own last commit is a merge", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			base := r.git("rev-parse", "HEAD")
			r.git("switch", "--quiet", "--create", "topic")
			r.touch("apps/web/server.js")
			r.git("switch", "--quiet", "main")
			r.touch("apps/flaky/index.js")
			r.git("switch", "--quiet", "topic")
			r.git("merge", "--quiet", "--no-ff", "--no-edit", "main")
			run := pull(base)
			run.Merge = nowhere
			return r, detect.Request{Run: run}
		}, outcome{detect.SinceAncestor, "flaky! web!", nil}},

		{"no history in common", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.git("switch", "--quiet", "--orphan", "other")
			r.copySample("")
			r.commit("another beginning")
			return r, detect.Request{Base: "main"}
		}, outcome{detect.Everything, all, []string{"have no history in common"}}},

		{"a monorepo in a directory of a repository", func(t *testing.T) (*repo, detect.Request) {
			r := newRepo(t)
			r.copySample("mono")
			r.write("apps/web/server.js", "another")
			r.commit("first")
			r.write("apps/web/server.js", "another one")
			r.touch("mono/apps/flaky/index.js")
			r.dir = filepath.Join(r.dir, "mono")
			return r, detect.Request{Base: "HEAD~1", Head: "HEAD"}
		}, outcome{detect.SinceAncestor, "flaky!", nil}},

		{"how a project is tested", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.replace("berth.yaml", "python3 -m unittest discover", "python3 -m unittest discover -v")
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.SinceAncestor, "pricing report", nil}},

		{"what a test gets and may take", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.replace("berth.yaml", "  web:\n", "  web:\n    test_env: [GITHUB_TOKEN]\n    test_timeout: 10m\n")
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.SinceAncestor, "web", nil}},

		{"how an app is built", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.replace("berth.yaml", "local/rootfs:1", "local/rootfs:2")
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.SinceAncestor, "web!", nil}},

		{"a gate", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.replace("berth.yaml", "severity: critical", "severity: high")
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.SinceAncestor, "", nil}},

		{"other tags", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.replace("berth.yaml", "{app}-latest", "{app}-newest")
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.Everything, all, []string{"berth.yaml has other tags, or another repository"}}},

		{"a berth.yaml that is new", func(t *testing.T) (*repo, detect.Request) {
			r := newRepo(t)
			r.write("README.md", "")
			r.commit("first")
			r.copySample("")
			r.commit("a monorepo")
			return r, detect.Request{}
		}, outcome{detect.Everything, all, []string{"berth.yaml is new"}}},

		{"a berth.yaml that made no sense", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			good := r.read("berth.yaml")
			r.write("berth.yaml", "nonsense")
			r.commit("nonsense")
			r.write("berth.yaml", good)
			return r, detect.Request{Base: "HEAD"}
		}, outcome{detect.Everything, all, []string{"makes no sense, so what it said is not known"}}},

		{"odd names", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			r.touch("apps/flaky/-rf", "apps/flaky/new\nline", "apps/web/tab\t\"quote\" ünï.js", "libs/pricing/ ")
			return r, detect.Request{Base: "HEAD~1"}
		}, outcome{detect.SinceAncestor, "flaky pricing report web", nil}},

		{"a Dockerfile that is a link", func(t *testing.T) (*repo, detect.Request) {
			r := monorepo(t)
			if err := os.Remove(filepath.Join(r.dir, "apps/flaky/Dockerfile")); err != nil {
				t.Fatal(err)
			}
			r.write("docker/Dockerfile", "FROM scratch\nCOPY index.js /\n")
			if err := os.Symlink("../../docker/Dockerfile", filepath.Join(r.dir, "apps/flaky/Dockerfile")); err != nil {
				t.Fatal(err)
			}
			r.commit("link")
			r.touch("apps/flaky/index.test.js")
			return r, detect.Request{Base: "HEAD~1", Head: "HEAD"}
		}, outcome{detect.SinceAncestor, "flaky", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, req := tt.setUp(t)
			req.Dir = r.dir
			got, err := detect.Run(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			check(t, got, tt.want)
		})
	}
}

func check(t *testing.T, got *detect.Result, want outcome) {
	t.Helper()
	var names []string
	for _, a := range got.Affected {
		name := a.Name
		if a.Build {
			name += "!"
		}
		names = append(names, name)
		if len(a.Reasons) == 0 || a.Reasons[0].String() == "" {
			t.Errorf("%s is affected for no reason", a.Name)
		}
	}
	if affected := strings.Join(names, " "); affected != want.affected {
		t.Errorf("affected are %q, want %q", affected, want.affected)
		for _, a := range got.Affected {
			t.Log(a.Name, a.Reasons)
		}
	}
	if got.Comparison.Method != want.method {
		t.Errorf("method %s, want %s", got.Comparison.Method, want.method)
	}
	said := append([]string{got.Comparison.Why}, got.Notes...)
	for _, dir := range got.Removed {
		said = append(said, "removed "+dir)
	}
	text := strings.Join(said, "\n")
	for _, part := range want.says {
		if !strings.Contains(text, part) {
			t.Errorf("said is\n%s\nwant %q", text, part)
		}
	}
	if len(want.says) == 0 && text != "" {
		t.Errorf("said is %q, want nothing", text)
	}
}

func TestDetectRefuses(t *testing.T) {
	t.Parallel()
	r := monorepo(t)
	empty := newRepo(t)
	plain := &repo{t, t.TempDir()}
	plain.write("berth.yaml", "repository: p\napps: [a]\n")
	early := newRepo(t)
	early.commit("nothing")
	early.copySample("")
	for _, tt := range []struct {
		name string
		req  detect.Request
		want error
	}{
		{"a base that is not there", detect.Request{Dir: r.dir, Base: "origin/mian"}, detect.ErrRevision},
		{"a head that is not there", detect.Request{Dir: r.dir, Head: nowhere}, detect.ErrRevision},
		{"a base that is an option", detect.Request{Dir: r.dir, Base: "--output=x"}, detect.ErrRevision},
		{"a head that is an option", detect.Request{Dir: r.dir, Head: "-h"}, detect.ErrRevision},
		{"no workspace", detect.Request{Dir: empty.dir}, detect.ErrNoWorkspace},
		{"no workspace in that commit", detect.Request{Dir: early.dir, Head: "HEAD"}, detect.ErrNoWorkspace},
		{"no repository", detect.Request{Dir: plain.dir}, git.ErrNoRepository},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := detect.Run(t.Context(), tt.req); !errors.Is(err, tt.want) {
				t.Errorf("Run = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestChanges has each kind of change in what is reported.
func TestChanges(t *testing.T) {
	t.Parallel()
	r := monorepo(t)
	r.git("mv", "apps/web/server.js", "apps/web/main.js")
	r.git("rm", "--quiet", "libs/money/money_test.go")
	r.write("libs/pricing/added.py", "x = 1\n")
	r.git("add", "--all")
	r.write("apps/flaky/untracked.js", "")
	r.write("apps/flaky/index.js", "")
	got, err := detect.Run(t.Context(), detect.Request{Dir: filepath.Join(r.dir, "apps", "web"), Base: "HEAD"})
	if err != nil {
		t.Fatal(err)
	}
	want := []git.Change{
		{Path: "apps/flaky/index.js", Kind: git.Modified},
		{Path: "apps/flaky/untracked.js", Kind: git.Untracked},
		{Path: "apps/web/main.js", From: "apps/web/server.js", Kind: git.Renamed},
		{Path: "libs/money/money_test.go", Kind: git.Deleted},
		{Path: "libs/pricing/added.py", Kind: git.Added},
	}
	if diff := cmp.Diff(want, got.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
