package app_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/hoopstat-haus/berth/internal/app"
)

func (r *running) iam(t *testing.T, data string) *iam.Client {
	t.Helper()
	key, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return iam.New(iam.Options{
		BaseEndpoint: aws.String(key.URL), Region: key.Region, HTTPClient: r.client,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
	})
}

// TestUsesOfKeysOutliveTheServer has a docker login used just before the server stops: the next start knows of it.
func TestUsesOfKeysOutliveTheServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, settings(t, data), deps())
	out, err := r.ecr(t, data).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL().String()+"/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic "+*out.AuthorizationData[0].AuthorizationToken)
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET /v2/ with a token answers %d, %v", res.StatusCode, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	key, err := app.ReadRootKey(data)
	if err != nil {
		t.Fatal(err)
	}
	r = start(t, settings(t, data), deps())
	last, err := r.iam(t, data).GetAccessKeyLastUsed(t.Context(), &iam.GetAccessKeyLastUsedInput{AccessKeyId: aws.String(key.AccessKeyID)})
	if err != nil {
		t.Fatal(err)
	}
	if used := last.AccessKeyLastUsed; used.LastUsedDate == nil || *used.ServiceName != "ecr" || *used.Region != key.Region {
		t.Errorf("last used: %+v, want the use of the token", used)
	}
}
