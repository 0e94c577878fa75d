package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

// listedExceptions is the JSON output, which is a contract: docs/operate/exceptions.md.
type listedExceptions struct {
	Repository string             `json:"repositoryName"`
	Digest     string             `json:"imageDigest"`
	Exceptions []excepted         `json:"exceptions"`
	Documents  []attachedDocument `json:"documents"`
}

type attachedDocument struct {
	Digest  string `json:"digest"`
	Actor   string `json:"actor,omitempty"`
	Problem string `json:"problem,omitempty"` // why nothing in it counts
}

func (p *program) vexLs(cmd *cobra.Command, named string) error {
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
		return p.imagesError(fmt.Errorf("the exceptions of %s: %w", name, err), client)
	}
	data := listedExceptions{name.Repository, found.Digest.String(), []excepted{}, []attachedDocument{}}
	asked, err := p.serverExceptions(cmd.Context(), client, &data)
	if !asked {
		p.say("the registry holds to no exceptions: this is what the attached documents say")
		err = p.attachedExceptions(cmd.Context(), client, found, &data)
	}
	if err != nil {
		return fmt.Errorf("the exceptions of %s: %w", name, err)
	}
	if err := p.print(cmd, data, func(w io.Writer) error { return writeExcepted(w, data.Exceptions) }); err != nil {
		return err
	}
	for _, d := range data.Documents {
		if d.Problem != "" {
			p.say("%s counts for nothing: %s", oneLine(d.Digest), oneLine(d.Problem))
		}
	}
	return nil
}

// week is how soon an exception expires that is listed so.
const week = 7 * 24 * time.Hour

func (p *program) serverExceptions(ctx context.Context, client *registry.Client, data *listedExceptions) (asked bool, err error) {
	if client.Berth == nil {
		return false, nil
	}
	list, err := client.Berth.Exceptions(ctx, data.Repository, data.Digest)
	if platform.Unknown(err) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	for _, e := range list.Exceptions {
		one := excepted{
			Document: e.Document, Vulnerability: e.Vulnerability, Packages: []string{}, Digest: e.Digest, Status: e.Status, Owner: e.Owner, Reason: e.Reason,
			Expires: e.Expires.Time, State: state(e.Expires.Time, p.now(), week),
		}
		if e.Package != "" {
			one.Packages = append(one.Packages, e.Package)
		}
		data.Exceptions = append(data.Exceptions, one)
	}
	for _, d := range list.Documents {
		data.Documents = append(data.Documents, attachedDocument{d.Digest, d.Actor, d.Problem})
	}
	return true, nil
}

// attachedExceptions reads the documents themselves.
func (p *program) attachedExceptions(ctx context.Context, client *registry.Client, img images.Image, data *listedExceptions) error {
	referrers, err := client.Referrers(ctx, data.Repository, img.Digest)
	if err != nil {
		return err
	}
	for _, r := range referrers {
		if r.ArtifactType != vex.MediaType {
			continue
		}
		doc := attachedDocument{Digest: r.Digest.String()}
		ref, err := images.ParseReference(doc.Digest)
		if err != nil {
			return err
		}
		layers, err := imagesOf(client, data.Repository).Layers(ctx, ref.Digest)
		if err != nil {
			return err
		}
		var parsed vex.Document
		if len(layers) != 1 {
			doc.Problem = "it has not one layer, the document"
		} else if parsed, err = vex.Parse(layers[0]); err != nil {
			doc.Problem = err.Error()
		}
		for _, s := range parsed.Exceptions() {
			data.Exceptions = append(data.Exceptions, excepted{
				Document: doc.Digest, Vulnerability: s.Vulnerability, Packages: packagesOf(s), Status: string(s.Status), Owner: s.Owner, Reason: s.Reason,
				Expires: s.Expires, State: state(s.Expires, p.now(), week),
			})
		}
		data.Documents = append(data.Documents, doc)
	}
	return nil
}
