package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestLifecyclePreviewInTheBackground: a whole server works out a preview by itself.
func TestLifecyclePreviewInTheBackground(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	client := start(t, settings(t, data), deps()).ecr(t, data)
	ctx, name := t.Context(), aws.String("app")
	if _, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: name}); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "v2"} {
		pushSmall(t, client, *name, tag)
	}
	policy := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	if _, err := client.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: name, LifecyclePolicyText: &policy}); err != nil {
		t.Fatal(err)
	}
	waiter := ecr.NewLifecyclePolicyPreviewCompleteWaiter(client, func(o *ecr.LifecyclePolicyPreviewCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 100*time.Millisecond
	})
	out, err := waiter.WaitForOutput(ctx, &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: name}, time.Minute)
	if err != nil {
		t.Fatalf("waiting for the preview: %v", err)
	}
	if len(out.PreviewResults) != 1 || out.PreviewResults[0].ImageTags[0] != "v1" || *out.Summary.ExpiringImageTotalCount != 1 {
		t.Errorf("the preview is %+v with %+v, want v1 alone", out.PreviewResults, out.Summary)
	}
}

// pushSmall pushes an image of a configuration and nothing else.
func pushSmall(t *testing.T, client *ecr.Client, name, tag string) {
	t.Helper()
	config := []byte(`{"tag":"` + tag + `"}`)
	upload, err := client.InitiateLayerUpload(t.Context(), &ecr.InitiateLayerUploadInput{RepositoryName: &name})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.UploadLayerPart(t.Context(), &ecr.UploadLayerPartInput{
		RepositoryName: &name, UploadId: upload.UploadId, LayerPartBlob: config, PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(int64(len(config)) - 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := oci.FromBytes(config).String()
	_, err = client.CompleteLayerUpload(t.Context(), &ecr.CompleteLayerUploadInput{RepositoryName: &name, UploadId: upload.UploadId, LayerDigests: []string{d}})
	if err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`,
		oci.MediaTypeOCIManifest, d, len(config))
	if _, err := client.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: &name, ImageManifest: &manifest, ImageTag: &tag}); err != nil {
		t.Fatal(err)
	}
}
