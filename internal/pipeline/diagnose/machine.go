package diagnose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// builder looks for what images are built with.
func builder(ctx context.Context, _ *Env) Result {
	var there []string
	if _, err := exec.LookPath("docker"); err == nil {
		if version, err := ask(ctx, "docker", "buildx", "version"); err == nil {
			return ok("images are built with buildx: %s", version)
		}
		there = append(there, "docker")
	}
	if _, err := exec.LookPath("buildah"); err == nil {
		version, err := ask(ctx, "buildah", "--version")
		if err == nil && len(there) == 0 {
			return ok("images are built with buildah: %s", version)
		}
		if err == nil {
			return warn("", "docker has no buildx plugin, which builds for several platforms and keeps a cache; buildah is here: %s", version)
		}
	}
	if len(there) > 0 {
		return warn("sudo apt-get install docker-buildx-plugin", "docker has no buildx plugin, which builds for several platforms and keeps a cache")
	}
	return fail("curl -fsSL https://get.docker.com | sh", "nothing here builds images: neither docker nor buildah is on PATH")
}

// oldestGit has all that is asked of it here: rev-parse --is-shallow-repository and safe.bareRepository do not stop an older one,
// but --path-format does.
const oldestGit = 2.31

var gitVersion = regexp.MustCompile(`git version (\d+)\.(\d+)`)

func gitProgram(ctx context.Context, _ *Env) Result {
	if _, err := exec.LookPath("git"); err != nil {
		return warn("sudo apt-get install git", "git is not on PATH, without which berth ship and detect know no changes").blocking()
	}
	text, err := ask(ctx, "git", "--version")
	if err != nil {
		return fail("", "git is here and does not run: %s", sentence(err))
	}
	if m := gitVersion.FindStringSubmatch(text); m != nil {
		major, _ := strconv.Atoi(m[1]) // they are digits
		minor, _ := strconv.Atoi(m[2])
		if float64(major)+float64(minor)/100 < oldestGit {
			return warn("sudo apt-get install git", "%s is older than 2.31, with which berth is tried", text)
		}
	}
	return ok("%s", text)
}

func awsCLI(ctx context.Context, _ *Env) Result {
	if _, err := exec.LookPath("aws"); err != nil {
		return ok("the AWS CLI is not on PATH, and is not needed")
	}
	text, err := ask(ctx, "aws", "--version")
	if err != nil {
		return warn("", "the AWS CLI is here and does not run: %s", sentence(err))
	}
	if strings.HasPrefix(text, "aws-cli/1.") {
		version, _, _ := strings.Cut(text, " ")
		return ok("the AWS CLI is %s; from 1.29 on it goes by AWS_ENDPOINT_URL", strings.TrimPrefix(version, "aws-cli/"))
	}
	version, _, _ := strings.Cut(text, " ")
	return ok("the AWS CLI is %s", strings.TrimPrefix(version, "aws-cli/"))
}

// commit looks at the repository that a directory is in.
func commit(ctx context.Context, e *Env) Result {
	repo, err := git.Open(ctx, e.Dir)
	if errors.Is(err, git.ErrNoRepository) {
		return Result{Status: Skipped, Message: "there is no git repository here"}
	}
	if err != nil {
		text := sentence(err)
		if strings.Contains(text, "dubious ownership") {
			dir, _ := filepath.Abs(e.Dir) // what was opened has a name
			return fail("git config --global --add safe.directory "+quote(dir), "git does not read this repository, since it is another user's")
		}
		return fail("git status", "git does not read this repository: %s", text)
	}
	head, err := repo.Commit(ctx, "HEAD")
	if errors.Is(err, git.ErrNoCommit) {
		return warn("git commit", "the repository has no commit yet")
	}
	if err != nil {
		return fail("git status", "git does not know what is checked out: %s", sentence(err))
	}
	branch, err := repo.Branch(ctx)
	if err != nil {
		return fail("git status", "git does not know which branch this is: %s", sentence(err))
	}
	dirty, err := repo.Dirty(ctx)
	switch {
	case err != nil:
		return fail("git status", "git does not know what is changed: %s", sentence(err))
	case len(dirty) > 0:
		return warn("git status", "not all is committed (%s, such as %s), and berth ship ships commits", count(len(dirty), "file", "files"), dirty[0])
	case repo.Shallow():
		return warn("git fetch --unshallow", "the clone is shallow: what changed since the last release may not be known (in GitHub Actions: fetch-depth: 0)")
	case branch == "" && e.get("CI") == "":
		return warn("git switch main", "commit %.12s is checked out, and no branch: {app}-latest moves on the default branch only", head)
	case branch == "":
		return ok("commit %.12s is checked out, and all is committed", head)
	default:
		return ok("branch %s is at %.12s, and all is committed", branch, head)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// workspaceFile reads berth.yaml.
func workspaceFile(_ context.Context, e *Env) Result {
	root, err := detect.Root(e.Dir)
	if errors.Is(err, detect.ErrNoWorkspace) {
		return Result{Status: Skipped, Message: "there is no berth.yaml here, which berth ship goes by"}
	}
	if err != nil {
		return fail("", "the workspace cannot be looked for: %s", sentence(err))
	}
	file := filepath.Join(root, workspace.Name)
	text, err := os.ReadFile(file)
	if err != nil {
		return fail("ls -l "+quote(file), "berth.yaml cannot be read: %s", sentence(err))
	}
	f, err := workspace.Parse(workspace.Name, text)
	if problems, wrong := errors.AsType[workspace.Problems](err); wrong && len(problems) > 0 {
		first := problems[0]
		where := fmt.Sprintf("%s:%d:%d", file, first.Line, first.Column)
		return fail(e.Self+" detect --dir "+quote(root), "berth.yaml has %s; the first is at %s: %s", count(len(problems), "problem", "problems"), where, first.Message)
	}
	if err != nil {
		return fail("", "berth.yaml cannot be read: %s", sentence(err))
	}
	if e.Repository == "" {
		e.Repository = f.Repository
	}
	return ok("%s is valid; its images are in %s", file, f.Repository)
}

// Of a disk, so much is little, and so much too little: an image of a service is some hundred megabytes, and is there twice while it is built.
const (
	littleDisk = 5 << 20 // KiB
	noDisk     = 1 << 19
)

// disk looks at where images and layers are written.
func disk(ctx context.Context, e *Env) Result {
	if _, err := exec.LookPath("df"); err != nil {
		return unseen("df is not on PATH")
	}
	places := []string{os.TempDir()}
	if root := e.here.engine.DataRoot; root != "" && !e.here.engine.remote {
		if _, err := os.Stat(root); err == nil { // else it is in a virtual machine
			places = append(places, root)
		}
	}
	var said []string
	worst, which := int64(-1), ""
	for _, place := range places {
		text, err := ask(ctx, "df", "-Pk", place)
		free, known := freeOf(text)
		if err != nil || !known {
			if err == nil {
				err = errors.New("df answers something else than a table")
			}
			if _, missing := os.Stat(place); missing != nil {
				return fail("mkdir -p "+quote(place), "the directory for temporary files, %s, is not there", place)
			}
			return unseen("%s", sentence(err))
		}
		said = append(said, fmt.Sprintf("%s at %s", size(free), place))
		if worst < 0 || free < worst {
			worst, which = free, place
		}
	}
	tidy := "docker system prune"
	if which == os.TempDir() {
		tidy = "du -xsh " + quote(which)
	}
	switch {
	case worst < noDisk:
		return fail(tidy, "the disk is full: %s free", strings.Join(said, ", ")).open()
	case worst < littleDisk:
		return warn(tidy, "there is little room: %s free", strings.Join(said, ", "))
	default:
		return ok("there is room: %s free", strings.Join(said, ", "))
	}
}

// freeOf reads the free KiB from the table that POSIX has for df -P.
func freeOf(table string) (int64, bool) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(lines) < 2 || len(fields) < 6 {
		return 0, false
	}
	// A file system's name may have spaces: the last five from the percentage on are sure.
	for i := len(fields) - 2; i >= 3; i-- {
		if strings.HasSuffix(fields[i], "%") {
			free, err := strconv.ParseInt(fields[i-1], 10, 64)
			return free, err == nil
		}
	}
	return 0, false
}

func size(kib int64) string {
	if kib < 1<<20 {
		return fmt.Sprintf("%d MiB", kib>>10)
	}
	return fmt.Sprintf("%.1f GiB", float64(kib)/(1<<20))
}
