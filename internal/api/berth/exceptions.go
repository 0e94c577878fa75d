package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
)

// Exceptions is what lists exceptions; *scan.Exceptions is one.
type Exceptions interface {
	List(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (registry.Image, []scan.Exception, []scan.Document, error)
}

// ListExceptionsInput asks for the exceptions of an image.
type ListExceptionsInput struct {
	RepositoryName *string  // required
	ImageId        *ImageID //nolint:revive // named as on the wire; required
}

// ListExceptionsOutput is all of them, expired ones too, and the documents that are attached to the image or to an index that it is in.
type ListExceptionsOutput struct {
	RepositoryName *string
	ImageDigest    *string
	Exceptions     []HeldException
	Documents      []ExceptionDocument
}

// HeldException is a finding that stops nothing for a time.
type HeldException struct {
	Vulnerability  *string
	Aliases        []string
	PackageName    *string // absent: any
	PackageType    *string // of package URLs; absent: any
	PackageVersion *string // absent: any
	ImageDigest    *string // absent: every image of the repository
	Status         *string
	Owner          *string
	Reason         *string
	DocumentDigest *string
	CreatedAt      *time.Time
	ExpiresAt      *time.Time
}

// ExceptionDocument is a document that is attached.
type ExceptionDocument struct {
	Digest        *string
	SubjectDigest *string
	Actor         *string
	Problem       *string // why nothing in it counts; absent: it does
	ReadAt        *time.Time
}

func (f face) listExceptions(ctx context.Context, call awswire.Call, in *ListExceptionsInput) (*ListExceptionsOutput, error) {
	const missing = "Member must not be null"
	if in.RepositoryName == nil {
		return nil, fault.BadParameter("repositoryName", missing)
	}
	if in.ImageId == nil {
		return nil, fault.BadParameter("imageId", missing)
	}
	id := registry.ImageID{Digest: aws.ToString(in.ImageId.ImageDigest), Tag: aws.ToString(in.ImageId.ImageTag)}
	img, exceptions, documents, err := f.exceptions.List(ctx, call.Caller, *in.RepositoryName, id)
	if err != nil {
		return nil, err
	}
	out := &ListExceptionsOutput{
		RepositoryName: in.RepositoryName, ImageDigest: aws.String(img.Digest.String()), Exceptions: []HeldException{}, Documents: []ExceptionDocument{},
	}
	for _, e := range exceptions {
		out.Exceptions = append(out.Exceptions, HeldException{
			Vulnerability: &e.Vulnerability, Aliases: e.Aliases, PackageName: optional(e.Package), PackageType: optional(e.PackageType),
			PackageVersion: optional(e.Version), ImageDigest: optional(e.Digest.String()), Status: &e.Status, Owner: &e.Owner, Reason: &e.Reason,
			DocumentDigest: aws.String(e.Document.String()), CreatedAt: &e.CreatedAt, ExpiresAt: &e.ExpiresAt,
		})
	}
	for _, d := range documents {
		out.Documents = append(out.Documents, ExceptionDocument{
			Digest: aws.String(d.Digest.String()), SubjectDigest: aws.String(d.Subject.String()), Actor: &d.Actor, Problem: optional(d.Problem), ReadAt: &d.ReadAt,
		})
	}
	return out, nil
}
