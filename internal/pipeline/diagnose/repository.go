package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// held is what a registry has.
type held struct {
	repository *types.Repository // nil: it may not be looked at
	policy     policyState
	digest     string // of the image
	mediaType  string
}

// policyState is what is known of a repository's policy.
type policyState int

const (
	policyUnknown policyState = iota
	policyNone
	policyThere
)

// arn is the repository's, if need be as it would be.
func (e *Env) arn() string {
	if e.held.repository != nil {
		return aws.ToString(e.held.repository.RepositoryArn)
	}
	partition := "aws"
	if parts := strings.SplitN(e.found.identity.ARN, ":", 3); len(parts) == 3 {
		partition = parts[1]
	}
	return "arn:" + partition + ":ecr:" + e.aws.Region + ":" + e.found.identity.Account + ":repository/" + e.Repository
}

// repository looks whether it is there.
func repository(ctx context.Context, e *Env) Result {
	if e.Repository == "" {
		return Result{Status: Skipped, Message: "no repository is named, neither by berth.yaml nor on the command line (doctor push REPOSITORY)"}
	}
	out, err := e.api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{e.Repository}})
	if err != nil {
		err = platform.Plain(err)
		if said, denied := platform.Denied(err); denied {
			return unseen("ecr:DescribeRepositories is not allowed: %s", said).open()
		}
		if platform.Refused(err, "RepositoryNotFoundException") {
			return e.noRepository(ctx)
		}
		return fail("", "asking for the repository: %s", sentence(err))
	}
	if len(out.Repositories) == 0 {
		return fail("", "the server answers without the repository")
	}
	e.held.repository = &out.Repositories[0]
	return ok("%s is there", aws.ToString(out.Repositories[0].RepositoryUri))
}

// noRepository tells of one that is not there: pushes may make it, and another region may have it.
func (e *Env) noRepository(ctx context.Context) Result {
	fix := "aws ecr create-repository --repository-name " + quote(e.Repository)
	if e.URL == platform.Amazon {
		fix += " --region " + e.aws.Region
	}
	if out, err := e.api.DescribeRepositoryCreationTemplates(ctx, &ecr.DescribeRepositoryCreationTemplatesInput{}); err == nil {
		for _, t := range out.RepositoryCreationTemplates {
			prefix := aws.ToString(t.Prefix)
			if slices.Contains(t.AppliedFor, "CREATE_ON_PUSH") && (prefix == "ROOT" || strings.HasPrefix(e.Repository, strings.TrimSuffix(prefix, "/")+"/")) {
				return warn(fix, "there is no repository %s; the first push makes it, by the template for %s", e.Repository, prefix).blocking()
			}
		}
	}
	return fail(fix, "there is no repository %s in %s of account %s", e.Repository, e.aws.Region, e.found.identity.Account)
}

// repositoryPolicy looks for a policy of the repository's own.
func repositoryPolicy(ctx context.Context, e *Env) Result {
	out, err := e.api.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &e.Repository})
	if err != nil {
		err = platform.Plain(err)
		if platform.Refused(err, "RepositoryPolicyNotFoundException") {
			e.held.policy = policyNone
			return ok("the repository has no policy of its own")
		}
		if said, denied := platform.Denied(err); denied {
			return unseen("ecr:GetRepositoryPolicy is not allowed: %s", said).open()
		}
		return unseen("the server answers: %s", sentence(err)).open()
	}
	e.held.policy = policyThere
	var document struct {
		Statement statements `json:"Statement"`
	}
	if err := json.Unmarshal([]byte(aws.ToString(out.PolicyText)), &document); err != nil {
		return warn("aws ecr get-repository-policy --repository-name "+quote(e.Repository), "the repository's policy cannot be read: %s", sentence(err))
	}
	denies := 0
	for _, s := range document.Statement {
		if s.Effect == "Deny" {
			denies++
		}
	}
	if denies > 0 {
		return ok("the repository has a policy with %s, of which %d deny something; permissions are tried below", count(len(document.Statement), "statement", "statements"), denies)
	}
	return ok("the repository has a policy with %s; permissions are tried below", count(len(document.Statement), "statement", "statements"))
}

// tagMutability looks whether tags may be moved.
func tagMutability(ctx context.Context, e *Env) Result {
	if e.held.repository == nil {
		return unseen("the repository may not be described")
	}
	kind := e.held.repository.ImageTagMutability
	if kind == types.ImageTagMutabilityMutable {
		return ok("tags may be moved")
	}
	change := "aws ecr put-image-tag-mutability --repository-name " + quote(e.Repository) + " --image-tag-mutability MUTABLE"
	var excepted []string
	for _, f := range e.held.repository.ImageTagMutabilityExclusionFilters {
		excepted = append(excepted, aws.ToString(f.Filter))
	}
	except := ""
	if len(excepted) > 0 {
		except = ", except " + strings.Join(excepted, ", ")
	}
	if e.Tag == "" {
		return warn(change, "tags are %s%s: one that is there is not moved, so {app}-latest moves once only", strings.ToLower(string(kind)), except)
	}
	out, err := e.api.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &e.Repository, ImageIds: []types.ImageIdentifier{{ImageTag: &e.Tag}}})
	switch {
	case err != nil && platform.Refused(platform.Plain(err), "ImageNotFoundException"):
		return ok("tags are %s%s, and %s is not there yet", strings.ToLower(string(kind)), except, e.Tag)
	case err != nil:
		return unseen("the server answers: %s", sentence(platform.Plain(err)))
	case except != "":
		return warn(change, "tags are %s%s, and %s points to %.19s", strings.ToLower(string(kind)), except, e.Tag, digestOf(out))
	default:
		return fail(change, "tags are immutable, and %s points to %.19s already: only that image can be pushed with it", e.Tag, digestOf(out))
	}
}

func digestOf(out *ecr.DescribeImagesOutput) string {
	if len(out.ImageDetails) == 0 {
		return "an image"
	}
	return aws.ToString(out.ImageDetails[0].ImageDigest)
}

// image looks whether it is there.
func image(ctx context.Context, e *Env) Result {
	id := types.ImageIdentifier{ImageTag: &e.Image}
	if strings.HasPrefix(e.Image, "sha256:") {
		id = types.ImageIdentifier{ImageDigest: &e.Image}
	}
	out, err := e.api.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &e.Repository, ImageIds: []types.ImageIdentifier{id}})
	if err != nil {
		err = platform.Plain(err)
		if said, denied := platform.Denied(err); denied {
			return unseen("ecr:DescribeImages is not allowed: %s", said)
		}
		if platform.Refused(err, "ImageNotFoundException") {
			return fail(e.Self+" images ls "+quote(e.Repository), "there is no image %s in %s", e.Image, e.Repository)
		}
		return fail("", "asking for the image: %s", sentence(err))
	}
	if len(out.ImageDetails) == 0 {
		return fail(e.Self+" images ls "+quote(e.Repository), "there is no image %s in %s", e.Image, e.Repository)
	}
	d := out.ImageDetails[0]
	e.held.digest, e.held.mediaType = aws.ToString(d.ImageDigest), aws.ToString(d.ImageManifestMediaType)
	if d.ImageStatus == types.ImageStatusArchived {
		return fail("aws ecr update-image-storage-class --repository-name "+quote(e.Repository)+" --image-id imageDigest="+e.held.digest+" --target-storage-class STANDARD",
			"%s is archived, and archived images are not given out", e.Image)
	}
	return ok("%s is %s", e.Image, e.held.digest)
}

// manifest is what is read of a manifest, or of an index.
type manifest struct {
	Config    oci.Descriptor `json:"config"`
	Manifests []struct {
		Platform *struct {
			OS           string `json:"os"`
			Architecture string `json:"architecture"`
			Variant      string `json:"variant"`
		} `json:"platform"`
	} `json:"manifests"`
}

// platformFits looks whether the image runs where it is pulled.
func platformFits(ctx context.Context, e *Env) Result {
	if !e.Manifest {
		return Result{Status: Skipped, Message: "the manifest is not to be read"}
	}
	out, err := e.api.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: &e.Repository, ImageIds: []types.ImageIdentifier{{ImageDigest: &e.held.digest}},
		AcceptedMediaTypes: oci.ManifestTypes(),
	})
	if err == nil && len(out.Images) == 0 {
		err = errors.New("the server answers without it")
	}
	if err != nil {
		return unseen("the manifest cannot be read: %s", sentence(platform.Plain(err)))
	}
	var m manifest
	if err := json.Unmarshal([]byte(aws.ToString(out.Images[0].ImageManifest)), &m); err != nil {
		return fail("", "the manifest is no JSON")
	}
	wantOS, wantArch, where := "linux", runtime.GOARCH, "this machine"
	if info := e.here.engine; info.known {
		wantOS, wantArch, where = orUnknown(info.OSType), goArch(info.Arch), "docker's engine"
	}
	want := wantOS + "/" + wantArch
	if len(m.Manifests) == 0 {
		got, err := e.configured(ctx, m.Config)
		if err != nil {
			return unseen("%s", sentence(err))
		}
		if strings.HasPrefix(got, "/") || strings.HasSuffix(got, "/") {
			return fits(nil, want, where)
		}
		return fits([]string{got}, want, where)
	}
	var all []string
	for _, one := range m.Manifests {
		if p := one.Platform; p != nil && p.OS != "unknown" {
			all = append(all, p.OS+"/"+p.Architecture)
		}
	}
	return fits(all, want, where)
}

func fits(all []string, want, where string) Result {
	slices.Sort(all)
	all = slices.Compact(all)
	if slices.Contains(all, want) {
		return ok("the image is for %s, as %s is", strings.Join(all, ", "), where)
	}
	if len(all) == 0 {
		return warn("", "the image does not say for which platform it is")
	}
	build := "docker buildx build --platform " + want + " ."
	return fail(build, "the image is for %s, and %s is %s", strings.Join(all, ", "), where, want)
}

// configured reads the platform from an image's configuration.
func (e *Env) configured(ctx context.Context, d oci.Descriptor) (string, error) {
	if !strings.Contains(d.MediaType, "image") {
		return "", fmt.Errorf("it is no image that runs, but has a configuration of the type %s", d.MediaType)
	}
	text, err := e.blob(ctx, d.Digest)
	if err != nil {
		return "", err
	}
	var config struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", errors.New("the image's configuration is no JSON")
	}
	return config.OS + "/" + config.Architecture, nil
}

// blob reads a configuration, by the registry's own client.
func (e *Env) blob(ctx context.Context, d oci.Digest) ([]byte, error) {
	client, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	return client.Blob(ctx, e.Repository, d, 8<<20)
}
