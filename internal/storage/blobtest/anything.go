package blobtest

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// testAnything does what processes and clients do, in random order, and expects the bytes that were
// acknowledged and stored.
func testAnything(t *testing.T, open Opener) {
	small := rapid.IntRange(0, 5000)
	sizes := rapid.OneOf(small, small, small, small, small,
		rapid.IntRange(0, 600*kib),
		rapid.SampledFrom([]int{5*mib - 1, 5 * mib, 5*mib + 1, 8*mib - 1, 8 * mib, 8*mib + 1}),
	)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{store: open(t), upload: blob.Upload{Key: NewKey()}}
		actions := map[string]func(*rapid.T){
			"reopen": func(*rapid.T) { m.store = open(t) },
		}
		for name, how := range map[string]struct{ cut, lost bool }{
			"append": {}, "append cut": {cut: true}, "append lost": {lost: true}, "append cut and lost": {cut: true, lost: true},
		} {
			actions[name] = func(rt *rapid.T) {
				m.append(rt, Bytes(rapid.Uint64().Draw(rt, "seed"), sizes.Draw(rt, "size")), how.cut, how.lost)
			}
		}
		for range rapid.IntRange(0, 7).Draw(rt, "steps") {
			actions[rapid.SampledFrom([]string{
				"append", "append cut", "append lost", "append cut and lost", "reopen",
			}).Draw(rt, "step")](rt)
		}
		for range rapid.IntRange(1, 2).Draw(rt, "completes") {
			if err := m.store.Complete(t.Context(), m.upload); err != nil {
				rt.Fatalf("Complete of %d bytes: %v", m.upload.Size, err)
			}
		}
		got, err := read(t.Context(), m.store, m.upload.Key, 0, -1)
		if err != nil || !bytes.Equal(got, m.want) {
			rt.Fatalf("Open: got %d bytes, %v, want %d; they differ from byte %d on", len(got), err, len(m.want), firstDifference(got, m.want))
		}
	})
}

// model is an upload as the registry's row knows it, and the bytes it should have.
type model struct {
	store  blob.Store
	upload blob.Upload
	want   []byte
}

// append adds bytes; the client's connection may be cut behind them, and what comes back be lost before it is
// stored.
func (m *model) append(t *rapid.T, b []byte, cut, lost bool) {
	r := bytes.NewReader(b)
	var got blob.Upload
	var err error
	if cut {
		got, err = m.store.Append(t.Context(), m.upload, cutOff(b))
		if !errors.Is(err, errCut) {
			t.Fatalf("Append of %d bytes from a reader that fails: got error %v, want %v", len(b), err, errCut)
		}
	} else if got, err = m.store.Append(t.Context(), m.upload, r); err != nil {
		t.Fatalf("Append of %d bytes to %d: %v", len(b), m.upload.Size, err)
	}
	if want := m.upload.Size + int64(len(b)); got.Size != want {
		t.Fatalf("Append of %d bytes to %d: got %d", len(b), m.upload.Size, got.Size)
	}
	if !lost {
		m.upload = got
		m.want = append(m.want, b...)
	}
}
