package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// canBe refuses what a restoration cannot do since the repository or an image is not there any more. A dry run asks for it; otherwise
// the server says so itself. What nobody may see is taken to be there.
func (p *program) canBe(cmd *cobra.Command, client *platform.Client, r restoration) error {
	images, err := client.Trash(cmd.Context(), r.repository, 0)
	if err != nil {
		return fmt.Errorf("asking for the trash of %s: %w", r.repository, err)
	}
	url, err := cmd.Flags().GetString("url")
	if err != nil {
		return err
	}
	registry, err := platform.ECR(cmd.Context(), url)
	if err != nil {
		return err
	}
	one := int32(1)
	_, err = registry.ListImages(cmd.Context(), &ecr.ListImagesInput{RepositoryName: &r.repository, MaxResults: &one})
	if gone, ok := errors.AsType[*types.RepositoryNotFoundException](err); ok {
		return &platform.Error{Code: gone.ErrorCode(), Message: gone.ErrorMessage()}
	}
	for _, id := range r.ids {
		if slices.ContainsFunc(images, func(i platform.TrashedImage) bool { return i.Digest == id.Digest }) {
			continue
		}
		_, err := registry.DescribeImages(cmd.Context(), &ecr.DescribeImagesInput{
			RepositoryName: &r.repository, ImageIds: []types.ImageIdentifier{{ImageDigest: &id.Digest}},
		})
		if _, ok := errors.AsType[*types.ImageNotFoundException](err); ok {
			return p.hintTrash(fmt.Errorf("%s@%s is neither in the repository nor in its trash", r.repository, short(id.Digest)), r.repository)
		}
	}
	return nil
}
