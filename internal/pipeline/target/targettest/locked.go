package targettest

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// locked is a notebook for several goroutines at once.
type locked struct {
	mu sync.Mutex
	to *notebook
}

func (l *locked) Event(e progress.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to.Event(e)
}

// secret looks that neither what was said nor the error has the secret of the login in it.
func (l *locked) secret(t testing.TB, to deploy.Image, err error) {
	t.Helper()
	if to.Login == nil {
		return
	}
	_, secret, failed := to.Login(context.WithoutCancel(t.Context()))
	if failed != nil || secret == "" {
		return
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the error has the login's secret in it: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.to.events {
		if strings.Contains(e.Text, secret) {
			t.Errorf("the login's secret is told: %s", e.Text)
		}
	}
}
