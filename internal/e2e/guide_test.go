package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const (
	guideRepo = "hoopstat-haus/prod"
	latestTag = "example-calculator-app-latest"
	shaTag    = "example-calculator-app-a1b2c3d4"
)

// TestGuide types the guide's own commands, with docker and the AWS CLI as they are.
func TestGuide(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "aws")
	d := newDocker(t)
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		g := &guide{t: t, s: s, sh: newShell(t, s), docker: d, image: s.Host + "/" + guideRepo}
		// DOCKER_CONFIG without a login in it: logging in is what the guide does first.
		g.sh.env = append(append(g.sh.env, d.env...), "DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+t.TempDir())
		g.createRepository()
		g.login()
		g.push()
		g.describe()
		g.pull()
		g.moveTags()
		g.remove()
		g.whoAmI()
	})
}

type guide struct {
	t      *testing.T
	s      *berthproc.Server
	sh     *shell
	docker *docker
	image  string
	digest string // of the first image
}

func (g *guide) createRepository() {
	g.t.Helper()
	var created struct {
		Repository struct {
			RepositoryName, RepositoryURI, ImageTagMutability string
		} `json:"repository"`
	}
	out := g.sh.run("aws", "ecr", "create-repository", "--repository-name", guideRepo)
	if err := json.Unmarshal([]byte(out), &created); err != nil {
		g.t.Fatalf("aws ecr create-repository printed %q: %v", out, err)
	}
	if r := created.Repository; r.RepositoryName != guideRepo || r.RepositoryURI != g.image || r.ImageTagMutability != "MUTABLE" {
		g.t.Errorf("aws ecr create-repository made %+v, want %s at %s, MUTABLE", r, guideRepo, g.image)
	}
	said := g.sh.refused("", "aws", "ecr", "create-repository", "--repository-name", guideRepo)
	contains(g.t, "creating it again", said, "RepositoryAlreadyExistsException",
		"The repository with name 'hoopstat-haus/prod' already exists in the registry with id '123456789012'")
}

func (g *guide) login() {
	g.t.Helper()
	g.sh.buildImage(g.image+":"+latestTag, "1 of "+g.image)
	said := g.sh.refused("", "docker", "push", g.image+":"+latestTag)
	contains(g.t, "docker push before login", said, "no basic auth credentials")
	said = g.sh.refused("not-a-password", "docker", "login", "--username", "AWS", "--password-stdin", g.s.Host)
	contains(g.t, "docker login with a wrong password", said, "401 Unauthorized")
	password := g.sh.run("aws", "ecr", "get-login-password", "--region", "us-east-1")
	said = g.sh.feed(password, "docker", "login", "--username", "AWS", "--password-stdin", g.s.Host)
	contains(g.t, "docker login", said, "Login Succeeded")
	if _, errs, err := g.sh.try("", "docker", "pull", g.image+":no-such-tag"); err == nil || !strings.Contains(errs, "not found") {
		g.t.Errorf("docker pull of a tag that is not there: %v %q, want it to say: not found", err, errs)
	}
	said = g.sh.refused("", "docker", "pull", g.s.Host+"/no/such:repo")
	contains(g.t, "docker pull from a repository that is not there", said, "not found")
}

func (g *guide) push() {
	g.t.Helper()
	g.sh.run("docker", "tag", g.image+":"+latestTag, g.image+":"+shaTag)
	for _, tag := range []string{latestTag, shaTag} {
		said := g.sh.run("docker", "push", g.image+":"+tag)
		i := strings.LastIndex(said, "digest: sha256:")
		if i < 0 {
			g.t.Fatalf("docker push said %q, want a digest", said)
		}
		g.digest = said[i+len("digest: ") : i+len("digest: sha256:")+64]
	}
	// A push of what is there already is no error, and docker sees that nothing needs to be sent.
	contains(g.t, "docker push of the same image again", g.sh.run("docker", "push", g.image+":"+latestTag), "Layer already exists")
	said := g.sh.refused("", "docker", "push", g.pushName("no-such/repository"))
	contains(g.t, "docker push to a repository that is not there", said, "does not exist in the registry with id '123456789012'")
}

// pushName gives the image another repository's name.
func (g *guide) pushName(repo string) string {
	g.t.Helper()
	name := g.s.Host + "/" + repo + ":v1"
	g.sh.run("docker", "tag", g.image+":"+latestTag, name)
	return name
}

func (g *guide) describe() {
	g.t.Helper()
	query := "imageDetails[?starts_with(imageTags[0], 'example-calculator-app-')].[imageDigest, sort(imageTags)]"
	out := g.sh.run("aws", "ecr", "describe-images", "--repository-name", guideRepo, "--query", query, "--output", "json")
	var got []any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		g.t.Fatalf("aws ecr describe-images printed %q: %v", out, err)
	}
	want := []any{[]any{g.digest, []any{shaTag, latestTag}}}
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("aws ecr describe-images (-want +got):\n%s", diff)
	}
	said := g.sh.refused("", "aws", "ecr", "describe-images", "--repository-name", guideRepo, "--image-ids", "imageTag=your-app-name-tag")
	contains(g.t, "describe-images of a tag that is not there", said, "ImageNotFoundException", "imageTag:'your-app-name-tag'")
	said = g.sh.refused("", "aws", "ecr", "describe-repositories", "--repository-names", "hoopstat-haus/none")
	contains(g.t, "describe-repositories of one that is not there", said, "RepositoryNotFoundException",
		"The repository with name 'hoopstat-haus/none' does not exist in the registry with id '123456789012'")
}

func (g *guide) pull() {
	g.t.Helper()
	names := []string{g.image + ":" + latestTag, g.image + ":" + shaTag, g.s.Host + "/no-such/repository:v1"}
	g.sh.run("docker", append([]string{"rmi", "--force"}, names...)...)
	g.sh.run("docker", "pull", g.image+":"+latestTag)
	byDigest := g.image + "@" + g.digest
	contains(g.t, "docker pull by digest", g.sh.run("docker", "pull", byDigest), g.digest)
	out, errs, err := g.sh.try("", "docker", "run", "--rm", "--network", "none", byDigest, "2", "40.5")
	switch {
	case err != nil && strings.Contains(errs, "OCI runtime"):
		g.t.Logf("containers do not start on this machine, so the pulled image was not run: %s", strings.TrimSpace(errs))
	case err != nil || out != "42.5":
		g.t.Errorf("docker run %s 2 40.5: %v, printed %q %q, want 42.5", byDigest, err, out, errs)
	}
}

// moveTags shows the guide's tagging rule: {app}-{sha} stays, {app}-latest moves.
func (g *guide) moveTags() {
	g.t.Helper()
	g.sh.run("aws", "ecr", "put-image-tag-mutability", "--repository-name", guideRepo,
		"--image-tag-mutability", "IMMUTABLE_WITH_EXCLUSION",
		"--image-tag-mutability-exclusion-filters", "filterType=WILDCARD,filter=*-latest")
	g.sh.run("docker", "push", g.image+":"+latestTag) // the same image again is nobody's loss
	g.sh.run("docker", "tag", g.image+":"+latestTag, g.image+":"+shaTag)
	g.sh.run("docker", "push", g.image+":"+shaTag)

	g.sh.buildImage(g.image+":"+latestTag, "2 of "+g.image)
	g.sh.run("docker", "tag", g.image+":"+latestTag, g.image+":"+shaTag)
	said := g.sh.refused("", "docker", "push", g.image+":"+shaTag)
	contains(g.t, "docker push over {app}-{sha}", said, "The image tag '"+shaTag+"' already exists in the 'hoopstat-haus/prod' "+
		"repository and cannot be overwritten because the repository is immutable.")
	g.sh.run("docker", "push", g.image+":"+latestTag)
	if got := g.tagsOf("imageTag=" + shaTag); !slices.Equal(got, []string{shaTag}) {
		g.t.Errorf("after {app}-latest moved, the image of {app}-{sha} has tags %q, want %s alone", got, shaTag)
	}
	if got := g.tagsOf("imageDigest=" + g.digest); !slices.Equal(got, []string{shaTag}) {
		g.t.Errorf("after {app}-latest moved, the first image has tags %q, want %s alone", got, shaTag)
	}
	g.history()
}

func (g *guide) tagsOf(id string) []string {
	g.t.Helper()
	out := g.sh.run("aws", "ecr", "describe-images", "--repository-name", guideRepo, "--image-ids", id,
		"--query", "imageDetails[0].imageTags", "--output", "text")
	return strings.Fields(out)
}

// history asks who moved the tag and when.
func (g *guide) history() {
	g.t.Helper()
	out := g.sh.run(berthproc.Binary(g.t), "tags", "history", guideRepo, latestTag)
	contains(g.t, "berth tags history", out, g.digest[:19], "root")
	if lines := strings.Count(out, "\n") + 1; lines < 2 {
		g.t.Errorf("berth tags history printed %d lines, want the push and the move:\n%s", lines, out)
	}
}

func (g *guide) remove() {
	g.t.Helper()
	g.sh.run("docker", "tag", g.image+":"+latestTag, g.image+":example-calculator-app-old-version")
	g.sh.run("docker", "push", g.image+":example-calculator-app-old-version")
	out := g.sh.run("aws", "ecr", "batch-delete-image", "--repository-name", guideRepo,
		"--image-ids", "imageTag=example-calculator-app-old-version", "imageTag=never-was", "--output", "json")
	var got struct {
		IDs      []struct{ ImageTag, ImageDigest string } `json:"imageIds"`
		Failures []struct{ FailureCode, FailureReason string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		g.t.Fatalf("aws ecr batch-delete-image printed %q: %v", out, err)
	}
	if len(got.IDs) != 1 || got.IDs[0].ImageTag != "example-calculator-app-old-version" ||
		len(got.Failures) != 1 || got.Failures[0].FailureCode != "ImageNotFound" {
		g.t.Errorf("aws ecr batch-delete-image gave %+v, want one id and one failure ImageNotFound", got)
	}
	said := g.sh.refused("", "docker", "pull", g.image+":example-calculator-app-old-version")
	contains(g.t, "docker pull of what was deleted", said, "not found")
	said = g.sh.refused("", "aws", "ecr", "delete-repository", "--repository-name", guideRepo)
	contains(g.t, "delete-repository", said, "RepositoryNotEmptyException", "cannot be deleted because it still contains images")
}

func (g *guide) whoAmI() {
	g.t.Helper()
	out := g.sh.run("aws", "sts", "get-caller-identity", "--query", "[Account, Arn]", "--output", "text")
	if out != "123456789012\tarn:aws:iam::123456789012:root" {
		g.t.Errorf("aws sts get-caller-identity printed %q, want account 123456789012 and its root", out)
	}
	wrong := *g.sh
	wrong.env = append(slices.Clone(g.sh.env), "AWS_SECRET_ACCESS_KEY=wrong")
	contains(g.t, "sts with a wrong secret", wrong.refused("", "aws", "sts", "get-caller-identity"), "SignatureDoesNotMatch")
	contains(g.t, "ecr with a wrong secret", wrong.refused("", "aws", "ecr", "describe-repositories"), "InvalidSignatureException")
	wrong.env = append(slices.Clone(g.sh.env), "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE")
	contains(g.t, "sts with an unknown key", wrong.refused("", "aws", "sts", "get-caller-identity"), "InvalidClientTokenId")
	contains(g.t, "ecr with an unknown key", wrong.refused("", "aws", "ecr", "describe-repositories"),
		"UnrecognizedClientException", "The security token included in the request is invalid")
}
