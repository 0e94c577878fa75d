package app

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/storage/journal"
)

// VerifiedLog is what verifying a log came to.
type VerifiedLog = audit.Report

// VerifyLogFiles verifies logs without a server, by the files in a directory (of a server: audit in its data directory), the registry's public key, and
// signed checkpoints that were kept elsewhere.
func VerifyLogFiles(ctx context.Context, directory, publicKey, log string, checkpoints []string) ([]VerifiedLog, error) {
	return audit.VerifyFiles(ctx, journal.Directory(directory), publicKey, audit.VerifyRequest{Log: log, Checkpoints: checkpoints})
}
