package ecr_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// generator makes bodies of one operation.
type generator struct {
	op   string
	draw func(*rapid.T) map[string]any
}

// upTo draws one of n numbers, each as likely as the others: rapid's own ranges favour the small ones, and
// calls would not meet.
func upTo(n int) *rapid.Generator[int] {
	const bits = 16
	return rapid.Custom(func(r *rapid.T) int {
		v := 0
		for range bits {
			v *= 2
			if rapid.Bool().Draw(r, "bit") {
				v++
			}
		}
		return v % n
	})
}

// oneOf draws from a pool.
func oneOf[T any](r *rapid.T, label string, pool ...T) T { return pool[upTo(len(pool)).Draw(r, label)] }

// onceIn is true once in n times.
func onceIn(r *rapid.T, n int, label string) bool { return upTo(n).Draw(r, label) == n-1 }

// aRepository is mostly one and the same, so that calls meet.
func aRepository(r *rapid.T) string {
	return oneOf(r, "repository", repo, repo, repo, repo, repo, "team/app", "a-b_c.d/e")
}

func aTag(r *rapid.T) string { return oneOf(r, "tag", "v1", "v2", "latest", "stable") }

// onRepository is the body of an operation on a repository, with more members in it.
func onRepository(more func(*rapid.T, map[string]any)) func(*rapid.T) map[string]any {
	return func(r *rapid.T) map[string]any {
		body := map[string]any{"repositoryName": aRepository(r)}
		if onceIn(r, 4, "registryId") {
			body["registryId"] = account
		}
		if more != nil {
			more(r, body)
		}
		return body
	}
}

func onARN(more func(*rapid.T, map[string]any)) func(*rapid.T) map[string]any {
	return func(r *rapid.T) map[string]any {
		body := map[string]any{"resourceArn": "arn:aws:ecr:" + region + ":" + account + ":repository/" + aRepository(r)}
		if more != nil {
			more(r, body)
		}
		return body
	}
}

func nothing(*rapid.T) map[string]any { return map[string]any{} }

// generators is the model; only operations that Berth has are drawn from. One that is there more than once
// is drawn more often.
func (d *pair) generators() []generator {
	put := generator{"PutImage", onRepository(putMembers)}
	return append([]generator{
		{"CreateRepository", onRepository(createMembers)},
		{"CreateRepository", onRepository(nil)},
		{"DescribeRepositories", drawDescribeRepositories},
		{"DeleteRepository", onRepository(func(r *rapid.T, body map[string]any) {
			if onceIn(r, 2, "another") { // than the usual, in which things happen
				body["repositoryName"] = "team/app"
			}
			if onceIn(r, 2, "force") {
				body["force"] = true
			}
		})},
		{"PutImageTagMutability", onRepository(mutabilityMembers)},
		{"PutImageScanningConfiguration", onRepository(func(r *rapid.T, body map[string]any) {
			body["imageScanningConfiguration"] = map[string]any{"scanOnPush": onceIn(r, 2, "scanOnPush")}
		})},
		{"ListTagsForResource", onARN(nil)},
		{"TagResource", onARN(func(r *rapid.T, body map[string]any) { body["tags"] = someTags(r) })},
		{"UntagResource", onARN(func(r *rapid.T, body map[string]any) {
			body["tagKeys"] = []any{oneOf(r, "key", "team", "stage")}
		})},
		put, put, put, put, put,
		{"BatchGetImage", onRepository(imageIDs(bareID))},
		{"BatchGetImage", onRepository(imageIDs(bareID))},
		{"BatchDeleteImage", onRepository(imageIDs(bareID))},
		{"BatchDeleteImage", onRepository(func(r *rapid.T, body map[string]any) {
			body["imageIds"] = []any{map[string]any{"imageTag": aTag(r), "imageDigest": aDigest(r)}}
		})},
		{"DescribeImages", onRepository(nil)},
		{"DescribeImages", onRepository(imageIDs(goodID))},
		{"ListImages", onRepository(nil)},
		{"ListImages", onRepository(nil)},
	}, settingGenerators()...)
}

// settingGenerators are the operations on policies and on the registry's settings.
func settingGenerators() []generator {
	return []generator{
		{"SetRepositoryPolicy", onRepository(func(r *rapid.T, body map[string]any) { body["policyText"] = repositoryPolicy(r) })},
		{"GetRepositoryPolicy", onRepository(nil)},
		{"DeleteRepositoryPolicy", onRepository(nil)},
		{"PutRegistryPolicy", func(r *rapid.T) map[string]any { return map[string]any{"policyText": registryPolicy(r)} }},
		{"GetRegistryPolicy", nothing},
		{"DeleteRegistryPolicy", nothing},
		{"PutLifecyclePolicy", onRepository(func(r *rapid.T, body map[string]any) { body["lifecyclePolicyText"] = lifecyclePolicy(r) })},
		{"GetLifecyclePolicy", onRepository(nil)},
		{"DeleteLifecyclePolicy", onRepository(nil)},
		{"PutRegistryScanningConfiguration", func(r *rapid.T) map[string]any {
			rules := []any{}
			if onceIn(r, 2, "rule") {
				// A filter without * is the one kind that moto matches as AWS does.
				filter := map[string]any{"filter": oneOf(r, "filter", "haus", "prod", "e"), "filterType": "WILDCARD"}
				rules = append(rules, map[string]any{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": []any{filter}})
			}
			return map[string]any{"scanType": "BASIC", "rules": rules}
		}},
		{"GetRegistryScanningConfiguration", nothing},
		{"BatchGetRepositoryScanningConfiguration", func(r *rapid.T) map[string]any {
			return map[string]any{"repositoryNames": []any{aRepository(r)}}
		}},
		{"PutReplicationConfiguration", func(r *rapid.T) map[string]any {
			rules := []any{}
			if onceIn(r, 2, "rule") {
				to := map[string]any{"region": region, "registryId": account}
				if onceIn(r, 3, "elsewhere") {
					to["region"] = "eu-central-1"
				}
				rules = append(rules, map[string]any{"destinations": []any{to}})
			}
			return map[string]any{"replicationConfiguration": map[string]any{"rules": rules}}
		}},
		{"DescribeRegistry", nothing},
	}
}

// emptySettings are the calls that bring the registry's settings back to where they begin.
func emptySettings() []call {
	return []call{
		{"DeleteRegistryPolicy", map[string]any{}},
		{"PutReplicationConfiguration", map[string]any{"replicationConfiguration": map[string]any{"rules": []any{}}}},
		{"PutRegistryScanningConfiguration", map[string]any{"scanType": "BASIC", "rules": []any{}}},
	}
}

func createMembers(r *rapid.T, body map[string]any) {
	if onceIn(r, 8, "bad name") {
		body["repositoryName"] = oneOf(r, "name", "Bad_Name", "a//b", "-a", "a.")
	}
	if onceIn(r, 2, "mutability") {
		mutabilityMembers(r, body)
	}
	if onceIn(r, 2, "tags") {
		body["tags"] = someTags(r)
	}
	if onceIn(r, 2, "scanning") {
		body["imageScanningConfiguration"] = map[string]any{"scanOnPush": onceIn(r, 2, "scanOnPush")}
	}
	if onceIn(r, 4, "encryption") {
		body["encryptionConfiguration"] = map[string]any{"encryptionType": "AES256"}
	}
}

// mutabilityMembers sets filters where they belong, and now and then where they do not. They are whole
// tags: moto takes them for regular expressions, and of no tag of these is another the beginning.
func mutabilityMembers(r *rapid.T, body map[string]any) {
	kind := oneOf(r, "mutability", "MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")
	if onceIn(r, 20, "bad mutability") {
		kind = "SOMETIMES"
	}
	body["imageTagMutability"] = kind
	if strings.HasSuffix(kind, "_WITH_EXCLUSION") != onceIn(r, 10, "wrong filters") {
		body["imageTagMutabilityExclusionFilters"] = []any{map[string]any{"filterType": "WILDCARD", "filter": aTag(r)}}
	}
}

func someTags(r *rapid.T) []any {
	tags := []any{map[string]any{"Key": "team", "Value": oneOf(r, "team", "haus", "hof", "")}}
	if onceIn(r, 2, "stage") {
		tags = append(tags, map[string]any{"Key": "stage", "Value": "prod"})
	}
	return tags
}

func drawDescribeRepositories(r *rapid.T) map[string]any {
	body := map[string]any{}
	if onceIn(r, 2, "names") {
		names := []any{repo}
		if onceIn(r, 2, "two") {
			names = append(names, "team/app")
		}
		body["repositoryNames"] = names
	}
	return body
}

// layerContents are the layers and configurations of the images.
func layerContents() []string { return []string{`{"os":"linux"}`, "layer one", "layer two"} }

// manifests are the images and indexes that are put.
func manifests() []string {
	contents := layerContents()
	part := func(mediaType, content string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, oci.FromBytes([]byte(content)), len(content))
	}
	image := func(mediaType, config, layer string, layers ...string) string {
		var list []string
		for _, l := range layers {
			list = append(list, part(layer, l))
		}
		return fmt.Sprintf("{\n  \"schemaVersion\": 2,\n  \"mediaType\": %q,\n  \"config\": %s,\n  \"layers\": [%s]\n}\n", mediaType, part(config, contents[0]), strings.Join(list, ","))
	}
	index := func(children ...string) string {
		var list []string
		for _, c := range children {
			list = append(list, part(oci.MediaTypeOCIManifest, c))
		}
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeOCIIndex, strings.Join(list, ","))
	}
	const config, layer = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
	one := image(oci.MediaTypeOCIManifest, config, layer, contents[1])
	two := image(oci.MediaTypeOCIManifest, config, layer, contents[1], contents[2])
	docker := image(oci.MediaTypeDockerManifest, "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip", contents[2])
	return []string{one, two, docker, one + "\n", index(one), index(one, two)}
}

func digestOf(manifest string) string { return oci.FromBytes([]byte(manifest)).String() }

// manifestOf finds the manifest of a digest.
func manifestOf(digest string) string {
	for _, m := range manifests() {
		if digestOf(m) == digest {
			return m
		}
	}
	return ""
}

func aDigest(r *rapid.T) string { return digestOf(oneOf(r, "manifest", manifests()...)) }

// putMembers always say the digest, which moto does not know otherwise.
func putMembers(r *rapid.T, body map[string]any) {
	manifest := oneOf(r, "manifest", manifests()...)
	if onceIn(r, 30, "no JSON") {
		manifest = "{"
	}
	body["imageManifest"], body["imageDigest"] = manifest, digestOf(manifest)
	if onceIn(r, 30, "wrong digest") {
		body["imageDigest"] = digestOf("another")
	}
	if !onceIn(r, 8, "untagged") {
		body["imageTag"] = aTag(r)
	}
	var said struct{ MediaType string }
	if json.Unmarshal([]byte(manifest), &said) == nil && onceIn(r, 3, "media type") {
		body["imageManifestMediaType"] = said.MediaType
	}
}

// imageIDs puts one to three ids into a batch.
func imageIDs(one func(*rapid.T) map[string]any) func(*rapid.T, map[string]any) {
	return func(r *rapid.T, body map[string]any) {
		var ids []any
		for range 1 + upTo(3).Draw(r, "ids") {
			ids = append(ids, one(r))
		}
		body["imageIds"] = ids
	}
}

// goodID is a tag or a digest.
func goodID(r *rapid.T) map[string]any {
	if onceIn(r, 2, "by digest") {
		return map[string]any{"imageDigest": aDigest(r)}
	}
	return map[string]any{"imageTag": aTag(r)}
}

// bareID is a tag, a digest, nothing, or no digest though it should be.
func bareID(r *rapid.T) map[string]any {
	switch {
	case onceIn(r, 12, "nothing"):
		return map[string]any{}
	case onceIn(r, 12, "no digest"):
		return map[string]any{"imageDigest": "latest"}
	}
	return goodID(r)
}

func repositoryPolicy(r *rapid.T) string {
	return oneOf(r, "policy",
		`{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+account+`:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`,
		`{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:DescribeImages"}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Principal":"*","Action":"ecr:*"}]}`,
		`{"Version":"2012-10-17"}`,
		`no JSON`)
}

// registryPolicy allows only what moto lets a registry's policy allow.
func registryPolicy(r *rapid.T) string {
	resource := `"arn:aws:ecr:` + region + `:` + account + `:repository/*"`
	return oneOf(r, "policy",
		`{"Version":"2012-10-17","Statement":[{"Sid":"copy","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["ecr:CreateRepository","ecr:ReplicateImage"],"Resource":`+resource+`}]}`,
		`{"Version":"2012-10-17","Statement":[{"Sid":"copy","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"ecr:ReplicateImage","Resource":[`+resource+`]}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Principal":"*","Action":"ecr:ReplicateImage","Resource":"*"}]}`,
		`no JSON`)
}

// lifecyclePolicy has only the kind of rule that moto knows.
func lifecyclePolicy(r *rapid.T) string {
	rule := func(priority int, selection string) string {
		return fmt.Sprintf(`{"rulePriority":%d,"description":"a rule of the comparison","selection":%s,"action":{"type":"expire"}}`, priority, selection)
	}
	return `{"rules":[` + oneOf(r, "rules",
		rule(1, `{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":5}`),
		rule(1, `{"tagStatus":"tagged","tagPrefixList":["v"],"countType":"sinceImagePushed","countUnit":"days","countNumber":14}`)+
			`,`+rule(7, `{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":100}`),
		rule(1, `{"tagStatus":"sometimes","countType":"imageCountMoreThan","countNumber":5}`),
		rule(1, `{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":0}`),
		rule(1, `{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":5,"countUnit":"days"}`),
	) + `]}`
}
