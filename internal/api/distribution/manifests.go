package distribution

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// maxTagParameters bounds the ?tag= of one push, all of which move in one transaction. The spec's draft asks
// for ten at least, and for 414 beyond whatever bound there is.
const maxTagParameters = 100

// maxDrained is how much of a manifest that is too large is still read, so that the client has sent what it
// wanted and listens to the answer, instead of finding its connection reset.
const maxDrained = 32 << 20

// headManifest looks without pulling: push clients and update checkers do this all the time, and the image's
// last pull time is to stay what it says.
func (f *face) headManifest(x *exchange) error {
	img, err := f.pulls.StatImage(x.r.Context(), x.caller, x.req.Name, x.req.Ref)
	if err != nil {
		return err
	}
	x.noteImage(img.Digest)
	describeImage(x.w.Header(), img)
	if matchesETag(x.r.Header.Get("If-None-Match"), img.Digest) {
		x.done(http.StatusNotModified)
		return nil
	}
	x.w.Header().Set("Content-Length", strconv.FormatInt(img.ManifestSize, 10))
	x.w.WriteHeader(http.StatusOK)
	return nil
}

// getManifest sends a manifest's bytes as they came, under the media type that they came with. Accept is not
// asked: a digest names these bytes and no others, and a tag in another type would be another digest than
// docker prints. A client that lists none of our types gets what there is and can say what it cannot read,
// which helps its user more than a 404 for an image that is there.
func (f *face) getManifest(x *exchange) error {
	img, err := f.pulls.Image(x.r.Context(), x.caller, x.req.Name, x.req.Ref)
	if err != nil {
		return err
	}
	x.noteImage(img.Digest)
	describeImage(x.w.Header(), img)
	if matchesETag(x.r.Header.Get("If-None-Match"), img.Digest) {
		x.done(http.StatusNotModified)
		return nil
	}
	x.notePulled(img)
	x.send(http.StatusOK, img.MediaType, img.Manifest)
	return nil
}

func describeImage(h http.Header, img registry.Image) {
	h.Set("Content-Type", img.MediaType)
	h.Set("Docker-Content-Digest", img.Digest.String())
	h.Set("Etag", etag(img.Digest))
}

func (f *face) putManifest(x *exchange) error {
	tags := x.r.URL.Query()["tag"]
	if len(tags) > maxTagParameters {
		return tooManyTags()
	}
	manifest, err := readManifest(x.r)
	if err != nil {
		return err
	}
	push := registry.Push{
		Repository: x.req.Name, Manifest: manifest, MediaType: mediaType(x.r.Header.Get("Content-Type")),
		Digest: x.req.Ref.Digest, Tags: tags,
	}
	if x.req.Ref.Tag != "" {
		push.Tags = append([]string{x.req.Ref.Tag}, tags...)
	}
	pushed, err := f.pulls.PutImage(x.r.Context(), x.caller, push)
	if err != nil {
		return err
	}
	x.noteImage(pushed.Image.Digest)
	h := x.w.Header()
	h.Set("Location", manifestPath(x.req.Name, pushed.Image.Digest))
	h.Set("Docker-Content-Digest", pushed.Image.Digest.String())
	if pushed.Image.Subject != "" {
		h.Set("Oci-Subject", pushed.Image.Subject.String())
	}
	note := middleware.Note(x.r.Context())
	for _, t := range tags {
		note.Images = append(note.Images, audit.ImageName{Digest: pushed.Image.Digest, Tag: t})
		h.Add("Oci-Tag", t)
	}
	x.done(http.StatusCreated)
	return nil
}

// deleteManifest deletes an image by digest, or a tag and nothing but the tag.
func (f *face) deleteManifest(x *exchange) error {
	if err := f.registry.DeleteImage(x.r.Context(), x.caller, x.req.Name, x.req.Ref); err != nil {
		return err
	}
	x.done(http.StatusAccepted)
	return nil
}

// readManifest reads a body of at most oci.MaxManifestBytes.
func readManifest(r *http.Request) ([]byte, error) {
	tooLarge := fault.New(fault.ManifestTooLarge, "a manifest has at most %d bytes", oci.MaxManifestBytes)
	if r.ContentLength > maxDrained {
		return nil, tooLarge // said at once; net/http then closes the connection
	}
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= oci.MaxManifestBytes {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := io.Copy(&b, io.LimitReader(r.Body, oci.MaxManifestBytes+1))
	if n > oci.MaxManifestBytes {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
		return nil, tooLarge
	}
	if err != nil {
		return nil, fault.Wrap(fault.ManifestInvalid, err, "the manifest's bytes stopped before their announced end")
	}
	return b.Bytes(), nil
}

// mediaType gives a Content-Type without its parameters. Media types do not care about case.
func mediaType(contentType string) string {
	mt, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(mt))
}
