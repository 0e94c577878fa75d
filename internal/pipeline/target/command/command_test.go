//go:build unix

package command_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/command"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// The test's binary is the user's program too, when this variable names the place.
const placeVariable = "BERTH_TEST_PLACE"

func TestMain(m *testing.M) {
	if script := os.Getenv(deployerVariable); script != "" {
		os.Exit(theDeployer(script))
	}
	if dir := os.Getenv(placeVariable); dir != "" {
		os.Exit(theProgram(dir))
	}
	os.Exit(m.Run())
}

// theProgram keeps what runs in files. What changed it tells at a URL, and ends there if the deployer is dead by then.
func theProgram(dir string) int {
	fail := func(code int, text string) int { fmt.Fprintln(os.Stderr, text); return code }
	told := func() bool {
		url := os.Getenv("BERTH_TEST_TELL")
		if url == "" {
			return true
		}
		answer, err := new(http.Client).Get(url)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return string(text)
	}
	write := func(name, text string) bool {
		if text == "" {
			_ = os.Remove(filepath.Join(dir, name))
		} else if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
		return told()
	}
	if _, err := os.Stat(dir); err != nil {
		return fail(69, "there is no "+dir)
	}
	want, before := os.Getenv("BERTH_DIGEST"), os.Getenv("BERTH_PREVIOUS_DIGEST")
	switch os.Getenv("BERTH_ACTION") {
	case "running":
		fmt.Println(read("current"))
		if begun := read("begun"); begun != "" {
			fmt.Println("begun " + begun)
		}
		return 0
	case "undo":
		want = before
	case "switch":
		if text, err := os.ReadFile(os.Getenv("BERTH_LOGIN_FILE")); err != nil || string(text) != "AWS\nopen sesame\n" {
			return fail(1, "no login")
		}
		if strings.Contains(want, "0bad") {
			return fail(1, "there is no image "+os.Getenv("BERTH_IMAGE"))
		}
		if !write("begun", want) {
			return 9
		}
		if strings.Contains(want, "0e4d") {
			return fail(3, "no database")
		}
	}
	if !write("current", want) || !write("begun", "") {
		return 9
	}
	return 0
}

const theApp, theEnvironment = "web", "staging"

var digests = map[targettest.Behaviour]string{
	targettest.First: "01", targettest.Second: "02", targettest.Third: "03", targettest.Sick: "51c4", targettest.Ending: "0e4d", targettest.Missing: "0bad",
}

func image(b targettest.Behaviour) deploy.Image {
	return deploy.Image{
		App: theApp, Environment: theEnvironment, Repository: "registry.example/shop/web", Digest: oci.Digest("sha256:" + strings.Repeat("0", 64-len(digests[b])) + digests[b]),
		Commit: strings.Repeat("c0", 20), Deployment: "d-1",
		Login: func(context.Context) (string, string, error) { return "AWS", "open sesame", nil },
	}
}

func options(t testing.TB, lines ...string) workspace.Options {
	t.Helper()
	text := "repository: shop\napps: [apps/*]\nenvironments:\n  - name: staging\n    target:\n      type: command\n"
	for _, line := range lines {
		text += "      " + line + "\n"
	}
	f, err := workspace.Parse("berth.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f.Environments[0].Target.Options
}

func open(t testing.TB, env []string, lines ...string) deploy.Target {
	t.Helper()
	target, err := command.Open(t.Context(), command.Config{Options: options(t, lines...), Dir: t.TempDir(), Environ: append(os.Environ(), env...)})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestSuite(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) *targettest.Place {
		dir := t.TempDir()
		self := strconv.Quote(os.Args[0])
		start := func(t testing.TB, dir string, env ...string) deploy.Target {
			return open(t, append(env, placeVariable+"="+dir), "run: ["+self+"]", "running: ["+self+"]")
		}
		serves := func(context.Context) (oci.Digest, error) {
			text, err := os.ReadFile(filepath.Join(dir, "current"))
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return oci.Digest(text), err
		}
		return &targettest.Place{
			Open: func(t testing.TB, during func() bool) deploy.Target {
				if during == nil {
					return start(t, dir)
				}
				var dead atomic.Bool
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if dead.Load() || !during() {
						dead.Store(true)
						w.WriteHeader(http.StatusGone)
					}
				}))
				t.Cleanup(server.Close)
				return &mortal{start(t, dir, "BERTH_TEST_TELL="+server.URL), &dead}
			},
			Gone:   func(t testing.TB) (deploy.Target, error) { return start(t, filepath.Join(dir, "gone")), nil },
			Image:  func(_ testing.TB, b targettest.Behaviour) deploy.Image { return image(b) },
			Serves: serves,
			Check: func(to deploy.Image) deploy.Check {
				return func(ctx context.Context, _ deploy.Endpoint) error {
					if got, err := serves(ctx); err != nil || got != to.Digest || to.Digest == image(targettest.Sick).Digest {
						return fmt.Errorf("%s runs, and is not healthy: %w", got, errors.Join(err, errors.New("cough")))
					}
					return nil
				}
			},
			Left: func(testing.TB) []string {
				left, _ := filepath.Glob(filepath.Join(dir, "begun"))
				return left
			},
			Replaces: true,
			Changes:  true,
		}
	})
}

// mortal is a target whose deployer can be killed: its programs do nothing then, since nobody starts them.
type mortal struct {
	deploy.Target
	dead *atomic.Bool
}

func (m *mortal) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	login := to.Login
	to.Login = func(ctx context.Context) (string, string, error) {
		if m.dead.Load() {
			panic(errKilled)
		}
		return login(ctx)
	}
	return kill(func() error { return m.Target.Switch(ctx, to, check, say) })
}

var errKilled = errors.New("killed")

// kill has a panic of a dead deployer be its end.
func kill(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != errKilled { //nolint:errorlint // what was thrown is what is caught
				panic(p)
			}
			err = errKilled
		}
	}()
	return f()
}

// notes keeps what is said.
type notes struct{ text strings.Builder }

func (n *notes) Event(e progress.Event) { fmt.Fprintf(&n.text, "%s: %s\n", e.Kind, e.Text) }

func TestWhatItIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `printf '%s\n' "$BERTH_ACTION $BERTH_APP $BERTH_ENVIRONMENT $BERTH_IMAGE $BERTH_DIGEST $BERTH_PREVIOUS_DIGEST $BERTH_COMMIT $BERTH_DEPLOYMENT"; ` +
		`ls -l $BERTH_LOGIN_FILE | cut -c1-10; head -1 $BERTH_LOGIN_FILE; printf %s $BERTH_LOGIN_FILE >` + dir + `/login; [ $BERTH_ACTION = undo ]`
	target := open(t, nil, "run: "+strconv.Quote(script), "running: "+strconv.Quote("echo "+image(targettest.First).Digest.String()))
	said := &notes{}
	to := image(targettest.Second)
	err := target.Switch(t.Context(), to, nil, &progress.Task{Project: "web", Step: progress.Deploy, Sink: said, Now: time.Now})
	if _, ok := errors.AsType[*deploy.Undone](err); !ok {
		t.Fatalf("Switch gives %v", err)
	}
	line := func(action string) string {
		return "output: " + action + " web staging " + to.Reference() + " " + to.Digest.String() + " " + image(targettest.First).Digest.String() + " " + to.Commit + " d-1\noutput: -rw-------\noutput: AWS\n"
	}
	want := line("switch") + "note: undoing it: switch: sh ended with 1: AWS\n" + line("undo")
	if diff := cmp.Diff(want, said.text.String()); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	path, err := os.ReadFile(filepath.Join(dir, "login"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the login is there still: %v", err)
	}
}

func TestRunning(t *testing.T) {
	t.Parallel()
	digest := image(targettest.First).Digest
	for line, want := range map[string]string{
		"true":                                "{  }",
		"echo " + digest.String():             "{" + digest.String() + "  }",
		"echo; echo begun " + digest.String(): "{ " + digest.String() + " }",
		"echo " + digest.String() + "; echo two replicas": "{" + digest.String() + "  two replicas}",
		"echo hello":                 "running: it prints hello, which is no digest such as sha256:…, nor an empty line",
		"echo; echo begun later":     "running: it prints begun later, which is no digest such as sha256:…, nor an empty line",
		"exit 69":                    "the target does not answer: running",
		"echo no route >&2; exit 69": "the target does not answer: running: no route",
		"echo no route >&2; exit 1":  "running: sh ended with 1: no route",
	} {
		target := open(t, nil, "run: 'false'", "running: "+strconv.Quote(line))
		r, err := target.Running(t.Context(), theApp, theEnvironment)
		got := fmt.Sprintf("{%s %s %s}", r.Digest, r.Begun, r.Detail)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
		if strings.Contains(line, "69") != errors.Is(err, deploy.ErrUnreachable) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	target := open(t, nil, "run: 'echo cannot run >&2; false'", "undo: 'echo cannot undo >&2; false'", "running: 'true'")
	err := target.Switch(t.Context(), image(targettest.First), nil, &progress.Task{Sink: &notes{}, Now: time.Now})
	want := "switch: sh ended with 1: cannot run; and what ran before could not be put back: undo: sh ended with 1: cannot undo"
	if _, ok := errors.AsType[*deploy.Broken](err); !ok || err.Error() != want {
		t.Errorf("Switch gives %T: %v, want %s", err, err, want)
	}
}

func TestNoLogin(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), rand.Text())
	target := open(t, nil, "run: 'touch "+file+"'", "running: 'true'")
	to, why := image(targettest.First), errors.New("expired")
	to.Login = func(context.Context) (string, string, error) { return "", "", why }
	err := target.Switch(t.Context(), to, nil, &progress.Task{Sink: &notes{}, Now: time.Now})
	if _, isUndone := errors.AsType[*deploy.Undone](err); isUndone || !errors.Is(err, why) {
		t.Errorf("Switch gives %T: %v, want %v", err, err, why)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the program was run without a login")
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	digest := image(targettest.First)
	running := "running: 'echo " + digest.Digest.String() + "'"
	target := open(t, nil, "run: 'false'", running, `address: "{app}.{environment}.example:8080"`)
	var got deploy.Endpoint
	err := target.Switch(t.Context(), digest, func(_ context.Context, at deploy.Endpoint) error { got = at; return nil }, &progress.Task{Sink: &notes{}, Now: time.Now})
	if want := (deploy.Endpoint{Host: "web.staging.example", Port: 8080}); err != nil || got != want {
		t.Errorf("the check is told %+v, %v, want %+v", got, err, want)
	}
	for _, lines := range [][]string{{"running: 'true'"}, {"run: 'true'"}, {"run: 'true'", running, "address: web"}, {"run: 'true'", running, "where: web:80"}} {
		if _, err := command.Open(t.Context(), command.Config{Options: options(t, lines...)}); err == nil {
			t.Errorf("%q opens", lines)
		} else {
			t.Log(err)
		}
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	targettest.Documented(t, "command", command.Options{})
}
