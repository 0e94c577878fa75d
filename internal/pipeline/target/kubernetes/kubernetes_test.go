package kubernetes_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/kubernetes"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/stubtest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

const repository = "registry.example.com/prod"

func image(b targettest.Behaviour) deploy.Image {
	return deploy.Image{App: "calculator", Environment: "staging", Repository: repository, Digest: digests[b], Commit: "c0ffee", Deployment: "d-" + string(b)}
}

func fresh(t testing.TB, kind string) *stub {
	return &stub{t: t, kind: kind, name: "calculator", image: repository + ":placeholder", generation: 7, marks: object{"team": "web"}}
}

func changes(r *http.Request) bool { return r.Method != http.MethodGet }

// soon is for clusters that need little time.
func soon(ctx context.Context, _ time.Duration) error {
	select {
	case <-time.After(10 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kubeconfig writes one whose current context leads nowhere.
func kubeconfig(t testing.TB, at string, certificate []byte, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: elsewhere
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}, {name: e, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: %s}}]
contexts:
- {name: staging, context: {cluster: c, user: u, namespace: web}}
- {name: elsewhere, context: {cluster: e, user: u}}
`, at, base64.StdEncoding.EncodeToString(certificate), token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openWith(t testing.TB, config string, options ...string) deploy.Target {
	t.Helper()
	options = append(options, "context: staging", "kubeconfig: "+config)
	target, err := kubernetes.Open(t.Context(), kubernetes.Config{Options: stubtest.Options(t, "kubernetes", options...), Sleep: soon})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func open(t testing.TB, s http.Handler, during func() bool, options ...string) deploy.Target {
	t.Helper()
	at, certificate := stubtest.SecureProxy(t, s, changes, during)
	return openWith(t, kubeconfig(t, at, certificate, "t0ken"), options...)
}

func check(to deploy.Image) deploy.Check {
	return func(context.Context, deploy.Endpoint) error {
		if to.Digest == digests[targettest.Sick] {
			return errors.New("it coughs")
		}
		return nil
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			targettest.Run(t, func(t *testing.T) *targettest.Place { return place(t, fresh(t, kind)) })
		})
	}
}

func place(_ testing.TB, s *stub) *targettest.Place {
	options := []string{"container: app", "kind: " + s.kind}
	return &targettest.Place{
		Open: func(t testing.TB, during func() bool) deploy.Target {
			return open(t, s, during, options...)
		},
		Gone: func(t testing.TB) (deploy.Target, error) {
			return openWith(t, kubeconfig(t, strings.Replace(stubtest.Gone(t), "http:", "https:", 1), nil, "t0ken"), options...), nil
		},
		Image: func(t testing.TB, b targettest.Behaviour) deploy.Image {
			if s.kind == "CronJob" && (b == targettest.Ending || b == targettest.Missing) {
				t.Skip("what a CronJob's image does is seen when its time comes")
			}
			return image(b)
		},
		Serves: func(context.Context) (oci.Digest, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			_, text, _ := strings.Cut(s.image, "@")
			return oci.Digest(text), nil
		},
		Check: check,
		Left: func(testing.TB) (left []string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, name := range []string{"vnd.berth.begun", "vnd.berth.before"} {
				if v, ok := s.marks[name]; ok {
					left = append(left, fmt.Sprintf("%s=%s", name, v))
				}
			}
			return left
		},
		Replaces: true,
		Changes:  true,
	}
}

type notes struct{ texts []string }

func (n *notes) Event(e progress.Event) { n.texts = append(n.texts, e.Text) }

func switchTo(t testing.TB, target deploy.Target, to deploy.Image) (string, error) {
	t.Helper()
	n := &notes{}
	err := target.Switch(t.Context(), to, check(to), &progress.Task{Sink: n, Now: time.Now})
	return strings.Join(n.texts, "\n"), err
}

func TestAnnotations(t *testing.T) {
	t.Parallel()
	s := fresh(t, "Deployment")
	said, err := switchTo(t, open(t, s, nil, "container: app"), image(targettest.First))
	if err != nil || !strings.Contains(said, "1 of 2 pods are new, 2 available, 2 old ones left") {
		t.Fatalf("Switch gives %v, and says\n%s", err, said)
	}
	want := object{
		"team": "web", "vnd.berth.deployment.id": "d-first", "vnd.berth.deployment.commit": "c0ffee",
		"kubernetes.io/change-cause": "berth: calculator " + digests[targettest.First].String() + " of commit c0ffee",
	}
	if diff := cmp.Diff(want, s.marks); diff != "" || s.image != image(targettest.First).Reference() {
		t.Errorf("it runs %s, its annotations (-want +got):\n%s", s.image, diff)
	}
}

func TestPodsFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  string
		image targettest.Behaviour
		want  string
	}{
		"ends":               {"Deployment", targettest.Ending, "pod calculator-0: container app ended with code 3 (Error) no DATABASE_URL: CrashLoopBackOff: back-off restarting"},
		"cannot be pulled":   {"Deployment", targettest.Missing, "pod calculator-0: container app: ImagePullBackOff: Back-off pulling image"},
		"of a stateful set":  {"StatefulSet", targettest.Ending, "ended with code 3"},
		"of each of a fleet": {"DaemonSet", targettest.Ending, "ended with code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t, c.kind)
			_, err := switchTo(t, open(t, s, nil, "container: app", "kind: "+c.kind), image(c.image))
			if _, undone := errors.AsType[*deploy.Undone](err); !undone || !strings.Contains(err.Error(), c.want) || s.image != repository+":placeholder" {
				t.Errorf("Switch gives %T %v, and %s runs, want %q", err, err, s.image, c.want)
			}
			if removed := len(s.removed); (removed > 0) != (c.kind == "StatefulSet") {
				t.Errorf("%d pods were removed: %q", removed, s.removed)
			}
		})
	}
}

// TestOldRestarts looks that a pod that restarted often, and is ready, is no trouble.
func TestOldRestarts(t *testing.T) {
	t.Parallel()
	s := fresh(t, "Deployment")
	s.restarts = 40
	if _, err := switchTo(t, open(t, s, nil, "container: app"), image(targettest.First)); err != nil {
		t.Errorf("Switch gives %v", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		place  func(s *stub)
		option string
		token  string
		want   string
	}{
		"no workload":       {place: func(s *stub) { s.name = "another" }, want: "there is no Deployment calculator in namespace web"},
		"no such container": {option: "container: web", want: "has no container web, but proxy, app"},
		"which container":   {option: "name: calculator", want: "has the containers proxy, app: the target's container says"},
		"paused":            {place: func(s *stub) { s.spec = object{"paused": true} }, want: "is paused: it would not get the new image"},
		"may not":           {place: func(s *stub) { s.refuses = http.StatusForbidden }, want: `User "ci" cannot patch resource "deployments"`},
		"not known":         {token: "stale", want: "the cluster does not know who asks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t, "Deployment")
			if c.place != nil {
				c.place(s)
			}
			if c.option == "" {
				c.option = "container: app"
			}
			if c.token == "" {
				c.token = "t0ken"
			}
			at, certificate := stubtest.SecureProxy(t, s, changes, nil)
			config := kubeconfig(t, at, certificate, c.token)
			_, err := switchTo(t, openWith(t, config, c.option), image(targettest.First))
			if _, broken := errors.AsType[*deploy.Broken](err); err == nil || broken || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Switch gives %v, want %q in it", err, c.want)
			}
			if s.generation != 7 {
				t.Errorf("the workload is of generation %d, want it untouched", s.generation)
			}
		})
	}
}

func TestStrategies(t *testing.T) {
	t.Parallel()
	for want, strategy := range map[string]object{
		"OnDelete":    {"type": "OnDelete"},
		"partition 1": {"type": "RollingUpdate", "rollingUpdate": object{"partition": 1}},
	} {
		s := fresh(t, "StatefulSet")
		s.spec = object{"updateStrategy": strategy}
		_, err := switchTo(t, open(t, s, nil, "container: app", "kind: StatefulSet"), image(targettest.First))
		if err == nil || !strings.Contains(err.Error(), want) || s.generation != 7 {
			t.Errorf("Switch gives %v, want %q in it", err, want)
		}
	}
}

// TestKubeconfig looks where a kubeconfig is looked for.
func TestKubeconfig(t *testing.T) {
	t.Parallel()
	at, certificate := stubtest.SecureProxy(t, fresh(t, "Deployment"), changes, nil)
	path := kubeconfig(t, at, certificate, "t0ken")
	home := t.TempDir()
	text, err := os.ReadFile(path)
	if err := errors.Join(err, os.Mkdir(filepath.Join(home, ".kube"), 0o700), os.WriteFile(filepath.Join(home, ".kube", "config"), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config kubernetes.Config
		option string
	}{
		"from the root":  {kubernetes.Config{Dir: filepath.Dir(path), Environ: []string{"KUBECONFIG=/nowhere"}}, "kubeconfig: kubeconfig"},
		"by path":        {kubernetes.Config{Dir: "/nowhere"}, "kubeconfig: " + path},
		"by environment": {kubernetes.Config{Dir: "/nowhere", Environ: []string{"KUBECONFIG=/nowhere:" + path, "HOME=/nowhere"}}, "name: calculator"},
		"at home":        {kubernetes.Config{Dir: "/nowhere", Environ: []string{"HOME=" + home}}, "name: calculator"},
	} {
		c.config.Options, c.config.Sleep = stubtest.Options(t, "kubernetes", "context: staging", "container: app", c.option), soon
		target, err := kubernetes.Open(t.Context(), c.config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := switchTo(t, target, image(targettest.First)); err != nil {
			t.Errorf("%s: Switch gives %v", name, err)
		}
	}
}

func TestDocumented(t *testing.T) {
	t.Parallel()
	stubtest.Documented(t, "kubernetes", kubernetes.Options{})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	config := kubeconfig(t, "https://127.0.0.1:1", nil, "t0ken")
	for _, c := range []struct{ option, context, want string }{
		{"name: x", "", "context is missing"},
		{"kind: Pod", "context: staging", `kind "Pod" is none of`},
		{"name: x", "context: production", `reading the kubeconfig's context production`},
	} {
		options := []string{c.option, "kubeconfig: " + config}
		if c.context != "" {
			options = append(options, c.context)
		}
		_, err := kubernetes.Open(t.Context(), kubernetes.Config{Options: stubtest.Options(t, "kubernetes", options...)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open with %q gives %v, want %q", options, err, c.want)
		}
	}
}
