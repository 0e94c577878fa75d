package signing

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

// setting is where the configuration is kept.
const setting registry.SettingName = "signing"

// ECR's limits (PutSigningConfiguration).
const (
	maxRules      = 10
	maxFilters    = 100
	maxFilterText = 256
)

const (
	profilePattern = `arn:aws(-[a-z]+)*:signer:[a-z0-9-]+:[0-9]{12}:/signing-profiles/[a-zA-Z0-9_]{2,64}`
	filterPattern  = `(?:[a-z0-9*]+(?:[._-][a-z0-9*]+)*/)*[a-z0-9*]+(?:[._-][a-z0-9*]+)*`
)

var (
	profileRule = regexp.MustCompile(`^` + profilePattern + `$`)
	filterRule  = regexp.MustCompile(`^` + filterPattern + `$`)
)

// Configuration says which profile signs which repositories' images.
type Configuration struct {
	Rules []Rule `json:"rules"`
}

// Rule is one profile and its repositories.
type Rule struct {
	Profile string `json:"profile"` // the ARN of a signing profile
	// Filters are wildcard patterns of repository names; where there are none, every repository's images are
	// signed.
	Filters []string `json:"filters,omitempty"`
}

// PutConfiguration sets the configuration in the place of what there was (ecr:PutSigningConfiguration), and
// makes a key for each profile that has none. Images that are there already are not signed.
func (s *Signer) PutConfiguration(ctx context.Context, caller identity.Caller, c Configuration) (Configuration, error) {
	if err := s.registry.May(ctx, caller, policy.PutSigningConfiguration, ""); err != nil {
		return Configuration{}, err
	}
	if err := c.check(); err != nil {
		return Configuration{}, err
	}
	// Keys come first: a key without a rule does nothing, a rule without a key could not be kept.
	for _, r := range c.Rules {
		if err := s.ensureKey(ctx, r.Profile); err != nil {
			return Configuration{}, err
		}
	}
	err := s.store.Update(ctx, func(tx registry.Tx) error { return registry.WriteSetting(ctx, tx, setting, c, s.now()) })
	return c, err
}

// Configuration gives the configuration (ecr:GetSigningConfiguration), or fault.SigningConfigurationNotFound.
func (s *Signer) Configuration(ctx context.Context, caller identity.Caller) (Configuration, error) {
	if err := s.registry.May(ctx, caller, policy.GetSigningConfiguration, ""); err != nil {
		return Configuration{}, err
	}
	return s.read(ctx, s.store.Read())
}

// DeleteConfiguration ends signing and gives what the configuration was (ecr:DeleteSigningConfiguration), or
// fault.SigningConfigurationNotFound. Keys, signatures and statuses stay, and what is being signed is finished.
func (s *Signer) DeleteConfiguration(ctx context.Context, caller identity.Caller) (Configuration, error) {
	if err := s.registry.May(ctx, caller, policy.DeleteSigningConfiguration, ""); err != nil {
		return Configuration{}, err
	}
	var c Configuration
	err := s.store.Update(ctx, func(tx registry.Tx) (err error) {
		if c, err = s.read(ctx, tx); err != nil {
			return err
		}
		there, err := tx.DeleteSetting(ctx, setting)
		if err == nil && !there { // somebody was faster
			return s.notConfigured()
		}
		return err
	})
	return c, err
}

func (s *Signer) read(ctx context.Context, q registry.SettingQueries) (Configuration, error) {
	var c Configuration
	there, err := registry.ReadSetting(ctx, q, setting, &c)
	if err == nil && !there {
		err = s.notConfigured()
	}
	return c, err
}

func (s *Signer) notConfigured() error {
	return fault.New(fault.SigningConfigurationNotFound,
		"The signing configuration does not exist in the registry with id '%s'", s.registry.ID())
}

func (c Configuration) check() error {
	const rules = "signingConfiguration.rules"
	if len(c.Rules) > maxRules {
		return fault.BadParameter(rules, fmt.Sprintf("Member must have length less than or equal to %d", maxRules))
	}
	for i, r := range c.Rules {
		at := fmt.Sprintf("%s.%d.member.", rules, i+1)
		if !profileRule.MatchString(r.Profile) {
			return fault.BadParameter(at+"signingProfileArn", "Member must satisfy regular expression pattern: ^"+profilePattern+"$")
		}
		if len(r.Filters) > maxFilters {
			return fault.BadParameter(at+"repositoryFilters", fmt.Sprintf("Member must have length less than or equal to %d", maxFilters))
		}
		for j, f := range r.Filters {
			member := fmt.Sprintf("%srepositoryFilters.%d.member.filter", at, j+1)
			switch {
			case len(f) > maxFilterText:
				return fault.BadParameter(member, fmt.Sprintf("Member must have length less than or equal to %d", maxFilterText))
			case !filterRule.MatchString(f):
				return fault.BadParameter(member, "Member must satisfy regular expression pattern: ^"+filterPattern+"$")
			}
		}
	}
	return nil
}

// profiles lists who signs a repository's images, each once.
func (c Configuration) profiles(repository string) []string {
	var profiles []string
	for _, r := range c.Rules {
		matches := func(filter string) bool { return registry.MatchWildcard(filter, repository) }
		if (len(r.Filters) == 0 || slices.ContainsFunc(r.Filters, matches)) && !slices.Contains(profiles, r.Profile) {
			profiles = append(profiles, r.Profile)
		}
	}
	return profiles
}
