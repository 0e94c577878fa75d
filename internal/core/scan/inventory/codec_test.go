package inventory_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// TestCodecKeepsAll: what is decoded is what was encoded, of layers of all sizes.
func TestCodecKeepsAll(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same layers each time
	layers := []inventory.Layer{{}, full()}
	for range 50 {
		layers = append(layers, some(random))
	}
	for _, want := range layers {
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := inventory.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("Decode gives another layer than was encoded (-want +got):\n%s", diff)
		}
	}
}

// TestCodecIsSmall: a hundred thousand paths that nobody reads take six bytes each.
func TestCodecIsSmall(t *testing.T) {
	t.Parallel()
	l := inventory.Layer{Others: hashes(rand.New(rand.NewPCG(1, 2)), 100_000)} //nolint:gosec // the same layer each time
	b, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 600_000 {
		t.Errorf("100,000 hashes take %d bytes, want at most 600,000", len(b))
	}
}

func TestCodecRefuses(t *testing.T) {
	t.Parallel()
	if _, err := (inventory.Layer{Others: []uint64{2, 1}}).Encode(); err == nil {
		t.Error("Encode takes hashes that fall")
	}
	whole, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	pack := func(b []byte) []byte { return z.EncodeAll(b, []byte{1}) }
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"a newer version":      append([]byte{2}, whole[1:]...),
		"half":                 whole[:len(whole)/2],
		"a bomb":               pack(make([]byte, 100<<20)),
		"a long text":          pack([]byte{0xff, 0xff, 0xff, 0xff, 0x7f}),
		"many hashes":          pack([]byte{2, '{', '}', 0xff, 0xff, 0xff, 0xff, 0x7f}),
		"hashes that wrap":     pack(append([]byte{2, '{', '}', 2}, append(bytes.Repeat([]byte{0xff}, 9), 1, 2, 0)...)),
		"more than a layer":    pack([]byte{2, '{', '}', 0, 0, 0}),
		"too many elements":    pack(append(append([]byte{0xff, 0xff, 0xff, 0x07}, bytes.Repeat([]byte(","), 0xffffff)...), 0, 0)),
		"something else":       pack([]byte("no layer at all")),
		"JSON of another sort": pack([]byte{2, '[', ']', 0, 0}),
	} {
		if l, err := inventory.Decode(b); err == nil {
			t.Errorf("Decode of %s gives %+v", name, l)
		}
	}
}

// FuzzDecode: whatever is decoded can be encoded, and is the same again.
func FuzzDecode(f *testing.F) {
	for _, l := range []inventory.Layer{{}, full()} {
		b, err := l.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := inventory.Decode(b)
		if err != nil {
			return
		}
		again, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		same, err := inventory.Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, same, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-once +twice):\n%s", diff)
		}
	})
}

func full() inventory.Layer {
	return inventory.Layer{
		DiffID: oci.FromBytes([]byte("a layer")), Revision: 3,
		Files: []inventory.File{
			{Path: "opt/app/package.json", Format: "node", Owned: true, Packages: []inventory.Package{{Type: inventory.NPM, Name: "<&>", Version: "1", Source: "<&>", SourceVersion: "1"}}},
			{Path: "var/lib/dpkg/status", Format: "dpkg"},
		},
		Releases:  []inventory.Release{{Path: "etc/os-release", OS: inventory.OS{ID: "debian", VersionID: "12", PrettyName: "Debian"}}},
		Whiteouts: []string{"a", "b/c"}, Opaque: []string{"", "d"}, Links: []inventory.Link{{Path: "bin", Target: "usr/bin"}},
		Others: []uint64{0, 0, 1, 1<<48 - 1}, Dirs: []uint64{5}, Problem: "it is only half of one",
	}
}

func some(random *rand.Rand) inventory.Layer {
	l := inventory.Layer{Others: hashes(random, random.IntN(1000)), Dirs: hashes(random, random.IntN(10)), Revision: random.IntN(3)}
	for range random.IntN(20) {
		f := full().Files[0]
		f.Path, f.Owned = text(random), random.IntN(2) == 0
		for range random.IntN(50) {
			f.Packages = append(f.Packages, inventory.Package{Type: inventory.Deb, Name: text(random), Version: text(random), Arch: text(random)})
		}
		l.Files = append(l.Files, f)
		l.Links = append(l.Links, inventory.Link{Path: text(random), Target: text(random)})
	}
	return l
}

func text(random *rand.Rand) string {
	runes := make([]rune, random.IntN(30))
	for i := range runes {
		runes[i] = rune(random.IntN(0x3000))
	}
	return string(runes)
}

func hashes(random *rand.Rand, n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = random.Uint64N(1 << 48)
	}
	slices.Sort(all)
	return all
}
