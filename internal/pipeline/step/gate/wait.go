package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
)

// How often is asked: soon at first, then less and less often.
const (
	firstPause = time.Second
	lastPause  = 15 * time.Second
)

// noScanner is how a Berth without a scanner begins to say why every scan fails.
const noScanner = "This registry has no scanner"

// waiting is the wait for the scan of one image.
type waiting struct {
	gate       *Gate
	repository string
	image      *ScannedImage
	task       *progress.Task

	now    bool             // it is not waited
	asked  bool             // a scan was asked for, or tried to be
	failed int              // how many requests in a row failed in a way that another time may not
	absent string           // why there is none, where nobody can ask for one
	appear <-chan time.Time // when it is not waited for one to begin any longer; nil: not at all
}

// errTimeout says that a scan is not waited for any longer.
var errTimeout = errors.New("the scan takes too long")

// wait gives what is found of an image, or notes on the image why it is not scanned; then it gives what is known all the same.
func (w *waiting) wait(ctx context.Context) (*scan.Report, error) {
	r, err := w.scanned(ctx)
	if r == nil && err == nil {
		r, err = w.known(ctx)
	}
	return r, err
}

// scanned gives what is found of an image that is scanned.
func (w *waiting) scanned(ctx context.Context) (*scan.Report, error) {
	within, stop := context.WithTimeoutCause(ctx, w.gate.c.Timeout, errTimeout)
	defer stop()
	pause := firstPause
	for {
		found, err := w.look(within)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx) //nolint:wrapcheck // whoever stopped it says why
		case within.Err() != nil:
			w.timedOut()
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("asking for the scan of %s: %w", w.image.Name(), err)
		case found != nil:
			return found, nil
		case w.image.Unscanned != "":
			return nil, nil
		case w.now:
			w.image.Unscanned = "no scan of it has begun"
			if w.image.Status != "" {
				w.image.Unscanned = fmt.Sprintf("its scan is not done (%s)", w.image.Status)
			}
			return nil, nil
		}
		select {
		case <-within.Done():
		case <-w.appear:
			w.image.Unscanned = w.absent
			return nil, nil
		case <-time.After(pause):
		}
		pause = min(pause+pause/2, lastPause)
	}
}

func (w *waiting) timedOut() {
	w.image.Unscanned = fmt.Sprintf("no scan of it has begun after %v", w.gate.c.Timeout)
	if w.image.Status != "" {
		w.image.Unscanned = fmt.Sprintf("its scan is not done after %v (%s)", w.gate.c.Timeout, w.image.Status)
	}
}

// look asks once how far the scan is. It gives what is found if it is done, and nil if it is not, or never will be.
func (w *waiting) look(ctx context.Context) (*scan.Report, error) {
	in := &ecr.DescribeImageScanFindingsInput{
		RepositoryName: &w.repository, ImageId: &types.ImageIdentifier{ImageDigest: aws.String(w.image.Digest.String())}, MaxResults: aws.Int32(1000), //nolint:mnd // at most
	}
	var all scan.Pages
	pages := map[string]bool{}
	for {
		out, raw := w.gate.c.API.DescribeImageScanFindings(ctx, in)
		if raw != nil {
			return nil, w.refused(ctx, raw)
		}
		w.failed = 0
		if done, err := w.take(ctx, out.ImageScanStatus); !done || err != nil {
			return nil, err
		}
		if len(pages) == 0 {
			if told, err := w.told(ctx); told != nil || err != nil {
				return told, err
			}
		}
		if out.ImageScanFindings == nil {
			w.image.Unscanned = "the registry says that it is scanned, and does not say what was found"
			return nil, nil
		}
		all.Add(out.ImageScanFindings)
		next := aws.ToString(out.NextToken)
		if next == "" {
			break
		}
		if pages[next] {
			return nil, errors.New("the server gives the same page of findings again and again")
		}
		pages[next], in.NextToken = true, &next
	}
	return w.note(all.Report()), nil
}

// refused reads why the registry does not tell of a scan.
func (w *waiting) refused(ctx context.Context, raw error) error {
	switch err := platform.Plain(raw); {
	case platform.Refused(err, "ScanNotFoundException"):
		return w.ask(ctx, "")
	case platform.Refused(err, "UnsupportedImageTypeException"):
		w.image.Unscanned = notAnImage
		return nil
	case platform.Refused(err, "ImageArchivedException"):
		w.image.Unscanned = archived
		return nil
	case platform.Refused(err, "ImageNotFoundException") && w.image.Platform != "":
		w.image.Unscanned = "the index names it, and the repository does not have it"
		return nil
	default:
		return w.bear(raw)
	}
}

// told gives what a Berth tells, and nil where the registry is none.
func (w *waiting) told(ctx context.Context) (*scan.Report, error) {
	berth := w.gate.c.Berth
	if berth == nil {
		return nil, nil
	}
	all, err := berth.Findings(ctx, w.repository, platform.ImageID{Digest: w.image.Digest.String()})
	switch {
	case platform.Unknown(err):
		return nil, nil
	case err != nil:
		return nil, w.bear(err)
	}
	return w.note(scan.FromBerth(all)), nil
}

// known gives what a Berth knows of an image whose scan is not as it should be: what was found before a limit, or without advisories of
// its operating system, is worth seeing, and stops an image as everything else.
func (w *waiting) known(ctx context.Context) (*scan.Report, error) {
	switch w.image.Unscanned {
	case notAnImage, archived, "":
		return nil, nil
	}
	r, err := w.told(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	return r, nil
}

// note says on the image when it was scanned, and in the report which image it is of.
func (w *waiting) note(r scan.Report) *scan.Report {
	r.Digest, r.Platform = w.image.Digest, w.image.Platform
	w.image.CompletedAt = r.ScannedAt
	return &r
}

// Why some things are never scanned.
const (
	notAnImage = "the registry does not scan what is no container image"
	archived   = "the image is archived, and archived images are not scanned"
)

// take reads a scan's status, and tells whether there are findings to read.
func (w *waiting) take(ctx context.Context, s *types.ImageScanStatus) (done bool, err error) {
	if s == nil {
		return false, nil
	}
	status, described := s.Status, strings.TrimSpace(aws.ToString(s.Description))
	if string(status) != w.image.Status {
		w.image.Status = string(status)
		if status == types.ScanStatusPending || status == types.ScanStatusInProgress {
			text := "waiting for the scan of " + w.image.Name()
			if w.asked {
				text = "asked for a scan of " + w.image.Name() + ", and waiting for it"
			}
			w.task.Say(progress.Event{Kind: progress.Output, Text: text})
		}
	}
	w.appear = nil
	because := func(why string) string {
		if described != "" {
			why += ": " + described
		}
		return why
	}
	switch status {
	case types.ScanStatusPending, types.ScanStatusInProgress:
	case types.ScanStatusComplete, types.ScanStatusActive: // active: it is scanned again whenever something new is known
		return true, nil
	case types.ScanStatusFailed:
		if strings.HasPrefix(described, noScanner) {
			return false, w.ask(ctx, "the registry has no scanner")
		}
		return false, w.ask(ctx, because("its scan failed"))
	case types.ScanStatusUnsupportedImage:
		w.image.Unscanned = because("the scanner does not know such images")
	case types.ScanStatusScanEligibilityExpired:
		w.image.Unscanned = because("it is too old for the registry to scan it on, so what was found is out of date")
	case types.ScanStatusFindingsUnavailable:
		w.image.Unscanned = because("what its scan found is not available")
	case types.ScanStatusLimitExceeded:
		w.image.Unscanned = because("the registry scans no more for now, since a limit of scans is reached")
	case types.ScanStatusImageArchived:
		w.image.Unscanned = archived
	}
	return false, nil // not yet, or with a word that is not known yet
}

// ask asks for a scan once, where there is none, or where one failed: then failed says why, and stands if there is no other.
func (w *waiting) ask(ctx context.Context, failed string) error {
	if w.asked {
		w.image.Unscanned = failed
		return nil
	}
	if w.now {
		w.image.Unscanned = cmp.Or(failed, "it has not been scanned")
		return nil
	}
	w.asked = true
	out, raw := w.gate.c.API.StartImageScan(ctx, &ecr.StartImageScanInput{
		RepositoryName: &w.repository, ImageId: &types.ImageIdentifier{ImageDigest: aws.String(w.image.Digest.String())},
	}, askOnce)
	if raw == nil {
		_, err := w.take(ctx, out.ImageScanStatus)
		return err
	}
	switch err := platform.Plain(raw); {
	case platform.Refused(err, "UnsupportedImageTypeException"):
		w.image.Unscanned = notAnImage
	case platform.Refused(err, "ImageArchivedException"):
		w.image.Unscanned = archived
	case platform.Refused(err, "LimitExceededException"): // it was scanned within a day, or is being scanned
		w.image.Unscanned = failed
	case failed != "" && (platform.Refused(err, "ValidationException") || platform.Refused(err, "AccessDeniedException")):
		w.image.Unscanned = failed
	case platform.Refused(err, "ValidationException"): // enhanced scanning begins by itself, or not at all
		w.mayAppear("the registry scans by its rules, and has not begun to scan it")
	case platform.Refused(err, "AccessDeniedException"):
		w.mayAppear("it was not scanned when it was pushed, and asking for a scan is not allowed (ecr:StartImageScan)")
	default:
		w.asked = false
		return w.bear(raw)
	}
	return nil
}

// maxFailed is how many requests may fail in a row, each of which the SDK has tried several times: a server that is started
// again must not cost a run that waits for a scan.
const maxFailed = 5

// bear gives nil for a failure that may be over when it is asked next.
func (w *waiting) bear(err error) error {
	if w.failed++; w.failed <= maxFailed && retry.NewStandard().IsErrorRetryable(err) {
		return nil
	}
	return platform.Plain(err) //nolint:wrapcheck // whoever asked says for what
}

// askOnce has the SDK not take a limit of scans for one of requests, and try again and again.
func askOnce(o *ecr.Options) { o.Retryer = butLimits{o.Retryer} }

type butLimits struct{ aws.Retryer }

// IsErrorRetryable tells whether to try again.
func (b butLimits) IsErrorRetryable(err error) bool {
	_, limit := errors.AsType[*types.LimitExceededException](err)
	return !limit && b.Retryer.IsErrorRetryable(err)
}

func (w *waiting) mayAppear(otherwise string) {
	w.absent, w.appear = otherwise, time.After(w.gate.c.Appear)
}
