package platform

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// Token is what docker and every other OCI client logs in to a registry with. It prints as the word token: no message
// and no log shows the secret by mistake.
type Token struct {
	Username, Secret string
	Expires          time.Time
	Registry         string // URL of the registry that it is for (proxyEndpoint); empty where the answer names none
}

func (Token) String() string { return "token" }

// GoString is String, for %#v.
func (Token) GoString() string { return "token" }

// LogValue is String, for slog.
func (Token) LogValue() slog.Value { return slog.StringValue("token") }

// Authorize asks an ECR for a token, which holds no longer than the credentials that it was asked for with.
func Authorize(ctx context.Context, client *ecr.Client) (Token, error) {
	out, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return Token{}, err //nolint:wrapcheck // callers say who was asked
	}
	if len(out.AuthorizationData) == 0 {
		return Token{}, errors.New("the answer has none")
	}
	data := out.AuthorizationData[0]
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	if err != nil {
		return Token{}, errors.New("the answer's is not in base64")
	}
	user, secret, ok := strings.Cut(string(raw), ":")
	if !ok || user == "" || secret == "" {
		return Token{}, errors.New("the answer's is no name and password")
	}
	t := Token{Username: user, Secret: secret, Expires: aws.ToTime(data.ExpiresAt), Registry: aws.ToString(data.ProxyEndpoint)}
	if u, err := url.Parse(t.Registry); err != nil || u.Host == "" {
		t.Registry = ""
	}
	if credentials, err := client.Options().Credentials.Retrieve(ctx); err == nil && credentials.CanExpire && credentials.Expires.Before(t.Expires) {
		t.Expires = credentials.Expires
	}
	return t, nil
}
