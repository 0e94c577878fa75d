package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestAPushIsSigned pushes to a whole server and waits for its own jobs to sign.
func TestAPushIsSigned(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, settings(t, data), deps())
	client := r.ecr(t, data)
	const repo, profile = "team/app", "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"
	if _, err := client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(repo)}); err != nil {
		t.Fatal(err)
	}
	_, err := client.PutSigningConfiguration(t.Context(), &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{
		Rules: []types.SigningRule{{SigningProfileArn: aws.String(profile)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	push := func(method, path, body, mediaType string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, r.URL().String()+"/v2/"+repo+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Basic "+aws.ToString(token.AuthorizationData[0].AuthorizationToken))
		req.Header.Set("Content-Type", mediaType)
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s: %s", method, path, res.Status)
		}
	}
	config := "{}"
	d := oci.FromBytes([]byte(config))
	push(http.MethodPost, "/blobs/uploads/?digest="+d.String(), config, "application/octet-stream")
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/json","digest":%q,"size":2},"layers":[]}`, oci.MediaTypeOCIManifest, d)
	push(http.MethodPut, "/manifests/v1", manifest, oci.MediaTypeOCIManifest)

	in := &ecr.DescribeImageSigningStatusInput{RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}}
	var statuses []types.ImageSigningStatus
	for range 3000 {
		out, err := client.DescribeImageSigningStatus(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if statuses = out.SigningStatuses; len(statuses) == 1 && statuses[0].Status != types.SigningStatusInProgress {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if len(statuses) != 1 || statuses[0].Status != types.SigningStatusComplete {
		t.Fatalf("the statuses are %+v", statuses)
	}
	tag := strings.Replace(oci.FromBytes([]byte(manifest)).String(), ":", "-", 1) + ".sig"
	got, err := client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: aws.String(repo), ImageIds: []types.ImageIdentifier{{ImageTag: &tag}}})
	if err != nil || len(got.Images) != 1 || !strings.Contains(aws.ToString(got.Images[0].ImageManifest), "dev.cosignproject.cosign/signature") {
		t.Errorf("under the signature tag there is %+v, %v", got, err)
	}
}
