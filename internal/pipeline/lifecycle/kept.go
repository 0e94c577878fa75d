package lifecycle

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// Kept is an image that stays as it is.
type Kept struct {
	Digest   oci.Digest
	Tags     []string
	PushedAt time.Time
	Archived bool
	Rule     int32 // 0: no rule decides
	Reason   string
}

// explain puts a Berth's own sentences in the place of the client's, and adds what stays if that is asked for.
// A server that does not tell leaves the preview as it is.
func (c *Client) explain(ctx context.Context, r Request, p *Preview) error {
	o := c.ecr.Options()
	if o.BaseEndpoint == nil {
		return nil
	}
	berth, err := platform.New(ctx, platform.Config{URL: *o.BaseEndpoint, Now: c.now})
	if err != nil {
		return err
	}
	filter := "acted"
	if r.Kept {
		filter = "all"
	}
	text, results, err := berth.PreviewResults(ctx, r.Repository, filter)
	switch {
	case platform.Unknown(err):
		return nil
	case err != nil:
		return err
	}
	if err := sameText(p.text, text); err != nil {
		return err
	}
	p.KeptKnown = r.Kept
	p.tell(results)
	return nil
}

func (p *Preview) tell(results []platform.PreviewResult) {
	sentences := map[oci.Digest]string{}
	for _, r := range results {
		if r.Action != "" {
			sentences[oci.Digest(r.Digest)] = r.Sentence
			continue
		}
		p.Kept = append(p.Kept, Kept{oci.Digest(r.Digest), r.Tags, r.PushedAt.Time, r.Class == "ARCHIVE", r.Rule, r.Sentence})
	}
	for i, a := range p.Affected {
		if s := sentences[a.Image.Digest]; s != "" {
			p.Affected[i].Reason = s
		}
	}
}
