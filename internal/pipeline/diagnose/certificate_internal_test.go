package diagnose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// issued is a certificate and its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue signs a certificate from a day before noon until then; by itself if nobody is given.
func issue(t *testing.T, by *issued, until time.Time, change func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: noon.Add(-24 * time.Hour), NotAfter: until,
		Subject: pkix.Name{CommonName: "someone"}, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

func authority(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.KeyUsage = name, true, x509.KeyUsageCertSign
	}
}

func serverFor(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.CommonName = "server"
		for _, name := range names {
			if ip := net.ParseIP(name); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, name)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	year := noon.AddDate(1, 0, 0)
	root := issue(t, nil, year, authority("our authority"))
	middle := issue(t, root, year, authority("between"))
	short := issue(t, root, noon.Add(time.Hour), authority("soon over"))
	over := issue(t, root, noon.Add(-time.Hour), authority("over"))
	leaf := issue(t, middle, year, serverFor("registry.example.com", "192.0.2.1", "2001:db8::1"))
	alone := issue(t, nil, year, serverFor("registry.example.com"))
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	chain := func(all ...*issued) (certs []*x509.Certificate) {
		for _, one := range all {
			certs = append(certs, one.cert)
		}
		return certs
	}
	for name, tt := range map[string]struct {
		chain []*x509.Certificate
		host  string
		roots *x509.CertPool
		now   time.Time
		kind  kind509
		says  string
		until time.Time
	}{
		"good":                       {chain(leaf, middle), "registry.example.com", roots, noon, good, "", year},
		"good by address":            {chain(leaf, middle), "192.0.2.1", roots, noon, good, "", year},
		"good by IPv6 address":       {chain(leaf, middle), "2001:db8::1", roots, noon, good, "", year},
		"ends with its chain":        {chain(issue(t, short, year, serverFor("a.example.com")), short), "a.example.com", roots, noon, good, "", noon.Add(time.Hour)},
		"nothing":                    {nil, "a.example.com", roots, noon, unusable, "presents no certificate", time.Time{}},
		"ended":                      {chain(leaf, middle), "registry.example.com", roots, year.Add(time.Hour), untimely, "has ended, at 2027-11-26T12:00:00Z", time.Time{}},
		"not begun":                  {chain(leaf, middle), "registry.example.com", roots, noon.AddDate(0, 0, -2), untimely, "good only from 2026-11-25T12:00:00Z", time.Time{}},
		"vouched for by one ended":   {chain(issue(t, over, year, serverFor("a.example.com")), over), "a.example.com", roots, noon, untimely, "vouched for by one that has ended", time.Time{}},
		"another host":               {chain(leaf, middle), "localhost", roots, noon, misnamed, "for another host: registry.example.com, 192.0.2.1, 2001:db8::1", time.Time{}},
		"old name only":              {chain(issue(t, root, year, serverFor())), "server", roots, noon, misnamed, "CommonName server, which no longer counts", time.Time{}},
		"signed by itself":           {chain(alone), "registry.example.com", roots, noon, stranger509, "is signed by itself", time.Time{}},
		"nobody's":                   {chain(leaf, middle), "registry.example.com", x509.NewCertPool(), noon, stranger509, `its chain ends at "our authority"`, time.Time{}},
		"the one between is missing": {chain(leaf), "registry.example.com", roots, noon, stranger509, `issued by "between", and the server sends no certificate of it`, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := judge(tt.chain, tt.host, tt.roots, tt.now)
			if got.kind != tt.kind || !strings.Contains(got.message, tt.says) || !got.until.Equal(tt.until) {
				t.Errorf("judge = %+v, want kind %d, a message with %q, until %s", got, tt.kind, tt.says, tt.until)
			}
		})
	}
}
