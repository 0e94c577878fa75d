package berthproc

import (
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// Stored is how many bytes there are in the blob store, counted behind the server's back: in files of the directory, or in
// objects of the bucket.
func (s *Server) Stored() int64 {
	s.t.Helper()
	var sum int64
	if s.store.Bucket {
		pages := s3.NewListObjectsV2Paginator(s3test.Client(s.store.bucket), &s3.ListObjectsV2Input{Bucket: &s.store.bucket.Bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(s.t.Context())
			if err != nil {
				s.t.Fatalf("listing the bucket: %v", err)
			}
			for _, o := range page.Contents {
				sum += aws.ToInt64(o.Size)
			}
		}
		return sum
	}
	err := filepath.WalkDir(filepath.Join(s.Data, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since it was listed
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		s.t.Fatalf("reading the blobs' directory: %v", err)
	}
	return sum
}

// Exec runs a statement on the database of a server that is down, and gives how many rows it changed. It is for what takes
// days in real life.
func (s *Server) Exec(statement string, args ...any) int64 {
	s.t.Helper()
	if s.proc != nil {
		s.t.Fatal("berthproc: the server is running")
	}
	driver, source := "sqlite", "file:"+filepath.Join(s.Data, "berth.db")
	if s.store.Database != "" {
		driver, source = "pgx", s.store.Database
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	done, err := db.ExecContext(s.t.Context(), statement, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
	n, err := done.RowsAffected()
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
