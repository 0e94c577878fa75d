package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
)

func (p *program) vulnCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vuln CVE|ADVISORY",
		Short: "List every image that has a vulnerability, and every environment that it runs in",
		Long: "Vuln lists the images that have a vulnerability, in all repositories that you may see, with the packages, the version\n" +
			"that mends each, and where the image runs. A Berth knows at once. Amazon's ECR has no question for it: there the\n" +
			"findings of one image after the other are read, the newest of each repository first, and it is said how far that went.",
		Example: "berth vuln CVE-2026-12345\nberth vuln GHSA-jfh8-c2jp-5v3q --output json\nberth vuln CVE-2026-12345 --url aws --max-images 2000",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.vuln(cmd, args[0]) },
	}
	cmd.Flags().Int("max-images", 500, "of a registry that is no Berth: how many images to look at, 0 for all")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	addOutput(cmd)
	return cmd
}

// vulnerable is the JSON output, which is a contract: docs/operate/scan-report.md.
type vulnerable struct {
	Vulnerability string `json:"vulnerability"`
	scan.Walked
}

func (p *program) vuln(cmd *cobra.Command, name string) error {
	most, err := cmd.Flags().GetInt("max-images")
	if err != nil {
		return err
	}
	if most < 0 {
		return usageError{fmt.Errorf("--max-images: %d is negative", most), ""}
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	data := vulnerable{Vulnerability: name}
	asked := false
	if client.Berth != nil {
		all, err := client.Berth.VulnerableImages(cmd.Context(), name, 0)
		if asked = !platform.Unknown(err); asked && err != nil {
			return fmt.Errorf("asking which images have %s: %w", oneLine(name), err)
		}
		data.Walked = scan.Walked{Hits: scan.HitsOf(all), Whole: true}
	}
	if !asked {
		p.say("the registry has no question for this: its images are looked at one by one")
		if data.Walked, err = scan.Walk(cmd.Context(), client.ECR, name, most); err != nil {
			return err
		}
		if err := runsOf(cmd, client, data.Hits); err != nil {
			p.say("where they run is not known: %v", err)
		}
	}
	if err := p.print(cmd, data, func(w io.Writer) error { return writeHits(w, data.Hits) }); err != nil {
		return err
	}
	p.sayLooked(data, asked)
	return nil
}

// sayLooked says what the list is worth.
func (p *program) sayLooked(data vulnerable, asked bool) {
	running := map[string]bool{}
	for _, h := range data.Hits {
		for _, at := range h.Runs {
			running[at] = true
		}
	}
	said := plural(len(data.Hits), "image has", "images have") + " " + oneLine(data.Vulnerability)
	if len(running) > 0 {
		said += ", running in " + plural(len(running), "place", "places")
	}
	p.say("%s", said)
	if asked {
		return
	}
	p.say("looked at %s of %s; %d more have no findings to read", plural(data.Looked, "image", "images"), plural(data.Repositories, "repository", "repositories"), data.Unscanned)
	if !data.Whole {
		p.say("there are more images: --max-images says how many are looked at")
	}
}

// runsOf finds where images run, by the records of deployments beside them, and through indexes that list them.
func runsOf(cmd *cobra.Command, client *registry.Client, hits []scan.Hit) error {
	through := map[string]deploy.Inside{} // by repository
	for i := range hits {
		h := &hits[i]
		records := deploy.NewRecords(client.ECR, client, h.Repository)
		if _, known := through[h.Repository]; !known {
			all, err := records.Through(cmd.Context())
			if err != nil {
				return err
			}
			through[h.Repository] = all
		}
		places, err := records.Runs(cmd.Context(), h.Digest)
		if err != nil {
			return err
		}
		for _, at := range append(places, through[h.Repository][h.Digest]...) {
			if place := at.Environment + "/" + at.App; !slices.Contains(h.Runs, place) {
				h.Runs = append(h.Runs, place)
			}
		}
	}
	return nil
}

func writeHits(w io.Writer, hits []scan.Hit) error {
	if len(hits) == 0 {
		return nil
	}
	rows := [][]string{{"REPOSITORY", "IMAGE", "DIGEST", "SEVERITY", "PACKAGE", "INSTALLED", "FIXED IN", "RUNS IN", "EXCEPTED"}}
	for _, h := range hits {
		var names, versions, fixes []string
		for _, of := range h.Packages {
			names, versions = append(names, of.Name), append(versions, of.Version)
			if of.FixedIn != "" {
				fixes = append(fixes, of.FixedIn)
			}
		}
		list := func(all []string) string {
			return dash(strings.Join(slices.Compact(slices.Sorted(slices.Values(all))), ","))
		}
		excepted := ""
		if e := h.Exception; e != nil {
			excepted = strings.TrimPrefix(e.Owner+": "+e.Reason, ": ")
		}
		rows = append(rows, []string{
			h.Repository, tagList(h.Tags), short(h.Digest.String()), string(h.Severity), list(names), list(versions), list(fixes), list(h.Runs), dash(excepted),
		})
	}
	return writeSafely(w, rows)
}
