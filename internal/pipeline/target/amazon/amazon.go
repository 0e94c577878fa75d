// Package amazon is what the targets at Amazon have in common: whose account, how its errors read, and what is written on the
// things that are switched.
package amazon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// Tags that switched things have. TagBefore is there while a switch is at work.
const (
	TagDeployment = "berth:deployment" // the id of the newest one
	TagBegun      = "berth:begun"      // the digest of a switch that was begun and not ended
	TagBefore     = "berth:before"     // what ran before it
)

// Account is whose things are switched.
type Account struct {
	Region   string // as configured if ""
	Profile  string // of the AWS configuration; the default chain of credentials if ""
	Endpoint string // "" as configured, Amazon for Amazon's own, or a URL
}

// Own is the endpoint that is Amazon's whatever the environment says.
const Own = "amazon"

// Config reads the AWS configuration for an account. The pipeline's AWS_ENDPOINT_URL may lead to a Berth, which has no functions and no
// services: then the account's endpoint is Own. The error is platform.ErrNoCredentials if nobody has set any.
func (a Account) Config(ctx context.Context) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if a.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(a.Profile))
	}
	if a.Region != "" {
		options = append(options, config.WithRegion(a.Region))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	switch {
	case err == nil && loaded.BaseEndpoint != nil && a.Endpoint != Own:
		if loaded, err = platform.AWS(ctx, options...); err != nil { // roles are taken there too
			return aws.Config{}, err
		}
	case err == nil && loaded.Region == "":
		err = errors.New("no region is set: the target's region, or AWS_REGION, says it")
	}
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if _, err := platform.Credentials(ctx, loaded); err != nil {
		return aws.Config{}, err
	}
	return loaded, nil
}

// At is where to ask, for a client that would ask at configured.
func (a Account) At(configured *string) *string {
	switch a.Endpoint {
	case "":
		return configured
	case Own:
		return nil
	default:
		return &a.Endpoint
	}
}

// Explain says what an error of the SDK means for whoever deploys. The permission is the one that was asked for, such as
// lambda:GetFunction; the endpoint is the client's.
func Explain(ctx context.Context, err error, permission string, endpoint *string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if unsent, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return fmt.Errorf("%w: %w", deploy.ErrUnreachable, cmp.Or(unsent.Err, err))
	}
	plain := platform.Plain(err)
	if sentence, denied := platform.Denied(plain); denied {
		return fmt.Errorf("%s is not allowed: %s", permission, sentence)
	}
	answer, ok := errors.AsType[*platform.Error](plain)
	if !ok {
		return err
	}
	switch answer.Code {
	case "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException":
		return fmt.Errorf("the AWS credentials are refused: %w", plain)
	case "UnknownOperationException", "UnknownError", "InvalidAction":
		if endpoint != nil {
			return fmt.Errorf("%s does not know %s (%w): where AWS_ENDPOINT_URL is a Berth, the target's \"endpoint: %s\" asks Amazon", *endpoint, permission, plain, Own)
		}
	}
	return plain
}

// Fill puts the app and the environment into a name.
func Fill(name, app, environment string) string {
	return strings.NewReplacer("{app}", app, "{environment}", environment).Replace(name)
}

// Digest gives the digest of an image that is named by it, or "".
func Digest(image string) oci.Digest {
	_, text, _ := strings.Cut(image, "@")
	d, err := oci.ParseDigest(text)
	if err != nil {
		return ""
	}
	return d
}

var registryHost = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)/`)

// Region is the region of the ECR that an image is in, "" if it is in another registry.
func Region(repository string) string {
	if m := registryHost.FindStringSubmatch(repository + "/"); m != nil {
		return m[1]
	}
	return ""
}
