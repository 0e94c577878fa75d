package distribution_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestEveryFaultHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(fault.OfRegistry(), fault.OfAny()) {
		status, code, ok := distribution.AnswerTo(c)
		if !ok {
			t.Errorf("the fault %q is not in the table", c)
			continue
		}
		// The spec: upper-case letters and underscores alone.
		odd := func(r rune) bool { return r != '_' && !unicode.IsUpper(r) }
		if status < 400 || http.StatusText(status) == "" || code == "" || strings.ContainsFunc(code, odd) {
			t.Errorf("the fault %q answers %d %q", c, status, code)
		}
	}
	if n := distribution.TableSize(); n != len(fault.OfRegistry())+len(fault.OfAny()) {
		t.Errorf("the table has %d faults, and there are %d", n, len(fault.OfRegistry())+len(fault.OfAny()))
	}
}

// errorCase is a request that fails and how it is answered.
type errorCase struct {
	method, path string
	body         []byte
	headers      []string
	status       int
	code, text   string
}

const inRegistry = " in the registry with id '" + account + "'"

// pathErrors are about what a path names.
func pathErrors() map[string]errorCase {
	return map[string]errorCase{
		"no such repository": {
			"GET", "/v2/no/such/manifests/latest", nil, nil,
			404, "NAME_UNKNOWN", "The repository with name 'no/such' does not exist" + inRegistry,
		},
		"no such repository, pushing": {
			"POST", "/v2/no/such/blobs/uploads/", nil, nil,
			404, "NAME_UNKNOWN", "The repository with name 'no/such' does not exist" + inRegistry,
		},
		"no such repository, listing": {
			"GET", "/v2/no/such/tags/list", nil, nil,
			404, "NAME_UNKNOWN", "The repository with name 'no/such' does not exist" + inRegistry,
		},
		"a bad name": {
			"GET", "/v2/No/manifests/latest", nil, nil, 400, "NAME_INVALID",
			"Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '" + oci.RepositoryNamePattern + "''",
		},
		"a name that climbs": {
			"GET", "/v2/%2e%2e/etc/blobs/" + someDigest, nil, nil, 400, "NAME_INVALID",
			"Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '" + oci.RepositoryNamePattern + "''",
		},
		"an encoded slash": {
			"GET", "/v2/hoopstat-haus%2Fprod/manifests/latest", nil, nil, 400, "NAME_INVALID",
			"the path has an encoded slash: write the slashes of a repository's name as they are",
		},
		"nothing there":  {"GET", "/v2/x/y/z", nil, nil, 404, "UNSUPPORTED", "the registry has nothing at this path"},
		"no such method": {"POST", "/v2/" + repo + "/manifests/x", nil, nil, 405, "UNSUPPORTED", "the method POST does nothing here"},
	}
}

// manifestErrors are about images. The server has hoopstat-haus/prod with the image manifest, which the index
// holds, and frozen with an immutable tag v1, whose image other is not.
func manifestErrors(manifest, index, other []byte) map[string]errorCase {
	strange := strings.Replace(string(manifest), oci.FromBytes([]byte("hello")).String(), someDigest, 1)
	digest := oci.FromBytes(manifest)
	return map[string]errorCase{
		"no such manifest": {"GET", "/v2/" + repo + "/manifests/nope", nil, nil, 404, "MANIFEST_UNKNOWN", "Requested image not found"},
		"no such digest":   {"GET", "/v2/" + repo + "/manifests/" + someDigest, nil, nil, 404, "MANIFEST_UNKNOWN", "Requested image not found"},
		"a bad tag": {
			"GET", "/v2/" + repo + "/manifests/.x", nil, nil, 400, "TAG_INVALID",
			"Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}''",
		},
		"a bad digest": {
			"PUT", "/v2/" + repo + "/manifests/sha256:bad", manifest, nil, 400, "DIGEST_INVALID",
			`digest "sha256:bad" is not 64 lower-case hexadecimal digits`,
		},
		"another digest": {
			"PUT", "/v2/" + repo + "/manifests/" + someDigest, manifest, nil, 400, "DIGEST_INVALID",
			"The image's manifest does not have the digest '" + someDigest + "' that was given with it",
		},
		"no JSON": {
			"PUT", "/v2/" + repo + "/manifests/x", []byte("hello"), nil, 400, "MANIFEST_INVALID",
			"Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
		},
		"no manifest": {"PUT", "/v2/" + repo + "/manifests/x", []byte("[]"), nil, 400, "MANIFEST_INVALID", "manifest is JSON of another shape than a manifest's"},
		"another media type": {
			"PUT", "/v2/" + repo + "/manifests/x", manifest,
			[]string{"Content-Type", "application/vnd.docker.distribution.manifest.v2+json"},
			400, "MANIFEST_INVALID",
			"manifest says it is " + oci.MediaTypeOCIManifest + ", but was sent as " + oci.MediaTypeDockerManifest,
		},
		"a media type of nobody's": {
			"PUT", "/v2/" + repo + "/manifests/x", []byte(`{"schemaVersion":2}`),
			[]string{"Content-Type", "text/css; charset=utf-8"},
			400, "MANIFEST_INVALID", `manifest media type "text/css" is not supported`,
		},
		"a manifest of missing layers": {
			"PUT", "/v2/" + repo + "/manifests/x", []byte(strange), nil, 400, "MANIFEST_BLOB_UNKNOWN",
			"Layers with digests '[" + someDigest + "]' required for pushing image into repository with name '" + repo + "'" + inRegistry + " do not exist",
		},
		"an index of missing images": {
			"PUT", "/v2/" + repo + "/manifests/x", []byte(`{"schemaVersion":2,"manifests":[` + descriptor(oci.MediaTypeOCIManifest, someDigest, 2) + `]}`),
			[]string{"Content-Type", oci.MediaTypeOCIIndex},
			400, "MANIFEST_BLOB_UNKNOWN",
			"Images with digests '[" + someDigest + "]' required for pushing image into repository with name '" + repo + "'" + inRegistry + " do not exist",
		},
		"an immutable tag": {
			"PUT", "/v2/frozen/manifests/v1", other,
			[]string{"Content-Type", oci.MediaTypeOCIManifest},
			400, "TAG_INVALID",
			"The image tag 'v1' already exists in the 'frozen' repository and cannot be overwritten because the repository is immutable.",
		},
		"a child of an index": {
			"DELETE", "/v2/" + repo + "/manifests/" + digest.String(), nil, nil, 405, "UNSUPPORTED",
			"Requested image referenced by manifest list: [" + oci.FromBytes(index).String() + "]",
		},
		"too many tags": {
			"PUT", "/v2/" + repo + "/manifests/x?" + strings.Repeat("tag=t&", distribution.MaxTagParameters+1), manifest, nil,
			414, "TAG_INVALID", "one push sets at most 100 tags",
		},
		"a manifest too large": {
			"PUT", "/v2/" + repo + "/manifests/x", make([]byte, 10<<20), nil, 413, "MANIFEST_INVALID", "a manifest has at most 4194304 bytes",
		},
	}
}

// layerErrors are about layers and uploads. The server has the layer, in use.
func layerErrors(layer oci.Digest) map[string]errorCase {
	return map[string]errorCase{
		"no such layer": {
			"GET", "/v2/" + repo + "/blobs/" + someDigest, nil, nil, 404, "BLOB_UNKNOWN",
			"The layer with digest '" + someDigest + "' does not exist in the repository with name '" + repo + "'" + inRegistry,
		},
		"no such layer to delete": {
			"DELETE", "/v2/" + repo + "/blobs/" + someDigest, nil, nil, 404, "BLOB_UNKNOWN",
			"The layer with digest '" + someDigest + "' does not exist in the repository with name '" + repo + "'" + inRegistry,
		},
		"a layer in use": {
			"DELETE", "/v2/" + repo + "/blobs/" + layer.String(), nil, nil, 405, "UNSUPPORTED",
			"The layer with digest '" + layer.String() + "' is referenced by an image in the repository with name '" + repo + "'",
		},
		"a range past the end": {
			"GET", "/v2/" + repo + "/blobs/" + layer.String(), nil,
			[]string{"Range", "bytes=5-9"},
			416, "RANGE_INVALID",
			"the layer has no bytes in the range",
		},
		"no such upload": {
			"PATCH", "/v2/" + repo + "/blobs/uploads/" + someUpload, []byte("x"), nil, 404, "BLOB_UPLOAD_UNKNOWN",
			"The upload with id '" + someUpload + "' does not exist in the repository with name '" + repo + "'" + inRegistry,
		},
		"an upload id of nobody's": {
			"GET", "/v2/" + repo + "/blobs/uploads/%00", nil, nil, 404, "BLOB_UPLOAD_UNKNOWN", "the registry hands out no upload ids like this one",
		},
		"a mount of nonsense":  {"POST", "/v2/" + repo + "/blobs/uploads/?mount=x", nil, nil, 400, "DIGEST_INVALID", `digest "x" has no algorithm`},
		"a digest of nonsense": {"POST", "/v2/" + repo + "/blobs/uploads/?digest=", nil, nil, 400, "DIGEST_INVALID", `digest "" has no algorithm`},
		"another layer digest": {
			"POST", "/v2/" + repo + "/blobs/uploads/?digest=" + someDigest, []byte("hello"), nil, 400, "DIGEST_INVALID",
			"The layer's bytes have the digest '" + layer.String() + "', not '" + someDigest + "'",
		},
		"an algorithm not offered": {
			"POST", "/v2/" + repo + "/blobs/uploads/?digest-algorithm=md5", nil, nil, 400, "DIGEST_INVALID",
			`the digest algorithm "md5" is not offered: use sha256 or sha512`,
		},
	}
}

// listingErrors are about listings.
func listingErrors() map[string]errorCase {
	return map[string]errorCase{
		"no number": {
			"GET", "/v2/" + repo + "/tags/list?n=many", nil, nil, 400, "UNSUPPORTED",
			"Invalid parameter at 'n' failed to satisfy constraint: 'must be a whole number, 0 or more'",
		},
		"a negative number": {
			"GET", "/v2/_catalog?n=-1", nil, nil, 400, "UNSUPPORTED",
			"Invalid parameter at 'n' failed to satisfy constraint: 'must be a whole number, 0 or more'",
		},
		"a last of no text": {
			"GET", "/v2/" + repo + "/tags/list?last=%00", nil, nil, 400, "UNSUPPORTED",
			"Invalid parameter at 'last' failed to satisfy constraint: 'must be text'",
		},
		"an artifact type of no text": {
			"GET", "/v2/" + repo + "/referrers/" + someDigest + "?artifactType=%ff", nil, nil, 400, "UNSUPPORTED",
			"Invalid parameter at 'artifactType' failed to satisfy constraint: 'must be text'",
		},
		"a page of nowhere": {
			"GET", "/v2/" + repo + "/referrers/" + someDigest + "?next=x", nil, nil, 400, "UNSUPPORTED",
			"Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token that the same listing returned'",
		},
		"a bad subject": {"GET", "/v2/" + repo + "/referrers/latest", nil, nil, 400, "DIGEST_INVALID", `digest "latest" has no algorithm`},
	}
}

// credentialErrors are about who asks.
func credentialErrors(manifest []byte) map[string]errorCase {
	return map[string]errorCase{
		"not allowed": {
			"PUT", "/v2/" + repo + "/manifests/x", manifest,
			[]string{"Authorization", basic("other")},
			403, "DENIED",
			"User: arn:aws:iam::" + account + ":user/mallory is not authorized to perform: ecr:PutImage on resource: " +
				"arn:aws:ecr:us-east-1:" + account + ":repository/" + repo + " because no identity-based policy allows the ecr:PutImage action",
		},
		"an expired token": {
			"GET", "/v2/", nil,
			[]string{"Authorization", basic("expired")},
			403, "DENIED",
			"Your authorization token has expired. Reauthenticate and try again.",
		},
		"a token of nobody's": {
			"GET", "/v2/", nil,
			[]string{"Authorization", basic("guess")},
			401, "UNAUTHORIZED",
			"the authorization token is not one of this registry's",
		},
		"credentials of another kind": {
			"GET", "/v2/", nil, []string{"Authorization", "Digest x"}, 401, "UNAUTHORIZED", "the Authorization header is not Basic",
		},
	}
}

// TestErrors asks for each thing that goes wrong and wants the very bytes of the answer.
func TestErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.createRepository(t, "frozen")
	if _, err := s.registry.PutTagMutability(t.Context(), root, "frozen", registry.Immutable, nil); err != nil {
		t.Fatal(err)
	}
	s.pushImage(t, "frozen", "v1", "one")
	other := s.makeManifest(t, "frozen", "two", "")
	manifest, digest := s.pushImage(t, repo, "latest", "hello")
	layer := oci.FromBytes([]byte("hello"))
	index := []byte(`{"schemaVersion":2,"manifests":[` + descriptor(oci.MediaTypeOCIManifest, digest, len(manifest)) + `]}`)
	wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/index", index, "Content-Type", oci.MediaTypeOCIIndex), http.StatusCreated)
	cases := map[string]errorCase{}
	for _, more := range []map[string]errorCase{
		pathErrors(), manifestErrors(manifest, index, other), layerErrors(layer), listingErrors(), credentialErrors(manifest),
	} {
		maps.Copy(cases, more)
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := s.call(t, tt.method, tt.path, tt.body, tt.headers...)
			want := fmt.Sprintf(`{"errors":[{"code":%s,"message":%s}]}`+"\n", quote(t, tt.code), quote(t, tt.text))
			if res.status != tt.status || string(res.body) != want {
				t.Errorf("%s %s answers %d\n %swant %d\n %s", tt.method, tt.path, res.status, res.body, tt.status, want)
			}
			wantHeader(t, res, "Content-Type", "application/json; charset=utf-8")
			wantHeader(t, res, "Docker-Distribution-Api-Version", "registry/2.0")
			wantHeader(t, res, "Etag", "")
			wantHeader(t, res, "Cache-Control", "")
			if challenge := res.header.Get("Www-Authenticate"); (challenge != "") != (tt.status == 401) {
				t.Errorf("status %d comes with the challenge %q", tt.status, challenge)
			}
			if allow := res.header.Get("Allow"); (allow != "") != (tt.status == 405) || strings.Contains(allow, tt.method) {
				t.Errorf("%s is answered %d with Allow: %q", tt.method, tt.status, allow)
			}
		})
	}
	t.Cleanup(func() {
		if log := s.log.String(); log != "" {
			t.Errorf("what clients got wrong is in the log:\n%s", log)
		}
	})
}

// quote is JSON as anybody would write it, without escapes for HTML.
func quote(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// TestMethods tries every method on every kind of path: what is not in the table is 405, with the others in Allow.
func TestMethods(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	paths := map[string]string{
		"base": "/v2/", "catalog": "/v2/_catalog", "token": "/v2/token", "manifest": "/v2/" + repo + "/manifests/x", "blob": "/v2/" + repo + "/blobs/" + someDigest,
		"uploads": "/v2/" + repo + "/blobs/uploads/", "upload": "/v2/" + repo + "/blobs/uploads/" + someUpload,
		"tags": "/v2/" + repo + "/tags/list", "referrers": "/v2/" + repo + "/referrers/" + someDigest,
	}
	routes := distribution.Routes()
	if len(routes) != len(paths) {
		t.Fatalf("routes %v, and paths for %d kinds", routes, len(paths))
	}
	for kind, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			res := s.call(t, method, path, nil)
			known := slices.Contains(routes[kind], method)
			if (res.status == http.StatusMethodNotAllowed) == known {
				t.Errorf("%s %s answers %d, and the table has %v", method, path, res.status, routes[kind])
			}
			if !known {
				wantHeader(t, res, "Allow", strings.Join(routes[kind], ", "))
			}
		}
	}
}

// TestFailuresOfOurOwn wants the client told the right thing, and the log told once.
func TestFailuresOfOurOwn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
		want   string
	}{
		"full": {
			blob.ErrFull, http.StatusInsufficientStorage,
			`{"errors":[{"code":"UNKNOWN","message":"the registry's blob store is full: nothing was stored"}]}`,
		},
		"unavailable": {
			blob.ErrUnavailable, http.StatusServiceUnavailable,
			`{"errors":[{"code":"UNAVAILABLE","message":"the registry's blob store does not answer: nothing was stored, try again"}]}`,
		},
		"anything else": {
			errors.New("secret of the house"), http.StatusInternalServerError,
			`{"errors":[{"code":"UNKNOWN","message":"the registry could not do this for a reason of its own; its log tells more under the request id REQUEST"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.blobs.failWith(fmt.Errorf("writing: %w", tt.err))
			res := s.call(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+someDigest, []byte("x"))
			id := res.header.Get("X-Amzn-Requestid")
			if want := strings.Replace(tt.want, "REQUEST", id, 1) + "\n"; res.status != tt.status || string(res.body) != want {
				t.Errorf("answer %d %s want %d %s", res.status, res.body, tt.status, want)
			}
			log := s.log.String()
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, "request_id="+id) || !strings.Contains(log, tt.err.Error()) {
				t.Errorf("the log says\n%swant one line with the request id and %q", log, tt.err)
			}
		})
	}
}

func TestAppendJSONString(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z"\\\x00-\x1f<>&é\x{2028}\x{10000}]*`), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "s")
		got := distribution.AppendJSONString([]byte("x"), s)
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil {
			t.Fatalf("appendJSONString(%q) = %s: %v", s, got, err)
		}
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var same string
		if err := json.Unmarshal(want, &same); err != nil || back != same {
			t.Fatalf("appendJSONString(%q) = %s reads %q, want %q", s, got, back, same)
		}
	})
}
