package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// Complete implements [blob.Store].
func (s *Store) Complete(ctx context.Context, u blob.Upload) error {
	if err := checkKey(u.Key); err != nil {
		return err
	}
	release, err := s.busy.take(u.Key)
	if err != nil {
		return fmt.Errorf("completing upload %s: %w", u.Key, err)
	}
	defer release()

	st, err := readState(u, s.partSize)
	if err != nil {
		return err
	}
	if st.UploadID == "" {
		err = s.completeSmall(ctx, u, st)
	} else {
		err = s.completeParts(ctx, u, st)
	}
	if s.busy.aborted(u.Key) { // Abort may have looked before the object was there
		err = errors.Join(fmt.Errorf("%w: it was aborted", blob.ErrLost), s.abort(context.WithoutCancel(ctx), u.Key))
	}
	if errors.Is(err, errTaken) && st.UploadID != "" {
		_ = s.abortMultipart(ctx, *s.name(u.Key), st.UploadID) // if not now, then as garbage
	}
	if err == nil || errors.Is(err, errTaken) {
		s.dropTails(ctx, u.Key, st)
	}
	if err != nil {
		return fmt.Errorf("completing upload %s: %w", u.Key, err)
	}
	return nil
}

// dropTails deletes the tails that a state knows of.
func (s *Store) dropTails(ctx context.Context, key blob.Key, st state) {
	if st.Tail != nil {
		s.tails.forget(st.Tail.ID)
		_ = s.deleteObject(ctx, s.tailName(key, st.Tail.ID)) // if not now, then as garbage
	}
	if st.OldTail != "" {
		_ = s.deleteObject(ctx, s.tailName(key, st.OldTail))
	}
}

// completeSmall makes the object of the tail alone, or of nothing.
func (s *Store) completeSmall(ctx context.Context, u blob.Upload, st state) error {
	body, by := &part{}, proof{}
	if st.Tail != nil {
		by = proof{mark: st.Tail.ID, etag: st.Tail.ETag}
		t, err := s.readTail(ctx, u.Key, *st.Tail)
		if errors.Is(err, blob.ErrLost) {
			return s.checkObject(ctx, u, by, err)
		}
		if err != nil {
			return err
		}
		body = t
	}
	defer body.release()
	err := s.onlyOnce(func(ifNoneMatch *string) error {
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.bucket, Key: s.name(u.Key), IfNoneMatch: ifNoneMatch,
			Body: body.reader(), ContentLength: &body.size, Metadata: by.metadata(),
		}, s.body...)
		return err
	})
	if status(err) == http.StatusPreconditionFailed {
		return s.checkObject(ctx, u, by, err)
	}
	return storeError(err)
}

// completeParts sends the tail as the last part and puts the parts together.
func (s *Store) completeParts(ctx context.Context, u blob.Upload, st state) error {
	etags := st.clone().ETags
	if st.Tail != nil {
		// A part's ETag is its bytes' as an object's is, so this stands in when the tail is gone already.
		etags = append(etags, st.Tail.ETag)
		etag, err := s.sendTail(ctx, u, st)
		if errors.Is(err, blob.ErrLost) {
			return s.checkObject(ctx, u, proof{st.Mark, partsETag(etags)}, err)
		}
		if err != nil {
			return err
		}
		etags[len(etags)-1] = etag
	}
	parts := make([]types.CompletedPart, len(etags))
	for i := range etags {
		parts[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: &etags[i]}
	}
	err := s.onlyOnce(func(ifNoneMatch *string) error {
		_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &s.bucket, Key: s.name(u.Key), UploadId: &st.UploadID, IfNoneMatch: ifNoneMatch,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
		return err
	})
	if status(err) == http.StatusPreconditionFailed || code(err) == "NoSuchUpload" {
		return s.checkObject(ctx, u, proof{st.Mark, partsETag(etags)}, err)
	}
	return storeError(err)
}

func (s *Store) sendTail(ctx context.Context, u blob.Upload, st state) (string, error) {
	t, err := s.readTail(ctx, u.Key, *st.Tail)
	if err != nil {
		return "", err
	}
	defer t.release()
	return s.sendPart(ctx, u.Key, st.UploadID, len(st.ETags)+1, t)
}

// onlyOnce makes a request on the condition that the object is not there; without the condition where the
// store does not know it.
func (s *Store) onlyOnce(request func(ifNoneMatch *string) error) error {
	err := request(aws.String("*"))
	if status(err) == http.StatusNotImplemented {
		err = request(nil)
	}
	return err
}

// proof is how Complete knows its own object again; what is empty says nothing.
type proof struct{ mark, etag string }

func (by proof) metadata() map[string]string {
	if by.mark == "" {
		return nil
	}
	return map[string]string{markName: by.mark}
}

func (by proof) is(o *s3.HeadObjectOutput) bool {
	return (by.mark != "" && by.mark == o.Metadata[markName]) || (by.etag != "" && by.etag == bare(o.ETag))
}

// errTaken: another upload's bytes have become the object, for ever; what is left of this one is nobody's.
var errTaken = fmt.Errorf("%w: there is another object under its key", blob.ErrLost)

// checkObject tells whether the object that kept Complete from making one is the same one. If it is not,
// the upload's bytes can no longer get to where they should be. All empty objects are the same.
func (s *Store) checkObject(ctx context.Context, u blob.Upload, by proof, cause error) error {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(u.Key)})
	if err = storeError(err); err != nil {
		if errors.Is(err, blob.ErrNotFound) {
			return fmt.Errorf("%w: %w", blob.ErrLost, cause)
		}
		return err
	}
	if aws.ToInt64(out.ContentLength) != u.Size || (u.Size > 0 && !by.is(out)) {
		return fmt.Errorf("%w (%w)", errTaken, cause)
	}
	return nil
}

// Abort implements [blob.Store]. It removes everything under the key's name, also what the caller's State
// does not know of. An Append or a Complete of this process that is running removes at its end what it wrote after
// that; what another replica writes is for a walk to find.
func (s *Store) Abort(ctx context.Context, u blob.Upload) error {
	if err := checkKey(u.Key); err != nil {
		return err
	}
	defer s.busy.abort(u.Key)()
	if err := s.abort(ctx, u.Key); err != nil {
		return fmt.Errorf("aborting upload %s: %w", u.Key, err)
	}
	return nil
}

func (s *Store) abort(ctx context.Context, key blob.Key) error {
	name := *s.name(key)
	uploads := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &name})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return storeError(err)
		}
		for _, m := range page.Uploads {
			if err := s.abortMultipart(ctx, aws.ToString(m.Key), aws.ToString(m.UploadId)); err != nil {
				return err
			}
		}
	}
	objects := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &name})
	for objects.HasMorePages() {
		page, err := objects.NextPage(ctx)
		if err != nil {
			return storeError(err)
		}
		for _, o := range page.Contents {
			if err := s.deleteObject(ctx, aws.ToString(o.Key)); err != nil {
				return err
			}
			if id, ok := strings.CutPrefix(aws.ToString(o.Key), s.tailName(key, "")); ok {
				s.tails.forget(id)
			}
		}
	}
	return nil
}

func (s *Store) abortMultipart(ctx context.Context, name, uploadID string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &name, UploadId: &uploadID})
	if err = storeError(err); errors.Is(err, blob.ErrLost) || errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}
