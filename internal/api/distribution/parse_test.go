package distribution_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const (
	someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	someUpload = "0f8fad5b-d9cb-469f-a165-70867728950e"
)

func TestParse(t *testing.T) {
	t.Parallel()
	type parsed = distribution.Parsed
	for path, want := range map[string]parsed{
		"/v2/":         {Kind: "base"},
		"/v2":          {Kind: "base"},
		"/v2/_catalog": {Kind: "catalog"},
		"/v2/token":    {Kind: "token"},

		"/v2/token/manifests/x":                         {Kind: "manifest", Name: "token", Tag: "x"},
		"/v2/token/token/tags/list":                     {Kind: "tags", Name: "token/token"},
		"/v2/a/manifests/latest":                        {Kind: "manifest", Name: "a", Tag: "latest"},
		"/v2/a/b/c/manifests/" + someDigest:             {Kind: "manifest", Name: "a/b/c", Digest: someDigest},
		"/v2/a/blobs/" + someDigest:                     {Kind: "blob", Name: "a", Digest: someDigest},
		"/v2/a/blobs/sha256%3A" + someDigest[7:]:        {Kind: "blob", Name: "a", Digest: someDigest},
		"/v2/a/blobs/uploads/":                          {Kind: "uploads", Name: "a"},
		"/v2/a/blobs/uploads":                           {Kind: "uploads", Name: "a"},
		"/v2/a/blobs/uploads/" + someUpload:             {Kind: "upload", Name: "a", UploadID: someUpload},
		"/v2/a/tags/list":                               {Kind: "tags", Name: "a"},
		"/v2/a/referrers/" + someDigest:                 {Kind: "referrers", Name: "a", Digest: someDigest},
		"/v2/blobs/blobs/" + someDigest:                 {Kind: "blob", Name: "blobs", Digest: someDigest},
		"/v2/blobs/uploads/blobs/uploads/":              {Kind: "uploads", Name: "blobs/uploads"},
		"/v2/blobs/uploads/x/blobs/uploads/y":           {Kind: "upload", Name: "blobs/uploads/x", UploadID: "y"},
		"/v2/x/blobs/uploads/manifests/v1":              {Kind: "manifest", Name: "x/blobs/uploads", Tag: "v1"},
		"/v2/manifests/manifests/manifests":             {Kind: "manifest", Name: "manifests", Tag: "manifests"},
		"/v2/tags/list/tags/list":                       {Kind: "tags", Name: "tags/list"},
		"/v2/tags/list/manifests/list":                  {Kind: "manifest", Name: "tags/list", Tag: "list"},
		"/v2/referrers/x/referrers/" + someDigest:       {Kind: "referrers", Name: "referrers/x", Digest: someDigest},
		"/v2/v2/manifests/v2":                           {Kind: "manifest", Name: "v2", Tag: "v2"},
		"/v2/_catalog/manifests/v2":                     {Kind: "manifest", Name: "_catalog", Tag: "v2"}, // the registry refuses the name
		"/v2/../etc/manifests/x":                        {Kind: "manifest", Name: "../etc", Tag: "x"},    // likewise
		"/v2/%2e%2e/manifests/x":                        {Kind: "manifest", Name: "..", Tag: "x"},        // likewise
		"/v2//manifests/x":                              {Kind: "manifest", Name: "", Tag: "x"},          // likewise
		"/v2/a//b/manifests/x":                          {Kind: "manifest", Name: "a//b", Tag: "x"},      // likewise
		"/v2/A/manifests/x":                             {Kind: "manifest", Name: "A", Tag: "x"},         // likewise
		"/v2/a%00b/manifests/x":                         {Kind: "manifest", Name: "a\x00b", Tag: "x"},    // likewise
		"/v2/manifests/x":                               {Kind: "manifest", Name: "", Tag: "x"},          // likewise
		"/v2/hoopstat-haus/prod/manifests/app-v1_2.3-x": {Kind: "manifest", Name: "hoopstat-haus/prod", Tag: "app-v1_2.3-x"},
	} {
		got, err := distribution.Parse(parseURL(t, path))
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("parse(%s): %v (-want +got)\n%s", path, err, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for path, code := range map[string]fault.Code{
		"/":                                 fault.OperationUnknown,
		"/v1/":                              fault.OperationUnknown,
		"/v2x/":                             fault.OperationUnknown,
		"/v2//":                             fault.OperationUnknown,
		"/V2/a/manifests/x":                 fault.OperationUnknown,
		"//v2/a/manifests/x":                fault.OperationUnknown,
		"/x/v2/a/manifests/x":               fault.OperationUnknown,
		"/v2/_catalog/":                     fault.OperationUnknown,
		"/v2/a":                             fault.OperationUnknown,
		"/v2/a/b":                           fault.OperationUnknown,
		"/v2/a/Manifests/x":                 fault.OperationUnknown,
		"/v2/a/manifests":                   fault.OperationUnknown,
		"/v2/a/manifests/x/":                fault.OperationUnknown,
		"/v2/a/tags/list/":                  fault.OperationUnknown,
		"/v2/a/tags/":                       fault.OperationUnknown,
		"/v2/a/tags/other":                  fault.OperationUnknown,
		"/v2/a/uploads/":                    fault.OperationUnknown,
		"/v2/a/uploads/" + someUpload:       fault.OperationUnknown,
		"/v2/a/blobs/uploads/x/y":           fault.OperationUnknown,
		"/v2/a/blobs/" + someDigest + "/":   fault.OperationUnknown,
		"/v2/a/manifests/..":                fault.TagInvalid,
		"/v2/a/manifests/":                  fault.TagInvalid,
		"/v2/a/manifests/a%00b":             fault.TagInvalid,
		"/v2/a/manifests/sha256:bad":        fault.DigestInvalid,
		"/v2/a/blobs/latest":                fault.DigestInvalid,
		"/v2/a/blobs/":                      fault.DigestInvalid,
		"/v2/a/blobs/SHA256:" + someDigest:  fault.DigestInvalid,
		"/v2/a/referrers/latest":            fault.DigestInvalid,
		"/v2/a/blobs/uploads/..":            fault.UploadNotFound,
		"/v2/a/blobs/uploads/a%00":          fault.UploadNotFound,
		"/v2/a/blobs/uploads/a%20b":         fault.UploadNotFound,
		"/v2/a%2Fb/manifests/x":             fault.RepositoryNameInvalid,
		"/v2/a%2fb/manifests/x":             fault.RepositoryNameInvalid,
		"/v2/a/manifests%2Fx":               fault.RepositoryNameInvalid,
		"/v2/a/manifests/x%2F..%2F..%2Fetc": fault.RepositoryNameInvalid,

		"/v2/a/blobs/uploads/" + strings.Repeat("a", 129): fault.UploadNotFound,
	} {
		got, err := distribution.Parse(parseURL(t, path))
		if !errors.Is(err, code) {
			t.Errorf("parse(%s) = %+v, %v; want the fault %q", path, got, err, code)
		}
	}
}

func parseURL(t *testing.T, path string) *url.URL {
	t.Helper()
	u, err := url.ParseRequestURI(path)
	if err != nil {
		t.Fatalf("ParseRequestURI(%s): %v", path, err)
	}
	return u
}

func TestParseAllocatesNothing(t *testing.T) {
	path := "/v2/hoopstat-haus/prod/manifests/example-calculator-app-latest"
	if n := testing.AllocsPerRun(100, func() {
		if err := distribution.ParsePath(path); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("parsing %s allocates %v times, want 0", path, n)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, path := range []string{
		"/v2/", "/v2/_catalog", "/v2/a/manifests/latest", "/v2/a/b/blobs/" + someDigest, "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/" + someUpload,
		"/v2/a/tags/list", "/v2/a/referrers/" + someDigest, "/v2/a%2Fb/manifests/x", "/v2/../x/manifests/y", "/v2/a//manifests/x", "/v2/%00/tags/list",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		p, err := distribution.Parse(u)
		if err != nil {
			if _, ok := fault.Of(err); !ok {
				t.Fatalf("parse(%q): %v is no fault", path, err)
			}
			return
		}
		// What was read says where it was read.
		wants := map[string][]string{
			"base": {"/v2/", "/v2"}, "catalog": {"/v2/_catalog"},
			"manifest":  {"/v2/" + p.Name + "/manifests/" + p.Tag + p.Digest},
			"blob":      {"/v2/" + p.Name + "/blobs/" + p.Digest},
			"uploads":   {"/v2/" + p.Name + "/blobs/uploads/", "/v2/" + p.Name + "/blobs/uploads"},
			"upload":    {"/v2/" + p.Name + "/blobs/uploads/" + p.UploadID},
			"tags":      {"/v2/" + p.Name + "/tags/list"},
			"referrers": {"/v2/" + p.Name + "/referrers/" + p.Digest},
		}[p.Kind]
		same := func(want string) bool { // an empty name has its slash or lacks it
			return u.Path == want || (p.Name == "" && u.Path == strings.Replace(want, "/v2//", "/v2/", 1))
		}
		if !slices.ContainsFunc(wants, same) {
			t.Fatalf("parse(%q) = %+v, which is not at %q", path, p, u.Path)
		}
		if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
			t.Fatalf("parse(%q) took an encoded slash", path)
		}
	})
}
