// Package berth is Berth's own API: what the registry can do and Amazon's API has no words for.
//
// It is spoken and signed like ECR's (AWS JSON 1.1, signing name ecr), so that whoever can call the one
// can call the other with the same credentials and code; only the target differs:
// X-Amz-Target: Berth_V20261124.<Operation>. docs/api/berth.md describes it.
package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/notify"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// TargetPrefix stands before an operation's name in X-Amz-Target. A change that clients would notice
// makes a new one.
const TargetPrefix = "Berth_V20261124"

// face holds the operations.
type face struct {
	registry *registry.Registry
	signer   *signing.Signer
	caches   *pullthrough.Cache
	keys     *identity.Directory
	garbage  *gc.Service
	checks   *fsck.Service
	policies *lifecycle.Service

	advisories *scan.Advisories
	attacher   *sbom.Attacher
	scans      Scans
	exceptions Exceptions
	usage      *usage.Service
	now        func() time.Time
	notices    *notify.Service
	costs      Costs
	log        Log
}

// Config is what the service translates to. All must be set to serve; what the service is can be told without.
type Config struct {
	Registry *registry.Registry
	Signer   *signing.Signer
	Caches   *pullthrough.Cache
	Keys     *identity.Directory
	Garbage  *gc.Service
	Checks   *fsck.Service
	Policies *lifecycle.Service // the lifecycle policies

	Advisories *scan.Advisories
	Attacher   *sbom.Attacher // of SBOMs
	Scans      Scans
	Exceptions Exceptions
	Usage      *usage.Service
	Now        func() time.Time
	Notices    *notify.Service
	Costs      Costs
	Log        Log
}

// New makes the service.
func New(c Config) awswire.Service {
	f := face{
		registry: c.Registry, signer: c.Signer, caches: c.Caches, keys: c.Keys, garbage: c.Garbage, checks: c.Checks, policies: c.Policies,
		advisories: c.Advisories, scans: c.Scans, attacher: c.Attacher, exceptions: c.Exceptions,
		usage: c.Usage, now: c.Now, notices: c.Notices, costs: c.Costs, log: c.Log,
	}
	return awswire.Service{
		Name:         "ecr",
		Protocol:     awswire.JSON11,
		TargetPrefix: TargetPrefix,
		AuditName:    "berth",
		Operations:   f.operations(),
		Exceptions:   exceptionFor,
	}
}

// operations are all of them, by name.
func (f face) operations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"DeleteImages":            awswire.Op(f.deleteImages),
		"DescribeCheck":           awswire.Op(f.describeCheck),
		"ExplainDigest":           awswire.Op(f.explainDigest),
		"GetGarbageCollection":    awswire.Op(f.getGarbageCollection),
		"GetSbomSettings":         awswire.Op(f.getSBOMSettings),
		"GetSigningPublicKey":     awswire.Op(f.getSigningPublicKey),
		"GetTrashUsage":           awswire.Op(f.getTrashUsage),
		"ListGarbage":             awswire.Op(f.listGarbage),
		"ListPinnedImages":        awswire.Op(f.listPinnedImages),
		"ListPullThroughCaches":   awswire.Op(f.listPullThroughCaches),
		"ListTagHistory":          awswire.Op(f.listTagHistory),
		"ListTrash":               awswire.Op(f.listTrash),
		"PauseGarbageCollection":  awswire.Op(f.pauseGarbageCollection),
		"PrepareReplication":      awswire.Op(f.prepareReplication).MaxBody(maxPrepareBody),
		"PurgeImages":             awswire.Op(f.purgeImages),
		"PutSbomSettings":         awswire.Op(f.putSBOMSettings),
		"PutTrashWindow":          awswire.Op(f.putTrashWindow),
		"ReplicateImage":          awswire.Op(f.replicateImage).MaxBody(maxReplicateBody),
		"RestoreImages":           awswire.Op(f.restoreImages),
		"ResumeGarbageCollection": awswire.Op(f.resumeGarbageCollection),
		"RotateMasterKey":         awswire.Op(f.rotateMasterKey),
		"RotateTokenKey":          awswire.Op(f.rotateTokenKey),
		"SetPullThroughCacheTtl":  awswire.Op(f.setPullThroughCacheTTL),
		"StartCheck":              awswire.Op(f.startCheck),
		"StartGarbageCollection":  awswire.Op(f.startGarbageCollection),
		"StopCheck":               awswire.Op(f.stopCheck),

		"DescribeFindings":            awswire.Op(f.describeFindings),
		"GetUsage":                    awswire.Op(f.getUsage),
		"GetCost":                     awswire.Op(f.getCost),
		"GetSbom":                     awswire.Op(f.getSBOM),
		"ImportAdvisories":            awswire.Op(f.importAdvisories),
		"ListAdvisorySources":         awswire.Op(f.listAdvisorySources),
		"ListExceptions":              awswire.Op(f.listExceptions),
		"ListLifecyclePreviewResults": awswire.Op(f.listLifecyclePreviewResults),
		"ListVulnerableImages":        awswire.Op(f.listVulnerableImages),
		"GetLogCheckpoints":           awswire.Op(f.getLogCheckpoints),
		"VerifyLog":                   awswire.Op(f.verifyLog).MaxBody(maxVerifyBody),
		"SearchLog":                   awswire.Op(f.searchLog),
		"UpdateAdvisories":            awswire.Op(f.updateAdvisories),

		"ListNoticeTargets": awswire.Op(f.listNoticeTargets),
		"ListNotices":       awswire.Op(f.listNotices),
		"TestNoticeTarget":  awswire.Op(f.testNoticeTarget),
	}
}

// ListTagHistoryInput asks what happened to an image tag. On the wire members are named like the fields,
// with a small first letter.
type ListTagHistoryInput struct {
	RepositoryName *string // required
	ImageTag       *string // required
	MaxResults     *int32  // 1 to 1000; 100 if absent
	NextToken      *string // of the page before
}

// ListTagHistoryOutput is one page of a tag's history, newest first.
type ListTagHistoryOutput struct {
	TagHistory []TagChange
	NextToken  *string // absent on the last page
}

// TagChange is one thing that happened to a tag.
type TagChange struct {
	ImageTag   *string
	FromDigest *string // the image it pointed to before; absent when the tag was new
	ToDigest   *string // the image it points to since; absent when the tag was deleted
	ChangedAt  *time.Time
	Actor      *string // the ARN of who did it
}

const maxPage = 1000

func (f face) listTagHistory(ctx context.Context, call awswire.Call, in *ListTagHistoryInput) (*ListTagHistoryOutput, error) {
	repository, tag, limit, err := in.read()
	if err != nil {
		return nil, err
	}
	history, err := f.registry.TagHistory(ctx, call.Caller, repository, tag, limit, aws.ToString(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &ListTagHistoryOutput{TagHistory: []TagChange{}, NextToken: optional(history.Next)}
	for _, c := range history.Items {
		out.TagHistory = append(out.TagHistory, TagChange{
			ImageTag:   &c.Tag,
			FromDigest: optional(c.From.String()),
			ToDigest:   optional(c.To.String()),
			ChangedAt:  &c.At,
			Actor:      &c.Actor,
		})
	}
	return out, nil
}

func (in *ListTagHistoryInput) read() (repository, tag string, limit int, err error) {
	const missing = "Member must not be null"
	switch {
	case in.RepositoryName == nil:
		return "", "", 0, fault.BadParameter("repositoryName", missing)
	case in.ImageTag == nil:
		return "", "", 0, fault.BadParameter("imageTag", missing)
	}
	if repository, err = oci.ParseRepositoryName(*in.RepositoryName); err != nil {
		return "", "", 0, err
	}
	if tag, err = oci.ParseTag(*in.ImageTag); err != nil {
		return "", "", 0, err
	}
	limit, err = pageLimit(in.MaxResults)
	return repository, tag, limit, err
}

// pageLimit reads maxResults; 0 means the usual page.
func pageLimit(maxResults *int32) (int, error) {
	if maxResults == nil {
		return 0, nil
	}
	switch limit := int(*maxResults); {
	case limit < 1:
		return 0, fault.BadParameter("maxResults", "Member must have value greater than or equal to 1")
	case limit > maxPage:
		return 0, fault.BadParameter("maxResults", "Member must have value less than or equal to 1000")
	default:
		return limit, nil
	}
}

// exceptionFor is this API's table from faults to exceptions. A caller's mistakes that every AWS service
// shares are awswire's; those that a sending registry tells apart have ECR's names; everything else here is about a
// parameter.
func exceptionFor(err error) (awswire.Exception, bool) {
	if e, ok := awswire.JSON11.Exception(err); ok {
		return e, true
	}
	f, ok := fault.Of(err)
	if !ok {
		return awswire.Exception{}, false
	}
	code := "InvalidParameterException"
	switch f.Code { //nolint:exhaustive // the others are about parameters
	case fault.RepositoryNotFound:
		code = "RepositoryNotFoundException"
	case fault.ImageNotFound:
		code = "ImageNotFoundException"
	case fault.TagDoesNotMatchDigest:
		code = "ImageTagDoesNotMatchDigestException"
	case fault.TagImmutable:
		code = "ImageTagAlreadyExistsException"
	case fault.ReferencedLayersNotFound:
		code = "LayersNotFoundException"
	case fault.ReferencedImagesNotFound:
		code = "ReferencedImagesNotFoundException"
	case fault.EntityNotFound:
		code = "NotFoundException"
	case fault.PullThroughRuleNotFound:
		code = "PullThroughCacheRuleNotFoundException"
	case fault.PreviewNotFound:
		code = "LifecyclePolicyPreviewNotFoundException"
	case fault.CheckInProgress:
		code = "CheckInProgressException"
	case fault.CheckNotFound:
		code = "CheckNotFoundException"
	case fault.CheckEnded:
		code = "CheckEndedException"
	case fault.LimitExceeded:
		code = "LimitExceededException"
	case fault.ScanNotFound:
		code = "ScanNotFoundException"
	case fault.ImageNotScannable:
		code = "UnsupportedImageTypeException"
	case fault.ImageArchived:
		code = "ImageArchivedException"
	}
	return awswire.Exception{Code: code, Message: f.Message}, true
}

// optional leaves a member out when it would be empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
