package ecr

import (
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// badRequest is the status of all of ECR's exceptions that a caller can mend, even refusals and limits: its
// clients would retry 429 and 5xx.
const badRequest = http.StatusBadRequest

// outcome is what a fault becomes.
type outcome struct {
	code string
	// parameter, where set, names the member that the fault's words are about: they are put into ECR's
	// sentence about invalid parameters, unless they are that already.
	parameter string
}

// outcomes is the table of what each fault becomes. What every AWS service makes of bad credentials, broken
// requests and a store that does not answer is awswire's to say, in Protocol.Exception; the two leave no
// fault out, which a test holds.
func outcomes() map[fault.Code]outcome {
	invalid := outcome{code: "InvalidParameterException"}
	manifest := outcome{code: "InvalidParameterException", parameter: "ImageManifest"} // ECR writes it with a capital
	table := map[fault.Code]outcome{
		fault.InvalidParameter:      invalid,
		fault.RepositoryNameInvalid: invalid,
		fault.DigestInvalid:         invalid,
		fault.TagInvalid:            invalid,
		fault.PageTokenInvalid:      invalid,
		fault.ImageIDMissing:        invalid,

		fault.RepositoryNotFound:  refused("RepositoryNotFoundException"),
		fault.RepositoryExists:    refused("RepositoryAlreadyExistsException"),
		fault.RepositoryNotEmpty:  refused("RepositoryNotEmptyException"),
		fault.ResourceTagInvalid:  refused("InvalidTagParameterException"),
		fault.TooManyResourceTags: refused("TooManyTagsException"),

		fault.ImageNotFound: refused("ImageNotFoundException"),
		// In batches this is a failure of its own; DescribeImages knows only that there is no such image.
		fault.TagDoesNotMatchDigest: refused("ImageNotFoundException"),
		fault.ImageReferenced:       invalid,                                                 // only ever a failure in a batch
		fault.ImagePinned:           refused("ImageStorageClassUpdateNotSupportedException"), // elsewhere it is a failure in a batch
		// Of PutImage's exceptions the one about a tag that is there and does not move.
		fault.DeploymentConflict:       refused("ImageTagAlreadyExistsException"),
		fault.TagImmutable:             refused("ImageTagAlreadyExistsException"),
		fault.ManifestInvalid:          manifest,
		fault.ManifestNotJSON:          manifest,
		fault.ManifestTooLarge:         manifest,
		fault.ManifestTypeUnsupported:  manifest,
		fault.DigestMismatch:           refused("ImageDigestDoesNotMatchException"),
		fault.ReferencedLayersNotFound: refused("LayersNotFoundException"),
		fault.ReferencedImagesNotFound: refused("ReferencedImagesNotFoundException"),

		fault.LayerNotFound:       refused("LayersNotFoundException"),
		fault.LayerInaccessible:   refused("LayerInaccessibleException"),
		fault.LayerExists:         refused("LayerAlreadyExistsException"),
		fault.LayerInUse:          invalid, // ECR has no way to delete a layer
		fault.LayerDigestMismatch: refused("InvalidLayerException"),
		fault.LayerTooLarge:       refused("LimitExceededException"),
		fault.UploadNotFound:      refused("UploadNotFoundException"),
		fault.UploadOutOfOrder:    refused("InvalidLayerPartException"),
		fault.UploadBusy:          refused("InvalidLayerPartException"),
		fault.UploadPartSize:      refused("InvalidLayerPartException"),
		fault.UploadInterrupted:   refused("InvalidLayerPartException"),
		fault.UploadPartTooSmall:  refused("LayerPartTooSmallException"),
		fault.UploadEmpty:         refused("EmptyUploadException"),

		fault.SettingUnsupported: invalid,
		fault.LimitExceeded:      refused("LimitExceededException"),
	}
	maps.Copy(table, outcomesOfSettings())
	return table
}

func refused(code string) outcome { return outcome{code: code} }

// outcomesOfSettings is the part of the table about settings, upstream registries and what goes on in the background.
func outcomesOfSettings() map[fault.Code]outcome {
	return map[fault.Code]outcome{
		fault.RepositoryPolicyNotFound:     refused("RepositoryPolicyNotFoundException"),
		fault.RegistryPolicyNotFound:       refused("RegistryPolicyNotFoundException"),
		fault.RegistrySettingInvalid:       refused("ValidationException"),
		fault.TemplateExists:               refused("TemplateAlreadyExistsException"),
		fault.TemplateNotFound:             refused("TemplateNotFoundException"),
		fault.ExclusionExists:              refused("ExclusionAlreadyExistsException"),
		fault.ExclusionNotFound:            refused("ExclusionNotFoundException"),
		fault.SigningConfigurationNotFound: refused("SigningConfigurationNotFoundException"),

		fault.LifecyclePolicyNotFound: refused("LifecyclePolicyNotFoundException"),
		fault.PreviewNotFound:         refused("LifecyclePolicyPreviewNotFoundException"),
		fault.PreviewInProgress:       refused("LifecyclePolicyPreviewInProgressException"),
		fault.ScanNotFound:            refused("ScanNotFoundException"),
		fault.ImageNotScannable:       refused("UnsupportedImageTypeException"),
		fault.ImageArchived:           refused("ImageArchivedException"),
		fault.StorageClassRefused:     refused("ImageStorageClassUpdateNotSupportedException"),

		fault.PullThroughRuleExists:   refused("PullThroughCacheRuleAlreadyExistsException"),
		fault.PullThroughRuleNotFound: refused("PullThroughCacheRuleNotFoundException"),
		fault.UpstreamUnsupported:     refused("UnsupportedUpstreamRegistryException"),
		fault.SecretNotFound:          refused("SecretNotFoundException"),
		// Operations about layers and referrers have exceptions of their own for these three.
		fault.UpstreamDenied:      refused("UnableToGetUpstreamImageException"),
		fault.UpstreamBusy:        refused("UnableToGetUpstreamImageException"),
		fault.UpstreamUnavailable: refused("UnableToGetUpstreamImageException"),
		fault.BackfillInProgress:  refused("ReplicationBackfillInProgressException"),
		fault.BackfillStatus:      refused("ReplicationBackfillInvalidStatusException"),
		fault.BackfillNotFound:    refused("ReplicationBackfillNotFoundException"),
	}
}

// exceptions finds the exception for an error, and false for one that no caller can act on.
func exceptions(table map[fault.Code]outcome) func(error) (awswire.Exception, bool) {
	return func(err error) (awswire.Exception, bool) {
		if e, ok := errors.AsType[*exception](err); ok {
			return e.Exception, true
		}
		flt, ok := fault.Of(err)
		if !ok {
			return awswire.Exception{}, false
		}
		o, ok := table[flt.Code]
		if !ok {
			return awswire.Exception{}, false
		}
		message := flt.Message
		if o.parameter != "" && !strings.HasPrefix(message, "Invalid parameter at ") {
			message = fault.BadParameter(o.parameter, message).Message
		}
		return awswire.Exception{Code: o.code, Status: badRequest, Message: message}, true
	}
}

// exception is an error that is one of ECR's already: it has members, or means nothing to the registry.
type exception struct {
	awswire.Exception
	cause error
}

// Error gives the exception's words.
func (e *exception) Error() string { return e.Code + ": " + e.Message }

// Unwrap gives the error behind it, if there is one.
func (e *exception) Unwrap() error { return e.cause }

// imageExists is ECR's answer to a push that changes nothing; docker's way, the same push succeeds.
func (f face) imageExists(repository string, id types.ImageIdentifier) error {
	tag := "null"
	if id.ImageTag != nil {
		tag = *id.ImageTag
	}
	return &exception{Exception: awswire.Exception{
		Code: "ImageAlreadyExistsException", Status: badRequest,
		Message: "Image with digest '" + aws.ToString(id.ImageDigest) + "' and tag '" + tag + "' already exists in the repository with name '" +
			repository + "' in registry with id '" + f.Registry.ID() + "'",
	}}
}

// missing is the fault for a member that must be there.
func missing(parameter string) error { return fault.BadParameter(parameter, "Member must not be null") }

// tooShort is the fault for a text that must not be empty.
func tooShort(parameter string) error {
	return fault.BadParameter(parameter, "Member must have length greater than or equal to 1")
}
