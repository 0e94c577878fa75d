// Package platform is a client of the operations that only a Berth answers: what its registry can do and
// Amazon's API has no words for (docs/api/berth.md). People is a client of IAM, Berth's or Amazon's.
//
// It finds the server and signs requests as every AWS client does, by AWS_ENDPOINT_URL, the shared
// configuration files and the default chain of credentials, so that whoever can use the AWS CLI against a
// Berth can use this.
package platform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	targetPrefix = "Berth_V20261124."
	signingName  = "ecr"
	maxAnswer    = 16 << 20
)

// Client calls one Berth.
type Client struct {
	url    string
	aws    aws.Config
	signer *v4.Signer
	now    func() time.Time
}

// Config is what a Client may be told; the zero value takes everything from the AWS configuration.
type Config struct {
	URL string // of the server; empty: AWS_ENDPOINT_URL or the shared configuration's endpoint_url
	Now func() time.Time
}

// ErrNoEndpoint says that nothing tells where the Berth is.
var ErrNoEndpoint = errors.New("no server is named")

// New makes a client from the AWS configuration.
func New(ctx context.Context, c Config) (*Client, error) {
	loaded, err := AWS(ctx)
	if err != nil {
		return nil, err
	}
	url := c.URL
	if url == "" {
		url = aws.ToString(loaded.BaseEndpoint)
	}
	if url == "" {
		return nil, ErrNoEndpoint
	}
	return &Client{url: url, aws: loaded, signer: v4.NewSigner(), now: c.Now}, nil
}

// TagChange is one thing that happened to an image tag. An empty From is a new tag, an empty To a deleted
// one.
type TagChange struct {
	At    time.Time
	Tag   string
	From  string // digest
	To    string // digest
	Actor string // ARN
}

// TagHistory lists what happened to a tag, newest first, at most limit entries (0: all).
func (c *Client) TagHistory(ctx context.Context, repository, tag string, limit int) ([]TagChange, error) {
	type input struct {
		RepositoryName string `json:"repositoryName"`
		ImageTag       string `json:"imageTag"`
		NextToken      string `json:"nextToken,omitempty"`
	}
	type output struct {
		TagHistory []struct {
			ImageTag, FromDigest, ToDigest, Actor string
			ChangedAt                             float64 // seconds since 1970
		} `json:"tagHistory"`
		NextToken string `json:"nextToken"`
	}
	var changes []TagChange
	for in := (input{RepositoryName: repository, ImageTag: tag}); ; {
		var out output
		if err := c.call(ctx, "ListTagHistory", in, &out); err != nil {
			return nil, err
		}
		for _, e := range out.TagHistory {
			at := time.UnixMicro(int64(e.ChangedAt * 1e6)).UTC()
			changes = append(changes, TagChange{At: at, Tag: e.ImageTag, From: e.FromDigest, To: e.ToDigest, Actor: e.Actor})
			if len(changes) == limit {
				return changes, nil
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return changes, nil
		}
	}
}

// Error is a refusal by the server, in its own words.
type Error struct {
	Status  int
	Code    string // such as AccessDeniedException
	Message string

	strange bool // it is no answer of an AWS API
}

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func (c *Client) call(ctx context.Context, operation string, in, out any) error {
	return c.callUpTo(ctx, maxAnswer, operation, in, out)
}

// callUpTo is call for answers of at most so many bytes.
func (c *Client) callUpTo(ctx context.Context, most int64, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", operation, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("calling %s: %w", operation, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", targetPrefix+operation)
	credentials, err := Credentials(ctx, c.aws)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(hash[:]), signingName, c.aws.Region, c.now()); err != nil {
		return fmt.Errorf("signing %s: %w", operation, err)
	}
	client := &http.Client{Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("calling %s: %w", operation, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return fmt.Errorf("reading the answer to %s: %w", operation, err)
	}
	if res.StatusCode != http.StatusOK {
		return refusal(res.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading the answer to %s: is %s a Berth? %w", operation, c.url, err)
	}
	return nil
}

func refusal(status int, answer []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &e) != nil || e.Type == "" {
		return &Error{Status: status, Code: http.StatusText(status), Message: "the server does not answer as a Berth does", strange: true}
	}
	return &Error{Status: status, Code: e.Type, Message: e.Message}
}
