package cli_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"
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

// Commands for images by hand:
//
//	pushbuilt DIR REPO TAG WHAT…  push an image as a builder makes it. WHAT is env=A=1, label=A=1, user=X, cmd=X, port=X,
//	                              platform=OS/ARCH, or layer=N=INSTRUCTION: a layer of N bytes, and what made it
//	pushbuilts DIR REPO TAG…      push an index of the images that have these tags; the last is the index's own
//	immutable DIR REPO            have the tags of a repository not move
//	putmanifest REPO TAG FILE     put a manifest by the API of the server that the variables name
//	attach DIR REPO TAG TYPE FILE push an artifact that refers to an image and has a file for its layer

// builtImage makes an image by the words of pushbuilt.
func builtImage(ts *testscript.TestScript, what []string) v1.Image {
	image := empty.Image
	file := &v1.ConfigFile{OS: "linux", Architecture: "amd64"}
	file.Config = v1.Config{Labels: map[string]string{}, ExposedPorts: map[string]struct{}{}}
	for _, w := range what {
		key, value, _ := strings.Cut(w, "=")
		name, rest, _ := strings.Cut(value, "=")
		switch key {
		case "env":
			file.Config.Env = append(file.Config.Env, value)
		case "label":
			file.Config.Labels[name] = rest
		case "user":
			file.Config.User = value
		case "cmd":
			file.Config.Cmd = strings.Fields(value)
		case "port":
			file.Config.ExposedPorts[value] = struct{}{}
		case "platform":
			file.OS, file.Architecture, _ = strings.Cut(value, "/")
		case "layer":
			n, err := strconv.Atoi(name)
			ts.Check(err)
			layer := static.NewLayer(bytes.Repeat([]byte{'x'}, n), ggcr.OCIUncompressedLayer)
			image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: rest}})
			ts.Check(err)
		default:
			ts.Fatalf("pushbuilt does not know %q", w)
		}
	}
	made, err := image.ConfigFile()
	ts.Check(err)
	file.History, file.RootFS = made.History, made.RootFS
	image, err = mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(image, ggcr.OCIManifestSchema1), ggcr.OCIConfigJSON), file)
	ts.Check(err)
	return image
}

func pushBuilt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: pushbuilt DIR REPO TAG WHAT...")
	}
	ref, login := pushTo(ts, args[0], args[1], args[2])
	ts.Check(remote.Write(ref, builtImage(ts, args[3:]), login))
}

func pushBuilts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: pushbuilts DIR REPO TAG...")
	}
	index := mutate.IndexMediaType(empty.Index, ggcr.OCIImageIndex)
	for _, tag := range args[2 : len(args)-1] {
		ref, login := pushTo(ts, args[0], args[1], tag)
		image, err := remote.Image(ref, login)
		ts.Check(err)
		file, err := image.ConfigFile()
		ts.Check(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: file.Platform()}})
	}
	ref, login := pushTo(ts, args[0], args[1], args[len(args)-1])
	ts.Check(remote.WriteIndex(ref, index, login))
}

func attach(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: attach DIR REPO TAG TYPE FILE")
	}
	ref, login := pushTo(ts, args[0], args[1], args[2])
	subject, err := remote.Head(ref, login)
	ts.Check(err)
	layer := static.NewLayer([]byte(ts.ReadFile(args[4])), ggcr.MediaType(args[3]))
	artifact, err := mutate.AppendLayers(mutate.MediaType(empty.Image, ggcr.OCIManifestSchema1), layer)
	ts.Check(err)
	artifact = mutate.ConfigMediaType(artifact, ggcr.MediaType(args[3]))
	refers, ok := mutate.Subject(artifact, *subject).(v1.Image)
	if !ok {
		ts.Fatalf("the artifact is no image")
	}
	d, err := refers.Digest()
	ts.Check(err)
	ts.Check(remote.Write(ref.Context().Digest(d.String()), refers, login))
}

func immutable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: immutable DIR REPO")
	}
	client, _ := connect(ts, args[0])
	_, err := client.PutImageTagMutability(context.Background(), &ecr.PutImageTagMutabilityInput{
		RepositoryName: &args[1], ImageTagMutability: types.ImageTagMutabilityImmutable,
	})
	ts.Check(err)
}

// putManifest puts a manifest by ECR's API to whatever the variables name, and makes the repository if there is none.
func putManifest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: putmanifest REPO TAG FILE")
	}
	url := ts.Getenv("AWS_ENDPOINT_URL")
	client := ecr.New(ecr.Options{
		BaseEndpoint: &url, Region: ts.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	_, err := client.CreateRepository(context.Background(), &ecr.CreateRepositoryInput{RepositoryName: &args[0]})
	if _, exists := errors.AsType[*types.RepositoryAlreadyExistsException](err); !exists {
		ts.Check(err)
	}
	text := ts.ReadFile(args[2])
	_, err = client.PutImage(context.Background(), &ecr.PutImageInput{RepositoryName: &args[0], ImageTag: &args[1], ImageManifest: &text})
	ts.Check(err)
}
