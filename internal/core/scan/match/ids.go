package match

import "slices"

// IDs is a set of ids, of one bit each.
type IDs struct{ b bits }

// NewIDs makes an empty one.
func NewIDs() *IDs { return &IDs{} }

// AddMembers adds those of packed members.
func (s *IDs) AddMembers(members []byte) error {
	damaged := false
	err := EachMember(members, func(m Member) {
		if m.Package > maxTableID {
			damaged = true
			return
		}
		s.b.set(m.Package)
	})
	if damaged {
		err = ErrPacked
	}
	return err
}

// Without gives those of the ids that are not in the set.
func (s *IDs) Without(ids []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(ids), s.b.has)
}
