package distribution

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// startUpload begins an upload, or spares it: ?mount= takes a layer from another repository, and ?digest= is
// the whole layer in this one request.
func (f *face) startUpload(x *exchange) error {
	q := x.r.URL.Query()
	switch {
	case q.Has("mount"):
		return f.mountBlob(x, q)
	case q.Has("digest"):
		return f.putBlob(x, q.Get("digest"))
	}
	algorithm, err := parseAlgorithm(q.Get("digest-algorithm"))
	if err != nil {
		return err
	}
	return f.openUpload(x, algorithm)
}

func parseAlgorithm(s string) (oci.Algorithm, error) {
	switch a := oci.Algorithm(s); a {
	case "", oci.SHA256, oci.SHA512:
		return a, nil
	}
	return "", fault.New(fault.DigestInvalid, "the digest algorithm %q is not offered: use sha256 or sha512", clip(s))
}

func (f *face) openUpload(x *exchange, a oci.Algorithm) error {
	u, err := f.registry.StartUpload(x.r.Context(), x.caller, x.req.Name, a)
	if err != nil {
		return err
	}
	x.setUpload(x.req.Name, u.ID, 0)
	x.done(http.StatusAccepted)
	return nil
}

// mountBlob takes a layer from the repository that ?from= names or, without it, from any that has it. Where
// there is nothing to take the client uploads, as if it had not asked.
func (f *face) mountBlob(x *exchange, q url.Values) error {
	d, err := oci.ParseDigest(q.Get("mount"))
	if err != nil {
		return err
	}
	l, mounted, err := f.registry.MountLayer(x.r.Context(), x.caller, x.req.Name, d, q.Get("from"))
	if err != nil {
		return err
	}
	if !mounted {
		return f.openUpload(x, d.Algorithm())
	}
	x.created(l)
	return nil
}

func (f *face) putBlob(x *exchange, digest string) error {
	d, err := oci.ParseDigest(digest)
	if err != nil {
		return err
	}
	body := registry.Part{Start: 0, Size: x.r.ContentLength, Body: x.r.Body}
	l, err := f.registry.PutLayer(x.r.Context(), x.caller, x.req.Name, d, body)
	if err != nil {
		return err
	}
	x.created(l)
	return nil
}

func (f *face) appendUpload(x *exchange) error {
	part, err := bodyPart(x.r)
	if err != nil {
		return err
	}
	u, err := f.registry.AppendUpload(x.r.Context(), x.caller, x.req.Name, x.req.UploadID, part)
	if err != nil {
		return err
	}
	x.setUpload(x.req.Name, u.ID, u.Blob.Size)
	x.done(http.StatusAccepted)
	return nil
}

func (f *face) completeUpload(x *exchange) error {
	d, err := oci.ParseDigest(x.r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	c := registry.Completion{Digest: d}
	if x.r.ContentLength != 0 || x.r.Header.Get("Content-Range") != "" {
		part, err := bodyPart(x.r)
		if err != nil {
			return err
		}
		c.Last = &part
	}
	l, err := f.registry.CompleteUpload(x.r.Context(), x.caller, x.req.Name, x.req.UploadID, c)
	if err != nil {
		return err
	}
	x.created(l)
	return nil
}

func (f *face) uploadStatus(x *exchange) error {
	u, err := f.registry.Upload(x.r.Context(), x.caller, x.req.Name, x.req.UploadID)
	if err != nil {
		return err
	}
	x.setUpload(x.req.Name, u.ID, u.Blob.Size)
	x.done(http.StatusNoContent)
	return nil
}

func (f *face) cancelUpload(x *exchange) error {
	if err := f.registry.CancelUpload(x.r.Context(), x.caller, x.req.Name, x.req.UploadID); err != nil {
		return err
	}
	x.done(http.StatusNoContent)
	return nil
}

// bodyPart is the body as a part of an upload. Without Content-Range it goes wherever the upload stands:
// that is how docker streams.
func bodyPart(r *http.Request) (registry.Part, error) {
	part := registry.Part{Start: registry.Anywhere, Size: r.ContentLength, Body: r.Body}
	header := r.Header.Get("Content-Range")
	if header == "" {
		return part, nil
	}
	s, err := parseContentRange(header)
	if err != nil {
		return part, err
	}
	if part.Size >= 0 && part.Size != s.length {
		return part, fault.New(fault.UploadPartSize, "Content-Range announces %d bytes, and Content-Length %d", s.length, part.Size)
	}
	part.Start, part.Size = s.offset, s.length
	return part, nil
}

// setUpload tells where an upload goes on. All of its state is in the path: clients lose or reorder
// queries, and add their own.
func (x *exchange) setUpload(name, id string, size int64) {
	h := x.w.Header()
	h.Set("Location", uploadPath(name, id))
	h.Set("Docker-Upload-Uuid", id)
	// The last byte's offset, which cannot say "none": 0-0 stands for no byte as well as for one, as
	// in distribution. Clients that resume ask how many of their bytes came, and have sent at least one.
	h.Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
}

// created answers with where a layer now is.
func (x *exchange) created(l registry.Layer) {
	x.noteLayer(l.Digest)
	h := x.w.Header()
	h.Set("Location", blobPath(x.req.Name, l.Digest))
	h.Set("Docker-Content-Digest", l.Digest.String())
	x.done(http.StatusCreated)
}
