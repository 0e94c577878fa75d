package platform

import "context"

// SBOMSettings say which images get SBOMs attached when they have been scanned.
type SBOMSettings struct {
	Repositories []string `json:"repositoryFilters"` // wildcard patterns; none: no image gets any
	Formats      []string `json:"formats"`           // spdx, cyclonedx
}

type sbomSettings struct {
	Settings SBOMSettings `json:"sbomSettings"`
}

// SBOMSettings gets what is set.
func (c *Client) SBOMSettings(ctx context.Context) (SBOMSettings, error) {
	var out sbomSettings
	err := c.call(ctx, "GetSbomSettings", struct{}{}, &out)
	return out.Settings, err
}

// PutSBOMSettings sets it in the place of what there was.
func (c *Client) PutSBOMSettings(ctx context.Context, s SBOMSettings) (SBOMSettings, error) {
	var out sbomSettings
	err := c.call(ctx, "PutSbomSettings", s, &out)
	return out.Settings, err
}
