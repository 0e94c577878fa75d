// Package berthclient sends images to another Berth: it implements core/replicate's Remote over that Berth's own
// operations (docs/api/berth.md) and, for the bytes of layers, its OCI API.
//
// It signs with the access key of one account of the destination, and fetches itself the token that the OCI API
// asks for.
package berthclient

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
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

const (
	berthPrefix = "Berth_V20261124."
	ecrPrefix   = "AmazonEC2ContainerRegistry_V20150921."

	maxAnswer = 4 << 20
	// answerWithin is how long a call that carries no layer may take, and an answer once it has begun.
	answerWithin = time.Minute
	// stalled is how long a layer's bytes may stand still before the transfer is given up.
	stalled = 2 * time.Minute
	// tokenMargin renews a token before its end.
	tokenMargin = 10 * time.Minute
)

// Config is what a Client needs; every field but Wrap must be set.
type Config struct {
	URL             string // of the destination: https://registry.example.com
	Region          string // of the destination
	AccessKeyID     string
	SecretAccessKey string
	Now             func() time.Time
	// Wrap puts something around the transport, such as spans of traces; nil: nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Client is one destination. Its methods may be called from many goroutines.
type Client struct {
	Config
	http   *http.Client
	signer *v4.Signer

	answerWithin time.Duration

	mu      sync.Mutex
	token   string // base64, for Basic
	expires time.Time
}

var _ replicate.Remote = (*Client)(nil)

// New makes a client. It sends nothing yet.
func New(c Config) *Client {
	c.URL = strings.TrimSuffix(c.URL, "/")
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 5 * time.Minute, // a large layer is synced and perhaps moved before the answer
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
	}
	// A redirect would carry a signed request, or a layer, to somebody else.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &Client{Config: c, signer: v4.NewSigner(), answerWithin: answerWithin, http: &http.Client{Transport: transport, CheckRedirect: stay}}
	if c.Wrap != nil {
		client.http.Transport = c.Wrap(transport)
	}
	return client
}

// Close gives up idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Prepare implements replicate.Remote.
func (c *Client) Prepare(ctx context.Context, repository string, d oci.Digest, layers []oci.Digest) (replicate.Lack, error) {
	type input struct {
		RepositoryName string       `json:"repositoryName"`
		ImageDigest    oci.Digest   `json:"imageDigest"`
		LayerDigests   []oci.Digest `json:"layerDigests"`
	}
	var out struct {
		ImageMissing  *bool        `json:"imageMissing"`
		MissingLayers []oci.Digest `json:"missingLayers"`
	}
	in := input{repository, d, slices.Concat([]oci.Digest{}, layers)}
	if err := c.call(ctx, berthPrefix+"PrepareReplication", in, &out); err != nil {
		return replicate.Lack{}, err
	}
	if out.ImageMissing == nil {
		return replicate.Lack{}, fmt.Errorf("%s does not answer as a Berth does", c.URL)
	}
	return replicate.Lack{Image: *out.ImageMissing, Layers: out.MissingLayers}, nil
}

// PutImage implements replicate.Remote.
func (c *Client) PutImage(ctx context.Context, img replicate.Image) ([]string, error) {
	type input struct {
		RepositoryName         string     `json:"repositoryName"`
		ImageManifest          string     `json:"imageManifest"`
		ImageManifestMediaType string     `json:"imageManifestMediaType"`
		ImageDigest            oci.Digest `json:"imageDigest"`
		ImageTags              []string   `json:"imageTags"`
	}
	var out struct {
		ImageDigest oci.Digest `json:"imageDigest"`
		DroppedTags []string   `json:"droppedTags"`
	}
	in := input{img.Repository, string(img.Manifest), img.MediaType, img.Digest, slices.Concat([]string{}, img.Tags)}
	if err := c.call(ctx, berthPrefix+"ReplicateImage", in, &out); err != nil {
		return nil, err
	}
	if out.ImageDigest != img.Digest {
		return nil, fmt.Errorf("%s answers with the digest %q for %s", c.URL, short(out.ImageDigest.String()), img.Digest)
	}
	return out.DroppedTags, nil
}

// call makes one signed call of the AWS API.
func (c *Client) call(ctx context.Context, target string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.answerWithin)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", target, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("calling %s: %w", target, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	hash := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}
	if err := c.signer.SignHTTP(ctx, key, req, hex.EncodeToString(hash[:]), "ecr", c.Region, c.Now()); err != nil {
		return fmt.Errorf("signing %s: %w", target, err)
	}
	status, answer, err := c.do(req)
	if err != nil {
		return fmt.Errorf("calling %s: %w", target, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("calling %s: %w", target, refusal(status, answer))
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading the answer to %s: is %s a Berth? %w", target, c.URL, err)
	}
	return nil
}

func (c *Client) do(req *http.Request) (status int, answer []byte, err error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	res, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	defer time.AfterFunc(c.answerWithin, cancel).Stop()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res.StatusCode, answer, err
}

// refusal tells what a destination refuses for good from what may pass. Keys and clocks are set right by somebody,
// images and layers that went away meanwhile are sent by the next attempt.
func refusal(status int, answer []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &e) != nil || e.Type == "" {
		return fmt.Errorf("status %d, and no answer as a Berth gives", status)
	}
	err := &replicate.Refused{Code: short(strings.TrimSuffix(e.Type, "Exception")), Message: short(e.Message)}
	switch err.Code {
	case "AccessDenied", "InvalidParameter", "LimitExceeded", "UnknownOperation", "UnsupportedOperation", "RequestEntityTooLarge", "Serialization":
		return err
	}
	return errors.New(err.Error())
}

var errStalled = errors.New("the destination has taken nothing for minutes")

// PutLayer implements replicate.Remote: one request with all the bytes, as they are read.
func (c *Client) PutLayer(ctx context.Context, repository string, d oci.Digest, size int64, body io.Reader) error {
	token, err := c.authorization(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := &watch{Reader: body, timer: time.AfterFunc(stalled, func() { cancel(errStalled) })}
	defer watched.timer.Stop()
	to := c.URL + "/v2/" + repository + "/blobs/uploads/?" + url.Values{"digest": {d.String()}}.Encode()
	// NopCloser: the reader is the caller's.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, io.NopCloser(watched))
	if err != nil {
		return fmt.Errorf("sending layer %s: %w", d, err)
	}
	if req.ContentLength = size; size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Authorization", "Basic "+token)
	status, answer, err := c.do(req)
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return fmt.Errorf("sending layer %s: %w", d, errStalled)
	case err != nil:
		return fmt.Errorf("sending layer %s: %w", d, err)
	case status == http.StatusCreated:
		return nil
	case status == http.StatusUnauthorized:
		c.forgetToken(token)
	case status == http.StatusForbidden:
		return &replicate.Refused{Code: "AccessDenied", Message: "the destination does not take layers: " + message(answer)}
	}
	return fmt.Errorf("sending layer %s: status %d: %s", d, status, message(answer))
}

// message finds the words in an error of the OCI API.
func message(answer []byte) string {
	var e struct {
		Errors []struct {
			Code, Message string
		} `json:"errors"`
	}
	if json.Unmarshal(answer, &e) != nil || len(e.Errors) == 0 {
		return "no answer as a registry gives"
	}
	return short(e.Errors[0].Code + ": " + e.Errors[0].Message)
}

// short cuts words that are to stand in an error to what a sentence may have.
func short(words string) string {
	const most = 500
	if len(words) <= most {
		return words
	}
	return strings.ToValidUTF8(words[:most], "") + "…"
}

// watch ends a transfer whose bytes stand still.
type watch struct {
	io.Reader
	timer *time.Timer
}

// Read counts as a sign of life: the transport asks for more when it got rid of what it had.
func (w *watch) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		w.timer.Stop() // the rest is the destination's to do: see ResponseHeaderTimeout
	} else {
		w.timer.Reset(stalled)
	}
	return n, err
}

// authorization gives the token for the OCI API, asking for one where there is none.
func (c *Client) authorization(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.Now().Add(tokenMargin).Before(c.expires) {
		return c.token, nil
	}
	var out struct {
		AuthorizationData []struct {
			AuthorizationToken string  `json:"authorizationToken"`
			ExpiresAt          float64 `json:"expiresAt"`
		} `json:"authorizationData"`
	}
	if err := c.call(ctx, ecrPrefix+"GetAuthorizationToken", struct{}{}, &out); err != nil {
		return "", err
	}
	if len(out.AuthorizationData) == 0 {
		return "", fmt.Errorf("%s gives no authorization token", c.URL)
	}
	t := out.AuthorizationData[0]
	if _, err := base64.StdEncoding.DecodeString(t.AuthorizationToken); err != nil {
		return "", fmt.Errorf("%s gives an authorization token that is none: %w", c.URL, err)
	}
	c.token, c.expires = t.AuthorizationToken, time.Unix(int64(t.ExpiresAt), 0)
	return c.token, nil
}

// forgetToken drops a token that was refused, unless there is a newer one.
func (c *Client) forgetToken(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token = ""
	}
}
