package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/config"
)

func TestPricesAndBudgets(t *testing.T) {
	t.Parallel()
	load := func(text string) (config.Config, error) {
		return config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"config": write(t, text)}})
	}
	c, err := load(`
prices:
  storage: 0.023
  out: [{up-to: 100, price: 0}, {price: 0.09}]
  base: 20
targets:
  oncall: {slack: "https://hooks.example.com/a"}
  mail: {slack: "https://hooks.example.com/b"}
budgets:
  - {name: all, amount: 50, targets: [oncall]}
  - {name: web, amount: 5, repository: hoopstat-haus/prod, app: web, forecast: [100], targets: [mail, oncall]}
`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&config.Prices{
		Currency: "USD", Storage: config.Price{{Price: 0.023}}, Out: config.Price{{UpTo: 100}, {Price: 0.09}}, Base: 20,
	}, c.Prices); diff != "" {
		t.Errorf("the prices (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]config.Budget{
		{Name: "all", Amount: 50, Thresholds: []int{80, 100}, Targets: []string{"oncall"}},
		{Name: "web", Amount: 5, Repository: "hoopstat-haus/prod", App: "web", Forecast: []int{100}, Targets: []string{"mail", "oncall"}},
	}, c.Budgets); diff != "" {
		t.Errorf("the budgets (-want +got):\n%s", diff)
	}
	if c, err := load("account-id: 123456789012\n"); err != nil || c.Prices != nil {
		t.Errorf("without the section the prices are %v, %v", c.Prices, err)
	}
	for entry, want := range map[string]string{
		"prices: {storage: -1}":                                          "prices: storage: -1 is not a price",
		"prices: {storage: .nan}":                                        "prices: storage: NaN is not a price",
		"prices: {base: .inf}":                                           "prices: base: +Inf is not a price",
		"prices: {currency: dollars}":                                    `"dollars" is not three letters`,
		"prices: {storage: cheap}":                                       "a price is a number, or a list",
		"prices: {out: [{up-to: 5, price: 1}]}":                          "the last tier",
		"prices: {out: [{up-to: 5, price: 1}, {up-to: 3}, {price: 1}]}":  "up-to 3 does not follow 5",
		"prices: {disk: 1}":                                              `unknown field "disk"`,
		"budgets: [{amount: 1, targets: [a]}]":                           "entry 1: a budget needs a name",
		"budgets: [{name: a, targets: [a]}]":                             `"a": amount must be more than nothing`,
		"budgets: [{name: a, amount: 1, targets: [b]}]":                  `"b" is not the name of a target`,
		"budgets: [{name: a, amount: 1}]":                                `"a": targets is missing`,
		"budgets: [{name: a, amount: 1, targets: [b], thresholds: [0]}]": "percents of the amount",

		"budgets: [{name: a, amount: 1, targets: [b]}, {name: a, amount: 1, targets: [b]}]": "the same name",
	} {
		if _, err := load(entry + "\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}
