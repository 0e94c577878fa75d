package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/config"
)

func (p *program) envCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment with which the AWS CLI and SDKs use a Berth of this machine",
		Long: "Env prints what a shell needs to use the Berth whose data directory is on this machine, as root: where\n" +
			"it is, and its root access key. Docker uses the same environment once it is told to:\n" +
			"\"berth docker-credential install --help\" says how.",
		Example: "eval \"$(berth env)\"\neval \"$(berth env --data /var/lib/berth --url https://registry.example.com)\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := cmd.Flags().GetString("url")
			if err != nil {
				return err
			}
			return p.env(cmd, at)
		},
	}
	addOptions(cmd.Flags(), "data", "config")
	cmd.Flags().String("url", "", "how to reach the server, if not as it says itself")
	addOutput(cmd)
	return cmd
}

// checkURL refuses what is no server's URL. Empty is the flag that was not given.
func checkURL(at string) error {
	if u, err := url.Parse(at); at != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		return usageError{fmt.Errorf("--url: %q is not a URL such as http://localhost:5080", at), ""}
	}
	return nil
}

func (p *program) env(cmd *cobra.Command, at string) error {
	if err := checkURL(at); err != nil {
		return err
	}
	data, err := config.LoadData(p.sources(cmd.Flags()))
	if err != nil {
		return usageError{err, ""}
	}
	key, err := app.ReadRootKey(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hintedError{
			fmt.Errorf("no server has run with the data directory %s", data),
			"start one with: " + p.name + " serve, or say with --data where it keeps its data",
		}
	case err != nil:
		return err
	}
	if at == "" {
		at = key.URL
	}
	variables := []variable{
		{"AWS_ENDPOINT_URL", strings.TrimSuffix(at, "/")},
		{"AWS_ACCESS_KEY_ID", key.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", key.SecretAccessKey},
		{"AWS_REGION", key.Region},
		{"AWS_DEFAULT_REGION", key.Region}, // what botocore reads
	}
	object := map[string]string{}
	for _, v := range variables {
		object[v.name] = v.value
	}
	return p.print(cmd, object, func(w io.Writer) error {
		for _, v := range variables {
			if _, err := fmt.Fprintf(w, "export %s=%s\n", v.name, quote(v.value)); err != nil {
				return err
			}
		}
		// A session token left over from other credentials would be sent along and refused.
		_, err := fmt.Fprintln(w, "unset AWS_SESSION_TOKEN")
		return err
	})
}

type variable struct{ name, value string }

// quote makes a word of s for a POSIX shell.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=+,@%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
