// Package ecr is Amazon ECR's API over the registry: it translates names, and decides nothing.
//
// The wire types are the AWS SDK's own structs. Each operation is a method of face that turns its input
// into a call of internal/core/registry and the answer back; validate.go holds what the API's model
// demands of inputs and the registry does not know; faults.go holds the one table from faults to ECR's
// exceptions. What differs from AWS is written down in docs/api/ecr.md, operation by operation, and a
// test holds that page and the table below together.
package ecr

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Tokens issues the passwords that docker logs in with.
type Tokens interface {
	// IssueToken makes a password for the caller, without a colon or white space in it, and tells its end.
	IssueToken(ctx context.Context, caller identity.Caller) (password string, expires time.Time, err error)
}

// Links makes download links to this server.
type Links interface {
	// SignLink makes the query with which anybody can GET a path of this server until ttl is over.
	SignLink(ctx context.Context, path string, ttl time.Duration) (query string, err error)
}

// Config is what the face needs; every field but Redirect must be set.
type Config struct {
	Registry *registry.Registry
	Tokens   Tokens
	Links    Links
	// Redirect hands out the blob store's own links to layers, where it makes such. Otherwise, and where it
	// makes none, a link leads to this server.
	Redirect bool
	// ProxyEndpoint is where docker finds the registry, with scheme and without a slash at the end:
	// http://localhost:5080.
	ProxyEndpoint string
	// RepositoryHost is what repositoryUri begins with: localhost:5080.
	RepositoryHost string
}

// face holds the operations.
type face struct {
	Config
}

// Bodies of the two operations that carry content: a manifest of 4 MiB, in which each byte may be escaped
// as up to six, and a part of 20 MiB in base64, both with room for the other members.
const (
	maxPutImageBody        = 25 << 20
	maxUploadLayerPartBody = 29 << 20
)

// New makes the service.
func New(c Config) awswire.Service {
	f := face{c}
	return awswire.Service{
		Name:         "ecr",
		Protocol:     awswire.JSON11,
		TargetPrefix: "AmazonEC2ContainerRegistry_V20150921",
		Version:      "2015-09-21",
		Operations: map[string]awswire.Operation{
			"CreateRepository":              awswire.Op(f.createRepository),
			"DescribeRepositories":          awswire.Op(f.describeRepositories),
			"DeleteRepository":              awswire.Op(f.deleteRepository),
			"PutImageTagMutability":         awswire.Op(f.putImageTagMutability),
			"PutImageScanningConfiguration": awswire.Op(f.putImageScanningConfiguration),
			"ListTagsForResource":           awswire.Op(f.listTagsForResource),
			"TagResource":                   awswire.Op(f.tagResource),
			"UntagResource":                 awswire.Op(f.untagResource),

			"PutImage":         awswire.Op(f.putImage).MaxBody(maxPutImageBody),
			"BatchGetImage":    awswire.Op(f.batchGetImage),
			"BatchDeleteImage": awswire.Op(f.batchDeleteImage),
			"DescribeImages":   awswire.Op(f.describeImages),
			"ListImages":       awswire.Op(f.listImages),

			"BatchCheckLayerAvailability": awswire.Op(f.batchCheckLayerAvailability),
			"InitiateLayerUpload":         awswire.Op(f.initiateLayerUpload),
			"UploadLayerPart":             awswire.Op(f.uploadLayerPart).MaxBody(maxUploadLayerPartBody),
			"CompleteLayerUpload":         awswire.Op(f.completeLayerUpload),
			"GetDownloadUrlForLayer":      awswire.Op(f.getDownloadURLForLayer),

			"GetAuthorizationToken": awswire.Op(f.getAuthorizationToken),
			"DescribeRegistry":      awswire.Op(f.describeRegistry),
		},
		Known: notYet(),
		// The one shape of ECR whose members keep their capital letter.
		Members:    map[string]string{"Tag.Key": "Key", "Tag.Value": "Value"},
		Exceptions: exceptions(outcomes()),
	}
}

// notYet lists what ECR has and Berth does not do yet: such a call is refused, never pretended.
func notYet() []string {
	return []string{
		"ListImageReferrers", "UpdateImageStorageClass",
		"PutLifecyclePolicy", "GetLifecyclePolicy", "DeleteLifecyclePolicy", "StartLifecyclePolicyPreview", "GetLifecyclePolicyPreview",
		"StartImageScan", "DescribeImageScanFindings",
		"PutRegistryScanningConfiguration", "GetRegistryScanningConfiguration", "BatchGetRepositoryScanningConfiguration",
		"SetRepositoryPolicy", "GetRepositoryPolicy", "DeleteRepositoryPolicy",
		"PutRegistryPolicy", "GetRegistryPolicy", "DeleteRegistryPolicy",
		"GetAccountSetting", "PutAccountSetting",
		"PutReplicationConfiguration", "DescribeImageReplicationStatus",
		"StartReplicationBackfill", "StopReplicationBackfill", "ListReplicationBackfills", "DescribeReplicationBackfillResults",
		"CreatePullThroughCacheRule", "DescribePullThroughCacheRules", "UpdatePullThroughCacheRule",
		"DeletePullThroughCacheRule", "ValidatePullThroughCacheRule",
		"CreateRepositoryCreationTemplate", "DescribeRepositoryCreationTemplates",
		"UpdateRepositoryCreationTemplate", "DeleteRepositoryCreationTemplate",
		"RegisterPullTimeUpdateExclusion", "DeregisterPullTimeUpdateExclusion", "ListPullTimeUpdateExclusions",
		"PutSigningConfiguration", "GetSigningConfiguration", "DeleteSigningConfiguration", "DescribeImageSigningStatus",
	}
}
