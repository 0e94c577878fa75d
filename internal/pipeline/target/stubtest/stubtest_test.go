package stubtest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/target/stubtest"
)

// TestHalfARequest has somebody go in the middle of what it sends: the place behind the proxy does not get that, and gets the next one whole.
func TestHalfARequest(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	at := stubtest.Proxy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(w, r.Body)
	}), func(*http.Request) bool { return false }, nil)

	half, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(half, "POST / HTTP/1.1\r\nHost: place\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	if err := half.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(half); err != nil || len(said) > 0 { // it ends when the proxy is done with it
		t.Errorf("half a request is answered with %q, %v", said, err)
	}
	if err := half.Close(); err != nil {
		t.Error(err)
	}

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader("whole"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "whole" {
		t.Errorf("the place was sent %q, %v, want all of it", body, err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the place was asked %d times, want once", n)
	}
}
