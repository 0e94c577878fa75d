// Command app is what the images of targettest run: it answers each request with its behaviour, as healthy or not.
//
// It listens at PORT, and, if there is a directory /sockets, at a socket there that has the container's name.
package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	behaviour := os.Getenv("BEHAVIOUR")
	if len(os.Args) > 1 && os.Args[1] == "healthcheck" {
		if behaviour == "sick" {
			_, _ = io.WriteString(os.Stderr, "it coughs\n")
			os.Exit(1)
		}
		return
	}
	if behaviour == "ending" {
		_, _ = io.WriteString(os.Stderr, "starting\nno database\n")
		os.Exit(3)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if behaviour == "sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, behaviour)
	})}
	failed := make(chan error, 2)
	serve := func(network, address string) {
		l, err := net.Listen(network, address)
		if err == nil {
			err = server.Serve(l)
		}
		failed <- err
	}
	go serve("tcp", ":"+port)
	if name, err := os.Hostname(); err == nil {
		if _, err := os.Stat("/sockets"); err == nil {
			path := filepath.Join("/sockets", name)
			_ = os.Remove(path) // of this container's last run
			go serve("unix", path)
		}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	select {
	case <-stop:
	case err := <-failed:
		_, _ = io.WriteString(os.Stderr, err.Error()+"\n")
		os.Exit(1)
	}
}
