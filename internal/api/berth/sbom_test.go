package berth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

func newAttacher(db *metadb.DB, r *registry.Registry, now func() time.Time) *sbom.Attacher {
	return sbom.New(sbom.Config{Registry: r, Store: db, Now: now})
}

func TestSbomSettings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct {
		operation, who, body string
		status               int
		want                 string
	}{
		{"GetSbomSettings", "root", `{}`, http.StatusOK, `{"sbomSettings":{"formats":[],"repositoryFilters":[]}}`},
		{"PutSbomSettings", "root", `{"repositoryFilters":["shop/*"],"formats":["spdx","cyclonedx"]}`, http.StatusOK, `{"sbomSettings":{"formats":["spdx","cyclonedx"],"repositoryFilters":["shop/*"]}}`},
		{"GetSbomSettings", "root", `{}`, http.StatusOK, `"shop/*"`},
		{"PutSbomSettings", "root", `{"repositoryFilters":["shop/*"],"formats":["csv"]}`, http.StatusBadRequest, "'formats.1.member'"},
		{"PutSbomSettings", "root", `{"repositoryFilters":["shop/*"]}`, http.StatusBadRequest, "InvalidParameterException"},
		{"PutSbomSettings", "user", `{}`, http.StatusBadRequest, "ecr:PutRegistryScanningConfiguration on resource: *"},
		{"GetSbomSettings", "user", `{}`, http.StatusBadRequest, "ecr:GetRegistryScanningConfiguration on resource: *"},
		{"PutSbomSettings", "root", `{}`, http.StatusOK, `{"sbomSettings":{"formats":[],"repositoryFilters":[]}}`},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s by %s of %s: %d %s, want %d with %s", c.operation, c.who, c.body, status, body, c.status, c.want)
		}
	}
}
