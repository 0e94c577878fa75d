package metadb

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// Pack puts points of hours that have ended where rolling up puts them.
func (u Usage) Pack(ctx context.Context, datums []usage.Datum) error {
	all, err := keyed(datums)
	if err != nil {
		return err
	}
	return u.db.engine.update(ctx, func(t tx) error {
		ids, _, err := t.usageSeries(ctx, all)
		if err != nil {
			return err
		}
		added := map[packKey][]usage.Point{}
		for _, d := range all {
			for _, grain := range []time.Duration{usage.Hour, usage.Day} {
				p := d.Point
				p.At = p.At.Truncate(grain)
				k := packKey{ids[d.seriesKey], grain, packStart(micros(p.At), grain)}
				added[k] = append(added[k], p)
			}
		}
		return t.pack(ctx, added)
	})
}
