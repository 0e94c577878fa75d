package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/app"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// newAdminKeyCommands are the commands that rotate keys.
func (p *program) newAdminKeyCommands() []*cobra.Command {
	commands := []*cobra.Command{p.rotateMasterKeyCommand(), p.rotateTokenKeyCommand()}
	for _, c := range commands {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
		addOutput(c)
	}
	return commands
}

func (p *program) rotateMasterKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-master-key",
		Short: "Seal the secrets in the database under the first master key",
		Long: "Rotate-master-key has a running Berth seal everything anew that is sealed under another master key than the\n" +
			"first in its key file. Every replica must have the new key in its file before; none needs a restart. The\n" +
			"command may be run again at any time: it goes on where another ended, and tells which keys are in use.\n" +
			"With --write-new-key it first puts a new key into a key file on this machine.",
		Example: "berth admin rotate-master-key --write-new-key /var/lib/berth/master.key\nberth admin rotate-master-key",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.rotateMasterKey(cmd) },
	}
	cmd.Flags().String("write-new-key", "", "the server's key file, to put a new key before the others in it")
	return cmd
}

func (p *program) rotateMasterKey(cmd *cobra.Command) error {
	file, err := cmd.Flags().GetString("write-new-key")
	if err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	want := ""
	if file != "" {
		if want, err = app.AddMasterKey(file); err != nil {
			return err
		}
		p.say("put the new master key %s into %s", want, file)
	}
	done, err := client.RotateMasterKey(cmd.Context(), want)
	if err != nil {
		err = fmt.Errorf("rotating the master key: %w", err)
		if _, denied := platform.Denied(err); denied && file != "" {
			err = hintedError{err, "the new key stays in " + file + " and seals nothing yet, so take no line out: go on as root (" +
				`eval "$(` + p.name + ` env)"), without --write-new-key`}
		} else if file != "" {
			err = hintedError{err, "the new key stays in " + file + ": see that the server reads that file, then try again without --write-new-key"}
		}
		return err
	}
	if err := p.print(cmd, done, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s seals; %d secrets were sealed anew\n", done.KeyID, done.Rewrapped)
		return err
	}); err != nil {
		return err
	}
	p.sayMasterKeysInUse(done)
	return nil
}

// sayMasterKeysInUse tells which keys may not be thrown away.
func (p *program) sayMasterKeysInUse(done platform.MasterKeyRotation) {
	older := false
	for _, u := range done.InUse {
		if u.KeyID == done.KeyID {
			continue
		}
		older = true
		if u.Known {
			p.say("%d secrets are sealed under the older key %s: try again", u.Secrets, u.KeyID)
		} else {
			p.say("%d secrets are sealed under the key %s, which the server does not have: put it into the key file and try again", u.Secrets, u.KeyID)
		}
	}
	if !older {
		p.say("no older key is in use; run this again after a minute before you take older keys out of the key file")
	}
}

func (p *program) rotateTokenKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate-token-key",
		Short: "Make a new key for authorization tokens, download links and sessions",
		Long: "Rotate-token-key has a running Berth make a new key for what it issues. What was issued under older keys stays\n" +
			"good until its own end. With --revoke-now it is void at once, within seconds on all replicas: everybody has to\n" +
			"log in again.",
		Example: "berth admin rotate-token-key\nberth admin rotate-token-key --revoke-now",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.rotateTokenKey(cmd) },
	}
	cmd.Flags().Bool("revoke-now", false, "void everything that was issued under older keys")
	return cmd
}

func (p *program) rotateTokenKey(cmd *cobra.Command) error {
	revoke, err := cmd.Flags().GetBool("revoke-now")
	if err != nil {
		return err
	}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	done, err := client.RotateTokenKey(cmd.Context(), revoke)
	if err != nil {
		return fmt.Errorf("rotating the token key: %w", err)
	}
	return p.print(cmd, done, func(w io.Writer) error {
		text := fmt.Sprintf("token key %d is in use", done.KeyID)
		if len(done.Older) > 0 {
			text += "; what was issued under " + numbers(done.Older) + " stays good until its end"
		}
		if len(done.Revoked) > 0 {
			text += "; what was issued under " + numbers(done.Revoked) + " is void"
		}
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

func numbers(ids []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ", "), "[]")
}
