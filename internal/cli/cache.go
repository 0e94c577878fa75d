package cli

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) cacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cache",
		Short:   "Look at the pull-through cache of other registries, and set how old its tags may be",
		Example: "berth cache list\nberth cache ttl hub 10m",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.cacheListCommand(), p.cacheTTLCommand())
	for _, c := range cmd.Commands() {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
		addOutput(c)
	}
	return cmd
}

func (p *program) cacheListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List which repositories are copies of which registry's",
		Long: "List shows the rules of the pull-through cache, which \"aws ecr create-pull-through-cache-rule\" makes, and for\n" +
			"how long a tag under each is served without asking the upstream registry.",
		Example: "berth cache list\nberth cache list --output json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.platform(cmd)
			if err != nil {
				return err
			}
			caches, err := client.Caches(cmd.Context())
			if err != nil {
				return fmt.Errorf("asking for the pull-through cache's rules: %w", err)
			}
			return p.printCaches(cmd, caches)
		},
	}
}

func (p *program) cacheTTLCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ttl PREFIX DURATION",
		Short: "Set for how long a tag is served without asking the upstream registry",
		Long: "Ttl sets how old tags of a rule of the pull-through cache may grow before a pull asks the upstream registry\n" +
			"what they name now; 24h is the usual, 0 asks on each pull. Images that are named by digest never grow old.",
		Example: "berth cache ttl hub 10m\nberth cache ttl ROOT 0",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ttl, err := time.ParseDuration(args[1])
			if err != nil || ttl < 0 || ttl%time.Second != 0 {
				return usageError{fmt.Errorf("%q is no duration in whole seconds", args[1]), "write it like 90s, 10m or 24h"}
			}
			client, err := p.platform(cmd)
			if err != nil {
				return err
			}
			cache, err := client.SetCacheTTL(cmd.Context(), args[0], ttl)
			if err != nil {
				return fmt.Errorf("setting how old tags under %s may be: %w", args[0], err)
			}
			return p.printCaches(cmd, []platform.Cache{cache})
		},
	}
}

// platform makes the client of the Berth that a command is to ask.
func (p *program) platform(cmd *cobra.Command) (*platform.Client, error) {
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return nil, err
	}
	if err := checkURL(at); err != nil {
		return nil, err
	}
	client, err := platform.New(cmd.Context(), platform.Config{URL: at, Now: p.now})
	if errors.Is(err, platform.ErrNoEndpoint) {
		return nil, usageError{err, `type: eval "$(` + p.name + ` env)", or give --url`}
	}
	return client, err
}

// cache is an entry of the JSON output, which is a contract.
type cache struct {
	Prefix         string `json:"ecrRepositoryPrefix"`
	Upstream       string `json:"upstreamRegistryUrl"`
	UpstreamPrefix string `json:"upstreamRepositoryPrefix"`
	Credential     string `json:"credentialArn,omitempty"`
	TTLSeconds     int64  `json:"ttlSeconds"`
}

func (p *program) printCaches(cmd *cobra.Command, caches []platform.Cache) error {
	list := []cache{}
	for _, c := range caches {
		list = append(list, cache{c.Prefix, c.Upstream, c.UpstreamPrefix, c.Credential, int64(c.TTL / time.Second)})
	}
	return p.print(cmd, list, func(w io.Writer) error {
		if len(list) == 0 {
			p.say("no repository is a copy of another registry's")
			return nil
		}
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if _, err := fmt.Fprintln(table, "PREFIX\tUPSTREAM\tUPSTREAM PREFIX\tTTL"); err != nil {
			return err
		}
		for _, c := range caches {
			if _, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Prefix, c.Upstream, c.UpstreamPrefix, c.TTL); err != nil {
				return err
			}
		}
		return table.Flush()
	})
}
