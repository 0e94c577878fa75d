package ecr_test

import (
	"net/http"
	"slices"
	"strings"
)

// motoFault is something that moto does otherwise than AWS documents, and Berth does as documented.
type motoFault struct {
	name string
	why  string // how AWS has it
	ops  string // the operations that show it
	// mend makes of moto's answer what AWS would have said, or takes from both what moto cannot say, and tells
	// whether there was something to mend.
	mend func(c call, berth, moto *reply) bool
	// excuse tells whether two answers differ by this fault.
	excuse func(c call, berth, moto reply) bool
	// apart is true when the two registries hold different things after it.
	apart bool
}

const tagTakesImageAlong = "a tag that leaves takes its image along"

// motoFaults are all that are known, as of moto 5.2.1. Those with neither mend nor excuse are avoided by the
// generators.
func motoFaults() []motoFault {
	return append(motoFaultsOfPushes(), append(motoFaultsOfBatches(), motoFaultsOfSettings()...)...)
}

func motoFaultsOfPushes() []motoFault {
	fellOver := func(code string) func(call, reply, reply) bool {
		return func(_ call, berth, moto reply) bool {
			return berth.code == code && moto.status == http.StatusInternalServerError
		}
	}
	takes := func(code string) func(call, reply, reply) bool {
		return func(_ call, berth, moto reply) bool { return berth.code == code && moto.status == http.StatusOK }
	}
	return []motoFault{
		{name: "the digest of an image", why: "it is the sha256 of the manifest; moto's is of the layers' digests: every PutImage says imageDigest"},
		{
			name: "a repository that is not there", why: "RepositoryNotFoundException; moto raises a bare Exception",
			ops: "PutImage", excuse: fellOver("RepositoryNotFoundException"),
		},
		{
			name: "a manifest that is no JSON", why: "InvalidParameterException; moto raises a bare Exception",
			ops: "PutImage", excuse: fellOver("InvalidParameterException"),
		},
		{
			name: "an untagged image where tags are excluded", why: "it is taken; moto matches no tag with the filters, and raises",
			ops: "PutImage", excuse: func(c call, berth, moto reply) bool {
				_, tagged := c.body["imageTag"]
				return !tagged && moto.status == http.StatusInternalServerError && berth.status != http.StatusInternalServerError
			}, apart: true,
		},
		{
			name: "an immutable tag", why: "ImageTagAlreadyExistsException; moto has ImageAlreadyExistsException for it",
			ops: "PutImage", excuse: func(_ call, berth, moto reply) bool {
				return berth.code == "ImageTagAlreadyExistsException" && moto.code == "ImageAlreadyExistsException"
			},
		},
		{
			name: "a known digest without tag", why: "ImageAlreadyExistsException, with the tag 'null'; moto takes it",
			ops: "PutImage", excuse: func(c call, berth, moto reply) bool {
				_, tagged := c.body["imageTag"]
				return !tagged && takes("ImageAlreadyExistsException")(c, berth, moto)
			},
		},
		{
			name: "a digest of another manifest", why: "ImageDigestDoesNotMatchException; moto believes it",
			ops: "PutImage", excuse: func(c call, berth, moto reply) bool {
				return c.body["imageDigest"] != digestOf(c.body["imageManifest"].(string)) && berth.code == "ImageDigestDoesNotMatchException" && moto.code != "RepositoryNotFoundException"
			}, apart: true,
		},
		{
			name: "an index of images that are not there", why: "ReferencedImagesNotFoundException; moto looks for none",
			ops: "PutImage", excuse: func(_ call, berth, moto reply) bool {
				return berth.code == "ReferencedImagesNotFoundException" && (moto.status == http.StatusOK || moto.code == "ImageAlreadyExistsException")
			}, apart: true,
		},
		{
			name: tagTakesImageAlong, why: "an image whose last tag moves elsewhere, or is deleted while an index holds it, stays untagged; moto deletes it",
			ops: "PutImage BatchDeleteImage",
		},
		{name: "wildcards of exclusion filters", why: "* stands for any characters; moto reads a filter as a regular expression for the tag's beginning"},
	}
}

func motoFaultsOfBatches() []motoFault {
	return []motoFault{
		{name: "pages and filters", why: "moto has neither maxResults, nextToken nor filter"},
		{
			name: "the members of an image", why: "moto has neither artifactMediaType, imageStatus nor lastRecordedPullTime, and its size is the configuration's",
			ops: "DescribeImages", mend: dropImageMembers,
		},
		{
			name: "the tag in BatchGetImage", why: "it is the one that was asked for; moto's is the one set last. Failures repeat the id, and tell broken ids from unknown ones; moto's do not",
			ops: "BatchGetImage", mend: mendBatchGetImage,
		},
		{name: "a tag and a digest in BatchGetImage", why: "both must fit; moto gives the images that either fits"},
		{
			name: "an untagged image deleted", why: "its digest is in imageIds; moto leaves it out",
			ops: "BatchDeleteImage", mend: mendBatchDeleteImage,
		},
		{
			name: "a tag deleted with its digest", why: "the tag goes; moto deletes the image and all its tags",
			ops: "BatchDeleteImage", excuse: func(c call, berth, moto reply) bool {
				return isPair(c) && len(berth.list("imageIds")) == 1 && len(moto.list("imageIds")) > 1
			}, apart: true,
		},
		{
			name: "a tag of another digest", why: "ImageTagDoesNotMatchDigest; moto says ImageNotFound",
			ops: "BatchDeleteImage", excuse: func(c call, berth, moto reply) bool {
				return isPair(c) && failureCode(berth) == "ImageTagDoesNotMatchDigest" && failureCode(moto) == "ImageNotFound"
			},
		},
		{
			name: "an image that an index holds", why: "ImageReferencedByManifestList; moto deletes it",
			ops: "BatchDeleteImage", excuse: func(_ call, berth, _ reply) bool {
				return slices.ContainsFunc(berth.list("failures"), func(f any) bool {
					return f.(map[string]any)["failureCode"] == "ImageReferencedByManifestList"
				})
			}, apart: true,
		},
	}
}

func motoFaultsOfSettings() []motoFault {
	return []motoFault{
		{
			name: "filters that do not go with the mutability", why: "InvalidParameterException; moto checks it in CreateRepository alone",
			ops: "PutImageTagMutability", excuse: func(_ call, berth, moto reply) bool {
				return berth.code == "InvalidParameterException" && moto.status == http.StatusOK
			}, apart: true,
		},
		{
			name: "the exclusion filters of an answer", why: "they are in it; moto leaves them out",
			ops: "PutImageTagMutability", mend: func(c call, _, moto *reply) bool {
				filters, ok := c.body["imageTagMutabilityExclusionFilters"]
				if !ok || moto.status != http.StatusOK {
					return false
				}
				moto.body["imageTagMutabilityExclusionFilters"] = filters
				return true
			},
		},
		{name: "what a registry's policy may allow", why: "every action of ECR's since April 2026; moto knows CreateRepository and ReplicateImage"},
		{name: "kinds of lifecycle rules", why: "archiving, times since a pull, storage classes; moto knows none, and carries no policy out"},
		{
			name: "a unit of time in a rule that counts images", why: "InvalidParameterException; moto takes it",
			ops: "PutLifecyclePolicy", excuse: func(c call, berth, moto reply) bool {
				text := c.body["lifecyclePolicyText"].(string)
				return strings.Contains(text, `"imageCountMoreThan"`) && strings.Contains(text, `"countUnit"`) &&
					berth.code == "InvalidParameterException" && moto.status == http.StatusOK
			}, apart: true,
		},
		{
			name: "a destination elsewhere", why: "Berth's own difference: a destination must be in the configuration file, or it would be stored and not served",
			ops: "PutReplicationConfiguration", excuse: func(_ call, berth, moto reply) bool {
				return moto.status == http.StatusOK && berth.status == http.StatusBadRequest && berth.code == "ValidationException"
			}, apart: true,
		},
		{name: "several rules of replication", why: "ten at most; moto refuses the second"},
		{
			name: "the scanning configuration of repositories", why: "the repository's own scanOnPush counts, and a failure has a reason in words; moto always says MANUAL and false, and repeats the code",
			ops: "BatchGetRepositoryScanningConfiguration", mend: mendScanningConfigurations,
		},
		{
			name: "the order of checks", why: "a request is checked before its repository is looked for; moto looks for it first",
			ops: "CreateRepository SetRepositoryPolicy PutLifecyclePolicy PutImageTagMutability", excuse: func(_ call, berth, moto reply) bool {
				return berth.code == "InvalidParameterException" && (moto.code == "RepositoryAlreadyExistsException" || moto.code == "RepositoryNotFoundException")
			},
		},
	}
}

func isPair(c call) bool { return len(c.ids()) == 1 && len(c.ids()[0]) == 2 }

// failureCode is that of a batch's one failure.
func failureCode(r reply) string {
	if failures := r.list("failures"); len(failures) == 1 && len(r.list("imageIds")) == 0 {
		code, _ := failures[0].(map[string]any)["failureCode"].(string)
		return code
	}
	return ""
}

// failed is a failure as AWS words it.
func failed(id map[string]any, found bool) (map[string]any, bool) {
	digest, named := id["imageDigest"]
	code, reason := "ImageNotFound", "Requested image not found"
	switch {
	case len(id) == 0:
		code, reason = "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
	case named && manifestOf(digest.(string)) == "":
		code, reason = "InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
	case found:
		return nil, false
	}
	return map[string]any{"imageId": id, "failureCode": code, "failureReason": reason}, true
}

// mendBatchGetImage words the failures anew, and puts the ids that were asked for into the images, which are
// in the order of the ids. An answer that has too few or too many images stays as it is.
func mendBatchGetImage(c call, _, moto *reply) bool {
	if moto.status != http.StatusOK {
		return false
	}
	tags, digests := map[any]bool{}, map[any]bool{}
	for _, f := range moto.list("failures") {
		tags[f.(map[string]any)["imageId"].(map[string]any)["imageTag"]] = true
	}
	images := moto.list("images")
	for _, i := range images {
		digests[i.(map[string]any)["imageId"].(map[string]any)["imageDigest"]] = true
	}
	var found []map[string]any
	failures := []any{}
	for _, id := range c.ids() {
		digest, byDigest := id["imageDigest"]
		if f, is := failed(id, byDigest && digests[digest] || !byDigest && !tags[id["imageTag"]]); is {
			failures = append(failures, f)
		} else {
			found = append(found, id)
		}
	}
	if len(found) != len(images) || len(failures) != len(moto.list("failures")) {
		return false
	}
	for n, i := range images {
		id := i.(map[string]any)["imageId"].(map[string]any)
		delete(id, "imageTag")
		if tag, ok := found[n]["imageTag"]; ok {
			id["imageTag"] = tag
		}
	}
	moto.body["failures"] = failures
	return true
}

// mendBatchDeleteImage adds the digests that moto deleted without a word.
func mendBatchDeleteImage(c call, _, moto *reply) bool {
	if moto.status != http.StatusOK {
		return false
	}
	told, left := map[any]bool{}, map[any]int{}
	for _, item := range moto.list("imageIds") {
		told[item.(map[string]any)["imageDigest"]] = true
	}
	for _, id := range c.ids() {
		if len(id) == 1 && id["imageDigest"] != nil {
			left[id["imageDigest"]]++
		}
	}
	for _, item := range moto.list("failures") {
		left[item.(map[string]any)["imageId"].(map[string]any)["imageDigest"]]--
	}
	mended := false
	for digest, n := range left {
		if n > 0 && !told[digest] {
			mended = true
			moto.body["imageIds"] = append(moto.list("imageIds"), map[string]any{"imageDigest": digest})
		}
	}
	return mended
}

// dropImageMembers takes from both what moto does not know about an image.
func dropImageMembers(_ call, berth, moto *reply) bool {
	for _, detail := range berth.list("imageDetails") {
		for _, member := range []string{"artifactMediaType", "imageStatus", "lastRecordedPullTime", "imageSizeInBytes", "imageScanStatus"} {
			delete(detail.(map[string]any), member)
		}
	}
	for _, detail := range moto.list("imageDetails") {
		delete(detail.(map[string]any), "imageSizeInBytes")
	}
	return len(berth.list("imageDetails")) > 0
}

// mendScanningConfigurations has the repository's own setting count, which moto forgets, and takes from both what
// moto does not tell.
func mendScanningConfigurations(_ call, berth, moto *reply) bool {
	if ours, theirs := berth.list("scanningConfigurations"), moto.list("scanningConfigurations"); len(ours) == 1 && len(theirs) == 1 {
		is, said := ours[0].(map[string]any), theirs[0].(map[string]any)
		if is["scanOnPush"] == true && said["scanFrequency"] == "MANUAL" {
			said["scanFrequency"] = "SCAN_ON_PUSH"
		}
		delete(is, "scanOnPush")
		delete(said, "scanOnPush")
	}
	for _, r := range []*reply{berth, moto} {
		for _, item := range r.list("failures") {
			delete(item.(map[string]any), "failureReason")
		}
	}
	return moto.status == http.StatusOK
}
