package platform

import (
	"context"
	"errors"
	"net/http"
)

// PreviewResult is what a lifecycle policy says about an image; docs/api/berth.md.
type PreviewResult struct {
	Digest   string   `json:"imageDigest"`
	Tags     []string `json:"imageTags"`
	PushedAt Moment   `json:"imagePushedAt"`
	Class    string   `json:"storageClass"`
	Action   string   `json:"action"`       // empty when the image stays
	Rule     int32    `json:"rulePriority"` // 0: none decides
	Reason   string   `json:"reason"`
	Sentence string   `json:"sentence"`
}

// PreviewResults lists the results of a repository's last lifecycle policy preview, with the text of its policy. The filter is
// acted, kept or all.
func (c *Client) PreviewResults(ctx context.Context, repository, filter string) (text string, all []PreviewResult, err error) {
	in := map[string]any{"repositoryName": repository, "filter": filter, "maxResults": 1000}
	for {
		var page struct {
			Text    string          `json:"lifecyclePolicyText"`
			Results []PreviewResult `json:"results"`
			Next    string          `json:"nextToken"`
		}
		if err := c.call(ctx, "ListLifecyclePreviewResults", in, &page); err != nil {
			return "", nil, err
		}
		all = append(all, page.Results...)
		if page.Next == "" {
			return page.Text, all, nil
		}
		in["nextToken"] = page.Next
	}
}

// Unknown tells whether a server refused since it does not know the operation: it is older, or no Berth.
func Unknown(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case http.StatusNotFound, http.StatusNotImplemented:
		return true
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests: // what stands before it answers
		return false
	}
	return e.Code == "UnknownOperationException" || e.strange
}
