package berthproc

import (
	"slices"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// Kind is one pair of places to keep things in.
type Kind struct {
	Name   string
	Bucket bool // blobs are in an S3 bucket, so that they may be served by redirect
	Open   func(t testing.TB) Storage
}

// Kinds lists the pairs that Berth offers.
func Kinds() []Kind {
	return []Kind{
		{Name: "sqlite-disk", Open: func(testing.TB) Storage { return Storage{} }},
		{Name: "postgres-s3", Bucket: true, Open: postgresAndS3},
	}
}

// Storage is a fresh pair of places. The zero value is SQLite and a directory inside the data directory.
type Storage struct {
	Bucket   bool
	Endpoint string   // of the S3 server, where there is a bucket
	Database string   // PostgreSQL's URL; empty: SQLite
	Args     []string // the flags that lead there
	Env      []string // the variables that lead there

	bucket s3blob.Config // as the test reaches it
}

// Through is the same bucket, reached by another address (of a proxy, say).
func (s Storage) Through(endpoint string) Storage {
	s.Args = slices.Clone(s.Args)
	for i, a := range s.Args {
		if a == s.Endpoint && i > 0 && strings.HasPrefix(s.Args[i-1], "--s3-endpoint") {
			s.Args[i] = endpoint
		}
	}
	return s
}

func postgresAndS3(t testing.TB) Storage {
	t.Helper()
	database := metadbtest.PostgresURL(t)
	bucket := s3test.Bucket(t)
	// Another host name than Berth's: Go's HTTP client hands credentials on to redirects that stay on one
	// host, whatever the port, and S3 refuses them beside a signature.
	endpoint := strings.Replace(bucket.Endpoint, "//127.0.0.1:", "//localhost:", 1)
	return Storage{
		Bucket: true, Endpoint: endpoint, Database: database, bucket: bucket,
		Args: []string{
			"--database", database, "--blobs", "s3://" + bucket.Bucket + "/berth",
			"--s3-endpoint", endpoint, "--s3-region", bucket.Region, "--s3-path-style",
			"--blob-delivery", "redirect", // a test that wants another says so later, and the last flag counts
		},
		Env: []string{
			"BERTH_S3_ACCESS_KEY_ID=" + bucket.AccessKeyID, "BERTH_S3_SECRET_ACCESS_KEY=" + bucket.SecretAccessKey,
		},
	}
}
