package plan

// Preimage gives what is hashed of lists of texts, for tests.
func Preimage(kind string, lists [][]string) []byte {
	b := newPreimage(kind)
	b.number(len(lists))
	for _, list := range lists {
		b.texts(list)
	}
	return b.bytes
}
