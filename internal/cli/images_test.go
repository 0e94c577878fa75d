package cli_test

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// Commands for the trash:
//
//	deleteimage DIR REPO TAG  delete what a tag points to
//	deleterepo DIR REPO       delete a repository with all it has
//	makerepo DIR REPO         make one; a third argument, immutable, makes its tags so
//	pulls DIR REPO TAG        pull an image with its layers

func deleteImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: deleteimage DIR REPO TAG")
	}
	client, _ := connect(ts, args[0])
	out, err := client.DescribeImages(context.Background(), &ecr.DescribeImagesInput{
		RepositoryName: &args[1], ImageIds: []types.ImageIdentifier{{ImageTag: &args[2]}},
	})
	ts.Check(err)
	deleted, err := client.BatchDeleteImage(context.Background(), &ecr.BatchDeleteImageInput{
		RepositoryName: &args[1], ImageIds: []types.ImageIdentifier{{ImageDigest: out.ImageDetails[0].ImageDigest}},
	})
	ts.Check(err)
	if len(deleted.Failures) > 0 {
		ts.Fatalf("%+v", deleted.Failures)
	}
}

func deleteRepo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: deleterepo DIR REPO")
	}
	client, _ := connect(ts, args[0])
	_, err := client.DeleteRepository(context.Background(), &ecr.DeleteRepositoryInput{RepositoryName: &args[1], Force: true})
	ts.Check(err)
}

func makeRepo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: makerepo DIR REPO [immutable]")
	}
	client, _ := connect(ts, args[0])
	in := &ecr.CreateRepositoryInput{RepositoryName: &args[1]}
	if len(args) == 3 {
		in.ImageTagMutability = types.ImageTagMutabilityImmutable
	}
	_, err := client.CreateRepository(context.Background(), in)
	ts.Check(err)
}

func pulls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: pulls DIR REPO TAG")
	}
	ref, login := pushTo(ts, args[0], args[1], args[2])
	image, err := remote.Image(ref, login)
	ts.Check(err)
	layers, err := image.Layers()
	ts.Check(err)
	for _, l := range layers {
		rc, err := l.Compressed()
		ts.Check(err)
		_, err = io.Copy(io.Discard, rc)
		ts.Check(err)
		ts.Check(rc.Close())
	}
}
