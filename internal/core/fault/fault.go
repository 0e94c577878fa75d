// Package fault is the closed list of things that go wrong in Berth and that a caller can act on.
//
// A [Code] is itself an error, so that errors.Is(err, fault.ImageNotFound) holds through any wrapping.
// The message of a fault is meant for the caller and may be shown; anything else that goes wrong is
// wrapped plainly, logged at the edge, and shown as an internal error. Each face of Berth owns one table
// from these codes to its own protocol's errors, and a test that the table is complete.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code names one thing that goes wrong. It is comparable, and an error.
type Code string

// Error makes a Code usable with errors.Is.
func (c Code) Error() string { return string(c) }

// The codes. What a face makes of each is in the face's own table.
const (
	// InvalidParameter: a value breaks a documented constraint. Its Detail may be a [Parameter].
	InvalidParameter Code = "invalid parameter"
	// RepositoryNameInvalid: a repository name does not fit the grammar.
	RepositoryNameInvalid Code = "repository name invalid"
	// DigestInvalid: a digest is malformed or of an algorithm that is not offered.
	DigestInvalid Code = "digest invalid"
	// TagInvalid: an image tag does not fit the grammar.
	TagInvalid Code = "tag invalid"
	// PageTokenInvalid: a page token is not one that this registry handed out for this listing.
	PageTokenInvalid Code = "page token invalid"

	// RepositoryNotFound: no repository of that name.
	RepositoryNotFound Code = "repository not found"
	// RepositoryExists: the name is taken.
	RepositoryExists Code = "repository exists"
	// RepositoryNotEmpty: a repository with images is only deleted by force.
	RepositoryNotEmpty Code = "repository not empty"
	// ResourceTagInvalid: a resource tag's key or value breaks a constraint.
	ResourceTagInvalid Code = "resource tag invalid"
	// TooManyResourceTags: more than 50 resource tags on one repository.
	TooManyResourceTags Code = "too many resource tags"

	// ImageNotFound: no image by that digest or tag.
	ImageNotFound Code = "image not found"
	// TagDoesNotMatchDigest: an image was named by tag and digest, and they name two images.
	TagDoesNotMatchDigest Code = "tag does not match digest"
	// ImageIDMissing: an image was named by neither tag nor digest.
	ImageIDMissing Code = "image id missing"
	// ImageReferenced: an index that is still there refers to the image, so it is not deleted.
	ImageReferenced Code = "image referenced by an index"
	// ImagePinned: the image is deployed, so it is neither deleted nor archived.
	ImagePinned Code = "image pinned by a deployment"
	// DeploymentConflict: a deployment record does not follow the one that its tag points to, or something else is to take
	// that tag.
	DeploymentConflict Code = "deployment conflict"
	// TagImmutable: the repository does not let this tag move.
	TagImmutable Code = "tag immutable"
	// ManifestInvalid: the manifest's bytes do not make a manifest.
	ManifestInvalid Code = "manifest invalid"
	// ManifestNotJSON: the manifest's bytes are not JSON at all (ECR tells it apart).
	ManifestNotJSON Code = "manifest not JSON"
	// ManifestTooLarge: more than oci.MaxManifestBytes.
	ManifestTooLarge Code = "manifest too large"
	// ManifestTypeUnsupported: a media type that is no manifest this registry knows.
	ManifestTypeUnsupported Code = "manifest type unsupported"
	// DigestMismatch: the bytes of a manifest do not have the digest that was announced.
	DigestMismatch Code = "digest mismatch"
	// ReferencedLayersNotFound: a manifest names layers the repository lacks.
	ReferencedLayersNotFound Code = "referenced layers not found"
	// ReferencedImagesNotFound: an index names images the repository lacks.
	ReferencedImagesNotFound Code = "referenced images not found"

	// LayerNotFound: the repository has no such layer.
	LayerNotFound Code = "layer not found"
	// LayerInaccessible: the layer is uploaded, but no image refers to it.
	LayerInaccessible Code = "layer inaccessible"
	// LayerExists: the repository has that layer already.
	LayerExists Code = "layer exists"
	// LayerInUse: an image refers to the layer, so it is not deleted.
	LayerInUse Code = "layer in use"
	// LayerDigestMismatch: uploaded bytes do not have the announced digest.
	LayerDigestMismatch Code = "layer digest mismatch"
	// LayerTooLarge: more than 52,000 MiB.
	LayerTooLarge Code = "layer too large"
	// UploadNotFound: no such upload in progress in this repository.
	UploadNotFound Code = "upload not found"
	// UploadOutOfOrder: a part does not start where the upload stands. Its Detail is an [UploadPosition].
	UploadOutOfOrder Code = "upload out of order"
	// UploadBusy: another request is adding to the same upload right now.
	UploadBusy Code = "upload busy"
	// UploadPartSize: a part's announced size is not what came.
	UploadPartSize Code = "upload part size"
	// UploadPartTooSmall: a part other than the last is smaller than 5 MiB (ECR's layer API only).
	UploadPartTooSmall Code = "upload part too small"
	// UploadEmpty: an upload without bytes was completed (ECR's layer API only).
	UploadEmpty Code = "upload empty"
	// UploadInterrupted: the client's bytes stopped before their announced end; what came is kept.
	UploadInterrupted Code = "upload interrupted"

	// RepositoryPolicyNotFound: the repository has no policy.
	RepositoryPolicyNotFound Code = "repository policy not found"
	// RegistryPolicyNotFound: the registry has no policy.
	RegistryPolicyNotFound Code = "registry policy not found"
	// RegistrySettingInvalid: a setting of the registry breaks a documented constraint.
	RegistrySettingInvalid Code = "registry setting invalid"
	// TemplateExists: there is a repository creation template of that prefix.
	TemplateExists Code = "template exists"
	// TemplateNotFound: no repository creation template of that prefix.
	TemplateNotFound Code = "template not found"
	// ExclusionExists: the principal is excluded from pull times already.
	ExclusionExists Code = "exclusion exists"
	// ExclusionNotFound: the principal is not excluded from pull times.
	ExclusionNotFound Code = "exclusion not found"
	// SigningConfigurationNotFound: the registry signs nothing.
	SigningConfigurationNotFound Code = "signing configuration not found"

	// LifecyclePolicyNotFound: the repository has no lifecycle policy.
	LifecyclePolicyNotFound Code = "lifecycle policy not found"
	// PreviewNotFound: no preview of a lifecycle policy was asked for.
	PreviewNotFound Code = "lifecycle preview not found"
	// PreviewInProgress: a preview of the repository's is not done yet.
	PreviewInProgress Code = "lifecycle preview in progress"
	// ScanNotFound: the image was never scanned.
	ScanNotFound Code = "scan not found"
	// ImageNotScannable: scans make sense for images, and this is an artifact of another kind.
	ImageNotScannable Code = "image not scannable"
	// ImageArchived: the image is archived, and what was asked for needs it active.
	ImageArchived Code = "image archived"
	// StorageClassRefused: an image of this kind or state does not change its storage class.
	StorageClassRefused Code = "storage class refused"

	// PullThroughRuleExists: there is a pull-through cache rule of that prefix.
	PullThroughRuleExists Code = "pull-through rule exists"
	// PullThroughRuleNotFound: no pull-through cache rule of that prefix.
	PullThroughRuleNotFound Code = "pull-through rule not found"
	// UpstreamUnsupported: a registry that cannot be an upstream.
	UpstreamUnsupported Code = "upstream unsupported"
	// SecretNotFound: the configuration has no secret of that name.
	SecretNotFound Code = "secret not found"
	// UpstreamDenied: the upstream registry refused our credentials.
	UpstreamDenied Code = "upstream denied"
	// UpstreamBusy: the upstream registry asked us to come later. Its Detail may be a [Wait].
	UpstreamBusy Code = "upstream busy"
	// UpstreamUnavailable: the upstream registry does not answer as it should.
	UpstreamUnavailable Code = "upstream unavailable"
	// BackfillInProgress: the destination has a backfill that is not done yet.
	BackfillInProgress Code = "backfill in progress"
	// BackfillStatus: the backfill is done, so that it cannot be stopped, or not done, so that it has no results.
	BackfillStatus Code = "backfill in another status"
	// BackfillNotFound: no backfill of that id.
	BackfillNotFound Code = "backfill not found"

	// AccessDenied: the caller is known and not allowed. The message names principal, action and resource.
	AccessDenied Code = "access denied"
	// CredentialsMissing: the request carries none.
	CredentialsMissing Code = "credentials missing"
	// CredentialsMalformed: they are there and cannot be read.
	CredentialsMalformed Code = "credentials malformed"
	// AccessKeyUnknown: no such access key, or it is not active.
	AccessKeyUnknown Code = "access key unknown"
	// SignatureMismatch: the signature is not the one the request should carry.
	SignatureMismatch Code = "signature mismatch"
	// SignatureExpired: the request's time is too far from the server's, or its pre-signed life is over.
	SignatureExpired Code = "signature expired"
	// TokenInvalid: an authorization token that this registry did not issue.
	TokenInvalid Code = "token invalid"
	// TokenExpired: an authorization token past its end.
	TokenExpired Code = "token expired"
	// SessionExpired: a session token past its end.
	SessionExpired Code = "session expired"
	// TooManyFailures: too many requests with credentials that did not hold came from there. Its Detail may be a [Wait].
	TooManyFailures Code = "too many failures"

	// EntityNotFound: no user, group, role, policy, access key or OIDC provider of that name.
	EntityNotFound Code = "entity not found"
	// EntityExists: there is one of that name.
	EntityExists Code = "entity exists"
	// EntityInUse: it is not deleted while something hangs on it.
	EntityInUse Code = "entity in use"
	// EntityUnmodifiable: it belongs to the service, such as AWS's managed policies.
	EntityUnmodifiable Code = "entity unmodifiable"
	// PolicyMalformed: a policy document breaks the language's rules.
	PolicyMalformed Code = "policy malformed"
	// PolicyNotAttachable: that policy cannot be attached there.
	PolicyNotAttachable Code = "policy not attachable"
	// SessionTooLarge: session policies and tags do not fit into a session token.
	SessionTooLarge Code = "session too large"
	// IdentityTokenInvalid: a web identity token that is malformed, not its issuer's, or for somebody else.
	IdentityTokenInvalid Code = "web identity token invalid"
	// IdentityTokenExpired: a web identity token past its end.
	IdentityTokenExpired Code = "web identity token expired"
	// IdentityTokenRejected: a web identity token whose claims ask for what cannot be given.
	IdentityTokenRejected Code = "web identity token rejected"
	// IdentityProviderUnavailable: an identity provider does not answer as it should, and its keys are not known.
	IdentityProviderUnavailable Code = "identity provider unavailable"
	// DecisionMessageInvalid: an encoded authorization message that this registry did not make.
	DecisionMessageInvalid Code = "decision message invalid"

	// OperationUnknown: the API has no operation of that name.
	OperationUnknown Code = "operation unknown"
	// OperationUnsupported: the API has it, this version of Berth does not do it.
	OperationUnsupported Code = "operation unsupported"
	// SettingUnsupported: a setting that Berth would not enforce, and so does not store.
	SettingUnsupported Code = "setting unsupported"
	// RequestMalformed: the request's body or form cannot be decoded.
	RequestMalformed Code = "request malformed"
	// RequestTooLarge: the request's body is over the limit of its operation.
	RequestTooLarge Code = "request too large"
	// LimitExceeded: a documented quota is used up.
	LimitExceeded Code = "limit exceeded"
	// StorageFull: the disk, or the bucket's quota, has no room. Nothing was acknowledged.
	StorageFull Code = "storage full"
	// Unavailable: the database or the blob store does not answer. Nothing was acknowledged; retrying may help.
	Unavailable Code = "unavailable"
)

// Error is a fault with its words. Message is for the caller's eyes.
type Error struct {
	Code    Code
	Message string
	// Detail carries what a protocol hands over besides words: a [Parameter], an [UploadPosition], or nil.
	Detail any
	// Cause is what lay behind it, for the log; it is never shown.
	Cause error
}

// Error gives the message, and the cause behind it for the log.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Cause)
	}
	return e.Message
}

// Is lets errors.Is(err, fault.ImageNotFound) match by code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a fault with a formatted message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault that keeps what lay behind it for the log.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// With sets the fault's detail and returns it.
func (e *Error) With(detail any) *Error {
	e.Detail = detail
	return e
}

// Of finds the fault in err, and whether there is one. A bare Code counts, with itself as its words.
func Of(err error) (*Error, bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e, true
	}
	if c, ok := errors.AsType[Code](err); ok {
		return &Error{Code: c, Message: string(c)}, true
	}
	return nil, false
}

// Parameter is the detail of InvalidParameter: which one, and what it should satisfy.
type Parameter struct {
	Name       string // as the protocol spells it, lower camel case: repositoryName
	Constraint string // a sentence such as "Member must have length less than or equal to 256"
}

// BadParameter makes InvalidParameter in the words ECR uses.
func BadParameter(name, constraint string) *Error {
	return New(InvalidParameter, "Invalid parameter at '%s' failed to satisfy constraint: '%s'", name, constraint).
		With(Parameter{Name: name, Constraint: constraint})
}

// Wait is the detail of UpstreamBusy: how long the upstream asked us to wait.
type Wait struct{ For time.Duration }

// UploadPosition is the detail of UploadOutOfOrder: how many bytes the upload has.
type UploadPosition struct {
	UploadID string
	Size     int64
}
