package app_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hoopstat-haus/berth/internal/app"
)

// raw sends bytes as they are, and gives the status of what is answered; 0 where the connection is closed instead.
func (c *castle) raw(request string) (status int, header http.Header) {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.URL().Host)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(request)); err != nil {
		c.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil
	}
	res.Body.Close()
	return res.StatusCode, res.Header
}

// files lists what lies in a directory.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPathsLeadNowhere asks for odd paths, as the root principal, which nothing else would stop: nothing is read or written but
// what the registry means to, and nothing is the server's failure.
func TestPathsLeadNowhere(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	data, home := c.data, filepath.Dir(c.data)
	secret := filepath.Join(home, "secret")
	if err := os.WriteFile(secret, []byte("never to be read"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, layer := c.repository("team/app", "a layer")
	auth := "Authorization: " + basicToken(c.password(c.root)) + "\r\n"
	before := files(t, home)
	long := strings.Repeat("a", 300)
	var names []string
	for _, up := range []string{"..", "%2e%2e", "%2E%2E", ".", "%2e", "..%2f..", "..%5c..", `..\..`, "%252e%252e", "%c0%ae%c0%ae", "%00", "a%00", "..;", "~", "/", "%2F", "CON", long, strings.Repeat("a/", 200), "a%0d%0aX: y", "%ff", "a b", "*", "é"} {
		names = append(names, up, "team/app/"+up, up+"/team/app", "team/"+up+"/app")
	}
	for _, name := range names {
		name := strings.ReplaceAll(name, " ", "%20")
		for _, tt := range [][2]string{
			{"GET", "/v2/%s/manifests/v1"},
			{"GET", "/v2/%s/blobs/" + layer},
			{"HEAD", "/v2/%s/blobs/" + layer},
			{"GET", "/v2/%s/tags/list"},
			{"DELETE", "/v2/%s/manifests/v1"},
			{"POST", "/v2/%s/blobs/uploads/?digest=" + layer},
			{"POST", "/v2/team/app/blobs/uploads/?mount=" + layer + "&from=%s"},
			{"GET", "/v2/team/app/blobs/uploads/%s"},
			{"PATCH", "/v2/team/app/blobs/uploads/%s"},
			{"PUT", "/v2/team/app/blobs/uploads/%s?digest=" + layer},
			{"GET", "/v2/team/app/blobs/%s"},
			{"GET", "/v2/team/app/blobs/sha256:%s"},
			{"GET", "/v2/team/app/manifests/%s"},
			{"GET", "/v2/team/app/referrers/%s"},
			{"GET", "/v2/team/app/tags/list?last=%s"},
			{"GET", "/%s"},
			{"POST", "/%s"},
			{"GET", "/v2/_catalog?last=%s"},
		} {
			path := fmt.Sprintf(tt[1], name)
			status, header := c.raw(tt[0] + " " + path + " HTTP/1.1\r\nHost: " + c.URL().Host + "\r\nContent-Length: 0\r\nConnection: close\r\n" + auth + "\r\n")
			harmless := strings.Contains(path, "last=") || strings.Contains(path, "mount=") || strings.HasPrefix(path, "/v2/team/app/app") || strings.Count(path, "/") == 1
			if status >= 500 || status < 400 && !harmless {
				t.Errorf("%s %.200s: %d", tt[0], path, status)
			}
			if header.Get("X") != "" || header.Get("Location") != "" && !strings.HasPrefix(header.Get("Location"), "/v2/team/app/") {
				t.Errorf("%s %.200s: headers %v", tt[0], path, header)
			}
		}
	}
	after := files(t, home)
	for _, path := range after {
		if !slices.Contains(before, path) && !strings.HasPrefix(path, filepath.Join(data, "blobs")+"/") && !strings.HasPrefix(path, filepath.Join(data, "audit")+"/") && !strings.HasPrefix(filepath.Base(path), "berth.db") {
			t.Errorf("%s has come to be", path)
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "never to be read" {
		t.Errorf("the file beside the data directory: %q, %v", text, err)
	}
}

// TestFormsOfStrangers sends what anybody may send unsigned, AssumeRoleWithWebIdentity's form, in sizes and shapes that
// cost.
func TestFormsOfStrangers(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	form := "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=session&WebIdentityToken="
	zip := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return b.String()
	}
	for name, tt := range map[string]struct {
		body, encoding string
		status         int
	}{
		"a token of 1 MiB":          {form + strings.Repeat("a", 1<<20), "", http.StatusRequestEntityTooLarge},
		"a form of 64 KiB":          {form + strings.Repeat("a", 64<<10), "", http.StatusRequestEntityTooLarge},
		"a bomb":                    {zip(form + strings.Repeat("a", 32<<20)), "gzip", http.StatusRequestEntityTooLarge},
		"a bomb in a bomb":          {zip(zip(strings.Repeat("a", 32<<20))), "gzip", http.StatusBadRequest},
		"many parameters":           {form + "a" + strings.Repeat("&a=1", 15_000), "", http.StatusBadRequest},
		"many policies":             {form + "a.b.c" + manyMembers("&PolicyArns.member.%d.arn=a", 1500), "", http.StatusBadRequest},
		"members that skip numbers": {form + "a.b.c&PolicyArns.member.2000000000.arn=a", "", http.StatusBadRequest},
		"depth":                     {form + "a.b.c&" + strings.Repeat("a.", 20_000) + "=1", "", http.StatusBadRequest},
		"a policy of great depth":   {form + "a.b.c&Policy=" + strings.Repeat("[", 30_000), "", http.StatusBadRequest},
		"a token of parts":          {form + strings.Repeat(".", 19_000), "", http.StatusBadRequest},
		"nothing":                   {form, "", http.StatusBadRequest},
	} {
		headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
		if tt.encoding != "" {
			headers = append(headers, "Content-Encoding", tt.encoding)
		}
		if status, _, answer := c.signed(aws.Credentials{}, "sts", http.MethodPost, "/", tt.body, headers...); status != tt.status {
			t.Errorf("%s: %d %.300s, want %d", name, status, answer, tt.status)
		}
	}
	host := "Host: " + c.URL().Host + "\r\n"
	for name, request := range map[string]string{
		"a URL of 100 KiB":        "GET /?Action=AssumeRoleWithWebIdentity&a=" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\n" + host + "\r\n",
		"headers of 100 KiB":      "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n",
		"headers in great number": "GET / HTTP/1.1\r\n" + host + strings.Repeat("A: a\r\n", 20_000) + "\r\n",
		"two lengths":             "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"a length and chunks":     "POST /v2/ HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a length below zero":     "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n",
		"no host":                 "GET / HTTP/1.1\r\n\r\n",
		"a header across lines":   "GET / HTTP/1.1\r\n" + host + "A: b\r\n c: d\r\nX-Amz Target: x\r\n\r\n",
	} {
		if status, _ := c.raw(request); status != 0 && (status < 400 || status >= 500) {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func manyMembers(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i+1)
	}
	return b.String()
}

// TestHeadersOfEachFace looks at what answers say to browsers and caches, on each face.
func TestHeadersOfEachFace(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	_, layer := c.repository("team/app", "<script>a layer</script>")
	password := c.password(c.root)
	type asked = func() (int, http.Header, string)
	sam := c.user("sam", allowing("sts:*", "*"))
	role := c.role("job", allowing("*", "*"))
	credentials := map[string]asked{
		"GetAuthorizationToken": func() (int, http.Header, string) { return c.call(c.root, ecrTarget+"GetAuthorizationToken", "{}") },
		"CreateAccessKey":       func() (int, http.Header, string) { return c.form(c.root, "iam", "CreateAccessKey", "UserName", "sam") },
		"GetSessionToken":       func() (int, http.Header, string) { return c.form(sam, "sts", "GetSessionToken") },
		"AssumeRole": func() (int, http.Header, string) {
			return c.form(sam, "sts", "AssumeRole", "RoleArn", role, "RoleSessionName", "session")
		},
		"a link": func() (int, http.Header, string) {
			return c.call(c.root, ecrTarget+"GetDownloadUrlForLayer", `{"repositoryName":"team/app","layerDigest":"`+layer+`"}`)
		},
	}
	for name, ask := range credentials {
		status, header, answer := ask()
		if status != http.StatusOK || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s answers %d with Cache-Control %q: %.100s", name, status, header.Get("Cache-Control"), answer)
		}
	}
	all := map[string]asked{
		"a layer": func() (int, http.Header, string) {
			return c.docker(password, http.MethodGet, "/v2/team/app/blobs/"+layer, "")
		},
		"a manifest": func() (int, http.Header, string) {
			return c.docker(password, http.MethodGet, "/v2/team/app/manifests/v1", "")
		},
		"a challenge": func() (int, http.Header, string) { return c.docker("", http.MethodGet, "/v2/", "") },
		"health":      func() (int, http.Header, string) { return c.docker("", http.MethodGet, "/healthz", "") },
		"the root":    func() (int, http.Header, string) { return c.docker("", http.MethodGet, "/", "") },
		"nothing":     func() (int, http.Header, string) { return c.docker("", http.MethodGet, "/nothing", "") },
		"a refusal":   func() (int, http.Header, string) { return c.form(aws.Credentials{}, "iam", "ListUsers") },
	}
	for name, ask := range all {
		_, header, _ := ask()
		for key, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"} {
			if !strings.Contains(header.Get(key), want) {
				t.Errorf("%s has %s %q, want %q", name, key, header.Get(key), want)
			}
		}
		if got := header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("%s without TLS has Strict-Transport-Security %q", name, got)
		}
		if server := header.Get("Server") + header.Get("X-Powered-By"); server != "" {
			t.Errorf("%s tells of %s", name, server)
		}
	}
}

// memory is a log in memory.
type memory struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.Write(p)
}

func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.text.String()
}

// TestNoCredentialIsLogged uses every kind of credential, sound and broken, on a server that logs all it can, and looks for
// each in the log, and for the half of each, which is as much as a log that cuts would keep.
func TestNoCredentialIsLogged(t *testing.T) {
	t.Parallel()
	log := &memory{}
	all, file := issuers(t, "https://github.example.com")
	c := newCastleWith(t, withLogger(log), "config="+file, "log-level=debug")
	ctx := t.Context()
	_, layer := c.repository("team/app", "a layer")
	c.must(c.iam().CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
		Url: &all[0].url, ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: []string{strings.Repeat("a", 40)},
	}))
	c.must(c.iam().CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("ci"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/github.example.com"}}]}`)}))
	sam := c.user("sam", allowing("*", "*"))
	session := c.assume(sam, c.role("job", allowing("*", "*")))
	web := all[0].token(t, nil)
	secrets := map[string]string{
		"the root key": c.root.SecretAccessKey, "a user's key": sam.SecretAccessKey, "a session's secret": session.SecretAccessKey, "a session's token": session.SessionToken,
		"a user's password": c.password(sam), "a session's password": c.password(session), "a web identity token": web,
	}
	use := func(name string, key aws.Credentials) {
		c.call(key, ecrTarget+"DescribeRepositories", "{}")
		c.call(key, ecrTarget+"DescribeRepositories", "{")
		c.form(key, "iam", "ListUsers")
		c.form(key, "sts", "GetCallerIdentity", "Secret", key.SecretAccessKey, "Token", key.SessionToken)
		c.form(key, "sts", "NoSuchAction")
		key.SecretAccessKey += "x"
		c.call(key, ecrTarget+"DescribeRepositories", "{}")
		_ = name
	}
	use("root", c.root)
	use("sam", sam)
	use("session", session)
	for _, password := range []string{secrets["a user's password"], secrets["a session's password"], session.SessionToken, sam.SecretAccessKey, web} {
		for _, path := range []string{"/v2/", "/v2/team/app/blobs/" + layer, "/v2/team/app/manifests/none", "/v2/_catalog?n=x", "/v2/nothing", "/"} {
			c.docker(password, http.MethodGet, path, "")
			c.docker(password+"x", http.MethodGet, path, "")
			c.docker("", http.MethodGet, path+"?token="+url.QueryEscape(password), "")
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL().String()+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+password)
			c.send(req)
		}
	}
	for _, token := range []string{web, web + "x", web[:len(web)-40], all[0].token(t, map[string]any{"sub": "repo:mallory/app:pull_request"})} {
		secrets["a web identity token "+token[len(token)-8:]] = token
		members := []string{"RoleArn", "arn:aws:iam::123456789012:role/ci", "RoleSessionName", "session", "WebIdentityToken", token}
		_, _, answer := c.form(aws.Credentials{}, "sts", "AssumeRoleWithWebIdentity", members...)
		if _, rest, ok := strings.Cut(answer, "<SessionToken>"); ok {
			secrets["a session's token for a web identity"], _, _ = strings.Cut(rest, "<")
		}
		get := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {members[1]}, "RoleSessionName": {"session"}, "WebIdentityToken": {token}}
		c.docker("", http.MethodGet, "/?"+get.Encode(), "")
	}
	link, _, _ := func() (string, int, error) {
		_, _, answer := c.call(sam, ecrTarget+"GetDownloadUrlForLayer", `{"repositoryName":"team/app","layerDigest":"`+layer+`"}`)
		_, rest, _ := strings.Cut(answer, "X-Berth-Signature=")
		signature, _, _ := strings.Cut(rest, `"`)
		signature, _, _ = strings.Cut(signature, `\u0026`)
		return signature, 0, nil
	}()
	secrets["a link's signature"] = link
	for _, signature := range []string{link, link + "x"} {
		c.docker("", http.MethodGet, "/v2/team/app/blobs/"+layer+"?X-Berth-Expires=1&X-Berth-Signature="+signature, "")
	}
	presigned, err := sts.NewPresignClient(c.stsAs(sam)).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(presigned.URL)
	if err != nil {
		t.Fatal(err)
	}
	secrets["a pre-signed URL's signature"] = at.Query().Get("X-Amz-Signature")
	c.docker("", http.MethodGet, "/?"+at.RawQuery, "")
	made, err := c.iam().CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("sam")})
	if err != nil {
		t.Fatal(err)
	}
	secrets["a new key"] = *made.AccessKey.SecretAccessKey
	c.docker("", http.MethodGet, "/healthz", "")
	c.time.add(13 * time.Hour) // and all of it once more when it has expired
	use("session", session)
	c.docker(secrets["a session's password"], http.MethodGet, "/v2/", "")
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}

	text := log.String()
	if !strings.Contains(text, "level=DEBUG") || strings.Count(text, "msg=request") < 50 {
		t.Fatalf("the log has %d bytes and not what was done", len(text))
	}
	for name, secret := range secrets {
		if len(secret) < 16 {
			t.Fatalf("%s is %q", name, secret)
		}
		for _, form := range []string{
			secret[len(secret)/2:], url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte("AWS:" + secret)), secret[:len(secret)/2],
		} {
			// A token's first part, its header, is no secret.
			if strings.HasPrefix(name, "a web identity token") && strings.HasPrefix(secret, form) {
				continue
			}
			if i := strings.Index(text, form); i >= 0 {
				line := text[strings.LastIndex(text[:i], "\n")+1 : i]
				t.Errorf("%s stands in the log after %s", name, line)
			}
		}
	}
}

func withLogger(log *memory) (d app.Deps) {
	d = deps()
	d.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return d
}
