package distribution

import (
	"net/url"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// kind is what a path under /v2/ names. Each stands with its end-1 … end-13 of the distribution spec's
// table of endpoints.
type kind uint8

const (
	kindUnknown   kind = iota
	kindBase           // /v2/                             end-1
	kindCatalog        // /v2/_catalog                     (docker's, not in the spec)
	kindToken          // /v2/token                        (docker's, not in the spec)
	kindBlob           // /v2/<name>/blobs/<digest>        end-2, end-10
	kindUploads        // /v2/<name>/blobs/uploads/        end-4a, end-4b, end-11
	kindUpload         // /v2/<name>/blobs/uploads/<id>    end-5, end-6, end-13, end-14
	kindManifest       // /v2/<name>/manifests/<reference> end-3, end-7, end-9
	kindTags           // /v2/<name>/tags/list             end-8a, end-8b
	kindReferrers      // /v2/<name>/referrers/<digest>    end-12a, end-12b
)

// request is what a path names. Only the field that the kind has is set besides Kind and Name. Name is as it
// came: whether it is one is the registry's to say.
type request struct {
	Kind     kind
	Name     string
	Ref      oci.Reference // kindManifest
	Digest   oci.Digest    // kindBlob, kindReferrers
	UploadID string        // kindUpload
}

// maxUploadID bounds what is looked up as an upload's id; the registry's own have 36 characters.
const maxUploadID = 128

// parse reads a path from its end, since a repository's name may have segments such as blobs, manifests,
// uploads or tags: what counts is the last segment and the one or two before it. The request's Kind and Name
// are right as far as they could be told even when there is an error.
//
// A slash that comes percent-encoded is refused, because decoding moved the borders of the segments. Any
// other trick (.. or //, a NUL, upper case) ends up in the name, the reference or the digest, none of whose
// grammars takes it.
func parse(u *url.URL) (request, error) {
	if u.RawPath != "" && containsFold(u.RawPath, "%2f") {
		return request{}, fault.New(fault.RepositoryNameInvalid, "the path has an encoded slash: write the slashes of a repository's name as they are")
	}
	return parsePath(u.Path)
}

func parsePath(path string) (request, error) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case path == "/v2", ok && rest == "":
		return request{Kind: kindBase}, nil
	case !ok:
		return request{}, nothingHere()
	case rest == "_catalog":
		return request{Kind: kindCatalog}, nil
	case rest == "token": // no repository: what is in one has more parts
		return request{Kind: kindToken}, nil
	}
	head, last := cutLast(rest)
	name, verb := cutLast(head)
	switch verb {
	case "manifests":
		ref, err := oci.ParseReference(last)
		return request{Kind: kindManifest, Name: name, Ref: ref}, err
	case "blobs":
		if last == "uploads" { // the slash at the end is forgotten now and then, and no digest reads like this
			return request{Kind: kindUploads, Name: name}, nil
		}
		d, err := oci.ParseDigest(last)
		return request{Kind: kindBlob, Name: name, Digest: d}, err
	case "uploads":
		name, verb = cutLast(name)
		if verb == "blobs" {
			return parseUpload(name, last)
		}
	case "tags":
		if last == "list" {
			return request{Kind: kindTags, Name: name}, nil
		}
	case "referrers":
		d, err := oci.ParseDigest(last)
		return request{Kind: kindReferrers, Name: name, Digest: d}, err
	}
	return request{}, nothingHere()
}

func nothingHere() error {
	return fault.New(fault.OperationUnknown, "the registry has nothing at this path")
}

func parseUpload(name, id string) (request, error) {
	if id == "" {
		return request{Kind: kindUploads, Name: name}, nil
	}
	r := request{Kind: kindUpload, Name: name, UploadID: id}
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}
	if len(id) > maxUploadID || strings.IndexFunc(id, odd) >= 0 {
		return r, fault.New(fault.UploadNotFound, "the registry hands out no upload ids like this one")
	}
	return r, nil
}

// cutLast cuts s at its last slash; without one, all of s is the last segment.
func cutLast(s string) (before, last string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// containsFold is strings.Contains for an ASCII needle in lower case, whatever the case in s.
func containsFold(s, lower string) bool {
	for ; len(s) >= len(lower); s = s[1:] {
		if strings.EqualFold(s[:len(lower)], lower) {
			return true
		}
	}
	return false
}

// The paths that go out, in Location and Link. They are relative to the host, so that they stay right
// behind any proxy and under any name.

func blobPath(name string, d oci.Digest) string { return "/v2/" + name + "/blobs/" + d.String() }

func uploadPath(name, id string) string { return "/v2/" + name + "/blobs/uploads/" + id }

func manifestPath(name string, d oci.Digest) string {
	return "/v2/" + name + "/manifests/" + d.String()
}
