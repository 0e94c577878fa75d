package wire_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/bench/wire"
)

// echo answers with what it was asked, in the way that the path names.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := []byte(r.Method + " " + r.Header.Get("Authorization") + " " + r.Header.Get("Content-Type") + " " + string(body))
	switch r.URL.Path {
	case "/chunked":
		for _, b := range answer {
			_, _ = w.Write([]byte{b})
			_ = http.NewResponseController(w).Flush()
		}
	case "/moved":
		w.Header().Set("Location", "/there")
		w.WriteHeader(http.StatusAccepted)
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
	case "/fail":
		http.Error(w, "because", http.StatusTeapot)
	case "/large":
		_, _ = w.Write(make([]byte, 5<<20))
	default:
		_, _ = w.Write(answer)
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	conn, err := wire.Dial(t.Context(), strings.TrimPrefix(server.URL, "http://"), "Basic xyz")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	// All go over the one connection, so that each shows that the one before was read to its end.
	long := strings.Repeat("0123456789abcdef", 1<<14)
	tests := []struct {
		name    string
		request wire.Request
		want    wire.Response
	}{
		{
			"kept",
			wire.Request{Method: "GET", Target: "/", Keep: true},
			wire.Response{Head: wire.Head{Status: 200, Length: 15}, Size: 15, Body: []byte("GET Basic xyz  ")},
		},
		{
			"counted",
			wire.Request{Method: "GET", Target: "/"},
			wire.Response{Head: wire.Head{Status: 200, Length: 15}, Size: 15},
		},
		{
			"head",
			wire.Request{Method: "HEAD", Target: "/"},
			wire.Response{Head: wire.Head{Status: 200, Length: 16}},
		},
		{
			"large",
			wire.Request{Method: "GET", Target: "/large"},
			wire.Response{Head: wire.Head{Status: 200, Length: -1, Chunked: true}, Size: 5 << 20},
		},
		{
			"chunked",
			wire.Request{Method: "PUT", Target: "/chunked", Type: "a/b", Body: []byte("one"), Tail: []byte("two"), Keep: true},
			wire.Response{Head: wire.Head{Status: 200, Length: -1, Chunked: true}, Size: 24, Body: []byte("PUT Basic xyz a/b onetwo")},
		},
		{
			"long body",
			wire.Request{Method: "PATCH", Target: "/moved", Body: []byte(long), Tail: []byte("!")},
			wire.Response{Head: wire.Head{Status: 202, Location: "/there"}},
		},
		{"no content", wire.Request{Method: "DELETE", Target: "/nothing"}, wire.Response{Head: wire.Head{Status: 204, Length: -1}}},
		{
			"failure",
			wire.Request{Method: "GET", Target: "/fail"},
			wire.Response{Head: wire.Head{Status: 418, Length: 8}, Size: 8, Body: []byte("because\n")},
		},
	}
	for _, test := range tests {
		got, err := conn.Do(test.request)
		if err != nil {
			t.Fatalf("%s: Do: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: Do answered (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestReadHead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       wire.Head
		fails      bool
	}{
		{
			name: "what is wanted", text: "HTTP/1.1 202 Accepted\r\ncontent-length:  0 \r\nLOCATION: /v2/x\r\nX: y\r\nlink: <n>; rel=\"next\"\r\n\r\n",
			want: wire.Head{Status: 202, Location: "/v2/x", Link: `<n>; rel="next"`},
		},
		{name: "chunked", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want: wire.Head{Status: 200, Length: -1, Chunked: true}},
		{name: "bare line ends", text: "HTTP/1.1 404 Not Found\n\n", want: wire.Head{Status: 404, Length: -1}},
		{name: "another protocol", text: "SSH-2.0-x\r\n\r\n", fails: true},
		{name: "no number", text: "HTTP/1.1 OK\r\n\r\n", fails: true},
		{name: "no colon", text: "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", fails: true},
		{name: "negative length", text: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", fails: true},
		{name: "cut off", text: "HTTP/1.1 200 OK\r\nContent-Le", fails: true},
		{name: "nothing", text: "", fails: true},
	}
	for _, test := range tests {
		got, err := wire.ReadHead(bufio.NewReader(strings.NewReader(test.text)))
		if test.fails {
			if err == nil {
				t.Errorf("%s: ReadHead read %+v, want an error", test.name, got)
			}
			continue
		}
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: ReadHead: error %v, head (-want +got):\n%s", test.name, err, diff)
		}
	}
}
