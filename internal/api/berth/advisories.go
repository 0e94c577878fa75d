package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// ListAdvisorySourcesInput asks how new the advisories are.
type ListAdvisorySourcesInput struct{}

// ListAdvisorySourcesOutput is all sources that have been imported, and the newest imports.
type ListAdvisorySourcesOutput struct {
	Origin       *string // where the server fetches them; absent: nowhere
	EverySeconds *int64  // 0: only when somebody asks
	Sources      []AdvisorySource
	Imports      []AdvisoryImport // newest first
}

// AdvisorySource is one of OSV's ecosystems, or kev, epss or cvss.
type AdvisorySource struct {
	Name       *string
	Origin     *string
	Revision   *int64
	Advisories *int64
	ModifiedAt *time.Time // when the newest of them was changed by its publisher
	ImportedAt *time.Time // when something changed here
	CheckedAt  *time.Time // as of when they are
}

// UpdateAdvisoriesInput asks for an import from where the server has its advisories.
type UpdateAdvisoriesInput struct {
	Force *bool // also what has shrunk or is older; false if absent
}

// UpdateAdvisoriesOutput is the import, which waits.
type UpdateAdvisoriesOutput struct {
	Import *AdvisoryImport
}

// ImportAdvisoriesInput asks for an import of an archive that has been pushed.
type ImportAdvisoriesInput struct {
	RepositoryName *string // required
	Digest         *string // required: of the archive's blob
	Force          *bool   // also what has shrunk or is older; false if absent
}

// ImportAdvisoriesOutput is the import, which waits.
type ImportAdvisoriesOutput struct {
	Import *AdvisoryImport
}

// AdvisoryImport is one import.
type AdvisoryImport struct {
	ImportId       *int64  //nolint:revive // named as on the wire
	RepositoryName *string // absent: from where the server has its advisories
	Digest         *string
	Force          *bool
	Actor          *string // the ARN of who asked; absent: it was time
	RequestedAt    *time.Time
	EndedAt        *time.Time // absent while it waits or is under way
	Attempts       *int64
	Outcomes       []AdvisoryOutcome
}

// AdvisoryOutcome is what an import did to a source.
type AdvisoryOutcome struct {
	Source    *string // absent where the import did not come so far
	Added     *int64
	Changed   *int64
	Removed   *int64
	Untouched *int64
	Rejected  *int64  // entries that could not be read
	Rejection *string // why the first of them
	Skipped   *bool   // another import was at it, or had just been
	Failure   *string // why nothing has changed
}

func (f face) listAdvisorySources(ctx context.Context, call awswire.Call, _ *ListAdvisorySourcesInput) (*ListAdvisorySourcesOutput, error) {
	s, err := f.advisories.Status(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	out := &ListAdvisorySourcesOutput{
		Origin: optional(s.Origin), EverySeconds: aws.Int64(int64(s.Every / time.Second)), Sources: []AdvisorySource{}, Imports: []AdvisoryImport{},
	}
	for _, o := range s.Sources {
		out.Sources = append(out.Sources, advisorySource(o))
	}
	for _, i := range s.Imports {
		out.Imports = append(out.Imports, *advisoryImport(i))
	}
	return out, nil
}

func advisorySource(o advisory.Source) AdvisorySource {
	return AdvisorySource{
		Name: &o.Name, Origin: optional(o.Origin), Revision: &o.Revision, Advisories: &o.Advisories,
		ModifiedAt: known(o.ModifiedAt), ImportedAt: known(o.ImportedAt), CheckedAt: known(o.CheckedAt),
	}
}

func (f face) updateAdvisories(ctx context.Context, call awswire.Call, in *UpdateAdvisoriesInput) (*UpdateAdvisoriesOutput, error) {
	i, err := f.advisories.Update(ctx, call.Caller, aws.ToBool(in.Force))
	if err != nil {
		return nil, err
	}
	return &UpdateAdvisoriesOutput{Import: advisoryImport(i)}, nil
}

func (f face) importAdvisories(ctx context.Context, call awswire.Call, in *ImportAdvisoriesInput) (*ImportAdvisoriesOutput, error) {
	const missing = "Member must not be null"
	switch {
	case in.RepositoryName == nil:
		return nil, fault.BadParameter("repositoryName", missing)
	case in.Digest == nil:
		return nil, fault.BadParameter("digest", missing)
	}
	repository, err := oci.ParseRepositoryName(*in.RepositoryName)
	if err != nil {
		return nil, err
	}
	d, err := oci.ParseDigest(*in.Digest)
	if err != nil {
		return nil, err
	}
	i, err := f.advisories.Import(ctx, call.Caller, repository, d, aws.ToBool(in.Force))
	if err != nil {
		return nil, err
	}
	return &ImportAdvisoriesOutput{Import: advisoryImport(i)}, nil
}

func advisoryImport(i scan.AdvisoryImport) *AdvisoryImport {
	out := &AdvisoryImport{
		ImportId: &i.ID, RepositoryName: optional(i.Repository), Digest: optional(i.Digest.String()), Force: &i.Force, Actor: optional(i.Actor),
		RequestedAt: &i.RequestedAt, EndedAt: known(i.EndedAt), Attempts: aws.Int64(int64(i.Attempts)), Outcomes: []AdvisoryOutcome{},
	}
	for _, o := range i.Outcomes {
		out.Outcomes = append(out.Outcomes, AdvisoryOutcome{
			Source: optional(o.Source), Added: aws.Int64(int64(o.Added)), Changed: aws.Int64(int64(o.Changed)), Removed: aws.Int64(int64(o.Removed)),
			Untouched: aws.Int64(int64(o.Untouched)), Rejected: aws.Int64(int64(o.Rejected)), Rejection: optional(o.Rejection),
			Skipped: &o.Skipped, Failure: optional(o.Failure),
		})
	}
	return out
}

// known leaves out a time that never was.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
