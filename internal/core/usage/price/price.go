// Package price makes a bill of what was used: a sheet of prices, and the arithmetic. It knows no metrics and no registry, so that the
// server's bill and the one that the pipeline makes of Amazon's answers are one.
package price

import (
	"fmt"
	"time"
)

// GB is what storage and transfer are sold by: 2^30 bytes, at Amazon too.
const GB = 1 << 30

// Tier is a price that holds up to an amount, counted from the month's begin.
type Tier struct {
	UpTo  float64 `json:"upTo,omitempty"` // in the unit that is priced; 0: without end
	Price float64 `json:"price"`
}

// Tiers are prices of one thing by amount, the least amount first. None at all is free.
type Tiers []Tier

// Flat is one price whatever the amount.
func Flat(price float64) Tiers { return Tiers{{Price: price}} }

// Of is what an amount costs.
func (t Tiers) Of(amount float64) float64 {
	var sum, from float64
	for _, tier := range t {
		if tier.UpTo == 0 || amount <= tier.UpTo {
			return sum + max(0, amount-from)*tier.Price
		}
		sum += (tier.UpTo - from) * tier.Price
		from = tier.UpTo
	}
	return sum
}

// Sheet is what things cost.
type Sheet struct {
	Currency string  `json:"currency"` // ISO 4217
	Storage  Tiers   `json:"storage"`  // a GB and month of layers, each once in a repository
	Trash    Tiers   `json:"trash"`    // a GB and month of what only deleted images need
	Out      Tiers   `json:"out"`      // a GB that clients fetched
	In       Tiers   `json:"in"`       // a GB that they sent
	Base     float64 `json:"base"`     // a month, whatever is used: divided among repositories by what they hold
}

// ECR is Amazon ECR's list in us-east-1 as of 2026: private storage, and transfer to the internet by EC2's tiers. What comes in, basic
// scans and transfer within a region are free, and so is what Amazon does not have: a trash. What it charges for enhanced scans and for signatures is
// not in here. Source: https://aws.amazon.com/ecr/pricing/.
func ECR() Sheet {
	return Sheet{
		Currency: "USD", Storage: Flat(0.10),
		Out: Tiers{{10 << 10, 0.09}, {50 << 10, 0.085}, {150 << 10, 0.07}, {0, 0.05}},
	}
}

// Used is what was used of one thing, of a repository on a day for example.
type Used struct {
	StoredByteHours float64 // the bytes of each hour, added up
	TrashByteHours  float64
	BytesOut        float64
	BytesIn         float64
}

// Add puts v's to u's.
func (u *Used) Add(v Used) {
	u.StoredByteHours += v.StoredByteHours
	u.TrashByteHours += v.TrashByteHours
	u.BytesOut += v.BytesOut
	u.BytesIn += v.BytesIn
}

// Cost is what it comes to, in the sheet's currency.
type Cost struct {
	Storage float64 `json:"storage"`
	Trash   float64 `json:"trash"`
	Out     float64 `json:"out"`
	In      float64 `json:"in"`
	Base    float64 `json:"base"` // the share of the base price
}

// Total is all of it.
func (c Cost) Total() float64 { return c.Storage + c.Trash + c.Out + c.In + c.Base }

// Add puts d's to c's.
func (c *Cost) Add(d Cost) {
	c.Storage += d.Storage
	c.Trash += d.Trash
	c.Out += d.Out
	c.In += d.In
	c.Base += d.Base
}

// Month is a calendar month in UTC, which is what is billed.
type Month struct{ begin time.Time }

// MonthOf gives the month that a time is in.
func MonthOf(t time.Time) Month {
	t = t.UTC()
	return Month{time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)}
}

// ParseMonth reads 2026-11.
func ParseMonth(text string) (Month, error) {
	t, err := time.Parse("2006-01", text)
	if err != nil {
		return Month{}, fmt.Errorf("%q is not a month such as 2026-11", text)
	}
	return MonthOf(t), nil
}

// String is how ParseMonth reads it.
func (m Month) String() string { return m.begin.Format("2006-01") }

// Begin and End are its bounds: [Begin, End).
func (m Month) Begin() time.Time { return m.begin }

// End is the next month's begin.
func (m Month) End() time.Time { return m.begin.AddDate(0, 1, 0) }

// Hours is how many it has.
func (m Month) Hours() float64 { return m.End().Sub(m.begin).Hours() }

// rates are a sheet's prices for one unit at the amounts of a month.
type rates struct {
	storage, trash float64 // for a byte and hour
	out, in        float64 // for a byte
	base           float64 // for a byte and hour that is stored
}

// Bill is what each of the things used costs. Tiers go by what all of them used together, and each bears its share: two
// repositories pay the same for a GB, whichever came first. What is used of the month may be its beginning only; all is that much of it
// has gone by (in hours), which the base price goes by.
func (s Sheet) Bill(m Month, elapsed float64, used []Used) []Cost {
	var all Used
	for _, u := range used {
		all.Add(u)
	}
	months := m.Hours() * GB
	rate := func(t Tiers, amount, unit float64) float64 {
		if amount == 0 {
			return 0
		}
		return t.Of(amount/unit) / amount
	}
	r := rates{
		storage: rate(s.Storage, all.StoredByteHours, months), trash: rate(s.Trash, all.TrashByteHours, months),
		out: rate(s.Out, all.BytesOut, GB), in: rate(s.In, all.BytesIn, GB),
	}
	base := s.Base * min(1, elapsed/m.Hours())
	if all.StoredByteHours > 0 {
		r.base = base / all.StoredByteHours
	}
	costs := make([]Cost, len(used))
	for i, u := range used {
		costs[i] = Cost{
			Storage: u.StoredByteHours * r.storage, Trash: u.TrashByteHours * r.trash, Out: u.BytesOut * r.out, In: u.BytesIn * r.in,
			Base: u.StoredByteHours * r.base,
		}
	}
	return costs
}

// Whole is what a month costs that uses so much from begin to end, an empty registry's base price included.
func (s Sheet) Whole(m Month, elapsed float64, u Used) Cost {
	c := s.Bill(m, elapsed, []Used{u})[0]
	if u.StoredByteHours == 0 {
		c.Base += s.Base * min(1, elapsed/m.Hours())
	}
	return c
}

// Scale is a part of it, each kind's by its own factor: of a cost, what somebody bears who used so much of each.
func (c Cost) Scale(stored, trash, out, in float64) Cost {
	return Cost{Storage: c.Storage * stored, Trash: c.Trash * trash, Out: c.Out * out, In: c.In * in, Base: c.Base * stored}
}
