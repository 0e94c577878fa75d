package diagnose

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// job is what was found out about the job of a CI system.
type job struct {
	file   string // that has the token
	token  webToken
	claims map[string][]string
	role   string
}

// webToken is a token that prints as the word token.
type webToken struct{ text string }

func (webToken) String() string { return "token" }

// GoString is String, for %#v.
func (webToken) GoString() string { return "token" }

// GitHubIssuer issues the tokens of GitHub Actions.
const GitHubIssuer = "https://token.actions.githubusercontent.com"

// idToken looks for where a job's token comes from.
func idToken(_ context.Context, e *Env) Result {
	file := e.get("AWS_WEB_IDENTITY_TOKEN_FILE")
	inActions := e.get("GITHUB_ACTIONS") == "true"
	switch {
	case e.Subject != "":
		return ok("the subject is given on the command line, and no token is asked for")
	case file != "":
		if _, err := os.Stat(file); err != nil {
			return fail("ls -l "+quote(file), "AWS_WEB_IDENTITY_TOKEN_FILE names a file that is not there or may not be read: %s", file)
		}
		e.job.file = file
		return ok("AWS_WEB_IDENTITY_TOKEN_FILE names %s", file)
	case inActions && (e.get("ACTIONS_ID_TOKEN_REQUEST_URL") == "" || e.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN") == ""):
		fork := ""
		if strings.HasPrefix(e.get("GITHUB_EVENT_NAME"), "pull_request") {
			fork = "; a pull request from a fork never gets one"
		}
		return fail(`add to the job: permissions: {id-token: write, contents: read}`,
			"GitHub Actions gives this job no token: the job or the workflow that calls it has no permission id-token: write%s", fork)
	case inActions:
		return ok("GitHub Actions lets this job ask for a token (id-token: write)")
	default:
		return unseen("this is no job of GitHub Actions, and AWS_WEB_IDENTITY_TOKEN_FILE is not set; --subject says whose token to look at, such as repo:ORG/REPO:ref:refs/heads/main")
	}
}

// claims reads what the token says.
func claims(ctx context.Context, e *Env) Result {
	if e.Subject != "" {
		e.job.claims = map[string][]string{"iss": {e.Issuer}, "sub": {e.Subject}, "aud": {e.Audience}}
		return ok("the token would be of %s, for %s, about %s", e.Issuer, e.Audience, e.Subject)
	}
	text, err := e.fetch(ctx)
	if err != nil {
		return fail("", "%s", sentence(err))
	}
	e.job.token = webToken{text}
	all, end, err := parseClaims(text)
	if err != nil {
		return fail("", "the token cannot be read: %s", sentence(err))
	}
	e.job.claims = all
	about := fmt.Sprintf("the token is of %s, for %s, about %s", first(all["iss"]), strings.Join(all["aud"], ", "), first(all["sub"]))
	switch {
	case first(all["iss"]) == "" || first(all["sub"]) == "" || len(all["aud"]) == 0:
		return fail("", "%s: iss, aud and sub must all be there", about)
	case !end.IsZero() && !end.After(e.Now()):
		return fail("", "%s, and ended at %s", about, end.UTC().Format(time.RFC3339))
	case !slices.Contains(all["aud"], e.Audience):
		return warn("", "%s, and not for %s, which is what Amazon and Berth are usually asked with", about, e.Audience)
	default:
		return ok("%s", about)
	}
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// fetch gets the token: from the file, or from GitHub.
func (e *Env) fetch(ctx context.Context) (string, error) {
	if e.job.file != "" {
		text, err := os.ReadFile(e.job.file)
		return strings.TrimSpace(string(text)), err //nolint:wrapcheck // names the file
	}
	at, err := url.Parse(e.get("ACTIONS_ID_TOKEN_REQUEST_URL"))
	if err != nil || at.Host == "" {
		return "", errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")
	}
	query := at.Query()
	query.Set("audience", e.Audience)
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return "", errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")
	}
	req.Header.Set("Authorization", "Bearer "+e.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	res, err := transport.RoundTrip(req) // no redirect is followed: the authorization is for this host
	if err != nil {
		return "", fmt.Errorf("GitHub's token service does not answer: %s", unreachable(err, at.Host))
	}
	defer res.Body.Close()
	var answer struct {
		Value string `json:"value"`
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GitHub's token service answers %d", res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil || answer.Value == "" {
		return "", errors.New("GitHub's token service answers without a token")
	}
	return answer.Value, nil
}

// parseClaims reads what a token says, and believes it: whether it is true is the server's to verify.
func parseClaims(token string) (map[string][]string, time.Time, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, time.Time{}, fmt.Errorf("a token has three parts, and this one %d", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return nil, time.Time{}, errors.New("its middle part is not in base64")
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var said map[string]any
	if err := decoder.Decode(&said); err != nil || decoder.More() {
		return nil, time.Time{}, errors.New("its middle part is no JSON object")
	}
	all := map[string][]string{}
	for name, value := range said {
		switch value := value.(type) {
		case map[string]any, nil: // policies do not see these
		case []any:
			for _, one := range value {
				all[strings.ToLower(name)] = append(all[strings.ToLower(name)], fmt.Sprint(one))
			}
		default:
			all[strings.ToLower(name)] = []string{fmt.Sprint(value)}
		}
	}
	if azp := all["azp"]; len(azp) > 0 { // as AWS has it
		all["oaud"], all["aud"] = all["aud"], azp
	}
	end := time.Time{}
	if number, isNumber := said["exp"].(json.Number); isNumber {
		if seconds, err := number.Float64(); err == nil {
			end = time.Unix(int64(seconds), 0)
		}
	}
	return all, end, nil
}

// roleNamed finds which role is meant.
func roleNamed(_ context.Context, e *Env) Result {
	role, from := e.Role, "--role"
	if role == "" {
		role, from = e.get("AWS_ROLE_ARN"), "AWS_ROLE_ARN"
	}
	if role == "" {
		return unseen("no role is named, neither by --role nor by AWS_ROLE_ARN")
	}
	if parts := strings.SplitN(role, ":", 6); len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || !strings.HasPrefix(parts[5], "role/") {
		return fail("export AWS_ROLE_ARN=arn:aws:iam::123456789012:role/NAME", "%s is no ARN of a role such as arn:aws:iam::123456789012:role/github-push: %s", from, role)
	}
	e.job.role = role
	return ok("%s names %s", from, role)
}

// assume takes the role on, and throws the credentials away.
func assume(ctx context.Context, e *Env) Result {
	if e.job.token.text == "" {
		return Result{Status: Skipped, Message: "there is no token to try, only its subject"}
	}
	client := sts.NewFromConfig(e.aws, func(o *sts.Options) {
		switch {
		case e.URL == platform.Amazon:
			o.BaseEndpoint = nil
		default:
			o.BaseEndpoint = aws.String(e.at.Scheme + "://" + e.at.Host + e.at.Path)
		}
	})
	out, err := client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &e.job.role, RoleSessionName: aws.String("berth-doctor"), WebIdentityToken: &e.job.token.text, DurationSeconds: aws.Int32(900),
	})
	if err == nil {
		who := e.job.role
		if out.AssumedRoleUser != nil {
			who = aws.ToString(out.AssumedRoleUser.Arn)
		}
		return ok("the server takes the token, and the job is %s", who)
	}
	err = platform.Plain(err)
	refused, answered := errors.AsType[*platform.Error](err)
	if !answered {
		return fail("", "the server was not reached: %s", sentence(err))
	}
	switch refused.Code {
	case "AccessDenied":
		return fail("aws iam get-role --role-name "+quote(roleName(e.job.role))+" --query Role.AssumeRolePolicyDocument",
			"the role is not there or its trust policy does not let this token in, whose subject is %s: %s", first(e.job.claims["sub"]), refused.Message)
	case "InvalidIdentityToken":
		return fail("aws iam list-open-id-connect-providers", "the account has no provider for this token, or it is for another audience: %s", refused.Message)
	case "ExpiredTokenException":
		return fail("", "the token has ended: %s", refused.Message)
	case "IDPCommunicationError":
		return fail("curl -v "+quote(first(e.job.claims["iss"])+"/.well-known/openid-configuration"), "the server does not reach the issuer for its keys: %s", refused.Message)
	default:
		return fail("", "the token is refused: %s", sentence(err))
	}
}

func roleName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// lookers makes checks that only help to see more into ones that do not fail: a job has no credentials before it takes on its role.
func lookers(all []Check) []Check {
	for i, c := range all {
		all[i].Run = func(ctx context.Context, e *Env) Result {
			r := c.Run(ctx, e)
			if r.Status == Failure {
				return unseen("nobody is here who may read the provider and the role: %s", r.Message)
			}
			return r
		}
	}
	return all
}

// accountOfRole is whose providers count: the role's account, else the caller's.
func (e *Env) accountOfRole() (partition, account string) {
	if parts := strings.SplitN(e.job.role, ":", 6); len(parts) == 6 {
		return parts[1], parts[4]
	}
	parts := strings.SplitN(e.found.identity.ARN, ":", 3)
	return parts[min(1, len(parts)-1)], e.found.identity.Account
}

// provider looks whether the account takes tokens of this issuer, for this audience.
func provider(ctx context.Context, e *Env) Result {
	partition, account := e.accountOfRole()
	issuer := first(e.job.claims["iss"])
	arn := platform.ProviderARN(partition, account, issuer)
	if account != e.found.identity.Account {
		return unseen("the role is in account %s, and the caller in %s", account, e.found.identity.Account)
	}
	clients, err := e.people.ProviderClients(ctx, arn)
	if err != nil {
		if said, denied := platform.Denied(err); denied {
			return unseen("iam:GetOpenIDConnectProvider is not allowed: %s", said)
		}
		if platform.Refused(err, "NoSuchEntity") {
			return fail("aws iam create-open-id-connect-provider --url "+quote(issuer)+" --client-id-list "+quote(e.Audience),
				"the account has no provider for %s", issuer)
		}
		return unseen("the server answers: %s", sentence(err))
	}
	for _, audience := range e.job.claims["aud"] {
		if slices.Contains(clients, audience) {
			return ok("%s takes tokens for %s", arn, audience)
		}
	}
	return fail("aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn "+arn+" --client-id "+quote(first(e.job.claims["aud"])),
		"the provider takes tokens for %s, and the token is for %s", strings.Join(clients, ", "), strings.Join(e.job.claims["aud"], ", "))
}

// trust compares the role's trust policy with the token.
func trust(ctx context.Context, e *Env) Result {
	partition, account := e.accountOfRole()
	if account != e.found.identity.Account {
		return unseen("the role is in account %s, and the caller in %s", account, e.found.identity.Account)
	}
	document, err := e.people.TrustPolicy(ctx, e.job.role)
	if err != nil {
		if said, denied := platform.Denied(err); denied {
			return unseen("iam:GetRole is not allowed: %s", said)
		}
		if platform.Refused(err, "NoSuchEntity") {
			return fail("aws iam create-role --role-name "+quote(roleName(e.job.role))+" --assume-role-policy-document file://trust.json", "there is no role %s", e.job.role)
		}
		return unseen("the server answers: %s", sentence(err))
	}
	verdict, err := judgeTrust(document, platform.ProviderARN(partition, account, first(e.job.claims["iss"])), e.job.claims)
	show := "aws iam update-assume-role-policy --role-name " + quote(roleName(e.job.role)) + " --policy-document file://trust.json"
	switch {
	case err != nil:
		return fail(show, "the trust policy of %s cannot be read: %s", e.job.role, sentence(err))
	case !verdict.allowed:
		return fail(show, "the trust policy of %s does not let the token in: %s", roleName(e.job.role), strings.Join(verdict.why, "; "))
	case len(verdict.unsure) > 0:
		return warn("", "the trust policy of %s lets the token in as far as its claims go; it also asks for %s", roleName(e.job.role), strings.Join(verdict.unsure, ", "))
	default:
		return ok("the trust policy of %s lets the token in", roleName(e.job.role))
	}
}
