package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/pipeline/dockercred"
)

// maxServerName bounds what docker says on standard input.
const maxServerName = 64 << 10

// helperNotFound is what docker takes for "use this registry without a login". The words are the protocol's.
const helperNotFound = "credentials not found in native keychain"

// asHelper tells whether the program was called by the name that docker calls it by.
func asHelper(arg0 string) bool {
	name := filepath.Base(strings.ReplaceAll(arg0, `\`, "/"))
	return strings.TrimSuffix(name, ".exe") == dockercred.Program
}

func (p *program) dockerCredentialCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "docker-credential",
		Short: "Log docker in with AWS credentials: docker's credential helper",
		Long: "Docker-credential is what docker runs, as docker-credential-berth, to log in. With it docker pull and push\n" +
			"just work for whoever has AWS credentials (environment, profiles, web identity, a role of the machine), for\n" +
			"a Berth on any host name and for Amazon ECR. Tokens are kept in a file that only you can read, until shortly\n" +
			"before their end; BERTH_TOKEN_CACHE names another file, or says off.\n\n" +
			"The registry is asked that AWS_ENDPOINT_URL names, and its token goes to no other. Without that variable\n" +
			"a registry is asked by its own name if docker's credHelpers have this helper for it.",
		Example: "berth docker-credential install --server localhost:5080 --link /usr/local/bin\n" +
			"echo localhost:5080 | docker-credential-berth get",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.helperInstallCommand(), p.helperCommand("get", "Print the login for the registry that standard input names", p.helperGet),
		p.helperCommand("erase", "Forget the tokens kept for the registry that standard input names", p.helperErase),
		p.helperCommand("store", "Do nothing: logins come from AWS credentials", func(*cobra.Command, string) error { return nil }),
		p.helperCommand("list", "Print {}: nothing is stored", func(*cobra.Command, string) error {
			_, err := fmt.Fprintln(p.stdout, "{}")
			return err
		}))
	return cmd
}

// helperExample is how to call one of the four words by hand.
func helperExample(word string) string {
	call := dockercred.Program + " " + word
	if word == "get" || word == "erase" {
		return "echo localhost:5080 | " + call
	}
	return call
}

// helperCommand makes one of the four words of docker's protocol: input on stdin, the answer on stdout, and
// there too, with exit code 1, what went wrong.
func (p *program) helperCommand(word, about string, run func(cmd *cobra.Command, input string) error) *cobra.Command {
	return &cobra.Command{
		Use: word, Short: about, Args: cobra.NoArgs,
		Example: helperExample(word),
		RunE: func(cmd *cobra.Command, _ []string) error {
			input := ""
			if word != "list" { // which is called without
				raw, err := io.ReadAll(io.LimitReader(p.stdin, maxServerName))
				if err != nil {
					return fmt.Errorf("reading standard input: %w", err)
				}
				input = strings.TrimSpace(string(raw))
			}
			err := run(cmd, input)
			switch {
			case errors.Is(err, dockercred.ErrNotFound):
				fmt.Fprintln(p.stdout, helperNotFound)
			case err != nil:
				fmt.Fprintln(p.stdout, strings.ReplaceAll(err.Error(), "\n", " "))
			}
			return err
		},
	}
}

func (p *program) helper() (*dockercred.Helper, error) {
	c, err := config.LoadClient(p.environment)
	if err != nil {
		return nil, err
	}
	return dockercred.New(dockercred.Config{
		Cache: c.TokenCache, DockerConfig: c.DockerConfig, Servers: c.Servers, Now: p.now,
		Warn: func(err error) {
			p.say("%s", err)
			p.hint("to keep no tokens: export BERTH_TOKEN_CACHE=off")
		},
	}), nil
}

// helperLogin is the protocol's answer.
type helperLogin struct {
	ServerURL string
	Username  string
	Secret    string
}

func (p *program) helperGet(cmd *cobra.Command, server string) error {
	h, err := p.helper()
	if err != nil {
		return err
	}
	login, err := h.Get(cmd.Context(), server)
	if errors.Is(err, dockercred.ErrNotFound) {
		return fmt.Errorf("%s: %w", server, err)
	}
	if err != nil {
		return fmt.Errorf("no login for %s: %w", server, err)
	}
	return json.NewEncoder(p.stdout).Encode(helperLogin{server, login.Username, login.Secret})
}

func (p *program) helperErase(_ *cobra.Command, server string) error {
	h, err := p.helper()
	if err != nil {
		return err
	}
	return h.Erase(server)
}

func (p *program) helperInstallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Have docker use this helper for a registry",
		Long: "Install writes into docker's configuration (~/.docker/config.json, or where DOCKER_CONFIG says) that docker\n" +
			"asks this helper for the named registries; the rest of the file stays as it is. Docker looks for the\n" +
			"helper under the name docker-credential-berth in the directories of PATH: --link makes it.",
		Example: "berth docker-credential install --server localhost:5080 --link /usr/local/bin",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.helperInstall(cmd) },
	}
	cmd.Flags().StringArray("server", nil, "a registry, host[:port]; may be repeated; if none, the one of AWS_ENDPOINT_URL")
	cmd.Flags().String("link", "", "make docker-credential-berth in this directory a link to this program")
	return cmd
}

func (p *program) helperInstall(cmd *cobra.Command) error {
	servers, err := cmd.Flags().GetStringArray("server")
	if err != nil {
		return err
	}
	link, err := cmd.Flags().GetString("link")
	if err != nil {
		return err
	}
	c, err := config.LoadClient(p.environment)
	if err != nil {
		return usageError{err, ""}
	}
	if len(servers) == 0 && p.environment != nil {
		at, _ := p.environment("AWS_ENDPOINT_URL")
		if u, err := url.Parse(at); err == nil && u.Host != "" {
			servers = []string{u.Host}
		}
	}
	if len(servers) == 0 {
		return usageError{errors.New("no registry is named"), "give --server host[:port], or set AWS_ENDPOINT_URL"}
	}
	if link != "" {
		if err := p.helperLink(link); err != nil {
			return err
		}
	}
	added, err := dockercred.Install(c.DockerConfig, servers)
	if err != nil {
		return err
	}
	for _, s := range added {
		p.say("docker asks %s for %s, says %s", dockercred.Program, s, c.DockerConfig)
	}
	if len(added) == 0 {
		p.say("%s says so already", c.DockerConfig)
	}
	if _, err := exec.LookPath(dockercred.Program); err != nil {
		p.hint("docker finds no " + dockercred.Program + " yet: give --link with a directory that is in PATH")
	}
	return nil
}

func (p *program) helperLink(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	at, err := dockercred.Link(dir, self)
	if err != nil {
		return err
	}
	p.say("made %s", at)
	return nil
}
