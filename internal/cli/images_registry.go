package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

// byHand are the commands that work on any ECR.
func (p *program) byHand() []*cobra.Command {
	all := []*cobra.Command{p.imagesListCommand(), p.imagesShowCommand(), p.imagesDiffCommand(), p.imagesRemoveCommand(), p.imagesTagCommand(), p.imagesPullCommand(), p.imagesAdviceCommand()}
	for _, c := range all {
		c.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
		addOutput(c)
	}
	return append(all, p.scanCommand())
}

// registryClient makes the client that a command is to use.
func (p *program) registryClient(cmd *cobra.Command) (*registry.Client, error) {
	if err := checkOutput(cmd); err != nil {
		return nil, err
	}
	return p.registryOf(cmd)
}

// registryOf is registryClient for commands whose output has one form.
func (p *program) registryOf(cmd *cobra.Command) (*registry.Client, error) {
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return nil, err
	}
	client, err := registry.New(cmd.Context(), registry.Config{URL: at, Now: p.now})
	if errors.Is(err, platform.ErrNoEndpoint) {
		return nil, usageError{err, `type: eval "$(` + p.name + ` env)", or give --url`}
	}
	return client, err
}

// imagesOf makes a client of one repository.
func imagesOf(client *registry.Client, repository string) *images.Client {
	return &images.Client{API: client.ECR, Distribution: client, Repository: repository}
}

// imagesError adds what to do about it.
func (p *program) imagesError(err error, client *registry.Client) error {
	switch {
	case platform.Refused(err, images.NoRepository) && client.Endpoint() == "":
		return hintedError{err, "the region asked is " + client.Region() + "; $AWS_REGION names another"}
	case platform.Refused(err, images.NoRepository):
		return hintedError{err, "see: aws ecr describe-repositories"}
	case platform.Refused(err, images.NoImage):
		return hintedError{err, "which there are: " + p.name + " images ls REPOSITORY"}
	}
	return err
}

// imageName reads the name of an image.
func (p *program) imageName(s string) (images.Name, error) {
	name, err := images.ParseName(s)
	switch {
	case errors.Is(err, images.ErrAddressed):
		return name, usageError{err, "leave it out: --url or AWS_ENDPOINT_URL says which registry is asked"}
	case err != nil:
		return name, usageError{err, "write it like hoopstat-haus/prod:web-latest, or hoopstat-haus/prod@sha256:…"}
	}
	return name, nil
}
