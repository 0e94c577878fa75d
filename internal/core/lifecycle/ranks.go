package lifecycle

import (
	"context"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// An image goes by its number because so many younger ones are there. Should one of these be deleted by hand in the moment
// between decision and deed, the number would be another, and the image the last to keep. So whoever deletes by number sees, in the
// transaction that deletes, that those which made the number are all still there and still count.

// lane is where a rule counts an image: among all that it selects, or those of one application.
type lane struct {
	rule  int32
	group string
}

// lanes are where the rule counts an image that it selects.
func (r *applied) lanes(img *Image) []lane {
	if r.groups == nil {
		return []lane{{rule: r.Priority}}
	}
	var lanes []lane
	for _, tag := range img.Tags {
		app, ok := r.groups.application(tag)
		if l := (lane{r.Priority, app}); ok && !slices.Contains(lanes, l) {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// ranks are those which counting rules keep.
type ranks struct {
	rules map[int32]*applied
	kept  map[lane][]*Image
}

// byNumber tells whether the image goes because of how many there are.
func (d doing) byNumber() bool {
	return d.verdict.Reason == Selected && d.verdict.Ground.Count == CountMoreThan
}

// ranks finds what the rules that act by number on some image keep. What goes by another rule is none of it: that was
// decided at the same moment.
func (e evaluation) ranks(doings []doing) ranks {
	r := ranks{rules: map[int32]*applied{}, kept: map[lane][]*Image{}}
	all, imagesOnly := applyAll(e.policy.Rules, e.at)
	for _, d := range doings {
		if d.byNumber() {
			at := slices.IndexFunc(all, func(a *applied) bool { return a.Priority == d.verdict.Rule })
			r.rules[d.verdict.Rule] = all[at]
		}
	}
	if len(r.rules) == 0 {
		return r
	}
	places, dependent := e.dependent()
	counts := map[lane]int32{}
	for _, i := range youngestFirst(e.images) {
		img := &e.images[i]
		if dependent(i) {
			continue
		}
		var by byProduct
		if imagesOnly {
			by = lookAt(e.images, i, places)
		}
		for _, rule := range r.rules {
			if rule.imagesOnly && by.is || !rule.selects(img) {
				continue
			}
			for _, l := range rule.lanes(img) {
				counts[l]++
				if counts[l] <= rule.Selection.CountNumber && !e.verdicts[i].Acts() {
					r.kept[l] = append(r.kept[l], img)
				}
			}
		}
	}
	return r
}

// dependent tells which images no rule counts: those that an index holds, and those that follow a subject that is there.
func (e evaluation) dependent() (places map[oci.Digest]int, is func(place int) bool) {
	places = make(map[oci.Digest]int, len(e.images))
	held := map[oci.Digest]bool{}
	for i, img := range e.images {
		places[img.Digest] = i
		for _, child := range img.Children {
			held[child] = true
		}
	}
	return places, func(place int) bool {
		img := &e.images[place]
		_, follows := places[img.Subject]
		return held[img.Digest] || follows && img.refers()
	}
}

// changed finds the lanes of some images in which one that was kept is gone, or is not counted any more.
func (r ranks) changed(ctx context.Context, q registry.LifecycleQueries, repositoryID int64, doings []doing) (map[lane]bool, error) {
	look := map[lane]bool{}
	var ids []int64
	for _, d := range doings {
		for _, l := range r.lanes(d) {
			if look[l] {
				continue
			}
			look[l] = true
			for _, img := range r.kept[l] {
				ids = append(ids, img.ID)
			}
		}
	}
	slices.Sort(ids)
	found, err := q.StandingImages(ctx, repositoryID, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	now := make(map[int64]Image, len(found))
	for _, img := range found {
		now[img.ID] = asSeen(img)
	}
	for l := range look {
		look[l] = slices.ContainsFunc(r.kept[l], func(was *Image) bool { return !r.counts(l, was, now[was.ID]) })
	}
	return look, nil
}

// lanes are those in which an image is beyond the number.
func (r ranks) lanes(d doing) []lane {
	if !d.byNumber() {
		return nil
	}
	return r.rules[d.verdict.Rule].lanes(d.image)
}

// counts tells whether an image that was in a lane is so now.
func (r ranks) counts(l lane, was *Image, now Image) bool {
	rule := r.rules[l.rule]
	if now.ID != was.ID || !rule.selects(&now) || !slices.Contains(rule.lanes(&now), l) {
		return false
	}
	now.Children = was.Children
	return !rule.imagesOnly || !lookAt([]Image{now}, 0, nil).is
}
