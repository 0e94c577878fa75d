package berthproc

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// secretLooks is what secrets of any kind look like: our tokens and sessions, signatures, tokens of OIDC providers,
// credentials in headers, private keys.
var secretLooks = regexp.MustCompile(`berths?_[A-Za-z0-9_-]{24,}` +
	`|Signature=[0-9A-Za-z_-]{32,}` +
	`|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*` +
	`|(?i:authorization["':= [\]]+(basic|bearer|aws4))` +
	`|PRIVATE KEY-----`)

// leaks reads a server's whole log as it is written, and finds secrets in it.
type leaks struct {
	mu      sync.Mutex
	partial []byte   // a line whose end has not come
	known   []string // secrets of this server
	found   []string // lines with one, the secret taken out
}

// maxFound bounds what is kept of a log that is full of secrets.
const maxFound = 5

// Write implements io.Writer.
func (l *leaks) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		end := bytes.IndexByte(l.partial, '\n')
		if end < 0 {
			return len(p), nil
		}
		l.look(string(l.partial[:end]))
		l.partial = l.partial[end+1:]
	}
}

// know adds a secret.
func (l *leaks) know(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(secret) >= 16 {
		l.known = append(l.known, secret)
	}
}

func (l *leaks) look(line string) {
	clean := secretLooks.ReplaceAllString(line, "<SECRET>")
	for _, s := range l.known {
		clean = strings.ReplaceAll(clean, s, "<SECRET>")
	}
	if clean != line && len(l.found) < maxFound {
		l.found = append(l.found, clean)
	}
}

// Secret tells the server's keeper of a secret that must not turn up in its log. Those of the root key, of every kind of
// token, and of signatures it knows by itself.
func (s *Server) Secret(secret string) { s.leaks.know(secret) }

// checkLeaks fails the test when a secret stood in the log of any of its servers: every end-to-end test is one that no
// secret is logged.
func (s *Server) checkLeaks() {
	s.t.Helper()
	if key, err := os.ReadFile(filepath.Join(s.Data, "master.key")); err == nil {
		for word := range strings.FieldsSeq(string(key)) {
			s.leaks.know(word)
		}
	}
	s.leaks.mu.Lock()
	defer s.leaks.mu.Unlock()
	// What was written before a secret was known is still there, as far as the tail goes.
	for line := range strings.Lines(s.log.String()) {
		s.leaks.look(line)
	}
	for _, line := range s.leaks.found {
		s.t.Errorf("a secret stands in the log of berth serve: %s", line)
	}
}
