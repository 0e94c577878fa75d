package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/lifecycle"
)

// keptImage is an image that stays; its JSON is part of the preview's contract.
type keptImage struct {
	Tags     []string  `json:"imageTags"`
	Digest   string    `json:"imageDigest"`
	PushedAt time.Time `json:"imagePushedAt"`
	Archived bool      `json:"archived"`
	Rule     int32     `json:"rulePriority,omitempty"`
	Reason   string    `json:"reason"`
}

func (p *preview) keep(kept []lifecycle.Kept) {
	p.Kept = []keptImage{}
	for _, k := range kept {
		p.Kept = append(p.Kept, keptImage{append([]string{}, k.Tags...), string(k.Digest), k.PushedAt.UTC(), k.Archived, k.Rule, k.Reason})
	}
}

func writeKept(w io.Writer, kept []keptImage) error {
	if len(kept) == 0 {
		return nil
	}
	rows := [][]string{{"KEPT", "DIGEST", "PUSHED", "RULE", "REASON"}}
	for _, k := range kept {
		rule := "-"
		if k.Rule != 0 {
			rule = fmt.Sprint(k.Rule)
		}
		rows = append(rows, []string{tagList(k.Tags), short(k.Digest), k.PushedAt.Format(time.RFC3339), rule, k.Reason})
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}
