package enginetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TLS is an engine that listens on the loopback interface too, and takes only those there whose certificate is of its authority.
type TLS struct {
	*Engine        // by its socket
	Address string // as DOCKER_HOST says it
	// Ours is a directory as DOCKER_CERT_PATH names it, of who may ask the engine. Stranger has a certificate of another authority, and trusts
	// the engine's; Impostor may ask, and trusts the other authority alone.
	Ours, Stranger, Impostor string
}

// NewTLS starts one for the length of the test, and skips the test where it cannot be.
func NewTLS(t testing.TB) *TLS {
	t.Helper()
	berthproc.Gate(t)
	daemon, err := exec.LookPath("dockerd")
	if err != nil {
		berthproc.Missing(t, "dockerd is not on PATH")
	}
	if os.Getuid() != 0 {
		berthproc.Missing(t, "only root can start dockerd")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ours, others := newAuthority(t), newAuthority(t)
	ours.server(t, file("server"))
	e := &TLS{
		Address: "tcp://127.0.0.1:" + strconv.Itoa(berthproc.FreePort(t)),
		Ours:    ours.client(t, file("ours"), ours), Stranger: others.client(t, file("stranger"), ours), Impostor: ours.client(t, file("impostor"), others),
	}
	var problems []error
	for _, driver := range []string{"overlay2", "vfs"} {
		engine, stop, err := startDaemon(daemon, driver, "--host", e.Address, "--tlsverify",
			"--tlscacert", file("server/ca.pem"), "--tlscert", file("server/cert.pem"), "--tlskey", file("server/key.pem"))
		if err == nil {
			t.Cleanup(stop)
			e.Engine = engine
			return e
		}
		problems = append(problems, err)
	}
	berthproc.Missing(t, "dockerd does not start: %v", problems)
	return nil
}

// authority makes certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

// The days of certificates, around those of any test.
const day = 24 * time.Hour

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of a test"}, NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	text, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, certificate}
}

func (a *authority) server(t testing.TB, dir string) {
	t.Helper()
	a.issue(t, dir, a, &x509.Certificate{Subject: pkix.Name{CommonName: "engine"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

// client makes a directory of who trusts an authority.
func (a *authority) client(t testing.TB, dir string, trusts *authority) string {
	t.Helper()
	a.issue(t, dir, trusts, &x509.Certificate{Subject: pkix.Name{CommonName: "deployer"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return dir
}

func (a *authority) issue(t testing.TB, dir string, trusts *authority, of *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of.SerialNumber, of.NotBefore, of.NotAfter, of.KeyUsage = big.NewInt(2), time.Now().Add(-day), time.Now().Add(day), x509.KeyUsageDigitalSignature
	certificate, err := x509.CreateCertificate(rand.Reader, of, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: trusts.certificate.Raw}, "cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
