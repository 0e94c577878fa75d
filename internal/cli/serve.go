package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

func (p *program) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the registry",
		Long: "Serve runs the registry: for docker and other OCI clients under /v2/, and for the AWS CLI and SDKs,\n" +
			"which take it for Amazon ECR and STS. Without settings it keeps everything in one directory.\n\n" +
			"The first start makes a root access key, which \"berth env\" hands to your shell. SIGTERM or an interrupt\n" +
			"lets requests under way finish; a second one ends at once.",
		Example: "berth serve\n" +
			"berth serve --listen 0.0.0.0:443 --hostname registry.example.com --tls-cert cert.pem --tls-key key.pem\n" +
			"berth serve --database postgres://berth@db/berth --blobs s3://images/berth",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(p.sources(cmd.Flags()))
			if err != nil {
				return usageError{err, "every setting is explained by: " + p.name + " serve --help"}
			}
			return p.serve(cmd.Context(), cfg)
		},
	}
	addOptions(cmd.Flags())
	return cmd
}

func (p *program) serve(ctx context.Context, cfg config.Config) error {
	p.tuneCollector()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	a, err := app.New(ctx, cfg, app.Deps{Logger: p.logger(cfg), Now: p.now, Scanner: true})
	if err != nil {
		return p.startHint(cfg, err)
	}
	p.welcome(cfg, a)
	stopping := context.AfterFunc(ctx, func() {
		stop() // from here on a signal has its usual effect
		p.say("stopping: requests under way have %s to finish, a second signal ends at once", cfg.ShutdownTimeout)
	})
	defer stopping()
	return a.Run(ctx)
}

// collectAt is how much garbage, in percent of the live heap, starts a collection. A server's live heap is
// about 5 MB, so that Go's usual 100 would have the collector run all the time for a few megabytes
// (docs/design/performance.md).
const collectAt = 150

// tuneCollector leaves the choice to GOGC where that is set.
func (p *program) tuneCollector() {
	if p.environment != nil {
		if _, set := p.environment("GOGC"); set {
			return
		}
	}
	debug.SetGCPercent(collectAt)
}

// welcome says where Berth is and what to type next.
func (p *program) welcome(cfg config.Config, a *app.App) {
	p.say("listening on %s", a.URL())
	if at := a.OpsAddress(); at != "" {
		p.say("metrics on http://%s/metrics, without credentials", at)
	}
	p.say("data in %s", cfg.Data)
	p.say("metadata in %s, layers in %s", place(cfg.Database, "SQLite, "+cfg.DatabaseFile()), place(cfg.Blobs, cfg.BlobDirectory()))
	if a.CreatedRoot() {
		p.say("made the root access key, kept in %s", app.RootKeyFile(cfg.Data))
	}
	if a.URL().Hostname() == "localhost" && !strings.HasPrefix(cfg.Listen, "localhost:") {
		p.say("repositories are named %s/…, which other machines cannot reach: --hostname says how they do", a.URL().Host)
	}
	p.say("in another shell:")
	for _, line := range []string{
		`eval "$(` + p.envLine(cfg) + `)"`,
		"aws ecr create-repository --repository-name hoopstat-haus/prod",
		"aws ecr get-login-password | docker login --username AWS --password-stdin " + a.URL().Host,
	} {
		p.say("    %s", line)
	}
}

// envLine is how to get this server's environment, naming the data directory where it is not the default.
func (p *program) envLine(cfg config.Config) string {
	line := p.name + " env"
	usual, err := config.LoadData(config.Sources{Environment: p.environment})
	if err != nil || usual != cfg.Data {
		line += " --data " + quote(cfg.Data)
	}
	return line
}

func place(named, usual string) string {
	switch {
	case named == "":
		return usual
	case strings.HasPrefix(named, "postgres"):
		return "PostgreSQL" // the URL may hold a password
	default:
		return named
	}
}

// startHint adds what to do about the usual reasons for which a start fails.
func (p *program) startHint(cfg config.Config, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return hintedError{err, "something listens there already: stop it, or choose another address with --listen"}
	case errors.Is(err, app.ErrDataLocked):
		return hintedError{err, "stop the other one, or give this one a directory of its own with --data"}
	case errors.Is(err, identity.ErrWrongMasterKey):
		return hintedError{err, "give this server the master key that the first one made (" +
			filepath.Base(cfg.MasterKeyFile) + " in its data directory), or that it was rotated to since, with --master-key-file or BERTH_MASTER_KEY; " +
			`if nobody has it: "When the master key is lost" in docs/operate/keys.md`}
	default:
		return err
	}
}
