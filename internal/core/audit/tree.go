package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is the Merkle tree over the records from First on, as much of it as it takes to go on and to give the root: the hashes of whole subtrees,
// the largest first (RFC 6962, section 2.1). The zero Tree is that of an empty log.
type Tree struct {
	First int64 // the number of its first record
	Next  int64 // the number of the record that comes next
	Nodes []Node
}

// Node is the hash of a whole subtree of 2^Level records.
type Node struct {
	Level int       `json:"level"`
	Hash  tlog.Hash `json:"hash"`
}

// Add puts the next record in, by its hash ([tlog.RecordHash]).
func (t *Tree) Add(record tlog.Hash) { t.AddNode(Node{0, record}) }

// AddNode puts a whole subtree in. It must begin at a multiple of its size.
func (t *Tree) AddNode(n Node) {
	t.Nodes = append(t.Nodes, n)
	t.Next += 1 << n.Level
	for len(t.Nodes) > 1 {
		left, right := t.Nodes[len(t.Nodes)-2], t.Nodes[len(t.Nodes)-1]
		// Two of a size are one only where their parent begins at a multiple of its own size.
		if left.Level != right.Level || (t.Next-2<<right.Level)%(2<<right.Level) != 0 {
			return
		}
		t.Nodes = append(t.Nodes[:len(t.Nodes)-2], Node{left.Level + 1, tlog.NodeHash(left.Hash, right.Hash)})
	}
}

// Root is the hash of the whole tree, which must have begun with record 0.
func (t *Tree) Root() tlog.Hash {
	if len(t.Nodes) == 0 {
		return sha256.Sum256(nil)
	}
	root := t.Nodes[len(t.Nodes)-1].Hash
	for i := len(t.Nodes) - 2; i >= 0; i-- {
		root = tlog.NodeHash(t.Nodes[i].Hash, root)
	}
	return root
}

// Clone gives a tree that goes its own way.
func (t *Tree) Clone() Tree {
	return Tree{t.First, t.Next, append([]Node(nil), t.Nodes...)}
}

var errTree = errors.New("these are not the hashes of a tree of that size")

// MarshalBinary writes the hashes of a tree that began with record 0: its size says of which levels they are.
func (t *Tree) MarshalBinary() ([]byte, error) {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.Next)) //nolint:gosec // never negative
	for _, n := range t.Nodes {
		b = append(b, n.Hash[:]...)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote. Nothing at all is the empty tree.
func (t *Tree) UnmarshalBinary(b []byte) error {
	*t = Tree{}
	if len(b) == 0 {
		return nil
	}
	if len(b) < 8 {
		return errTree
	}
	size := binary.BigEndian.Uint64(b)
	b = b[8:]
	if len(b) != bits.OnesCount64(size)*tlog.HashSize || size>>62 != 0 {
		return errTree
	}
	for level := 63; level >= 0; level-- {
		if size>>level&1 == 1 {
			t.Nodes = append(t.Nodes, Node{level, tlog.Hash(b[:tlog.HashSize])})
			b = b[tlog.HashSize:]
		}
	}
	t.Next = int64(size) //nolint:gosec // checked
	return nil
}
