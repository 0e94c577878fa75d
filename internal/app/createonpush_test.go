package app_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

func TestCreateOnPushSetting(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	upload := &ecr.InitiateLayerUploadInput{RepositoryName: aws.String("new/app")}
	r := start(t, settings(t, data), deps())
	if _, err := r.ecr(t, data).InitiateLayerUpload(t.Context(), upload); err == nil {
		t.Error("without --create-on-push a push makes a repository")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second start finds what the first one made
		r = start(t, settings(t, data, "create-on-push=true"), deps())
		client := r.ecr(t, data)
		if _, err := client.InitiateLayerUpload(t.Context(), upload); err != nil {
			t.Errorf("with --create-on-push: %v", err)
		}
		out, err := client.DescribeRepositoryCreationTemplates(t.Context(), &ecr.DescribeRepositoryCreationTemplatesInput{})
		if err != nil || len(out.RepositoryCreationTemplates) != 1 ||
			!slices.Equal(out.RepositoryCreationTemplates[0].AppliedFor, []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}) {
			t.Errorf("DescribeRepositoryCreationTemplates = %+v, %v; want one for pushes", out, err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
