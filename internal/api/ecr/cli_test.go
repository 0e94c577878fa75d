package ecr_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// cli runs the real AWS command line against the server, as its user would. Its tests run by themselves: a
// Python for each command crowds out whatever runs beside it.
type cli struct {
	program string
	env     []string
}

func newCLI(t *testing.T, s *server) cli {
	t.Helper()
	program, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatal("BERTH_TEST_REQUIRE=all, and there is no aws in PATH")
		}
		t.Skip("the AWS CLI is not installed")
	}
	return cli{program: program, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_ENDPOINT_URL=" + s.url, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_ACCESS_KEY_ID=" + s.rootKey.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + s.rootKey.SecretAccessKey,
	}}
}

// run gives what the command printed, and its complaint if it failed.
func (c cli) run(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Env = c.env
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil && complaint.Len() == 0 {
		t.Fatalf("aws %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), complaint.String()
}

// ok is run for a command that must not fail.
func (c cli) ok(t *testing.T, args ...string) string {
	t.Helper()
	out, complaint := c.run(t, args...)
	if complaint != "" {
		t.Fatalf("aws %s: %s", strings.Join(args, " "), complaint)
	}
	return out
}

func TestGuidesCommands(t *testing.T) {
	s := newServer(t)
	aws := newCLI(t, s)

	if out := aws.ok(t, "ecr", "create-repository", "--repository-name", repo, "--query", "repository.repositoryUri", "--output", "text"); strings.TrimSpace(out) != host+"/"+repo {
		t.Errorf("create-repository: repositoryUri %q, want %s/%s", out, host, repo)
	}
	if _, complaint := aws.run(t, "ecr", "create-repository", "--repository-name", repo); !strings.Contains(complaint, "(RepositoryAlreadyExistsException)") {
		t.Errorf("create-repository again: %q, want RepositoryAlreadyExistsException", complaint)
	}
	if password := strings.TrimSuffix(aws.ok(t, "ecr", "get-login-password", "--region", "us-east-1"), "\n"); password == "" || strings.ContainsAny(password, ": \n") {
		t.Errorf("get-login-password printed %q", password)
	}
	latest := s.image(t, "new", "example-calculator-app-latest")
	s.image(t, "old", "example-calculator-app-old-version")
	s.image(t, "other", "other-app-latest")

	var details []struct {
		ImageDigest   string
		ImageTags     []string
		ImagePushedAt any // a number from version 1 of the CLI, a text from version 2
	}
	query := "sort_by(imageDetails,&imagePushedAt)[?starts_with(imageTags[0], 'example-calculator-app-')]"
	decode(t, aws.ok(t, "ecr", "describe-images", "--repository-name", repo, "--query", query, "--output", "json", "--page-size", "1"), &details)
	if len(details) != 2 || details[0].ImageDigest != latest {
		t.Errorf("describe-images --query %s: %+v, want the two images of the app, %s first", query, details, latest)
	}
	decode(t, aws.ok(t, "ecr", "describe-images", "--repository-name", repo, "--image-ids", "imageTag=example-calculator-app-latest", "--query", "imageDetails"), &details)
	if len(details) != 1 || details[0].ImageDigest != latest {
		t.Errorf("describe-images --image-ids: %+v, want %s alone", details, latest)
	}
	if _, complaint := aws.run(t, "ecr", "describe-images", "--repository-name", repo, "--image-ids", "imageTag=none"); !strings.Contains(complaint, "(ImageNotFoundException)") {
		t.Errorf("describe-images of no image: %q, want ImageNotFoundException", complaint)
	}

	var deleted struct {
		ImageIDs []struct{ ImageTag string } `json:"imageIds"`
		Failures []struct{ FailureCode string }
	}
	args := []string{"ecr", "batch-delete-image", "--repository-name", repo, "--image-ids", "imageTag=example-calculator-app-old-version"}
	decode(t, aws.ok(t, args...), &deleted)
	if len(deleted.ImageIDs) != 1 || deleted.ImageIDs[0].ImageTag != "example-calculator-app-old-version" || deleted.Failures == nil {
		t.Errorf("batch-delete-image: %+v", deleted)
	}
	decode(t, aws.ok(t, args...), &deleted)
	if len(deleted.Failures) != 1 || deleted.Failures[0].FailureCode != "ImageNotFound" {
		t.Errorf("batch-delete-image again: %+v, want the failure ImageNotFound", deleted)
	}

	var repositories []struct{ RepositoryName string }
	decode(t, aws.ok(t, "ecr", "describe-repositories", "--repository-names", repo, "--query", "repositories"), &repositories)
	if len(repositories) != 1 || repositories[0].RepositoryName != repo {
		t.Errorf("describe-repositories: %+v", repositories)
	}
	if _, complaint := aws.run(t, "ecr", "describe-repositories", "--repository-names", "none-such"); !strings.Contains(complaint, "(RepositoryNotFoundException)") {
		t.Errorf("describe-repositories of none: %q, want RepositoryNotFoundException", complaint)
	}
	if _, complaint := aws.run(t, "ecr", "get-lifecycle-policy", "--repository-name", repo); !strings.Contains(complaint, "(LifecyclePolicyNotFoundException)") {
		t.Errorf("get-lifecycle-policy: %q, want LifecyclePolicyNotFoundException", complaint)
	}
}

// TestCLIRetagsAnImage is Amazon's documented way to add a tag: the manifest's bytes go through a shell.
func TestCLIRetagsAnImage(t *testing.T) {
	s := newServer(t)
	aws := newCLI(t, s)
	s.create(t)
	digest := s.image(t, "one", "v1")
	// --output text adds a line break at the end, JSON does not.
	var manifest string
	decode(t, aws.ok(t, "ecr", "batch-get-image", "--repository-name", repo, "--image-ids", "imageTag=v1", "--query", "images[0].imageManifest", "--output", "json"), &manifest)
	file := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	got := aws.ok(t, "ecr", "put-image", "--repository-name", repo, "--image-tag", "v2", "--image-manifest", "file://"+file, "--query", "image.imageId.imageDigest", "--output", "text")
	if strings.TrimSpace(got) != digest {
		t.Errorf("put-image of batch-get-image's manifest made %s, want %s", got, digest)
	}
}

func TestCLIUploadsALayer(t *testing.T) {
	s := newServer(t)
	aws := newCLI(t, s)
	s.create(t)
	content := strings.Repeat("layer", 1000)
	file := filepath.Join(t.TempDir(), "layer")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	upload := strings.TrimSpace(aws.ok(t, "ecr", "initiate-layer-upload", "--repository-name", repo, "--query", "uploadId", "--output", "text"))
	last := aws.ok(t, "ecr", "upload-layer-part", "--repository-name", repo, "--upload-id", upload, "--part-first-byte", "0", "--part-last-byte", "4999",
		"--layer-part-blob", "fileb://"+file, "--query", "lastByteReceived")
	if strings.TrimSpace(last) != "4999" {
		t.Errorf("upload-layer-part: lastByteReceived %s, want 4999", last)
	}
	digest := oci.FromBytes([]byte(content)).String()
	aws.ok(t, "ecr", "complete-layer-upload", "--repository-name", repo, "--upload-id", upload, "--layer-digests", digest)
	got := aws.ok(t, "ecr", "batch-check-layer-availability", "--repository-name", repo, "--layer-digests", digest, "--query", "layers[0].[layerAvailability,layerSize]", "--output", "text")
	if fields := strings.Fields(got); len(fields) != 2 || fields[0] != "AVAILABLE" || fields[1] != "5000" {
		t.Errorf("batch-check-layer-availability: %q, want AVAILABLE 5000", got)
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
