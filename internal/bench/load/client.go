package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/bench/wire"
)

// Client speaks the distribution protocol over one connection, in docker's way.
type Client struct {
	conn *wire.Conn
}

// do sends a request and insists on one of the wanted statuses.
func (c *Client) do(r wire.Request, wanted ...int) (wire.Response, error) {
	response, err := c.conn.Do(r)
	if err != nil {
		return response, err
	}
	if !slices.Contains(wanted, response.Status) {
		return response, fmt.Errorf("%s %s answered %d, not %d: %.500s", r.Method, r.Target, response.Status, wanted, response.Body)
	}
	return response, nil
}

// PushImage pushes the image's layer and configuration, then the manifest under a tag.
func (c *Client) PushImage(repository, tag string, i Image) error {
	if err := c.PushBlob(repository, i.LayerDigest, i.Layer, nil); err != nil {
		return err
	}
	if err := c.PushBlob(repository, i.ConfigDigest, i.Config, nil); err != nil {
		return err
	}
	return c.PutManifest(repository, tag, i.Manifest)
}

// PushBlob does what docker does: ask whether the blob is there, begin an upload, send it all in one
// PATCH, and finish with an empty PUT.
func (c *Client) PushBlob(repository, digest string, body, tail []byte) error {
	base := "/v2/" + repository + "/blobs/"
	if _, err := c.do(wire.Request{Method: "HEAD", Target: base + digest}, 404); err != nil {
		return err
	}
	begun, err := c.do(wire.Request{Method: "POST", Target: base + "uploads/"}, 202)
	if err != nil {
		return err
	}
	target, err := location(begun.Location)
	if err != nil {
		return err
	}
	sent, err := c.do(wire.Request{
		Method: "PATCH", Target: target, Type: "application/octet-stream", Body: body, Tail: tail,
	}, 202)
	if err != nil {
		return err
	}
	if target, err = location(sent.Location); err != nil {
		return err
	}
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	_, err = c.do(wire.Request{Method: "PUT", Target: target + separator + "digest=" + digest}, 201)
	return err
}

// PutManifest puts a manifest under a tag.
func (c *Client) PutManifest(repository, tag string, manifest []byte) error {
	_, err := c.do(wire.Request{
		Method: "PUT", Target: "/v2/" + repository + "/manifests/" + tag, Type: manifestType, Body: manifest,
	}, 201)
	return err
}

// HeadManifest asks for a tag's manifest without its bytes.
func (c *Client) HeadManifest(repository, tag string, i Image) error {
	response, err := c.do(wire.Request{
		Method: "HEAD", Target: "/v2/" + repository + "/manifests/" + tag, Accept: manifestType,
	}, 200)
	if err == nil && response.Length != int64(len(i.Manifest)) {
		err = fmt.Errorf("manifest %s has length %d, want %d", tag, response.Length, len(i.Manifest))
	}
	return err
}

// PullImage gets a manifest by tag, then both blobs. Lengths are always compared, digests if verify is set.
func (c *Client) PullImage(repository, tag string, i Image, verify bool) error {
	base := "/v2/" + repository
	for _, part := range []struct {
		target, digest string
		size           int
	}{
		{base + "/manifests/" + tag, i.ManifestDigest, len(i.Manifest)},
		{base + "/blobs/" + i.ConfigDigest, i.ConfigDigest, len(i.Config)},
		{base + "/blobs/" + i.LayerDigest, i.LayerDigest, len(i.Layer)},
	} {
		response, err := c.do(wire.Request{Method: "GET", Target: part.target, Accept: manifestType, Keep: verify}, 200)
		if err != nil {
			return err
		}
		if response.Size != int64(part.size) {
			return fmt.Errorf("GET %s came with %d bytes, want %d", part.target, response.Size, part.size)
		}
		if verify && digest(response.Body) != part.digest {
			return fmt.Errorf("GET %s came with other bytes than were pushed", part.target)
		}
	}
	return nil
}

// Get fetches a target and compares the length.
func (c *Client) Get(target string, size int64) error {
	response, err := c.do(wire.Request{Method: "GET", Target: target}, 200)
	if err == nil && response.Size != size {
		err = fmt.Errorf("GET %s came with %d bytes, want %d", target, response.Size, size)
	}
	return err
}

// GetVerified is Get for a layer, digest included. It costs a pass of sha256 and is for outside the
// timed part.
func (c *Client) GetVerified(repository string, l Layer) error {
	target := "/v2/" + repository + "/blobs/" + l.Digest
	response, err := c.do(wire.Request{Method: "GET", Target: target, Keep: true}, 200)
	if err == nil && digest(response.Body) != l.Digest {
		err = fmt.Errorf("GET %s came with other bytes than were pushed", target)
	}
	return err
}

// ListTags follows a repository's list of tags to its end and compares their number. A client that does
// not ask for a page size gets the server's own.
func (c *Client) ListTags(repository string, want int) error {
	target := "/v2/" + repository + "/tags/list"
	for found := 0; ; {
		response, err := c.do(wire.Request{Method: "GET", Target: target, Keep: true}, 200)
		if err != nil {
			return err
		}
		found += CountTags(response.Body)
		if response.Link == "" {
			if found != want {
				return fmt.Errorf("the list of tags of %s has %d, want %d", repository, found, want)
			}
			return nil
		}
		if target, err = NextPage(response.Link); err != nil {
			return err
		}
	}
}

// CountTags counts the tags in a page. Parsing the JSON would cost the client as much as a fast server
// pays for writing it; no tag and no repository name of this bench holds a quote or a comma.
func CountTags(page []byte) int {
	_, list, ok := bytes.Cut(page, []byte("["))
	if !ok {
		return 0
	}
	list, _, _ = bytes.Cut(list, []byte("]"))
	return bytes.Count(list, []byte(`"`)) / 2
}

// NextPage finds the target in a Link header, which is `<target>; rel="next"`.
func NextPage(link string) (string, error) {
	_, rest, opened := strings.Cut(link, "<")
	target, rel, closed := strings.Cut(rest, ">")
	if !opened || !closed || !strings.Contains(rel, "next") {
		return "", fmt.Errorf("link %q does not lead to a next page", link)
	}
	return location(target)
}

// location reduces an absolute or relative URL to what goes into the request line.
func location(text string) (string, error) {
	if text == "" {
		return "", errors.New("a response without the location it must have")
	}
	if strings.HasPrefix(text, "/") {
		return text, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("reading a location: %w", err)
	}
	return u.RequestURI(), nil
}
