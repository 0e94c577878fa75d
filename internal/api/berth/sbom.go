package berth

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
)

// SbomSettings say which images get SBOMs attached when they have been scanned.
type SbomSettings struct {
	RepositoryFilters []string // wildcard patterns of repository names; none: no image
	Formats           []string // spdx, cyclonedx; there where filters are
}

// GetSbomSettingsInput asks for the settings.
type GetSbomSettingsInput struct{}

// GetSbomSettingsOutput is them.
type GetSbomSettingsOutput struct {
	SbomSettings *SbomSettings
}

func (f face) getSBOMSettings(ctx context.Context, call awswire.Call, _ *GetSbomSettingsInput) (*GetSbomSettingsOutput, error) {
	s, err := f.attacher.Settings(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &GetSbomSettingsOutput{SbomSettings: sbomSettings(s)}, nil
}

// PutSbomSettingsInput is settings that take the place of what there was.
type PutSbomSettingsInput struct {
	RepositoryFilters []string
	Formats           []string
}

// PutSbomSettingsOutput is what is set now.
type PutSbomSettingsOutput struct {
	SbomSettings *SbomSettings
}

func (f face) putSBOMSettings(ctx context.Context, call awswire.Call, in *PutSbomSettingsInput) (*PutSbomSettingsOutput, error) {
	s := sbom.Settings{Repositories: in.RepositoryFilters}
	for _, format := range in.Formats {
		s.Formats = append(s.Formats, sbom.Format(format))
	}
	s, err := f.attacher.PutSettings(ctx, call.Caller, s)
	if err != nil {
		return nil, err
	}
	return &PutSbomSettingsOutput{SbomSettings: sbomSettings(s)}, nil
}

func sbomSettings(s sbom.Settings) *SbomSettings {
	out := &SbomSettings{RepositoryFilters: append([]string{}, s.Repositories...), Formats: []string{}}
	for _, f := range s.Formats {
		out.Formats = append(out.Formats, string(f))
	}
	return out
}
