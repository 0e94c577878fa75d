package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// StoredAdvisory is an advisory that counts.
type StoredAdvisory struct {
	ID       int64
	Source   string
	Advisory advisory.Advisory // without Affected
}

func scanAdvisory(rows *sql.Rows, a *StoredAdvisory) error {
	var body []byte
	if err := rows.Scan(&a.ID, &a.Source, &body); err != nil {
		return err
	}
	var err error
	a.Advisory, err = advisory.Decode(body)
	return err
}

// AdvisoriesByID gives advisories by the ids of their rows, whether they still count or not.
func (a Advisories) AdvisoriesByID(ctx context.Context, ids []int64) ([]StoredAdvisory, error) {
	wanted, err := jsonText(ids)
	if err != nil {
		return nil, err
	}
	return list(ctx, a.db.engine, scanAdvisory, `
		SELECT a.id, a.source, a.body FROM advisories a WHERE a.id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) ORDER BY a.id`, wanted)
}
