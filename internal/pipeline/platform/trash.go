package platform

import (
	"context"
	"slices"
	"time"
)

// TrashedImage is a deleted image that can be restored.
type TrashedImage struct {
	Digest, MediaType, ArtifactType, Subject string
	Tags                                     []string // that it had
	Size                                     int64
	PushedAt, DeletedAt, Until               time.Time
	Actor                                    string // ARN of who deleted it
	Reason                                   string // a sentence, or empty
	WentWith                                 string // digest of the image that it went along with, or empty
}

// Trash lists a repository's deleted images, newest first, at most limit (0: all).
func (c *Client) Trash(ctx context.Context, repository string, limit int) ([]TrashedImage, error) {
	type input struct {
		RepositoryName string `json:"repositoryName"`
		MaxResults     int    `json:"maxResults"`
		NextToken      string `json:"nextToken,omitempty"`
	}
	var images []TrashedImage
	for in := (input{RepositoryName: repository, MaxResults: 1000}); ; {
		var out struct {
			TrashedImages []wireTrashed `json:"trashedImages"`
			NextToken     string        `json:"nextToken"`
		}
		if err := c.call(ctx, "ListTrash", in, &out); err != nil {
			return nil, err
		}
		for _, w := range out.TrashedImages {
			images = append(images, w.image())
			if len(images) == limit {
				return images, nil
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return images, nil
		}
	}
}

type wireTrashed struct {
	Digest       string   `json:"imageDigest"`
	Tags         []string `json:"imageTags"`
	MediaType    string   `json:"imageManifestMediaType"`
	ArtifactType string   `json:"artifactMediaType"`
	Subject      string   `json:"subjectManifestDigest"`
	Size         int64    `json:"imageSizeInBytes"`
	PushedAt     float64  `json:"imagePushedAt"` // seconds since 1970, as the others
	DeletedAt    float64  `json:"deletedAt"`
	Until        float64  `json:"restorableUntil"`
	Actor        string   `json:"deletedBy"`
	Reason       string   `json:"reason"`
	WentWith     string   `json:"wentWithDigest"`
}

func (w wireTrashed) image() TrashedImage {
	at := func(seconds float64) time.Time { return time.UnixMilli(int64(seconds*1e3 + 0.5)).UTC() }
	return TrashedImage{
		Digest: w.Digest, MediaType: w.MediaType, ArtifactType: w.ArtifactType, Subject: w.Subject, Tags: w.Tags, Size: w.Size,
		PushedAt: at(w.PushedAt), DeletedAt: at(w.DeletedAt), Until: at(w.Until), Actor: w.Actor, Reason: w.Reason, WentWith: w.WentWith,
	}
}

// ImageID names an image by digest, by tag, or by both.
type ImageID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

// RestoredImage tells what the restoration of an image did.
type RestoredImage struct {
	ID           ImageID        `json:"imageId"` // as it was asked for
	Digest       string         `json:"imageDigest"`
	AlreadyThere bool           `json:"alreadyThere"` // tags are all that was restored
	Tags         []string       `json:"restoredTags"`
	Kept         []ImageID      `json:"keptTags"` // tags it had that stay where they are
	Along        []string       `json:"alongDigests"`
	Left         []ImageFailure `json:"left"` // what had gone with it and stays in the trash
}

// ImageFailure says why something was not done about an image.
type ImageFailure struct {
	ID     ImageID `json:"imageId"`
	Code   string  `json:"failureCode"`
	Reason string  `json:"failureReason"`
}

// maxImages bounds the images of one call.
const maxImages = 100

// Restore brings images back. Each is restored or fails by itself.
func (c *Client) Restore(ctx context.Context, repository string, ids []ImageID) (restored []RestoredImage, failed []ImageFailure, err error) {
	type input struct {
		RepositoryName string    `json:"repositoryName"`
		ImageIDs       []ImageID `json:"imageIds"`
	}
	for some := range slices.Chunk(ids, maxImages) {
		var out struct {
			RestoredImages []RestoredImage `json:"restoredImages"`
			Failures       []ImageFailure  `json:"failures"`
		}
		if err := c.call(ctx, "RestoreImages", input{repository, some}, &out); err != nil {
			return restored, failed, err
		}
		restored, failed = append(restored, out.RestoredImages...), append(failed, out.Failures...)
	}
	return restored, failed, nil
}

// Purge takes images out of the trash for good, all of the repository's where no digests are given, and tells how many went.
func (c *Client) Purge(ctx context.Context, repository string, digests []string) (purged int, failed []ImageFailure, err error) {
	type input struct {
		RepositoryName string   `json:"repositoryName"`
		ImageDigests   []string `json:"imageDigests,omitempty"`
		All            bool     `json:"all,omitempty"`
	}
	calls := []input{{RepositoryName: repository, All: true}}
	if len(digests) > 0 {
		calls = nil
		for some := range slices.Chunk(digests, maxImages) {
			calls = append(calls, input{RepositoryName: repository, ImageDigests: some})
		}
	}
	for _, in := range calls {
		var out struct {
			PurgedImages int            `json:"purgedImages"`
			Failures     []ImageFailure `json:"failures"`
		}
		if err := c.call(ctx, "PurgeImages", in, &out); err != nil {
			return purged, failed, err
		}
		purged, failed = purged+out.PurgedImages, append(failed, out.Failures...)
	}
	return purged, failed, nil
}

// TrashUsage is what the trash takes up, and how long what is deleted from now on stays in it.
type TrashUsage struct {
	Images        int   `json:"trashedImages"`
	Bytes         int64 `json:"trashBytes"` // of layers that nothing but trash has
	WindowSeconds int64 `json:"windowSeconds"`
	OwnWindow     bool  `json:"ownWindow"` // the repository itself says so, not the server
}

// Window is the time in the trash.
func (u TrashUsage) Window() time.Duration { return time.Duration(u.WindowSeconds) * time.Second }

// TrashUsage asks about one repository, or, without a name, about all trash.
func (c *Client) TrashUsage(ctx context.Context, repository string) (TrashUsage, error) {
	in := struct {
		RepositoryName string `json:"repositoryName,omitempty"`
	}{repository}
	var out TrashUsage
	err := c.call(ctx, "GetTrashUsage", in, &out)
	return out, err
}

// SetTrashWindow sets how long a repository's deleted images stay restorable; nil: as long as the server says.
func (c *Client) SetTrashWindow(ctx context.Context, repository string, window *time.Duration) (TrashUsage, error) {
	in := struct {
		RepositoryName string `json:"repositoryName"`
		WindowSeconds  *int64 `json:"windowSeconds,omitempty"`
	}{RepositoryName: repository}
	if window != nil {
		in.WindowSeconds = new(int64(*window / time.Second))
	}
	var out TrashUsage
	err := c.call(ctx, "PutTrashWindow", in, &out)
	return out, err
}
