//go:build unix

package ghactions_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/e2e/ghactions"
)

const (
	requestToken = "request-token-that-nobody-sees"
	role         = "arn:aws:iam::123456789012:role/github-push"
)

// Written are the outputs that berth writes, and not the step's script.
var written = map[string][]string{"berth": {"any", "apps", "libs", "images", "matrix", "digests", "summary"}}

func load(t *testing.T) *ghactions.Action {
	t.Helper()
	berthproc.Tool(t, "bash")
	a, err := ghactions.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestActionHasNoProblems(t *testing.T) {
	t.Parallel()
	for _, problem := range load(t).Problems(written) {
		t.Error(problem)
	}
}

// job is a job of which the action is a step, with a berth that notes how it was called.
type job struct {
	t      *testing.T
	dir    string // what berth noted
	run    ghactions.Run
	tokens atomic.Int32 // how many were asked for
	refuse int          // the answer to whoever asks for one, if it is not 0
}

// noting is the program: it notes its arguments, environment, and what the token's file has.
const noting = `#!/usr/bin/env bash
set -e
printf '%s\n' "$@" >"$NOTES/args"
env >"$NOTES/env"
pwd >"$NOTES/pwd"
if [ -n "$AWS_WEB_IDENTITY_TOKEN_FILE" ]; then
	stat -c %a "$AWS_WEB_IDENTITY_TOKEN_FILE" "$(dirname "$AWS_WEB_IDENTITY_TOKEN_FILE")" >"$NOTES/modes"
	cp "$AWS_WEB_IDENTITY_TOKEN_FILE" "$NOTES/token"
fi
printf 'images=["a","b"]\n' >>"$GITHUB_OUTPUT"
echo "# Shipped" >>"$GITHUB_STEP_SUMMARY"
`

func newJob(t *testing.T, program string, with ...string) *job {
	t.Helper()
	berthproc.Tool(t, "curl")
	j := &job{t: t, dir: t.TempDir()}
	server := httptest.NewServer(http.HandlerFunc(j.token))
	t.Cleanup(server.Close)
	bin := filepath.Join(t.TempDir(), "my tools", "berth")
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, []byte(program), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	j.run = ghactions.Run{
		With: map[string]string{"berth": bin}, Workspace: t.TempDir(), Temp: t.TempDir(),
		Env: append(berthproc.CleanEnvironment(t), "NOTES="+j.dir, "GITHUB_EVENT_NAME=push", "GITHUB_RUN_ID=77", "NO_PROXY=127.0.0.1",
			"ACTIONS_ID_TOKEN_REQUEST_URL="+server.URL+"/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+requestToken,
			"AWS_ACCESS_KEY_ID=AKIAOLD", "AWS_SECRET_ACCESS_KEY=old", "AWS_SESSION_TOKEN=old", "AWS_PROFILE=old"),
	}
	for i := 0; i < len(with); i += 2 {
		j.run.With[with[i]] = with[i+1]
	}
	return j
}

// token answers as GitHub does whoever asks for the job's token.
func (j *job) token(w http.ResponseWriter, r *http.Request) {
	n := j.tokens.Add(1)
	if j.refuse != 0 {
		http.Error(w, "no", j.refuse)
		return
	}
	if got := r.Header.Get("Authorization"); got != "bearer "+requestToken {
		j.t.Errorf("the token was asked for with Authorization %q", got)
	}
	if q := r.URL.Query(); q.Get("api-version") != "2.0" || q.Get("audience") != "sts.amazonaws.com" {
		j.t.Errorf("the token was asked for at %s", r.URL)
	}
	if _, err := fmt.Fprintf(w, `{"count": 1, "value": "%s"}`, idToken(n)); err != nil {
		j.t.Error(err)
	}
}

func idToken(n int32) string {
	return fmt.Sprintf("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXBvIn0.signature-%d", n)
}

// do runs the action, and looks that nothing is left and no secret was said.
func (j *job) do(ctx context.Context) *ghactions.Result {
	j.t.Helper()
	res, err := load(j.t).Do(ctx, j.run)
	if err != nil {
		j.t.Fatalf("%v\n%s", err, res.Log)
	}
	left, err := os.ReadDir(j.run.Temp)
	if err != nil || len(left) > 0 {
		j.t.Errorf("RUNNER_TEMP has %v left in it, %v", left, err)
	}
	if strings.Contains(res.Spoken, "script.sh: line") {
		j.t.Errorf("bash has something to say about the script:\n%s", res.Spoken)
	}
	for _, secret := range []string{requestToken, "eyJ"} {
		if strings.Contains(res.Spoken, secret) {
			j.t.Errorf("a secret was printed:\n%s", res.Spoken)
		}
	}
	return res
}

// noted gives what the program noted, by line.
func (j *job) noted(name string) []string {
	j.t.Helper()
	text, err := os.ReadFile(filepath.Join(j.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		j.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// environment gives those of the program's variables that an action may have to do with.
func (j *job) environment() []string {
	return slices.DeleteFunc(j.noted("env"), func(v string) bool {
		return !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "INPUT_") && !strings.HasPrefix(v, "ACTIONS_") && !strings.Contains(v, requestToken)
	})
}

func TestShip(t *testing.T) {
	t.Parallel()
	j := newJob(t, noting, "role-to-assume", role, "aws-region", "eu-west-1", "registry-url", "https://registry.example.com", "fail-on", "critical",
		"args", "--jobs 4\n  --rebuild\n", "working-directory", "mono repo")
	if err := os.Mkdir(filepath.Join(j.run.Workspace, "mono repo"), 0o755); err != nil {
		t.Fatal(err)
	}
	res := j.do(t.Context())
	if res.Code != 0 {
		t.Fatalf("the action ended with %d\n%s", res.Code, res.Log)
	}
	if diff := cmp.Diff([]string{"ship", "--fail-on=critical", "--jobs", "4", "--rebuild"}, j.noted("args")); diff != "" {
		t.Errorf("the arguments (-want +got):\n%s", diff)
	}
	if got := j.noted("pwd"); len(got) != 1 || filepath.Base(got[0]) != "mono repo" {
		t.Errorf("it ran in %q", got)
	}
	env := j.environment()
	slices.Sort(env)
	want := []string{
		"AWS_ENDPOINT_URL=https://registry.example.com", "AWS_REGION=eu-west-1", "AWS_ROLE_ARN=" + role, "AWS_ROLE_SESSION_NAME=GitHubActions-77",
		"AWS_WEB_IDENTITY_TOKEN_FILE=",
	}
	if len(env) == len(want) {
		env[len(env)-1] = want[len(want)-1] // wherever that is
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("the environment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"600", "700"}, j.noted("modes")); diff != "" {
		t.Errorf("modes of the token's file and directory (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{idToken(1)}, j.noted("token")); diff != "" {
		t.Errorf("the token (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{idToken(1)}, res.Masks); diff != "" {
		t.Errorf("what the runner was asked to mask (-want +got):\n%s", diff)
	}
	if res.Outputs["images"] != `["a","b"]` || res.Outputs["berth"] != j.run.With["berth"] || res.Summary != "# Shipped\n" {
		t.Errorf("outputs %q, summary %q", res.Outputs, res.Summary)
	}
	if diff := cmp.Diff([]string{"berth"}, res.Ran); diff != "" {
		t.Errorf("with a program given, these steps ran (-want +got):\n%s", diff)
	}
}

func TestWhatIsRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		event  string
		with   []string
		args   []string
		tokens int32
	}{
		"ship to Amazon":              {"push", nil, []string{"ship", "--url", "aws"}, 0},
		"ship to a Berth":             {"push", []string{"registry-url", "https://b.example.com"}, []string{"ship"}, 0},
		"ship with a role":            {"push", []string{"role-to-assume", role, "aws-region", "x"}, []string{"ship", "--url", "aws"}, 1},
		"ship without a push":         {"push", []string{"no-push", "true", "role-to-assume", role}, []string{"ship", "--no-push"}, 0},
		"a pull request":              {"pull_request", []string{"role-to-assume", role, "aws-region", "x"}, []string{"ship", "--no-push"}, 0},
		"one with the base's rights":  {"pull_request_target", []string{"role-to-assume", role, "aws-region", "x"}, []string{"ship", "--no-push"}, 0},
		"detect":                      {"push", []string{"command", "detect", "role-to-assume", role}, []string{"detect", "--output", "github"}, 0},
		"detect, as JSON":             {"push", []string{"command", "detect", "args", "--output json"}, []string{"detect", "--output", "github", "--output", "json"}, 0},
		"two words":                   {"push", []string{"command", " images  ls ", "role-to-assume", role, "aws-region", "x"}, []string{"images", "ls", "--url", "aws"}, 1},
		"what a shell would act upon": {"push", []string{"registry-url", "https://b.example.com", "args", "$(exit) `exit` * ;exit 'a \"b $HOME \\"}, []string{"ship", "$(exit)", "`exit`", "*", ";exit", "'a", `"b`, "$HOME", `\`}, 0},
		"the same as a severity":      {"push", []string{"registry-url", "https://b.example.com", "fail-on", `"; exit $(exit)`}, []string{"ship", `--fail-on="; exit $(exit)`}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, noting, tt.with...)
			j.run.Env = append(j.run.Env, "GITHUB_EVENT_NAME="+tt.event)
			if res := j.do(t.Context()); res.Code != 0 {
				t.Fatalf("the action ended with %d\n%s", res.Code, res.Log)
			}
			if diff := cmp.Diff(tt.args, j.noted("args")); diff != "" {
				t.Errorf("the arguments (-want +got):\n%s", diff)
			}
			if got := j.tokens.Load(); got != tt.tokens {
				t.Errorf("%d tokens were asked for, want %d", got, tt.tokens)
			}
			if env := j.environment(); slices.Contains(env, "AWS_PROFILE=old") != (tt.tokens == 0) {
				t.Errorf("the environment has %q", env)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		with   []string
		env    string
		refuse int
		want   string
	}{
		"no permission":       {[]string{"role-to-assume", role, "aws-region", "x"}, "ACTIONS_ID_TOKEN_REQUEST_URL=", 0, "the job needs the permission id-token: write"},
		"GitHub refuses":      {[]string{"role-to-assume", role, "aws-region", "x"}, "", 403, "the job's token could not be had"},
		"no region":           {[]string{"role-to-assume", role}, "", 0, "aws-region: role-to-assume needs it"},
		"neither nor":         {[]string{"no-push", "yes"}, "", 0, "no-push: it is true or false"},
		"not for detect":      {[]string{"command", "detect", "no-push", "true"}, "", 0, "they are for ship alone"},
		"nor the severity":    {[]string{"command", "detect", "fail-on", "high"}, "", 0, "they are for ship alone"},
		"nothing to do":       {[]string{"command", " "}, "", 0, "command: it is empty"},
		"no program":          {[]string{"berth", "no/such/berth"}, "", 0, "berth: there is no such program"},
		"tokens in the clear": {[]string{"registry-url", "http://registry.example.com"}, "", 0, "it begins with https://"},
		"a name that looks":   {[]string{"registry-url", "http://localhost.example.com:80"}, "", 0, "it begins with https://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, noting, tt.with...)
			j.refuse = tt.refuse
			j.run.Env = append(j.run.Env, tt.env)
			res := j.do(t.Context())
			if res.Code != 2 || !strings.Contains(res.Log, "::error title=Berth::") || !strings.Contains(res.Log, tt.want) {
				t.Errorf("the action ended with %d, want 2, and %q in:\n%s", res.Code, tt.want, res.Log)
			}
			if args := j.noted("args"); args != nil {
				t.Errorf("berth ran: %q", args)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, code := range []int{1, 2, 3} {
		j := newJob(t, fmt.Sprintf("#!/bin/sh\nexit %d\n", code), "role-to-assume", role, "aws-region", "x")
		if res := j.do(t.Context()); res.Code != code {
			t.Errorf("the action ended with %d, want %d\n%s", res.Code, code, res.Log)
		}
	}
}

// TestTokenIsRenewed has a program that runs until its token was renewed, and is halfway through a line all the while.
func TestTokenIsRenewed(t *testing.T) {
	t.Parallel()
	j := newJob(t, `#!/usr/bin/env bash
printf 'half a line'
until grep -q 'signature-[2-9]' "$AWS_WEB_IDENTITY_TOKEN_FILE"; do /bin/sleep 0.01; done
`, "role-to-assume", role, "aws-region", "x")
	quick := t.TempDir()                                                                                                    // where time passes
	if err := os.WriteFile(filepath.Join(quick, "sleep"), []byte("#!/bin/sh\nexec /bin/sleep 0.05\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	j.run.Env = append(j.run.Env, "PATH="+quick+":"+os.Getenv("PATH"))
	res := j.do(t.Context())
	if res.Code != 0 || len(res.Masks) < 2 || res.Masks[1] != idToken(2) {
		t.Errorf("the action ended with %d and masks %q\n%s", res.Code, res.Masks, res.Log)
	}
}

// TestCancelled interrupts the step, as a runner does whose job is cancelled.
func TestCancelled(t *testing.T) {
	t.Parallel()
	j := newJob(t, `#!/usr/bin/env bash
trap 'kill $!; echo ended >"$NOTES/ended"; exit 1' TERM
echo ready >"$NOTES/ready"
/bin/sleep 600 &
wait
`, "role-to-assume", role, "aws-region", "x")
	ready := filepath.Join(j.dir, "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Skipf("no named pipe: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = os.ReadFile(ready) // waits for the program
		cancel()
	}()
	if res := j.do(ctx); res.Code == 0 {
		t.Errorf("the action ended with 0\n%s", res.Log)
	}
	if got := j.noted("ended"); len(got) != 1 {
		t.Errorf("the program was not told to end: %q", got)
	}
}

// TestScriptsAreShell asks a shell's linter where there is one.
func TestScriptsAreShell(t *testing.T) {
	t.Parallel()
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not on PATH")
	}
	for _, s := range load(t).Runs.Steps {
		if s.Run == "" {
			continue
		}
		cmd := exec.CommandContext(t.Context(), shellcheck, "--shell=bash", "-")
		cmd.Stdin = strings.NewReader("set -eo pipefail\n" + s.Run)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the step %s: %v\n%s", s.ID, err, out)
		}
	}
}
