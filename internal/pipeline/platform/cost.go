package platform

import "context"

// Cost is a bill; its JSON is a contract: docs/api/berth.md.
type Cost struct {
	Month    string      `json:"month"`
	Until    *Moment     `json:"until,omitempty"` // what came before it is in here
	Currency string      `json:"currency"`
	Lines    []CostLine  `json:"lines"`
	Total    CostAmounts `json:"total"`
	Forecast CostAmounts `json:"forecast"`
	Prices   *CostPrices `json:"prices,omitempty"`
}

// CostLine is a repository's, an app's or a day's share.
type CostLine struct {
	Repository     string       `json:"repositoryName,omitempty"`
	App            string       `json:"app,omitempty"`
	Day            string       `json:"day,omitempty"`
	StoredGBMonths float64      `json:"storedGBMonths"`
	TrashGBMonths  float64      `json:"trashGBMonths"`
	OutGB          float64      `json:"outGB"`
	InGB           float64      `json:"inGB"`
	Cost           CostAmounts  `json:"cost"`
	Forecast       *CostAmounts `json:"forecast,omitempty"`
}

// CostAmounts is money, by what it is for.
type CostAmounts struct {
	Storage float64 `json:"storage"`
	Trash   float64 `json:"trash"`
	Out     float64 `json:"out"`
	In      float64 `json:"in"`
	Base    float64 `json:"base"`
	Total   float64 `json:"total"`
}

// CostPrices is a sheet of prices.
type CostPrices struct {
	Storage []CostTier `json:"storage"`
	Trash   []CostTier `json:"trash"`
	Out     []CostTier `json:"out"`
	In      []CostTier `json:"in"`
	Base    float64    `json:"base"`
}

// CostTier is a price for a GB, up to an amount in the month; 0 has no end.
type CostTier struct {
	UpTo  float64 `json:"upTo,omitempty"`
	Price float64 `json:"price"`
}

// CostQuery selects what is billed.
type CostQuery struct {
	Repository string `json:"repositoryName,omitempty"` // empty: all
	Month      string `json:"month,omitempty"`          // empty: this one
	By         string `json:"by,omitempty"`             // repository, app or day
}

// Cost asks a Berth for a bill.
func (c *Client) Cost(ctx context.Context, q CostQuery) (Cost, error) {
	var out Cost
	err := c.call(ctx, "GetCost", q, &out)
	return out, err
}
