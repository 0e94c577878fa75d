package ociclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
)

const (
	maxTokenAnswer = 1 << 20
	// usualTokenLife is that of a token which does not say (distribution's token specification).
	usualTokenLife = time.Minute
	// margin is taken from a token's life: it is to be good when it arrives.
	margin = 10 * time.Second
	// maxKnown bounds how many authorizations are remembered.
	maxKnown = 1000
)

// authorizations remembers the header that opened something, until its end.
type authorizations struct {
	mu sync.Mutex
	by map[authorizationKey]authorization
}

type authorizationKey struct{ url, username, password, scope string }

type authorization struct {
	header  string
	expires time.Time
}

func (a *authorizations) get(k authorizationKey, now time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.by[k]
	if !ok || !now.Before(known.expires) {
		return ""
	}
	return known.header
}

func (a *authorizations) put(k authorizationKey, v authorization) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil || len(a.by) >= maxKnown {
		a.by = map[authorizationKey]authorization{}
	}
	a.by[k] = v
}

// forget drops all that opened a registry to somebody.
func (a *authorizations) forget(at pullthrough.Endpoint) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.by, func(k authorizationKey, _ authorization) bool { return k.url == at.URL && k.username == at.Username })
}

// do sends one request, with what the registry asks for as authorization. The answer may have any status.
func (c *Client) do(ctx context.Context, at pullthrough.Endpoint, method, path, scope string, header http.Header) (*http.Response, error) {
	key := authorizationKey{at.URL, at.Username, at.Password, scope}
	res, err := c.send(ctx, at, method, path, header, c.known.get(key, c.now()))
	if err != nil || res.StatusCode != http.StatusUnauthorized || res.Request.URL.Host != hostOf(at.URL) {
		return res, err
	}
	challenges := res.Header.Values("Www-Authenticate")
	if res.Request.Header.Get("Authorization") != "" { // what was good once is not any more
		c.known.forget(at)
	}
	drain(res)
	granted, err := c.authorize(ctx, at, challenges, scope)
	if err != nil {
		return nil, err
	}
	c.known.put(key, granted)
	return c.send(ctx, at, method, path, header, granted.header)
}

func hostOf(u string) string {
	parsed, err := url.Parse(u)
	if err != nil {
		return ""
	}
	return parsed.Host
}

func (c *Client) send(ctx context.Context, at pullthrough.Endpoint, method, path string, header http.Header, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, withoutSlash(at.URL)+path, nil)
	if err != nil {
		return nil, unavailable(at, err)
	}
	maps.Copy(req.Header, header)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return c.roundTrip(at, req)
}

func (c *Client) roundTrip(at pullthrough.Endpoint, req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "berth")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fault.Wrap(fault.UpstreamUnavailable, withoutQuery(err), "The upstream registry %s cannot be reached", at.URL)
	}
	return res, nil
}

// withoutQuery cuts what a log should not have from an error: where a registry sent us on, the query is a signature
// that opens a bucket.
func withoutQuery(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		place, _, _ := strings.Cut(e.URL, "?")
		return &url.Error{Op: e.Op, URL: place, Err: e.Err}
	}
	return err
}

// accessKey is what AWS access key ids look like, and Berth's.
var accessKey = regexp.MustCompile(`^(AKIA|ASIA)[A-Z0-9]{12,124}$`)

// authorize answers a challenge (RFC 9110 §11.6.1; distribution's token specification).
func (c *Client) authorize(ctx context.Context, at pullthrough.Endpoint, challenges []string, scope string) (authorization, error) {
	for _, text := range challenges {
		scheme, parameters := parseChallenge(text)
		switch {
		case scheme == "bearer":
			return c.bearer(ctx, at, parameters, scope)
		case scheme == "basic" && accessKey.MatchString(at.Username):
			return c.ecrToken(ctx, at)
		case scheme == "basic" && at.Username != "":
			return authorization{basic(at.Username, at.Password), c.now().Add(time.Hour)}, nil
		}
	}
	return authorization{}, fault.New(fault.UpstreamDenied, "The upstream registry %s asks for credentials, and the rule has none that it takes", at.URL)
}

func basic(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// parameter is one of a challenge's: name="value", or name=value.
var parameter = regexp.MustCompile(`([A-Za-z_-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))`)

func parseChallenge(text string) (scheme string, parameters map[string]string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	parameters = map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(rest, -1) {
		parameters[strings.ToLower(m[1])] = strings.ReplaceAll(m[2], `\"`, `"`) + m[3]
	}
	return strings.ToLower(scheme), parameters
}

// bearer gets a token from the server that the registry names.
func (c *Client) bearer(ctx context.Context, at pullthrough.Endpoint, challenge map[string]string, scope string) (authorization, error) {
	realm, err := url.Parse(challenge["realm"])
	if err != nil || realm.Host == "" || !sameScheme(at, realm) {
		return authorization{}, unavailable(at, errors.New("its token server is no server to send credentials to: "+challenge["realm"]))
	}
	q := realm.Query()
	if service := challenge["service"]; service != "" {
		q.Set("service", service)
	}
	if scope == "" {
		scope = challenge["scope"]
	}
	if scope != "" {
		q.Set("scope", scope)
	}
	realm.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return authorization{}, unavailable(at, err)
	}
	if at.Username != "" {
		req.Header.Set("Authorization", basic(at.Username, at.Password))
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := c.token(at, req, &answer); err != nil {
		return authorization{}, err
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if token == "" {
		return authorization{}, unavailable(at, errors.New("its token server gave no token"))
	}
	life := usualTokenLife
	if answer.ExpiresIn > 0 && answer.ExpiresIn < int64(24*time.Hour/time.Second) {
		life = time.Duration(answer.ExpiresIn) * time.Second
	}
	return authorization{"Bearer " + token, c.now().Add(life - margin)}, nil
}

// token sends a request for a token and reads the answer.
func (c *Client) token(at pullthrough.Endpoint, req *http.Request, answer any) error {
	res, err := c.roundTrip(at, req)
	if err != nil {
		return err
	}
	defer drain(res)
	if res.StatusCode != http.StatusOK {
		if res.StatusCode == http.StatusBadRequest { // how AWS, and some token servers, refuse credentials
			return fault.New(fault.UpstreamDenied, "The upstream registry %s does not take the credentials", at.URL)
		}
		return c.refused(at, res, fault.UpstreamUnavailable)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenAnswer))
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	if err != nil {
		return unavailable(at, fmt.Errorf("reading its token: %w", err))
	}
	return nil
}

// amazon is the host of a registry of Amazon's ECR, with its region in parentheses.
var amazon = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)

// ecrToken gets the password of a registry that speaks ECR's API with an access key: Amazon's ECR, whose API has a host
// of its own, or another Berth.
func (c *Client) ecrToken(ctx context.Context, at pullthrough.Endpoint) (authorization, error) {
	key := authorizationKey{at.URL, at.Username, at.Password, "ecr"}
	now := c.now()
	if known := c.known.get(key, now); known != "" {
		return authorization{known, now.Add(usualTokenLife)}, nil
	}
	api, region := at.URL, "us-east-1" // a Berth takes any region in a signature
	if m := amazon.FindStringSubmatch(hostOf(at.URL)); m != nil {
		api, region = "https://api.ecr."+m[1]+".amazonaws.com"+m[2], m[1]
	}
	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, withoutSlash(api)+"/", bytes.NewReader(body))
	if err != nil {
		return authorization{}, unavailable(at, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	hash := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: at.Username, SecretAccessKey: at.Password}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(hash[:]), "ecr", region, now); err != nil {
		return authorization{}, unavailable(at, err)
	}
	var answer struct {
		AuthorizationData []struct {
			AuthorizationToken string  `json:"authorizationToken"`
			ExpiresAt          float64 `json:"expiresAt"`
		} `json:"authorizationData"`
	}
	if err := c.token(at, req, &answer); err != nil {
		return authorization{}, err
	}
	if len(answer.AuthorizationData) == 0 {
		return authorization{}, unavailable(at, errors.New("it gave no token"))
	}
	data := answer.AuthorizationData[0]
	granted := authorization{"Basic " + data.AuthorizationToken, time.Unix(int64(data.ExpiresAt), 0).Add(-margin)}
	c.known.put(key, granted)
	return granted, nil
}
