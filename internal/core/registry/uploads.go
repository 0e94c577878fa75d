package registry

import (
	"cmp"
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Bounds of layers (ECR service quotas).
const (
	MaxLayerBytes = 52_000 << 20
	MinPartBytes  = 5 << 20 // of all parts but the last, in ECR's layer API
)

// Anywhere as the start of a part means: wherever the upload stands.
const Anywhere = int64(-1)

// Part is a run of bytes of an upload.
type Part struct {
	Start int64 // where it begins, or Anywhere
	Size  int64 // bytes announced, or negative when unknown; fewer or more that come are a fault
	Body  io.Reader
	// Sized is set for parts of ECR's layer API, all but the last of which have a least size.
	Sized bool
}

// Completion is what a client says when all bytes are there.
type Completion struct {
	Digest oci.Digest
	Last   *Part // a last part that comes along, or nil
	// Strict is set by ECR's layer API, where an empty upload, a small part in the middle and a layer that is
	// there already are faults.
	Strict bool
}

// StartUpload begins a layer's upload (ecr:InitiateLayerUpload). The algorithm is of the digest that the
// client will complete it with, if it says so early; empty means sha256. Another one costs reading the
// bytes again.
func (r *Registry) StartUpload(ctx context.Context, caller identity.Caller, repository string, a oci.Algorithm) (Upload, error) {
	if err := r.onRepository(ctx, caller, repository, policy.InitiateLayerUpload); err != nil {
		return Upload{}, err
	}
	if a == "" {
		a = oci.SHA256
	}
	u := newUpload(a)
	u.Actor, u.StartedAt = uploader(caller), r.now()
	u.UpdatedAt = u.StartedAt
	err := r.pushTo(ctx, caller, repository, func(tx Tx, repo Repository) error {
		u.RepositoryID = repo.ID
		return tx.InsertUpload(ctx, u)
	})
	return u, err
}

func newUpload(a oci.Algorithm) Upload {
	id := randomHex(16)
	return Upload{
		// Written as a UUID, which is what ECR's clients know upload ids as.
		ID:        strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-"),
		Algorithm: a,
		Blob:      blob.Upload{Key: blob.Key(randomHex(16))},
	}
}

// Upload gets one under way (ecr:UploadLayerPart).
func (r *Registry) Upload(ctx context.Context, caller identity.Caller, repository, id string) (Upload, error) {
	return r.findUpload(ctx, caller, policy.UploadLayerPart, repository, id)
}

// AppendUpload adds a part and returns the upload as it then stands, durable (ecr:UploadLayerPart). When the
// client's bytes stop midway what came is kept, and the fault is UploadInterrupted.
func (r *Registry) AppendUpload(ctx context.Context, caller identity.Caller, repository, id string, p Part) (Upload, error) {
	release, err := r.claimUpload(id)
	if err != nil {
		return Upload{}, err
	}
	defer release()
	u, err := r.findUpload(ctx, caller, policy.UploadLayerPart, repository, id)
	if err != nil {
		return Upload{}, err
	}
	before := u.Blob.Size
	next, _, appendErr := r.appendPart(ctx, u, p)
	if next.Blob.Size == before && appendErr != nil {
		return u, r.endIfLost(ctx, u, appendErr)
	}
	// The client may be gone by now, and its context with it; what it sent is kept all the same.
	ctx = context.WithoutCancel(ctx)
	err = r.store.Update(ctx, func(tx Tx) error { return tx.SaveUpload(ctx, next, before) })
	switch {
	case errors.Is(err, ErrConflict):
		return u, r.overtaken(ctx, repository, next)
	case err != nil:
		return u, fmt.Errorf("saving upload %s: %w", id, err)
	}
	return next, appendErr
}

// overtaken words why an upload's row is not as it was read: another process's request wrote it, or ended
// it. It takes no bytes away: the one who ended it may have made a layer of them. Only whoever deletes an
// upload's row itself, or alone knows its key, may do that.
func (r *Registry) overtaken(ctx context.Context, repository string, u Upload) error {
	_, err := r.store.Read().UploadIn(ctx, repository, u.ID)
	switch {
	case err == nil:
		return uploadBusy(u.ID)
	case errors.Is(err, ErrNoRow):
		return r.uploadNotFound(repository, u.ID) // whoever ended it made a layer of its bytes, or garbage
	default:
		return fmt.Errorf("reading upload %s: %w", u.ID, err)
	}
}

// CompleteUpload verifies the digest, makes the layer durable and links it to the repository
// (ecr:CompleteLayerUpload). Bytes of another digest end the upload: it cannot become right any more.
func (r *Registry) CompleteUpload(ctx context.Context, caller identity.Caller, repository, id string, c Completion) (Layer, error) {
	release, err := r.claimUpload(id)
	if err != nil {
		return Layer{}, err
	}
	defer release()
	if c.Last != nil {
		if err := r.onRepository(ctx, caller, repository, policy.UploadLayerPart); err != nil {
			return Layer{}, err
		}
	}
	u, err := r.findUpload(ctx, caller, policy.CompleteLayerUpload, repository, id)
	if err != nil {
		return Layer{}, err
	}
	h, err := u.hash()
	if err != nil {
		return Layer{}, err
	}
	if c.Last != nil {
		if u, h, err = r.appendPart(ctx, u, *c.Last); err != nil {
			return Layer{}, r.endIfLost(ctx, u, err)
		}
	}
	if c.Strict && u.Blob.Size == 0 {
		return Layer{}, fault.New(fault.UploadEmpty, "The upload with id '%s' does not contain any layer parts", id)
	}
	if c.Strict && u.SmallPart {
		return Layer{}, fault.New(fault.UploadPartTooSmall, "Layer parts must be at least %d bytes in size, except for the last", MinPartBytes)
	}
	if err := r.finish(ctx, u, h, c.Digest); err != nil {
		return Layer{}, r.endIfLost(ctx, u, err)
	}
	layer, had, err := r.link(ctx, caller, repository, u, c.Digest, true)
	if err == nil && had && c.Strict {
		return Layer{}, fault.New(fault.LayerExists,
			"The layer with digest '%s' already exists in the repository with name '%s' in the registry with id '%s'", c.Digest, repository, r.account)
	}
	return layer, err
}

// endIfLost ends an upload that can never be completed any more: its bytes are others than the client
// means, or the blob store no longer takes or has them. The client then learns of it from every request.
func (r *Registry) endIfLost(ctx context.Context, u Upload, err error) error {
	if errors.Is(err, fault.LayerDigestMismatch) || errors.Is(err, fault.UploadNotFound) {
		if _, dropErr := r.dropUpload(ctx, u); dropErr != nil {
			return errors.Join(err, dropErr)
		}
	}
	return err
}

// longestUnseen is how long a layer may arrive that has no row. Package gc takes bytes without a row that are older, twice
// over, for garbage.
const longestUnseen = 24 * time.Hour

// PutLayer stores a whole layer that comes in one request (ecr:InitiateLayerUpload, ecr:UploadLayerPart,
// ecr:CompleteLayerUpload).
func (r *Registry) PutLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest, body Part) (Layer, error) {
	if err := r.onRepository(ctx, caller, repository, policy.InitiateLayerUpload, policy.UploadLayerPart, policy.CompleteLayerUpload); err != nil {
		return Layer{}, err
	}
	if err := r.checkPushable(ctx, caller, repository); err != nil {
		return Layer{}, err
	}
	began := r.now()
	u, h, err := r.appendPart(ctx, newUpload(d.Algorithm()), body)
	u.StartedAt = began
	if err == nil {
		err = r.seen(u)
	}
	if err == nil {
		err = r.finish(ctx, u, h, d)
	}
	if err != nil {
		_ = r.blobs.Abort(context.WithoutCancel(ctx), u.Blob) // nobody was told of this upload
		return Layer{}, err
	}
	layer, _, err := r.link(ctx, caller, repository, u, d, false)
	return layer, err
}

// seen refuses an upload without a row that has taken too long to get one.
func (r *Registry) seen(u Upload) error {
	if r.now().Sub(u.StartedAt) > longestUnseen {
		return fault.New(fault.UploadInterrupted, "the layer took longer than %s in one request: upload it in several", longestUnseen)
	}
	return nil
}

// CancelUpload forgets an upload and its bytes (ecr:InitiateLayerUpload).
func (r *Registry) CancelUpload(ctx context.Context, caller identity.Caller, repository, id string) error {
	release, err := r.claimUpload(id)
	if err != nil {
		return err
	}
	defer release()
	u, err := r.findUpload(ctx, caller, policy.InitiateLayerUpload, repository, id)
	if err != nil {
		return err
	}
	there, err := r.dropUpload(ctx, u)
	if err == nil && !there {
		return r.uploadNotFound(repository, id)
	}
	return err
}

// claimUpload keeps other requests of this process from an upload, from before its row is read until after
// it is written: one that had read an older row would write over bytes that were acknowledged. Between
// processes the blob store's own lock and the row's compare-and-set see to it that such bytes are missed
// when the upload is completed, and never taken for others.
func (r *Registry) claimUpload(id string) (release func(), err error) {
	if _, taken := r.busy.LoadOrStore(id, true); taken {
		return nil, uploadBusy(id)
	}
	return func() { r.busy.Delete(id) }, nil
}

func uploadBusy(id string) error {
	return fault.New(fault.UploadBusy, "Another request is working on the upload with id '%s' right now", id)
}

func (r *Registry) findUpload(ctx context.Context, caller identity.Caller, action policy.Action, repository, id string) (Upload, error) {
	if err := r.onRepository(ctx, caller, repository, action); err != nil {
		return Upload{}, err
	}
	u, err := r.store.Read().UploadIn(ctx, repository, id)
	if err == nil && (u.Actor == "" || u.Actor != uploader(caller)) {
		err = ErrNoRow // another principal's upload is nobody else's business
	}
	if errors.Is(err, ErrNoRow) {
		return Upload{}, r.absent(ctx, repository, r.uploadNotFound(repository, id))
	}
	if err != nil {
		return Upload{}, fmt.Errorf("reading upload %s: %w", id, err)
	}
	return u, nil
}

// uploader is to whom an upload belongs: the user or role by its unique id, the root principal and the server by their
// ARN. Sessions of one role are one to it: a job whose credentials are renewed, or that is split over several, goes on
// with what it began. Nobody owns nothing.
func uploader(caller identity.Caller) string { return cmp.Or(caller.PrincipalID(), caller.ARN) }

func (r *Registry) uploadNotFound(repository, id string) error {
	return fault.New(fault.UploadNotFound,
		"The upload with id '%s' does not exist in the repository with name '%s' in the registry with id '%s'", id, repository, r.account)
}

// hash restores the running hash over the upload's bytes.
func (u Upload) hash() (hash.Hash, error) {
	h := u.Algorithm.New()
	if len(u.HashState) == 0 {
		return h, nil
	}
	m, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("hash %s cannot be restored", u.Algorithm)
	}
	if err := m.UnmarshalBinary(u.HashState); err != nil {
		return nil, fmt.Errorf("restoring hash of upload %s: %w", u.ID, err)
	}
	return h, nil
}

// appendPart hashes a part's bytes while the blob store writes them. It returns the upload as it stands
// after, with its running hash, whether or not the part came whole.
func (r *Registry) appendPart(ctx context.Context, u Upload, p Part) (Upload, hash.Hash, error) {
	h, err := u.hash()
	if err != nil {
		return u, nil, err
	}
	if p.Start != Anywhere && p.Start != u.Blob.Size {
		return u, h, fault.New(fault.UploadOutOfOrder, "The part begins at byte %d, and the upload has %d bytes", p.Start, u.Blob.Size).
			With(fault.UploadPosition{UploadID: u.ID, Size: u.Blob.Size})
	}
	body := &measuredReader{r: p.Body, announced: p.Size, room: MaxLayerBytes - u.Blob.Size}
	// Not the request's context: when a client vanishes its body ends with an error, and what came is kept.
	stored, err := r.blobs.Append(context.WithoutCancel(ctx), u.Blob, io.TeeReader(body, h))
	if body.fault != nil {
		return u, h, body.fault // what broke a rule is not kept; the next part overwrites it
	}
	if added := stored.Size - u.Blob.Size; added != body.read {
		// The hash has seen other bytes than the store kept, so it stands for nothing.
		if err == nil {
			err = fmt.Errorf("blob store kept %d bytes of %d", added, body.read)
		}
		return u, h, r.appendFault(err, body, u.ID)
	}
	if m, ok := h.(encoding.BinaryMarshaler); ok {
		state, err := m.MarshalBinary()
		if err != nil {
			return u, h, fmt.Errorf("keeping hash of upload %s: %w", u.ID, err)
		}
		u.HashState = state
	}
	if p.Sized {
		u.SmallPart = u.SmallPart || (u.LastPart > 0 && u.LastPart < MinPartBytes)
		u.LastPart = body.read
	}
	u.Blob, u.UpdatedAt = stored, r.now()
	return u, h, r.appendFault(err, body, u.ID)
}

func (r *Registry) appendFault(err error, body *measuredReader, id string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, blob.ErrBusy):
		return uploadBusy(id)
	case errors.Is(err, blob.ErrLost), errors.Is(err, blob.ErrNotFound):
		return fault.Wrap(fault.UploadNotFound, err, "The upload with id '%s' has lost bytes in the blob store: start it again", id)
	case body.err != nil:
		return fault.Wrap(fault.UploadInterrupted, err, "the bytes of the upload stopped before their end; %d of this request are kept", body.read)
	default:
		return blobFault(err, "storing bytes of upload "+id)
	}
}

// finish checks the bytes against the digest and makes them an object.
func (r *Registry) finish(ctx context.Context, u Upload, h hash.Hash, d oci.Digest) error {
	sameAlgorithm := d.Algorithm() == u.Algorithm
	if got := oci.FromSum(u.Algorithm, h.Sum(nil)); sameAlgorithm && got != d {
		return digestMismatch(d, got)
	}
	if err := r.blobs.Complete(context.WithoutCancel(ctx), u.Blob); err != nil {
		if errors.Is(err, blob.ErrLost) || errors.Is(err, blob.ErrNotFound) {
			return fault.Wrap(fault.UploadNotFound, err, "The upload with id '%s' has lost bytes in the blob store: start it again", u.ID)
		}
		return blobFault(err, "completing upload "+u.ID)
	}
	if sameAlgorithm {
		return nil
	}
	return r.verifyStored(ctx, u, d)
}

// verifyStored reads the bytes again, for a digest of another algorithm than was hashed on the way in.
func (r *Registry) verifyStored(ctx context.Context, u Upload, d oci.Digest) error {
	rc, err := r.blobs.Open(ctx, u.Blob.Key, 0, u.Blob.Size)
	if err != nil {
		return blobFault(err, "reading upload "+u.ID+" again")
	}
	defer rc.Close()
	h := d.Algorithm().New()
	if _, err := io.Copy(h, io.LimitReader(rc, u.Blob.Size)); err != nil {
		return blobFault(err, "reading upload "+u.ID+" again")
	}
	if got := oci.FromSum(d.Algorithm(), h.Sum(nil)); got != d {
		return digestMismatch(d, got)
	}
	return nil
}

func digestMismatch(want, got oci.Digest) error {
	return fault.New(fault.LayerDigestMismatch, "The layer's bytes have the digest '%s', not '%s'", got, want)
}

// dropUpload ends an upload for good and tells whether it was there. Its bytes are garbage from then on: an upload's row
// without bytes would be a lie.
func (r *Registry) dropUpload(ctx context.Context, u Upload) (there bool, err error) {
	ctx = context.WithoutCancel(ctx)
	err = r.store.Update(ctx, func(tx Tx) (err error) {
		if there, err = tx.DeleteUpload(ctx, u.RepositoryID, u.ID); err != nil || !there {
			return err
		}
		return tx.Discard(ctx, u.Blob, r.now())
	})
	if err != nil {
		return false, fmt.Errorf("ending upload %s: %w", u.ID, err)
	}
	if there {
		_ = r.blobs.Abort(ctx, u.Blob) // at once; if not, when the garbage is removed
	}
	return there, nil
}

// measuredReader counts a client's bytes, holds them to what was announced, and remembers whether it was
// the client or the store that failed.
type measuredReader struct {
	r         io.Reader
	announced int64 // negative: unknown
	room      int64 // bytes that still fit
	read      int64
	err       error // of the client's side
	fault     error // a rule that the bytes broke
}

// Read passes the client's bytes on.
func (m *measuredReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.read += int64(n)
	switch {
	case m.read > m.room:
		m.fault = fault.New(fault.LayerTooLarge, "a layer has at most %d bytes", int64(MaxLayerBytes))
	case m.announced >= 0 && m.read > m.announced:
		m.fault = fault.New(fault.UploadPartSize, "%d bytes were announced, and more came", m.announced)
	case errors.Is(err, io.EOF) && m.announced > m.read:
		m.fault = fault.New(fault.UploadPartSize, "%d bytes were announced, and %d came", m.announced, m.read)
	}
	if m.fault != nil {
		return n, m.fault
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}
