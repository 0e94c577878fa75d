package ociclient_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
)

// TestCredentialsStayWithTheirPort follows a registry to another port of its own host, which may be anybody's.
func TestCredentialsStayWithTheirPort(t *testing.T) {
	t.Parallel()
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if auth := r.Header.Get("Authorization"); auth != "" {
			t.Errorf("another port was sent %q", auth)
		}
		_, _ = io.WriteString(w, "layer")
	})
	registry := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, other+"/x", http.StatusTemporaryRedirect)
	})
	at := pullthrough.Endpoint{URL: registry, Credentials: pullthrough.Credentials{Username: "me", Password: "secret"}}
	body, _, err := newClient(t, time.Now).Layer(t.Context(), at, "app", oci.FromBytes([]byte("layer")))
	if err != nil {
		t.Fatalf("Layer: %v", err)
	}
	_ = body.Close()
}

// TestSlowBeforeALayer has answers that come before a layer's begin and never end: a fetch has a slot meanwhile.
func TestSlowBeforeALayer(t *testing.T) {
	t.Parallel()
	drip := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(10 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	}
	issuer := serve(t, drip)
	for name, answer := range map[string]http.HandlerFunc{
		"a token": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+issuer+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"a challenge": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			drip(w, r)
		},
		"a refusal": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			drip(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := serve(t, answer)
			c := ociclient.New(ociclient.Config{Now: time.Now, Pause: 200 * time.Millisecond})
			t.Cleanup(c.Close)
			ended := make(chan error, 1)
			go func() {
				_, _, err := c.Layer(t.Context(), pullthrough.Endpoint{URL: registry}, "app", oci.FromBytes(nil))
				ended <- err
			}()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("a layer came")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it is waited for without end")
			}
		})
	}
}

// TestWhatErrorsDoNotHave fails at a bucket whose URL opens it, and at a header that fills the memory.
func TestWhatErrorsDoNotHave(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	registry := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, "http://"+closed+"/x?X-Amz-Signature=opens-it", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="file:///`+strings.Repeat("x", 1<<20)+`"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	c := newClient(t, time.Now)
	_, _, err = c.Layer(t.Context(), pullthrough.Endpoint{URL: registry}, "app", oci.FromBytes(nil))
	_ = wantFault(t, "a bucket that is away", err, fault.UpstreamUnavailable)
	if strings.Contains(err.Error(), "opens-it") {
		t.Errorf("the error has the bucket's signature: %v", err)
	}
	_, err = c.Manifest(t.Context(), pullthrough.Endpoint{URL: registry}, "app", oci.Reference{Tag: "v1"})
	_ = wantFault(t, "an endless header", err, fault.UpstreamUnavailable)
	if n := len(err.Error()); n > 10_000 {
		t.Errorf("the error has %d bytes", n)
	}
}
