package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// moto runs moto's server until the script ends.
func moto(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: moto")
	}
	cmd := exec.Command("moto_server", "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "MOTO_ACCOUNT_ID=123456789012", "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	out, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	found := make(chan string, 1)
	go func() {
		defer close(found)
		address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url := address.FindString(lines.Text()); url != "" && len(found) == 0 {
				found <- url
			}
		}
	}()
	select {
	case url, ok := <-found:
		if !ok {
			ts.Fatalf("moto_server ended before it listened")
		}
		ts.Setenv("AWS_ENDPOINT_URL", url)
	case <-time.After(time.Minute):
		ts.Fatalf("moto_server does not listen after a minute")
	}
	ts.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	ts.Setenv("AWS_REGION", "us-east-1")
}

// answers runs a server that speaks the query protocol with answers from files, until the script ends.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: answers DIR")
	}
	dir := ts.MkAbs(args[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		asked := ""
		for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
			asked += name + "=" + r.PostForm.Get(name) + "\n"
		}
		action := filepath.Base(r.PostForm.Get("Action"))
		text, err := os.ReadFile(filepath.Join(dir, action+".xml"))
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "asked."+action), []byte(asked), 0o600)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		if bytes.Contains(text, []byte("<ErrorResponse")) {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write(text)
	}))
	ts.Defer(server.Close)
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
	ts.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	ts.Setenv("AWS_REGION", "eu-west-1")
}

// proxy runs a proxy that refuses all, until the script ends.
func proxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: proxy FILE")
	}
	file := ts.MkAbs(args[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(file, []byte(r.Method+" "+r.Host+"\n"), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Error(w, "this proxy leads nowhere", http.StatusForbidden)
	}))
	ts.Defer(server.Close)
	ts.Setenv("HTTPS_PROXY", server.URL)
}

// jsonAnswers runs a server that speaks the AWS JSON protocol with answers from files, until the script ends.
func jsonAnswers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jsonanswers DIR")
	}
	dir := ts.MkAbs(args[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ImageID struct {
				ImageDigest, ImageTag string
			} `json:"imageId"`
			ImageIDs []struct {
				ImageDigest, ImageTag string
			} `json:"imageIds"`
			NextToken string
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		about := append(in.ImageIDs, in.ImageID)[0]
		_, hex, _ := strings.Cut(about.ImageDigest, ":")
		text := []byte(`{"__type":"UnknownOperationException","message":"what is ` + operation + `?"}`)
		of := about.ImageTag + hex[:min(4, len(hex))]
		for _, name := range []string{operation + "." + of + in.NextToken, operation + in.NextToken} {
			if t, err := os.ReadFile(filepath.Join(dir, filepath.Base(name)+".json")); err == nil {
				text = t
				break
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if bytes.Contains(text, []byte(`"__type"`)) {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write(text)
	}))
	ts.Defer(server.Close)
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
	ts.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	ts.Setenv("AWS_REGION", "eu-west-1")
}
