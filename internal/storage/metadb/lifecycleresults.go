package metadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// A preview has a result for each image of its repository, which come and go together and are read in order. So they are stored
// as parcels of many, each a row of lifecycle_preview_parcels.

// resultsInParcel is how many results a parcel holds: about what two pages are.
const resultsInParcel = 250

// AddResults implements lifecycle.PreviewStore.
func (l lifecycleStore) AddResults(ctx context.Context, c lifecycle.Claim, results []lifecycle.Result) error {
	return l.db.engine.update(ctx, func(t tx) error {
		return t.holdingPreview(ctx, c, func() error {
			for some := range slices.Chunk(results, resultsInParcel) {
				_, err := t.s.exec(ctx, `
					INSERT INTO lifecycle_preview_parcels (preview_id, last_seq, results) VALUES ($1, $2, $3)`, c.ID, some[len(some)-1].Seq, pack(some))
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// pack writes results as lines of fields with tabs between them. Nothing that is in a field has either in it.
func pack(results []lifecycle.Result) string {
	const usual = 250 // bytes a line
	b := make([]byte, 0, usual*len(results))
	for _, r := range results {
		b = append(strconv.AppendInt(b, r.Seq, 10), '\t')
		b = append(append(b, r.Digest...), '\t')
		for n, tag := range r.Tags {
			if n > 0 {
				b = append(b, ' ')
			}
			b = append(b, tag...)
		}
		b = append(strconv.AppendInt(append(b, '\t'), micros(r.PushedAt), 10), '\t')
		b = append(append(b, r.Class...), '\t')
		b = append(append(b, r.Action...), '\t')
		b = append(strconv.AppendInt(b, int64(r.Rule), 10), '\t')
		b = append(append(b, r.Reason...), '\t')
		b = append(append(b, r.Why...), '\n')
	}
	return string(b)
}

func unpack(line string) (lifecycle.Result, error) {
	const fields = 9
	f := strings.SplitN(line, "\t", fields)
	if len(f) < fields {
		return lifecycle.Result{}, fmt.Errorf("a preview's result has %d fields", len(f))
	}
	seq, seqErr := strconv.ParseInt(f[0], 10, 64)
	pushed, pushedErr := strconv.ParseInt(f[3], 10, 64)
	rule, ruleErr := strconv.ParseInt(f[6], 10, 32)
	r := lifecycle.Result{
		Seq: seq, Digest: oci.Digest(f[1]), Tags: splitTags(f[2]), PushedAt: fromMicros(pushed), Class: lifecycle.StorageClass(f[4]),
		Action: lifecycle.ActionType(f[5]), Rule: int32(rule), Reason: lifecycle.Reason(f[7]), Why: f[8],
	}
	return r, errors.Join(seqErr, pushedErr, ruleErr)
}

func splitTags(s string) []string {
	if s == "" {
		return nil
	}
	tags := strings.Split(s, " ")
	slices.Sort(tags)
	return tags
}

// Results implements lifecycle.PreviewStore. It reads a few parcels, and many at once when these do not have what is wanted.
func (l lifecycleStore) Results(ctx context.Context, previewID int64, tags registry.TagStatus, afterSeq int64, limit int) ([]lifecycle.Result, error) {
	var found []lifecycle.Result
	wanted := func(r lifecycle.Result) bool {
		fits := tags == registry.AnyTagStatus || (tags == registry.OnlyTagged) == (len(r.Tags) > 0)
		return fits && r.Seq > afterSeq && len(found) < limit
	}
	const few, many = 4, 40
	for after, parcels := afterSeq, few; ; parcels = many {
		rows := 0
		err := l.db.read.s.query(ctx, `
			SELECT last_seq, results FROM lifecycle_preview_parcels
			WHERE preview_id = $1 AND last_seq > $2 ORDER BY last_seq LIMIT $3`, func(r *sql.Rows) error {
			rows++
			parcel, last, err := scanParcel(r)
			after = last
			for _, r := range parcel {
				if wanted(r) {
					found = append(found, r)
				}
			}
			return err
		}, previewID, after, parcels)
		if err != nil || rows < parcels || len(found) == limit {
			return found, err
		}
	}
}

// scanParcel gives a row's results, and the last one's place.
func scanParcel(rows *sql.Rows) (results []lifecycle.Result, last int64, err error) {
	var text string
	if err := rows.Scan(&last, &text); err != nil {
		return nil, 0, err
	}
	for line := range strings.Lines(text) {
		r, err := unpack(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, 0, err
		}
		results = append(results, r)
	}
	return results, last, nil
}
