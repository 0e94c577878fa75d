package diagnose

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// kind509 is what is wrong with a certificate.
type kind509 int

const (
	good        kind509 = iota
	untimely            // it has ended, or not begun
	misnamed            // it is for another host
	stranger509         // nobody who is trusted vouches for it
	unusable            // anything else
)

type verdict509 struct {
	kind    kind509
	message string
	until   time.Time // of a good one: when the first of its chain ends
}

// judge says whether a server's certificate is good, and why not. No roots are the system's.
func judge(presented []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) verdict509 {
	if len(presented) == 0 {
		return verdict509{kind: unusable, message: host + " presents no certificate"}
	}
	leaf, between := presented[0], x509.NewCertPool()
	for _, c := range presented[1:] {
		between.AddCert(c)
	}
	switch {
	case now.After(leaf.NotAfter):
		return verdict509{kind: untimely, message: fmt.Sprintf("the certificate of %s has ended, at %s", host, leaf.NotAfter.UTC().Format(time.RFC3339))}
	case now.Before(leaf.NotBefore):
		return verdict509{kind: untimely, message: fmt.Sprintf("the certificate of %s is good only from %s", host, leaf.NotBefore.UTC().Format(time.RFC3339))}
	}
	if leaf.VerifyHostname(host) != nil {
		return verdict509{kind: misnamed, message: fmt.Sprintf("the certificate of %s is for another host: %s", host, namesOf(leaf))}
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	if err != nil {
		return refused(presented, host, err)
	}
	until := time.Time{}
	for _, chain := range chains { // the best of them counts
		end := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(end) {
				end = c.NotAfter
			}
		}
		if end.After(until) {
			until = end
		}
	}
	return verdict509{kind: good, until: until}
}

// refused words why a certificate of the right name and time does not verify.
func refused(presented []*x509.Certificate, host string, err error) verdict509 {
	leaf, last := presented[0], presented[len(presented)-1]
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, noRoots := errors.AsType[x509.SystemRootsError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case unknown && bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return verdict509{kind: stranger509, message: fmt.Sprintf("the certificate of %s is signed by itself, and this machine does not trust it", host)}
	case unknown && len(presented) == 1:
		return verdict509{kind: stranger509, message: fmt.Sprintf("nobody whom this machine trusts vouches for the certificate of %s: it is issued by %q, and the server sends no certificate of it", host, nameOf(leaf))}
	case unknown:
		return verdict509{kind: stranger509, message: fmt.Sprintf("nobody whom this machine trusts vouches for the certificate of %s: its chain ends at %q", host, nameOf(last))}
	case noRoots:
		return verdict509{kind: stranger509, message: "this machine has no list of authorities: install the package ca-certificates"}
	case isInvalid && invalid.Reason == x509.Expired:
		return verdict509{kind: untimely, message: fmt.Sprintf("the certificate of %s is vouched for by one that has ended", host)}
	default:
		return verdict509{kind: unusable, message: fmt.Sprintf("the certificate of %s is not good: %s", host, sentence(err))}
	}
}

// nameOf is who issued a certificate.
func nameOf(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

func namesOf(c *x509.Certificate) string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0 && c.Subject.CommonName != "":
		return "it has no names but the old CommonName " + c.Subject.CommonName + ", which no longer counts"
	case len(names) == 0:
		return "it has no names"
	case len(names) > 5:
		return strings.Join(names[:5], ", ") + " and others"
	default:
		return strings.Join(names, ", ")
	}
}
