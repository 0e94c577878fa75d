package lifecycle

import (
	"context"
	"errors"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// pin takes what deployments keep out of the rules' hands. What a pinned image is made of is held by it, and what refers to
// it follows it, so that only what is filed under its digest by a tag remains to be found.
func pin(images []Image, places map[oci.Digest]int, verdicts []Verdict) {
	var queue []int // of what stays for the sake of what is deployed
	why := map[int][]registry.Pin{}
	add := func(i int, pins []registry.Pin) {
		if _, known := why[i]; !known {
			why[i] = pins
			queue = append(queue, i)
		}
	}
	for i := range images {
		if len(images[i].Pins) > 0 {
			verdicts[i] = Verdict{Reason: Pinned, Pins: images[i].Pins}
			add(i, images[i].Pins)
		}
	}
	if len(queue) == 0 {
		return
	}
	referrers, filed := map[oci.Digest][]int{}, map[oci.Digest][]int{}
	for i := range images {
		if images[i].Subject != "" {
			referrers[images[i].Subject] = append(referrers[images[i].Subject], i)
		}
		for _, t := range images[i].Tags {
			if of, ok := oci.CompanionOf(t); ok {
				filed[of] = append(filed[of], i)
			}
		}
	}
	for len(queue) > 0 {
		img, pins := &images[queue[0]], why[queue[0]]
		queue = queue[1:]
		for _, c := range img.Children {
			if i, ok := places[c]; ok {
				add(i, pins)
			}
		}
		for _, i := range referrers[img.Digest] {
			if v := verdicts[i]; v.Reason != Pinned && v.Reason != Held && v.Reason != Follows { // it has a name of its own
				verdicts[i] = Verdict{Reason: Pinned, Of: img.Digest, Pins: pins}
			}
			add(i, pins)
		}
		for _, i := range filed[img.Digest] {
			if v := verdicts[i]; v.Reason != Pinned && v.Reason != Held && (v.Reason != Follows || v.Of != img.Digest) {
				verdicts[i] = Verdict{Reason: Pinned, Of: img.Digest, Pins: pins}
			}
			add(i, pins)
		}
	}
}

// withPins notes on the images what deployments keep.
func (s *Service) withPins(ctx context.Context, repository string, images []Image) error {
	pins, err := s.Registry.Pinned(ctx, s.self, repository)
	if errors.Is(err, fault.RepositoryNotFound) {
		return nil // with all its images
	}
	for i := range images {
		images[i].Pins = pins[images[i].Digest]
	}
	return err
}
