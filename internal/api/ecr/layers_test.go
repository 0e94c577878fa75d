package ecr_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
)

const noUpload = "01234567-89ab-cdef-0123-456789abcdef"

func TestLayerInParts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	started, err := s.client.InitiateLayerUpload(t.Context(), &awsecr.InitiateLayerUploadInput{RepositoryName: aws.String(repo)})
	if err != nil {
		t.Fatalf("InitiateLayerUpload: %v", err)
	}
	if *started.PartSize != 10485760 {
		t.Errorf("InitiateLayerUpload: partSize %d, want 10485760", *started.PartSize)
	}
	first, second := strings.Repeat("a", 5<<20), "the rest"
	s.uploadPart(t, *started.UploadId, 0, first)
	s.uploadPart(t, *started.UploadId, int64(len(first)), second)
	d := oci.FromBytes([]byte(first + second)).String()
	done, err := s.client.CompleteLayerUpload(t.Context(), &awsecr.CompleteLayerUploadInput{
		RepositoryName: aws.String(repo), UploadId: started.UploadId, LayerDigests: []string{d},
	})
	if err != nil {
		t.Fatalf("CompleteLayerUpload: %v", err)
	}
	if *done.LayerDigest != d || *done.UploadId != *started.UploadId || *done.RepositoryName != repo || *done.RegistryId != account {
		t.Errorf("CompleteLayerUpload: %+v, want layer %s of upload %s", done, d, *started.UploadId)
	}
	_, err = s.client.CompleteLayerUpload(t.Context(), &awsecr.CompleteLayerUploadInput{
		RepositoryName: aws.String(repo), UploadId: started.UploadId, LayerDigests: []string{d},
	})
	wantError(t, "CompleteLayerUpload again", err, "UploadNotFoundException", *started.UploadId)
}

func TestUploadLayerPartOutOfOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	upload := s.startUpload(t)
	_, err := s.client.UploadLayerPart(t.Context(), partInput(upload, 5, "early"))
	wantPartError(t, "a first part at byte 5", err, upload, nil)
	s.uploadPart(t, upload, 0, "hello")
	_, err = s.client.UploadLayerPart(t.Context(), partInput(upload, 0, "hello"))
	wantPartError(t, "the same part again", err, upload, aws.Int64(4))
	_, err = s.client.UploadLayerPart(t.Context(), partInput(upload, 6, "gap"))
	wantPartError(t, "a part after a gap", err, upload, aws.Int64(4))
	s.uploadPart(t, upload, 5, " there")
}

// wantPartError checks InvalidLayerPartException with all that it says besides its words.
func wantPartError(t *testing.T, what string, err error, upload string, last *int64) {
	t.Helper()
	wantError(t, what, err, "InvalidLayerPartException", "")
	got, ok := asType[*types.InvalidLayerPartException](err)
	if !ok {
		return
	}
	members := []any{got.RegistryId, got.RepositoryName, got.UploadId, got.LastValidByteReceived}
	want := []any{aws.String(account), aws.String(repo), &upload, last}
	if diff := gocmp.Diff(want, members); diff != "" {
		t.Errorf("%s: registryId, repositoryName, uploadId, lastValidByteReceived (-want +got):\n%s", what, diff)
	}
}

func TestUploadLayerPartRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	upload := s.startUpload(t)
	part := func(change func(*awsecr.UploadLayerPartInput)) *awsecr.UploadLayerPartInput {
		in := partInput(upload, 0, "hello")
		change(in)
		return in
	}
	for name, c := range map[string]struct {
		in          *awsecr.UploadLayerPartInput
		code, words string
	}{
		"a byte more announced than sent": {
			part(func(in *awsecr.UploadLayerPartInput) { in.PartLastByte = aws.Int64(5) }), "InvalidParameterException",
			invalid("partLastByte", "bytes 0 to 5 are 6 bytes, and layerPartBlob has 5"),
		},
		"an end before its beginning": {
			part(func(in *awsecr.UploadLayerPartInput) { in.PartFirstByte = aws.Int64(9) }), "InvalidParameterException", "'partLastByte'",
		},
		"a negative beginning": {
			part(func(in *awsecr.UploadLayerPartInput) { in.PartFirstByte = aws.Int64(-1) }), "InvalidParameterException",
			invalid("partFirstByte", "Member must have value greater than or equal to 0"),
		},
		"an end beyond counting": {
			part(func(in *awsecr.UploadLayerPartInput) { in.PartLastByte = aws.Int64(1<<63 - 1) }), "InvalidParameterException", "'partLastByte'",
		},
		"no bytes": {
			part(func(in *awsecr.UploadLayerPartInput) { in.LayerPartBlob, in.PartLastByte = []byte{}, aws.Int64(0) }), "InvalidParameterException", "'partLastByte'",
		},
		"20 MiB and a byte": {
			partInput(upload, 0, strings.Repeat("x", 20971521)), "InvalidParameterException",
			invalid("layerPartBlob", "Member must have length less than or equal to 20971520"),
		},
		"no upload id": {
			part(func(in *awsecr.UploadLayerPartInput) { in.UploadId = aws.String("../../etc") }), "InvalidParameterException", "'uploadId'",
		},
		"an unknown upload": {
			part(func(in *awsecr.UploadLayerPartInput) { in.UploadId = aws.String(noUpload) }), "UploadNotFoundException", noUpload,
		},
		"no repository": {
			part(func(in *awsecr.UploadLayerPartInput) { in.RepositoryName = aws.String("none-such") }), "RepositoryNotFoundException", "'none-such'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.client.UploadLayerPart(t.Context(), c.in)
			wantError(t, "UploadLayerPart with "+name, err, c.code, c.words)
		})
	}
}

func TestUploadLayerPartTakes20MiB(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	s.uploadPart(t, s.startUpload(t), 0, strings.Repeat("x", 20971520))
}

func TestCompleteLayerUploadRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	d, other := oci.FromBytes([]byte("hello")).String(), oci.FromBytes([]byte("other")).String()
	complete := func(upload string, digests ...string) error {
		_, err := s.client.CompleteLayerUpload(t.Context(), &awsecr.CompleteLayerUploadInput{
			RepositoryName: aws.String(repo), UploadId: aws.String(upload), LayerDigests: digests,
		})
		return err
	}
	hello := func() string {
		t.Helper()
		upload := s.startUpload(t)
		s.uploadPart(t, upload, 0, "hello")
		return upload
	}
	wantError(t, "completing an empty upload", complete(s.startUpload(t), d), "EmptyUploadException", "")
	wantError(t, "completing with another digest", complete(hello(), other), "InvalidLayerException", other)
	wantError(t, "completing no upload", complete(noUpload, d), "UploadNotFoundException", noUpload)
	wantError(t, "completing an id that is none", complete("no-uuid", d), "InvalidParameterException", "'uploadId'")
	wantError(t, "completing with no digest", complete(hello(), []string{}...), "InvalidParameterException", "'layerDigests'")
	wantError(t, "completing with a malformed digest", complete(hello(), "hello"), "InvalidParameterException", "'layerDigests'")
	wantError(t, "completing with 101 digests", complete(hello(), slices.Repeat([]string{d}, 101)...), "InvalidParameterException",
		invalid("layerDigests", "Member must have length less than or equal to 100"))

	small := hello()
	s.uploadPart(t, small, 5, " there")
	wantError(t, "completing after a small part in the middle", complete(small, oci.FromBytes([]byte("hello there")).String()), "LayerPartTooSmallException", "5242880")

	upload := hello()
	wantError(t, "completing with two digests", complete(upload, d, other), "InvalidParameterException", "must be the same")
	if err := complete(upload, d, d); err != nil {
		t.Errorf("completing with one digest said twice: %v", err)
	}
	wantError(t, "completing a layer that is there", complete(hello(), d), "LayerAlreadyExistsException",
		"The layer with digest '"+d+"' already exists in the repository with name 'hoopstat-haus/prod' in the registry with id '000000000042'")
}

func TestInitiateLayerUploadRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, err := s.client.InitiateLayerUpload(t.Context(), &awsecr.InitiateLayerUploadInput{RepositoryName: aws.String(repo)})
	wantError(t, "InitiateLayerUpload in no repository", err, "RepositoryNotFoundException", repo)
	_, err = s.client.InitiateLayerUpload(t.Context(), &awsecr.InitiateLayerUploadInput{RepositoryName: aws.String("a//b")})
	wantError(t, "InitiateLayerUpload in a//b", err, "InvalidParameterException", "'repositoryName'")
}

func TestBatchCheckLayerAvailability(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	there, absent := s.layer(t, "layer"), oci.FromBytes([]byte("absent")).String()
	check := func(digests ...string) (*awsecr.BatchCheckLayerAvailabilityOutput, error) {
		return s.client.BatchCheckLayerAvailability(t.Context(), &awsecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String(repo), LayerDigests: digests})
	}
	out, err := check(there, absent, "nonsense", "", there)
	if err != nil {
		t.Fatalf("BatchCheckLayerAvailability: %v", err)
	}
	found := types.Layer{LayerDigest: &there, LayerAvailability: "AVAILABLE", LayerSize: aws.Int64(5)}
	layers := []types.Layer{found, {LayerDigest: &absent, LayerAvailability: "UNAVAILABLE"}, found}
	if diff := gocmp.Diff(layers, out.Layers, ignoreSerde()); diff != "" {
		t.Errorf("BatchCheckLayerAvailability: layers (-want +got):\n%s", diff)
	}
	for i := range out.Failures {
		if aws.ToString(out.Failures[i].FailureReason) == "" {
			t.Errorf("BatchCheckLayerAvailability: failure of %q has no reason", *out.Failures[i].LayerDigest)
		}
		out.Failures[i].FailureReason = nil
	}
	failures := []types.LayerFailure{
		{LayerDigest: aws.String("nonsense"), FailureCode: "InvalidLayerDigest"}, {LayerDigest: aws.String(""), FailureCode: "MissingLayerDigest"},
	}
	if diff := gocmp.Diff(failures, out.Failures, ignoreSerde()); diff != "" {
		t.Errorf("BatchCheckLayerAvailability: failures (-want +got):\n%s", diff)
	}
	_, err = check(slices.Repeat([]string{there}, 101)...)
	wantError(t, "BatchCheckLayerAvailability of 101", err, "InvalidParameterException", invalid("layerDigests", "Member must have length less than or equal to 100"))
	_, err = check([]string{}...)
	wantError(t, "BatchCheckLayerAvailability of none", err, "InvalidParameterException", "'layerDigests'")
	_, err = check(strings.Repeat("x", 1001))
	wantError(t, "BatchCheckLayerAvailability of a long text", err, "InvalidParameterException", "1000")
	_, err = s.client.BatchCheckLayerAvailability(t.Context(), &awsecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("none-such"), LayerDigests: []string{there}})
	wantError(t, "BatchCheckLayerAvailability in no repository", err, "RepositoryNotFoundException", "'none-such'")
}

func TestGetDownloadUrlForLayer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	layer, loose := s.layer(t, "layer"), s.layer(t, "loose")
	s.put(t, s.manifest(t, `{}`, "layer"), "v1")
	get := func(repository, digest string) (*awsecr.GetDownloadUrlForLayerOutput, error) {
		return s.client.GetDownloadUrlForLayer(t.Context(), &awsecr.GetDownloadUrlForLayerInput{RepositoryName: &repository, LayerDigest: &digest})
	}
	out, err := get(repo, layer)
	if err != nil {
		t.Fatalf("GetDownloadUrlForLayer: %v", err)
	}
	link, err := url.Parse(*out.DownloadUrl)
	if err != nil || link.Scheme != "http" || link.Host != host || link.Path != "/v2/hoopstat-haus/prod/blobs/"+layer || *out.LayerDigest != layer {
		t.Errorf("GetDownloadUrlForLayer = %s for %s, want a link to the layer on %s", *out.DownloadUrl, *out.LayerDigest, host)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, *out.DownloadUrl, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.auth.VerifyLink(r); err != nil {
		t.Errorf("the registry does not take its own link %s: %v", *out.DownloadUrl, err)
	}
	absent := oci.FromBytes([]byte("absent")).String()
	_, err = get(repo, loose)
	wantError(t, "GetDownloadUrlForLayer of a layer of no image", err, "LayerInaccessibleException", loose)
	_, err = get(repo, absent)
	wantError(t, "GetDownloadUrlForLayer of no layer", err, "LayersNotFoundException", absent)
	_, err = get(repo, "nonsense")
	wantError(t, "GetDownloadUrlForLayer of no digest", err, "InvalidParameterException", invalid("layerDigest", `must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'`))
	_, err = get("none-such", layer)
	wantError(t, "GetDownloadUrlForLayer in no repository", err, "RepositoryNotFoundException", "'none-such'")
}

// bucket is a store that makes links, as those on S3 do.
type bucket struct{ *diskblob.Store }

func (bucket) PresignGet(_ context.Context, key blob.Key, ttl time.Duration) (string, error) {
	return fmt.Sprintf("https://bucket.test/%s?expires=%s", key, ttl), nil
}

func TestGetDownloadUrlForLayerInABucket(t *testing.T) {
	t.Parallel()
	for redirect, want := range map[bool]string{true: "https://bucket.test/", false: "http://" + host + "/v2/"} {
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatalf("diskblob.Open: %v", err)
		}
		s := newServerOn(t, bucket{blobs}, redirect)
		s.create(t)
		s.put(t, s.manifest(t, `{}`, "layer"), "v1")
		out, err := s.client.GetDownloadUrlForLayer(t.Context(), &awsecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String(repo), LayerDigest: aws.String(s.layer(t, "layer"))})
		if err != nil {
			t.Fatalf("GetDownloadUrlForLayer: %v", err)
		}
		if !strings.HasPrefix(*out.DownloadUrl, want) || (redirect && !strings.HasSuffix(*out.DownloadUrl, "?expires=1h0m0s")) {
			t.Errorf("GetDownloadUrlForLayer with redirect %v: %s, want %s… for an hour", redirect, *out.DownloadUrl, want)
		}
	}
}
