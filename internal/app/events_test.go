package app_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

const hookKey = "0123456789abcdef0123456789abcdef"

// hook is a receiver of webhooks that keeps what it got.
type hook struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string][]string // guarded by mu: bodies, by path
	bad []string            // guarded by mu: what was not signed as it should be
	new chan struct{}
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{got: map[string][]string{}, new: make(chan struct{}, 1000)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(hookKey))
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			h.bad = append(h.bad, r.URL.Path)
		}
		h.got[r.URL.Path+" "+r.Header.Get("Content-Type")] = append(h.got[r.URL.Path+" "+r.Header.Get("Content-Type")], string(body))
		h.new <- struct{}{}
	}))
	t.Cleanup(h.Close)
	return h
}

// await waits until a path has got something with all of some texts in it, and gives that.
func (h *hook) await(t *testing.T, path string, texts ...string) string {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		h.mu.Lock()
		for _, body := range h.got[path] {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(body, text)
			}
			if all {
				h.mu.Unlock()
				return body
			}
		}
		h.mu.Unlock()
		select {
		case <-h.new:
		case <-late:
			t.Fatalf("%s got nothing with %q: %v", path, texts, h.got)
		}
	}
}

// TestEventsReachReceivers pushes to a whole server, and looks at what webhooks of every format get.
func TestEventsReachReceivers(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(hookKey))
	file := filepath.Join(t.TempDir(), "berth.yaml")
	text := fmt.Sprintf(`targets:
  ops: {webhook: "%[1]s/ops", secret: %[2]s, allow-private: true}
events:
  - {target: ops}
  - {name: flux, url: "%[1]s/flux", secret: %[2]s, allow-private: true, kinds: [image.pushed, image.deleted], repositories: ["team/*"], format: eventbridge, batch: 10}
  - {name: old, url: "%[1]s/old", secret: %[2]s, allow-private: true, format: distribution}
  - {name: inside, url: "https://localhost/x", secret: %[2]s}
`, h.URL, secret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCastle(t, "config="+file)
	digest, _ := c.repository("team/app", "a layer")
	c.repository("other", "a layer")

	var cloud struct {
		SpecVersion, ID, Source, Type, Subject, Sequence string
		Data                                             map[string]any
	}
	body := h.await(t, "/ops application/cloudevents+json; charset=utf-8", "image.pushed", "team/app")
	if err := json.Unmarshal([]byte(body), &cloud); err != nil {
		t.Fatal(err)
	}
	if cloud.SpecVersion != "1.0" || cloud.ID == "" || cloud.Source != c.URL().String() || cloud.Type != "io.github.hoopstat-haus.berth.image.pushed" ||
		cloud.Subject != "team/app@"+digest || cloud.Data["detail-type"] != "ECR Image Action" || cloud.Data["source"] != "aws.ecr" {
		t.Errorf("the cloud event is %s", body)
	}
	h.await(t, "/ops application/cloudevents+json; charset=utf-8", "Berth Repository Action", "CREATE", "team/app")
	body = h.await(t, "/flux application/json", `"action-type":"PUSH"`, `"resources":[]`, digest)
	if !strings.HasPrefix(body, "[") || strings.Contains(body, `"other"`) {
		t.Errorf("flux got %s", body)
	}
	h.await(t, "/old application/vnd.docker.distribution.events.v1+json", `"events":[{`, `"action":"push"`, `"tag":"v1"`, `"repository":"other"`)
	status, _, answer := c.signed(c.root, "ecr", http.MethodGet, "/events/receivers", "")
	for deadline := time.Now().Add(30 * time.Second); status == http.StatusOK && !strings.Contains(answer, "not a public address") && time.Now().Before(deadline); {
		status, _, answer = c.signed(c.root, "ecr", http.MethodGet, "/events/receivers", "")
	}
	if status != http.StatusOK || !strings.Contains(answer, "not a public address (allow-private: true allows it)") || !strings.Contains(answer, `"name":"flux"`) {
		t.Errorf("the receivers: %d %s", status, answer)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.bad) > 0 {
		t.Errorf("not signed: %v", h.bad)
	}
}

type eventsPage struct {
	Events []struct {
		Type, Subject string
	}
	Next, Oldest, Newest int64
}

// read asks for events, and waits until there are some.
func (c *castle) read(password, query string) (int, eventsPage) {
	c.t.Helper()
	status, _, answer := c.docker(password, http.MethodGet, "/events?"+query, "")
	var page eventsPage
	if status == http.StatusOK {
		if err := json.Unmarshal([]byte(answer), &page); err != nil {
			c.t.Fatalf("%s: %v", answer, err)
		}
	}
	return status, page
}

func TestEventsAreReadByThoseWhoMay(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	c.repository("team/app", "a layer")
	root := c.password(c.root)
	seen := 0
	for cursor := int64(0); seen < 2; { // repository.created, image.pushed
		status, page := c.read(root, fmt.Sprintf("after=%d&wait=20s", cursor))
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		seen += len(page.Events)
		cursor = page.Next
	}
	token := `{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"}`
	policy := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(append(statements, token), ",") + `]}`
	}
	const reads = `{"Effect":"Allow","Action":"berth:ReadEvents","Resource":"*"}`
	const images = `{"Effect":"Allow","Action":"ecr:DescribeImages","Resource":"arn:aws:ecr:us-east-1:123456789012:repository/%s"}`
	for name, test := range map[string]struct {
		policy, query string
		status, want  int
	}{
		"nothing":             {policy(), "", http.StatusForbidden, 0},
		"images-only":         {policy(fmt.Sprintf(images, "team/*")), "", http.StatusForbidden, 0},
		"events-only":         {policy(reads), "", http.StatusOK, 0},
		"events-of-others":    {policy(reads, fmt.Sprintf(images, "other/*")), "", http.StatusOK, 0},
		"events":              {policy(reads, fmt.Sprintf(images, "team/*")), "", http.StatusOK, 2},
		"pushes":              {policy(reads, fmt.Sprintf(images, "team/*")), "kind=image.pushed&repository=team/app", http.StatusOK, 1},
		"one-repository":      {policy(strings.Replace(reads, `"*"`, `"arn:aws:ecr:us-east-1:123456789012:repository/team/app"`, 1), fmt.Sprintf(images, "team/*")), "repository=team/app", http.StatusOK, 2},
		"not-the-whole":       {policy(strings.Replace(reads, `"*"`, `"arn:aws:ecr:us-east-1:123456789012:repository/team/app"`, 1), fmt.Sprintf(images, "team/*")), "", http.StatusForbidden, 0},
		"from-the-end":        {policy(reads, fmt.Sprintf(images, "team/*")), "after=-1", http.StatusOK, 1},
		"misspelled":          {policy(reads), "repositories=team/app", http.StatusBadRequest, 0},
		"no-kind":             {policy(reads), "kind=image.eaten", http.StatusBadRequest, 0},
		"no-number":           {policy(reads), "after=x", http.StatusBadRequest, 0},
		"too-many":            {policy(reads), "limit=1001", http.StatusBadRequest, 0},
		"a-cursor-ahead":      {policy(reads), "after=1000", http.StatusGone, 0},
		"two-cursors":         {policy(reads), "after=1&after=2", http.StatusBadRequest, 0},
		"no-such-repository":  {policy(reads), "repository=../x", http.StatusBadRequest, 0},
		"a-negative-patience": {policy(reads), "wait=-3s", http.StatusBadRequest, 0},
	} {
		status, page := c.read(c.password(c.user(name, test.policy)), test.query)
		if status != test.status || len(page.Events) != test.want {
			t.Errorf("%s: status %d with %d events, want %d with %d", name, status, len(page.Events), test.status, test.want)
		}
	}
	reader := c.password(c.user("reader", policy(reads, fmt.Sprintf(images, "team/*"))))
	name := "team/app"
	c.must(c.ecrAs(c.root).DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true}))
	if status, page := c.read(reader, "wait=20s&kind=repository.deleted"); status != http.StatusOK || len(page.Events) != 1 {
		t.Errorf("after the repository went: %d, %+v", status, page)
	}
	if status, header, _ := c.docker("", http.MethodGet, "/events", ""); status != http.StatusUnauthorized || !strings.HasPrefix(header.Get("Www-Authenticate"), "Basic ") {
		t.Errorf("a stranger: %d %v", status, header)
	}
	if status, _, answer := c.signed(c.root, "ecr", http.MethodGet, "/events?after=0&limit=1", ""); status != http.StatusOK || !strings.Contains(answer, `"next":1`) {
		t.Errorf("signed: %d %s", status, answer)
	}
	status, _, _ := c.signed(c.user("curious", policy(reads)), "ecr", http.MethodGet, "/events/receivers", "")
	if status != http.StatusForbidden {
		t.Errorf("receivers for somebody who may read events: %d", status)
	}
}

// TestAStreamGoesOn follows as a browser would, comes back with the last id, and is ended by the server's stop.
func TestAStreamGoesOn(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	password := c.password(c.root)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	open := func(last string) (*bufio.Scanner, io.Closer) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL().String()+"/events?kind=image.pushed,repository.created", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("AWS", password)
		req.Header.Set("Accept", "text/event-stream")
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		res, err := c.client.Do(req)
		if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("the stream: %+v, %v", res, err)
		}
		return bufio.NewScanner(res.Body), res.Body
	}
	next := func(s *bufio.Scanner) (id, kind string) {
		for s.Scan() {
			name, value, _ := strings.Cut(s.Text(), ": ")
			switch {
			case name == "id":
				id = value
			case name == "event":
				kind = value
			case s.Text() == "" && kind != "":
				return id, kind
			}
		}
		return "", ""
	}
	stream, body := open("")
	c.repository("team/app", "a layer")
	id, kind := next(stream)
	if id != "1" || kind != "repository.created" {
		t.Errorf("first comes %s, %s", id, kind)
	}
	_ = body.Close()
	stream, body = open(id)
	defer body.Close()
	if id, kind := next(stream); id != "2" || kind != "image.pushed" {
		t.Errorf("then comes %s, %s", id, kind)
	}
	stopped := time.Now()
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	if id, _ := next(stream); id != "" || time.Since(stopped) > 10*time.Second {
		t.Errorf("the stream ended %v after the stop, with %s", time.Since(stopped), id)
	}
}
