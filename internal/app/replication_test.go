package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
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

	"github.com/hoopstat-haus/berth/internal/app"
)

const replicated = "hoopstat-haus/prod"

// site is a Berth with its data, which may be started again.
type site struct {
	*running
	client *ecr.Client
}

// open starts the Berth of a data directory. It may replicate to the other one, where there is one.
func open(t *testing.T, data, region, listen string, other *site, otherData string) *site {
	t.Helper()
	more := []string{"region=" + region, "listen=" + listen}
	if other != nil {
		key, err := app.ReadRootKey(otherData)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "berth.yaml")
		text := fmt.Sprintf("destinations:\n  - region: %s\n    url: %s\n    access-key-id: %s\n    secret-access-key: %s\n",
			key.Region, other.URL(), key.AccessKeyID, key.SecretAccessKey)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		more = append(more, "config="+file)
	}
	d := deps()
	d.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := &site{running: start(t, settings(t, data, more...), d)}
	s.client = s.ecr(t, data)
	return s
}

// login is for the OCI API.
func (s *site) login(t *testing.T) remote.Option {
	t.Helper()
	out, err := s.client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(token), ":")
	return remote.WithAuth(&authn.Basic{Username: user, Password: password})
}

func (s *site) reference(t *testing.T, tag string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s.URL().Host+"/"+replicated+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// statusBecomes waits for an image's one replication status.
func (s *site) statusBecomes(t *testing.T, d v1.Hash, want types.ReplicationStatus) {
	t.Helper()
	var got []types.ImageReplicationStatus
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		out, err := s.client.DescribeImageReplicationStatus(t.Context(), &ecr.DescribeImageReplicationStatusInput{
			RepositoryName: aws.String(replicated), ImageId: &types.ImageIdentifier{ImageDigest: aws.String(d.String())},
		})
		if err != nil {
			t.Fatalf("DescribeImageReplicationStatus: %v", err)
		}
		if got = out.ReplicationStatuses; len(got) == 1 && got[0].Status == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	t.Fatalf("the status of %s is %+v, want %s", d, got, want)
}

// TestTwoBerths replicates an index while the destination is stopped, and after it is back; and again after the sender
// was started anew.
func TestTwoBerths(t *testing.T) {
	t.Parallel()
	here, there := t.TempDir(), t.TempDir()
	destination := open(t, there, "eu-west-1", "127.0.0.1:0", nil, "")
	source := open(t, here, "us-east-1", "127.0.0.1:0", destination, there)
	if err := destination.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := source.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(replicated)}); err != nil {
		t.Fatal(err)
	}
	_, err := source.client.PutReplicationConfiguration(t.Context(), &ecr.PutReplicationConfigurationInput{
		ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{{
			Destinations: []types.ReplicationDestination{{Region: aws.String("eu-west-1"), RegistryId: aws.String(source.root(t))}},
		}}},
	})
	if err != nil {
		t.Fatalf("PutReplicationConfiguration: %v", err)
	}
	list, err := random.Index(1<<20, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(source.reference(t, "v1"), list, source.login(t), remote.WithContext(t.Context())); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	digest, err := list.Digest()
	if err != nil {
		t.Fatal(err)
	}
	source.statusBecomes(t, digest, types.ReplicationStatusInProgress)

	destination = open(t, there, "eu-west-1", destination.URL().Host, nil, "")
	source.statusBecomes(t, digest, types.ReplicationStatusComplete)
	destination.has(t, "v1", list)

	if err := source.stop(); err != nil {
		t.Fatal(err)
	}
	source = open(t, here, "us-east-1", "127.0.0.1:0", destination, there)
	image, err := random.Image(1<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(source.reference(t, "v2"), image, source.login(t), remote.WithContext(t.Context())); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	if digest, err = image.Digest(); err != nil {
		t.Fatal(err)
	}
	source.statusBecomes(t, digest, types.ReplicationStatusComplete)
	got, err := remote.Image(destination.reference(t, "v2"), destination.login(t), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := got.Digest(); err != nil || d != digest {
		t.Errorf("the destination's v2 is %s, %v, want %s", d, err, digest)
	}
}

// root gives the registry's id.
func (s *site) root(t *testing.T) string {
	t.Helper()
	out, err := s.client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *out.RegistryId
}

// has pulls an index with all its bytes.
func (s *site) has(t *testing.T, tag string, want v1.ImageIndex) {
	t.Helper()
	got, err := remote.Index(s.reference(t, tag), s.login(t), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("pulling %s: %v", tag, err)
	}
	a, errA := got.RawManifest()
	b, errB := want.RawManifest()
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Fatalf("the manifest is %s, %v, want %s, %v", a, errA, b, errB)
	}
	manifest, err := got.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		image, err := got.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			body, err := l.Compressed()
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, body) // the client verifies the digest
			if size, _ := l.Size(); err != nil || n != size {
				t.Errorf("a layer of %s has %d bytes, %v, want %d", m.Digest, n, err, size)
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
