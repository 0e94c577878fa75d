package inventory

import "github.com/hoopstat-haus/berth/internal/core/oci"

// ChainIDs gives, for each layer, the digest of it and all layers below together, from the layers' diff_ids, lowest first (image-spec,
// config.md, "Layer ChainID"). Two images with a chain ID in common have the same file system up to that layer.
func ChainIDs(diffIDs []oci.Digest) []oci.Digest {
	chain := make([]oci.Digest, len(diffIDs))
	for i, d := range diffIDs {
		chain[i] = d
		if i > 0 {
			chain[i] = oci.FromBytes([]byte(string(chain[i-1]) + " " + string(d)))
		}
	}
	return chain
}
