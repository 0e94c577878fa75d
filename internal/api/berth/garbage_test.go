package berth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestGarbage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	nothing := oci.FromBytes([]byte("nothing")).String()
	for _, c := range []struct {
		operation, who, body string
		status               int
		words                string
	}{
		{"GetGarbageCollection", "user", `{}`, http.StatusBadRequest, "berth:GetGarbageCollection on resource: *"},
		{"StartGarbageCollection", "user", `{}`, http.StatusBadRequest, "berth:StartGarbageCollection on resource: *"},
		{"PauseGarbageCollection", "user", `{}`, http.StatusBadRequest, "berth:PauseGarbageCollection on resource: *"},
		{"ResumeGarbageCollection", "user", `{}`, http.StatusBadRequest, "berth:ResumeGarbageCollection on resource: *"},
		{"ListGarbage", "user", `{}`, http.StatusBadRequest, "berth:ListGarbage on resource: *"},
		{"ExplainDigest", "user", `{"digest":"` + nothing + `"}`, http.StatusBadRequest, "berth:ExplainDigest on resource: *"},
		{"StartGarbageCollection", "root", `{}`, http.StatusOK, `{"doneBytes":0,"doneThings":0,"dueBytes":0,"dueThings":0,"laterBytes":0,"laterThings":0,"stage":"trash"}`},
		{"GetGarbageCollection", "root", `{}`, http.StatusOK, `"rateLimit":1000`},
		{"ResumeGarbageCollection", "root", `{}`, http.StatusOK, `{}`},
		{"ResumeGarbageCollection", "user", `{"strays":true}`, http.StatusBadRequest, "berth:ResumeGarbageCollection on resource: *"},
		{"ResumeGarbageCollection", "root", `{"strays":true}`, http.StatusOK, `"straysAllowedBy":"arn:aws:iam::000000000042:root"`},
		{"GetGarbageCollection", "root", `{}`, http.StatusOK, `"held":false`},
		{"GetGarbageCollection", "root", `{}`, http.StatusOK, `"problems":[]`},
		{"PauseGarbageCollection", "root", `{}`, http.StatusOK, `"pausedBy":"arn:aws:iam::000000000042:root"`},
		{"GetGarbageCollection", "root", `{}`, http.StatusOK, `"pausedBy":"arn:aws:iam::000000000042:root"`},
		{"ResumeGarbageCollection", "root", `{}`, http.StatusOK, `"pausedAt":`},
		{"ListGarbage", "root", `{}`, http.StatusOK, `{"blobs":[],"freedBytes":0,"freedThings":0,"stages":[`},
		{"ListGarbage", "root", `{"maxResults":0}`, http.StatusBadRequest, `'maxResults'`},
		{"ListGarbage", "root", `{"nextToken":"next"}`, http.StatusBadRequest, `'nextToken'`},
		{"ExplainDigest", "root", `{"digest":"` + nothing + `"}`, http.StatusOK, `"needed":false,"reasons":["Nothing here has it.`},
		{"ExplainDigest", "root", `{}`, http.StatusBadRequest, `'digest'`},
		{"ExplainDigest", "root", `{"digest":"sha256:short"}`, http.StatusBadRequest, `'digest'`},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%s(%s) by %s: %d %s\nwant %d with %s", c.operation, c.body, c.who, status, body, c.status, c.words)
		}
	}
}
