package ecr_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestDeploymentsThroughTheSDK: nothing but ECR's own operations is needed, and what Berth refuses has ECR's own types.
func TestDeploymentsThroughTheSDK(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	s.layer(t, deployment.Empty)
	manifest := s.manifest(t, `{"seed":"web"}`, "layer of web")
	image := s.put(t, manifest, "web-c3d4e5f6")
	record := deployment.Record{
		ID: "4f1c9a7be2d05836", App: "web", Environment: "prod", Action: deployment.Deploy, Outcome: deployment.Started, Actor: "ada",
		Image: oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: oci.Digest(image), Size: int64(len(manifest))},
		At:    time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
	}
	text := func(r deployment.Record) string {
		t.Helper()
		raw, err := r.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	start := s.put(t, text(record), record.Tag())
	other := record
	other.ID = "another-deployment"
	_, err := s.client.PutImage(t.Context(), putInput(text(other), record.Tag()))
	wantError(t, "PutImage by a second deployer", err, "ImageTagAlreadyExistsException", "web was deployed to prod before: a record is to have "+start)
	_, err = s.client.PutImage(t.Context(), putInput(text(other), "web-latest"))
	wantError(t, "PutImage of a record elsewhere", err, "InvalidParameterException", "what runs in prod as web is under 'deploy-prod-web'")
	_, err = s.client.PutImage(t.Context(), putInput(manifest, record.Tag()))
	wantError(t, "PutImage of an image to a deploy tag", err, "ImageTagAlreadyExistsException", "moves only to a deployment record")
	bad := text(record)
	_, err = s.client.PutImage(t.Context(), putInput(bad[:len(bad)-2]+`,"vnd.berth.deployment.team":"a"}}`, ""))
	wantError(t, "PutImage of a record that is none", err, "InvalidParameterException",
		"Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'not a deployment record: ")
	end := record
	end.Outcome, end.Previous = deployment.Succeeded, oci.Digest(start)
	s.put(t, text(end), record.Tag())

	const runs = "is deployed and is not deleted: it runs in prod as web since 2026-11-24T10:00:00Z"
	deleted, err := s.client.BatchDeleteImage(t.Context(), &awsecr.BatchDeleteImageInput{RepositoryName: aws.String(repo), ImageIds: []types.ImageIdentifier{id("", image)}})
	if err != nil || len(deleted.Failures) != 1 || deleted.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList ||
		*deleted.Failures[0].FailureReason != "Requested image "+runs {
		t.Errorf("BatchDeleteImage of what runs: %+v, %v", deleted, err)
	}
	_, err = s.move(t, id("web-c3d4e5f6", ""), types.TargetStorageClassArchive)
	wantError(t, "UpdateImageStorageClass of what runs", err, "ImageStorageClassUpdateNotSupportedException", "is deployed and is not archived: it runs in prod as web")
	referrers, err := s.client.ListImageReferrers(t.Context(), &awsecr.ListImageReferrersInput{
		RepositoryName: aws.String(repo), SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(image)},
		Filter: &types.ListImageReferrersFilter{ArtifactTypes: []string{deployment.ArtifactType}},
	})
	if err != nil || len(referrers.Referrers) != 2 {
		t.Errorf("ListImageReferrers: %+v, %v, want both records", referrers, err)
	}
	deleted, err = s.client.BatchDeleteImage(t.Context(), &awsecr.BatchDeleteImageInput{
		RepositoryName: aws.String(repo), ImageIds: []types.ImageIdentifier{id("", image), id("deploy-prod-web", "")},
	})
	if err != nil || len(deleted.Failures) != 0 || len(deleted.ImageIds) != 2 {
		t.Errorf("BatchDeleteImage of what runs with its deploy tag: %+v, %v", deleted, err)
	}
}
