package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// settingScanning holds the registry's Scanning.
const settingScanning SettingName = "scanning"

// SettingScanRequests holds a ScanRequests, while images that are there are to be scanned for a new configuration.
const SettingScanRequests SettingName = "scan-requests"

// ScanRequests is how far it has come that images which are there are scanned.
type ScanRequests struct {
	After int64 // images up to this id have been looked at
}

// ScanKind is by what means images are scanned. Each keeps scans of its own.
type ScanKind string

// The kinds.
const (
	Basic    ScanKind = "BASIC"    // the packages of the operating system
	Enhanced ScanKind = "ENHANCED" // those of languages too, and again when there is news
)

// ScanFrequency is when an image is scanned.
type ScanFrequency string

// The frequencies.
const (
	ScanManual     ScanFrequency = "MANUAL"
	ScanOnPush     ScanFrequency = "SCAN_ON_PUSH"
	ScanContinuous ScanFrequency = "CONTINUOUS_SCAN"
)

// Scanning is the registry's choice of what is scanned, and when.
type Scanning struct {
	Kind  ScanKind
	Rules []ScanRule
}

// ScanRule gives the repositories that match one of its filters a frequency. A filter without * matches names that
// contain it; one with * matches whole names, the * standing for any run of characters.
type ScanRule struct {
	Frequency ScanFrequency
	Filters   []string
}

// Limits of a scanning configuration.
const (
	maxScanRules   = 2
	maxScanFilters = 100 // of a rule
	maxScanFilter  = 255 // characters
)

const scanFilter = `^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$`

var scanFilterRule = regexp.MustCompile(scanFilter)

// check holds a configuration to ECR's rules.
func (s Scanning) check() error {
	allowed := []ScanFrequency{ScanOnPush, ScanManual}
	switch s.Kind {
	case Basic:
	case Enhanced:
		allowed = []ScanFrequency{ScanOnPush, ScanContinuous}
	default:
		return fault.BadParameter("scanType", "Member must satisfy enum value set: [BASIC, ENHANCED]")
	}
	if len(s.Rules) > maxScanRules {
		return fault.BadParameter("rules", fmt.Sprintf("Member must have length less than or equal to %d", maxScanRules))
	}
	for i, rule := range s.Rules {
		at := fmt.Sprintf("rules.%d.member.", i+1)
		if !slices.Contains(allowed, rule.Frequency) {
			return fault.New(fault.RegistrySettingInvalid, "the scan type %s has the frequencies %s and %s, not '%s'", s.Kind, allowed[0], allowed[1], rule.Frequency)
		}
		if len(rule.Filters) > maxScanFilters {
			return fault.BadParameter(at+"repositoryFilters", fmt.Sprintf("Member must have length less than or equal to %d", maxScanFilters))
		}
		for j, filter := range rule.Filters {
			if len(filter) > maxScanFilter || !scanFilterRule.MatchString(filter) {
				return fault.BadParameter(fmt.Sprintf("%srepositoryFilters.%d.member.filter", at, j+1),
					fmt.Sprintf("must have 1 to %d characters and satisfy regular expression '%s'", maxScanFilter, scanFilter))
			}
		}
	}
	return nil
}

// RepositoryScanning is what a registry's scanning configuration comes to for one repository.
type RepositoryScanning struct {
	Repository Repository
	Frequency  ScanFrequency
	OnPush     bool     // images are scanned when they are pushed, be it once or as the first of many times
	Filters    []string // the filters that led there; none when it is the repository's own setting, or nobody's
}

// Of tells what the configuration comes to for a repository. Continuous scanning beats scanning on push. The
// repository's own setting counts as long as scanning is basic.
func (s Scanning) Of(repo Repository) RepositoryScanning {
	out := RepositoryScanning{Repository: repo, Frequency: ScanManual}
	for _, frequency := range []ScanFrequency{ScanContinuous, ScanOnPush} {
		for _, rule := range s.Rules {
			if rule.Frequency == frequency {
				out.Filters = append(out.Filters, matchingFilters(rule.Filters, repo.Name)...)
			}
		}
		if len(out.Filters) > 0 {
			out.Frequency, out.OnPush = frequency, true
			return out
		}
	}
	if s.Kind == Basic && repo.ScanOnPush {
		out.Frequency, out.OnPush = ScanOnPush, true
	}
	return out
}

func matchingFilters(filters []string, repository string) []string {
	var matching []string
	for _, f := range filters {
		if !strings.Contains(f, "*") && strings.Contains(repository, f) || MatchWildcard(f, repository) {
			matching = append(matching, f)
		}
	}
	return matching
}

// Scanning gives the registry's scanning configuration (ecr:GetRegistryScanningConfiguration): basic without rules
// until it is put.
func (r *Registry) Scanning(ctx context.Context, caller identity.Caller) (Scanning, error) {
	if err := r.authorize(ctx, caller, policy.GetRegistryScanningConfiguration, policy.AnyResource); err != nil {
		return Scanning{}, err
	}
	return ReadScanning(ctx, r.store.Read())
}

// ReadScanning reads the registry's scanning configuration.
func ReadScanning(ctx context.Context, q SettingQueries) (Scanning, error) {
	s := Scanning{Kind: Basic}
	_, err := ReadSetting(ctx, q, settingScanning, &s)
	return s, err
}

// PutScanning replaces the registry's scanning configuration (ecr:PutRegistryScanningConfiguration). Images that are
// there and fall under its rules are scanned for it in a while where the kind of scan is enhanced, or another one than before: a
// basic scan of them by hand would be all that there is, and of enhanced ones not even that.
func (r *Registry) PutScanning(ctx context.Context, caller identity.Caller, s Scanning) error {
	if err := r.authorize(ctx, caller, policy.PutRegistryScanningConfiguration, policy.AnyResource); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	err := r.store.Update(ctx, func(tx Tx) error {
		before, err := ReadScanning(ctx, tx)
		if err != nil {
			return err
		}
		if s.Kind == Enhanced || s.Kind != before.Kind {
			if err := WriteSetting(ctx, tx, SettingScanRequests, ScanRequests{}, r.now()); err != nil {
				return err
			}
		}
		return WriteSetting(ctx, tx, settingScanning, s, r.now())
	})
	if err == nil && r.scans.Wanted != nil {
		r.scans.Wanted()
	}
	return err
}

// RepositoryScannings tells what the configuration comes to for each repository
// (ecr:BatchGetRepositoryScanningConfiguration). The names of those that are not there come back as missing.
func (r *Registry) RepositoryScannings(ctx context.Context, caller identity.Caller, names []string) (found []RepositoryScanning, missing []string, err error) {
	const action = policy.BatchGetRepositoryScanningConfiguration
	for _, name := range names {
		if err := r.onRepository(ctx, caller, name, action); err != nil {
			return nil, nil, err
		}
	}
	if len(names) == 0 {
		return nil, nil, r.authorize(ctx, caller, action, policy.AnyResource)
	}
	q := r.store.Read()
	scanning, err := ReadScanning(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		repo, err := r.repository(ctx, q, name)
		switch {
		case errors.Is(err, fault.RepositoryNotFound):
			missing = append(missing, name)
		case err != nil:
			return nil, nil, err
		default:
			found = append(found, scanning.Of(repo))
		}
	}
	return found, missing, nil
}
