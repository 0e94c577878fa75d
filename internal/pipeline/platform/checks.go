package platform

import (
	"context"
	"time"
)

// Check is one going through everything that a Berth has stored.
type Check struct {
	ID             string  `json:"checkId"`
	Status         string  `json:"status"` // RUNNING, COMPLETE, INCOMPLETE or STOPPED
	Reason         string  `json:"statusReason,omitempty"`
	Actor          string  `json:"actor"`
	Scrub          bool    `json:"scrub"`
	Repair         bool    `json:"repair"`
	Quick          bool    `json:"quick"`
	BytesPerSecond int64   `json:"bytesPerSecond,omitempty"`
	Started        float64 `json:"startedAt"`         // seconds since 1970
	Ended          float64 `json:"endedAt,omitempty"` // or 0
	Phase          string  `json:"phase"`
	TotalBlobs     int64   `json:"totalBlobs"`
	TotalBytes     int64   `json:"totalBytes"`
	CheckedBlobs   int64   `json:"checkedBlobs"`
	CheckedBytes   int64   `json:"checkedBytes"`
	CheckedImages  int64   `json:"checkedImages"`
	CheckedObjects int64   `json:"checkedObjects"`
	Problems       int64   `json:"problems"`
	Repaired       int64   `json:"repaired"`

	Findings []CheckFinding `json:"findings"`
}

// StartedAt is when it began.
func (c Check) StartedAt() time.Time { return time.UnixMicro(int64(c.Started * 1e6)).UTC() }

// CheckFinding is one thing that a check found.
type CheckFinding struct {
	Kind       string   `json:"kind"`
	Name       string   `json:"name"`
	Digest     string   `json:"digest,omitempty"`
	BlobKey    string   `json:"blobKey,omitempty"`
	Repository string   `json:"repositoryName,omitempty"`
	Size       int64    `json:"sizeInBytes"`
	Detail     string   `json:"detail"`
	NeededBy   []string `json:"neededBy"`
	Done       string   `json:"done,omitempty"`
	Found      float64  `json:"foundAt"`
}

// CheckOrder is what a check is to do.
type CheckOrder struct {
	Repair         bool  `json:"repair"`
	Quick          bool  `json:"quick"`
	BytesPerSecond int64 `json:"bytesPerSecond"` // 0: no limit
}

// StartCheck begins a check of everything that is stored.
func (c *Client) StartCheck(ctx context.Context, o CheckOrder) (Check, error) {
	var out struct {
		Check Check `json:"check"`
	}
	err := c.call(ctx, "StartCheck", o, &out)
	return out.Check, err
}

// StopCheck ends a check.
func (c *Client) StopCheck(ctx context.Context, id string) (Check, error) {
	in := struct {
		ID string `json:"checkId"`
	}{id}
	var out struct {
		Check Check `json:"check"`
	}
	err := c.call(ctx, "StopCheck", in, &out)
	return out.Check, err
}

type checkInput struct {
	ID         string `json:"checkId,omitempty"`
	Scrub      bool   `json:"scrub,omitempty"`
	MaxResults int    `json:"maxResults,omitempty"`
	NextToken  string `json:"nextToken,omitempty"`
}

type checkOutput struct {
	Check     Check          `json:"check"`
	Findings  []CheckFinding `json:"findings"`
	NextToken string         `json:"nextToken"`
}

// CheckProgress tells how far a check is, without its findings.
func (c *Client) CheckProgress(ctx context.Context, id string) (Check, error) {
	var out checkOutput
	err := c.call(ctx, "DescribeCheck", checkInput{ID: id, MaxResults: 1}, &out)
	return out.Check, err
}

// CheckReport gives a check with all its findings: by id, or the newest that somebody started, or the newest scrub.
func (c *Client) CheckReport(ctx context.Context, id string, scrub bool) (Check, error) {
	findings := []CheckFinding{}
	for in := (checkInput{ID: id, Scrub: scrub, MaxResults: 1000}); ; {
		var out checkOutput
		if err := c.call(ctx, "DescribeCheck", in, &out); err != nil {
			return Check{}, err
		}
		findings = append(findings, out.Findings...)
		in.ID = out.Check.ID // pages are of one check
		if in.NextToken = out.NextToken; in.NextToken == "" {
			out.Check.Findings = findings
			return out.Check, nil
		}
	}
}
