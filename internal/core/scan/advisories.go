package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// AdvisoryImports are the imports that were asked for: rows, so that an import of any size goes on without whoever asked, and
// after a crash.
type AdvisoryImports interface {
	// AddAdvisoryImport adds one, due at once, and forgets all but the newest that have ended.
	AddAdvisoryImport(ctx context.Context, i AdvisoryImport) (AdvisoryImport, error)
	// AdvisoryImports gives the newest, newest first.
	AdvisoryImports(ctx context.Context, limit int) ([]AdvisoryImport, error)
	// ClaimAdvisoryImport takes the oldest that is due, counts the attempt and makes it due again at a time, in case whoever took it
	// does not come back.
	ClaimAdvisoryImport(ctx context.Context, now, again time.Time) (AdvisoryImport, bool, error)
	// SettleAdvisoryImport stores an import's EndedAt, DueAt and Outcomes, unless it has ended.
	SettleAdvisoryImport(ctx context.Context, i AdvisoryImport) error
}

// AdvisoryImport is one import that was asked for.
type AdvisoryImport struct {
	ID          int64
	Repository  string     // where the archive is; empty: from where this server has its advisories
	Digest      oci.Digest // of the archive's blob
	Force       bool
	Actor       string // ARN; empty: it was time
	RequestedAt time.Time
	DueAt       time.Time // zero: it has ended
	EndedAt     time.Time
	Attempts    int
	Outcomes    []AdvisoryOutcome
}

// AdvisoryOutcome is what an import did to one source, or why nothing (Source is empty where it did not come so far).
type AdvisoryOutcome struct {
	Source    string `json:"source,omitempty"`
	Added     int    `json:"added,omitempty"`
	Changed   int    `json:"changed,omitempty"`
	Removed   int    `json:"removed,omitempty"`
	Untouched int    `json:"untouched,omitempty"`
	Rejected  int    `json:"rejected,omitempty"`
	Rejection string `json:"rejection,omitempty"`
	Skipped   bool   `json:"skipped,omitempty"`
	Failure   string `json:"failure,omitempty"`
}

// AdvisoryStatus is what this server knows advisories from, and how new they are.
type AdvisoryStatus struct {
	Origin  string        // empty: it fetches none by itself
	Every   time.Duration // 0: only when asked
	Sources []advisory.Source
	Imports []AdvisoryImport // the newest, newest first
}

// AdvisoriesConfig is what Advisories is made of. Origin, Wake and Changed may be nil.
type AdvisoriesConfig struct {
	Registry *registry.Registry
	Store    advisory.Store
	Imports  AdvisoryImports
	Origin   advisory.Origin // where the server fetches from
	Every    time.Duration   // 0: only when asked
	Temp     string          // a directory for what an import has to put down
	Now      func() time.Time
	Wake     func() // called when there is something to import
	Changed  func() // called when advisories have changed
}

// Advisories imports advisories, and tells how old they are.
type Advisories struct{ c AdvisoriesConfig }

// NewAdvisories makes it.
func NewAdvisories(c AdvisoriesConfig) *Advisories {
	now := c.Now
	c.Now = func() time.Time { return now().UTC().Truncate(time.Microsecond) }
	if c.Wake == nil {
		c.Wake = func() {}
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	return &Advisories{c}
}

const (
	shownImports   = 20
	importAgain    = 15 * time.Minute // an import that has not said a word for so long is dead
	importAttempts = 5
	pruneRows      = 500
)

// Status tells from where advisories are, how old, and what the last imports did (ecr:GetRegistryScanningConfiguration).
func (a *Advisories) Status(ctx context.Context, caller identity.Caller) (AdvisoryStatus, error) {
	if err := a.c.Registry.May(ctx, caller, policy.GetRegistryScanningConfiguration, ""); err != nil {
		return AdvisoryStatus{}, err
	}
	s := AdvisoryStatus{Every: a.c.Every}
	if a.c.Origin != nil {
		s.Origin = a.c.Origin.String()
	}
	var err error
	if s.Sources, err = a.c.Store.AdvisorySources(ctx); err != nil {
		return AdvisoryStatus{}, err
	}
	s.Imports, err = a.c.Imports.AdvisoryImports(ctx, shownImports)
	return s, err
}

// Update asks for an import from where this server has its advisories, now (ecr:PutRegistryScanningConfiguration).
func (a *Advisories) Update(ctx context.Context, caller identity.Caller, force bool) (AdvisoryImport, error) {
	if err := a.c.Registry.May(ctx, caller, policy.PutRegistryScanningConfiguration, ""); err != nil {
		return AdvisoryImport{}, err
	}
	if a.c.Origin == nil {
		return AdvisoryImport{}, fault.New(fault.RegistrySettingInvalid, "this server fetches no advisories: import an archive of them, or set 'advisories' in its configuration")
	}
	return a.add(ctx, AdvisoryImport{Force: force, Actor: caller.ARN})
}

// Import asks for an import of an archive that has been pushed to a repository, by the digest of its blob
// (ecr:PutRegistryScanningConfiguration, and ecr:GetDownloadUrlForLayer on the repository).
func (a *Advisories) Import(ctx context.Context, caller identity.Caller, repository string, d oci.Digest, force bool) (AdvisoryImport, error) {
	if err := a.c.Registry.May(ctx, caller, policy.PutRegistryScanningConfiguration, ""); err != nil {
		return AdvisoryImport{}, err
	}
	if _, err := a.c.Registry.Layer(ctx, caller, repository, d); err != nil {
		return AdvisoryImport{}, err
	}
	return a.add(ctx, AdvisoryImport{Repository: repository, Digest: d, Force: force, Actor: caller.ARN})
}

func (a *Advisories) add(ctx context.Context, i AdvisoryImport) (AdvisoryImport, error) {
	i.RequestedAt = a.c.Now()
	i.DueAt = i.RequestedAt
	i, err := a.c.Imports.AddAdvisoryImport(ctx, i)
	if err == nil {
		a.c.Wake()
	}
	return i, err
}

// Once does the import that is due, if there is one.
func (a *Advisories) Once(ctx context.Context) (more bool, err error) {
	if err := a.plan(ctx); err != nil {
		return false, err
	}
	now := a.c.Now()
	i, ok, err := a.c.Imports.ClaimAdvisoryImport(ctx, now, now.Add(importAgain))
	if err != nil || !ok {
		return false, err
	}
	outcomes, err := a.run(ctx, i)
	if ctx.Err() != nil {
		i.DueAt = a.c.Now() // the server stops: whoever is next goes on
		return false, a.settle(ctx, i)
	}
	i.Outcomes, i.DueAt, i.EndedAt = outcomesOf(outcomes, err), time.Time{}, a.c.Now()
	for _, o := range outcomes {
		if o.Skipped && i.Repository != "" && i.Attempts < importAttempts { // another import was at it
			i.DueAt, i.EndedAt = a.c.Now().Add(time.Minute), time.Time{}
		}
	}
	if settled := a.settle(ctx, i); settled != nil {
		return false, settled
	}
	if err != nil {
		return false, fmt.Errorf("importing advisories: %w", err)
	}
	return true, nil
}

func (a *Advisories) settle(ctx context.Context, i AdvisoryImport) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return a.c.Imports.SettleAdvisoryImport(ctx, i)
}

// plan asks for an update when it is time. That two servers do so at once does no harm: the second finds that all has been looked
// at.
func (a *Advisories) plan(ctx context.Context) error {
	if a.c.Origin == nil || a.c.Every <= 0 {
		return nil
	}
	last, err := a.c.Imports.AdvisoryImports(ctx, shownImports)
	if err != nil {
		return err
	}
	for _, i := range last {
		if i.Repository == "" && a.c.Now().Sub(i.RequestedAt) < a.c.Every {
			return nil
		}
	}
	_, err = a.add(ctx, AdvisoryImport{})
	return err
}

// run does one import.
func (a *Advisories) run(ctx context.Context, i AdvisoryImport) ([]advisory.Outcome, error) {
	if i.Attempts > importAttempts {
		return nil, errors.New("it was tried too often, and never came to an end")
	}
	origin := a.c.Origin
	options := advisory.Options{Force: i.Force, Now: a.c.Now, Ring: a.c.Changed}
	if i.Repository != "" {
		origin = a.archive(i)
	} else if i.Actor == "" {
		options.Recent = i.RequestedAt.Add(-a.c.Every / 2)
	}
	if origin == nil {
		return nil, errors.New("this server fetches no advisories any more")
	}
	return advisory.Import(ctx, &renewing{Store: a.c.Store, imports: a.c.Imports, row: i, now: a.c.Now}, origin, options)
}

// archive is an archive in this registry. That it may be read was asked when the import was asked for.
func (a *Advisories) archive(i AdvisoryImport) advisory.Archive {
	self := identity.Service(a.c.Registry.ID(), "scan")
	return advisory.Archive{
		Name: i.Repository + "@" + i.Digest.String(), Temp: a.c.Temp,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			content, err := a.c.Registry.Layer(ctx, self, i.Repository, i.Digest)
			if err != nil {
				return nil, err
			}
			return content.Open(ctx, 0, content.Size)
		},
	}
}

// renewing has an import stay claimed for as long as it writes.
type renewing struct {
	advisory.Store
	imports AdvisoryImports
	row     AdvisoryImport
	now     func() time.Time
	last    time.Time
}

// BeginAdvisories implements advisory.Store.
func (r *renewing) BeginAdvisories(ctx context.Context, source string, now, until time.Time) (advisory.Claim, error) {
	if err := r.renew(ctx); err != nil {
		return advisory.Claim{}, err
	}
	return r.Store.BeginAdvisories(ctx, source, now, until)
}

// PutAdvisories implements advisory.Store.
func (r *renewing) PutAdvisories(ctx context.Context, c advisory.Claim, b advisory.Batch, until time.Time) error {
	if err := r.renew(ctx); err != nil {
		return err
	}
	return r.Store.PutAdvisories(ctx, c, b, until)
}

func (r *renewing) renew(ctx context.Context) error {
	now := r.now()
	if now.Sub(r.last) < time.Minute {
		return nil
	}
	r.last = now
	row := r.row
	row.DueAt = now.Add(importAgain)
	return r.imports.SettleAdvisoryImport(ctx, row)
}

func outcomesOf(all []advisory.Outcome, err error) []AdvisoryOutcome {
	var outcomes []AdvisoryOutcome
	told := false
	for _, o := range all {
		out := AdvisoryOutcome{
			Source: o.Source.Name, Added: o.Added, Changed: o.Changed, Removed: o.Removed, Untouched: o.Untouched,
			Rejected: o.Rejected, Rejection: o.Rejection, Skipped: o.Skipped,
		}
		if o.Err != nil {
			told, out.Failure = true, o.Err.Error()
			out.Added, out.Changed, out.Removed = 0, 0, 0
		}
		outcomes = append(outcomes, out)
	}
	if err != nil && !told {
		outcomes = append(outcomes, AdvisoryOutcome{Failure: err.Error()})
	}
	return outcomes
}

// PruneOnce deletes some of the advisories that count no more.
func (a *Advisories) PruneOnce(ctx context.Context) (more bool, err error) {
	sources, err := a.c.Store.AdvisorySources(ctx)
	if err != nil {
		return false, err
	}
	for _, s := range sources {
		n, err := a.c.Store.PruneAdvisories(ctx, s.Name, pruneRows)
		if err != nil {
			return false, err
		}
		more = more || n == pruneRows
	}
	return more, nil
}
