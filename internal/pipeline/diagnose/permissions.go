package diagnose

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

// permission is an action that is needed, and what is lost without it where a push or pull goes on.
type permission struct {
	action string
	only   string // what needs it, if it is not docker: then it is a warning
}

var (
	pushActions = []permission{
		{action: "ecr:BatchCheckLayerAvailability"},
		{action: "ecr:InitiateLayerUpload"},
		{action: "ecr:UploadLayerPart"},
		{action: "ecr:CompleteLayerUpload"},
		{action: "ecr:PutImage"},
		{"ecr:BatchGetImage", "docker buildx, berth ship and moving tags"},
		{"ecr:GetDownloadUrlForLayer", "berth ship"},
		{"ecr:DescribeImages", "berth ship"},
		{"ecr:DescribeImageScanFindings", "the gate of berth ship"},
	}
	pullActions = []permission{
		{action: "ecr:BatchGetImage"}, {action: "ecr:GetDownloadUrlForLayer"}, {"ecr:DescribeImages", "berth images"},
	}
)

// permissions makes a check for each action.
func permissions(all []permission) []Check {
	checks := make([]Check, 0, len(all))
	for _, p := range all {
		checks = append(checks, Check{
			Name: p.action, Needs: []string{"identity", "repository"}, After: []string{"repository-policy"},
			Run: func(ctx context.Context, e *Env) Result { return e.permitted(ctx, p, all) },
		})
	}
	return checks
}

// asked is one simulation for all actions, which the first check that needs it does.
type asked struct {
	once      sync.Once
	decisions map[string]platform.Decision
	err       error
}

// permitted looks whether an action is allowed: by what IAM says it would decide, where the repository has no policy, about which IAM is
// not asked, and by a call that changes nothing, where there is one.
func (e *Env) permitted(ctx context.Context, p permission, all []permission) Result {
	decision, err := e.simulated(ctx, p.action, all)
	simulated := err == nil
	whole := simulated && len(decision.Missing) == 0 && e.held.policy == policyNone
	if !whole {
		if call, harmless := harmlessCalls[p.action]; harmless {
			return e.tried(p, call(ctx, e))
		}
	}
	switch {
	case !simulated && strings.HasSuffix(e.found.identity.ARN, ":root") && e.held.policy == policyNone:
		return ok("root may do everything in a repository without a policy")
	case !simulated:
		return unseen("there is no call for it that changes nothing, and it could not be simulated: %s", sentence(err)).open()
	case decision.Decision == platform.Allowed && !whole:
		return ok("IAM allows it%s; the repository's policy has a say, too", by(decision))
	case decision.Decision == platform.Allowed:
		return ok("IAM allows it%s", by(decision))
	default:
		return e.missing(p, refusedBy(decision))
	}
}

// by is the statement that decided.
func by(d platform.Decision) string {
	if len(d.Statements) == 0 {
		return ""
	}
	s := d.Statements[0]
	text := ", by " + s.Policy
	if s.Sid != "" {
		text += ", " + s.Sid
	}
	return text
}

func refusedBy(d platform.Decision) string {
	switch {
	case d.Bounded:
		return "the permissions boundary does not allow it"
	case d.Decision == "explicitDeny":
		return "it is denied" + by(d)
	default:
		return "no policy allows it"
	}
}

// missing is of an action that is not allowed.
func (e *Env) missing(p permission, why string) Result {
	fix := e.allow(p.action, e.arn(), why)
	if p.only != "" {
		return warn(fix, "it is not allowed, and %s needs it: %s", p.only, why)
	}
	return fail(fix, "it is not allowed: %s", why).open()
}

// tried reads the answer to a call that was to be refused, but not for want of permission.
func (e *Env) tried(p permission, err error) Result {
	err = platform.Plain(err)
	if err == nil {
		return ok("it is allowed: it was tried")
	}
	if said, denied := platform.Denied(err); denied {
		return e.missing(p, said)
	}
	refused, answered := errors.AsType[*platform.Error](err)
	switch {
	case !answered:
		return unseen("the call failed: %s", sentence(err)).open()
	case p.action == "ecr:PutImage" && refused.Code == "InvalidParameterException", strings.HasSuffix(refused.Code, "NotFoundException"), strings.HasSuffix(refused.Code, "InaccessibleException"), strings.HasPrefix(refused.Code, "Layer"),
		strings.HasPrefix(refused.Code, "InvalidLayer"), strings.HasPrefix(refused.Code, "Image"), strings.HasPrefix(refused.Code, "Upload"):
		return ok("it is allowed: it was tried, with something that is not there")
	default:
		return unseen("the server answers: %s", sentence(err)).open()
	}
}

// simulated asks IAM once for all actions.
func (e *Env) simulated(ctx context.Context, action string, all []permission) (platform.Decision, error) {
	a := &e.asked
	a.once.Do(func() {
		principal, err := e.people.PrincipalARN(ctx, e.found.identity.ARN)
		if strings.HasSuffix(principal, ":root") {
			err = errors.New("root is asked about by calls")
		}
		if err != nil {
			a.err = err
			return
		}
		s := platform.Simulation{Principal: principal, Resources: []string{e.arn()}}
		for _, p := range all {
			s.Actions = append(s.Actions, p.action)
		}
		decisions, err := e.people.Simulate(ctx, s)
		if err != nil {
			a.err = err
			return
		}
		a.decisions = map[string]platform.Decision{}
		for _, d := range decisions {
			a.decisions[d.Action] = d
		}
	})
	if a.err != nil {
		return platform.Decision{}, a.err
	}
	d, found := a.decisions[action]
	if !found {
		return d, fmt.Errorf("the answer has nothing about %s", action)
	}
	return d, nil
}

// absent is the digest of nothing that anybody has.
const absent = "sha256:dec0dedec0dedec0dedec0dedec0dedec0dedec0dedec0dedec0dedec0dedec0"

// absentUpload is an upload that nobody began.
const absentUpload = "00000000-0000-0000-0000-000000000000"

// harmlessCalls ask for an action with something that is not there: whoever may is told so, and whoever may not, that. Nothing is
// changed, counted as a pull or begun. ecr:InitiateLayerUpload has no such call, since it needs nothing.
var harmlessCalls = map[string]func(context.Context, *Env) error{
	"ecr:BatchCheckLayerAvailability": func(ctx context.Context, e *Env) error {
		_, err := e.api.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: &e.Repository, LayerDigests: []string{absent}})
		return err //nolint:wrapcheck // it is read
	},
	"ecr:UploadLayerPart": func(ctx context.Context, e *Env) error {
		_, err := e.api.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
			RepositoryName: &e.Repository, UploadId: aws.String(absentUpload), PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(0), LayerPartBlob: []byte{0},
		})
		return err //nolint:wrapcheck // it is read
	},
	"ecr:CompleteLayerUpload": func(ctx context.Context, e *Env) error {
		_, err := e.api.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: &e.Repository, UploadId: aws.String(absentUpload), LayerDigests: []string{absent}})
		return err //nolint:wrapcheck // it is read
	},
	"ecr:PutImage": func(ctx context.Context, e *Env) error {
		_, err := e.api.PutImage(ctx, &ecr.PutImageInput{RepositoryName: &e.Repository, ImageManifest: aws.String("{}"), ImageDigest: aws.String(absent)})
		return err //nolint:wrapcheck // it is read
	},
	"ecr:BatchGetImage": func(ctx context.Context, e *Env) error {
		_, err := e.api.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &e.Repository, ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(absent)}}})
		return err //nolint:wrapcheck // it is read
	},
	"ecr:GetDownloadUrlForLayer": func(ctx context.Context, e *Env) error {
		_, err := e.api.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: &e.Repository, LayerDigest: aws.String(absent)})
		return err //nolint:wrapcheck // it is read
	},
	"ecr:DescribeImages": func(ctx context.Context, e *Env) error {
		_, err := e.api.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &e.Repository, ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(absent)}}})
		return err //nolint:wrapcheck // it is read
	},
	"ecr:DescribeImageScanFindings": func(ctx context.Context, e *Env) error {
		_, err := e.api.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: &e.Repository, ImageId: &types.ImageIdentifier{ImageDigest: aws.String(absent)}})
		return err //nolint:wrapcheck // it is read
	},
}

// client makes the one of the OCI side.
func (e *Env) client(ctx context.Context) (*registry.Client, error) {
	return registry.New(ctx, registry.Config{URL: e.URL, Now: e.Now})
}
