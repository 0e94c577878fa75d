package lifecycle

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// previewClaim is longer than working out a preview takes, and bounds how long a crash delays it.
	previewClaim = time.Minute
	// maxAttempts is after how many attempts that came to nothing a preview has failed.
	maxAttempts = 5
	// previewLife is how long a preview's results are kept.
	previewLife = 24 * time.Hour
	// resultsAtOnce is how many results go into one transaction, or come from one query.
	resultsAtOnce = 5000
	// MaxPreviewPage is the largest page of results that ECR gives, and the usual one.
	MaxPreviewPage = 100
	// maxResultsPage is the largest page of results that there is.
	maxResultsPage = 1000
)

// StartPreview has a policy, or the repository's own where text is nil, evaluated without doing what it says
// (ecr:StartLifecyclePolicyPreview). It gives the policy's text. A repository has one preview, its last: while that is not
// done, the answer is fault.PreviewInProgress.
func (s *Service) StartPreview(ctx context.Context, caller identity.Caller, repository string, text *string) (string, error) {
	if err := s.Registry.May(ctx, caller, policy.StartLifecyclePolicyPreview, repository); err != nil {
		return "", err
	}
	if text != nil {
		if _, err := s.parse(*text); err != nil {
			return "", err
		}
	}
	q := s.Store.Read()
	repo, err := s.repository(ctx, q, repository)
	if err != nil {
		return "", err
	}
	if text == nil {
		stored, err := s.policyOf(ctx, q, repo)
		if err != nil {
			return "", err
		}
		text = &stored.Text
	}
	started, err := s.Rows.StartPreview(ctx, repo.ID, *text, s.Now())
	switch {
	case errors.Is(err, registry.ErrConflict): // deleted a moment ago
		return "", s.Registry.RepositoryNotFound(repository, s.Registry.ID())
	case err != nil:
		return "", fmt.Errorf("starting a lifecycle policy preview of %s: %w", repository, err)
	case !started:
		return "", fault.New(fault.PreviewInProgress,
			"A lifecycle policy preview is already in progress for the repository with name '%s' in the registry with id '%s'", repository, s.Registry.ID())
	}
	if s.NotifyPreview != nil {
		s.NotifyPreview()
	}
	return *text, nil
}

// Extent says results about which images are wanted.
type Extent string

// The extents.
const (
	Acted      Extent = "acted" // those to which the policy would do something
	Kept       Extent = "kept"  // those that stay as they are
	Everything Extent = "all"   // the one, then the other
)

// PreviewQuery says which results of a preview are wanted.
type PreviewQuery struct {
	Extent Extent // empty means Acted; of no meaning with IDs, which are of Acted
	Tags   registry.TagStatus
	IDs    []registry.ImageID // where not nil, these images only, on one page
	Limit  int                // 0 means MaxPreviewPage; 1000 is the most
	Token  string             // of the page before
}

// PreviewPage is a preview with some of its results, those of one extent oldest image first. Next is empty on the last page.
type PreviewPage struct {
	Preview
	Results []Result
	Next    string
}

// Preview gives the repository's last preview (ecr:GetLifecyclePolicyPreview), or fault.PreviewNotFound. Results
// are there when it is complete.
func (s *Service) Preview(ctx context.Context, caller identity.Caller, repository string, pq PreviewQuery) (PreviewPage, error) {
	if err := s.Registry.May(ctx, caller, policy.GetLifecyclePolicyPreview, repository); err != nil {
		return PreviewPage{}, err
	}
	repo, err := s.repository(ctx, s.Store.Read(), repository)
	if err != nil {
		return PreviewPage{}, err
	}
	p, err := s.Rows.Preview(ctx, repo.ID)
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return PreviewPage{}, fault.New(fault.PreviewNotFound,
			"Lifecycle policy preview does not exist for the repository with name '%s' in the registry with id '%s'", repository, s.Registry.ID())
	case err != nil:
		return PreviewPage{}, fmt.Errorf("reading the lifecycle policy preview of %s: %w", repository, err)
	}
	if p.Status == Complete && s.Now().Sub(p.EndedAt) > previewLife {
		p.Status = Expired
	}
	page := PreviewPage{Preview: p}
	after, err := afterToken(p.ID, pq.Token)
	if err != nil || p.Status != Complete {
		return page, err
	}
	if pq.IDs != nil {
		page.Results, err = s.resultsByID(ctx, p, pq)
		return page, err
	}
	if pq.Extent == Kept {
		after = max(after, p.lastActed())
	}
	limit := min(cmp.Or(max(pq.Limit, 0), MaxPreviewPage), maxResultsPage)
	page.Results, err = s.Rows.Results(ctx, p.ID, pq.Tags, after, limit+1)
	if err != nil {
		return PreviewPage{}, fmt.Errorf("reading the lifecycle policy preview of %s: %w", repository, err)
	}
	if pq.Extent == Acted || pq.Extent == "" {
		page.Results = p.acting(page.Results)
	}
	if len(page.Results) > limit {
		page.Results = page.Results[:limit]
		page.Next = token(p.ID, page.Results[limit-1].Seq)
	}
	return page, nil
}

// acting leaves out what stays as it is.
func (p Preview) acting(results []Result) []Result {
	return results[:sort.Search(len(results), func(i int) bool { return results[i].Seq > p.lastActed() })]
}

// lastActed is the place of the last result about an image to which something would be done.
func (p Preview) lastActed() int64 { return int64(p.Summary.Expiring + p.Summary.Transitioning) }

// resultsByID gives the results about some images. Those to which nothing happens have none.
func (s *Service) resultsByID(ctx context.Context, p Preview, pq PreviewQuery) ([]Result, error) {
	for _, id := range pq.IDs {
		if id.Tag == "" && id.Digest == "" {
			return nil, fault.New(fault.ImageIDMissing, "Invalid request parameters: both tag and digest cannot be null")
		}
	}
	asked := func(r Result) bool {
		return slices.ContainsFunc(pq.IDs, func(id registry.ImageID) bool {
			return (id.Digest == "" || id.Digest == r.Digest.String()) && (id.Tag == "" || slices.Contains(r.Tags, id.Tag))
		})
	}
	var found []Result
	for after := int64(0); ; {
		some, err := s.Rows.Results(ctx, p.ID, pq.Tags, after, resultsAtOnce)
		if err != nil {
			return nil, fmt.Errorf("reading a lifecycle policy preview: %w", err)
		}
		some = p.acting(some)
		for _, r := range some {
			after = r.Seq
			if asked(r) {
				found = append(found, r)
			}
		}
		if len(some) < resultsAtOnce {
			return found, nil
		}
	}
}

// token says after which result of which preview a page begins. Like the registry's own, it is no right.
func token(preview, seq int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "preview/%d/%d", preview, seq))
}

func afterToken(preview int64, t string) (int64, error) {
	if t == "" {
		return 0, nil
	}
	bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
	bad.Code = fault.PageTokenInvalid
	b, err := base64.RawURLEncoding.DecodeString(t)
	if err != nil {
		return 0, bad
	}
	rest, ok := strings.CutPrefix(string(b), fmt.Sprintf("preview/%d/", preview))
	seq, err := strconv.ParseInt(rest, 10, 64)
	if !ok || err != nil || seq < 1 || token(preview, seq) != t {
		return 0, bad
	}
	return seq, nil
}

// PreviewOnce works out one preview that was started, and tells whether there may be more. One that a crash has
// interrupted begins anew a minute later.
func (s *Service) PreviewOnce(ctx context.Context) (more bool, err error) {
	now := s.Now()
	if err := s.Rows.ExpirePreviews(ctx, now.Add(-previewLife), 1); err != nil {
		return false, fmt.Errorf("clearing old lifecycle policy previews: %w", err)
	}
	c, err := s.Rows.ClaimPreview(ctx, now, now.Add(previewClaim))
	switch {
	case errors.Is(err, registry.ErrNoRow), errors.Is(err, registry.ErrConflict):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking for lifecycle policy previews: %w", err)
	}
	sum, err := s.workOut(ctx, c)
	switch {
	case err == nil:
		err = s.Rows.EndPreview(ctx, c, Complete, sum, s.Now())
	case errors.Is(err, registry.ErrConflict): // it was another's meanwhile, or is gone
		return true, nil
	case c.Attempts >= maxAttempts:
		err = errors.Join(err, s.Rows.EndPreview(ctx, c, Failed, Summary{}, s.Now()))
	}
	if err != nil {
		return false, fmt.Errorf("previewing the lifecycle policy of %s: %w", c.Repository, err)
	}
	return true, nil
}

// workOut evaluates a preview's policy and stores what comes of it: first what is done, in its order, then what stays,
// oldest first.
func (s *Service) workOut(ctx context.Context, c Claim) (Summary, error) {
	e, err := s.evaluate(ctx, c)
	if err != nil {
		return Summary{}, err
	}
	var sum Summary
	out := results{rows: s.Rows, claim: c, at: e.at}
	for _, d := range e.doings() {
		if d.verdict.Action.Type == Expire {
			sum.Expiring++
		} else {
			sum.Transitioning++
		}
		if err := out.add(ctx, d); err != nil {
			return Summary{}, err
		}
	}
	for _, i := range slices.Backward(youngestFirst(e.images)) {
		if e.verdicts[i].Acts() {
			continue
		}
		if err := out.add(ctx, doing{&e.images[i], &e.verdicts[i]}); err != nil {
			return Summary{}, err
		}
	}
	return sum, out.flush(ctx)
}

// results stores a preview's results some at a time.
type results struct {
	rows  PreviewStore
	claim Claim
	at    time.Time
	seq   int64
	some  []Result
}

func (r *results) add(ctx context.Context, d doing) error {
	r.seq++
	r.some = append(r.some, Result{
		Seq: r.seq, Digest: d.image.Digest, Tags: d.image.Tags, PushedAt: d.image.PushedAt, Class: d.image.class(),
		Action: d.verdict.Action.Type, Rule: d.verdict.Rule, Reason: d.verdict.Reason, Why: d.verdict.Sentence(r.at),
	})
	if len(r.some) < resultsAtOnce {
		return nil
	}
	return r.flush(ctx)
}

func (r *results) flush(ctx context.Context) error {
	if len(r.some) == 0 {
		return nil
	}
	err := r.rows.AddResults(ctx, r.claim, r.some)
	r.some = r.some[:0]
	return err
}
