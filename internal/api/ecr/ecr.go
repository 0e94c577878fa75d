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
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
	"github.com/hoopstat-haus/berth/internal/core/signing"
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
	Registry    *registry.Registry
	Lifecycle   *lifecycle.Service
	Signing     *signing.Signer
	Replication *replicate.Service // to other registries
	// PullThrough has the rules about other registries, and answers pulls with what they have.
	PullThrough *pullthrough.Cache
	Scans       Scans
	Tokens      Tokens
	Links       Links
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

// New makes the service.
func New(c Config) awswire.Service {
	f := face{c}
	done := f.operations()
	return awswire.Service{
		Name:         "ecr",
		Protocol:     awswire.JSON11,
		TargetPrefix: "AmazonEC2ContainerRegistry_V20150921",
		Version:      "2015-09-21",
		Operations:   done,
		Known:        awswire.Others(everyOperation, done),
		// The one shape of ECR whose members keep their capital letter.
		Members:    map[string]string{"Tag.Key": "Key", "Tag.Value": "Value"},
		Exceptions: exceptions(outcomes()),
	}
}

// operations gathers the families. Each family's file names its own.
func (f face) operations() map[string]awswire.Operation {
	return awswire.Operations(
		f.repositoryOperations(),
		f.resourceTagOperations(),
		f.imageOperations(),
		f.archiveOperations(),
		f.layerOperations(),
		f.registryOperations(),
		f.templateOperations(),
		f.policyOperations(),
		f.scanningOperations(),
		f.pullTimeOperations(),
		f.lifecycleOperations(),
		f.signingOperations(),
		f.replicationOperations(),
		f.backfillOperations(),
		f.pullThroughOperations(),
	)
}

// everyOperation names what ECR has, as of aws-sdk-go-v2/service/ecr v1.67.5; a test holds it to the SDK.
const everyOperation = `
BatchCheckLayerAvailability BatchDeleteImage BatchGetImage BatchGetRepositoryScanningConfiguration CompleteLayerUpload
CreatePullThroughCacheRule CreateRepository CreateRepositoryCreationTemplate DeleteLifecyclePolicy
DeletePullThroughCacheRule DeleteRegistryPolicy DeleteRepository DeleteRepositoryCreationTemplate
DeleteRepositoryPolicy DeleteSigningConfiguration DeregisterPullTimeUpdateExclusion DescribeImageReplicationStatus
DescribeImages DescribeImageScanFindings DescribeImageSigningStatus DescribePullThroughCacheRules DescribeRegistry
DescribeReplicationBackfillResults DescribeRepositories DescribeRepositoryCreationTemplates GetAccountSetting
GetAuthorizationToken GetDownloadUrlForLayer GetLifecyclePolicy GetLifecyclePolicyPreview GetRegistryPolicy
GetRegistryScanningConfiguration GetRepositoryPolicy GetSigningConfiguration InitiateLayerUpload ListImageReferrers
ListImages ListPullTimeUpdateExclusions ListReplicationBackfills ListTagsForResource PutAccountSetting PutImage
PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy PutRegistryPolicy
PutRegistryScanningConfiguration PutReplicationConfiguration PutSigningConfiguration
RegisterPullTimeUpdateExclusion SetRepositoryPolicy StartImageScan StartLifecyclePolicyPreview
StartReplicationBackfill StopReplicationBackfill TagResource UntagResource UpdateImageStorageClass
UpdatePullThroughCacheRule UpdateRepositoryCreationTemplate UploadLayerPart ValidatePullThroughCacheRule
`
