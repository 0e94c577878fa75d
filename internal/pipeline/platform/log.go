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

// LogCheckpoints proves later that the log goes on from what it is now; its JSON is a contract: docs/api/berth.md.
type LogCheckpoints struct {
	Checkpoints []string `json:"checkpoints"` // signed notes, the last of each server's log
	PublicKey   string   `json:"publicKey"`
}

// LogCheckpoints gives the last checkpoints.
func (c *Client) LogCheckpoints(ctx context.Context) (LogCheckpoints, error) {
	var out LogCheckpoints
	err := c.call(ctx, "GetLogCheckpoints", struct{}{}, &out)
	return out, err
}

// VerifiedLog is what came of verifying one server's log; its JSON is a contract: docs/api/berth.md.
type VerifiedLog struct {
	Log          string       `json:"log"`
	Records      int64        `json:"records"`
	Forgotten    int64        `json:"forgotten"`
	Root         string       `json:"root"`
	Checkpoints  int          `json:"checkpoints"`
	Unreachable  int          `json:"unreachable"`
	Compared     int64        `json:"compared"`
	DatabaseOnly bool         `json:"databaseOnly"`
	Problems     []LogProblem `json:"problems"`
}

// LogProblem is something that is wrong with records from First to before Next.
type LogProblem struct {
	Kind    string `json:"kind"`
	First   int64  `json:"first"`
	Next    int64  `json:"next"`
	File    string `json:"file,omitempty"`
	Message string `json:"message"`
}

// VerifyLog has the logs verified, or the one of an id, against the checkpoints that the server has and those that were kept elsewhere.
func (c *Client) VerifyLog(ctx context.Context, log string, checkpoints []string) ([]VerifiedLog, error) {
	in := struct {
		Log         string   `json:"log,omitempty"`
		Checkpoints []string `json:"checkpoints,omitempty"`
	}{log, checkpoints}
	var out struct {
		Logs []VerifiedLog `json:"logs"`
	}
	err := c.call(ctx, "VerifyLog", in, &out)
	return out.Logs, err
}
