package s3blob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// sendingPerUpload is how many parts of one upload are on their way while the next is being read.
const sendingPerUpload = 2

// Append implements [blob.Store].
func (s *Store) Append(ctx context.Context, u blob.Upload, r io.Reader) (blob.Upload, error) {
	if err := checkKey(u.Key); err != nil {
		return u, err
	}
	release, err := s.busy.take(u.Key)
	if err != nil {
		return u, fmt.Errorf("appending to upload %s: %w", u.Key, err)
	}
	defer release()

	grown, err := s.append(ctx, u, r)
	if s.busy.aborted(u.Key) {
		// Abort may have looked before the last bytes were written, and nobody will go on with them.
		err = errors.Join(fmt.Errorf("%w: it was aborted while bytes came", blob.ErrNotFound), s.abort(context.WithoutCancel(ctx), u.Key))
		return u, fmt.Errorf("appending to upload %s: %w", u.Key, err)
	}
	return grown, err
}

func (s *Store) append(ctx context.Context, u blob.Upload, r io.Reader) (blob.Upload, error) {
	st, err := readState(u, s.partSize)
	if err != nil {
		return u, err
	}
	work := context.WithoutCancel(ctx) // when ctx ends, what was read is still made durable
	a := &appending{store: s, key: u.Key, old: st, st: st.clone(), rest: &part{}}
	a.group, a.work = errgroup.WithContext(work)
	a.group.SetLimit(sendingPerUpload)
	readErr, err := a.copyFrom(ctx, r)
	if err == nil && a.read > 0 {
		err = a.finish(work)
	}
	a.rest.release()
	if err != nil {
		a.giveUp(work)
		return u, fmt.Errorf("appending to upload %s: %w", u.Key, err)
	}
	if a.read > 0 {
		if st.UploadID != "" {
			a.st.Mark = "" // another Append may go on from the same Upload, with other bytes, to the same mark
		}
		grown, err := a.st.upload(u.Key)
		if err != nil {
			return u, err
		}
		u = grown
	}
	if readErr != nil {
		return u, fmt.Errorf("reading bytes for upload %s: %w", u.Key, readErr)
	}
	return u, nil
}

// appending is one Append under way. The goroutine that reads owns it, but for the ETags, which the
// goroutines that send fill in.
type appending struct {
	store *Store
	key   blob.Key
	old   state // as the caller stored it
	st    state // as it will be
	read  int64 // bytes that r delivered
	rest  *part // what is not sent yet

	group *errgroup.Group
	work  context.Context //nolint:containedctx // of the requests in group; ends at the first failure
	mu    sync.Mutex      // guards st.ETags
}

// copyFrom sends the parts that r fills until it ends, fails, or ctx does (readErr), or until the store
// fails (err). When it returns nothing is on its way any more.
func (a *appending) copyFrom(ctx context.Context, r io.Reader) (readErr, err error) {
	for ended := false; !ended && err == nil && a.work.Err() == nil; {
		ended, readErr, err = a.readPart(ctx, r)
		if err == nil && a.rest.size == a.st.PartSize {
			full := a.rest
			a.rest = &part{}
			err = a.send(full)
		}
	}
	// A failure to send ends a.work, and what else was under way with it: its own error comes first.
	return readErr, cmp.Or(a.group.Wait(), err)
}

// readPart reads until a part is full, with the upload's tail at its head if it is the first, or until r
// has ended.
func (a *appending) readPart(ctx context.Context, r io.Reader) (ended bool, readErr, err error) {
	limit := a.st.PartSize
	if a.read == 0 {
		limit -= a.st.tailSize()
	}
	n, ended, readErr := a.fill(ctx, r, a.rest, limit)
	if n > 0 && a.read == 0 {
		err = a.loadTail(a.rest)
	}
	a.read += int64(n)
	return ended, readErr, err
}

// fill reads until p has limit bytes, and returns how many it read. If r has ended before that, or failed, or
// ctx has, it tells so; err is nil at a proper end.
func (a *appending) fill(ctx context.Context, r io.Reader, p *part, limit int64) (total int, ended bool, err error) {
	idle := 0
	for p.size < limit && a.work.Err() == nil {
		if err := ctx.Err(); err != nil {
			return total, true, err
		}
		n, err := p.readFrom(r, limit)
		total += n
		if err == io.EOF { //nolint:errorlint // a Reader's end is io.EOF itself
			return total, true, nil
		}
		if err != nil {
			return total, true, err
		}
		if n > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return total, true, io.ErrNoProgress
		}
	}
	return total, false, nil
}

// loadTail puts the bytes of the upload's tail before those that were read.
func (a *appending) loadTail(p *part) error {
	if a.st.Tail == nil {
		return nil
	}
	t, err := a.store.readTail(a.work, a.key, *a.st.Tail)
	if err != nil {
		return err
	}
	p.prepend(t)
	return nil
}

// send puts a full part on its way, and waits while too many are.
func (a *appending) send(p *part) error {
	if err := a.begin(); err != nil {
		p.release()
		return err
	}
	a.mu.Lock()
	a.st.ETags = append(a.st.ETags, "")
	number := len(a.st.ETags)
	a.mu.Unlock()
	a.st.Tail = nil
	a.group.Go(func() error {
		defer p.release()
		etag, err := a.store.sendPart(a.work, a.key, a.st.UploadID, number, p)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.st.ETags[number-1] = etag
		return err
	})
	return nil
}

// begin creates the multipart upload if there is none yet.
func (a *appending) begin() error {
	if a.st.UploadID != "" {
		return nil
	}
	mark := rand.Text()
	out, err := a.store.client.CreateMultipartUpload(a.work, &s3.CreateMultipartUploadInput{
		Bucket: &a.store.bucket, Key: a.store.name(a.key), Metadata: map[string]string{markName: mark},
	})
	if err != nil {
		return fmt.Errorf("creating multipart upload: %w", storeError(err))
	}
	a.st.UploadID, a.st.Mark = aws.ToString(out.UploadId), mark
	return nil
}

// finish stores the rest as a tail, and deletes the tail that can no longer be asked for.
func (a *appending) finish(ctx context.Context) error {
	s := a.store
	a.st.Tail, a.st.OldTail = nil, ""
	if a.old.Tail != nil {
		a.st.OldTail = a.old.Tail.ID
	}
	if a.rest.size > 0 {
		t, err := s.writeTail(ctx, a.key, a.rest)
		if err != nil {
			return err
		}
		a.st.Tail = &t
	}
	if a.old.OldTail != "" {
		_ = s.deleteObject(ctx, s.tailName(a.key, a.old.OldTail)) // if not now, then as garbage
	}
	return nil
}

// giveUp removes what this Append alone knows of; the store may well be unable to.
func (a *appending) giveUp(ctx context.Context) {
	if a.st.UploadID != "" && a.old.UploadID == "" {
		_ = a.store.abortMultipart(ctx, *a.store.name(a.key), a.st.UploadID)
	}
}

// sendPart uploads one part and returns its ETag.
func (s *Store) sendPart(ctx context.Context, key blob.Key, uploadID string, number int, p *part) (string, error) {
	select {
	case s.sending <- struct{}{}:
		defer func() { <-s.sending }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.bucket, Key: s.name(key), UploadId: &uploadID,
		PartNumber: aws.Int32(int32(number)), //nolint:gosec // at most some thousands
		Body:       p.reader(), ContentLength: &p.size,
	}, s.body...)
	if err = storeError(err); errors.Is(err, blob.ErrUnavailable) && s.multipartGone(ctx, key, uploadID) {
		// A store that refuses a part often hangs up before it has heard all of it, so that the client sees no
		// answer but a broken connection.
		err = fmt.Errorf("%w: its multipart upload is gone: %w", blob.ErrLost, err)
	}
	if err != nil {
		return "", fmt.Errorf("sending part %d: %w", number, err)
	}
	return bare(out.ETag), nil
}

// multipartGone tells whether the store knows that there is no such multipart upload.
func (s *Store) multipartGone(ctx context.Context, key blob.Key, uploadID string) bool {
	_, err := s.client.ListParts(ctx, &s3.ListPartsInput{
		Bucket: &s.bucket, Key: s.name(key), UploadId: &uploadID, MaxParts: aws.Int32(1),
	})
	return code(err) == "NoSuchUpload"
}

// writeTail stores the part as a tail with a new name.
func (s *Store) writeTail(ctx context.Context, key blob.Key, p *part) (tail, error) {
	t := tail{ID: strings.ToLower(rand.Text()), Size: p.size}
	name := s.tailName(key, t.ID)
	out, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &name, Body: p.reader(), ContentLength: &p.size}, s.body...)
	if err != nil {
		return t, fmt.Errorf("writing the last %d bytes: %w", p.size, storeError(err))
	}
	t.ETag = bare(out.ETag)
	s.tails.put(t.ID, p.bytes())
	return t, nil
}

// readTail gets a tail's bytes, from memory where they are there.
func (s *Store) readTail(ctx context.Context, key blob.Key, t tail) (*part, error) {
	var src io.Reader
	if b, ok := s.tails.get(t.ID); ok {
		src = bytes.NewReader(b)
	} else {
		name := s.tailName(key, t.ID)
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &name})
		if err = storeError(err); err != nil {
			if errors.Is(err, blob.ErrNotFound) {
				err = fmt.Errorf("%w: %w", blob.ErrLost, err)
			}
			return nil, fmt.Errorf("reading the last %d bytes: %w", t.Size, err)
		}
		defer out.Body.Close()
		src = out.Body
	}
	p := &part{}
	for p.size < t.Size {
		if _, err := p.readFrom(src, t.Size); err != nil && p.size < t.Size {
			p.release()
			return nil, fmt.Errorf("reading the last %d bytes: %w", t.Size, storeError(noEOF(err)))
		}
	}
	return p, nil
}

// noEOF makes an end that comes too soon an error.
func noEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // see fill
		return io.ErrUnexpectedEOF
	}
	return err
}
