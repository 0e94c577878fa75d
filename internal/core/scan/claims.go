package scan

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Claims adds to what the layers of an image tell what SBOMs that were attached to it know better; top is the place of its highest
// layer. (*sbom.Attacher).Claimed is one.
type Claims func(ctx context.Context, repo registry.Repository, image oci.Digest, found inventory.Image, top int) (inventory.Image, error)
