package platform

import (
	"context"
	"time"
)

// AdvisorySource is how new the advisories of one source are.
type AdvisorySource struct {
	Name       string  `json:"name"`
	Origin     string  `json:"origin,omitempty"`
	Revision   int64   `json:"revision"`
	Advisories int64   `json:"advisories"`
	Modified   float64 `json:"modifiedAt,omitempty"` // seconds since 1970; of the newest
	Imported   float64 `json:"importedAt,omitempty"`
	Checked    float64 `json:"checkedAt,omitempty"` // as of when they are
}

// CheckedAt is as of when they are.
func (s AdvisorySource) CheckedAt() time.Time { return seconds(s.Checked) }

// ModifiedAt is when the newest of them was changed.
func (s AdvisorySource) ModifiedAt() time.Time { return seconds(s.Modified) }

func seconds(n float64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n * 1e6)).UTC()
}

// AdvisoryImport is an import of advisories that somebody asked for, or for which it was time.
type AdvisoryImport struct {
	ID         int64             `json:"importId"`
	Repository string            `json:"repositoryName,omitempty"`
	Digest     string            `json:"digest,omitempty"`
	Force      bool              `json:"force"`
	Actor      string            `json:"actor,omitempty"`
	Requested  float64           `json:"requestedAt"`
	Ended      float64           `json:"endedAt,omitempty"` // or 0
	Attempts   int64             `json:"attempts"`
	Outcomes   []AdvisoryOutcome `json:"outcomes"`
}

// AdvisoryOutcome is what an import did to one source.
type AdvisoryOutcome struct {
	Source    string `json:"source,omitempty"`
	Added     int64  `json:"added"`
	Changed   int64  `json:"changed"`
	Removed   int64  `json:"removed"`
	Untouched int64  `json:"untouched"`
	Rejected  int64  `json:"rejected"`
	Rejection string `json:"rejection,omitempty"`
	Skipped   bool   `json:"skipped"`
	Failure   string `json:"failure,omitempty"`
}

// AdvisoryStatus is how new all advisories are.
type AdvisoryStatus struct {
	Origin       string           `json:"origin,omitempty"`
	EverySeconds int64            `json:"everySeconds"`
	Sources      []AdvisorySource `json:"sources"`
	Imports      []AdvisoryImport `json:"imports"` // newest first
}

// Advisories tells how new the advisories are.
func (c *Client) Advisories(ctx context.Context) (AdvisoryStatus, error) {
	var out AdvisoryStatus
	err := c.call(ctx, "ListAdvisorySources", struct{}{}, &out)
	return out, err
}

type advisoryImportOutput struct {
	Import AdvisoryImport `json:"import"`
}

// UpdateAdvisories has the server look for new ones where it has them from.
func (c *Client) UpdateAdvisories(ctx context.Context, force bool) (AdvisoryImport, error) {
	in := struct {
		Force bool `json:"force"`
	}{force}
	var out advisoryImportOutput
	err := c.call(ctx, "UpdateAdvisories", in, &out)
	return out.Import, err
}

// ImportAdvisories has the server import an archive that has been pushed, by the digest of its blob.
func (c *Client) ImportAdvisories(ctx context.Context, repository, digest string, force bool) (AdvisoryImport, error) {
	in := struct {
		Repository string `json:"repositoryName"`
		Digest     string `json:"digest"`
		Force      bool   `json:"force"`
	}{repository, digest, force}
	var out advisoryImportOutput
	err := c.call(ctx, "ImportAdvisories", in, &out)
	return out.Import, err
}
