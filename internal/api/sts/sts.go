// Package sts answers the AWS Security Token Service's requests. This version knows who a caller is;
// assuming roles comes with federation.
package sts

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Service is the STS face: its wire names and its operations.
func Service() awswire.Service {
	return awswire.Service{
		Name:      "sts",
		Protocol:  awswire.Query,
		Version:   "2011-06-15",
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Operations: map[string]awswire.Operation{
			"GetCallerIdentity": awswire.Op(getCallerIdentity),
		},
		Known: []string{
			"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot",
			"DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetDelegatedAccessToken", "GetFederationToken",
			"GetSessionToken", "GetWebIdentityToken",
		},
		// The service model's one name that breaks the rule.
		Members:    map[string]string{"PolicyDescriptorType.Arn": "arn"},
		Exceptions: exception,
	}
}

// getCallerIdentity tells callers who they are. It asks for no permission, as at Amazon: whoever can sign
// may know whose key it is.
func getCallerIdentity(_ context.Context, c awswire.Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{
		Account: aws.String(c.Caller.Account),
		Arn:     aws.String(c.Caller.ARN),
		UserId:  aws.String(c.Caller.UserID),
	}, nil
}

// exception is the table from faults to STS's errors. It has no default, so that a new fault is decided on
// here, or fails the test.
func exception(err error) (awswire.Exception, bool) {
	f, ok := fault.Of(err)
	if !ok {
		return awswire.Exception{}, false
	}
	switch f.Code {
	case fault.CredentialsMissing, fault.CredentialsMalformed, fault.AccessKeyUnknown,
		fault.SignatureMismatch, fault.SignatureExpired, fault.TokenInvalid, fault.TokenExpired, fault.AccessDenied,
		fault.OperationUnknown, fault.OperationUnsupported, fault.RequestMalformed, fault.RequestTooLarge,
		fault.InvalidParameter, fault.StorageFull, fault.Unavailable:
		// The protocol's own errors are STS's too.
		return awswire.Query.Exception(f)

	case fault.SettingUnsupported:
		return awswire.Exception{Code: "ValidationError", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.LimitExceeded:
		return awswire.Exception{Code: "LimitExceeded", Status: http.StatusConflict, Message: f.Message}, true

	case fault.IdentityTokenInvalid:
		return awswire.Exception{Code: "InvalidIdentityToken", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.IdentityTokenExpired:
		return awswire.Exception{Code: "ExpiredTokenException", Status: http.StatusBadRequest, Message: f.Message}, true
	case fault.IdentityTokenRejected:
		return awswire.Exception{Code: "IDPRejectedClaim", Status: http.StatusForbidden, Message: f.Message}, true
	case fault.IdentityProviderUnavailable:
		return awswire.Exception{Code: "IDPCommunicationError", Status: http.StatusBadRequest, Message: f.Message}, true

	case fault.RepositoryNameInvalid, fault.DigestInvalid, fault.TagInvalid, fault.PageTokenInvalid,
		fault.RepositoryNotFound, fault.RepositoryExists, fault.RepositoryNotEmpty, fault.ResourceTagInvalid, fault.TooManyResourceTags,
		fault.ImageNotFound, fault.TagDoesNotMatchDigest, fault.ImageIDMissing, fault.ImageReferenced, fault.TagImmutable,
		fault.ManifestInvalid, fault.ManifestNotJSON, fault.ManifestTooLarge, fault.ManifestTypeUnsupported, fault.DigestMismatch,
		fault.ReferencedLayersNotFound, fault.ReferencedImagesNotFound,
		fault.LayerNotFound, fault.LayerInaccessible, fault.LayerExists, fault.LayerInUse, fault.LayerDigestMismatch, fault.LayerTooLarge,
		fault.UploadNotFound, fault.UploadOutOfOrder, fault.UploadBusy, fault.UploadPartSize, fault.UploadPartTooSmall,
		fault.UploadEmpty, fault.UploadInterrupted,
		fault.RepositoryPolicyNotFound, fault.RegistryPolicyNotFound, fault.RegistrySettingInvalid, fault.TemplateExists,
		fault.TemplateNotFound, fault.ExclusionExists, fault.ExclusionNotFound, fault.SigningConfigurationNotFound,
		fault.LifecyclePolicyNotFound, fault.PreviewNotFound, fault.PreviewInProgress, fault.ScanNotFound, fault.ImageNotScannable,
		fault.ImageArchived, fault.StorageClassRefused, fault.PullThroughRuleExists, fault.PullThroughRuleNotFound,
		fault.UpstreamUnsupported, fault.SecretNotFound, fault.UpstreamDenied, fault.UpstreamBusy, fault.UpstreamUnavailable,
		fault.BackfillInProgress, fault.BackfillStatus, fault.BackfillNotFound:
		// No STS operation touches the registry; one that did is a mistake of ours, to be logged.
		return awswire.Exception{
			Code: "InternalFailure", Status: http.StatusInternalServerError, Message: "STS met a fault of the registry.",
		}, true
	}
	return awswire.Exception{}, false
}
