package registry

import (
	"context"
	"io"
	"net/http"
	"strings"
)

type meterKey struct{}

// Metered has the requests of a context tell how many bytes went: as they are sent, and, of blobs that were found to be there already, all at
// once. It is called by several goroutines, and now and then once more just after a request has ended.
func Metered(ctx context.Context, count func(bytes int64)) context.Context {
	return context.WithValue(ctx, meterKey{}, count)
}

// metered gives the request with a body that counts.
func metered(r *http.Request) (*http.Request, func(int64)) {
	count, ok := r.Context().Value(meterKey{}).(func(int64))
	if !ok {
		return r, func(int64) {}
	}
	if r.Body == nil || r.Body == http.NoBody {
		return r, count
	}
	counting := *r
	counting.Body = &countedBody{r.Body, count}
	if again := r.GetBody; again != nil {
		counting.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return &countedBody{body, count}, nil
		}
	}
	return &counting, count
}

// found tells how large a blob is of which an answer says that it is there.
func found(r *http.Request, res *http.Response) int64 {
	if r.Method == http.MethodHead && res.StatusCode == http.StatusOK && strings.Contains(r.URL.Path, "/blobs/") {
		return max(0, res.ContentLength)
	}
	return 0
}

type countedBody struct {
	io.ReadCloser
	count func(int64)
}

// Read counts.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count(int64(n))
	return n, err //nolint:wrapcheck // a reader
}
