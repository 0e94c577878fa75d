package cli_test

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	ggcr "github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// Commands for lifecycle policies:
//
//	pushlayers DIR REPO TAG N…  push an image that has a layer of N bytes for each N, always the same ones
//	pushindex DIR REPO TAG N…   push an index over images without tags, which have one such layer each
//	gone DIR REPO TAG           wait until there is no such tag
//	stored DIR REPO NAME        set NAME to the bytes that the repository's images have, shared ones once

// layered is an image with these layers. The tag makes its configuration another one.
func layered(ts *testscript.TestScript, tag string, sizes []string) v1.Image {
	image, err := mutate.Config(empty.Image, v1.Config{Labels: map[string]string{"tag": tag}})
	ts.Check(err)
	for _, s := range sizes {
		n, err := strconv.Atoi(s)
		ts.Check(err)
		image, err = mutate.AppendLayers(image, static.NewLayer(bytes.Repeat([]byte{'x'}, n), ggcr.OCIUncompressedLayer))
		ts.Check(err)
	}
	return image
}

func pushLayers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: pushlayers DIR REPO TAG N...")
	}
	ref, login := pushTo(ts, args[0], args[1], args[2])
	ts.Check(remote.Write(ref, layered(ts, args[2], args[3:]), login))
}

func pushIndex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: pushindex DIR REPO TAG N...")
	}
	index := v1.ImageIndex(empty.Index)
	for _, n := range args[3:] {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: layered(ts, args[2], []string{n})})
	}
	ref, login := pushTo(ts, args[0], args[1], args[2])
	ts.Check(remote.WriteIndex(ref, index, login))
}

func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: gone DIR REPO TAG")
	}
	client, _ := connect(ts, args[0])
	for range 3000 {
		out, err := client.BatchGetImage(context.Background(), &ecr.BatchGetImageInput{
			RepositoryName: &args[1], ImageIds: []types.ImageIdentifier{{ImageTag: &args[2]}},
		})
		ts.Check(err)
		if len(out.Images) == 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	ts.Fatalf("%s:%s stays", args[1], args[2])
}

func stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: stored DIR REPO NAME")
	}
	client, _ := connect(ts, args[0])
	ref, login := pushTo(ts, args[0], args[1], "none")
	sizes := map[string]int64{}
	pages := ecr.NewListImagesPaginator(client, &ecr.ListImagesInput{RepositoryName: &args[1]})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		ts.Check(err)
		for _, id := range page.ImageIds {
			got, err := remote.Get(ref.Context().Digest(*id.ImageDigest), login)
			ts.Check(err)
			sizes[got.Digest.String()] = got.Size
			if got.MediaType.IsIndex() {
				continue
			}
			image, err := got.Image()
			ts.Check(err)
			manifest, err := image.Manifest()
			ts.Check(err)
			for _, d := range append(manifest.Layers, manifest.Config) {
				sizes[d.Digest.String()] = d.Size
			}
		}
	}
	sum := int64(0)
	for _, n := range sizes {
		sum += n
	}
	ts.Setenv(args[2], strconv.FormatInt(sum, 10))
}
