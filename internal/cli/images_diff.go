package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

func (p *program) imagesDiffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show how two images differ",
		Long: "Diff compares two images, each written REPOSITORY:TAG or REPOSITORY@DIGEST: layers and their bytes, how they\n" +
			"run, platforms, and packages where an SBOM refers to both. Of an index it compares the images for each\n" +
			"platform that both have. The exit code is 0 if they are the same image, and 3 if they are not.\n\n" +
			"It reads manifests, which the registry counts as pulls.",
		Example: "berth images diff hoopstat-haus/prod:web-a1b2c3d4 hoopstat-haus/prod:web-latest",
		Args:    cobra.ExactArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.imagesDiff(cmd, args[0], args[1]) },
	}
	cmd.Flags().Bool("values", false, "show values of environment variables, too, which may be secrets")
	return cmd
}

// diffed is the JSON output, which is a contract: docs/operate/images.md.
type diffed struct {
	A      diffedSide   `json:"a"`
	B      diffedSide   `json:"b"`
	Same   bool         `json:"same"`
	OnlyA  []string     `json:"onlyInA"`
	OnlyB  []string     `json:"onlyInB"`
	Images []diffedPair `json:"images"`
}

type diffedSide struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

type diffedPair struct {
	Platform    string       `json:"platform"`
	A           string       `json:"a"`
	B           string       `json:"b"`
	Common      diffedLayers `json:"commonLayers"`
	Removed     diffedLayers `json:"removedLayers"`
	Added       diffedLayers `json:"addedLayers"`
	Changes     []diffChange `json:"changes"`
	Packages    []diffChange `json:"packages"`
	NotPackages string       `json:"packagesNotCompared,omitempty"`
}

type diffedLayers struct {
	Bytes  int64        `json:"bytes"`
	Layers []shownLayer `json:"layers"`
}

// diffChange has no member for the side that does not have it. Values of variables are left out unless they were asked for.
type diffChange struct {
	Change string  `json:"change"` // added, removed, changed
	What   string  `json:"what"`
	Name   string  `json:"name,omitempty"`
	From   *string `json:"from,omitempty"`
	To     *string `json:"to,omitempty"`
}

func newDiffed(a, b images.Name, d images.Diff, values bool) diffed {
	data := diffed{
		A: diffedSide{a.String(), d.A.Digest.String()}, B: diffedSide{b.String(), d.B.Digest.String()}, Same: !d.Different,
		OnlyA: append([]string{}, d.OnlyA...), OnlyB: append([]string{}, d.OnlyB...), Images: []diffedPair{},
	}
	for _, pair := range d.Pairs {
		data.Images = append(data.Images, diffedPair{
			pair.Platform, pair.A.String(), pair.B.String(), newDiffedLayers(pair.CommonBytes, pair.Common),
			newDiffedLayers(pair.RemovedBytes, pair.Removed), newDiffedLayers(pair.AddedBytes, pair.Added),
			newDiffChanges(pair.Changes, values), newDiffChanges(pair.Packages, true), pair.NotPackages,
		})
	}
	return data
}

func newDiffedLayers(n int64, all []images.Layer) diffedLayers {
	d := diffedLayers{n, []shownLayer{}}
	for _, l := range all {
		d.Layers = append(d.Layers, shownLayer{l.Digest.String(), l.MediaType, l.Size, l.CreatedBy})
	}
	return d
}

func newDiffChanges(all []images.Change, values bool) []diffChange {
	changes := []diffChange{}
	for _, c := range all {
		one := diffChange{"changed", c.What, c.Name, c.From, c.To}
		switch {
		case c.From == nil:
			one.Change = "added"
		case c.To == nil:
			one.Change = "removed"
		}
		if c.What == "variable" && !values {
			one.From, one.To = nil, nil
		}
		changes = append(changes, one)
	}
	return changes
}

func (p *program) imagesDiff(cmd *cobra.Command, left, right string) error {
	a, err := p.imageName(left)
	if err != nil {
		return err
	}
	b, err := p.imageName(right)
	if err != nil {
		return err
	}
	values, err := cmd.Flags().GetBool("values")
	if err != nil {
		return err
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	found, err := images.Compare(cmd.Context(), imagesOf(client, a.Repository), a, imagesOf(client, b.Repository), b)
	if err != nil {
		return p.imagesError(fmt.Errorf("comparing %s with %s: %w", a, b, err), client)
	}
	for _, d := range []images.Details{found.A, found.B} {
		if d.NotRead != nil {
			p.say("how they run is not compared: %s", d.NotRead)
			break
		}
	}
	data := newDiffed(a, b, found, values)
	if err := p.print(cmd, data, func(w io.Writer) error { return writeDiffed(w, data) }); err != nil {
		return err
	}
	if !data.Same {
		return foundError{errors.New("the images differ")}
	}
	return nil
}

func writeDiffed(w io.Writer, d diffed) error {
	if d.Same {
		_, err := fmt.Fprintf(w, "%s and %s are the same image\n", d.A.Name, d.B.Name)
		return err
	}
	rows := [][]string{{"a", d.A.Name, d.A.Digest}, {"b", d.B.Name, d.B.Digest}}
	for _, platform := range d.OnlyA {
		rows = append(rows, []string{"- platform", dash(platform)})
	}
	for _, platform := range d.OnlyB {
		rows = append(rows, []string{"+ platform", dash(platform)})
	}
	if err := writeSafely(w, rows); err != nil {
		return err
	}
	for _, pair := range d.Images {
		if err := writePair(w, pair); err != nil {
			return err
		}
	}
	return nil
}

func writePair(w io.Writer, pair diffedPair) error {
	if pair.A == pair.B {
		_, err := fmt.Fprintf(w, "\n%s: the same image\n", dash(pair.Platform))
		return err
	}
	counts := ""
	for _, of := range []struct {
		word string
		diffedLayers
	}{{"common", pair.Common}, {"removed", pair.Removed}, {"added", pair.Added}} {
		if counts != "" {
			counts += ", "
		}
		counts += fmt.Sprintf("%d %s (%s)", len(of.Layers), of.word, shortSize(of.Bytes))
	}
	rows := [][]string{{"platform", dash(pair.Platform)}, {"layers", counts}}
	if err := writeSafely(w, append([][]string{{}}, rows...)); err != nil {
		return err
	}
	rows = nil
	for _, l := range pair.Removed.Layers {
		rows = append(rows, []string{"- layer", short(l.Digest), shortSize(l.Size), clip(oneLine(l.CreatedBy), 100)})
	}
	for _, l := range pair.Added.Layers {
		rows = append(rows, []string{"+ layer", short(l.Digest), shortSize(l.Size), clip(oneLine(l.CreatedBy), 100)})
	}
	if err := writeSafely(w, rows); err != nil {
		return err
	}
	rows = nil
	for _, c := range append(pair.Changes, pair.Packages...) {
		rows = append(rows, c.row())
	}
	if err := writeSafely(w, rows); err != nil || pair.NotPackages == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "packages are not compared: %s\n", oneLine(pair.NotPackages))
	return err
}

func (c diffChange) row() []string {
	if c.What == "variable" && c.From == nil && c.To == nil {
		return []string{map[string]string{"added": "+", "removed": "-", "changed": "~"}[c.Change] + " variable", c.Name}
	}
	from, to := valueOf(c.From), valueOf(c.To)
	join := " "
	if c.What == "variable" || c.What == "label" {
		join = "="
	}
	switch {
	case c.Name == "":
		return []string{"~ " + c.What, from + " -> " + to}
	case c.From != nil && c.To != nil:
		return []string{"~ " + c.What, c.Name + " " + from + " -> " + to}
	case c.To != nil && *c.To != "":
		return []string{"+ " + c.What, c.Name + join + to}
	case c.To != nil:
		return []string{"+ " + c.What, c.Name}
	case *c.From != "":
		return []string{"- " + c.What, c.Name + join + from}
	}
	return []string{"- " + c.What, c.Name}
}

func valueOf(s *string) string {
	if s == nil || *s == "" {
		return "(none)"
	}
	return oneLine(*s)
}
