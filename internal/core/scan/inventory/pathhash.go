package inventory

import "github.com/cespare/xxhash/v2"

// PathHash is how a path (cleaned, without a slash at its ends) is written where only being the same matters: 48 bits of XXH64.
// Hashes are stored, so this stays as it is. Of images with a million paths and 20,000 files and directories that matter, one in
// ten thousand would lose one of these by accident; whoever looks for such a path on purpose could as well remove the file.
func PathHash(path string) uint64 {
	const bits = 48
	return xxhash.Sum64String(path) >> (64 - bits)
}
