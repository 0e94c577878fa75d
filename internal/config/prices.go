package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Prices is what things cost, in one currency; what is not named is free. The members are those of core/usage/price.
type Prices struct {
	Currency string  `yaml:"currency"` // USD if empty
	Storage  Price   `yaml:"storage"`  // a GB, 2^30 bytes, and month
	Trash    Price   `yaml:"trash"`    // the same
	Out      Price   `yaml:"out"`      // a GB
	In       Price   `yaml:"in"`       // a GB
	Base     float64 `yaml:"base"`     // a month
}

// Price is written as a number, or as a list of tiers.
type Price []PriceTier

// PriceTier is a price that holds up to an amount of GB in a month. The last has no end.
type PriceTier struct {
	UpTo  float64 `yaml:"up-to"`
	Price float64 `yaml:"price"`
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *Price) UnmarshalYAML(node ast.Node) error {
	var flat float64
	if err := yaml.NodeToValue(node, &flat); err == nil {
		*p = Price{{Price: flat}}
		return nil
	}
	var tiers []PriceTier
	if err := yaml.NodeToValue(node, &tiers, yaml.Strict()); err != nil {
		return errors.New("a price is a number, or a list of {up-to: GB, price: NUMBER} of which the last has no up-to")
	}
	*p = tiers
	return nil
}

// Budget is what a month may cost, and who is told of it.
type Budget struct {
	Name       string   `yaml:"name"`
	Amount     float64  `yaml:"amount"`
	Repository string   `yaml:"repository"`
	App        string   `yaml:"app"`
	Thresholds []int    `yaml:"thresholds"` // percent; 80 and 100 if neither these nor forecast is there
	Forecast   []int    `yaml:"forecast"`   // percent
	Targets    []string `yaml:"targets"`    // names of targets
}

func costOptions() []Option {
	return []Option{{
		Name: "cost-every", Default: "5m",
		Usage: "how often the month's bill is made out, for the metric EstimatedCharges and for budgets",
		set: func(c *Config, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d < time.Second || d > 24*time.Hour {
				return fmt.Errorf("%q is not a duration from 1s to 24h", v)
			}
			c.CostEvery = d
			return nil
		},
	}}
}

// completeCosts fills in what the sections leave out, and says what is wrong with them.
func (c *Config) completeCosts() error {
	var problems []error
	if c.Prices != nil {
		if c.Prices.Currency == "" {
			c.Prices.Currency = "USD"
		}
		problems = append(problems, c.Prices.check())
	}
	seen := map[string]bool{}
	for i := range c.Budgets {
		b := &c.Budgets[i]
		at := "budgets: entry " + strconv.Itoa(i+1) + ": "
		if b.Name != "" {
			at = "budgets: " + strconv.Quote(b.Name) + ": "
		}
		if len(b.Thresholds)+len(b.Forecast) == 0 {
			b.Thresholds = []int{80, 100}
		}
		percent := func(n int) bool { return n < 1 || n > 1000 }
		switch {
		case b.Name == "" || len(b.Name) > 100 || strings.ContainsFunc(b.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
			problems = append(problems, errors.New(at+"a budget needs a name, of at most 100 characters in one line"))
		case seen[b.Name]:
			problems = append(problems, errors.New(at+"an entry before it has the same name"))
		case !(b.Amount > 0 && !math.IsInf(b.Amount, 0)):
			problems = append(problems, errors.New(at+"amount must be more than nothing"))
		case slices.ContainsFunc(b.Thresholds, percent) || slices.ContainsFunc(b.Forecast, percent):
			problems = append(problems, errors.New(at+"thresholds and forecast are percents of the amount, from 1 to 1000"))
		case len(b.Targets) == 0:
			problems = append(problems, errors.New(at+"targets is missing: who is to be told"))
		}
		for _, name := range b.Targets {
			if _, ok := c.Targets[name]; !ok {
				problems = append(problems, fmt.Errorf("%s%q is not the name of a target in the section targets", at, name))
			}
		}
		seen[b.Name] = true
	}
	return errors.Join(problems...)
}

func (p *Prices) check() error {
	var problems []error
	if len(p.Currency) != 3 || strings.Trim(p.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		problems = append(problems, fmt.Errorf("prices: currency: %q is not three letters such as USD", p.Currency))
	}
	for _, one := range []struct {
		name  string
		price Price
	}{{"storage", p.Storage}, {"trash", p.Trash}, {"out", p.Out}, {"in", p.In}, {"base", Price{{Price: p.Base}}}} {
		from := 0.0
		for i, t := range one.price {
			last := i == len(one.price)-1
			switch {
			case !(t.Price >= 0 && !math.IsInf(t.Price, 0)):
				problems = append(problems, fmt.Errorf("prices: %s: %v is not a price", one.name, t.Price))
			case last && t.UpTo != 0:
				problems = append(problems, fmt.Errorf("prices: %s: the last tier is for all above, and has no up-to", one.name))
			case !last && !(t.UpTo > from && !math.IsInf(t.UpTo, 0)):
				problems = append(problems, fmt.Errorf("prices: %s: up-to %v does not follow %v", one.name, t.UpTo, from))
			}
			from = t.UpTo
		}
	}
	return errors.Join(problems...)
}
