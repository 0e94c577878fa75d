package plan

import (
	"encoding/hex"
	"slices"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Keys are hashes of all that goes into a project's image, and into its test: SHA-256 in hexadecimal digits. Where the
// key is the same, the image or the outcome is taken to be. Of what has no image the image's is "" and has no reason.
type Keys struct {
	Image, Test               string // "" where it cannot be known
	ImageUnknown, TestUnknown string // and then why
}

// Keys gives those of all projects, by name. The function gives git's mode and object name of a path of the tree as
// one text, and false where they are not known: no file is read. It is not for several goroutines at once, nor at the
// time of Affected.
//
// They agree with Affected. Whatever change to files or to berth.yaml has it say that an app is to be built changes the
// image's key, and nothing else does, but for changes of who depends on whom and of which files are a project's, which are
// in files that themselves may be in no image. A project that it does not find has the test's key of before, unless how
// a dependency is tested changed; one that it finds only for its Dockerfile or .dockerignore elsewhere has it as well.
//
// What a Dockerfile names and git does not have is in the key as it is written: base images, and what ADD fetches.
func (g *Graph) Keys(hash func(path string) (id string, ok bool)) map[string]Keys {
	k := &keying{graph: g, id: hash, sets: map[setKey]digest{}, members: map[string]digest{}, outsides: map[string]digest{}}
	images, tests := map[string]digest{}, map[string]digest{}
	for _, p := range g.projects {
		tests[p.Name] = k.test(p)
		if p.Kind == workspace.App {
			images[p.Name] = k.image(p)
		}
	}
	tests = k.chain("test", tests, (*Project).dependencies)
	images = k.chain("image", images, func(p *Project) []string { return p.bases })
	all := make(map[string]Keys, len(g.projects))
	for _, p := range g.projects {
		image, test := images[p.Name], tests[p.Name]
		all[p.Name] = Keys{Image: hex.EncodeToString([]byte(image.sum)), ImageUnknown: image.unknown, Test: hex.EncodeToString([]byte(test.sum)), TestUnknown: test.unknown}
	}
	return all
}

// keying is what working out the keys of all projects shares.
type keying struct {
	graph    *Graph
	id       func(string) (string, bool)
	sets     map[setKey]digest
	members  map[string]digest // what berth.yaml says of a project
	outsides map[string]digest
}

// test is what is particular to a project's test: how it is tested, its own files, and others that it names.
func (k *keying) test(p *Project) digest {
	b := newPreimage("test inputs")
	b.is(p.cannotBeRead())
	b.command(p.Test)
	var sets []digest
	for _, in := range p.inputs {
		switch in.cause {
		case Dockerfile, Dockerignore: // the builder's, if they are not among its own files
		case Copied:
			sets = append(sets, k.set(in, p.ignore))
		default:
			sets = append(sets, k.set(in, nil))
		}
	}
	b.digests(sets)
	return b.hash()
}

// image is what is particular to an app's image: all but the images of other apps that it is made from.
func (k *keying) image(p *Project) digest {
	b := newPreimage("image inputs")
	b.is(p.cannotBeRead())
	b.digest(k.member(p))
	b.texts(p.images)
	b.flag(p.made)
	var sets []digest
	for _, in := range p.inputs {
		switch {
		case in.cause == Copied:
			sets = append(sets, k.set(in, p.ignore))
		case in.cause != Files || p.made:
			sets = append(sets, k.set(in, nil))
		}
	}
	b.digests(sets)
	if p.made { // by its test, maybe
		b.command(p.Test)
	}
	near := k.graph.near(p)
	b.number(len(near))
	for _, on := range sortedKeys(near) {
		k.needed(b, p, k.graph.byName[on])
	}
	return b.hash()
}

// needed writes what of a project that another depends on may be in the other's image.
func (k *keying) needed(b *preimage, p, on *Project) {
	own := input{at: on.Dir}
	b.is(on.cannotBeRead())
	b.text(on.Name)
	b.digest(k.member(on))
	b.digest(k.outside(on))
	switch {
	case p.made:
		b.text("all")
		b.digest(k.set(own, nil))
		b.command(on.Test)
	case p.copiesFrom(on): // these are among what it copies
		b.text("copied")
	default:
		b.text("in another way")
		b.digest(k.set(own, p.ignore))
	}
}

// cannotBeRead is why nothing is known of a project, "" if it is known.
func (p *Project) cannotBeRead() string {
	if p.unreadable == "" {
		return ""
	}
	return Printable(p.unreadable) + " cannot be read"
}

func (b *preimage) command(c workspace.Command) {
	b.text(c.Shell)
	b.texts(c.Args)
}

// member is what berth.yaml says of a project, but for how it is tested.
func (k *keying) member(p *Project) digest {
	if known, ok := k.members[p.Name]; ok {
		return known
	}
	b := newPreimage("member")
	for _, s := range []string{p.Name, string(p.Kind), p.Dir, p.Image.Context, p.Image.Dockerfile, p.Image.Target} {
		b.text(s)
	}
	b.number(len(p.Image.Args))
	for _, name := range sortedKeys(p.Image.Args) {
		b.text(name)
		b.text(string(p.Image.Args[name]))
	}
	b.number(len(p.Platforms))
	for _, platform := range p.Platforms {
		b.text(string(platform))
	}
	b.texts(p.DependsOn)
	b.number(len(p.Inputs))
	for _, glob := range p.Inputs {
		b.text(string(glob))
	}
	d := b.hash()
	k.members[p.Name] = d
	return d
}

// setKey says which files a set is of.
type setKey struct {
	at, pattern string
	copied      bool // what a pattern means depends on it
	ignore      *ignore
}

// set is the files of an input that are not ignored, each with its path from the root and what git has there. Many
// projects have the same ones, such as all that the root has.
func (k *keying) set(in input, ig *ignore) digest {
	if !ig.concerns(in.at) {
		ig = nil
	}
	key := setKey{at: in.at, pattern: in.pattern, copied: in.cause == Copied && in.pattern != "", ignore: ig}
	if known, ok := k.sets[key]; ok {
		return known
	}
	var names []string
	for _, name := range under(k.graph.files, in.at) {
		if (in.match == nil || in.match(name)) && !ig.out(name) {
			names = append(names, name)
		}
	}
	d := k.files(names)
	k.sets[key] = d
	return d
}

// files is a set of files, which come in order.
func (k *keying) files(names []string) digest {
	b := newPreimage("files")
	b.number(len(names))
	for _, name := range names {
		id, ok := k.id(name)
		if !ok {
			b.is("git has no object of " + Printable(name))
			break
		}
		b.text(name)
		b.text(id)
	}
	return b.hash()
}

// outside is the files outside a project's directory that change it, but for those of projects that it depends on.
func (k *keying) outside(p *Project) digest {
	if known, ok := k.outsides[p.Name]; ok {
		return known
	}
	var names []string
	for _, in := range p.inputs {
		if in.cause == Files {
			continue
		}
		for _, name := range under(k.graph.files, in.at) {
			if !within(name, p.Dir) && (in.match == nil || in.match(name)) && (in.cause != Copied || p.takesItself(k.graph.owner(name), name)) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	d := k.files(slices.Compact(names))
	k.outsides[p.Name] = d
	return d
}

// chain makes the keys of projects of what is particular to each and of the keys of others. Those that go into each
// other have all of all of them in their keys.
func (k *keying) chain(kind string, own map[string]digest, others func(*Project) []string) map[string]digest {
	keys := make(map[string]digest, len(own))
	for _, group := range k.graph.groups(others) {
		b := newPreimage(kind)
		b.number(len(group))
		for _, name := range group {
			b.text(name)
			b.digest(own[name])
			var outside []string
			for _, other := range others(k.graph.byName[name]) {
				if _, ok := own[other]; ok && !slices.Contains(group, other) {
					outside = append(outside, other)
				}
			}
			slices.Sort(outside)
			outside = slices.Compact(outside)
			b.number(len(outside))
			for _, other := range outside {
				b.text(other)
				b.digest(keys[other])
			}
		}
		all := b.hash()
		for _, name := range group {
			if _, ok := own[name]; !ok {
				continue
			}
			each := newPreimage(kind + " of")
			each.text(name)
			each.digest(all)
			keys[name] = each.hash()
		}
	}
	return keys
}
