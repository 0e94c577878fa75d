// Package lambda runs an image as the code of a function of AWS Lambda.
//
// Without an alias the code itself is replaced: whoever calls the function gets the new code as soon as Lambda has it. With an
// alias the code becomes a version, which is tried, and then the alias moves from one to the other at once. What is put back
// is the image before, or the alias. The function's tags tell what was begun.
package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/amazon"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/replace"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Config is what a target is told.
type Config struct {
	Options workspace.Options
	Sleep   replace.Sleep // the machine's clock if nil
}

// Options are the keys in berth.yaml.
type Options struct {
	Function string `berth:"function" doc:"the function's name, with {app} and {environment} in it as needed; {app} if not given"`
	Alias    string `berth:"alias" doc:"the alias that callers use, which moves from version to version; the code itself is replaced if not given"`
	Invoke   string `berth:"invoke" doc:"an event in JSON that a new version is invoked with before the alias moves; not invoked if not given"`
	Region   string `berth:"region" doc:"the region; as AWS is configured if not given"`
	Profile  string `berth:"profile" doc:"the profile of the AWS configuration; the default chain of credentials if not given"`
	Endpoint string `berth:"endpoint" doc:"the URL of the API, or amazon for Amazon's own; as AWS is configured if not given"`
}

type target struct {
	Options
	client *lambda.Client
	sleep  replace.Sleep
}

// Open reads the options, and asks for nothing yet.
func Open(ctx context.Context, c Config) (deploy.Target, error) {
	t := &target{sleep: c.Sleep}
	if err := c.Options.Decode(&t.Options); err != nil {
		return nil, err
	}
	if t.Invoke != "" && t.Alias == "" {
		return nil, errors.New("the target's invoke needs an alias: without one, what is invoked has replaced the code already")
	}
	t.Function = cmp.Or(t.Function, "{app}")
	if t.sleep == nil {
		t.sleep = replace.Asleep
	}
	account := amazon.Account{Region: t.Region, Profile: t.Profile, Endpoint: t.Endpoint}
	config, err := account.Config(ctx)
	if err != nil {
		return nil, err
	}
	t.client = lambda.NewFromConfig(config, func(o *lambda.Options) { o.BaseEndpoint = account.At(o.BaseEndpoint) })
	return t, nil
}

// Close has nothing to end.
func (t *target) Close() error { return nil }

// function is what Lambda knows of a function, or of a version of it.
type function struct {
	name     string
	arn      string
	image    string // as it was given
	resolved string // by the digest that it had then
	version  string
	kind     types.PackageType
	chips    []types.Architecture
	modified string
	tags     map[string]string
	status
}

// status is how far a change of a function is.
type status struct {
	state  types.State
	update types.LastUpdateStatus
	reason string
}

// errNone is that there is no such function, version or alias.
var errNone = errors.New("there is none")

// look asks what a function is, or what an alias of it leads to.
func (t *target) look(ctx context.Context, name, alias string) (function, error) {
	in := &lambda.GetFunctionInput{FunctionName: &name}
	if alias != "" {
		in.Qualifier = &alias
	}
	out, err := t.client.GetFunction(ctx, in)
	if err != nil {
		return function{}, t.explain(ctx, err, "lambda:GetFunction")
	}
	if out.TagsError != nil && alias == "" {
		return function{}, fmt.Errorf("lambda:ListTags is not allowed: %s", aws.ToString(out.TagsError.Message))
	}
	f := function{name: name, tags: out.Tags}
	if c := out.Configuration; c != nil {
		f.arn, f.version, f.kind, f.chips = aws.ToString(c.FunctionArn), aws.ToString(c.Version), c.PackageType, c.Architectures
		f.modified = aws.ToString(c.LastModified)
		f.status = statusOf(c.State, c.LastUpdateStatus, c.StateReason, c.LastUpdateStatusReason, string(c.LastUpdateStatusReasonCode))
	}
	if c := out.Code; c != nil {
		f.image, f.resolved = aws.ToString(c.ImageUri), aws.ToString(c.ResolvedImageUri)
	}
	return f, nil
}

func statusOf(state types.State, update types.LastUpdateStatus, why, whyUpdate *string, code string) status {
	reason := cmp.Or(aws.ToString(whyUpdate), aws.ToString(why))
	if code != "" {
		reason = strings.TrimSpace(code + ": " + reason)
	}
	return status{state, update, reason}
}

// healthy is Lambda's own notion. An inactive function is one that nobody has called for long.
func (s status) healthy() *bool {
	switch {
	case s.state == types.StateFailed, s.update == types.LastUpdateStatusFailed:
		return aws.Bool(false)
	case s.settled():
		return aws.Bool(true)
	default:
		return nil
	}
}

// settled tells whether Lambda has done what it was told. Versions have no update of their own.
func (s status) settled() bool {
	return s.state != types.StatePending && s.update != types.LastUpdateStatusInProgress
}

// Running is deploy.Target's.
func (t *target) Running(ctx context.Context, app, environment string) (deploy.Running, error) {
	name := amazon.Fill(t.Function, app, environment)
	f, err := t.look(ctx, name, "")
	if errors.Is(err, errNone) {
		return deploy.Running{Detail: fmt.Sprintf("there is no function %s in %s", name, t.client.Options().Region)}, nil
	}
	if err != nil {
		return deploy.Running{}, err
	}
	shown := f
	if t.Alias != "" {
		shown, err = t.look(ctx, name, t.alias(app, environment))
		if errors.Is(err, errNone) {
			return deploy.Running{Detail: fmt.Sprintf("function %s has no alias %s", name, t.Alias)}, nil
		}
		if err != nil {
			return deploy.Running{}, err
		}
	}
	running := deploy.Running{Digest: amazon.Digest(shown.image), Begun: oci.Digest(f.tags[amazon.TagBegun]), Healthy: shown.healthy(), Detail: shown.String()}
	return running, nil
}

// String is a line for people.
func (f function) String() string {
	text := fmt.Sprintf("function %s, version %s, %s", f.name, f.version, strings.ToLower(string(f.state)))
	if f.modified != "" {
		text += " since " + f.modified
	}
	if amazon.Digest(f.image) == "" && f.image != "" {
		text += ", runs " + f.image + ", which is not by digest"
	}
	if f.reason != "" {
		text += ": " + f.reason
	}
	return plan.Printable(text)
}

var _ deploy.Platformed = (*target)(nil)

// Platform tells what the function's images must be built for.
func (t *target) Platform(ctx context.Context, app, environment string) (string, error) {
	f, err := t.look(ctx, amazon.Fill(t.Function, app, environment), "")
	switch {
	case err != nil:
		return "", err
	case slices.Contains(f.chips, types.ArchitectureArm64):
		return "linux/arm64", nil
	default:
		return "linux/amd64", nil
	}
}

func (t *target) alias(app, environment string) string {
	return amazon.Fill(t.Alias, app, environment)
}

// Switch is deploy.Target's.
func (t *target) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	name := amazon.Fill(t.Function, to.App, to.Environment)
	f, err := t.look(ctx, name, "")
	if errors.Is(err, errNone) {
		return t.missing(name, to)
	}
	if err != nil {
		return err
	}
	if err := t.takes(f, to); err != nil {
		return err
	}
	s := &change{target: t, function: f, to: to, say: say}
	if t.Alias != "" {
		return s.moveAlias(ctx, t.alias(to.App, to.Environment), check)
	}
	return s.replaceCode(ctx, check)
}

// takes tells whether a function can run an image at all.
func (t *target) takes(f function, to deploy.Image) error {
	if f.kind == types.PackageTypeZip {
		return fmt.Errorf("function %s is of a zip archive, and Lambda cannot make it one of images: delete it, and create it again\n%s", f.name, t.steps(f.name, to))
	}
	if t.client.Options().BaseEndpoint != nil { // a stand-in has its own images
		return nil
	}
	region := t.client.Options().Region
	if at := amazon.Region(to.Repository); at != region {
		return fmt.Errorf("lambda takes images of Amazon ECR in its own region, %s, and not from %s", region, to.Repository)
	}
	return nil
}

// missing says what to do about a function that is not there.
func (t *target) missing(name string, to deploy.Image) error {
	return fmt.Errorf("there is no function %s in %s. To create it, with a role that it runs as:\n%s", name, t.client.Options().Region, t.steps(name, to))
}

func (t *target) steps(name string, to deploy.Image) string {
	region := t.client.Options().Region
	text := fmt.Sprintf("  aws lambda create-function --region %s --function-name %s --package-type Image --code ImageUri=%s --role arn:aws:iam::ACCOUNT:role/ROLE", region, name, to.Reference())
	if t.Alias != "" {
		text += fmt.Sprintf("\n  aws lambda publish-version --region %s --function-name %s\n  aws lambda create-alias --region %s --function-name %s --name %s --function-version 1",
			region, name, region, name, t.alias(to.App, to.Environment))
	}
	return text
}

// explain says what an error of Lambda means.
func (t *target) explain(ctx context.Context, err error, permission string) error {
	if _, none := errors.AsType[*types.ResourceNotFoundException](err); none {
		return fmt.Errorf("%w: %w", errNone, err)
	}
	if bad, ok := errors.AsType[*types.InvalidParameterValueException](err); ok {
		text := aws.ToString(bad.Message)
		switch {
		case strings.Contains(text, "media type"):
			text += "; Lambda takes an image of one platform in Docker's or OCI's media types, and no index of several: build it for one platform, without attestations"
		case strings.Contains(text, "permission") && strings.Contains(text, "ECR"):
			text += "; " + pullHint
		}
		return errors.New(text)
	}
	return amazon.Explain(ctx, err, permission, t.client.Options().BaseEndpoint)
}

// pullHint is what Lambda needs of a repository (AWS Lambda, "Amazon ECR permissions").
const pullHint = `the repository's policy must allow the service lambda.amazonaws.com ecr:BatchGetImage and ecr:GetDownloadUrlForLayer; ` +
	`whoever deploys in the repository's own account may let Lambda add that with ecr:GetRepositoryPolicy and ecr:SetRepositoryPolicy`

// failed is the reason why Lambda could not do it.
func (f function) failed() error {
	text := cmp.Or(f.reason, "Lambda does not say why")
	if strings.Contains(text, string(types.LastUpdateStatusReasonCodeImageAccessDenied)) {
		text += "; " + pullHint
	}
	return fmt.Errorf("function %s did not get ready: %s", f.name, plan.Printable(text))
}
