package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TestKilledWhileReplicating kills sender and destination in turn while images are on their way: in the end all of
// them, with their tags, are at the destination.
func TestKilledWhileReplicating(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		const images, kills, layer = 8, 4, 4 << 20
		destination := berthproc.Start(t, berthproc.Config{Args: []string{"--region", "eu-west-1"}})
		source := berthproc.Start(t, berthproc.Config{Storage: storage, Args: []string{"--config", destinations(t, destination)}})
		source.CreateRepositories("team/app")
		replicateAll(t, source.ECR(), "eu-west-1")
		pushing := newClient(t, source)
		want := map[string]oci.Digest{}
		for i := range images {
			config := pushing.pushBlob(t, "team/app", fmt.Appendf(nil, `{"n":%d}`, i))
			manifest := imageOf(config, pushing.pushBlob(t, "team/app", noise(uint64(i), layer)))
			tag := fmt.Sprintf("v%d", i)
			pushing.must(t, http.StatusCreated, http.MethodPut, "/v2/team/app/manifests/"+tag, manifest, "Content-Type", oci.MediaTypeOCIManifest)
			want[tag] = oci.FromBytes(manifest)
			if i >= images-kills { // others are being sent just now
				server := []*berthproc.Server{source, destination}[i%2]
				server.Kill()
				server.Restart()
				pushing = newClient(t, source)
			}
		}
		for tag := range want {
			waitForStatus(t, source.ECR(), "team/app", tag, types.ReplicationStatusComplete)
		}
		there := newClient(t, destination)
		for tag, d := range want {
			r, err := there.send(t.Context(), http.MethodHead, "/v2/team/app/manifests/"+tag, nil, "Accept", "*/*")
			if err != nil || r.Header.Get("Docker-Content-Digest") != d.String() {
				t.Errorf("the destination's %s: %v, %v, want %s", tag, r, err, d)
			}
			if err := there.verifyImage(t.Context(), "team/app", d); err != nil {
				t.Errorf("the destination's %s: %v", tag, err)
			}
		}
	})
}

// destinations writes a configuration file that names a server.
func destinations(t *testing.T, s *berthproc.Server) string {
	t.Helper()
	id, secret := s.Keys()
	file := filepath.Join(t.TempDir(), "berth.yaml")
	text := fmt.Sprintf("destinations:\n  - region: eu-west-1\n    url: %s\n    access-key-id: %s\n    secret-access-key: %s\n", s.URL, id, secret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// replicateAll replicates every repository to another region.
func replicateAll(t *testing.T, client *ecr.Client, region string) {
	t.Helper()
	registry, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutReplicationConfiguration(t.Context(), &ecr.PutReplicationConfigurationInput{
		ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{{
			Destinations: []types.ReplicationDestination{{Region: aws.String(region), RegistryId: registry.RegistryId}},
		}}},
	})
	if err != nil {
		t.Fatalf("PutReplicationConfiguration: %v", err)
	}
}

func waitForStatus(t *testing.T, client *ecr.Client, repository, tag string, want types.ReplicationStatus) {
	t.Helper()
	var got []types.ImageReplicationStatus
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		out, err := client.DescribeImageReplicationStatus(t.Context(), &ecr.DescribeImageReplicationStatusInput{
			RepositoryName: &repository, ImageId: &types.ImageIdentifier{ImageTag: &tag},
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
	t.Fatalf("the status of %s is %+v, want %s", tag, got, want)
}
