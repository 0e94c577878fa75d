package platform

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// MissingImages tells which images a repository does not have, by digest. The error is the server's RepositoryNotFoundException where
// there is no repository. What the caller may not see is taken to be there. The URL is one of those that ECR takes.
func MissingImages(ctx context.Context, url, repository string, digests []string) (missing []string, err error) {
	registry, err := ECR(ctx, url)
	if err != nil {
		return nil, err
	}
	one := int32(1)
	_, err = registry.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: &repository, MaxResults: &one})
	if err := Plain(err); Refused(err, "RepositoryNotFoundException") {
		return nil, err
	}
	for _, d := range digests {
		_, err := registry.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RepositoryName: &repository, ImageIds: []types.ImageIdentifier{{ImageDigest: &d}},
		})
		if _, ok := errors.AsType[*types.ImageNotFoundException](err); ok {
			missing = append(missing, d)
		}
	}
	return missing, nil
}
