package e2e_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// verifyHistory asks for the history of some tags: it must be one chain that ends where the tag is.
func (c *crash) verifyHistory() {
	c.t.Helper()
	places := c.ledger.tagPlaces()
	c.rnd.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	shared := slices.DeleteFunc(slices.Clone(places), func(p tagPlace) bool { return p.tag != sharedTag })
	for _, p := range append(shared, places[:min(len(places), 10)]...) {
		if err := c.verifyTagHistory(p); err != nil {
			c.t.Errorf("history of tag %s:%s: %v", p.repo, p.tag, err)
		}
	}
}

func (c *crash) verifyTagHistory(p tagPlace) error {
	cmd := exec.CommandContext(c.t.Context(), berthproc.Binary(c.t), "tags", "history", p.repo, p.tag, "--output", "json", "--limit", "0")
	cmd.Env = c.server.Environment(c.t)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("berth tags history: %w", err)
	}
	var changes []struct{ FromDigest, ToDigest string }
	if err := json.Unmarshal(out, &changes); err != nil {
		return fmt.Errorf("berth tags history printed %q: %w", out, err)
	}
	r, err := c.client.send(c.t.Context(), http.MethodHead, "/v2/"+p.repo+"/manifests/"+p.tag, nil, "Accept", "*/*")
	if err != nil {
		return err
	}
	is := r.Header.Get("Docker-Content-Digest") // none where the tag is not
	for i, change := range changes {
		if change.ToDigest != is {
			return fmt.Errorf("change %d of %d (newest first) leads to %q, and the tag was then at %q", i, len(changes), change.ToDigest, is)
		}
		is = change.FromDigest
	}
	if is != "" {
		return fmt.Errorf("its %d changes do not begin with the first push, but at %s", len(changes), is)
	}
	return nil
}

// checkSQLite lets SQLite look for damage in a database that no server has open.
func checkSQLite(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, check := range []string{"PRAGMA integrity_check", "PRAGMA foreign_key_check"} {
		if err := runCheck(t.Context(), db, check); err != nil {
			t.Errorf("%s: %v", check, err)
		}
	}
}

// runCheck gives what a checking pragma found as an error.
func runCheck(ctx context.Context, db *sql.DB, pragma string) error {
	rows, err := db.QueryContext(ctx, pragma)
	if err != nil {
		return err
	}
	defer rows.Close()
	var findings []error
	for rows.Next() {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if !slices.Equal(values, []any{"ok"}) {
			findings = append(findings, fmt.Errorf("found %v", values))
		}
	}
	return errors.Join(append(findings, rows.Err())...)
}
