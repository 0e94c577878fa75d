package berthtest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/berthtest"
)

const repo = "hoopstat-haus/prod"

// push writes a random image as docker would, and gives it.
func push(t *testing.T, s *berthtest.Server, tag string) v1.Image {
	t.Helper()
	image, err := random.Image(1024, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, s, tag), image, login(t, s), remote.WithContext(t.Context())); err != nil {
		t.Fatalf("pushing %s: %v", tag, err)
	}
	return image
}

func reference(t *testing.T, s *berthtest.Server, tag string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s.Host+"/"+repo+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func login(t *testing.T, s *berthtest.Server) remote.Option {
	t.Helper()
	return remote.WithAuth(&authn.Basic{Username: berthtest.Username, Password: s.Password(t)})
}

func TestPushOnOneSideDescribeOnTheOther(t *testing.T) {
	t.Parallel()
	s := berthtest.New(t, berthtest.Account("000000000042"), berthtest.Region("eu-west-1"))
	s.CreateRepository(t, repo)
	image := push(t, s, "v1")
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	client := ecr.NewFromConfig(s.AWSConfig())
	out, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String(repo)})
	if err != nil {
		t.Fatalf("DescribeImages: %v", err)
	}
	if len(out.ImageDetails) != 1 || *out.ImageDetails[0].ImageDigest != digest.String() || *out.ImageDetails[0].RegistryId != "000000000042" {
		t.Errorf("DescribeImages after pushing %s: %+v", digest, out.ImageDetails)
	}
	repositories, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatalf("DescribeRepositories: %v", err)
	}
	r := repositories.Repositories[0]
	if *r.RepositoryUri != s.Host+"/"+repo || *r.RepositoryArn != "arn:aws:ecr:eu-west-1:000000000042:repository/"+repo {
		t.Errorf("DescribeRepositories: %s, %s", *r.RepositoryUri, *r.RepositoryArn)
	}
	me, err := sts.NewFromConfig(s.AWSConfig()).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *me.Arn != "arn:aws:iam::000000000042:root" {
		t.Errorf("GetCallerIdentity = %+v, %v; want the account's root", me, err)
	}
}

// TestDownloadLinks fetches a layer by nothing but the link that ECR's API gives.
func TestDownloadLinks(t *testing.T) {
	t.Parallel()
	s := berthtest.New(t)
	s.CreateRepository(t, repo)
	layers, err := push(t, s, "v1").Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	out, err := ecr.NewFromConfig(s.AWSConfig()).GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{
		RepositoryName: aws.String(repo), LayerDigest: aws.String(digest.String()),
	})
	if err != nil {
		t.Fatalf("GetDownloadUrlForLayer: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, *out.DownloadUrl, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v", *out.DownloadUrl, err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		t.Fatal(err)
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); resp.StatusCode != http.StatusOK || got != digest.String() {
		t.Errorf("GET %s: %s with content %s, want %s", *out.DownloadUrl, resp.Status, got, digest)
	}
}

// TestGuidesTagsOverDocker is the guide's tagging rule as docker meets it.
func TestGuidesTagsOverDocker(t *testing.T) {
	t.Parallel()
	s := berthtest.New(t)
	_, err := ecr.NewFromConfig(s.AWSConfig()).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName: aws.String(repo), ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion,
		ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{
			{FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard, Filter: aws.String("*-latest")},
		},
	})
	if err != nil {
		t.Fatalf("CreateRepository: %v", err)
	}
	first := push(t, s, "example-calculator-app-a1b2c3d4")
	push(t, s, "example-calculator-app-latest")
	second := push(t, s, "example-calculator-app-latest")
	err = remote.Write(reference(t, s, "example-calculator-app-a1b2c3d4"), second, login(t, s), remote.WithContext(t.Context()))
	if err == nil || !strings.Contains(err.Error(), "cannot be overwritten because the repository is immutable") {
		t.Errorf("pushing another image over example-calculator-app-a1b2c3d4: %v, want a refusal", err)
	}
	if err := remote.Write(reference(t, s, "example-calculator-app-a1b2c3d4"), first, login(t, s), remote.WithContext(t.Context())); err != nil {
		t.Errorf("pushing the same image again: %v", err)
	}
}

// The second server goes on where the first stopped, so the two do not run in parallel.
func TestDataStays(t *testing.T) {
	dir := t.TempDir()
	var image v1.Image
	var key string
	t.Run("first", func(t *testing.T) {
		s := berthtest.New(t, berthtest.Data(dir))
		s.CreateRepository(t, repo)
		image, key = push(t, s, "v1"), s.AccessKeyID
	})
	t.Run("second", func(t *testing.T) {
		s := berthtest.New(t, berthtest.Data(dir))
		if s.AccessKeyID != key {
			t.Errorf("the second server's root key is %s, want the first's, %s", s.AccessKeyID, key)
		}
		got, err := remote.Image(reference(t, s, "v1"), login(t, s), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatalf("pulling v1 from the second server: %v", err)
		}
		want, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if d, err := got.Digest(); err != nil || d != want {
			t.Errorf("the second server's v1 is %s, %v; want %s", d, err, want)
		}
	})
}

func TestTheCLIWithTheEnvironment(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatal("BERTH_TEST_REQUIRE=all, and there is no aws in PATH")
		}
		t.Skip("the AWS CLI is not installed")
	}
	s := berthtest.New(t)
	cmd := exec.CommandContext(t.Context(), program, "sts", "get-caller-identity", "--query", "Account", "--output", "text")
	cmd.Env = append(os.Environ(), s.Environment()...)
	out, err := cmd.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != s.Account {
		t.Errorf("aws sts get-caller-identity: %v, %q; want account %s", err, got, s.Account)
	}
}
