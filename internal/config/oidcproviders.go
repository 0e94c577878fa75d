package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
)

// maxJWKS is how large a file of pinned keys may be, in bytes: as large as what a provider may answer.
const maxJWKS = 1 << 20

// OIDCProvider is what the operator says of an identity provider, whose tokens the account may trust. A provider that
// is on the internet needs no entry. One of the two is set.
type OIDCProvider struct {
	// JWKSFile has the provider's keys, a JSON Web Key Set. The provider itself is never asked then.
	JWKSFile string `yaml:"jwks-file"`
	// AllowPrivate lets the provider be at a private address, or on this machine.
	AllowPrivate bool `yaml:"allow-private"`

	// JWKS is what the file has.
	JWKS []byte `yaml:"-"`
}

// complete reads the file that the entry names, and says what is wrong with the entry.
func (p *OIDCProvider) complete(issuer string) error {
	u, err := url.Parse(issuer)
	switch at := "oidc-providers: "; {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New(at + "an entry is not named by an issuer such as https://gitlab.example.com")
	case u.Scheme == "http" && !p.AllowPrivate && p.JWKSFile == "":
		return fmt.Errorf("%s%s: an issuer without TLS needs allow-private, and must be on this machine", at, issuer)
	case p.JWKSFile != "" && p.AllowPrivate:
		return fmt.Errorf("%s%s: give jwks-file or allow-private, not both: a provider whose keys are in a file is not asked", at, issuer)
	case p.JWKSFile == "" && !p.AllowPrivate:
		return fmt.Errorf("%s%s: give jwks-file or allow-private: true", at, issuer)
	case p.JWKSFile == "":
		return nil
	default:
		p.JWKS, err = readJWKS(p.JWKSFile)
		if err != nil {
			return fmt.Errorf("%s%s: %w", at, issuer, err)
		}
		return nil
	}
}

func readJWKS(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxJWKS+1))
	switch {
	case err != nil:
		return nil, err //nolint:wrapcheck // names the file
	case len(text) > maxJWKS:
		return nil, fmt.Errorf("%s has more than %d bytes", file, maxJWKS)
	case len(bytes.TrimSpace(text)) == 0:
		return nil, fmt.Errorf("%s is empty", file)
	}
	return text, nil
}
