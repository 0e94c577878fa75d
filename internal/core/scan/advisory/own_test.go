package advisory_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/osv-scalibr/semantic"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// compared compares our own rules with those of semantic.
func compared(t *testing.T, ecosystem, a, b string) {
	t.Helper()
	got, err := advisory.Compare(ecosystem, a, b)
	if err != nil {
		return
	}
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	v, err := semantic.Parse(a, ecosystem)
	if err != nil {
		t.Fatal(err)
	}
	want, err := v.CompareStr(b)
	if err != nil || want < 0 != (got < 0) || want > 0 != (got > 0) {
		t.Errorf("%s: %q and %q: %d, semantic says %d, %v", ecosystem, a, b, got, want, err)
	}
}

func FuzzDebian(f *testing.F) {
	for _, v := range debianVersions() {
		f.Add(v, "1.0-1")
	}
	f.Fuzz(func(t *testing.T, a, b string) { compared(t, "Debian", a, b) })
}

func FuzzRPM(f *testing.F) {
	for _, v := range debianVersions() {
		f.Add(v, "1:3.0.7-18.el9_2")
		f.Add(v+"^20240102", "x:"+v+"~rc1-1.el9\xe9")
	}
	f.Fuzz(func(t *testing.T, a, b string) { compared(t, "AlmaLinux", a, b) })
}

// TestOwnRulesAgree compares texts of the letters that versions are made of, and the sample's own versions, with semantic.
func TestOwnRulesAgree(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // not a secret
	const letters = "0019aAbZ..--~^:_+ \xe9é"
	one := func() string {
		b := make([]byte, 1+r.IntN(10))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	for range 200000 {
		a, b := one(), one()
		if r.IntN(2) == 0 { // most that are compared begin alike
			b = a[:r.IntN(len(a))] + b
		}
		compared(t, "AlmaLinux", a, b)
		compared(t, "Debian", a, b)
	}
	versions := map[string][]string{}
	dir := sample(t)
	err := advisory.Dir{FS: os.DirFS(dir), Name: dir, Ecosystems: []string{"AlmaLinux", "Debian"}}.Read(t.Context(), nil, func(feed advisory.Feed) error {
		for a, err := range feed.Entries {
			if err != nil {
				continue // the source of vectors has some that are none
			}
			for _, f := range a.Affected {
				for _, e := range f.Ranges {
					for _, v := range e.Events {
						versions[f.Ecosystem] = append(versions[f.Ecosystem], v.Introduced+v.Fixed+v.LastAffected)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ecosystem := range []string{"AlmaLinux", "Debian"} {
		all := versions[ecosystem]
		for range 50000 {
			compared(t, ecosystem, all[r.IntN(len(all))], all[r.IntN(len(all))])
		}
	}
}
