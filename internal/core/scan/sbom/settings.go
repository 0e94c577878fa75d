package sbom

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// setting is where the settings are kept.
const setting registry.SettingName = "sbom"

const (
	maxPatterns    = 100
	maxPatternText = 256
	patternGrammar = `(?:[a-z0-9*]+(?:[._-][a-z0-9*]+)*/)*[a-z0-9*]+(?:[._-][a-z0-9*]+)*`
)

var patternRule = regexp.MustCompile(`^` + patternGrammar + `$`)

// Settings say which images get SBOMs attached when they have been scanned. The zero value: none.
type Settings struct {
	// Repositories are wildcard patterns of repository names.
	Repositories []string `json:"repositories,omitempty"`
	// Formats are what is attached, one document for each.
	Formats []Format `json:"formats,omitempty"`
}

// wants tells whether images of a repository get SBOMs.
func (s Settings) wants(repository string) bool {
	return slices.ContainsFunc(s.Repositories, func(p string) bool { return registry.MatchWildcard(p, repository) })
}

// PutSettings sets which images get SBOMs (ecr:PutRegistryScanningConfiguration). Images that have been scanned already get theirs when
// they are scanned again.
func (a *Attacher) PutSettings(ctx context.Context, caller identity.Caller, s Settings) (Settings, error) {
	if err := a.registry.May(ctx, caller, policy.PutRegistryScanningConfiguration, ""); err != nil {
		return Settings{}, err
	}
	if err := s.check(); err != nil {
		return Settings{}, err
	}
	err := a.store.Update(ctx, func(tx registry.Tx) error { return registry.WriteSetting(ctx, tx, setting, s, a.now()) })
	return s, err
}

// Settings gives what was set (ecr:GetRegistryScanningConfiguration).
func (a *Attacher) Settings(ctx context.Context, caller identity.Caller) (Settings, error) {
	if err := a.registry.May(ctx, caller, policy.GetRegistryScanningConfiguration, ""); err != nil {
		return Settings{}, err
	}
	return a.settings(ctx)
}

func (a *Attacher) settings(ctx context.Context) (Settings, error) {
	var s Settings
	_, err := registry.ReadSetting(ctx, a.store.Read(), setting, &s)
	return s, err
}

func (s Settings) check() error {
	if len(s.Repositories) > maxPatterns {
		return fault.BadParameter("repositoryFilters", fmt.Sprintf("Member must have length less than or equal to %d", maxPatterns))
	}
	for i, p := range s.Repositories {
		if len(p) > maxPatternText || !patternRule.MatchString(p) {
			return fault.BadParameter(fmt.Sprintf("repositoryFilters.%d.member", i+1),
				fmt.Sprintf("Member must have length less than or equal to %d, and satisfy regular expression pattern: ^%s$", maxPatternText, patternGrammar))
		}
	}
	for i, f := range s.Formats {
		if !slices.Contains(Formats(), f) || slices.Contains(s.Formats[:i], f) {
			return fault.BadParameter(fmt.Sprintf("formats.%d.member", i+1), fmt.Sprintf("Member must be one of %v, and there only once", Formats()))
		}
	}
	if (len(s.Repositories) == 0) != (len(s.Formats) == 0) {
		return fault.BadParameter("formats", "Members repositoryFilters and formats must both be there, or neither")
	}
	return nil
}
