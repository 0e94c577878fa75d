package lifecycle

import (
	"cmp"
	"maps"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
)

// Totals is what a preview comes to. Bytes are unique: what several images share counts once.
type Totals struct {
	Images    int // all of the repository
	Expiring  int
	Archiving int

	Stored       int64 // bytes in the standard class, before
	Freed        int64 // of those, the ones that no image needs afterwards
	Moved        int64 // of those, the ones that only archived images need afterwards; indexes take their images along
	FreedArchive int64 // bytes of archived images that expire

	// Left are untagged images that only expiring indexes refer to. They are a policy's to select once the index is gone.
	Left      int
	LeftBytes int64 // that their going would free on top of Freed

	// Unread counts images whose size stands for what they refer to, since the manifest was not read.
	Unread int
}

// Exact tells whether every byte was counted once.
func (t Totals) Exact() bool { return t.Unread == 0 }

// Prices are dollars for a GB and a month; a GB is price.GB.
type Prices struct{ Standard, Archive float64 }

// Saves gives the dollars that a month costs less afterwards.
func (t Totals) Saves(p Prices) float64 {
	return float64(t.Freed)/price.GB*p.Standard + float64(t.FreedArchive)/price.GB*p.Archive + float64(t.Moved)/price.GB*(p.Standard-p.Archive)
}

// fate is what becomes of bytes. Where images differ, the greatest counts.
type fate int

const (
	freed fate = iota + 1
	moved
	kept
)

// Weigh counts the images of a repository and what is decided about some of them. Archived images have bytes of their
// own: an archive cannot be read, so nobody can say what they share.
func Weigh(images []Image, decisions map[oci.Digest]Action) Totals {
	t := Totals{Images: len(images)}
	for _, img := range images {
		if !img.Read && !img.Archived {
			t.Unread++
		}
		switch decisions[img.Digest] {
		case Expire:
			t.Expiring++
			if img.Archived {
				t.FreedArchive += img.Size
			}
		case Archive:
			t.Archiving++
		}
	}
	if t.Expiring+t.Archiving == 0 {
		t.Unread = 0 // nothing depends on them
	}
	effects := maps.Clone(decisions)
	left := map[oci.Digest]Action{}
	for d, action := range company(images, decisions) {
		if action == Archive {
			effects[d] = Archive // an index goes to the archive with its images
		} else {
			left[d] = Expire
		}
	}
	t.Stored, t.Freed, t.Moved = sums(images, effects)
	if t.Left = len(left); t.Left > 0 {
		maps.Copy(effects, left)
		_, more, _ := sums(images, effects)
		t.LeftBytes = more - t.Freed
	}
	return t
}

// sums adds up the bytes in the standard class by what becomes of them.
func sums(images []Image, effects map[oci.Digest]Action) (all, free, move int64) {
	type content struct {
		size int64
		fate fate
	}
	contents := map[oci.Digest]content{}
	note := func(d oci.Digest, size int64, f fate) {
		if c, ok := contents[d]; !ok || f > c.fate {
			contents[d] = content{size, f}
		}
	}
	for _, img := range images {
		if img.Archived {
			continue
		}
		f := kept
		switch effects[img.Digest] {
		case Expire:
			f = freed
		case Archive:
			f = moved
		}
		if !img.Read {
			note(img.Digest, img.Size, f)
			continue
		}
		note(img.Digest, img.ManifestSize, f)
		for _, b := range img.Blobs {
			note(b.Digest, b.Size, f)
		}
	}
	for _, c := range contents {
		all += c.size
		switch c.fate {
		case freed:
			free += c.size
		case moved:
			move += c.size
		case kept:
		}
	}
	return all, free, move
}

// company gives the untagged images about which nothing is decided, but about all indexes that refer to them: what is
// decided about these, Archive if that is among it.
func company(images []Image, decisions map[oci.Digest]Action) map[oci.Digest]Action {
	parents := map[oci.Digest][]oci.Digest{}
	for _, img := range images {
		for _, child := range img.Children {
			parents[child] = append(parents[child], img.Digest)
		}
	}
	found := map[oci.Digest]Action{}
	follows := func(indexes []oci.Digest) (action Action) {
		for _, d := range indexes {
			switch cmp.Or(decisions[d], found[d]) {
			case Archive:
				action = Archive
			case Expire:
				action = cmp.Or(action, Expire)
			default:
				return "" // it stays, and so do its images
			}
		}
		return action
	}
	for more := true; more; { // an index may refer to indexes
		more = false
		for _, img := range images {
			if decisions[img.Digest] != "" || found[img.Digest] != "" || len(img.Tags) > 0 || img.Archived {
				continue
			}
			if action := follows(parents[img.Digest]); action != "" {
				found[img.Digest], more = action, true
			}
		}
	}
	return found
}
