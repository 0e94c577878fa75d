package plan

import (
	"path"
	"slices"
)

// ContextOf tells from which directory a Dockerfile copies, for whoever describes a workspace the first time: the
// Dockerfile's own directory if all that it copies is there, else the root if it is all there. It is "" if neither is,
// or if the Dockerfile cannot be read.
func ContextOf(tree Tree, dockerfile string) string {
	text, err := tree.Read(dockerfile)
	if err != nil {
		return ""
	}
	build, err := parseDockerfile(text, nil)
	if err != nil {
		return ""
	}
	from, err := build.reach("")
	if err != nil {
		return ""
	}
	r := newReading(&Graph{}, nil, tree)
	for _, context := range []string{path.Dir(dockerfile), "."} {
		all := true
		for _, source := range from.sources {
			in := copyInput(path.Join(context, path.Join("/", source)[1:]), "")
			all = all && r.any(in)
		}
		if all {
			return context
		}
	}
	return ""
}

// any tells whether there is a file that an input stands for.
func (r *reading) any(in input) bool {
	if in.match == nil {
		return r.exists[in.at]
	}
	files := r.files
	if in.at != "." {
		files = r.below(in.at)
	}
	return slices.ContainsFunc(files, in.match)
}
