package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (p *program) imagesPullCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull REPOSITORY:TAG",
		Short: "Print the commands that pull an image, by its digest",
		Long: "Pull finds out which image a tag stands for, and prints the commands that log docker in and pull it. It pulls\n" +
			"nothing itself. By its digest the image is the same one wherever and whenever the commands are used. No secret is in them.",
		Example: "berth images pull hoopstat-haus/prod:example-calculator-app-latest",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.imagesPull(cmd, args[0]) },
	}
	return cmd
}

// pulling is the JSON output, which is a contract: docs/operate/images.md.
type pulling struct {
	Image    string   `json:"image"` // by digest
	Tag      string   `json:"tag,omitempty"`
	Commands []string `json:"commands"`
}

func (p *program) imagesPull(cmd *cobra.Command, named string) error {
	name, err := p.imageName(named)
	if err != nil {
		return err
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return err
	}
	found, err := imagesOf(client, name.Repository).Resolve(cmd.Context(), name.Reference)
	if err != nil {
		return p.imagesError(fmt.Errorf("looking for %s: %w", name, err), client)
	}
	host, err := client.Host(cmd.Context())
	if err != nil {
		return err
	}
	aws := "aws"
	if client.Endpoint() != "" {
		aws += " --endpoint-url " + quote(client.Endpoint())
	}
	data := pulling{Image: host + "/" + name.Repository + "@" + found.Digest.String()}
	data.Commands = []string{
		aws + " ecr get-login-password --region " + quote(client.Region()) + " | docker login --username AWS --password-stdin " + quote(host),
		"docker pull " + quote(data.Image),
	}
	if name.Tag != "" {
		data.Tag = host + "/" + name.Repository + ":" + name.Tag
		data.Commands = append(data.Commands, "docker tag "+quote(data.Image)+" "+quote(data.Tag))
	}
	return p.print(cmd, data, func(w io.Writer) error {
		for _, c := range data.Commands {
			if _, err := fmt.Fprintln(w, c); err != nil {
				return err
			}
		}
		p.say("hint: without a login before each push and pull: %s docker-credential install %s", p.name, quote(host))
		return nil
	})
}
