package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hoopstat-haus/berth/internal/config"
)

// help prints a command's help to stdout: help is data when it is asked for. It is written out rather than
// a template because text/template, once linked, keeps every method of every SDK in the program.
func (p *program) help(cmd *cobra.Command, _ []string) {
	w := p.stdout
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", about, useLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n  %s\n", strings.ReplaceAll(cmd.Example, "\n", "\n  "))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(w, "\nCommands:\n")
		width := 10
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				width = max(width, len(c.Name()))
			}
		}
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-*s %s\n", width, c.Name(), c.Short)
			}
		}
		fmt.Fprintf(w, "\nMore about a command: %s COMMAND --help\n", cmd.CommandPath())
	}
	helpFlags(w, cmd)
	helpEnvironment(w, cmd)
	if cmd.Name() == "serve" {
		helpSecrets(w)
	}
}

// helpOf is "berth help admin create-user", which is "berth admin create-user --help".
func (p *program) helpOf(root *cobra.Command, args []string) error {
	of, rest, err := root.Find(args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unknown command %q for %q", rest[0], of.CommandPath())
	}
	if err != nil {
		return usageError{err, "see: " + p.name + " --help"}
	}
	p.help(of, nil)
	return nil
}

// helpEnvironment lists the variables of commands that speak to a server, and of docker's helper.
func helpEnvironment(w io.Writer, cmd *cobra.Command) {
	type variable struct{ name, about string }
	variables := []variable{
		{"AWS_ENDPOINT_URL", "the Berth to ask"},
		{"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE", "who asks, and all else that the AWS CLI reads; \"berth env\" prints root's"},
	}
	switch {
	case cmd.Name() == "docker-credential" || (cmd.HasParent() && cmd.Parent().Name() == "docker-credential"):
		variables = append(variables, variable{"BERTH_CREDENTIAL_SERVERS", "registries, host[:port],…, that may be asked though docker's credHelpers do not name them"},
			variable{"BERTH_TOKEN_CACHE", "the file that keeps tokens, if not tokens.json in ~/.cache/berth; or off"},
			variable{"DOCKER_CONFIG", "the directory of docker's configuration, if not ~/.docker"})
	case cmd.Name() == "detect":
		variables = []variable{
			{"GITHUB_ACTIONS, GITHUB_EVENT_NAME, GITHUB_EVENT_PATH", "what GitHub Actions says was before, where there is no --base"},
			{"GITLAB_CI, CI_PIPELINE_SOURCE, CI_COMMIT_BEFORE_SHA, CI_MERGE_REQUEST_DIFF_BASE_SHA", "the same of GitLab CI"},
			{"GITHUB_OUTPUT", "the file that --output github adds to"},
		}
	case cmd.Flags().Lookup("url") == nil || cmd.Flags().Lookup("data") != nil:
		return
	}
	fmt.Fprint(w, "\nEnvironment:\n")
	for _, v := range variables {
		fmt.Fprintf(w, "  %s\n      %s\n", v.name, v.about)
	}
}

func useLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

// helpFlags lists the flags, settings with their environment variables and file keys.
func helpFlags(w io.Writer, cmd *cobra.Command) {
	settings := map[string]config.Option{}
	for _, o := range config.Options() {
		settings[o.Name] = o
	}
	title := "\nFlags:\n"
	cmd.Flags().SortFlags = false
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		fmt.Fprint(w, title)
		title = ""
		o, setting := settings[f.Name]
		switch {
		case setting:
			fmt.Fprintf(w, "  --%s\n      %s\n      %s\n", f.Name, f.Usage, origin(o))
		case f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false":
			fmt.Fprintf(w, "  --%s\n      %s (default %s)\n", f.Name, f.Usage, f.DefValue)
		default:
			fmt.Fprintf(w, "  --%s\n      %s\n", f.Name, f.Usage)
		}
	})
}

// helpSecrets lists the settings that have no flag.
func helpSecrets(w io.Writer) {
	fmt.Fprint(w, "\nSettings without a flag, since a command line can be seen by others:\n")
	for _, o := range config.Options() {
		if o.Secret {
			fmt.Fprintf(w, "  %s\n      %s\n      %s\n", o.Env(), o.Usage, origin(o))
		}
	}
	fmt.Fprint(w, "\nThe file has three sections more: secrets, the names and tokens for upstream registries of the pull-through cache,\n"+
		"destinations, the Berths that replication may send to, and oidc-providers, identity providers that are not on the\n"+
		"internet.\n")
	fmt.Fprint(w, "\nA flag counts before its variable, a variable before the file, the file before the default.\n")
}

func origin(o config.Option) string {
	parts := []string{"default: " + o.DefaultText()}
	if !o.Secret {
		parts = append(parts, "$"+o.Env())
	}
	if !o.NoFile {
		parts = append(parts, "file: "+o.Name)
	}
	return "[" + strings.Join(parts, " · ") + "]"
}
