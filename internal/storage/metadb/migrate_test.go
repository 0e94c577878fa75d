package metadb_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// opener opens a database again and again; raw is a plain connection to the same one.
type opener struct {
	open func(ctx context.Context) (*metadb.DB, error)
	raw  *sql.DB
}

// eachFile runs the test on a database of each kind that is not even migrated.
func eachFile(t *testing.T, test func(t *testing.T, o opener)) {
	t.Helper()
	open := func(t *testing.T, driver, dsn string, f func(context.Context) (*metadb.DB, error)) opener {
		raw, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = raw.Close() })
		return opener{open: f, raw: raw}
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "meta.db")
		test(t, open(t, "sqlite", path, func(ctx context.Context) (*metadb.DB, error) { return metadb.OpenSQLite(ctx, path) }))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := metadbtest.PostgresURL(t)
		test(t, open(t, "pgx", url, func(ctx context.Context) (*metadb.DB, error) { return metadb.OpenPostgres(ctx, url) }))
	})
}

func (o opener) mustOpen(t *testing.T) *metadb.DB {
	t.Helper()
	db, err := o.open(t.Context())
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	return db
}

// strings gives a column of text, as a set of lines.
func (o opener) strings(t *testing.T, query string) []string {
	t.Helper()
	rows, err := o.raw.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// TestBothEnginesHaveTheSameSchema compares tables, columns, their kinds, whether they may be null, keys
// and indexes with one checked-in list.
var rewrite = flag.Bool("update", false, "rewrite testdata/schema.txt from SQLite's tables")

func TestBothEnginesHaveTheSameSchema(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile(filepath.Join("testdata", "schema.txt"))
	if err != nil {
		t.Fatal(err)
	}
	eachFile(t, func(t *testing.T, o opener) {
		if err := o.mustOpen(t).Close(); err != nil {
			t.Fatal(err)
		}
		columns, indexes := sqliteColumns, sqliteIndexes
		if strings.HasSuffix(t.Name(), "postgres") {
			columns, indexes = postgresColumns, postgresIndexes
		}
		got := slices.Concat(o.strings(t, columns), o.strings(t, indexes))
		if *rewrite && strings.HasSuffix(t.Name(), "sqlite") {
			if err := os.WriteFile(filepath.Join("testdata", "schema.txt"), []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(golden)), "\n"), got); diff != "" {
			t.Errorf("the schema differs from testdata/schema.txt (-want +got):\n%s", diff)
		}
	})
}

const (
	// Numbers and truths are one kind, since SQLite stores both as INTEGER.
	sqliteColumns = `
		SELECT m.name || '.' || c.name || ' ' || lower(c.type) || CASE WHEN c."notnull" OR c.pk THEN '' ELSE ' null' END || CASE WHEN c.pk THEN ' key ' || c.pk ELSE '' END
		FROM sqlite_schema m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'goose_db_version'`
	postgresColumns = `
		SELECT c.table_name || '.' || c.column_name || ' ' ||
			CASE c.data_type WHEN 'bigint' THEN 'integer' WHEN 'boolean' THEN 'integer' WHEN 'bytea' THEN 'blob' WHEN 'double precision' THEN 'real' WHEN 'text' THEN
				CASE c.collation_name WHEN 'C' THEN 'text' ELSE 'text not ordered by bytes' END ELSE c.data_type END ||
			CASE c.is_nullable WHEN 'YES' THEN ' null' ELSE '' END || COALESCE(' key ' || k.ordinal_position, '')
		FROM information_schema.columns c
		LEFT JOIN information_schema.table_constraints p ON p.table_name = c.table_name AND p.table_schema = c.table_schema AND p.constraint_type = 'PRIMARY KEY'
		LEFT JOIN information_schema.key_column_usage k ON k.constraint_name = p.constraint_name AND k.table_name = c.table_name AND k.column_name = c.column_name
		WHERE c.table_schema = 'public' AND c.table_name <> 'goose_db_version'`
	sqliteIndexes = `
		SELECT 'index ' || i.name || ' on ' || m.tbl_name || ' (' || (SELECT group_concat(c.name, ', ' ORDER BY c.seqno) FROM pragma_index_info(i.name) c) || ')' ||
			CASE WHEN i."unique" THEN ' unique' ELSE '' END || CASE WHEN i.partial THEN ' partial' ELSE '' END
		FROM sqlite_schema m JOIN pragma_index_list(m.tbl_name) i ON i.name = m.name WHERE m.type = 'index' AND i.origin = 'c'`
	postgresIndexes = `
		SELECT 'index ' || i.relname || ' on ' || t.relname || ' (' ||
			(SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = i.oid) || ')' ||
			CASE WHEN x.indisunique THEN ' unique' ELSE '' END || CASE WHEN x.indpred IS NULL THEN '' ELSE ' partial' END
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE n.nspname = 'public' AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u')) AND t.relname <> 'goose_db_version'`
)

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, o opener) {
		if err := o.mustOpen(t).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := o.raw.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`); err != nil {
			t.Fatal(err)
		}
		db, err := o.open(t.Context())
		if err == nil {
			_ = db.Close()
		}
		if !errors.Is(err, metadb.ErrNewerSchema) || !strings.Contains(err.Error(), "9999") {
			t.Errorf("opening a database of version 9999: %v, want ErrNewerSchema, and the version named", err)
		}
	})
}

func TestReplicasStartTogether(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, o opener) {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				db, err := o.open(t.Context())
				if err != nil {
					t.Errorf("opening: %v", err)
					return
				}
				if _, err := db.Secret(t.Context(), "name", []byte("secret")); err != nil {
					t.Errorf("Secret: %v", err)
				}
				if err := db.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		all.Wait()
	})
}

func TestDatabaseIsKeptWhenClosed(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, o opener) {
		db := o.mustOpen(t)
		r := addRepository(t, db, "app")
		img := addImage(t, db, r.ID, newImage("a"), newReferences("layer"))
		setTag(t, db, r.ID, "latest", img.ID)
		if err := db.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		db = o.mustOpen(t)
		img.Tags = []string{"latest"}
		got, err := db.Read().ImageByTag(t.Context(), r.ID, "latest")
		want(t, "ImageByTag after closing and opening", got, err, withoutManifest(img))
		if err := db.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	})
}
