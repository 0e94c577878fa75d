package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/app"
)

// writeCertificate puts a new self-signed certificate for localhost and its key in the directory.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: raw},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		// A time of its own, however coarse the file system's clock is.
		at := time.Now().Add(time.Duration(serial) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	r := start(t, settings(t, t.TempDir(), "listen=localhost:0", "tls-cert="+dir+"/cert.pem", "tls-key="+dir+"/key.pem"), deps())
	if r.URL().Scheme != "https" {
		t.Errorf("URL is %s, want https", r.URL())
	}
	serial := func() int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", r.URL().Host, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatalf("dialling: %v", err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("the certificate has serial %d, want 1", got)
	}
	writeCertificate(t, dir, 2)
	if got := serial(); got != 2 {
		t.Errorf("after the renewal the certificate has serial %d, want 2", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half a ren"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("in the middle of a renewal the certificate has serial %d, want the old one, 2", got)
	}
	if conn, err := tls.Dial("tcp", r.URL().Host, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		conn.Close()
		t.Error("the server speaks TLS 1.1")
	}
}

func TestMissingCertificate(t *testing.T) {
	t.Parallel()
	data, nowhere := t.TempDir(), t.TempDir()
	if _, err := app.New(t.Context(), settings(t, data, "tls-cert="+nowhere+"/c", "tls-key="+nowhere+"/k"), deps()); err == nil {
		t.Fatal("New without a certificate works")
	}
	start(t, settings(t, data), deps()) // the failed one gave everything up
}

// TestProtocols reaches the server by each of HTTP's versions.
func TestProtocols(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	plain := start(t, settings(t, t.TempDir()), deps())
	secure := start(t, settings(t, t.TempDir(), "tls-cert="+dir+"/cert.pem", "tls-key="+dir+"/key.pem"), deps())
	for _, test := range []struct {
		url   string
		set   func(*http.Protocols)
		major int
	}{
		{plain.URL().String(), func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{plain.URL().String(), func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, 2},
		{secure.URL().String(), func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{secure.URL().String(), func(p *http.Protocols) { p.SetHTTP2(true) }, 2},
	} {
		transport := &http.Transport{
			Protocols:       new(http.Protocols),
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		}
		test.set(transport.Protocols)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || res.ProtoMajor != test.major {
			t.Errorf("%s answers %s over %s, want 200 over HTTP/%d", test.url, res.Status, res.Proto, test.major)
		}
		transport.CloseIdleConnections()
	}
}
