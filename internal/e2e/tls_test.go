package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// authority is a certificate authority that nobody but a test trusts.
type authority struct {
	t    *testing.T
	dir  string
	file string // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.file = filepath.Join(a.dir, "ca.pem")
	a.key = newKey(t)
	der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate; the authority's own it signs itself.
func (a *authority) sign(template *x509.Certificate, of *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	// As renewals do it: a new file takes the place of the old one.
	fresh := path + ".new"
	if err := os.WriteFile(fresh, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		a.t.Fatal(err)
	}
}

// issue puts a new certificate for loopback and its key where the server's flags point.
func (a *authority) issue(serial int64) (cert, key string) {
	a.t.Helper()
	cert, key = filepath.Join(a.dir, "server.pem"), filepath.Join(a.dir, "server.key")
	k := newKey(a.t)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(key, "PRIVATE KEY", raw)
	a.write(cert, "CERTIFICATE", a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "registry of a test"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, k))
	return cert, key
}

// transport trusts the authority, and notes by which versions of HTTP it was answered.
type transport struct {
	*http.Transport

	mu     sync.Mutex
	majors map[int]int
}

func (a *authority) transport() *transport {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	tr := &transport{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true},
		majors:    map[int]int{},
	}
	a.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := tr.Transport.RoundTrip(r)
	if err == nil {
		tr.mu.Lock()
		tr.majors[resp.ProtoMajor]++
		tr.mu.Unlock()
	}
	return resp, err
}

// onlyHTTP2 fails the test unless there were answers, all of them over HTTP/2.
func (tr *transport) onlyHTTP2(t *testing.T) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.majors[2] == 0 || len(tr.majors) != 1 {
		t.Errorf("answers by the version of HTTP: %v, want all over 2", tr.majors)
	}
}

// secure is a server behind TLS, with what its clients need.
type secure struct {
	*berthproc.Server
	authority *authority
	sdk       *ecr.Client
	password  string
}

func startSecure(t *testing.T) *secure {
	t.Helper()
	a := newAuthority(t)
	cert, key := a.issue(100)
	s := &secure{Server: berthproc.New(t, berthproc.Config{Args: []string{"--tls-cert", cert, "--tls-key", key}}), authority: a}
	s.URL = "https://" + s.Host
	s.Launch()
	tr := a.transport()
	client := &http.Client{Transport: tr, Timeout: 5 * time.Second}
	for deadline := time.Now().Add(time.Minute); ; {
		resp, err := client.Get(s.URL + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready: %v\n%s", err, s.Log())
		}
		<-time.After(20 * time.Millisecond)
	}
	s.sdk = s.ECR(func(o *ecr.Options) { o.HTTPClient = &http.Client{Transport: tr} })
	for _, repo := range []string{"tls/crane", "tls/oras", "tls/go"} {
		if _, err := s.sdk.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &repo}); err != nil {
			t.Fatalf("CreateRepository(%s): %v", repo, err)
		}
	}
	out, err := s.sdk.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	data := ok(t, out, err).AuthorizationData[0]
	if got := aws.ToString(data.ProxyEndpoint); got != s.URL {
		t.Errorf("GetAuthorizationToken says that the registry is %s, want %s", got, s.URL)
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	_, s.password, _ = strings.Cut(string(ok(t, raw, err)), ":")
	tr.onlyHTTP2(t)
	return s
}

// shell is an environment whose programs trust the authority, and are logged in. Those in Go say on standard
// error what they do over HTTP/2.
func (s *secure) shell(t *testing.T) *shell {
	t.Helper()
	sh := &shell{t: t, dir: t.TempDir(), env: berthproc.CleanEnvironment(t)}
	for k, v := range s.Exports() {
		sh.env = append(sh.env, k+"="+v)
	}
	login := base64.StdEncoding.EncodeToString([]byte("AWS:" + s.password))
	logins, err := json.Marshal(map[string]any{"auths": map[string]any{s.Host: map[string]string{"auth": login}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sh.dir, "config.json"), logins, 0o600); err != nil {
		t.Fatal(err)
	}
	sh.env = append(sh.env, "DOCKER_CONFIG="+sh.dir, "SSL_CERT_FILE="+s.authority.file, "AWS_CA_BUNDLE="+s.authority.file,
		"AWS_PAGER=", "GODEBUG=http2debug=1")
	return sh
}

// overHTTP2 is shell.run for a program in Go that must have spoken HTTP/2.
func (sh *shell) overHTTP2(program string, args ...string) string {
	sh.t.Helper()
	out, errs, err := sh.try("", program, args...)
	if err != nil {
		sh.t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, errs)
	}
	if !strings.Contains(errs, "http2: Transport") {
		sh.t.Errorf("%s %s spoke no HTTP/2: %q", program, strings.Join(args, " "), errs)
	}
	return out
}

// TestTLS has clients that trust the server's certificate push and pull, which all do over HTTP/2.
func TestTLS(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	s := startSecure(t)
	t.Run("crane", func(t *testing.T) {
		t.Parallel()
		berthproc.Tool(t, "crane")
		s.crane(t)
	})
	t.Run("oras", func(t *testing.T) {
		t.Parallel()
		berthproc.Tool(t, "oras")
		s.oras(t)
	})
	t.Run("go-containerregistry", func(t *testing.T) {
		t.Parallel()
		s.library(t)
	})
	t.Run("strangers", func(t *testing.T) {
		t.Parallel()
		if resp, err := new(http.Client).Get(s.URL + "/readyz"); err == nil {
			resp.Body.Close()
			t.Error("a client that does not know the authority trusts the server")
		}
		resp, err := new(http.Client).Get("http://" + s.Host + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP is answered %s, want 400", resp.Status)
		}
	})
}

func (s *secure) crane(t *testing.T) {
	sh, f := s.shell(t), newFixtures(t)
	repo := s.Host + "/tls/crane"
	sh.overHTTP2("crane", "push", f.tar, repo+":v1")
	sh.overHTTP2("crane", "push", f.index, repo+":platforms", "--index")
	sh.overHTTP2("crane", "validate", "--remote", repo+":platforms")
	sh.overHTTP2("crane", "pull", repo+":v1", filepath.Join(sh.dir, "back.tar"))
	sh.run("crane", "validate", "--tarball", filepath.Join(sh.dir, "back.tar"))

	berthproc.Tool(t, "aws")
	out := sh.run("aws", "ecr", "describe-images", "--repository-name", "tls/crane", "--output", "text",
		"--query", "length(imageDetails[?imageTags])")
	if out != "2" {
		t.Errorf("aws ecr describe-images found %s tagged images, want 2", out)
	}
}

func (s *secure) oras(t *testing.T) {
	sh := s.shell(t)
	ref := s.Host + "/tls/oras:v1"
	content := noise(3, 3<<20)
	if err := os.WriteFile(filepath.Join(sh.dir, "notes.bin"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--ca-file", s.authority.file}
	sh.overHTTP2("oras", append([]string{"push", ref, "notes.bin:application/octet-stream"}, flags...)...)
	sh.overHTTP2("oras", append([]string{"pull", ref, "--output", "out"}, flags...)...)
	back, err := os.ReadFile(filepath.Join(sh.dir, "out", "notes.bin"))
	if err != nil || string(back) != string(content) {
		t.Errorf("oras pull gave %d bytes (%v), want the %d that were pushed", len(back), err, len(content))
	}
}

// library pushes with Google's library, renews the server's certificate, and pulls.
func (s *secure) library(t *testing.T) {
	img, err := random.Image(8<<20, 3)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(s.Host + "/tls/go:v1")
	if err != nil {
		t.Fatal(err)
	}
	tr := s.authority.transport()
	options := []remote.Option{
		remote.WithContext(t.Context()), remote.WithTransport(tr),
		remote.WithAuth(&authn.Basic{Username: "AWS", Password: s.password}),
	}
	if err := remote.Write(tag, img, options...); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	if got := s.serial(t, tr); got != 100 {
		t.Errorf("the certificate has serial %d, want 100", got)
	}
	s.authority.issue(200)
	if got := s.serial(t, tr); got != 200 {
		t.Errorf("after the renewal the certificate has serial %d, want 200", got)
	}
	// Over the connection from before, and over a new one.
	for _, tr := range []*transport{tr, s.authority.transport()} {
		back, err := remote.Image(tag, append(options, remote.WithTransport(tr))...)
		if err != nil {
			t.Fatalf("pulling: %v", err)
		}
		if err := validate.Image(back); err != nil {
			t.Errorf("what was pulled is not whole: %v", err)
		}
		tr.onlyHTTP2(t)
	}
}

// serial is that of the certificate which a new connection is shown.
func (s *secure) serial(t *testing.T, tr *transport) int64 {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: tr.TLSClientConfig.RootCAs}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.Host)
	if err != nil {
		t.Fatalf("dialling: %v", err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}
