package publish_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/publish"
)

// shaky is a registry that fails some requests: the fault is called for each that writes, and tells whether it has answered.
type shaky struct {
	*httptest.Server
	mu     sync.Mutex
	writes int
}

func newShaky(t *testing.T, fault func(n int, w http.ResponseWriter, r *http.Request) bool) *shaky {
	t.Helper()
	s := &shaky{}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v2/") {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_ = json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{map[string]any{
				"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:secret")), "expiresAt": time.Now().Add(time.Hour).Unix(), "proxyEndpoint": s.URL,
			}}})
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.mu.Lock()
			s.writes++
			n := s.writes
			s.mu.Unlock()
			if fault(n, w, r) {
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_ENDPOINT_URL_ECR": s.URL, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": "eu-west-1",
		"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(variable, value)
	}
	return s
}

func (s *shaky) push(ctx context.Context, t *testing.T) error {
	t.Helper()
	client, err := registry.New(ctx, registry.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	p := publish.New(publish.Config{API: client.ECR, Remote: client, Repository: repository, Now: time.Now})
	_, err = p.Push(ctx, publish.PushInput{Image: image(t, 10_000)}, &progress.Task{Sink: &notebook{}, Now: time.Now})
	return err
}

// TestRetries: what passes is tried again, and what does not is not.
func TestRetries(t *testing.T) {
	answer := func(status int, code string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"so it is"}]}`, code)
		}
	}
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter)
		want  string // in the error; empty: it goes well
	}{
		"unavailable": {answer(503, "UNAVAILABLE"), ""},
		"broken":      {answer(500, "UNKNOWN"), ""},
		"throttled":   {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "0"); answer(429, "TOOMANYREQUESTS")(w) }, ""},
		"hung up":     {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, ""},
		"denied":      {answer(403, "DENIED"), "needs ecr:PutImage and what else a push needs, which the registry does not allow: so it is"},
		"expired": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"Your authorization token has expired."}]}`)
		}, ": DENIED: Your authorization token has expired."},
		"no place": {answer(404, "NAME_UNKNOWN"), "there is no such repository: team/apps"},
		"bad":      {answer(400, "MANIFEST_INVALID"), "so it is"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShaky(t, func(n int, w http.ResponseWriter, _ *http.Request) bool {
				if n == 3 {
					c.fault(w)
				}
				return n == 3
			})
			err := s.push(t.Context(), t)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Push: %v, want %q", err, c.want)
			}
		})
	}
}

// TestStoppedWhileWaiting: a pause ends with the context.
func TestStoppedWhileWaiting(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	s := newShaky(t, func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		stop(errStopped)
		return true
	})
	if err := s.push(ctx, t); !errors.Is(err, errStopped) {
		t.Errorf("Push: %v, want what stopped it", err)
	}
}

// denying is an API that allows nothing.
type denying struct{ publish.API }

func (denying) BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error) {
	return nil, &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: ann is not authorized"}
}

func TestDenied(t *testing.T) {
	t.Parallel()
	p := publish.New(publish.Config{API: denying{}, Repository: repository, Now: time.Now})
	_, err := p.Retag(t.Context(), publish.RetagInput{Digest: oci.FromBytes(nil), Tags: []string{"web-1"}})
	want := "reading manifests in team/apps needs ecr:BatchGetImage, which the registry does not allow: User: ann is not authorized"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Retag: %v, want %s", err, want)
	}
}
