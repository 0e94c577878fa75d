package distribution

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// layerCaching lets a client keep a layer for as long as it likes, since a digest never names other bytes;
// a cache that several share must not, since not everybody may read it.
const layerCaching = "private, max-age=31536000, immutable"

func (f *face) headBlob(x *exchange) error {
	l, err := f.pulls.StatLayer(x.r.Context(), x.caller, x.req.Name, x.req.Digest)
	if err != nil {
		return err
	}
	describeLayer(x.w.Header(), l)
	x.w.Header().Set("Content-Length", strconv.FormatInt(l.Size, 10))
	x.w.WriteHeader(http.StatusOK)
	return nil
}

func (f *face) getBlob(x *exchange) error {
	ctx := x.r.Context()
	content, err := f.pulls.Layer(ctx, x.caller, x.req.Name, x.req.Digest)
	if err != nil {
		return err
	}
	h := x.w.Header()
	if matchesETag(x.r.Header.Get("If-None-Match"), content.Digest) {
		describeLayer(h, content.Layer)
		x.done(http.StatusNotModified)
		return nil
	}
	if f.redirect {
		link, err := content.Link(ctx)
		if err != nil {
			return err
		}
		if link != "" {
			h.Set("Location", link)
			h.Set("Docker-Content-Digest", content.Digest.String())
			middleware.Note(ctx).BytesOut += content.Size // the store sends them, and says nothing of it
			x.done(http.StatusTemporaryRedirect)
			return nil
		}
	}
	s, partial, err := parseRange(wantedRange(x.r.Header, content.Digest), content.Size)
	if err != nil {
		return err
	}
	bytes, err := content.Open(ctx, s.offset, s.length)
	if err != nil {
		return err
	}
	defer bytes.Close()
	describeLayer(h, content.Layer)
	h.Set("Content-Length", strconv.FormatInt(s.length, 10))
	status := http.StatusOK
	if partial {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.offset, s.offset+s.length-1, content.Size))
		status = http.StatusPartialContent
	}
	x.w.WriteHeader(status)
	return f.copyBody(x, bytes, s.length)
}

// copyBody sends length bytes. Reader and writer meet here undisguised, so that the kernel sends a file
// by itself.
func (f *face) copyBody(x *exchange, from io.Reader, length int64) error {
	n, err := io.Copy(x.w, io.LimitReader(from, length))
	switch {
	case err == nil && n < length:
		// Content-Length promised more: the server closes the connection, and the client sees it break off.
		return &brokenBody{fmt.Errorf("the store ended after %d of %d bytes of %s", n, length, x.req.Digest)}
	case err == nil, clientLeft(x, err):
		return nil
	default:
		return &brokenBody{err}
	}
}

// clientLeft tells whether an error of an answer is the client's doing and no news to anybody.
func clientLeft(x *exchange, err error) bool {
	return x.r.Context().Err() != nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

func (f *face) deleteBlob(x *exchange) error {
	if err := f.registry.DeleteLayer(x.r.Context(), x.caller, x.req.Name, x.req.Digest); err != nil {
		return err
	}
	x.done(http.StatusAccepted)
	return nil
}

func describeLayer(h http.Header, l registry.Layer) {
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Docker-Content-Digest", l.Digest.String())
	h.Set("Etag", etag(l.Digest))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", layerCaching)
}

// wantedRange gives the Range header, unless an If-Range says that it holds for other bytes only.
func wantedRange(h http.Header, d oci.Digest) string {
	if only := h.Get("If-Range"); only != "" && only != etag(d) {
		return ""
	}
	return h.Get("Range")
}

func etag(d oci.Digest) string { return `"` + d.String() + `"` }

// matchesETag tells whether a list of entity tags, as If-None-Match has it, includes the digest's. A weak
// comparison is the rule there (RFC 9110 §13.1.2), and digests have no commas.
func matchesETag(list string, d oci.Digest) bool {
	if list == "" {
		return false
	}
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == etag(d) {
			return true
		}
	}
	return false
}
