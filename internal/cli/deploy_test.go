package cli_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// Commands for deployments:
//
//	deployed DIR REPO APP ENV TAG OUTCOME  record a deployment of what a tag points to; one that began a minute ago, if it is started

// condition knows, besides the usual ones, whether this program has kinds of targets.
func condition(name string) (bool, error) {
	if name != "targets" {
		return false, fmt.Errorf("no condition of the name %s", name)
	}
	_, err := os.Stat("../pipeline/target/command")
	return err == nil, nil
}

// pushing gives a repository to those who push to it.
type pushing struct {
	repo  name.Repository
	login remote.Option
}

func (p pushing) Remote(ctx context.Context, _ string) (name.Repository, []remote.Option, error) {
	return p.repo, []remote.Option{p.login, remote.WithContext(ctx)}, nil
}

func deployedBefore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 6 {
		ts.Fatalf("usage: deployed DIR REPO APP ENV TAG OUTCOME")
	}
	ctx := context.Background()
	client, _ := connect(ts, args[0])
	ref, login := pushTo(ts, args[0], args[1], args[4])
	records := deploy.NewRecords(client, pushing{ref.Context(), login}, args[1])
	got, err := client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &args[1], ImageIds: []types.ImageIdentifier{{ImageTag: &args[4]}}})
	ts.Check(err)
	text := aws.ToString(got.Images[0].ImageManifest)
	r := deployment.Record{
		ID: "deployment-" + args[4], App: args[2], Environment: args[3], Action: deployment.Deploy, Outcome: deployment.Outcome(args[5]),
		Image:  oci.Descriptor{MediaType: aws.ToString(got.Images[0].ImageManifestMediaType), Digest: oci.FromBytes([]byte(text)), Size: int64(len(text))},
		Reason: "it was tried", Actor: "arn:aws:iam::123456789012:user/ada", Commit: "0123456789abcdef0123", At: time.Now().UTC().Truncate(time.Second).Add(-time.Minute),
	}
	newest, there, err := records.Newest(ctx, args[3], args[2])
	ts.Check(err)
	if there {
		r.Previous = newest.Digest
	}
	_, err = records.Write(ctx, r, time.Time{})
	ts.Check(err)
}
