package lifecycle_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestTheArchive has the registry's own archive take what a policy moves there, and a second rule expire it after
// its time.
func TestTheArchive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.image("old", 9, "v1")
		b.imageWith("old-signature", 9, "old", nil)
		b.image("new", 0, "v2")
		s := b.with(func(c *lifecycle.Config) { c.Archiver = b.Config.Registry.(lifecycle.Archiver) }) //nolint:forcetypeassert // it is the registry
		text := document(rule(1, "any", days1, archive), `{"rulePriority":2,"selection":{"tagStatus":"any","storageClass":"archive",`+
			`"countType":"sinceImageTransitioned","countUnit":"days","countNumber":90},"action":{"type":"expire"}}`)
		if _, err := s.PutPolicy(t.Context(), root, repo, text); err != nil {
			t.Fatal(err)
		}
		b.apply(s)
		wantArchived := func(want bool, names ...string) {
			t.Helper()
			for _, n := range names {
				img, err := b.db.Read().ImageIn(t.Context(), repo, oci.Reference{Digest: digestOf(n)})
				if err != nil || img.Archived != want {
					t.Errorf("%s: archived %v, %v, want %v", n, img.Archived, err, want)
				}
			}
		}
		wantArchived(true, "old", "old-signature")
		wantArchived(false, "new")
		b.now = b.now.Add(91 * 24 * time.Hour)
		b.apply(s)
		b.wantThere("90 days later", []string{"old", "old-signature", "new"}, "new")
		wantArchived(true, "new")
	})
}
