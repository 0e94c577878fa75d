package fault

import "slices"

// All returns every code, for the tests that hold a face's table complete.
func All() []Code { return slices.Concat(OfRegistry(), OfIdentity(), OfAny()) }

// OfRegistry returns the codes about repositories and what is in them and around them. No operation of STS or IAM has
// them.
func OfRegistry() []Code {
	return []Code{
		RepositoryNameInvalid, DigestInvalid, TagInvalid, PageTokenInvalid,
		RepositoryNotFound, RepositoryExists, RepositoryNotEmpty, ResourceTagInvalid, TooManyResourceTags,
		ImageNotFound, TagDoesNotMatchDigest, ImageIDMissing, ImageReferenced, ImagePinned, DeploymentConflict, TagImmutable,
		ManifestInvalid, ManifestNotJSON, ManifestTooLarge, ManifestTypeUnsupported, DigestMismatch,
		ReferencedLayersNotFound, ReferencedImagesNotFound,
		LayerNotFound, LayerInaccessible, LayerExists, LayerInUse, LayerDigestMismatch, LayerTooLarge,
		UploadNotFound, UploadOutOfOrder, UploadBusy, UploadPartSize, UploadPartTooSmall, UploadEmpty, UploadInterrupted,
		RepositoryPolicyNotFound, RegistryPolicyNotFound, RegistrySettingInvalid, TemplateExists, TemplateNotFound,
		ExclusionExists, ExclusionNotFound, SigningConfigurationNotFound,
		LifecyclePolicyNotFound, PreviewNotFound, PreviewInProgress, ScanNotFound, ImageNotScannable, ImageArchived, StorageClassRefused,
		PullThroughRuleExists, PullThroughRuleNotFound, UpstreamUnsupported, SecretNotFound,
		UpstreamDenied, UpstreamBusy, UpstreamUnavailable, BackfillInProgress, BackfillStatus, BackfillNotFound,
	}
}

// OfIdentity returns the codes about users, roles, their policies and their sessions. No operation of the registry has
// them.
func OfIdentity() []Code {
	return []Code{
		EntityNotFound, EntityExists, EntityInUse, EntityUnmodifiable, PolicyMalformed, PolicyNotAttachable, SessionTooLarge,
		IdentityTokenInvalid, IdentityTokenExpired, IdentityTokenRejected, IdentityProviderUnavailable, DecisionMessageInvalid,
	}
}

// OfAny returns the codes that every operation may have: about who asks, and about the request as such.
func OfAny() []Code {
	return []Code{
		InvalidParameter,
		AccessDenied, CredentialsMissing, CredentialsMalformed, AccessKeyUnknown, SignatureMismatch, SignatureExpired,
		TokenInvalid, TokenExpired, SessionExpired, TooManyFailures,
		OperationUnknown, OperationUnsupported, SettingUnsupported, RequestMalformed, RequestTooLarge,
		LimitExceeded, StorageFull, Unavailable,
	}
}
