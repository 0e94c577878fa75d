package ociclient

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// Trust makes the client take a certificate for an authority's.
func (c *Client) Trust(certificate *x509.Certificate) {
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
}
