package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TestCosign has a server sign an image and an index, and cosign verify them: as it does by default, as its
// second generation did, and beside a signature that somebody makes with cosign.
func TestCosign(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "cosign")
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		const repo = "cosign/app"
		s.CreateRepositories(repo)
		client, sh, f := s.ECR(), newShell(t, s), newFixtures(t)
		rules := []types.SigningRule{}
		for _, profile := range []string{"release", "audit"} {
			rules = append(rules, types.SigningRule{SigningProfileArn: aws.String("arn:aws:signer:us-east-1:123456789012:/signing-profiles/" + profile)})
		}
		_, err := client.PutSigningConfiguration(t.Context(), &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{Rules: rules}})
		if err != nil {
			t.Fatal(err)
		}
		one, index := s.Host+"/"+repo+":v1", s.Host+"/"+repo+":platforms"
		digests := map[string]string{one: f.digest, index: pushBoth(t, s, f, one, index)}
		for _, profile := range []string{"release", "audit"} {
			pem := sh.run(berthproc.Binary(t), "signing", "key", profile)
			if err := os.WriteFile(filepath.Join(sh.dir, profile+".pub"), []byte(pem+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, tag := range []string{"v1", "platforms"} {
			waitSigned(t, client, repo, tag)
		}
		verify := func(key, image string, more ...string) []string {
			return append([]string{"verify", "--key", key + ".pub", "--insecure-ignore-tlog", image}, more...)
		}
		// What cosign 2 and its OCI 1.1 mode look for, after what cosign 3 does.
		modes := [][]string{nil, {"--new-bundle-format=false"}, {"--new-bundle-format=false", "--experimental-oci11"}}
		for _, mode := range modes {
			for _, image := range []string{one, index} {
				for _, key := range []string{"release", "audit"} {
					verified(t, sh.run("cosign", verify(key, image, mode...)...), digests[image])
				}
			}
		}
		sh.env = append(sh.env, "COSIGN_PASSWORD=")
		sh.run("cosign", "generate-key-pair", "--output-key-prefix", "own")
		for _, mode := range modes {
			contains(t, "cosign verify with a key that signed nothing", sh.refused("", "cosign", verify("own", one, mode...)...), "no matching ")
		}
		// Somebody's own signature joins ours under the tag, and ours stay.
		sh.run("cosign", "sign", "--yes", "--key", "own.key", "--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false", one)
		for _, key := range []string{"own", "release", "audit"} {
			verified(t, sh.run("cosign", verify(key, one, "--new-bundle-format=false")...), digests[one])
		}
	})
}

// pushBoth pushes the fixtures' image and index, and gives the index's digest.
func pushBoth(t *testing.T, s *berthproc.Server, f fixtures, image, index string) string {
	t.Helper()
	login := remote.WithAuth(&authn.Basic{Username: "AWS", Password: s.Password()})
	ref := func(text string) name.Reference {
		r, err := name.ParseReference(text, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := remote.Write(ref(image), f.image, login); err != nil {
		t.Fatal(err)
	}
	platforms, err := layout.ImageIndexFromPath(f.index)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref(index), platforms, login); err != nil {
		t.Fatal(err)
	}
	d, err := platforms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// verified checks that cosign's answer is about the image.
func verified(t *testing.T, answer, digest string) {
	t.Helper()
	var claims []struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal([]byte(answer), &claims); err != nil || len(claims) == 0 || claims[0].Critical.Image.Digest != digest {
		t.Errorf("cosign verify printed %q, %v: want a claim about %s", answer, err, digest)
	}
}

// waitSigned waits until all signatures of an image are made.
func waitSigned(t *testing.T, client *ecr.Client, repo, tag string) {
	t.Helper()
	in := &ecr.DescribeImageSigningStatusInput{RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageTag: aws.String(tag)}}
	for range 600 {
		out, err := client.DescribeImageSigningStatus(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		done := len(out.SigningStatuses) == 2
		for _, s := range out.SigningStatuses {
			done = done && s.Status == types.SigningStatusComplete
		}
		if done {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatalf("%s:%s is not signed after half a minute", repo, tag)
}
