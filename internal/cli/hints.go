package cli

import (
	"errors"
	"regexp"
	"strings"
	"syscall"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// usualHint is what to do about errors that any command may meet.
func (p *program) usualHint(err error) string {
	switch sentence, denied := platform.Denied(err); {
	case denied && strings.Contains(sentence, ": iam:Simulate"):
		// Those who may not ask why would be told so again.
		return "those who may iam:SimulatePrincipalPolicy are told what decides; root may: " + `eval "$(` + p.name + ` env)"`
	case denied:
		return p.simulateHint(sentence)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "no server is there: start one with " + p.name + " serve, or see what --url or AWS_ENDPOINT_URL says"
	case platform.Refused(err, "NoSuchEntity") && strings.Contains(err.Error(), "The user with name "):
		return "who there is: " + p.name + " admin list-users"
	case errors.Is(err, platform.ErrNoCredentials):
		return `type: eval "$(` + p.name + ` env)", or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`
	case strangeKey(err):
		return "AWS_ACCESS_KEY_ID, its secret or AWS_PROFILE are not of this Berth, or ended; root's come by: " + `eval "$(` + p.name + ` env)"`
	default:
		return ""
	}
}

// strangeKey tells whether the server does not take the credentials for anybody's.
func strangeKey(err error) bool {
	for _, code := range []string{
		"InvalidSignatureException", "UnrecognizedClientException", "ExpiredTokenException", // of ECR
		"SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken", // of IAM and STS
	} {
		if platform.Refused(err, code) {
			return true
		}
	}
	return false
}

// deniedSentence is how AWS refuses, and Berth as AWS.
var deniedSentence = regexp.MustCompile(`^User: (\S+) is not authorized to perform: (\S+)(?: on resource: (\S+))?`)

// simulateHint is how to find out what decided.
func (p *program) simulateHint(sentence string) string {
	who, action, resource := "ARN", "ACTION", "ARN"
	if m := deniedSentence.FindStringSubmatch(sentence); m != nil {
		who, action = quote(m[1]), quote(m[2])
		switch {
		case strings.HasPrefix(m[3], "arn:"):
			resource = quote(m[3])
		case m[3] == "" || m[3] == "*":
			resource = quote("*")
		}
	}
	return "what decided this is said by: " + p.name + " policy simulate --principal " + who + " --action " + action + " --resource " + resource
}
