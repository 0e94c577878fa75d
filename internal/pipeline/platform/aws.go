package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// AnyRegion is what signatures name where nothing says a region: a Berth takes any.
const AnyRegion = "us-east-1"

// ErrNoCredentials says that the default chain of AWS credentials has come to its end.
var ErrNoCredentials = errors.New("there are no AWS credentials")

// AWS reads the AWS configuration: environment, profiles, and what they lead to.
func AWS(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
	// The SDK would write to stderr by itself, of connections that it cannot use again and the like. Errors are returned.
	options = append(slices.Clone(options), config.WithLogger(logging.Nop{}))
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err == nil && loaded.BaseEndpoint != nil {
		loaded, err = config.LoadDefaultConfig(ctx, append(rolesFrom(sts.NewFromConfig(loaded)), options...)...)
	}
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if loaded.Region == "" {
		loaded.Region = AnyRegion
	}
	return loaded, nil
}

// rolesFrom has the chain of credentials take roles from this STS. Left alone, the SDK makes the chain before it
// reads AWS_ENDPOINT_URL: it would show the web identity token of a Berth's role to Amazon.
func rolesFrom(at *sts.Client) []func(*config.LoadOptions) error {
	return []func(*config.LoadOptions) error{
		config.WithWebIdentityRoleCredentialOptions(func(o *stscreds.WebIdentityRoleOptions) {
			o.Client = sts.New(at.Options(), inSomeRegion) // such requests are not signed
		}),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			if signing, ok := o.Client.(*sts.Client); ok { // with the credentials that the role is taken by
				o.Client = sts.New(signing.Options(), inSomeRegion, func(o *sts.Options) { o.BaseEndpoint = at.Options().BaseEndpoint })
			}
		}),
	}
}

func inSomeRegion(o *sts.Options) {
	if o.Region == "" {
		o.Region = AnyRegion
	}
}

// Credentials finds AWS credentials. Its error is ErrNoCredentials if nobody has set any.
func Credentials(ctx context.Context, c aws.Config) (aws.Credentials, error) {
	credentials, err := c.Credentials.Retrieve(ctx)
	switch {
	case err == nil:
		return credentials, nil
	case strings.Contains(err.Error(), "no EC2 IMDS role found"):
		// The chain ends at the machine's own role, and that the machine has none is all it says.
		return aws.Credentials{}, ErrNoCredentials
	default:
		return aws.Credentials{}, fmt.Errorf("finding AWS credentials: %w", Plain(err))
	}
}

// Plain gives the server's own words, or the network's, for an error of the SDK, which wraps them in several
// others.
func Plain(err error) error {
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		if unsent, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok && unsent.Err != nil {
			return unsent.Err
		}
		return err
	}
	plain := &Error{Code: refused.ErrorCode(), Message: refused.ErrorMessage()}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		plain.Status = response.HTTPStatusCode()
	}
	return plain
}

// Denied gives the server's sentence when err is its answer that the caller may not do this.
func Denied(err error) (sentence string, denied bool) {
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		return "", false
	}
	switch refused.Code {
	case "AccessDenied", "AccessDeniedException":
		return refused.Message, true
	}
	return "", false
}

// Refused tells whether err is the server's answer with this code.
func Refused(err error, code string) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Code == code
}
