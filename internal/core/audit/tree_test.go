package audit_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// TestTreeIsTheOneOfTheSpec compares with the tree of sumdb/tlog, at each size, and with any part given by its subtrees.
func TestTreeIsTheOneOfTheSpec(t *testing.T) {
	t.Parallel()
	const size = 200
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	leaf := func(n int64) tlog.Hash { return tlog.RecordHash([]byte(strconv.FormatInt(n, 10))) }
	var tree audit.Tree
	var roots []tlog.Hash
	for n := range int64(size) {
		more, err := tlog.StoredHashesForRecordHash(n, leaf(n), reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		tree.Add(leaf(n))
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil || tree.Root() != want {
			t.Fatalf("root of %d records is %v, want %v, %v", n+1, tree.Root(), want, err)
		}
		roots = append(roots, want)
		b, err := tree.MarshalBinary()
		var again audit.Tree
		if err != nil || again.UnmarshalBinary(b) != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tree, again); diff != "" {
			t.Fatalf("a tree of %d read again (-want +got):\n%s", n+1, diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.Int64Range(0, size).Draw(t, "from")
		to := rapid.Int64Range(from, size).Draw(t, "to")
		part := audit.Tree{First: from, Next: from}
		for n := from; n < to; n++ {
			part.Add(leaf(n))
		}
		var all audit.Tree
		for n := range from {
			all.Add(leaf(n))
		}
		for _, n := range part.Nodes {
			all.AddNode(n)
		}
		for n := to; n < size; n++ {
			all.Add(leaf(n))
		}
		if all.Root() != roots[size-1] || all.Next != size {
			t.Fatalf("with %d to %d as %d subtrees the root is %v, want %v", from, to, len(part.Nodes), all.Root(), roots[size-1])
		}
	})
}

func FuzzUnmarshalTree(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(append([]byte{0, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 32)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var tree audit.Tree
		if tree.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := tree.MarshalBinary(); err != nil || len(b) > 0 && string(again) != string(b) {
			t.Errorf("%x is written %x, %v", b, again, err)
		}
	})
}
