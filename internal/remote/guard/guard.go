// Package guard decides which addresses Berth's own requests may go to: what a user, a registry or a token names as a
// URL is no reason to ask the inside of a network.
//
// It looks at the address that a connection is made to, after the name was resolved, so that a name which changes its
// address between two looks gains nothing. Where a proxy is used, the proxy resolves names and is the one to refuse.
package guard

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	maxHeader   = 64 << 10
)

// Refusal says why nothing is asked at an address, or nil.
type Refusal func(netip.Addr) error

// metadata are where clouds keep a machine's credentials, other than link-local: Amazon's services at IPv6, Azure's
// WireServer, Alibaba's metadata.
var metadata = prefixes("fd00:ec2::/32", "168.63.129.16/32", "100.100.100.200/32")

// special are the blocks that are not for the whole internet, beyond those that netip.Addr has methods for (IANA's
// registries of special-purpose addresses), and those which carry an IPv4 address that something behind them unpacks.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func within(ip netip.Addr, blocks []netip.Prefix) bool {
	return slices.ContainsFunc(blocks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Metadata refuses addresses where machines have their credentials from: link-local ones, and those that clouds use
// besides.
func Metadata(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	if ip.IsLinkLocalUnicast() || within(ip, metadata) {
		return errors.New("that is where machines have their credentials from")
	}
	return nil
}

// Private refuses all addresses that are not public: what [Metadata] refuses, loopback, private networks, and whatever
// else is not for the whole internet.
func Private(ip netip.Addr) error {
	if err := Metadata(ip); err != nil {
		return err
	}
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || within(ip, special) {
		return errors.New("that is not a public address")
	}
	return nil
}

// Control applies a refusal to connections: for net.Dialer's field of that name, which is called with the address that a
// name came to.
func (refuse Refusal) Control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s is no address: %w", address, err)
	}
	if err := refuse(at.Addr()); err != nil {
		return fmt.Errorf("nothing is asked at %s: %w", address, err)
	}
	return nil
}

// Transport makes connections of its own for each request, directly where refuse allows the address, or through the
// proxy that the environment names. configure, if not nil, sets what else the transport needs: its TLS above all.
func Transport(refuse Refusal, configure func(*http.Transport)) http.RoundTripper {
	through := func(control Refusal, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
		dialer := &net.Dialer{Timeout: dialTimeout, Control: control.Control}
		t := &http.Transport{
			Proxy: proxy, DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: dialTimeout,
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader,
		}
		if configure != nil {
			configure(t)
		}
		return t
	}
	return &transport{
		refuse: refuse, proxy: http.ProxyFromEnvironment,
		direct: through(refuse, nil), proxied: through(Metadata, http.ProxyFromEnvironment),
	}
}

type transport struct {
	refuse          Refusal
	proxy           func(*http.Request) (*url.URL, error)
	direct, proxied *http.Transport
}

// RoundTrip implements http.RoundTripper. A proxy has a private address as often as not, so a request that goes through
// one is judged by what its URL says.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := t.proxy(req)
	if err != nil {
		return nil, fmt.Errorf("finding the proxy: %w", err)
	}
	if proxy == nil {
		return t.direct.RoundTrip(req)
	}
	if err := t.refuse.url(req.URL); err != nil {
		return nil, err
	}
	return t.proxied.RoundTrip(req)
}

// CloseIdleConnections is what http.Client's method of that name calls, for those whose configure lets connections be used again.
func (t *transport) CloseIdleConnections() {
	t.direct.CloseIdleConnections()
	t.proxied.CloseIdleConnections()
}

// Proxy finds a request's proxy by find, and refuses what would go through one to an address that is refused, as far as
// the URL says which: for http.Transport's field of that name, beside a dialer with Control.
func (refuse Refusal) Proxy(find func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		proxy, err := find(req)
		if err == nil && proxy != nil {
			err = refuse.url(req.URL)
		}
		return proxy, err
	}
}

// url applies a refusal to what a URL names by its address.
func (refuse Refusal) url(u *url.URL) error {
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil //nolint:nilerr // a name: the proxy resolves it
	}
	if err := refuse(ip); err != nil {
		return fmt.Errorf("nothing is asked at %s: %w", u.Host, err)
	}
	return nil
}
