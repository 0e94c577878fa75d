package contestant

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

// ServeFile serves one file at every path until the context ends. It runs in a process of its own, which
// [FileServer] starts.
func ServeFile(ctx context.Context, file, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(file)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			defer f.Close()
			w.Header().Set("Content-Type", "application/octet-stream") // or it reads the beginning to guess
			http.ServeContent(w, r, "", time.Time{}, f)
		}),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
