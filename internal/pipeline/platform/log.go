package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// LogQuery selects records of the log. What is set must all hold.
type LogQuery struct {
	Since, Until time.Time
	Repository   string
	Digest, Tag  string // of an image, one of the two; a tag is one of Repository
	Principal    string
	Operation    string
	AccessKeyID  string
	RequestID    string
	Denied       bool
	Limit        int // of all; 0: everything
}

// Log calls each with the records that a query selects, the newest first. Each is a CloudTrail record in JSON, as it is in the log.
func (c *Client) Log(ctx context.Context, q LogQuery, each func(record json.RawMessage) error) error {
	type input struct {
		StartTime   float64 `json:"startTime,omitempty"`
		EndTime     float64 `json:"endTime,omitempty"`
		Repository  string  `json:"repositoryName,omitempty"`
		Digest      string  `json:"imageDigest,omitempty"`
		Tag         string  `json:"imageTag,omitempty"`
		Principal   string  `json:"principal,omitempty"`
		Operation   string  `json:"operation,omitempty"`
		AccessKeyID string  `json:"accessKeyID,omitempty"`
		RequestID   string  `json:"requestID,omitempty"`
		DeniedOnly  bool    `json:"deniedOnly,omitempty"`
		MaxResults  int     `json:"maxResults"`
		NextToken   string  `json:"nextToken,omitempty"`
	}
	in := input{
		StartTime: epoch(q.Since), EndTime: epoch(q.Until), Repository: q.Repository, Digest: q.Digest, Tag: q.Tag, Principal: q.Principal,
		Operation: q.Operation, AccessKeyID: q.AccessKeyID, RequestID: q.RequestID, DeniedOnly: q.Denied,
	}
	for got := 0; ; {
		in.MaxResults = 1000
		if q.Limit > 0 {
			in.MaxResults = min(in.MaxResults, q.Limit-got)
		}
		var out struct {
			Records   []string `json:"records"`
			NextToken string   `json:"nextToken"`
		}
		if err := c.call(ctx, "SearchLog", in, &out); err != nil {
			return err
		}
		for _, r := range out.Records {
			if !json.Valid([]byte(r)) {
				return fmt.Errorf("the server gave a record that is not JSON: %.60q", r)
			}
			if err := each(json.RawMessage(r)); err != nil {
				return err
			}
		}
		got += len(out.Records)
		if in.NextToken = out.NextToken; in.NextToken == "" || got == q.Limit {
			return nil
		}
	}
}

// epoch is a time on the wire; 0 is none.
func epoch(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}
