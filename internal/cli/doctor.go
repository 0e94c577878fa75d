package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/pipeline/diagnose"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func (p *program) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why a push, a pull or a login does not work",
		Long: "Doctor walks from the configuration to the image and says of each step whether it is well: credentials, endpoint,\n" +
			"DNS, TLS, clock, the registry and its token, docker's login and engine, git, disk. Each line is ok, a warning,\n" +
			"a failure or skipped, with what to type where something is wrong. What depends on something that failed is\n" +
			"skipped, so what fails is the cause.\n\n" +
			"It changes nothing, prints no secret, and works against a Berth and against Amazon's ECR. The exit code is 3 if\n" +
			"there is a failure.",
		Example: "berth doctor\n" +
			"berth doctor push hoopstat-haus/prod\n" +
			"berth doctor pull hoopstat-haus/prod:example-calculator-app-latest\n" +
			"berth doctor --output json --query \"checks[?status=='failure'].[name,fix]\" --output text",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.doctor(cmd, "", diagnose.Everything(), func(*diagnose.Env) {})
		},
	}
	addDoctor(cmd)
	cmd.AddCommand(p.doctorPushCommand(), p.doctorPullCommand(), p.doctorOIDCCommand())
	return cmd
}

// addDoctor gives a command the flags that all of them have.
func addDoctor(cmd *cobra.Command) {
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	cmd.Flags().String("dir", ".", "the monorepo, or a directory in it")
	cmd.Flags().Duration("timeout", 15*time.Second, "how long one check may take")
	addOutput(cmd)
}

func (p *program) doctorPushCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "push REPOSITORY[:TAG]",
		Short: "Find out why a push does not work",
		Long: "Push looks at all that a push to a repository needs: what doctor looks at, the repository and its policy, whether\n" +
			"tags may be moved, and each permission. Permissions are asked of IAM where it lets the caller simulate, and otherwise\n" +
			"tried, with layers and images that are not there, so that nothing is pushed.",
		Example: "berth doctor push hoopstat-haus/prod\nberth doctor push hoopstat-haus/prod:example-calculator-app-latest --url aws",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, tag, tagged := strings.Cut(args[0], ":")
			if !tagged {
				tag = "latest" // any tag: only the name is checked
			}
			name, err := p.imageName(repository + ":" + tag)
			if err != nil {
				return err
			}
			return p.doctor(cmd, args[0], diagnose.Push(), func(e *diagnose.Env) {
				e.Repository = name.Repository
				if tagged {
					e.Tag = name.Tag
				}
			})
		},
	}
	addDoctor(cmd)
	return cmd
}

func (p *program) doctorPullCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull REPOSITORY:TAG|REPOSITORY@DIGEST",
		Short: "Find out why a pull does not work",
		Long: "Pull looks at all that a pull of an image needs: what doctor looks at, the repository, the image, each permission,\n" +
			"and whether the image is for the platform of docker's engine or this machine. For that it reads the manifest,\n" +
			"which the registry counts as a pull, unless --no-manifest is given.",
		Example: "berth doctor pull hoopstat-haus/prod:example-calculator-app-latest\n" +
			"berth doctor pull hoopstat-haus/prod:example-calculator-app-latest --no-manifest",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := p.imageName(args[0])
			if err != nil {
				return err
			}
			unread, err := cmd.Flags().GetBool("no-manifest")
			if err != nil {
				return err
			}
			return p.doctor(cmd, args[0], diagnose.Pull(), func(e *diagnose.Env) {
				e.Repository, e.Image, e.Manifest = name.Repository, cmp.Or(name.Tag, name.Digest.String()), !unread
			})
		},
	}
	addDoctor(cmd)
	cmd.Flags().Bool("no-manifest", false, "do not read the manifest, which counts as a pull, nor say whether the platform fits")
	return cmd
}

func (p *program) doctorOIDCCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "oidc",
		Short: "Find out why a job's identity token does not get it its role",
		Long: "Oidc looks at how a job of GitHub Actions, or any program with AWS_WEB_IDENTITY_TOKEN_FILE, takes on its role:\n" +
			"whether it gets a token, what that says, whether the server takes it, and, for callers who may read provider and\n" +
			"role, what in the trust policy keeps it out. The role is really taken on, for 15 minutes, and its credentials are\n" +
			"thrown away.\n\n" +
			"Elsewhere --subject says whose token to look at.",
		Example: "berth doctor oidc --role arn:aws:iam::000000000000:role/github-push\n" +
			"berth doctor oidc --role arn:aws:iam::000000000000:role/github-push --subject repo:my-org/hoopstat-haus:ref:refs/heads/main",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var role, audience, subject, issuer string
			for name, into := range map[string]*string{"role": &role, "audience": &audience, "subject": &subject, "issuer": &issuer} {
				var err error
				if *into, err = cmd.Flags().GetString(name); err != nil {
					return err
				}
			}
			return p.doctor(cmd, "", diagnose.OIDC(), func(e *diagnose.Env) {
				e.Role, e.Audience, e.Subject, e.Issuer = role, audience, subject, issuer
			})
		},
	}
	addDoctor(cmd)
	cmd.Flags().String("role", "", "the ARN of the role, if not AWS_ROLE_ARN")
	cmd.Flags().String("audience", "sts.amazonaws.com", "for whom the token is made out")
	cmd.Flags().String("subject", "", "whose token to look at where there is none, such as repo:ORG/REPO:ref:refs/heads/main")
	cmd.Flags().String("issuer", diagnose.GitHubIssuer, "who issues the token of that subject")
	return cmd
}

// doctor does checks and prints what they found.
func (p *program) doctor(cmd *cobra.Command, of string, checks []diagnose.Check, tell func(*diagnose.Env)) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	env, err := p.doctorEnv(cmd)
	if err != nil {
		return err
	}
	tell(env)
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	found, err := diagnose.Run(ctx, env, checks)
	if err != nil {
		if ctx.Err() != nil && cmd.Context().Err() == nil {
			err = errors.New("the checks were stopped")
		}
		return err
	}
	data := newDiagnosis(of, found)
	if err := p.print(cmd, data, func(w io.Writer) error { return writeDiagnosis(w, data) }); err != nil {
		return err
	}
	switch {
	case data.Summary.Failures > 0:
		return foundError{fmt.Errorf("%s, %s", plural(data.Summary.Failures, "failure", "failures"), plural(data.Summary.Warnings, "warning", "warnings"))}
	case data.Summary.Warnings > 0:
		p.say("%s", plural(data.Summary.Warnings, "warning", "warnings"))
	}
	return nil
}

// doctorEnv reads the flags.
func (p *program) doctorEnv(cmd *cobra.Command) (*diagnose.Env, error) {
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return nil, err
	}
	if at != platform.Amazon {
		if err := checkURL(at); err != nil {
			return nil, err
		}
	}
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, usageError{fmt.Errorf("--dir: %s is no directory", dir), ""}
	}
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		return nil, usageError{fmt.Errorf("--timeout: %s is no time", timeout), "give one such as 15s"}
	}
	client, err := config.LoadClient(p.environment)
	if err != nil {
		return nil, usageError{err, ""}
	}
	return &diagnose.Env{
		URL: at, Dir: dir, DockerConfig: client.DockerConfig, Servers: client.Servers, Manifest: true, Self: p.name,
		Getenv: p.environment, Now: p.now, Timeout: timeout,
	}, nil
}

// diagnosis is the JSON output, which is a contract: docs/operate/doctor.md.
type diagnosis struct {
	Of      string          `json:"of,omitempty"`
	Checks  []diagnosed     `json:"checks"`
	Summary diagnosedCounts `json:"summary"`
}

type diagnosed struct {
	Name    string          `json:"name"`
	Status  diagnose.Status `json:"status"`
	Message string          `json:"message"`
	Fix     string          `json:"fix,omitempty"`
	Because string          `json:"because,omitempty"`
}

type diagnosedCounts struct {
	OK       int `json:"ok"`
	Warnings int `json:"warnings"`
	Failures int `json:"failures"`
	Skipped  int `json:"skipped"`
}

func newDiagnosis(of string, found []diagnose.Found) diagnosis {
	d := diagnosis{Of: of, Checks: make([]diagnosed, 0, len(found))}
	for _, f := range found {
		d.Checks = append(d.Checks, diagnosed{f.Check, f.Status, oneLine(f.Message), oneLine(f.Fix), f.Because})
		switch f.Status {
		case diagnose.OK:
			d.Summary.OK++
		case diagnose.Warning:
			d.Summary.Warnings++
		case diagnose.Failure:
			d.Summary.Failures++
		case diagnose.Skipped:
			d.Summary.Skipped++
		}
	}
	return d
}

func writeDiagnosis(w io.Writer, d diagnosis) error {
	wide := 0
	for _, c := range d.Checks {
		wide = max(wide, len(c.Name))
	}
	for _, c := range d.Checks {
		if _, err := fmt.Fprintf(w, "%-7s  %-*s  %s\n", c.Status, wide, c.Name, c.Message); err != nil {
			return err
		}
		if c.Fix == "" || c.Status == diagnose.OK {
			continue
		}
		if _, err := fmt.Fprintf(w, "         %-*s  fix: %s\n", wide, "", c.Fix); err != nil {
			return err
		}
	}
	return nil
}
