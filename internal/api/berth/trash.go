package berth

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// maxImages bounds the images of one call.
const maxImages = 100

// ListTrashInput asks for the deleted images of a repository that can be restored.
type ListTrashInput struct {
	RepositoryName *string // required; the repository need not be there any more
	MaxResults     *int32  // 1 to 1000; 100 if absent
	NextToken      *string // of the page before
}

// ListTrashOutput is one page of them, newest first.
type ListTrashOutput struct {
	TrashedImages []TrashedImage
	NextToken     *string // absent on the last page
}

// TrashedImage is a deleted image. Members are named as in ECR's ImageDetail, where that has them.
type TrashedImage struct {
	ImageDigest            *string
	ImageTags              []string // those it had
	ImageManifestMediaType *string
	ArtifactMediaType      *string
	SubjectManifestDigest  *string
	ImageSizeInBytes       *int64
	ImagePushedAt          *time.Time
	DeletedAt              *time.Time
	RestorableUntil        *time.Time
	DeletedBy              *string // the ARN of who did it
	Reason                 *string // a sentence, where whoever did it gave one
	WentWithDigest         *string // of the image that it went along with, if it did
}

func (f face) listTrash(ctx context.Context, call awswire.Call, in *ListTrashInput) (*ListTrashOutput, error) {
	repository, err := repositoryOf(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	limit, err := pageLimit(in.MaxResults)
	if err != nil {
		return nil, err
	}
	page, err := f.registry.Trash(ctx, call.Caller, repository, limit, aws.ToString(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &ListTrashOutput{TrashedImages: []TrashedImage{}, NextToken: optional(page.Next)}
	for _, t := range page.Items {
		out.TrashedImages = append(out.TrashedImages, TrashedImage{
			ImageDigest: aws.String(t.Digest.String()), ImageTags: t.Tags, ImageManifestMediaType: aws.String(t.MediaType),
			ArtifactMediaType: optional(t.ArtifactType), SubjectManifestDigest: optional(t.Subject.String()),
			ImageSizeInBytes: aws.Int64(t.Size), ImagePushedAt: aws.Time(t.PushedAt),
			DeletedAt: aws.Time(t.At), RestorableUntil: aws.Time(t.PurgeAt), DeletedBy: aws.String(t.Actor),
			Reason: optional(t.Reason), WentWithDigest: optional(t.WentWith.String()),
		})
	}
	return out, nil
}

// RestoreImagesInput names images to bring back.
type RestoreImagesInput struct {
	RepositoryName *string   // required
	ImageIds       []ImageID //nolint:revive // named as on ECR's wire; required, 1 to 100
}

// RestoreImagesOutput tells what each came to.
type RestoreImagesOutput struct {
	RestoredImages []RestoredImage
	Failures       []ImageFailure
}

// RestoredImage is an image that is there, and what restoring it did.
type RestoredImage struct {
	ImageId      *ImageID //nolint:revive // named as on ECR's wire; as it was asked for
	ImageDigest  *string
	AlreadyThere *bool          // the repository had it: only tags were restored
	RestoredTags []string       // that point to it by this
	KeptTags     []KeptTag      // tags it had that stay where they are
	AlongDigests []string       // images that came back with it
	Left         []ImageFailure // images that had gone with it and stay in the trash
}

// KeptTag is a tag with the image that it points to.
type KeptTag struct {
	ImageTag    *string
	ImageDigest *string
}

func (f face) restoreImages(ctx context.Context, call awswire.Call, in *RestoreImagesInput) (*RestoreImagesOutput, error) {
	repository, err := repositoryOf(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if err := upTo(maxImages, "imageIds", len(in.ImageIds)); err != nil {
		return nil, err
	}
	results, err := f.caches.RestoreImages(ctx, call.Caller, repository, imageIDs(in.ImageIds))
	if err != nil {
		return nil, err
	}
	out := &RestoreImagesOutput{RestoredImages: []RestoredImage{}, Failures: []ImageFailure{}}
	for _, r := range results {
		if r.Err != nil {
			out.Failures = append(out.Failures, failure(r.ID, r.Err))
		} else {
			out.RestoredImages = append(out.RestoredImages, wireRestored(r))
		}
	}
	return out, nil
}

func wireRestored(r registry.Restored) RestoredImage {
	w := RestoredImage{
		ImageId: wireID(r.ID), ImageDigest: aws.String(r.Image.Digest.String()), AlreadyThere: aws.Bool(r.Known),
		RestoredTags: append([]string{}, r.Tags...), KeptTags: []KeptTag{}, AlongDigests: []string{}, Left: []ImageFailure{},
	}
	for _, t := range r.Kept {
		w.KeptTags = append(w.KeptTags, KeptTag{ImageTag: aws.String(t.Name), ImageDigest: aws.String(t.Digest.String())})
	}
	for _, d := range r.Along {
		w.AlongDigests = append(w.AlongDigests, d.String())
	}
	for _, l := range r.Left {
		w.Left = append(w.Left, failure(registry.ImageID{Digest: l.Digest.String()}, l.Err))
	}
	return w
}

// PurgeImagesInput names images to take out of the trash for good.
type PurgeImagesInput struct {
	RepositoryName *string  // required
	ImageDigests   []string // 1 to 100
	All            *bool    // all of the repository's, instead of digests
}

// PurgeImagesOutput tells what that came to.
type PurgeImagesOutput struct {
	PurgedImages *int64
	Failures     []ImageFailure
}

func (f face) purgeImages(ctx context.Context, call awswire.Call, in *PurgeImagesInput) (*PurgeImagesOutput, error) {
	repository, err := repositoryOf(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &PurgeImagesOutput{Failures: []ImageFailure{}}
	if aws.ToBool(in.All) {
		if len(in.ImageDigests) > 0 {
			return nil, fault.BadParameter("imageDigests", "must be absent where all are to be purged")
		}
		n, err := f.registry.EmptyTrash(ctx, call.Caller, repository)
		out.PurgedImages = aws.Int64(int64(n))
		return out, err
	}
	if err := upTo(maxImages, "imageDigests", len(in.ImageDigests)); err != nil {
		return nil, err
	}
	ds := make([]oci.Digest, len(in.ImageDigests))
	for i, s := range in.ImageDigests {
		if ds[i], err = oci.ParseDigest(s); err != nil {
			return nil, fault.BadParameter("imageDigests", err.Error())
		}
	}
	results, err := f.registry.PurgeImages(ctx, call.Caller, repository, ds)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if r.Err != nil {
			out.Failures = append(out.Failures, failure(registry.ImageID{Digest: r.Digest.String()}, r.Err))
		}
	}
	out.PurgedImages = aws.Int64(int64(len(results) - len(out.Failures)))
	return out, nil
}

// PutTrashWindowInput says how long a repository's deleted images stay restorable.
type PutTrashWindowInput struct {
	RepositoryName *string // required
	WindowSeconds  *int64  // 0: not at all; absent: as long as the server's configuration says
}

// GetTrashUsageInput asks what the trash takes up.
type GetTrashUsageInput struct {
	RepositoryName *string // absent: all trash
}

// TrashUsageOutput is what the trash takes up, and how long what is deleted from now on stays in it.
type TrashUsageOutput struct {
	TrashedImages *int64
	TrashBytes    *int64 // of layers that nothing but trash has
	WindowSeconds *int64
	OwnWindow     *bool // the repository itself says so
}

func (f face) putTrashWindow(ctx context.Context, call awswire.Call, in *PutTrashWindowInput) (*TrashUsageOutput, error) {
	repository, err := repositoryOf(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	var window *time.Duration
	if s := in.WindowSeconds; s != nil {
		if *s < 0 || *s > int64(registry.MaxTrashWindow/time.Second) {
			return nil, fault.BadParameter("windowSeconds", "must be from 0 to ten years of seconds")
		}
		window = aws.Duration(time.Duration(*s) * time.Second)
	}
	return wireUsage(f.registry.PutTrashWindow(ctx, call.Caller, repository, window))
}

func (f face) getTrashUsage(ctx context.Context, call awswire.Call, in *GetTrashUsageInput) (*TrashUsageOutput, error) {
	repository := ""
	if in.RepositoryName != nil {
		var err error
		if repository, err = repositoryOf(in.RepositoryName); err != nil {
			return nil, err
		}
	}
	return wireUsage(f.registry.TrashUsage(ctx, call.Caller, repository))
}

func wireUsage(u registry.TrashUsage, err error) (*TrashUsageOutput, error) {
	if err != nil {
		return nil, err
	}
	return &TrashUsageOutput{
		TrashedImages: aws.Int64(int64(u.Images)), TrashBytes: aws.Int64(u.Bytes), WindowSeconds: aws.Int64(int64(u.Window / time.Second)),
		OwnWindow: aws.Bool(u.Own),
	}, nil
}

func repositoryOf(name *string) (string, error) {
	if name == nil {
		return "", missing("repositoryName")
	}
	return oci.ParseRepositoryName(*name)
}

// upTo holds a list to 1 to limit members.
func upTo(limit int, member string, n int) error {
	switch {
	case n == 0:
		return fault.BadParameter(member, "Member must have length greater than or equal to 1")
	case n > limit:
		return fault.BadParameter(member, "Member must have length less than or equal to 100")
	}
	return nil
}

// failure has the code of the exception that the fault would be, as ECR's failure codes are named.
func failure(id registry.ImageID, err error) ImageFailure {
	e, _ := exceptionFor(err)
	return ImageFailure{ImageId: wireID(id), FailureCode: aws.String(strings.TrimSuffix(e.Code, "Exception")), FailureReason: aws.String(e.Message)}
}
