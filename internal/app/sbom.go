package app

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
)

// newSBOMs makes the part that attaches SBOMs to images, and reads those that others attach.
func (a *App) newSBOMs() *sbom.Attacher {
	return sbom.New(sbom.Config{
		Registry: a.registry, Store: a.database, Inventory: a.scans, Now: a.deps.Now, Wanted: a.toScan.Ring, Logger: a.deps.Logger,
	})
}

// claims asks the part that reads SBOMs, which is made after the one that scans, and of it.
func (a *App) claims(ctx context.Context, repo registry.Repository, image oci.Digest, found inventory.Image, top int) (inventory.Image, error) {
	return a.sboms.Claimed(ctx, repo, image, found, top)
}
