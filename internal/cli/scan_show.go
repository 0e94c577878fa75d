package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// printScanned prints what is known of an image in the form that was asked for.
func (p *program) printScanned(cmd *cobra.Command, name images.Name, by workspace.Gate, r gate.Result, flags scanFlags) error {
	if form, err := cmd.Flags().GetString("output"); err != nil || form == "sarif" {
		if err == nil && cmd.Flags().Changed("query") {
			err = usageError{errors.New("--query: it reads JSON, not SARIF"), "leave out --output sarif"}
		}
		if err != nil {
			return err
		}
		return p.printJSON(sarifOf(name.String(), r))
	}
	return p.print(cmd, newScanned(name.Repository, by, r), func(w io.Writer) error {
		if _, err := fmt.Fprintln(w, title(name, r)); err != nil {
			return err
		}
		left, err := gate.WriteAll(w, r, flags.from, flags.limit)
		if err == nil && left > 0 {
			_, err = fmt.Fprintf(w, "not listed: %d more, by --severity or --limit\n", left)
		}
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, p.about(r.Reports(), flags.filter))
		return err
	})
}

// sarifOf makes a SARIF log of a scan's result.
func sarifOf(image string, r gate.Result) scan.SARIF {
	excepted := map[[2]string]string{}
	for _, f := range r.Findings {
		if e := f.Excepted; e != nil {
			why := strings.TrimPrefix(e.Owner+": "+e.Reason, ": ")
			if e.Expires != "" {
				why += ", until " + string(e.Expires)
			}
			for _, name := range append([]string{f.Package}, f.Names...) {
				excepted[[2]string{f.ID, name}] = why
			}
		}
	}
	return scan.NewSARIF(scan.SARIFOf{
		Image: image, Version: builtVersion().Version, Reports: r.Reports(),
		Excepted: func(f scan.Finding, in scan.Package) string {
			if why := excepted[[2]string{f.ID, f.Source}]; why != "" && f.Source != "" {
				return why
			}
			return excepted[[2]string{f.ID, in.Name}]
		},
	})
}

// title says of what the rest is.
func title(name images.Name, r gate.Result) string {
	said := []string{name.String()}
	if name.Tag != "" {
		said = append(said, r.Digest.Short())
	}
	for _, one := range r.Reports() {
		system := oneLine(one.OS)
		if system == "" {
			continue
		}
		if one.Platform != "" {
			system = oneLine(one.Platform) + ": " + system
		}
		said = append(said, system)
	}
	return strings.Join(said, "  ")
}

// about says in lines what else there is to say: the base image's share, the upgrade that removes most, how old all of it is.
func (p *program) about(reports []scan.Report, of scan.Filter) string {
	var lines []string
	for _, r := range reports {
		if all, fixable, ok := r.FromBase(); ok && !of.IgnoreBase {
			line := fmt.Sprintf("base image %s: brings %d of %s, %d of them fixable", oneLine(r.Base.Name()), all, plural(sum(r.Counts()), "finding", "findings"), fixable)
			if r.Platform != "" {
				line = oneLine(r.Platform) + ": " + line
			}
			lines = append(lines, line)
		}
	}
	lines = append(lines, upgradeLines(scan.Upgrades(reports...))...)
	lines = append(lines, p.ages(reports)...)
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func sum(counts map[workspace.Severity]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// upgradeLines word the upgrade that removes most, if any removes something.
func upgradeLines(all []scan.Upgrade) []string {
	if len(all) == 0 {
		return nil
	}
	u := all[0]
	line := fmt.Sprintf("removes most: %s %s to %s, %s (%s)", oneLine(u.Package), oneLine(strings.Join(u.From, ", ")), oneLine(u.To),
		plural(u.Findings, "finding", "findings"), gate.Count(u.Counts))
	if u.Images > 1 {
		line += fmt.Sprintf(" in %d images", u.Images)
	}
	if u.FromBase {
		line += "; the base image has it"
	}
	return []string{line}
}

// ages says how old the advisories are, or, where the registry does not, when was scanned.
func (p *program) ages(reports []scan.Report) []string {
	if said := scan.Ages(p.now(), reports...); said != "" {
		return []string{"advisories: " + said}
	}
	var oldest time.Time
	for _, r := range reports {
		if oldest.IsZero() || r.ScannedAt.Before(oldest) {
			oldest = r.ScannedAt
		}
	}
	switch {
	case len(reports) == 0:
		return nil
	case oldest.IsZero():
		return []string{"advisories: the registry does not say of when they are"}
	}
	return []string{"advisories: the registry does not say of when they are; scanned " + oldest.UTC().Format(time.RFC3339)}
}
