package deploy

import (
	"context"
	"errors"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Inside is where images run that indexes list, by digest.
type Inside map[oci.Digest][]Place

// Through tells of all that the indexes list which run somewhere, by digest, where they run: an image for one platform is deployed by the
// index that it is in. Indexes in indexes count. It reads all deploy tags, and the indexes that run, which the registry counts as pulls of them. With an error there is what could be read.
func (r *Records) Through(ctx context.Context) (Inside, error) {
	newest, err := r.All(ctx)
	if err != nil {
		return nil, err
	}
	run := map[oci.Digest][]Place{} // indexes
	var unread []error
	for _, e := range newest {
		s, err := r.stateFrom(ctx, e)
		if err != nil { // of the others it is known
			unread = append(unread, err)
			continue
		}
		if s.Runs == nil || !oci.IsIndexType(s.Runs.Image.MediaType) {
			continue
		}
		d := s.Runs.Image.Digest
		run[d] = append(run[d], Place{App: e.App, Environment: e.Environment, Since: s.Runs.At, Actor: s.Runs.Actor, Index: d})
	}
	lists, err := r.listed(ctx, run)
	if err != nil {
		return nil, err
	}
	inside := Inside{}
	for index, places := range run {
		for _, d := range below(lists, index) {
			inside[d] = append(inside[d], places...)
		}
	}
	for _, places := range inside {
		sortPlaces(places)
	}
	return inside, errors.Join(unread...)
}

// maxNested is how deep indexes are looked into.
const maxNested = 8

// listed reads what indexes list, and what the indexes among these do.
func (r *Records) listed(ctx context.Context, indexes map[oci.Digest][]Place) (map[oci.Digest][]oci.Digest, error) {
	lists := map[oci.Digest][]oci.Digest{}
	var level []oci.Digest
	for d := range indexes {
		level = append(level, d)
	}
	for range maxNested {
		if len(level) == 0 {
			break
		}
		found, err := r.known.ManifestsByDigests(ctx, level)
		if err != nil {
			return nil, err //nolint:wrapcheck // explained
		}
		level = nil
		for d, m := range found {
			parsed, err := oci.ParseManifest(m.MediaType, []byte(m.Raw))
			if err != nil {
				continue // what cannot be read lists nothing
			}
			lists[d] = []oci.Digest{}
			for _, child := range parsed.Children {
				lists[d] = append(lists[d], child.Digest)
				if _, known := lists[child.Digest]; !known && oci.IsIndexType(child.MediaType) {
					level = append(level, child.Digest)
				}
			}
		}
	}
	return lists, nil
}

// below gives all that an index leads to, each once.
func below(lists map[oci.Digest][]oci.Digest, index oci.Digest) []oci.Digest {
	known := map[oci.Digest]bool{index: true}
	var all []oci.Digest
	for next := []oci.Digest{index}; len(next) > 0; {
		d := next[0]
		next = next[1:]
		for _, child := range lists[d] {
			if !known[child] {
				known[child] = true
				all, next = append(all, child), append(next, child)
			}
		}
	}
	return all
}
