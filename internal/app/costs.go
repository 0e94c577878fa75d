package app

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/usage/cost"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// reckonAgain is how often a process looks whether the bill is to be made out, where that is more often than it is.
const reckonAgain = time.Minute

// newCosts makes the part that makes out bills.
func (a *App) newCosts() *cost.Service {
	budgets := make([]cost.Budget, 0, len(a.cfg.Budgets))
	for _, b := range a.cfg.Budgets {
		budgets = append(budgets, cost.Budget{
			Name: b.Name, Amount: b.Amount, Repository: b.Repository, App: b.App, Thresholds: b.Thresholds, Forecast: b.Forecast, Targets: b.Targets,
		})
	}
	return cost.New(cost.Config{
		Points: a.usage, May: a.registry.May, Store: a.database.Budgets(), Sheet: sheet(a.cfg.Prices), Budgets: budgets, Account: a.cfg.Account,
		Every: a.cfg.CostEvery, Now: a.deps.Now, Notify: a.outbox.Ring,
	})
}

// sheet is the configuration's prices, or Amazon's.
func sheet(p *config.Prices) price.Sheet {
	if p == nil {
		return price.ECR()
	}
	tiers := func(p config.Price) price.Tiers {
		var t price.Tiers
		for _, tier := range p {
			t = append(t, price.Tier{UpTo: tier.UpTo, Price: tier.Price})
		}
		return t
	}
	return price.Sheet{
		Currency: p.Currency, Storage: tiers(p.Storage), Trash: tiers(p.Trash), Out: tiers(p.Out), In: tiers(p.In), Base: p.Base,
	}
}

func (a *App) costJobs() []jobs.Job {
	return []jobs.Job{{Name: "costs", Every: min(a.cfg.CostEvery, reckonAgain), Do: a.costs.ReckonOnce}}
}
