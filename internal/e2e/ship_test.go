package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// monorepo is a clone of the sample monorepo, and the program that ships it.
type monorepo struct {
	*shell
	berth string
	repo  string // of the images
}

// newMonorepo makes a repository of examples/monorepo, whose failing app is mended, and a Berth with its image repository.
func newMonorepo(t *testing.T, s *berthproc.Server, d *docker) *monorepo {
	t.Helper()
	for _, tool := range []string{"git", "node", "python3", "go", "tar"} {
		berthproc.Tool(t, tool)
	}
	m := &monorepo{shell: newShell(t, s), berth: berthproc.Binary(t), repo: guideRepo}
	// What a developer has: a home with settings of git, and caches of the languages' tools.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		m.env = append(m.env, name+"="+m.run("go", "env", name))
	}
	m.env = append(m.env, d.env...)
	m.env = append(m.env, "DOCKER_BUILDKIT=0")
	m.env = append(m.env, "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	source, err := filepath.Abs(filepath.Join("..", "..", "examples", "monorepo"))
	if err != nil {
		t.Fatal(err)
	}
	m.dir = filepath.Join(t.TempDir(), "monorepo")
	if err := os.CopyFS(m.dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	m.importRoot()
	m.run("git", "init", "--quiet", "--initial-branch", "main")
	s.CreateRepositories(m.repo)
	return m
}

// importRoot makes the base image that the sample's Dockerfiles name.
func (m *monorepo) importRoot() {
	m.t.Helper()
	root := m.t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc", "os-release"), []byte("ID=sample\nVERSION_ID=1\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
	archive := filepath.Join(m.t.TempDir(), "root.tar")
	m.run("tar", "-C", root, "-cf", archive, ".")
	m.run("docker", "import", archive, "local/rootfs:1")
}

// commit changes a file, if one is named, and commits everything.
func (m *monorepo) commit(name, from, to string) string {
	m.t.Helper()
	if name != "" {
		m.edit(name, from, to)
	}
	m.run("git", "add", "--all")
	m.run("git", "commit", "--quiet", "--message", "a change of "+name)
	return m.run("git", "rev-parse", "HEAD")
}

// shipment is what berth ship --output json prints, as far as it is looked at.
type shipment struct {
	Outcome  string
	Commit   string
	Projects []struct {
		Name, Outcome, Reason string
		Steps                 []struct{ Step, Outcome, Text string }
		Image                 *struct {
			Digest string
			Built  bool
			Tags   []struct{ Tag, Digest, Action string }
		}
	}
	Notes []string
}

// step gives how a step of a project ended, "" if it did not take place.
func (s shipment) step(project, step string) string {
	for _, p := range s.Projects {
		for _, one := range p.Steps {
			if p.Name == project && one.Step == step {
				return one.Outcome
			}
		}
	}
	return ""
}

// built gives the apps whose images were built, and pushed those that have tags now.
func (s shipment) shipped() (built, tagged []string) {
	for _, p := range s.Projects {
		if p.Image == nil || len(p.Image.Tags) == 0 {
			continue
		}
		if p.Image.Built {
			built = append(built, p.Name)
		}
		for _, t := range p.Image.Tags {
			tagged = append(tagged, t.Action+" "+t.Tag)
		}
	}
	slices.Sort(built)
	slices.Sort(tagged)
	return built, tagged
}

// ship ships, and fails the test unless the exit code is that.
func (m *monorepo) ship(code int, args ...string) shipment {
	m.t.Helper()
	out, errs, err := m.try("", m.berth, append([]string{"ship", "--output", "json", "--builder", "docker"}, args...)...)
	m.checkSecrets(out + errs)
	if got := exitCodeOf(m.t, err); got != code {
		m.t.Fatalf("berth ship %s ended with %d, want %d\n%s\n%s", strings.Join(args, " "), got, code, errs, out)
	}
	var s shipment
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		m.t.Fatalf("berth ship printed %q: %v", out, err)
	}
	return s
}

func exitCodeOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // as os/exec gives it
	if !ok {
		t.Fatalf("running a program: %v", err)
	}
	return exit.ExitCode()
}

// checkSecrets fails the test if a secret was said.
func (m *monorepo) checkSecrets(said string) {
	m.t.Helper()
	for _, variable := range m.env {
		if secret, ok := strings.CutPrefix(variable, "AWS_SECRET_ACCESS_KEY="); ok && strings.Contains(said, secret) {
			m.t.Error("berth ship says the secret access key")
		}
	}
}

// tags gives what the tags of the repository name.
func (m *monorepo) tags() map[string]string {
	m.t.Helper()
	var listed struct {
		ImageDetails []struct {
			ImageDigest string
			ImageTags   []string
		}
	}
	if err := json.Unmarshal([]byte(m.run("aws", "ecr", "describe-images", "--repository-name", m.repo, "--output", "json")), &listed); err != nil {
		m.t.Fatal(err)
	}
	all := map[string]string{}
	for _, d := range listed.ImageDetails {
		for _, tag := range d.ImageTags {
			all[tag] = d.ImageDigest
		}
	}
	return all
}

// TestShip is the life of the sample monorepo: a first commit with an app whose test fails, that one mended, a library changed in a
// fresh clone, a commit that is taken back, and runs that are stopped, refused and overtaken.
func TestShip(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "aws")
	d := newDocker(t)
	s := berthproc.Start(t, berthproc.Config{})
	m := newMonorepo(t, s, d)

	first := m.commit("", "", "")
	got := m.ship(1)
	for project, want := range map[string]map[string]string{
		"money": {"test": "done"}, "dbtool": {"test": "done", "build": ""}, "flaky": {"test": "failed", "build": "skipped"},
		"web": {"test": "done", "build": "done", "push": "done", "scan": "found", "release": ""},
	} {
		for step, outcome := range want {
			if have := got.step(project, step); have != outcome {
				t.Errorf("the first ship: %s of %s was %q, want %q", step, project, have, outcome)
			}
		}
	}
	if tags := m.tags(); tags["web-"+first] == "" || tags["web-latest"] != "" || tags["flaky-"+first] != "" {
		t.Errorf("after an image that the gate stopped the tags are %v, want web-%s and no web-latest", tags, first)
	}

	// What is left: the images are there and their tests passed, so that only the gate is asked again.
	got = m.ship(1, "--unscanned", "pass")
	built, tagged := got.shipped()
	if len(built) > 0 || got.step("web", "test") != "skipped" || got.step("web", "build") != "skipped" || got.step("flaky", "test") != "failed" {
		t.Errorf("shipping what is left built %v: %+v", built, got)
	}
	want := []string{"kept calculator-" + first, "kept report-" + first, "kept web-" + first, "retagged calculator-latest", "retagged report-latest", "retagged web-latest"}
	if diff := cmp.Diff(want, tagged); diff != "" {
		t.Errorf("shipping what is left (-want +got):\n%s", diff)
	}

	second := m.commit("apps/flaky/index.js", "n + 2", "n * 2")
	got = m.ship(0, "--unscanned", "pass")
	if built, _ := got.shipped(); !slices.Equal(built, []string{"flaky"}) {
		t.Errorf("mending flaky built %v", built)
	}
	m.inAFreshClone(t, second)
}

// inAFreshClone goes on as somebody else.
func (m *monorepo) inAFreshClone(t *testing.T, before string) {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "clone")
	m.run("git", "clone", "--quiet", m.dir, clone)
	m.dir = clone
	beforeTags := m.tags()
	m.edit("libs/greeting/index.test.js", "Hello", "Good day")
	m.edit("apps/web/server.test.js", "Hello", "Good day")
	changed := m.commit("libs/greeting/index.js", "Hello", "Good day")
	got := m.ship(0, "--unscanned", "pass", "--base", before)
	built, tagged := got.shipped()
	if diff := cmp.Diff([]string{"moved web-latest", "pushed web-" + changed}, tagged); diff != "" || !slices.Equal(built, []string{"web"}) {
		t.Errorf("one library changed: built %v (-want +got):\n%s", built, diff)
	}
	if got.step("greeting", "test") != "done" || got.step("web", "test") != "done" {
		t.Errorf("one library changed, and the tests are %+v", got.Projects)
	}
	after := m.tags()
	for tag, digest := range beforeTags {
		if tag != "web-latest" && after[tag] != digest {
			t.Errorf("%s moved from %s to %s", tag, digest, after[tag])
		}
	}
	began := time.Now()
	again := m.ship(0, "--unscanned", "pass", "--base", before)
	t.Logf("a second run took %v", time.Since(began).Round(time.Millisecond))
	if again.Outcome != "nothing" {
		t.Errorf("a second run has the outcome %q: %+v", again.Outcome, again.Projects)
	}
	m.attached(after["web-latest"])
	m.takenBack(t, before, beforeTags["web-latest"])
	m.stopped(t)
}

func (m *monorepo) edit(name, from, to string) {
	m.t.Helper()
	file := filepath.Join(m.dir, filepath.FromSlash(name))
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), from) {
		m.t.Fatalf("%s does not contain %q: %v", name, from, err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), from, to)), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// attached checks what is said about an image that was shipped.
func (m *monorepo) attached(digest string) {
	m.t.Helper()
	var listed struct {
		Referrers []struct{ ArtifactType string }
	}
	out := m.run("aws", "ecr", "list-image-referrers", "--repository-name", m.repo, "--subject-id", "imageDigest="+digest, "--output", "json")
	if err := json.Unmarshal([]byte(out), &listed); err != nil {
		m.t.Fatal(err)
	}
	var kinds []string
	for _, r := range listed.Referrers {
		kinds = append(kinds, r.ArtifactType)
	}
	for _, want := range []string{"application/vnd.in-toto+json", "application/vnd.berth.ship.v1+json"} {
		if !slices.Contains(kinds, want) {
			m.t.Errorf("what refers to the image that was shipped is %v, want %s among it", kinds, want)
		}
	}
}

// takenBack: the files are again those of an image that is there, which is tagged and not built.
func (m *monorepo) takenBack(t *testing.T, before, image string) {
	t.Helper()
	newer := m.run("git", "rev-parse", "HEAD")
	m.run("git", "revert", "--no-edit", "HEAD")
	reverted := m.run("git", "rev-parse", "HEAD")
	got := m.ship(0, "--unscanned", "pass")
	built, tagged := got.shipped()
	if diff := cmp.Diff([]string{"moved web-latest", "retagged web-" + reverted}, tagged); diff != "" || len(built) > 0 {
		t.Errorf("a commit taken back built %v (-want +got):\n%s", built, diff)
	}
	if tags := m.tags(); tags["web-latest"] != image || tags["web-"+reverted] != image {
		t.Errorf("after a commit was taken back the tags are %v, want web-latest to be %s", tags, image)
	}
	// A run of the commit before that comes late.
	m.run("git", "reset", "--quiet", "--hard", newer)
	got = m.ship(0, "--unscanned", "pass", "--base", before)
	if _, tagged := got.shipped(); !slices.Contains(tagged, "newer web-latest") {
		t.Errorf("a late run of an older commit did %v, want web-latest to stay with the newer one", tagged)
	}
	if tags := m.tags(); tags["web-latest"] != image {
		t.Errorf("a late run of an older commit moved web-latest to %s", tags["web-latest"])
	}
	m.run("git", "reset", "--quiet", "--hard", reverted)
}

// stopped: ^C ends what was started, and the next run does what is left. A tree with changes is refused.
func (m *monorepo) stopped(t *testing.T) {
	t.Helper()
	mark := filepath.Join(t.TempDir(), "runs")
	m.edit("berth.yaml", "    build: {context: ., args: {BASE", "    test: echo $$ > "+mark+" && sleep 1000\n    build: {context: ., args: {BASE")
	_, errs, err := m.try("", m.berth, "ship", "--unscanned", "pass")
	if code := exitCodeOf(t, err); code != 1 || !strings.Contains(errs, "the working tree is not what is committed: berth.yaml") || !strings.Contains(errs, "--no-push") {
		t.Errorf("a tree with changes ended with %d: %s", code, errs)
	}
	m.commit("", "", "")
	cmd := exec.CommandContext(t.Context(), m.berth, "ship", "--unscanned", "pass", "web") //nolint:gosec // ours
	cmd.Dir, cmd.Env = m.dir, m.env
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for deadline := time.Now().Add(2 * time.Minute); pid == "" && time.Now().Before(deadline); pause(t, 20*time.Millisecond) {
		text, err := os.ReadFile(mark)
		if err == nil {
			pid = strings.TrimSpace(string(text))
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := exitCodeOf(t, cmd.Wait()); code != 1 || pid == "" {
		t.Errorf("^C ended berth ship with %d, after the test began as %q: %s", code, pid, said.String())
	}
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Error("^C ended berth ship, and the test goes on")
	}
	m.edit("berth.yaml", "echo $$ > "+mark+" && sleep 1000", "node --test")
	m.commit("", "", "")
	if got := m.ship(0, "--unscanned", "pass", "web"); got.step("web", "test") != "done" {
		t.Errorf("after ^C: %+v", got.Projects)
	}
}
