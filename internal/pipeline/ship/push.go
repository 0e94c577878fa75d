package ship

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/publish"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// made is what a build made, and when it began.
type made struct {
	*build.Built
	began time.Time
}

// content is what is pushed of it.
func (m made) content() publish.Built {
	if m.Image != nil {
		return m.Image
	}
	return m.Index
}

func (d *doing) push(ctx context.Context, w *work, found oci.Digest, say *progress.Task) (oci.Digest, string, error) {
	var pushed publish.Pushed
	var references []report.Reference
	var err error
	if found != "" {
		pushed, err = d.publisher.Retag(ctx, publish.RetagInput{Digest: found, Tags: w.tags.stay})
	} else {
		d.mu.Lock()
		built := d.built[w.Name]
		d.mu.Unlock()
		pushed, err = d.publisher.Push(ctx, publish.PushInput{Image: built.content(), Tags: w.tags.stay, Attach: func(image oci.Digest) (err error) {
			references, err = d.attach(ctx, w, built, image)
			return err
		}}, say)
	}
	if err != nil {
		return "", "", err //nolint:wrapcheck // explained
	}
	image := &report.Image{
		Digest: pushed.Digest.String(), MediaType: pushed.MediaType, Size: pushed.Size, Inputs: w.keys.Image, Built: found == "", References: references,
	}
	var set []string
	for _, tag := range pushed.Tags {
		action := report.Pushed
		switch {
		case tag.There:
			action = report.Kept
		case found != "":
			action = report.Retagged
		}
		image.Tags = append(image.Tags, report.Tag{Tag: tag.Tag, Digest: pushed.Digest.String(), Action: action})
		set = append(set, tag.Tag)
	}
	d.mu.Lock()
	d.shown[w.Name] = image
	d.mu.Unlock()
	if len(set) == 0 {
		return pushed.Digest, "pushed " + pushed.Digest.String(), nil
	}
	return pushed.Digest, strings.Join(set, ", ") + " is " + pushed.Digest.String(), nil
}

// attach says where an image that was built comes from, and what is in it. That is done before a tag names it: a run that is stopped
// in between leaves nothing that the next one takes for whole.
func (d *doing) attach(ctx context.Context, w *work, built made, image oci.Digest) ([]report.Reference, error) {
	run := d.Request.Run
	found, err := d.publisher.AttachProvenance(ctx, image, publish.Provenance{
		App: w.Name, Commit: d.place.commit, Branch: d.place.branch, Repository: d.source, Run: run.URL, Workflow: run.Workflow, Actor: run.Actor,
		Version: d.Version, Tool: built.Builder, Started: built.began, Finished: d.Now(),
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // explained
	}
	all := []report.Reference{{ArtifactType: found.Type, Digest: found.Digest.String()}}
	if w.Image.SBOM == "" {
		return all, nil
	}
	text, err := d.readFile(w.Image.SBOM)
	if err != nil {
		return nil, fmt.Errorf("the SBOM that %s names: %w", workspace.Name, err)
	}
	if found, err = d.publisher.AttachSBOM(ctx, image, text); err != nil {
		return nil, fmt.Errorf("%s: %w", w.Image.SBOM, err)
	}
	return append(all, report.Reference{ArtifactType: found.Type, Digest: found.Digest.String()}), nil
}

// readFile reads a file of the workspace, and follows no link out of it.
func (d *doing) readFile(name string) ([]byte, error) {
	root, err := os.OpenRoot(d.detected.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	return root.ReadFile(name)
}
