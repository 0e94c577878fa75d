package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/usage/cost"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
)

// Costs makes out bills; *cost.Service does.
type Costs interface {
	Bill(ctx context.Context, caller identity.Caller, q cost.Query) (cost.Bill, error)
}

// GetCostInput asks what a month costs, or has cost so far.
type GetCostInput struct {
	RepositoryName *string // absent: the whole registry
	Month          *string // 2026-11; absent: this one
	By             *string // repository, app or day; repository if absent
}

// GetCostOutput is a bill. Money is in Currency, and not rounded.
type GetCostOutput struct {
	Month    *string
	Until    *time.Time // what came before it is in here
	Currency *string
	Lines    []CostLine
	Total    *CostAmounts
	Forecast *CostAmounts // what the whole month will have cost, if it goes on as in the last week
	Prices   *CostPrices
}

// CostLine is a repository's, an app's or a day's share.
type CostLine struct {
	RepositoryName *string // absent by day
	App            *string // absent unless by app, and of what belongs to none
	Day            *string // 2026-11-27; absent unless by day
	StoredGBMonths *float64
	TrashGBMonths  *float64
	OutGB          *float64
	InGB           *float64
	Cost           *CostAmounts
	Forecast       *CostAmounts // absent by day
}

// CostAmounts is money, by what it is for.
type CostAmounts struct {
	Storage, Trash, Out, In, Base, Total *float64
}

// CostPrices is the sheet of prices that the bill goes by.
type CostPrices struct {
	Storage, Trash, Out, In []CostTier
	Base                    *float64
}

// CostTier is a price for a GB, up to an amount in the month; the last has no end.
type CostTier struct {
	UpTo  *float64
	Price *float64
}

func (f face) getCost(ctx context.Context, call awswire.Call, in *GetCostInput) (*GetCostOutput, error) {
	q := cost.Query{By: cost.By(aws.ToString(in.By))}
	var err error
	if in.RepositoryName != nil {
		if q.Repository, err = oci.ParseRepositoryName(*in.RepositoryName); err != nil {
			return nil, err
		}
	}
	if in.Month != nil {
		if q.Month, err = price.ParseMonth(*in.Month); err != nil {
			return nil, fault.BadParameter("month", err.Error())
		}
	}
	if in.By == nil {
		q.By = cost.ByRepository
	}
	bill, err := f.costs.Bill(ctx, call.Caller, q)
	if err != nil {
		return nil, err
	}
	out := &GetCostOutput{
		Month: aws.String(bill.Month.String()), Until: &bill.Until, Currency: &bill.Sheet.Currency, Lines: []CostLine{},
		Total: amounts(bill.Total), Forecast: amounts(bill.Forecast),
		Prices: &CostPrices{tiers(bill.Sheet.Storage), tiers(bill.Sheet.Trash), tiers(bill.Sheet.Out), tiers(bill.Sheet.In), &bill.Sheet.Base},
	}
	months := bill.Month.Hours() * price.GB
	for _, l := range bill.Lines {
		line := CostLine{
			RepositoryName: optional(l.Repository), App: optional(l.App), Cost: amounts(l.Cost), Forecast: amounts(l.Forecast),
			StoredGBMonths: aws.Float64(l.Used.StoredByteHours / months), TrashGBMonths: aws.Float64(l.Used.TrashByteHours / months),
			OutGB: aws.Float64(l.Used.BytesOut / price.GB), InGB: aws.Float64(l.Used.BytesIn / price.GB),
		}
		if !l.Day.IsZero() {
			line.Day, line.Forecast = aws.String(l.Day.Format(time.DateOnly)), nil
		}
		out.Lines = append(out.Lines, line)
	}
	return out, nil
}

func amounts(c price.Cost) *CostAmounts {
	total := c.Total()
	return &CostAmounts{&c.Storage, &c.Trash, &c.Out, &c.In, &c.Base, &total}
}

func tiers(t price.Tiers) []CostTier {
	list := []CostTier{}
	for _, tier := range t {
		one := CostTier{Price: &tier.Price}
		if tier.UpTo != 0 {
			one.UpTo = &tier.UpTo
		}
		list = append(list, one)
	}
	return list
}
