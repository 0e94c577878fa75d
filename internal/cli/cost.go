package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hoopstat-haus/berth/internal/core/usage/price"
	"github.com/hoopstat-haus/berth/internal/pipeline/cost"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) costCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cost [REPOSITORY]",
		Short: "Show what a registry costs, by repository, app or day",
		Long: "Cost has a Berth make out the bill of a month so far: what was stored, what clients fetched, by its sheet of\n" +
			"prices, Amazon ECR's own unless the server's configuration has others.\n\n" +
			"Amazon's ECR keeps no such account. Of it, cost reads the images there are now and their manifests, counts layers\n" +
			"that images share once, as they are billed, and tells what a whole month of that costs by ECR's list, transfer\n" +
			"apart. Reading manifests counts as pulling them.",
		Example: "berth cost\nberth cost --by app --month 2026-10\nberth cost hoopstat-haus/prod --by day --output json\nberth cost --url aws --by app",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository := ""
			if len(args) > 0 {
				repository = args[0]
				if err := workspace.CheckRepository(repository); err != nil {
					return usageError{err, "a repository is written like hoopstat-haus/prod"}
				}
			}
			return p.cost(cmd, repository)
		},
	}
	flags := cmd.Flags()
	flags.String("by", "repository", "what to have lines of: repository, app or day")
	flags.String("month", "", "the month, like 2026-11; this one if not given")
	flags.Bool("forecast", false, "show what the whole month will come to, if it goes on as in the last week")
	flags.String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	addOutput(cmd)
	return cmd
}

func (p *program) cost(cmd *cobra.Command, repository string) error {
	flags := cmd.Flags()
	by, err := flags.GetString("by")
	if err != nil {
		return err
	}
	month, err := flags.GetString("month")
	if err != nil {
		return err
	}
	forecast, err := flags.GetBool("forecast")
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"repository", "app", "day"}, by) {
		return usageError{fmt.Errorf("--by: %q is none of repository, app and day", by), ""}
	}
	if month != "" {
		if _, err := price.ParseMonth(month); err != nil {
			return usageError{fmt.Errorf("--month: %w", err), ""}
		}
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	bill, kept := platform.Cost{}, false
	if client.Berth != nil {
		bill, err = client.Berth.Cost(cmd.Context(), platform.CostQuery{Repository: repository, Month: month, By: by})
		if kept = !platform.Unknown(err); kept && err != nil {
			return p.imagesError(fmt.Errorf("asking for the cost: %w", err), client)
		}
	}
	if !kept {
		if by == "day" || month != "" || forecast {
			return usageError{errors.New("this registry keeps no account of its costs: there are no days, months and forecasts"), "a Berth keeps one"}
		}
		if bill, err = p.estimate(cmd.Context(), client, repository, by); err != nil {
			return p.imagesError(fmt.Errorf("estimating the cost: %w", err), client)
		}
	}
	if err := p.print(cmd, bill, func(w io.Writer) error { return writeCost(w, bill, by, forecast) }); err != nil {
		return err
	}
	if kept && bill.Until != nil {
		p.say("as of %s; what was stored is measured once an hour", bill.Until.Format("2006-01-02 15:04 MST"))
	}
	return nil
}

// estimate makes out what a month of what there is now costs at Amazon.
func (p *program) estimate(ctx context.Context, client *registry.Client, repository, by string) (platform.Cost, error) {
	names := []string{repository}
	if repository == "" {
		var err error
		if names, err = cost.Repositories(ctx, client.ECR); err != nil {
			return platform.Cost{}, err
		}
	}
	found := make([][]cost.Holding, len(names))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, name := range names {
		group.Go(func() (err error) {
			found[i], err = cost.Of(within, client.ECR, name)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return platform.Cost{}, err
	}
	holdings := slices.Concat(found...)
	sheet, month := price.ECR(), price.MonthOf(p.now())
	bill := platform.Cost{Month: month.String(), Currency: sheet.Currency, Lines: []platform.CostLine{}}
	var logical, unread int64
	var stored float64
	for i, c := range cost.Costs(sheet, month, holdings) {
		h := holdings[i]
		logical, unread, stored = logical+h.Logical, unread+int64(h.Unread), stored+h.Stored+float64(h.Archived)
		amounts := platform.CostAmounts{Storage: c.Storage, Total: c.Total()}
		bill.Total.Storage, bill.Total.Total = bill.Total.Storage+amounts.Storage, bill.Total.Total+amounts.Total
		gb := (h.Stored + float64(h.Archived)) / price.GB
		if n := len(bill.Lines); by == "repository" && n > 0 && bill.Lines[n-1].Repository == h.Repository {
			last := &bill.Lines[n-1]
			last.StoredGBMonths, last.Cost.Storage, last.Cost.Total = last.StoredGBMonths+gb, last.Cost.Storage+amounts.Storage, last.Cost.Total+amounts.Total
			continue
		}
		line := platform.CostLine{Repository: h.Repository, StoredGBMonths: gb, Cost: amounts}
		if by == "app" {
			line.App = h.App
		}
		bill.Lines = append(bill.Lines, line)
	}
	bill.Forecast = bill.Total
	p.say("a month of what there is now, by ECR's list in us-east-1; what is fetched comes on top")
	if logical > int64(stored) {
		p.say("the images' sizes add up to %s, of which %s are stored: images share layers", humanBytes(logical), humanBytes(int64(stored)))
	}
	if unread > 0 {
		p.say("%s not be read: the whole size counts, shared or not", plural(int(unread), "manifest could", "manifests could"))
	}
	return bill, nil
}

func writeCost(w io.Writer, bill platform.Cost, by string, forecast bool) error {
	head := map[string][]string{"repository": {"REPOSITORY"}, "app": {"REPOSITORY", "APP"}, "day": {"DAY"}}[by]
	head = append(slices.Clone(head), "STORED GB-MONTHS", "OUT GB", bill.Currency)
	ahead := forecast && by != "day"
	if ahead {
		head = append(head, "FORECAST")
	}
	rows := [][]string{head}
	for _, l := range bill.Lines {
		row := map[string][]string{"repository": {l.Repository}, "app": {l.Repository, dash(l.App)}, "day": {l.Day}}[by]
		row = append(slices.Clone(row), gigabytes(l.StoredGBMonths), gigabytes(l.OutGB), money(l.Cost.Total))
		if ahead && l.Forecast != nil {
			row = append(row, money(l.Forecast.Total))
		}
		for i := range row {
			row[i] = plan.Printable(row[i])
		}
		rows = append(rows, row)
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	text := fmt.Sprintf("\n%s: %s %s", monthName(bill.Month), money(bill.Total.Total), bill.Currency)
	if forecast {
		text += fmt.Sprintf(", %s by the month's end", money(bill.Forecast.Total))
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func monthName(month string) string {
	m, err := price.ParseMonth(month)
	if err != nil {
		return month
	}
	return m.Begin().Format("January 2006")
}

func gigabytes(v float64) string { return fmt.Sprintf("%.3f", v) }
