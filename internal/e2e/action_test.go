package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/e2e/ghactions"
)

const sampleWorkflow = "../../examples/monorepo/.github/workflows/ship.yml"

// actionJob is a job of GitHub Actions that has checked the sample monorepo out.
type actionJob struct {
	t       *testing.T
	subject string // of the tokens that it gets
	event   string
	with    map[string]string
	env     []string
	dir     string
	before  string // the commit before the push
}

// newActionJob makes the monorepo with two commits, the second of which changes the library money. The paths are those that
// stay in it.
func newActionJob(t *testing.T, with map[string]string, paths ...string) *actionJob {
	t.Helper()
	for _, tool := range []string{"bash", "curl", "git"} {
		berthproc.Tool(t, tool)
	}
	j := &actionJob{t: t, subject: actionsMain, event: "push", with: with, dir: t.TempDir(), env: berthproc.CleanEnvironment(t)}
	for _, path := range append(paths, ".gitignore", ".dockerignore", "berth.yaml", "go.work") {
		file := filepath.Join("../../examples/monorepo", path)
		if info, err := os.Stat(file); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			if err := os.CopyFS(filepath.Join(j.dir, path), os.DirFS(file)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(j.dir, path), string(text))
	}
	j.git("init", "--quiet", "--initial-branch=main")
	j.commit("a monorepo")
	j.before = j.git("rev-parse", "HEAD")
	money := filepath.Join(j.dir, "libs/money/money.go")
	text, err := os.ReadFile(money)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, money, string(text)+"\n// changed\n")
	j.commit("money: changed")
	return j
}

func (j *actionJob) git(args ...string) string {
	j.t.Helper()
	cmd := exec.CommandContext(j.t.Context(), "git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-C", j.dir}, args...)...)
	cmd.Env = append(berthproc.CleanEnvironment(j.t), "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		j.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (j *actionJob) commit(message string) {
	j.t.Helper()
	j.git("add", "--all")
	j.git("commit", "--quiet", "--message", message)
}

// do runs the action of this repository. The token is signed by whom the server trusts as GitHub.
func (j *actionJob) do(s *berthproc.Server, token func(subject string) string) *ghactions.Result {
	j.t.Helper()
	action, err := ghactions.Load("../..")
	if err != nil {
		j.t.Fatal(err)
	}
	const secret = "the-token-that-asks-for-tokens"
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer "+secret || r.URL.Query().Get("audience") != "sts.amazonaws.com" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		signed := token(j.subject)
		if s != nil {
			s.Secret(signed)
		}
		if _, err := fmt.Fprintf(w, `{"count":%d,"value":"%s"}`, len(signed), signed); err != nil {
			j.t.Error(err)
		}
	}))
	defer github.Close()
	event := filepath.Join(j.t.TempDir(), "event.json")
	writeFile(j.t, event, `{"ref": "refs/heads/main", "before": "`+j.before+`", "repository": {"full_name": "my-org/hoopstat-haus", "default_branch": "main"}}`)
	res, err := action.Do(j.t.Context(), ghactions.Run{
		With: j.with, Workspace: j.dir, Temp: j.t.TempDir(),
		Env: append(j.env, "CI=true", "GITHUB_EVENT_NAME="+j.event, "GITHUB_EVENT_PATH="+event, "GITHUB_REF=refs/heads/main", "GITHUB_SHA="+j.git("rev-parse", "HEAD"),
			"GITHUB_SERVER_URL=https://github.com", "GITHUB_REPOSITORY=my-org/hoopstat-haus", "GITHUB_RUN_ID=77", "GITHUB_RUN_ATTEMPT=1", "GITHUB_ACTOR=mona",
			"GITHUB_WORKFLOW_REF=my-org/hoopstat-haus/.github/workflows/ship.yml@refs/heads/main", "NO_PROXY=127.0.0.1", "AWS_EC2_METADATA_DISABLED=true",
			"ACTIONS_ID_TOKEN_REQUEST_URL="+github.URL+"/?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+secret),
	})
	if err != nil {
		j.t.Fatal(err)
	}
	if strings.Contains(res.Spoken, secret) || strings.Contains(res.Spoken, "eyJ") {
		j.t.Errorf("a token was printed:\n%s", res.Spoken)
	}
	return res
}

// TestActionDetects builds berth as the action does where nothing else is said, and detects what a push changed.
func TestActionDetects(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	j := newActionJob(t, map[string]string{"command": "detect"}, "apps", "libs")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} { // those of the machine: a whole build takes minutes
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		j.env = append(j.env, name+"="+strings.TrimSpace(string(out)))
	}
	j.env = append(j.env, "GOOS=plan9", "GOFLAGS=-mod=vendor", "GOWORK="+filepath.Join(j.dir, "go.work")) // for the monorepo, say
	res := j.do(nil, func(string) string { return "" })
	if res.Code != 0 {
		t.Fatalf("the action ended with %d\n%s", res.Code, res.Log)
	}
	if diff := cmp.Diff([]string{"go", "build", "berth"}, res.Ran); diff != "" {
		t.Errorf("the steps that ran (-want +got):\n%s", diff)
	}
	var matrix struct{ Include []struct{ Name string } }
	if err := json.Unmarshal([]byte(res.Outputs["matrix"]), &matrix); err != nil || len(matrix.Include) != 4 {
		t.Errorf("matrix is %s, %v, want 4 projects", res.Outputs["matrix"], err)
	}
	program := res.Outputs["berth"]
	if out, err := exec.CommandContext(t.Context(), program, "version").CombinedOutput(); err != nil {
		t.Errorf("%s version: %v\n%s", program, err, out)
	}
	want := map[string]string{
		"any": "true", "apps": `["calculator","dbtool","flaky"]`, "libs": `["money"]`, "images": `["calculator","flaky"]`,
		"digests": "", "summary": "", "matrix": res.Outputs["matrix"], "berth": program,
	}
	if diff := cmp.Diff(want, res.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}

// TestActionSetsGoUp: where a runner has no Go, the action has another get the one that go.mod asks for.
func TestActionSetsGoUp(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "bash")
	action, err := ghactions.Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, tool := range []string{"bash", "mktemp"} {
		path := berthproc.Tool(t, tool)
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	var given map[string]string
	res, err := action.Do(t.Context(), ghactions.Run{
		Workspace: t.TempDir(), Temp: t.TempDir(), Env: []string{"PATH=" + bin},
		Uses: map[string]func(map[string]string) error{"actions/setup-go@v6": func(with map[string]string) error { given = with; return nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"go-version-file": filepath.Join(action.Dir, "go.mod"), "cache": "false"}, given); diff != "" {
		t.Errorf("setup-go was given (-want +got):\n%s\n%s", diff, res.Log)
	}
	if res.Code != 127 { // since nobody has set it up
		t.Errorf("the build ended with %d\n%s", res.Code, res.Log)
	}
}

// TestActionLogsIn has the job's token exchanged at a real server, for a push to main and for what the role does not trust.
func TestActionLogsIn(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	s, token := startTrusting(t)
	s.CreateRepositories("hoopstat-haus/prod")
	trusted := makeActionsRoles(t, s, actionsAccount(t, s))
	j := newActionJob(t, map[string]string{
		"berth": berthproc.Binary(t), "command": "images ls", "args": "hoopstat-haus/prod --output json",
		"registry-url": s.URL, "role-to-assume": trusted.web, "aws-region": s.Exports()["AWS_REGION"],
	}, "libs")
	res := j.do(s, token)
	if res.Code != 0 || !strings.Contains(res.Log, `"repositoryName": "hoopstat-haus/prod"`) || len(res.Masks) != 1 {
		t.Errorf("berth images ls ended with %d\n%s", res.Code, res.Log)
	}
	j.subject = actionsPull
	res = j.do(s, token)
	if res.Code != 1 || !strings.Contains(res.Log, "Not authorized to perform sts:AssumeRoleWithWebIdentity") {
		t.Errorf("berth images ls of a pull request ended with %d\n%s", res.Code, res.Log)
	}
}

// TestActionShips runs the jobs of the example workflow on a part of the sample monorepo, which needs no base image.
func TestActionShips(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	if out, err := exec.CommandContext(t.Context(), berthproc.Binary(t), "ship", "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "--no-push") {
		t.Skipf("berth ship is not there yet: berth ship --help says %.60q", out)
	}
	workflow, err := ghactions.LoadWorkflow(sampleWorkflow)
	if err != nil {
		t.Fatal(err)
	}
	d := newDocker(t)
	s, token := startTrusting(t)
	s.CreateRepositories("hoopstat-haus/prod")
	trusted := makeActionsRoles(t, s, actionsAccount(t, s))
	given := func(job string) map[string]string {
		steps := workflow.Jobs[job].Steps
		with := map[string]string{"berth": berthproc.Binary(t)}
		for name, value := range steps[len(steps)-1].With {
			with[name] = fmt.Sprint(value)
		}
		return with
	}
	j := newActionJob(t, nil, "apps/calculator", "apps/dbtool", "libs/money")
	writeFile(t, filepath.Join(j.dir, "berth.yaml"), `repository: hoopstat-haus/prod
apps: [apps/*]
libs: [libs/*]
test:
  go: go test ./...
projects:
  calculator:
    test: go test ./... && CGO_ENABLED=0 go build -trimpath -o dist/calculator .
`)
	j.commit("no base images")
	j.env = append(j.env, d.env...)

	// A pull request: tested and built, nothing pushed, no token.
	j.event, j.with = "pull_request", given("test")
	res := j.do(s, token)
	if res.Code != 0 || len(res.Masks) != 0 {
		t.Fatalf("the pull request's job ended with %d\n%s", res.Code, res.Log)
	}
	if tags := shippedTags(t, s); len(tags) != 0 {
		t.Errorf("the pull request's job pushed %q", tags)
	}
	// The push; and again, when there is nothing to do. There is no scanner.
	j.event, j.with = "push", given("ship")
	maps.Copy(j.with, map[string]string{"registry-url": s.URL, "role-to-assume": trusted.web, "aws-region": s.Exports()["AWS_REGION"], "args": "--unscanned pass"})
	for _, want := range []struct{ any, images string }{{"true", `["calculator"]`}, {"false", `[]`}} {
		res := j.do(s, token)
		if res.Code != 0 {
			t.Fatalf("the push's job ended with %d\n%s", res.Code, res.Log)
		}
		if res.Outputs["any"] != want.any || res.Outputs["images"] != want.images || res.Outputs["summary"] == "" || res.Summary == "" {
			t.Errorf("outputs %q, want %+v; the page is %q", res.Outputs, want, res.Summary)
		}
		tags := shippedTags(t, s)
		if diff := cmp.Diff([]string{"calculator-" + j.git("rev-parse", "HEAD"), "calculator-latest"}, tags); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
	}
}

// shippedTags lists the tags of the repository, sorted.
func shippedTags(t *testing.T, s *berthproc.Server) []string {
	t.Helper()
	sh := newShell(t, s)
	out := sh.run(berthproc.Binary(t), "images", "ls", "hoopstat-haus/prod", "--query", "sort(imageDetails[].imageTags[])", "--output", "json")
	var tags []string
	if err := json.Unmarshal([]byte(out), &tags); err != nil {
		t.Fatalf("berth images ls printed %s: %v", out, err)
	}
	return tags
}
