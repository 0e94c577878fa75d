package sbom_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
)

func TestBetter(t *testing.T) {
	t.Parallel()
	debian, alpine := inventory.OS{ID: "debian", VersionID: "12", PrettyName: "Debian"}, inventory.OS{ID: "alpine", VersionID: "3.20.3"}
	pkg := func(text string) inventory.Package {
		kind, name, _ := strings.Cut(text, " ")
		return inventory.Package{Type: inventory.Type(kind), Name: name, Version: "1", Source: name, SourceVersion: "1"}
	}
	tests := map[string]struct {
		ours    []string
		os      inventory.OS
		theirs  []string
		theirOS inventory.OS
		want    []string // type name, ecosystem:release, + where it is claimed
	}{
		"nothing claimed":                {[]string{"npm a"}, debian, nil, inventory.OS{}, []string{"npm a npm:"}},
		"a program without a trace":      {[]string{"deb a"}, debian, []string{"golang b"}, inventory.OS{}, []string{"deb a Debian:12", "golang b Go:+"}},
		"what the layers tell of":        {[]string{"deb a", "npm c"}, debian, []string{"npm b", "golang b"}, inventory.OS{}, []string{"deb a Debian:12", "golang b Go:+", "npm c npm:"}},
		"scratch":                        {nil, inventory.OS{}, []string{"golang b", "deb c"}, debian, []string{"deb c Debian:12+", "golang b Go:+"}},
		"scratch, unknown system":        {nil, inventory.OS{}, []string{"deb c"}, inventory.OS{}, []string{"deb c :+"}},
		"no database":                    {nil, debian, []string{"deb c"}, inventory.OS{ID: "debian", VersionID: "12"}, []string{"deb c Debian:12+"}},
		"no database, point releases":    {nil, alpine, []string{"apk c"}, inventory.OS{ID: "alpine", VersionID: "3.20.1"}, []string{"apk c Alpine:v3.20+"}},
		"no database, another system":    {nil, alpine, []string{"deb c"}, debian, nil},
		"no database, another release":   {nil, debian, []string{"deb c"}, inventory.OS{ID: "debian", VersionID: "11"}, nil},
		"two systems' packages":          {[]string{"deb a"}, debian, []string{"apk c"}, debian, []string{"deb a Debian:12"}},
		"a system without os-release":    {[]string{"deb a"}, inventory.OS{}, []string{"deb c", "gem d"}, debian, []string{"deb a :", "gem d RubyGems:+"}},
		"only what is claimed, in order": {nil, inventory.OS{}, []string{"npm b", "npm a"}, inventory.OS{}, []string{"npm a npm:+", "npm b npm:+"}},
	}
	for name, tt := range tests {
		ours := inventory.Image{OS: tt.os, Problems: []string{"one"}}
		for _, text := range tt.ours {
			f := inventory.Found{Package: pkg(text), Path: "p", Format: "f"}
			f.Ecosystem, f.Release = inventory.Ecosystem(f.Type, tt.os)
			ours.Packages = append(ours.Packages, f)
		}
		theirs := sbom.Document{OS: tt.theirOS}
		for _, text := range tt.theirs {
			theirs.Packages = append(theirs.Packages, pkg(text))
		}
		before := slices.Clone(ours.Packages)
		got := sbom.Better(ours, theirs, digest("theirs"), true, 4)
		var list []string
		for _, f := range got.Packages {
			text := fmt.Sprintf("%s %s %s:%s", f.Type, f.Name, f.Ecosystem, f.Release)
			if f.Format == sbom.Claim {
				text += "+"
				if f.Path != string(digest("theirs")) || f.Layer != 4 {
					t.Errorf("%s: claimed by %s, of layer %d", name, f.Path, f.Layer)
				}
			}
			list = append(list, text)
		}
		if !slices.Equal(list, tt.want) {
			t.Errorf("%s: %q, want %q", name, list, tt.want)
		}
		if !slices.Equal(before, ours.Packages) || len(got.Problems) != 1 {
			t.Errorf("%s: what was given has changed, or its problems", name)
		}
		if again := sbom.Better(got, theirs, digest("again"), true, 4); !slices.Equal(again.Packages, got.Packages) {
			t.Errorf("%s: claimed twice, there is more", name)
		}
	}
}
