package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestTerraform lives with examples/terraform: made, changed, taken over by somebody without its state, and
// destroyed, with an empty plan after each step.
//
// Unlike other clients Terraform is never required: it comes with a provider of half a gigabyte.
func TestTerraform(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not on PATH")
	}
	mirror := terraformMirror()
	if mirror == "" {
		t.Skip("no directory with Terraform's AWS provider 5.100 or newer: BERTH_TEST_TERRAFORM_MIRROR names one")
	}
	eachDatabase(t, func(t *testing.T, storage berthproc.Storage) {
		// A destination that never answers, which is what replication has to live with anyway.
		settings := filepath.Join(t.TempDir(), "berth.yaml")
		writeFile(t, settings, "destinations:\n  - region: eu-west-1\n    url: http://127.0.0.1:9\n    access-key-id: AKIAIOSFODNN7EXAMPLE\n    secret-access-key: none\n")
		s := berthproc.Start(t, berthproc.Config{Storage: storage, Args: []string{"--config", settings}})
		first := newWorkspace(t, s, mirror)
		first.apply()
		first.settled("after the first apply")

		image := oci.FromBytes(newClient(t, s).pushImage(t, guideRepo, "v1", 11))
		first.variables = []string{"image_tag_mutability=IMMUTABLE", "keep_images=20", "image_tag=v1"}
		first.apply()
		first.settled("after a change")
		first.changed(s, image)

		second := newWorkspace(t, s, mirror)
		second.variables = first.variables
		second.takeOver(first)
		second.settled("after an import")
		emptyRepository(t, s, image)
		second.run("destroy", "-auto-approve", "-input=false", "-var=image_tag=")
		nothingLeft(t, s)
	})
}

// eachDatabase runs the test on SQLite and on PostgreSQL, with layers in a directory both times.
func eachDatabase(t *testing.T, test func(t *testing.T, storage berthproc.Storage)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, berthproc.Storage{})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, berthproc.Storage{Args: []string{"--database", metadbtest.PostgresURL(t)}})
	})
}

// terraformMirror finds a directory of providers, as `terraform providers mirror` fills one, with the AWS
// provider in it.
func terraformMirror() string {
	const provider = "*/hashicorp/aws/*5.1[0-9][0-9].*"
	places := []string{"/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"}
	if home, err := os.UserHomeDir(); err == nil {
		places = append(places, filepath.Join(home, ".terraform.d", "plugins"))
	}
	optional, _ := filepath.Glob("/opt/*")
	places = append(places, optional...)
	if named := os.Getenv("BERTH_TEST_TERRAFORM_MIRROR"); named != "" {
		places = []string{named}
	}
	for _, place := range places {
		if found, _ := filepath.Glob(filepath.Join(place, provider)); len(found) > 0 {
			return place
		}
	}
	return ""
}

// workspace is a copy of the example with a state of its own.
type workspace struct {
	*shell
	variables []string // name=value
}

func newWorkspace(t *testing.T, s *berthproc.Server, mirror string) *workspace {
	t.Helper()
	w := emptyWorkspace(t, s, mirror)
	files, err := filepath.Glob("../../examples/terraform/*.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("examples/terraform: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(w.dir, filepath.Base(file)), string(text))
	}
	w.run("init", "-input=false")
	return w
}

// emptyWorkspace has no configuration yet.
func emptyWorkspace(t *testing.T, s *berthproc.Server, mirror string) *workspace {
	t.Helper()
	w := &workspace{shell: newShell(t, s)}
	settings := filepath.Join(t.TempDir(), "terraform.rc")
	writeFile(t, settings, fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	w.env = append(slices.DeleteFunc(w.env, func(v string) bool { return strings.HasPrefix(v, "TF_") }),
		"TF_CLI_CONFIG_FILE="+settings, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	return w
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run is shell.run of one of Terraform's commands.
func (w *workspace) run(command string, args ...string) string {
	w.t.Helper()
	return w.shell.run("terraform", append([]string{command, "-no-color"}, args...)...)
}

func (w *workspace) with(args ...string) []string {
	for _, v := range w.variables {
		args = append(args, "-var="+v)
	}
	return args
}

func (w *workspace) apply() string {
	w.t.Helper()
	return w.run("apply", w.with("-auto-approve", "-input=false")...)
}

// settled wants a plan to find nothing to do: its exit code is 2 when there is something.
func (w *workspace) settled(when string) {
	w.t.Helper()
	out, errs, err := w.try("", "terraform", w.with("plan", "-no-color", "-input=false", "-detailed-exitcode")...)
	if exit, is := errors.AsType[*exec.ExitError](err); is && exit.ExitCode() == 2 {
		w.t.Errorf("the plan %s is not empty:\n%s", when, out)
	} else if err != nil {
		w.t.Fatalf("terraform plan %s: %v\n%s%s", when, err, out, errs)
	}
}

// changed asks Berth, not Terraform, whether the change is there.
func (w *workspace) changed(s *berthproc.Server, image oci.Digest) {
	w.t.Helper()
	ctx, client := w.t.Context(), s.ECR()
	repositories, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{guideRepo}})
	if r := ok(w.t, repositories, err).Repositories[0]; r.ImageTagMutability != types.ImageTagMutabilityImmutable || !r.ImageScanningConfiguration.ScanOnPush {
		w.t.Errorf("after the change the repository is %s, scanned on push %v; want IMMUTABLE, true", r.ImageTagMutability, r.ImageScanningConfiguration.ScanOnPush)
	}
	templates, err := client.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"hub"}})
	if x := ok(w.t, templates, err).RepositoryCreationTemplates; len(x) != 1 || x[0].ImageTagMutability != types.ImageTagMutabilityImmutable {
		w.t.Errorf("after the change the creation templates are %+v, want one, IMMUTABLE", x)
	}
	want := s.Host + "/" + guideRepo + "@" + image.String()
	if got := w.run("output", "-raw", "image"); got != want {
		w.t.Errorf("the output image is %s, want %s", got, want)
	}
}

// takeOver imports all that the other workspace made, changing none of it.
func (w *workspace) takeOver(other *workspace) {
	w.t.Helper()
	var state struct {
		Resources []struct {
			Mode, Type, Name string
			Instances        []struct {
				Attributes struct {
					ID, Name, User string
					PolicyARN      string `json:"policy_arn"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(other.shell.run("terraform", "state", "pull")), &state); err != nil {
		w.t.Fatal(err)
	}
	var imports strings.Builder
	count := 0
	for _, r := range state.Resources {
		if r.Mode == "managed" {
			a := r.Instances[0].Attributes
			id := a.ID
			switch {
			case id == "": // account settings have none
				id = a.Name
			case r.Type == "aws_iam_user_policy_attachment":
				id = a.User + "/" + a.PolicyARN
			}
			fmt.Fprintf(&imports, "import {\n  to = %s.%s\n  id = %q\n}\n", r.Type, r.Name, id)
			count++
		}
	}
	file := filepath.Join(w.dir, "imports.tf")
	writeFile(w.t, file, imports.String())
	contains(w.t, "the import", w.apply(), fmt.Sprintf("%d imported, 0 added, 0 changed, 0 destroyed", count))
	if err := os.Remove(file); err != nil {
		w.t.Fatal(err)
	}
}

// emptyRepository deletes the image, as somebody must before the repository can go.
func emptyRepository(t *testing.T, s *berthproc.Server, image oci.Digest) {
	t.Helper()
	out, err := s.ECR().BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{
		RepositoryName: aws.String(guideRepo), ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(image.String())}},
	})
	if failures := ok(t, out, err).Failures; len(failures) > 0 {
		t.Fatalf("BatchDeleteImage: %+v", failures)
	}
}

func nothingLeft(t *testing.T, s *berthproc.Server) {
	t.Helper()
	repositories, err := s.ECR().DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if left := ok(t, repositories, err).Repositories; len(left) > 0 {
		t.Errorf("terraform destroy leaves %d repositories", len(left))
	}
	templates, err := s.ECR().DescribeRepositoryCreationTemplates(t.Context(), &ecr.DescribeRepositoryCreationTemplatesInput{})
	if left := ok(t, templates, err).RepositoryCreationTemplates; len(left) > 0 {
		t.Errorf("terraform destroy leaves %d creation templates", len(left))
	}
	newClient(t, s).must(t, http.StatusNotFound, http.MethodGet, "/v2/"+guideRepo+"/tags/list", nil)
}
