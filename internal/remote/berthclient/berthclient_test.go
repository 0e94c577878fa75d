package berthclient_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
	"github.com/hoopstat-haus/berth/internal/remote/berthclient"
)

const digest = oci.Digest("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824") // of hello

func client(t *testing.T, h http.HandlerFunc) *berthclient.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c := berthclient.New(berthclient.Config{URL: server.URL + "/", Region: "eu-west-1", AccessKeyID: "AKIATEST", SecretAccessKey: "secret", Now: time.Now})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestWhatIsRefusedForGood tells the answers after which there is no use in trying again from all others.
func TestWhatIsRefusedForGood(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		code   string // of what is refused for good
	}{
		"permission":     {400, `{"__type":"AccessDeniedException","message":"User: x is not authorized"}`, "AccessDenied"},
		"parameter":      {400, `{"__type":"InvalidParameterException","message":"m"}`, "InvalidParameter"},
		"quota":          {400, `{"__type":"LimitExceededException","message":"m"}`, "LimitExceeded"},
		"an older Berth": {400, `{"__type":"UnknownOperationException","message":"m"}`, "UnknownOperation"},
		"a bad key":      {400, `{"__type":"UnrecognizedClientException","message":"m"}`, ""},
		"a bad clock":    {400, `{"__type":"InvalidSignatureException","message":"m"}`, ""},
		"gone meanwhile": {400, `{"__type":"RepositoryNotFoundException","message":"m"}`, ""},
		"layers gone":    {400, `{"__type":"LayersNotFoundException","message":"m"}`, ""},
		"full":           {500, `{"__type":"ServerException","message":"m"}`, ""},
		"throttled":      {400, `{"__type":"ThrottlingException","message":"m"}`, ""},
		"a proxy":        {502, `<html>`, ""},
		"a redirect":     {307, ``, ""},
		"no Berth":       {200, `{}`, ""},
		"no JSON":        {200, `hello`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					t.Errorf("the client followed a redirect to %s", r.URL)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := c.Prepare(t.Context(), "app", digest, nil)
			_, errPut := c.PutImage(t.Context(), replicate.Image{Repository: "app", Digest: digest})
			for _, err := range []error{err, errPut} {
				refused, ok := errors.AsType[*replicate.Refused](err)
				if err == nil || ok != (tt.code != "") || ok && refused.Code != tt.code {
					t.Errorf("%d %s gives %v, want it refused for good: %q", tt.status, tt.body, err, tt.code)
				}
			}
		})
	}
}

// TestLayersAndTheToken counts how often a token is asked for: once, and again when it is refused.
func TestLayersAndTheToken(t *testing.T) {
	t.Parallel()
	tokens, refuse := 0, 0
	var got []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			tokens++
			if target := r.Header.Get("X-Amz-Target"); !strings.HasSuffix(target, ".GetAuthorizationToken") || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
				t.Errorf("asked for %s with %s", target, r.Header.Get("Authorization"))
			}
			_, _ = io.WriteString(w, `{"authorizationData":[{"authorizationToken":"QVdTOng=","expiresAt":9999999999.5}]}`)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+" "+string(body))
		if refuse != 0 {
			w.WriteHeader(refuse)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"no"}]}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	put := func() error { return c.PutLayer(t.Context(), "team/app", digest, 5, strings.NewReader("hello")) }
	for range 2 {
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	const want = "POST /v2/team/app/blobs/uploads/?digest=sha256%3A2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 Basic QVdTOng= hello"
	if tokens != 1 || got[1] != want {
		t.Errorf("%d tokens, and the request\n got %s\nwant %s", tokens, got[1], want)
	}
	refuse = http.StatusUnauthorized
	if err := put(); err == nil || tokens != 1 {
		t.Errorf("a refused token: %v", err)
	}
	if err := put(); err == nil || tokens != 2 {
		t.Errorf("after a refused token: %v, %d tokens", err, tokens)
	}
	refuse = http.StatusForbidden
	if _, ok := errors.AsType[*replicate.Refused](put()); !ok {
		t.Error("403 is not refused for good")
	}
	refuse = http.StatusInternalServerError
	if _, ok := errors.AsType[*replicate.Refused](put()); ok {
		t.Error("500 is refused for good")
	}
}

// TestAnswersThatNeverEnd has a destination take a layer and then answer without end: a sender is busy with it meanwhile.
func TestAnswersThatNeverEnd(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			_, _ = io.WriteString(w, `{"authorizationData":[{"authorizationToken":"QVdTOng=","expiresAt":9999999999.5}]}`)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusInternalServerError)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c.AnswerWithin(200 * time.Millisecond)
	ended := make(chan error, 1)
	go func() { ended <- c.PutLayer(t.Context(), "app", digest, 5, strings.NewReader("hello")) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an answer without end is none")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it is waited for without end")
	}
}

// TestLongWords keeps what a destination says out of logs and rows where it is no sentence any more.
func TestLongWords(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"`+strings.Repeat("x", 1<<20)+`","message":"`+strings.Repeat("y", 1<<20)+`"}`)
	})
	_, err := c.Prepare(t.Context(), "app", digest, nil)
	if err == nil || len(err.Error()) > 2000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}
