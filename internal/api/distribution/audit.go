package distribution

import (
	"errors"
	"net/http"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// operation is what the audit log calls a request: ECR's operation by the permission that it needs, as CloudTrail shows docker's pulls.
func operation(k kind, method string) string {
	reads := method == http.MethodGet || method == http.MethodHead
	switch k {
	case kindBase:
		return "Login" // in no API of AWS's: docker asks for nothing but whether its password holds
	case kindToken:
		return "GetAuthorizationToken"
	case kindCatalog:
		return "DescribeRepositories"
	case kindTags:
		return "ListImages"
	case kindReferrers:
		return "ListImageReferrers"
	case kindManifest:
		switch {
		case reads:
			return "BatchGetImage"
		case method == http.MethodPut:
			return "PutImage"
		}
		return "BatchDeleteImage"
	case kindBlob:
		switch method {
		case http.MethodHead:
			return "BatchCheckLayerAvailability"
		case http.MethodGet:
			return "GetDownloadUrlForLayer"
		}
		return "BatchDeleteImage"
	case kindUploads:
		return "InitiateLayerUpload"
	case kindUpload:
		switch method {
		case http.MethodPut:
			return "CompleteLayerUpload"
		case http.MethodDelete:
			return "InitiateLayerUpload" // who may begin one may give it up
		}
		return "UploadLayerPart"
	case kindUnknown:
	}
	return ""
}

// note tells the audit log what is asked for.
func (x *exchange) note() {
	name := operation(x.req.Kind, x.r.Method)
	if name == "" {
		return
	}
	e := middleware.Note(x.r.Context())
	e.Service, e.Operation = "ecr", name
	if x.req.Kind == kindBase {
		e.Service = "berth"
	}
	e.ReadOnly = x.r.Method == http.MethodGet || x.r.Method == http.MethodHead || x.req.Kind == kindToken
	e.Repository = x.req.Name
	switch x.req.Kind {
	case kindManifest:
		e.Images = append(e.Images, audit.ImageName{Digest: x.req.Ref.Digest, Tag: x.req.Ref.Tag})
	case kindReferrers:
		e.Images = append(e.Images, audit.ImageName{Digest: x.req.Digest})
	case kindBlob:
		e.Layers = append(e.Layers, x.req.Digest)
	case kindUnknown, kindBase, kindCatalog, kindToken, kindUploads, kindUpload, kindTags:
	}
	e.Caller = x.caller
	if e.Caller.Origin.Address == "" {
		e.Caller.Origin = authn.Origin(x.r)
	}
}

// notePulled tells it that an image's manifest is given away. An index is no pull: the image that a client picks from it is.
func (x *exchange) notePulled(img registry.Image) {
	x.noteImage(img.Digest)
	if !x.caller.Service && !oci.IsIndexType(img.MediaType) {
		e := middleware.Note(x.r.Context())
		e.Pulled = append(e.Pulled, img.Digest)
	}
}

// noteImage tells it which image a tag stands for.
func (x *exchange) noteImage(d oci.Digest) {
	if e := middleware.Note(x.r.Context()); len(e.Images) == 1 {
		e.Images[0].Digest = d
	}
}

// noteLayer tells it which layer an upload has become.
func (x *exchange) noteLayer(d oci.Digest) {
	if e := middleware.Note(x.r.Context()); len(e.Layers) == 0 {
		e.Layers = append(e.Layers, d)
	}
}

// noteRefusal tells it what went wrong. Who brought no credentials, and is asked for some, has asked for nothing yet; who has brought wrong ones
// too often is not listened to: nobody fills the log by guessing.
func (x *exchange) noteRefusal(err error, status int, message string) {
	e := middleware.Note(x.r.Context())
	if errors.Is(err, fault.CredentialsMissing) || errors.Is(err, fault.TooManyFailures) {
		e.Service = ""
		return
	}
	e.Fault, e.Message = faultWord(err, status), message
}

// faultWord is the exception that ECR's API would answer with, more or less: the name of the fault, as its exceptions are named.
func faultWord(err error, status int) string {
	found, ok := fault.Of(err)
	switch {
	case ok:
	case status >= http.StatusInternalServerError:
		return "ServerException"
	default:
		return "InvalidParameterException"
	}
	var b strings.Builder
	for word := range strings.FieldsSeq(string(found.Code)) {
		b.WriteString(strings.ToUpper(word[:1]))
		b.WriteString(word[1:])
	}
	return b.String() + "Exception"
}
