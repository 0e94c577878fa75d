package policy

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// number is what numeric operators compare: exact where it is a whole number, for some of them have more digits than a
// float64 holds.
type number struct {
	whole   int64
	isWhole bool
	float   float64
}

// parseNumber reads an integer or a decimal, perhaps with an exponent.
func parseNumber(s string) (number, bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return number{whole: i, isWhole: true, float: float64(i)}, true
	}
	for i := range len(s) { // nothing of what ParseFloat reads besides: 0x1p-2, 1_000, inf
		if !strings.ContainsRune("0123456789+-.eE", rune(s[i])) {
			return number{}, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return number{float: f}, err == nil
}

func (n number) compare(to number) int {
	if n.isWhole && to.isWhole {
		return cmp.Compare(n.whole, to.whole)
	}
	return cmp.Compare(n.float, to.float)
}

// dateLayouts are the profiles of ISO 8601 that IAM names: https://www.w3.org/TR/NOTE-datetime. Parsing takes a fraction of
// a second after the seconds.
var dateLayouts = []string{"2006", "2006-01", time.DateOnly, "2006-01-02T15:04Z07:00", time.RFC3339}

// parseDate reads an ISO 8601 date, or whole seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds > maxSeconds || seconds < -maxSeconds {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0).UTC(), true
}

// maxSeconds is the year 9999's end.
const maxSeconds = 253402300799

// parseNetwork reads an address, or a network in CIDR notation, whose host bits do not count.
func parseNetwork(s string) (netip.Prefix, bool) {
	if !strings.Contains(s, "/") {
		a, ok := parseAddress(s)
		if !ok {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	const mapped = 96 // bits before an IPv4 address that is written as an IPv6 one
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), true
}

// parseAddress reads an address. An IPv4 address in an IPv6 one is what it is.
func parseAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}
