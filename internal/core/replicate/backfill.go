package replicate

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// The limits of backfills (Amazon ECR API reference, StartReplicationBackfill).
const (
	maxBackfills = 10
	// keepBackfills is how long those that have ended are there to be looked at.
	keepBackfills = 90 * 24 * time.Hour
)

// Further statuses, of backfills and their results, in ECR's words but for Waiting, which nobody is shown.
const (
	Preparing Status = "PREPARING"
	Stopping  Status = "STOPPING"
	Stopped   Status = "STOPPED"
	Waiting   Status = "WAITING"
)

// Backfill sends to a destination what was there before the rules that name it.
//
// It is PREPARING while a job lists its images, IN_PROGRESS while they are wanted and sent like any others, and
// COMPLETE when each has arrived or failed for good; STOPPING while what was under way when somebody stopped it
// ends, then STOPPED; FAILED when no rule names the destination any more.
type Backfill struct {
	Seq         int64 // in order of start
	ID          string
	Destination Destination
	Status      Status
	FailureCode string
	StartedAt   time.Time
	EndedAt     time.Time // zero while it goes on
	Total       int       // results; -1 while PREPARING
	Progress    Progress  // of the results, where Total is not -1

	// Where preparing goes on: after this repository and, in the next one, after this image.
	AfterRepository string
	AfterImage      int64
}

// terminal tells whether a backfill has ended.
func (b Backfill) terminal() bool { return !b.EndedAt.IsZero() }

// Progress counts results.
type Progress struct {
	Completed, Failed int
	FailureCodes      []string // each once
}

// Result is what came of one image and tag.
type Result struct {
	ID          int64
	Repository  string
	Digest      oci.Digest
	Tag         string // or empty
	Index       bool
	Status      Status
	FailureCode string
	SubFailures []string // failure codes of an index's images
}

// Backfills is where backfills are.
type Backfills interface {
	// Update runs f in a transaction, as registry.Store does.
	Update(ctx context.Context, f func(tx BackfillTx) error) error
	// Running lists those that have not ended, in order of start, without progress.
	Running(ctx context.Context) ([]Backfill, error)
	// Backfill finds one, or registry.ErrNoRow.
	Backfill(ctx context.Context, id string) (Backfill, error)
	// Backfills lists the newest first, before a place (0: from the newest), at most limit.
	Backfills(ctx context.Context, before int64, limit int) ([]Backfill, error)
	// Results lists results in order of id, after an id, at most limit; of one status, or any where it is empty.
	Results(ctx context.Context, seq int64, status Status, after int64, limit int) ([]Result, error)
	// Purge removes those that ended before a time.
	Purge(ctx context.Context, before time.Time) error
}

// BackfillTx changes backfills.
type BackfillTx interface {
	BackfillQueries
	// InsertBackfill adds one, or answers registry.ErrConflict when another is going on for the region.
	InsertBackfill(ctx context.Context, b Backfill) error
	// SaveBackfill stores status, failure code, end, total and place.
	SaveBackfill(ctx context.Context, b Backfill) error
	// AddResults adds results that wait; those that are there stay as they are.
	AddResults(ctx context.Context, seq int64, results []Result) error
	// Send wants the images of results, which are then in progress.
	Send(ctx context.Context, seq int64, results []Result, wants []Want, at time.Time) error
	// DropUnsent removes the results that nobody is at work on, and what is wanted for their sake alone.
	DropUnsent(ctx context.Context, b Backfill, now time.Time) error
}

// BackfillQueries reads within a transaction.
type BackfillQueries interface {
	registry.SettingQueries
	// LockBackfill finds one by id, or registry.ErrNoRow, and keeps others who call it waiting.
	LockBackfill(ctx context.Context, id string) (Backfill, error)
	// RunningBackfills counts those that have not ended.
	RunningBackfills(ctx context.Context) (int, error)
	// ResultCounts counts a backfill's results by status.
	ResultCounts(ctx context.Context, seq int64) (map[Status]int, error)
	// WaitingResults lists results that wait, in order of id.
	WaitingResults(ctx context.Context, seq int64, limit int) ([]Result, error)
}

// StartBackfill begins to send to a destination, which a rule must name, the images that are there and that the
// rules select (ecr:StartReplicationBackfill).
func (s *Service) StartBackfill(ctx context.Context, caller identity.Caller, d Destination) (Backfill, error) {
	if err := s.Registry.May(ctx, caller, policy.StartReplicationBackfill, ""); err != nil {
		return Backfill{}, err
	}
	b := Backfill{ID: newID(), Destination: d, Status: Preparing, StartedAt: s.Now(), Total: -1}
	err := s.Backfills.Update(ctx, func(tx BackfillTx) error {
		c, err := readConfiguration(ctx, tx)
		if err != nil {
			return err
		}
		if !c.names(d) {
			return fault.New(fault.RegistrySettingInvalid,
				"The registry %s in the region %s is not a destination in the replication configuration", d.RegistryID, d.Region)
		}
		running, err := tx.RunningBackfills(ctx)
		if err != nil {
			return err
		}
		if running >= maxBackfills {
			return fault.New(fault.LimitExceeded, "A registry has at most %d replication backfills in progress", maxBackfills)
		}
		return tx.InsertBackfill(ctx, b)
	})
	if errors.Is(err, registry.ErrConflict) {
		return Backfill{}, fault.New(fault.BackfillInProgress, "A replication backfill to the region %s is in progress", d.Region)
	}
	if err == nil && s.WakeBackfills != nil {
		s.WakeBackfills()
	}
	return b, err
}

// names tells whether a rule has the destination.
func (c Configuration) names(d Destination) bool {
	return slices.ContainsFunc(c.Rules, func(r Rule) bool { return slices.Contains(r.Destinations, d) })
}

// StopBackfill ends a backfill: what is being sent at this moment arrives, the rest is not sent
// (ecr:StopReplicationBackfill).
func (s *Service) StopBackfill(ctx context.Context, caller identity.Caller, id string) (Backfill, error) {
	if err := s.Registry.May(ctx, caller, policy.StopReplicationBackfill, ""); err != nil {
		return Backfill{}, err
	}
	var b Backfill
	err := s.Backfills.Update(ctx, func(tx BackfillTx) (err error) {
		if b, err = tx.LockBackfill(ctx, id); err != nil {
			return backfillError(err, id)
		}
		if b.terminal() {
			return fault.New(fault.BackfillStatus, "The replication backfill %s is %s, and cannot be stopped", id, b.Status)
		}
		b.Status = Stopping
		return s.wind(ctx, tx, &b)
	})
	return b, err
}

// wind drops what is not being sent, and ends a backfill that is stopping when nothing is left.
func (s *Service) wind(ctx context.Context, tx BackfillTx, b *Backfill) error {
	now := s.Now()
	if err := tx.DropUnsent(ctx, *b, now); err != nil {
		return err
	}
	counts, err := tx.ResultCounts(ctx, b.Seq)
	if err != nil {
		return err
	}
	if counts[InProgress] == 0 {
		b.Status, b.EndedAt = Stopped, now
	}
	return tx.SaveBackfill(ctx, *b)
}

func backfillError(err error, id string) error {
	if errors.Is(err, registry.ErrNoRow) {
		return fault.New(fault.BackfillNotFound, "There is no replication backfill with the id '%s'", id)
	}
	return err
}

// ListBackfills lists backfills, the newest first (ecr:ListReplicationBackfills).
func (s *Service) ListBackfills(ctx context.Context, caller identity.Caller, limit int, token string) (registry.Page[Backfill], error) {
	if err := s.Registry.May(ctx, caller, policy.ListReplicationBackfills, ""); err != nil {
		return registry.Page[Backfill]{}, err
	}
	const listing = "backfills"
	before, err := place(listing, token)
	if err != nil {
		return registry.Page[Backfill]{}, err
	}
	rows, err := s.Backfills.Backfills(ctx, before, limit+1)
	return cut(rows, limit, listing, func(b Backfill) int64 { return b.Seq }), err
}

// BackfillResults tells how a backfill goes and, once it has ended, a page of what came of each image and tag: of one
// status or, where it is empty, of both (ecr:DescribeReplicationBackfillResults).
func (s *Service) BackfillResults(ctx context.Context, caller identity.Caller, id string, status Status, limit int, token string) (Backfill, registry.Page[Result], error) {
	none := registry.Page[Result]{}
	if err := s.Registry.May(ctx, caller, policy.DescribeReplicationBackfillResults, ""); err != nil {
		return Backfill{}, none, err
	}
	listing := "results/" + id + "/" + string(status)
	after, err := place(listing, token)
	if err != nil {
		return Backfill{}, none, err
	}
	b, err := s.Backfills.Backfill(ctx, id)
	if err != nil {
		return Backfill{}, none, backfillError(err, id)
	}
	if !b.terminal() {
		return b, none, nil
	}
	rows, err := s.Backfills.Results(ctx, b.Seq, status, after, limit+1)
	return b, cut(rows, limit, listing, func(r Result) int64 { return r.ID }), err
}

// place reads a page token: the listing's name and the last id of the page before.
func place(listing, token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	rest, ok := strings.CutPrefix(string(text), listing+"/")
	n, numErr := strconv.ParseInt(rest, 10, 64)
	if err != nil || !ok || numErr != nil || n < 1 || pageToken(listing, n) != token {
		bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
		bad.Code = fault.PageTokenInvalid
		return 0, bad
	}
	return n, nil
}

func pageToken(listing string, id int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s/%d", listing, id))
}

// cut makes a page of rows that were read with one to spare.
func cut[T any](rows []T, limit int, listing string, id func(T) int64) registry.Page[T] {
	if len(rows) <= limit {
		return registry.Page[T]{Items: rows}
	}
	return registry.Page[T]{Items: rows[:limit], Next: pageToken(listing, id(rows[limit-1]))}
}

// newID makes a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
