package replicate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// The limits of a configuration (Amazon ECR API reference, ReplicationConfiguration, and "Amazon ECR service
// quotas").
const (
	maxRules              = 10
	maxDestinationsOfRule = 100
	maxFiltersOfRule      = 100
	maxDestinations       = 25
	minFilter, maxFilter  = 2, 256
)

const settingName registry.SettingName = "replication-configuration"

// filterRule is what a filter may look like: the beginning of a repository's name.
var filterRule = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$`)

// Configuration says what is replicated where.
type Configuration struct {
	Rules []Rule `json:"rules"`
}

// Rule sends the images of some repositories to some destinations.
type Rule struct {
	Destinations []Destination `json:"destinations"`
	// Prefixes select repositories by the beginning of their names; none selects all.
	Prefixes []string `json:"prefixes,omitempty"`
}

// selects tells whether a rule is about a repository.
func (r Rule) selects(repository string) bool {
	return len(r.Prefixes) == 0 || slices.ContainsFunc(r.Prefixes, func(p string) bool { return strings.HasPrefix(repository, p) })
}

// destinationsOf lists where a repository's images go, each destination once.
func (c Configuration) destinationsOf(repository string) []Destination {
	var all []Destination
	for _, r := range c.Rules {
		if !r.selects(repository) {
			continue
		}
		for _, d := range r.Destinations {
			if !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	return all
}

// Configuration reads the rules (ecr:DescribeRegistry).
func (s *Service) Configuration(ctx context.Context, caller identity.Caller) (Configuration, error) {
	if err := s.Registry.May(ctx, caller, policy.DescribeRegistry, ""); err != nil {
		return Configuration{}, err
	}
	return readConfiguration(ctx, s.Database.Read())
}

func readConfiguration(ctx context.Context, q registry.SettingQueries) (Configuration, error) {
	var c Configuration
	_, err := registry.ReadSetting(ctx, q, settingName, &c)
	return c, err
}

// PutConfiguration replaces the rules (ecr:PutReplicationConfiguration). They are about pushes from now on:
// see StartBackfill for what is there already. Without rules nothing is replicated.
func (s *Service) PutConfiguration(ctx context.Context, caller identity.Caller, c Configuration) error {
	if err := s.Registry.May(ctx, caller, policy.PutReplicationConfiguration, ""); err != nil {
		return err
	}
	if err := s.check(c); err != nil {
		return err
	}
	return s.Database.Update(ctx, func(tx registry.Tx) error {
		return registry.WriteSetting(ctx, tx, settingName, c, s.Now())
	})
}

func (s *Service) check(c Configuration) error {
	if len(c.Rules) > maxRules {
		return invalid("a replication configuration has at most %d rules, and this has %d", maxRules, len(c.Rules))
	}
	unique := map[Destination]bool{}
	for _, r := range c.Rules {
		if err := s.checkRule(r); err != nil {
			return err
		}
		for _, d := range r.Destinations {
			unique[d] = true
		}
	}
	if len(unique) > maxDestinations {
		return invalid("a replication configuration has at most %d different destinations, and this has %d", maxDestinations, len(unique))
	}
	for d := range unique {
		if s.Remotes[d] == nil {
			return fault.New(fault.RegistrySettingInvalid,
				"This server knows no registry %s in the region %s: its configuration file names replication destinations, with URL and access key, in the section destinations",
				d.RegistryID, d.Region)
		}
	}
	return nil
}

func (s *Service) checkRule(r Rule) error {
	switch {
	case len(r.Destinations) > maxDestinationsOfRule:
		return invalid("a replication rule has at most %d destinations, and this has %d", maxDestinationsOfRule, len(r.Destinations))
	case len(r.Prefixes) > maxFiltersOfRule:
		return invalid("a replication rule has at most %d repository filters, and this has %d", maxFiltersOfRule, len(r.Prefixes))
	}
	for _, d := range r.Destinations {
		if d == (Destination{Region: s.Region, RegistryID: s.Registry.ID()}) {
			return invalid("the registry %s in the region %s is this one, and cannot be its own replication destination", d.RegistryID, d.Region)
		}
	}
	for _, p := range r.Prefixes {
		if len(p) < minFilter || len(p) > maxFilter || !filterRule.MatchString(p) {
			return fault.BadParameter("filter", "must be the beginning of a repository name, 2 to 256 characters long")
		}
	}
	return nil
}

// invalid is a value that breaks a constraint of the configuration.
func invalid(format string, args ...any) error {
	return fault.BadParameter("replicationConfiguration", fmt.Sprintf(format, args...))
}
