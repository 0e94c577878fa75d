package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// found is what checks found out for others.
type found struct {
	aws      aws.Config       // configuration
	at       *url.URL         // endpoint
	api      *ecr.Client      // endpoint
	way      way              // dns: how the endpoint is reached
	answer   answer           // tls
	people   *platform.People // identity
	identity platform.Identity
	token    platform.Token // token
	registry *url.URL       // token: where docker finds the registry
	held     held           // repository and what is in it
	here     local          // this machine
	job      job            // oidc
	asked    asked          // permissions
}

// configuration reads the AWS configuration.
func configuration(ctx context.Context, e *Env) Result {
	loaded, err := platform.AWS(ctx)
	if err != nil {
		fix := "aws configure list"
		if e.get("AWS_PROFILE") != "" {
			fix = "aws configure list-profiles"
		}
		return fail(fix, "the AWS configuration cannot be read: %s", sentence(errors.Unwrap(err)))
	}
	e.aws = loaded
	said := e.get("AWS_REGION") != "" || e.get("AWS_DEFAULT_REGION") != ""
	if e.get("AWS_REGION") == "" && e.get("AWS_DEFAULT_REGION") != "" && e.aws.Region != e.get("AWS_DEFAULT_REGION") {
		return warn("export AWS_REGION="+quote(e.get("AWS_DEFAULT_REGION")), "the region is %s; AWS_DEFAULT_REGION, which the AWS CLI reads, says %s", e.aws.Region, e.get("AWS_DEFAULT_REGION"))
	}
	if !said && e.URL == platform.Amazon && e.get("AWS_PROFILE") == "" {
		return ok("the region is %s, and no variable says so", loaded.Region)
	}
	return ok("the region is %s", loaded.Region)
}

// endpoint finds out which server is asked.
func endpoint(ctx context.Context, e *Env) Result {
	none := `eval "$(` + e.Self + ` env)"`
	if e.URL != "" && e.URL != platform.Amazon {
		if u, err := url.Parse(e.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fail(none, "--url is no URL such as http://localhost:5080")
		}
	}
	e.api = ecr.NewFromConfig(e.aws, func(o *ecr.Options) {
		switch e.URL {
		case "":
		case platform.Amazon:
			o.BaseEndpoint = nil
		default:
			o.BaseEndpoint = &e.URL
		}
	})
	from := "AWS_ENDPOINT_URL names"
	switch {
	case e.URL != "":
		from = "--url names"
	case e.get("AWS_ENDPOINT_URL_ECR") != "":
		from = "AWS_ENDPOINT_URL_ECR names"
	case e.get("AWS_ENDPOINT_URL") == "":
		from = "the AWS configuration names"
	}
	if named := aws.ToString(e.api.Options().BaseEndpoint); named != "" {
		u, err := url.Parse(named)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fail(none, "what %s is no URL such as http://localhost:5080", strings.TrimSuffix(from, " names"))
		}
		e.at = u
		return ok("%s %s", from, u.Redacted())
	}
	if e.URL != platform.Amazon {
		return fail(none+", or for Amazon's ECR add --url aws", "no server is named: neither --url nor AWS_ENDPOINT_URL nor the AWS configuration says which")
	}
	resolved, err := ecr.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, ecr.EndpointParameters{Region: &e.aws.Region})
	if err != nil {
		return fail("export AWS_REGION=us-east-1", "Amazon's ECR has no endpoint for region %s: %s", e.aws.Region, sentence(err))
	}
	e.at = &resolved.URI
	return ok("Amazon's ECR in %s is asked, at %s", e.aws.Region, resolved.URI.Host)
}

// credentials looks for them, and at what they say of themselves.
func credentials(ctx context.Context, e *Env) Result {
	key, secret := e.get("AWS_ACCESS_KEY_ID"), e.get("AWS_SECRET_ACCESS_KEY")
	named := `eval "$(` + e.Self + ` env)"`
	if e.URL == platform.Amazon {
		named = "aws configure sso"
	}
	if (key == "") != (secret == "") {
		there, missing := "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
		if key == "" {
			there, missing = missing, there
		}
		return fail(named, "%s is set and %s is not", there, missing)
	}
	c, err := platform.Credentials(ctx, e.aws)
	switch {
	case errors.Is(err, platform.ErrNoCredentials):
		return fail(named, "there are no AWS credentials: no variable, profile or role of this machine has any")
	case err != nil:
		return fail(credentialsFix(e, err), "%s", sentence(err))
	}
	from := source(c.Source)
	switch left := c.Expires.Sub(e.Now()); {
	case strings.TrimSpace(c.AccessKeyID) != c.AccessKeyID || strings.TrimSpace(c.SecretAccessKey) != c.SecretAccessKey:
		return fail(named, "the credentials of %s have white space around them", from)
	case c.CanExpire && left <= 0:
		return fail(named, "the credentials of %s have ended, at %s", from, c.Expires.UTC().Format(time.RFC3339))
	case c.CanExpire && left < 15*time.Minute:
		return warn(named, "the credentials of %s end in %s", from, left.Round(time.Second))
	case strings.HasPrefix(c.AccessKeyID, "AKIA") && c.SessionToken != "":
		return warn("unset AWS_SESSION_TOKEN", "the credentials of %s are a long-lived key and a session token, which is left over from others", from)
	case strings.HasPrefix(c.AccessKeyID, "ASIA") && c.SessionToken == "":
		return fail(named, "the credentials of %s are of a session, and AWS_SESSION_TOKEN is not set", from)
	case key != "" && e.get("AWS_PROFILE") != "":
		return warn("unset AWS_PROFILE", "AWS_ACCESS_KEY_ID is used, and AWS_PROFILE is not, though both are set")
	case c.CanExpire:
		return ok("they come from %s and end at %s", from, c.Expires.UTC().Format(time.RFC3339))
	case c.SessionToken != "":
		return ok("they come from %s and are a session's, whose end the server knows", from)
	default:
		return ok("they come from %s and do not end", from)
	}
}

// credentialsFix is what to type where a source of credentials gave an error.
func credentialsFix(e *Env, err error) string {
	switch text := strings.ToLower(err.Error()); {
	case strings.Contains(text, "sso"):
		fix := "aws sso login"
		if profile := e.get("AWS_PROFILE"); profile != "" {
			fix += " --profile " + quote(profile)
		}
		return fix
	case strings.Contains(text, "no such file"), strings.Contains(text, "webidentity"), strings.Contains(text, "web identity"):
		return e.Self + " doctor oidc"
	default:
		return "aws configure list"
	}
}

// source words where the SDK found credentials.
func source(name string) string {
	switch {
	case name == "EnvConfigCredentials":
		return "the environment (AWS_ACCESS_KEY_ID)"
	case strings.HasPrefix(name, "SharedConfigCredentials"):
		_, file, _ := strings.Cut(name, ": ")
		return "the profile in " + file
	case strings.HasPrefix(name, "WebIdentityCredentials"):
		return "a web identity (AWS_WEB_IDENTITY_TOKEN_FILE)"
	case strings.HasPrefix(name, "SSO"):
		return "single sign-on"
	case strings.HasPrefix(name, "EC2Role"):
		return "the role of this machine"
	case strings.HasPrefix(name, "AssumeRole"):
		return "a role that a profile takes on"
	case strings.HasPrefix(name, "Process"):
		return "a program that a profile names (credential_process)"
	case name == "":
		return "an unnamed source"
	default:
		return name
	}
}

// identity asks the server whose the credentials are.
func identity(ctx context.Context, e *Env) Result {
	people, err := platform.NewPeople(ctx, e.URL)
	if errors.Is(err, platform.ErrNoEndpoint) { // the endpoint is of ECR alone
		people, err = platform.NewPeople(ctx, e.at.String())
	}
	if err != nil {
		return fail("", "no client could be made: %s", sentence(err))
	}
	e.people = people
	e.found.identity, err = people.WhoAmI(ctx)
	if err != nil {
		return fail(strangerFix(e, err), "%s", stranger(e, err))
	}
	return ok("the server knows the caller as %s", e.found.identity.ARN)
}

// stranger words why the server does not know the caller.
func stranger(e *Env, err error) string {
	refused, answered := errors.AsType[*platform.Error](err)
	if !answered {
		return "asking whose the credentials are: " + sentence(err)
	}
	switch refused.Code {
	case "InvalidClientTokenId", "UnrecognizedClientException":
		return fmt.Sprintf("the server at %s has no such access key: it is another server's, disabled or deleted", e.at.Host)
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		return "the secret is not that of the access key, or the request was changed on its way: " + refused.Message
	case "ExpiredToken", "ExpiredTokenException":
		return "the session has ended"
	case "RequestExpired":
		return "the request is too old by the server's clock: " + refused.Message
	}
	if refused.Status == 404 || refused.Status == 405 || refused.Code == "UnknownError" {
		return fmt.Sprintf("the server at %s does not answer as AWS and Berth do: %s", e.at.Host, sentence(err))
	}
	return "asking whose the credentials are: " + sentence(err)
}

func strangerFix(e *Env, err error) string {
	if refused, answered := errors.AsType[*platform.Error](err); answered && (refused.Status == 404 || refused.Status == 405) {
		return "echo $AWS_ENDPOINT_URL"
	}
	switch {
	case e.URL == platform.Amazon:
		return "aws configure list"
	case e.get("AWS_ACCESS_KEY_ID") == "" && e.get("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return e.Self + " doctor oidc"
	default:
		return `eval "$(` + e.Self + ` env)"`
	}
}

// token asks for what docker logs in with.
func token(ctx context.Context, e *Env) Result {
	t, err := platform.Authorize(ctx, e.api)
	if err != nil {
		err = platform.Plain(err)
		if sentence, denied := platform.Denied(err); denied {
			return fail(e.allow("ecr:GetAuthorizationToken", "*", sentence), "no token is given: %s", sentence)
		}
		return fail("", "no token is given: %s", sentence(err))
	}
	at := t.Registry
	if at == "" {
		at = e.at.String()
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fail("", "the server names a registry that is no address")
	}
	e.found.token, e.found.registry = t, u
	return ok("ecr:GetAuthorizationToken is allowed; the registry is %s, and the token good until %s", u.Host, t.Expires.UTC().Format(time.RFC3339))
}
