package platform

import (
	"context"
	"slices"
)

// DeleteImages deletes images, with force also those that are deployed. Each is deleted or fails by itself.
func (c *Client) DeleteImages(ctx context.Context, repository string, ids []ImageID, force bool) (failed []ImageFailure, err error) {
	type input struct {
		RepositoryName string    `json:"repositoryName"`
		ImageIDs       []ImageID `json:"imageIds"`
		Force          bool      `json:"force"`
	}
	for some := range slices.Chunk(ids, maxImages) {
		var out struct {
			Failures []ImageFailure `json:"failures"`
		}
		if err := c.call(ctx, "DeleteImages", input{repository, some, force}, &out); err != nil {
			return failed, err
		}
		failed = append(failed, out.Failures...)
	}
	return failed, nil
}
