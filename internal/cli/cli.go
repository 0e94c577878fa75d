// Package cli is Berth's command line: one file per command, and nothing in them that another program could
// want.
//
// Data goes to stdout, everything else to stderr as "berth: …", lower case and without a full stop. An
// error is followed by a hint where there is something to type. Exit codes are in exit.go.
package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hoopstat-haus/berth/internal/config"
)

// program is what commands get from outside.
type program struct {
	name           string // how to call berth again, for hints
	stdin          io.Reader
	stdout, stderr io.Writer
	environment    func(string) (string, bool)
	now            func() time.Time
}

// Main runs one command line and gives the exit code.
func Main(args []string) int {
	p := &program{
		name: calledAs(os.Args[0]), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environment: config.Environment, now: time.Now,
	}
	if asHelper(os.Args[0]) {
		p.name, args = "berth", append([]string{"docker-credential"}, args...)
	}
	return p.run(context.Background(), args)
}

// calledAs is what a user would type to run this program again.
func calledAs(arg0 string) string {
	if strings.Contains(arg0, "/go-build") { // go run puts programs there, and removes them
		return "go run ./cmd/berth"
	}
	return arg0
}

func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	err := root.ExecuteContext(ctx)
	if err != nil && !started {
		// cobra itself refused the command line: an unknown command or flag, a wrong number of arguments.
		err = usageError{err, "see: " + p.name + " " + strings.TrimSpace(strings.TrimPrefix(commandOf(root, args), "berth")+" --help")}
	}
	return p.report(err)
}

// commandOf gives the path of the deepest command that the arguments name.
func commandOf(root *cobra.Command, args []string) string {
	found, _, err := root.Find(args)
	if err != nil || found == nil {
		return root.CommandPath()
	}
	return found.CommandPath()
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "berth",
		Short: "A container registry that speaks OCI and Amazon ECR, and the pipeline that uses one",
		Long: "Berth is a container registry in one program. Docker and every other OCI client use it, and so do\n" +
			"the AWS CLI and SDKs, which take it for Amazon ECR.",
		Example:       "berth serve\neval \"$(berth env)\"\naws ecr create-repository --repository-name hoopstat-haus/prod",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpFunc(p.help)
	root.SetHelpCommand(&cobra.Command{Use: "help", Hidden: true, RunE: func(_ *cobra.Command, args []string) error { return p.helpOf(root, args) }})
	root.AddCommand(
		p.serveCommand(),
		p.envCommand(),
		p.tagsCommand(),
		p.signingCommand(),
		p.advisoriesCommand(),
		p.cacheCommand(),
		p.dockerCredentialCommand(),
		p.adminCommand(),
		p.policyCommand(),
		p.lifecycleCommand(),
		p.imagesCommand(),
		p.scanCommand(),
		p.vulnCommand(),
		p.sbomCommand(),
		p.vexCommand(),
		p.gcCommand(),
		p.eventsCommand(),
		p.fsckCommand(),
		p.notifyCommand(),
		p.usageCommand(),
		p.initCommand(),
		p.detectCommand(),
		p.shipCommand(),
		p.doctorCommand(),
		p.deployCommand(),
		p.promoteCommand(),
		p.rollbackCommand(),
		p.statusCommand(),
		p.historyCommand(),
		p.watchCommand(),
		p.configCommand(),
		p.versionCommand(),
		p.internalCommand(),
	)
	return root
}

// addOptions gives a command the flags of the named settings, or of all.
func addOptions(flags *pflag.FlagSet, names ...string) {
	for _, o := range config.Options() {
		if o.Secret || (len(names) > 0 && !slices.Contains(names, o.Name)) {
			continue
		}
		flags.String(o.Name, "", o.Usage)
		if o.Bool {
			flags.Lookup(o.Name).NoOptDefVal = "true"
		}
	}
}

// sources collects the settings that were typed.
func (p *program) sources(flags *pflag.FlagSet) config.Sources {
	s := config.Sources{Flags: map[string]string{}, Environment: p.environment}
	for _, o := range config.Options() {
		if f := flags.Lookup(o.Name); f != nil && f.Changed {
			s.Flags[o.Name] = f.Value.String()
		}
	}
	return s
}

// logger writes the server's log to stderr.
func (p *program) logger(cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.JSONLog {
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}
