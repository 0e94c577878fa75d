package app_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/hoopstat-haus/berth/berthtest"
	"github.com/hoopstat-haus/berth/internal/bench/proc"
)

// caching starts a Berth whose file has a secret, and gives it with its API and what logs in to it.
func caching(t *testing.T, username, token string) (r *running, data string, api *ecr.Client, login remote.Option) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "berth.yaml")
	text := fmt.Sprintf("secrets:\n  ecr-pullthroughcache/up:\n    username: %s\n    access-token: %q\n", username, token)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data = t.TempDir()
	r = start(t, settings(t, data, "config="+file), deps())
	api = r.ecr(t, data)
	out, err := api.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatalf("GetAuthorizationToken: %v", err)
	}
	plain, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(plain), ":")
	return r, data, api, remote.WithAuth(&authn.Basic{Username: user, Password: password})
}

const upARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ecr-pullthroughcache/up-AbCdEf"

// copyOf makes repositories under a prefix copies of a registry's.
func copyOf(t *testing.T, api *ecr.Client, prefix, upstream, arn string, kind types.UpstreamRegistry) {
	t.Helper()
	in := &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: &prefix, UpstreamRegistryUrl: &upstream, UpstreamRegistry: kind}
	if arn != "" {
		in.CredentialArn = &arn
	}
	if _, err := api.CreatePullThroughCacheRule(t.Context(), in); err != nil {
		t.Fatalf("CreatePullThroughCacheRule: %v", err)
	}
	out, err := api.ValidatePullThroughCacheRule(t.Context(), &ecr.ValidatePullThroughCacheRuleInput{EcrRepositoryPrefix: &prefix})
	if err != nil || !out.IsValid {
		t.Fatalf("ValidatePullThroughCacheRule: %+v, %v", out, err)
	}
}

func reference(t *testing.T, host, rest string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(host + "/" + rest)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// pushed pushes an image of some layers.
func pushed(t *testing.T, ref name.Reference, options ...remote.Option) v1.Image {
	t.Helper()
	img, err := random.Image(2<<20, 3)
	if err == nil {
		err = remote.Write(ref, img, options...)
	}
	if err != nil {
		t.Fatalf("pushing %s: %v", ref, err)
	}
	return img
}

// pullWhole pulls an image with all its layers, each checked, and compares digests.
func pullWhole(t *testing.T, ref name.Reference, want v1.Image, options ...remote.Option) {
	t.Helper()
	got, err := remote.Image(ref, options...)
	if err != nil {
		t.Fatalf("pulling %s: %v", ref, err)
	}
	if err := validate.Image(got); err != nil {
		t.Errorf("%s is broken: %v", ref, err)
	}
	digest, err := got.Digest()
	if wanted, err2 := want.Digest(); err != nil || err2 != nil || digest != wanted {
		t.Errorf("%s is %s, want %s (%v, %v)", ref, digest, wanted, err, err2)
	}
}

// TestPullThroughAnotherBerth pulls through a Berth whose upstream is a Berth, by docker's API and by ECR's.
func TestPullThroughAnotherBerth(t *testing.T) {
	t.Parallel()
	upstream := berthtest.New(t)
	upstream.CreateRepository(t, "team/app")
	login := remote.WithAuth(&authn.Basic{Username: berthtest.Username, Password: upstream.Password(t)})
	img := pushed(t, reference(t, upstream.Host, "team/app:v1"), login)

	r, data, api, auth := caching(t, upstream.AccessKeyID, upstream.SecretAccessKey)
	copyOf(t, api, "up", upstream.URL, upARN, "")
	pullWhole(t, reference(t, r.URL().Host, "up/team/app:v1"), img, auth)
	pullWhole(t, reference(t, r.URL().Host, "up/team/app:v1"), img, auth)

	second := pushed(t, reference(t, upstream.Host, "team/app:v2"), login)
	batch, err := api.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{
		RepositoryName: aws.String("up/team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v2")}, {ImageTag: aws.String("none")}},
	})
	if err != nil || len(batch.Images) != 1 || len(batch.Failures) != 1 || batch.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Fatalf("BatchGetImage: %+v, %v", batch, err)
	}
	manifest, err := second.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	layer := manifest.Layers[0]
	link, err := api.GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("up/team/app"), LayerDigest: aws.String(layer.Digest.String())})
	if err != nil {
		t.Fatalf("GetDownloadUrlForLayer: %v", err)
	}
	if status, body := r.get(t, *link.DownloadUrl); status != http.StatusOK || int64(len(body)) != layer.Size {
		t.Errorf("the link gives %d with %d bytes, want %d", status, len(body), layer.Size)
	}
	detail, err := api.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("up/team/app")})
	if err != nil || len(detail.ImageDetails) != 2 {
		t.Errorf("DescribeImages: %+v, %v; want the two that were pulled", detail, err)
	}
	temporary, err := filepath.Glob(filepath.Join(data, "layer-*.tmp"))
	if err != nil || len(temporary) != 0 {
		t.Errorf("temporary files are left: %v, %v", temporary, err)
	}
}

// TestUpstreamRefusals words an upstream's troubles in both APIs.
func TestUpstreamRefusals(t *testing.T) {
	t.Parallel()
	upstream := berthtest.New(t)
	upstream.CreateRepository(t, "team/app")
	pushed(t, reference(t, upstream.Host, "team/app:v1"), remote.WithAuth(&authn.Basic{Username: berthtest.Username, Password: upstream.Password(t)}))
	_, _, api, _ := caching(t, upstream.AccessKeyID, "not the secret")
	for prefix, url := range map[string]string{"up": upstream.URL, "away": "http://127.0.0.1:1"} {
		in := &ecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String(prefix), UpstreamRegistryUrl: aws.String(url), CredentialArn: aws.String(upARN)}
		if _, err := api.CreatePullThroughCacheRule(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		_, err := api.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{
			RepositoryName: aws.String(prefix + "/team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}},
		})
		if err == nil || !strings.Contains(err.Error(), "UnableToGetUpstreamImageException") {
			t.Errorf("%s, no repository: %v, want UnableToGetUpstreamImageException", prefix, err)
		}
		if _, err := api.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(prefix + "/team/app")}); err != nil {
			t.Fatal(err)
		}
		out, err := api.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{
			RepositoryName: aws.String(prefix + "/team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}},
		})
		want := map[string]types.ImageFailureCode{"up": types.ImageFailureCodeUpstreamAccessDenied, "away": types.ImageFailureCodeUpstreamUnavailable}[prefix]
		if err != nil || len(out.Failures) != 1 || out.Failures[0].FailureCode != want {
			t.Errorf("%s: %+v, %v; want the failure %s", prefix, out, err, want)
		}
	}
}

// TestPullThroughDistribution pulls through a Berth whose upstream is distribution's registry, as if that were Docker Hub.
func TestPullThroughDistribution(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("registry")
	if err != nil {
		t.Skip("distribution's registry is not installed: tools/install.sh registry")
	}
	dir := t.TempDir()
	address, err := proc.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	text := fmt.Sprintf(`{"version":"0.1","log":{"level":"error"},"storage":{"filesystem":{"rootdirectory":%q}},"http":{"addr":%q}}`, filepath.Join(dir, "data"), address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := proc.Start(context.WithoutCancel(t.Context()), "distribution", filepath.Join(dir, "log"), program, "serve", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Stop() })
	patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := process.Ready(patience, address); err != nil {
		t.Fatal(err)
	}
	img := pushed(t, reference(t, address, "library/alpine:3"))

	r, _, api, auth := caching(t, "nobody", "nothing")
	copyOf(t, api, "hub", "http://"+address, "", types.UpstreamRegistryDockerHub)
	pullWhole(t, reference(t, r.URL().Host, "hub/alpine:3"), img, auth)
	if err := process.Stop(); err != nil {
		t.Log(err)
	}
	pullWhole(t, reference(t, r.URL().Host, "hub/alpine:3"), img, auth)
}
