package middleware

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// believe puts into the request what is known of where it came from. By itself that is the connection's address, and
// nothing of the scheme: the client writes the request's URL and its headers, and could claim any. A proxy that is
// trusted says more, in X-Forwarded-For and X-Forwarded-Proto; the client is then the last address in that list that
// is no trusted proxy's. Permissions depend on both (aws:SourceIp, aws:SecureTransport).
func (h *Handler) believe(r *http.Request) {
	if r.URL.Scheme != "" { // of a request that named its whole URL; nothing here goes by it
		u := *r.URL
		u.Scheme = ""
		r.URL = &u
	}
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || len(h.Proxies) == 0 || !h.trusted(host) {
		return
	}
	if proto := r.Header.Values("X-Forwarded-Proto"); len(proto) > 0 && strings.EqualFold(lastOf(proto), "https") {
		u := *r.URL
		u.Scheme = "https"
		r.URL = &u
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		address, ok := parseHop(hop)
		if !ok {
			return // what stands before it was written by nobody known
		}
		r.RemoteAddr = net.JoinHostPort(address, port)
		if !h.trusted(address) {
			return
		}
		port = "0"
	}
}

// parseHop reads an address, with a port or without.
func parseHop(hop string) (string, bool) {
	hop = strings.TrimSpace(hop)
	if address, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return address.Unmap().String(), true
	}
	if both, err := netip.ParseAddrPort(hop); err == nil {
		return both.Addr().Unmap().String(), true
	}
	return "", false
}

func (h *Handler) trusted(host string) bool {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(h.Proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// lastOf is the value that the nearest proxy wrote.
func lastOf(values []string) string {
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}
