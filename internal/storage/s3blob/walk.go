package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const (
	// The places of a walk: one of these, and the name that it is behind, without the prefix.
	inUploads = "uploads/"
	inObjects = "objects/"

	mostListed   = 1000             // S3's own limit of a page
	tailMark     = ".tail."         // between a tail's key and its id
	uploadMark   = "?uploadId="     // between a multipart upload's name and its id, in what Walk calls it
	behindFolder = "/\U0010ffff"    // what no name in a folder comes after
	exactTime    = time.Microsecond // of what Walk tells
)

var _ blob.Walker = (*Store)(nil)

// Walk implements [blob.Walker]: the multipart uploads that are not finished, by name, and then the objects. In this
// order an upload that is completed meanwhile is listed as one or the other. Objects in folders below the prefix are
// another store's; anything else that is not of this store's making is listed without a Key.
//
// MinIO lists unfinished multipart uploads of one given name only, so that there Walk finds none; it ends them by
// itself, after a day where nothing else was set.
func (s *Store) Walk(ctx context.Context, after string, limit int) ([]blob.Found, string, error) {
	limit = min(max(limit, 1), mostListed)
	var found []blob.Found
	var next string
	var err error
	switch phase, name, _ := strings.Cut(after, "/"); {
	case after == "" || phase+"/" == inUploads:
		found, next, err = s.walkUploads(ctx, name, limit)
	case phase+"/" == inObjects:
		found, next, err = s.walkObjects(ctx, name, limit)
	default:
		err = errors.New("no walk gives such a place")
	}
	if err != nil {
		return nil, "", fmt.Errorf("walking through blobs from %q: %w", after, storeError(err))
	}
	return found, next, nil
}

// walkUploads lists multipart uploads. All that are under way for one name come in one page: the marker by which S3
// would go on within them is of no use once its upload is gone, and not every store has it right.
func (s *Store) walkUploads(ctx context.Context, after string, limit int) ([]blob.Found, string, error) {
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &s.prefix, MaxUploads: aws.Int32(int32(limit))} //nolint:gosec // at most mostListed
	if after != "" {
		in.KeyMarker = aws.String(s.prefix + after)
	}
	out, err := s.client.ListMultipartUploads(ctx, in)
	if err != nil {
		return nil, "", err
	}
	uploads, next := out.Uploads, inObjects
	if n := len(uploads); n > 0 && aws.ToBool(out.IsTruncated) {
		last := aws.ToString(uploads[n-1].Key)
		for n > 0 && aws.ToString(uploads[n-1].Key) == last {
			n--
		}
		all, err := s.uploadsOf(ctx, last)
		if err != nil {
			return nil, "", err
		}
		uploads, next = append(uploads[:n:n], all...), inUploads+strings.TrimPrefix(last, s.prefix)
	}
	var found []blob.Found
	for _, u := range uploads {
		if f, ok := s.foundUpload(u); ok {
			found = append(found, f)
		}
	}
	return found, next, nil
}

// uploadsOf lists the multipart uploads for one name.
func (s *Store) uploadsOf(ctx context.Context, name string) ([]types.MultipartUpload, error) {
	var all []types.MultipartUpload
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) == name {
				all = append(all, u)
			}
		}
	}
	return all, nil
}

func (s *Store) foundUpload(u types.MultipartUpload) (blob.Found, bool) {
	name, ok := s.own(aws.ToString(u.Key))
	f := blob.Found{Name: name + uploadMark + aws.ToString(u.UploadId), Part: true, At: aws.ToTime(u.Initiated).UTC().Truncate(exactTime)}
	if checkKey(blob.Key(name)) == nil {
		f.Key = blob.Key(name)
	}
	return f, ok
}

// own takes the prefix off a name in the bucket, and tells whether it is one that Walk speaks of.
func (s *Store) own(name string) (string, bool) {
	name, ok := strings.CutPrefix(name, s.prefix)
	return name, ok && name != "" && name != idObject && !strings.Contains(name, "/")
}

// walkObjects lists objects. Where to go on is told by name, not by S3's token: a name holds for good.
func (s *Store) walkObjects(ctx context.Context, after string, limit int) ([]blob.Found, string, error) {
	in := &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: &s.prefix, Delimiter: aws.String("/"),
		MaxKeys: aws.Int32(int32(limit)), //nolint:gosec // at most mostListed
	}
	if after != "" {
		in.StartAfter = aws.String(s.prefix + after)
	}
	out, err := s.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, "", err
	}
	var found []blob.Found
	last := s.prefix + after
	for _, o := range out.Contents {
		if f, ok := s.foundObject(o); ok {
			found = append(found, f)
		}
		last = max(last, aws.ToString(o.Key))
	}
	for _, folder := range out.CommonPrefixes {
		last = max(last, strings.TrimSuffix(aws.ToString(folder.Prefix), "/")+behindFolder)
	}
	if !aws.ToBool(out.IsTruncated) {
		return found, "", nil
	}
	next := strings.TrimPrefix(last, s.prefix)
	if next == after {
		return nil, "", errors.New("the store says that there is more, and lists nothing")
	}
	return found, inObjects + next, nil
}

func (s *Store) foundObject(o types.Object) (blob.Found, bool) {
	name, ok := s.own(aws.ToString(o.Key))
	f := blob.Found{Name: name, Size: aws.ToInt64(o.Size), At: aws.ToTime(o.LastModified).UTC().Truncate(exactTime)}
	key, id, part := strings.Cut(name, tailMark)
	if checkKey(blob.Key(key)) == nil && (id != "") == part {
		f.Key, f.Part = blob.Key(key), part
	}
	return f, ok
}

// Discard implements [blob.Walker]. What this process is working on is being written; whether another replica is, a
// bucket cannot tell, nor whether a multipart upload has got more parts.
func (s *Store) Discard(ctx context.Context, f blob.Found) error {
	name, uploadID, multipart := strings.Cut(f.Name, uploadMark)
	key, id, tail := strings.Cut(name, tailMark)
	if checkKey(f.Key) != nil || key != string(f.Key) || (id != "") != tail || (uploadID != "") != multipart || tail && multipart {
		return fmt.Errorf("discarding %q: it is not of this store's making", f.Name)
	}
	release, err := s.busy.take(f.Key)
	if err != nil {
		return fmt.Errorf("discarding %s: %w", f.Name, err)
	}
	defer release()
	if multipart {
		err = s.abortMultipart(ctx, s.prefix+name, uploadID)
	} else {
		err = s.discardObject(ctx, s.prefix+name, f.At)
	}
	if err != nil {
		return fmt.Errorf("discarding %s: %w", f.Name, err)
	}
	if tail {
		s.tails.forget(id)
	}
	return nil
}

// discardObject deletes the object as it was found, and no other that has come to be there since.
func (s *Store) discardObject(ctx context.Context, name string, at time.Time) error {
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &name})
	if err = storeError(err); errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if written := aws.ToTime(head.LastModified).Truncate(exactTime); written.After(at) {
		return fmt.Errorf("%w: it was written at %v, later than it was found to be", blob.ErrBusy, written)
	}
	_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &name, IfMatch: head.ETag})
	if status(err) == http.StatusNotImplemented { // a store that knows no such condition
		_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &name})
	}
	if refusedAsThere(err) {
		return fmt.Errorf("%w: %w", blob.ErrBusy, err)
	}
	if err = storeError(err); errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}
