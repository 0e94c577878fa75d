package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
)

// blobStoreID is the name under which the database remembers whose bytes its rows point to.
const blobStoreID = "blob-store-id"

// ErrOtherBlobs is what New answers when the blob store is not the one that the database's rows point to.
var ErrOtherBlobs = errors.New("the database belongs to another blob store")

// identified is a blob store that can be told from others of its kind.
type identified interface {
	// Identity is a random name that the store keeps.
	Identity(ctx context.Context) (string, error)
}

// conditional is a blob store that rests on a feature which its server may lack.
type conditional interface {
	// KeepsFirst tells whether the server lets nobody replace an object that is there.
	KeepsFirst(ctx context.Context) (bool, error)
}

func openBlobs(ctx context.Context, cfg config.Config) (blob.Store, error) {
	if cfg.Blobs == "" {
		s, err := diskblob.Open(cfg.BlobDirectory())
		if err != nil {
			return nil, err // not s, which would be a blob.Store that is not nil
		}
		return s, nil
	}
	s, err := s3blob.Open(ctx, s3blob.Config{
		Bucket: cfg.S3.Bucket, Prefix: cfg.S3.Prefix, Region: cfg.S3.Region,
		Endpoint: cfg.S3.Endpoint, PublicEndpoint: cfg.S3.PublicEndpoint,
		AccessKeyID: cfg.S3.AccessKeyID, SecretAccessKey: cfg.S3.SecretAccessKey, PathStyle: cfg.S3.PathStyle,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// checkBlobs refuses a blob store that is not the one which the database was used with before. With another
// every pull would fail, and bytes that are pushed again would be dropped for rows whose bytes are elsewhere.
// A database that does not remember any, which is a new one or an older Berth's, remembers this one.
func (a *App) checkBlobs(ctx context.Context) error {
	if s, ok := a.blobs.(identified); ok {
		here, err := s.Identity(ctx)
		if err != nil {
			return fmt.Errorf("opening the blob store: %w", err)
		}
		known, err := a.database.Secret(ctx, blobStoreID, []byte(here))
		if err != nil {
			return fmt.Errorf("reading which blob store the database belongs to: %w", err)
		}
		if string(known) != here {
			return a.otherBlobs(string(known), here)
		}
	}
	if s, ok := a.blobs.(conditional); ok {
		a.warnOfOverwriting(ctx, s)
	}
	return nil
}

// otherBlobs says which is which, and what to do.
func (a *App) otherBlobs(known, here string) error {
	place, file := a.cfg.BlobDirectory(), "the file store-id in it"
	if a.cfg.Blobs != "" {
		place, file = a.cfg.Blobs, "the object berth-store-id under that prefix"
	}
	return fmt.Errorf("%w: its layers are in the store with the id %s, and %s has the id %s; start Berth with the database and the blobs that"+
		" belong together (data, database, blobs), or, if these are the same layers in a new place, write the first id into %s",
		ErrOtherBlobs, known, place, here, file)
}

// warnOfOverwriting tells the operator once of a bucket that does not guard what was acknowledged.
func (a *App) warnOfOverwriting(ctx context.Context, s conditional) {
	switch keeps, err := s.KeepsFirst(ctx); {
	case err != nil:
		a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "could not find out whether the bucket honours If-None-Match", slog.Any("error", err))
	case !keeps:
		a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "the bucket's server ignores If-None-Match: run one replica only, "+
			"for two that complete one upload with different bytes could replace each other's", slog.String("blobs", a.cfg.Blobs))
	}
}
