package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// server is what the sample's calculator is replaced by, so that there is something that runs: it answers with its version, and is
// healthy unless that is "sick".
const server = `package main

import (
	"fmt"
	"net/http"
	"os"

	"example.com/monorepo/money"
)

const version = "zero"

func main() {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if version == "sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, version, " costs ", money.Cents(100)) })
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
	os.Exit(1)
}
`

// harbour is a monorepo whose calculator is deployed to two environments on the engine.
type harbour struct {
	*monorepo
	ports map[string]int
}

func newHarbour(t *testing.T, s *berthproc.Server, d *docker) *harbour {
	t.Helper()
	h := &harbour{newMonorepo(t, s, d), map[string]int{"staging": berthproc.FreePort(t), "prod": berthproc.FreePort(t)}}
	h.edit("berth.yaml", "  severity: critical", "  severity: critical\n  unscanned: pass")
	var environments strings.Builder
	environments.WriteString("\nenvironments:\n")
	for _, name := range []string{"staging", "prod"} {
		rule := "deploy: automatic"
		if name == "prod" {
			rule = "after: staging"
		}
		// A name of the test's own: the engine may be others' too.
		fmt.Fprintf(&environments, "  - name: %s\n    %s\n    target: {type: docker, network: host, name: \"berth-e2e-%d-{app}-{environment}\", env: {PORT: \"%[4]d\"}}\n"+
			"    health: {http: \"http://127.0.0.1:%[4]d/healthz\", interval: 1s, timeout: 10s}\n", name, rule, h.ports["staging"], h.ports[name])
		t.Cleanup(func() {
			for _, container := range []string{"", ".next", ".trial", ".before"} {
				_, _, _ = (&shell{t: t, dir: h.dir, env: h.env}).clean("docker", "rm", "--force", fmt.Sprintf("berth-e2e-%d-calculator-%s%s", h.ports["staging"], name, container))
			}
		})
	}
	file := filepath.Join(h.dir, "berth.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, environments.String()...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "apps", "calculator", "main.go"), []byte(server), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(h.dir, "apps", "calculator", "main_test.go")); err != nil {
		t.Fatal(err)
	}
	return h
}

// version has the calculator be another version, in a commit of its own.
func (h *harbour) version(from, to string) string {
	h.t.Helper()
	return h.commit("apps/calculator/main.go", `version = "`+from+`"`, `version = "`+to+`"`)
}

// answers checks which version an environment answers with.
func (h *harbour) answers(environment, want string) {
	h.t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d/", h.ports[environment])
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		h.t.Errorf("%s does not answer: %v", environment, err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != want+" costs $1.00" {
		h.t.Errorf("%s answers %q, %v, want version %s", environment, text, err, want)
	}
}

// do runs berth, which is to end with that code, and gives what it said.
func (h *harbour) do(code int, args ...string) string {
	h.t.Helper()
	out, errs, err := h.try("", h.berth, args...)
	h.checkSecrets(out + errs)
	if got := exitCodeOf(h.t, err); got != code {
		h.t.Fatalf("berth %s ended with %d, want %d\n%s\n%s", strings.Join(args, " "), got, code, errs, out)
	}
	return out + "\n" + errs
}

// TestDeploy goes from a commit to staging and, by its digest, to prod; a version that never gets healthy is undone by itself, prod is rolled
// back by hand, and a lifecycle policy that leaves nothing leaves what runs and can be gone back to.
func TestDeploy(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "aws")
	d := newDocker(t)
	s := berthproc.Start(t, berthproc.Config{})
	h := newHarbour(t, s, d)
	never := h.commit("", "", "")
	h.ship(0, "calculator")

	h.version("zero", "one")
	shipped := h.ship(0, "--deploy", "calculator")
	if shipped.step("calculator", "deploy") != "done" {
		t.Errorf("the first deployment: %+v", shipped.Projects)
	}
	h.answers("staging", "one")
	if said := h.do(3, "deploy", "calculator", "--env", "prod", "--tag", "calculator-"+never); !strings.Contains(said, "has not run in staging") {
		t.Errorf("an image that never ran in staging gives %s", said)
	}
	h.do(0, "promote", "calculator", "--to", "prod")
	h.answers("prod", "one")

	two := h.version("one", "two")
	h.ship(0, "--deploy", "calculator")
	h.do(0, "promote", "calculator", "--to", "prod")
	h.answers("prod", "two")

	h.version("two", "sick")
	shipped = h.ship(1, "--deploy", "calculator")
	if shipped.step("calculator", "deploy") != "failed" || shipped.step("calculator", "release") != "done" {
		t.Errorf("a version that never gets healthy: %+v", shipped.Projects)
	}
	h.answers("staging", "two")
	if said := h.do(0, "history", "calculator", "--env", "staging"); !strings.Contains(said, "failed") || !strings.Contains(said, "503") {
		t.Errorf("the history of staging is %s", said)
	}

	h.do(0, "rollback", "calculator", "--env", "prod")
	h.answers("prod", "one")
	h.expires(never)
	h.do(0, "rollback", "calculator", "--env", "prod", "--to", h.tags()["calculator-"+two])
	h.answers("prod", "two")
	if said := h.do(0, "status"); !strings.Contains(said, "staging") || !strings.Contains(said, two[:8]) {
		t.Errorf("the status is %s", said)
	}
}

// expires carries out a policy that keeps nothing but the newest image, and waits until that of a commit is gone, which was never deployed.
// Those that ran stay.
func (h *harbour) expires(never string) {
	h.t.Helper()
	before := h.tags()
	policy := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	h.run("aws", "ecr", "put-lifecycle-policy", "--repository-name", h.repo, "--lifecycle-policy-text", policy)
	for deadline := time.Now().Add(3 * time.Minute); ; pause(h.t, time.Second) {
		after := h.tags()
		if after["calculator-"+never] == "" {
			break
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("after three minutes the policy has left %v", after)
		}
	}
	delete(before, "calculator-"+never)
	if diff := cmp.Diff(before, h.tags()); diff != "" {
		h.t.Errorf("tags before and after the policy (-before +after):\n%s", diff)
	}
}

// clean runs a program when the test is over, whatever comes of it.
func (sh *shell) clean(name string, args ...string) (out, errs string, err error) {
	return sh.tryIn(background(sh.t), "", name, args...)
}
