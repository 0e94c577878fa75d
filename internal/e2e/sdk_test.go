package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TestGoSDK goes through every operation of this version with Amazon's SDK for Go, layers by ECR's own
// upload API included.
func TestGoSDK(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		k := &sdk{t: t, ecr: s.ECR(), sts: s.STS(), repo: "sdk/go", host: s.Host}
		k.repositories()
		config := k.upload(noise(1, 900))
		// Three parts of 6 MiB each but the last, as the API asks for 5 MiB at least.
		layer := k.upload(noise(2, 14<<20))
		first := k.putImage(imageOf(config, layer), "v1")
		second := k.putImage(imageOf(config), "v2")
		k.download(layer)
		k.retag(first)
		k.pages(first, second)
		k.exceptions(layer)
		k.cleanUp(first, second)
	})
}

type sdk struct {
	t    *testing.T
	ecr  *ecr.Client
	sts  *sts.Client
	repo string
	host string
}

// ok fails the test on an error, and gives the output.
func ok[T any](t *testing.T, out T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// typed fails the test unless the error is the SDK's own type for it, with the words.
func typed[E error](t *testing.T, what string, err error, words ...string) {
	t.Helper()
	e, is := errors.AsType[E](err)
	if !is {
		t.Errorf("%s: %v, want a %T", what, err, *new(E))
		return
	}
	contains(t, what, e.Error(), words...)
}

func (k *sdk) repositories() {
	k.t.Helper()
	ctx := k.t.Context()
	id, err := k.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if got := aws.ToString(ok(k.t, id, err).Account); got != "123456789012" {
		k.t.Errorf("GetCallerIdentity says account %s, want 123456789012", got)
	}
	created, err := k.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: &k.repo, ImageTagMutability: types.ImageTagMutabilityMutable,
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("hoops")}},
	})
	r := ok(k.t, created, err).Repository
	if aws.ToString(r.RepositoryUri) != k.host+"/"+k.repo || r.CreatedAt == nil {
		k.t.Errorf("CreateRepository gave %s at %v, want %s/%s with a time", aws.ToString(r.RepositoryUri), r.CreatedAt, k.host, k.repo)
	}
	tags, err := k.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: r.RepositoryArn})
	if got := ok(k.t, tags, err).Tags; len(got) != 1 || aws.ToString(got[0].Key) != "team" {
		k.t.Errorf("ListTagsForResource gave %v, want team=hoops", got)
	}
	_, err = k.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &k.repo})
	typed[*types.RepositoryAlreadyExistsException](k.t, "CreateRepository again", err, k.repo)
	registry, err := k.ecr.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	if got := aws.ToString(ok(k.t, registry, err).RegistryId); got != "123456789012" {
		k.t.Errorf("DescribeRegistry says %s, want 123456789012", got)
	}
}

// upload sends bytes through ECR's layer API.
func (k *sdk) upload(content []byte) oci.Descriptor {
	k.t.Helper()
	ctx := k.t.Context()
	started, err := k.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &k.repo})
	id := ok(k.t, started, err).UploadId
	const part = 6 << 20
	for first := 0; first < len(content); first += part {
		last := min(first+part, len(content)) - 1
		out, err := k.ecr.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
			RepositoryName: &k.repo, UploadId: id, LayerPartBlob: content[first : last+1],
			PartFirstByte: aws.Int64(int64(first)), PartLastByte: aws.Int64(int64(last)),
		})
		if got := aws.ToInt64(ok(k.t, out, err).LastByteReceived); got != int64(last) {
			k.t.Errorf("UploadLayerPart of %d-%d says that byte %d came last", first, last, got)
		}
	}
	d := oci.FromBytes(content)
	done, err := k.ecr.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: &k.repo, UploadId: id, LayerDigests: []string{string(d)},
	})
	if got := aws.ToString(ok(k.t, done, err).LayerDigest); got != string(d) {
		k.t.Errorf("CompleteLayerUpload says %s, want %s", got, d)
	}
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(content))}
}

func (k *sdk) putImage(manifest []byte, tag string) oci.Digest {
	k.t.Helper()
	out, err := k.ecr.PutImage(k.t.Context(), &ecr.PutImageInput{
		RepositoryName: &k.repo, ImageManifest: aws.String(string(manifest)), ImageTag: &tag,
	})
	img := ok(k.t, out, err).Image
	if got, want := aws.ToString(img.ImageId.ImageDigest), oci.FromBytes(manifest); got != string(want) {
		k.t.Errorf("PutImage says digest %s, want %s", got, want)
	}
	return oci.Digest(aws.ToString(img.ImageId.ImageDigest))
}

func (k *sdk) download(layer oci.Descriptor) {
	k.t.Helper()
	ctx := k.t.Context()
	out, err := k.ecr.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{
		RepositoryName: &k.repo, LayerDigest: aws.String(string(layer.Digest)),
	})
	url := aws.ToString(ok(k.t, out, err).DownloadUrl)
	// Whoever has the URL needs nothing else.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	resp, err := new(http.Client).Do(ok(k.t, req, err))
	if err != nil {
		k.t.Fatalf("GET of the download URL: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || oci.FromBytes(body) != layer.Digest {
		k.t.Errorf("GET of the download URL gave %s and %d bytes (%v), want the layer's %d", resp.Status, len(body), err, layer.Size)
	}
	checked, err := k.ecr.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{
		RepositoryName: &k.repo, LayerDigests: []string{string(layer.Digest), string(oci.FromBytes([]byte("none"))), "rubbish"},
	})
	got := ok(k.t, checked, err)
	if len(got.Layers) != 2 || got.Layers[0].LayerAvailability != types.LayerAvailabilityAvailable ||
		got.Layers[1].LayerAvailability != types.LayerAvailabilityUnavailable ||
		len(got.Failures) != 1 || got.Failures[0].FailureCode != types.LayerFailureCodeInvalidLayerDigest {
		k.t.Errorf("BatchCheckLayerAvailability gave %+v and failures %+v, want one of each kind", got.Layers, got.Failures)
	}
}

// retag is the idiom that AWS documents: get the manifest, put it under another tag.
func (k *sdk) retag(first oci.Digest) {
	k.t.Helper()
	ctx := k.t.Context()
	out, err := k.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: &k.repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageTag: aws.String("none")}},
	})
	got := ok(k.t, out, err)
	if len(got.Images) != 1 || len(got.Failures) != 1 || got.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		k.t.Fatalf("BatchGetImage gave %d images and failures %+v, want one of each", len(got.Images), got.Failures)
	}
	again := &ecr.PutImageInput{
		RepositoryName: &k.repo, ImageManifest: got.Images[0].ImageManifest,
		ImageManifestMediaType: got.Images[0].ImageManifestMediaType, ImageTag: aws.String("stable"),
	}
	put, err := k.ecr.PutImage(ctx, again)
	if d := aws.ToString(ok(k.t, put, err).Image.ImageId.ImageDigest); d != string(first) {
		k.t.Errorf("PutImage of what BatchGetImage gave has digest %s, want %s", d, first)
	}
	_, err = k.ecr.PutImage(ctx, again)
	typed[*types.ImageAlreadyExistsException](k.t, "PutImage of the same under the same tag", err, string(first), "stable")
}

// pages lists in pages of one, and finds everything once.
func (k *sdk) pages(first, second oci.Digest) {
	k.t.Helper()
	ctx := k.t.Context()
	var digests []string
	images := ecr.NewDescribeImagesPaginator(k.ecr, &ecr.DescribeImagesInput{RepositoryName: &k.repo, MaxResults: aws.Int32(1)})
	for images.HasMorePages() {
		page, err := images.NextPage(ctx)
		for _, d := range ok(k.t, page, err).ImageDetails {
			digests = append(digests, aws.ToString(d.ImageDigest))
			if d.ImagePushedAt == nil || aws.ToInt64(d.ImageSizeInBytes) == 0 {
				k.t.Errorf("DescribeImages gave %+v, want a time and a size", d)
			}
		}
	}
	slices.Sort(digests)
	want := []string{string(first), string(second)}
	slices.Sort(want)
	if !slices.Equal(digests, want) {
		k.t.Errorf("DescribeImages in pages of one gave %q, want %q", digests, want)
	}
	var ids []string
	list := ecr.NewListImagesPaginator(k.ecr, &ecr.ListImagesInput{RepositoryName: &k.repo, MaxResults: aws.Int32(1)})
	for list.HasMorePages() {
		page, err := list.NextPage(ctx)
		for _, id := range ok(k.t, page, err).ImageIds {
			ids = append(ids, aws.ToString(id.ImageTag))
		}
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"stable", "v1", "v2"}) {
		k.t.Errorf("ListImages in pages of one gave tags %q, want stable, v1, v2", ids)
	}
	_, err := k.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: &k.repo, NextToken: aws.String("rubbish")})
	typed[*types.InvalidParameterException](k.t, "ListImages with a token nobody gave out", err)
}

func (k *sdk) exceptions(layer oci.Descriptor) {
	k.t.Helper()
	ctx := k.t.Context()
	none := aws.String("sdk/none")
	_, err := k.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: none})
	typed[*types.RepositoryNotFoundException](k.t, "ListImages", err, "The repository with name 'sdk/none' does not exist")
	_, err = k.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RepositoryName: &k.repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("none")}},
	})
	typed[*types.ImageNotFoundException](k.t, "DescribeImages", err, "imageTag:'none'")
	_, err = k.ecr.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: &k.repo, ImageTag: aws.String("v3"),
		ImageManifest: aws.String(string(imageOf(oci.Descriptor{Digest: oci.FromBytes([]byte("none")), Size: 4}))),
	})
	typed[*types.LayersNotFoundException](k.t, "PutImage without its layers", err, string(oci.FromBytes([]byte("none"))))
	started, err := k.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &k.repo})
	id := ok(k.t, started, err).UploadId
	part := &ecr.UploadLayerPartInput{
		RepositoryName: &k.repo, UploadId: id, LayerPartBlob: []byte("0123456789"), PartFirstByte: aws.Int64(10), PartLastByte: aws.Int64(19),
	}
	_, err = k.ecr.UploadLayerPart(ctx, part)
	typed[*types.InvalidLayerPartException](k.t, "UploadLayerPart with a gap", err)
	complete := &ecr.CompleteLayerUploadInput{RepositoryName: &k.repo, UploadId: id, LayerDigests: []string{string(layer.Digest)}}
	_, err = k.ecr.CompleteLayerUpload(ctx, complete)
	typed[*types.EmptyUploadException](k.t, "CompleteLayerUpload without a part", err)
	part.PartFirstByte, part.PartLastByte = aws.Int64(0), aws.Int64(9)
	_, err = k.ecr.UploadLayerPart(ctx, part)
	ok(k.t, 0, err)
	_, err = k.ecr.CompleteLayerUpload(ctx, complete)
	if _, exists := errors.AsType[*types.LayerAlreadyExistsException](err); !exists {
		typed[*types.InvalidLayerException](k.t, "CompleteLayerUpload under another's digest", err)
	}
	complete.UploadId = aws.String("00000000-0000-0000-0000-000000000000")
	_, err = k.ecr.CompleteLayerUpload(ctx, complete)
	typed[*types.UploadNotFoundException](k.t, "CompleteLayerUpload of none", err)
}

func (k *sdk) cleanUp(first, second oci.Digest) {
	k.t.Helper()
	ctx := k.t.Context()
	_, err := k.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &k.repo})
	typed[*types.RepositoryNotEmptyException](k.t, "DeleteRepository", err, "cannot be deleted because it still contains images")
	out, err := k.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{
		RepositoryName: &k.repo,
		ImageIds:       []types.ImageIdentifier{{ImageDigest: aws.String(string(first))}, {ImageTag: aws.String("v2")}},
	})
	got := ok(k.t, out, err)
	var gone []string
	for _, id := range got.ImageIds {
		gone = append(gone, aws.ToString(id.ImageDigest)+" "+aws.ToString(id.ImageTag))
	}
	slices.Sort(gone)
	want := []string{string(first) + " stable", string(first) + " v1", string(second) + " v2"}
	slices.Sort(want)
	if !slices.Equal(gone, want) || len(got.Failures) != 0 {
		k.t.Errorf("BatchDeleteImage says %q went and %+v failed, want %q", gone, got.Failures, want)
	}
	_, err = k.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &k.repo})
	ok(k.t, 0, err)
}

// TestBoto3 runs a script against the server; the script checks for itself.
func TestBoto3(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	python := berthproc.Tool(t, "python3")
	script, err := filepath.Abs(filepath.Join("testdata", "boto3_check.py"))
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		sh := newShell(t, s)
		if _, _, err := sh.try("", python, "-c", "import boto3"); err != nil {
			berthproc.Missing(t, "python3 has no boto3")
		}
		contains(t, "the script", sh.run(python, script, s.Host), "all good")
	})
}

// TestCLIPages lists with the AWS CLI in pages, by the server's limit and by the client's own.
func TestCLIPages(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "aws")
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		s.CreateRepositories("cli/pages")
		c := newClient(t, s)
		for i := range 7 {
			c.pushImage(t, "cli/pages", fmt.Sprintf("v%d", i), uint64(i))
		}
		sh := newShell(t, s)
		list := []string{"ecr", "list-images", "--repository-name", "cli/pages", "--output", "json"}
		var page struct {
			IDs       []struct{ ImageTag string } `json:"imageIds"`
			NextToken string
		}
		read := func(args ...string) int {
			page.IDs, page.NextToken = nil, ""
			out := sh.run("aws", append(list, args...)...)
			if err := json.Unmarshal([]byte(out), &page); err != nil {
				t.Fatalf("aws ecr list-images printed %q: %v", out, err)
			}
			return len(page.IDs)
		}
		if n := read("--page-size", "2"); n != 7 || page.NextToken != "" {
			t.Errorf("list-images --page-size 2 gave %d ids and token %q, want 7 and none", n, page.NextToken)
		}
		if n := read("--max-items", "3"); n != 3 || page.NextToken == "" {
			t.Errorf("list-images --max-items 3 gave %d ids and token %q, want 3 and a token", n, page.NextToken)
		}
		if n := read("--starting-token", page.NextToken); n != 4 {
			t.Errorf("list-images with that token gave %d ids, want the other 4", n)
		}
		if n := read("--page-size", "2", "--max-items", "3"); n != 3 || page.NextToken == "" {
			t.Errorf("list-images --page-size 2 --max-items 3 gave %d ids and token %q, want 3 and a token", n, page.NextToken)
		}
		if n := read("--page-size", "2", "--starting-token", page.NextToken); n != 4 {
			t.Errorf("list-images with that token gave %d ids, want the other 4", n)
		}
		out := sh.run("aws", "ecr", "describe-images", "--repository-name", "cli/pages", "--page-size", "3",
			"--query", "sort_by(imageDetails, &imagePushedAt)[].imageTags[]", "--output", "text")
		if got := strings.Fields(out); len(got) != 7 || got[0] != "v0" || got[6] != "v6" {
			t.Errorf("describe-images sorted by push gave %q, want v0 to v6", got)
		}
		manifest := sh.run("aws", "ecr", "batch-get-image", "--repository-name", "cli/pages", "--image-ids", "imageTag=v3",
			"--query", "images[0].imageManifest", "--output", "text")
		got := sh.run("aws", "ecr", "put-image", "--repository-name", "cli/pages", "--image-tag", "again",
			"--image-manifest", manifest, "--query", "image.imageId.imageDigest", "--output", "text")
		if want := oci.FromBytes(bytes.TrimSpace([]byte(manifest))); got != string(want) {
			t.Errorf("put-image of batch-get-image's manifest has digest %s, want %s", got, want)
		}
	})
}
