package authn

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

const (
	// One key from one address may fail so often, and then once in this time. A client with an old secret meets it
	// within a minute; whoever else uses the key elsewhere, or another key here, does not.
	keyFailures     = 10
	keyFailureEvery = 5 * time.Second
	// One address may fail so often, with whatever credentials. It may be a company's only one, so credentials that
	// hold always pass: those that do not learn nothing any more than that they are too many.
	addressFailures     = 60
	addressFailureEvery = time.Second

	// maxFailing bounds the memory for each of the two; an entry has about 200 bytes.
	maxFailing = 10_000
)

// Guard is an Authenticator that lets credentials fail so often and no more, for each address, and for each access key
// from one address. It is safe for concurrent use.
type Guard struct {
	*Authenticator
	keys, addresses failures
}

// NewGuard puts a guard before an authenticator.
func NewGuard(a *Authenticator) *Guard {
	return &Guard{
		Authenticator: a,
		keys:          failures{now: a.now, burst: keyFailures, every: keyFailureEvery},
		addresses:     failures{now: a.now, burst: addressFailures, every: addressFailureEvery},
	}
}

// Screen is Authenticator.Screen, and answers fault.TooManyFailures besides: it tells which keys there are, as SigV4 does.
func (g *Guard) Screen(r *http.Request, service string) error {
	err := g.Authenticator.Screen(r, service)
	if !wrongCredentials(err) {
		return err
	}
	return g.refused(network(r), err)
}

// SigV4 is Authenticator.SigV4, and answers fault.TooManyFailures besides.
func (g *Guard) SigV4(r *http.Request, body []byte, service string) (identity.Caller, error) {
	origin := network(r)
	key := claimedKey(r) + "@" + origin
	if wait := g.keys.wait(key); wait > 0 {
		return identity.Caller{}, tooMany(wait)
	}
	caller, err := g.Authenticator.SigV4(r, body, service)
	if !wrongCredentials(err) {
		return caller, err
	}
	g.keys.count(key)
	return identity.Caller{}, g.refused(origin, err)
}

// Basic is Authenticator.Basic, and answers fault.TooManyFailures besides.
func (g *Guard) Basic(r *http.Request) (identity.Caller, error) {
	caller, err := g.Authenticator.Basic(r)
	if !wrongCredentials(err) {
		return caller, err
	}
	return identity.Caller{}, g.refused(network(r), err)
}

// network is what failures are counted by: an IPv4 address, or the /64 that an IPv6 address is in, since whoever has one of
// its addresses has the others too.
func network(r *http.Request) string {
	address := Origin(r).Address
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// Bearer is Authenticator.Bearer, and answers fault.TooManyFailures besides.
func (g *Guard) Bearer(r *http.Request) (identity.Caller, error) {
	caller, err := g.Authenticator.Bearer(r)
	if !wrongCredentials(err) {
		return caller, err
	}
	return identity.Caller{}, g.refused(network(r), err)
}

// Exchange is Authenticator.Exchange, and answers fault.TooManyFailures besides.
func (g *Guard) Exchange(r *http.Request) (BearerToken, error) {
	t, err := g.Authenticator.Exchange(r)
	if !wrongCredentials(err) {
		return t, err
	}
	return BearerToken{}, g.refused(network(r), err)
}

// refused counts a failure, and says why, unless there were too many.
func (g *Guard) refused(address string, err error) error {
	wait := g.addresses.wait(address)
	g.addresses.count(address)
	if wait > 0 {
		return tooMany(wait)
	}
	return err
}

func tooMany(wait time.Duration) error {
	return fault.New(fault.TooManyFailures, "Too many requests with credentials that do not hold came from there. Wait, and try again with credentials that do.").
		With(fault.Wait{For: wait})
}

// wrongCredentials tells failures that a guess would have from those of clocks and of credentials that have ended.
func wrongCredentials(err error) bool {
	if err == nil || errors.Is(err, fault.SignatureExpired) { // as an anonymous token that has ended is
		return false
	}
	for _, code := range []fault.Code{fault.AccessKeyUnknown, fault.SignatureMismatch, fault.TokenInvalid} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// claimedKey reads the access key's id from a signed request, without believing it.
func claimedKey(r *http.Request) string {
	_, credential, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		credential = r.URL.Query().Get("X-Amz-Credential")
	}
	id, _, _ := strings.Cut(credential, "/")
	if len(id) > 128 {
		id = id[:128]
	}
	return id
}

// failures counts them by name, each with a bucket of its own. There are two generations of buckets: when the young one
// is full the old one is dropped, so that the memory is bounded and those that go on failing stay known.
type failures struct {
	now   func() time.Time
	burst int
	every time.Duration

	mu         sync.Mutex
	young, old map[string]*rate.Limiter // guarded by mu
}

// wait tells how long until the next failure may be; nothing for those who have some left.
func (f *failures) wait(name string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.find(name)
	if l == nil {
		return 0
	}
	missing := 1 - l.TokensAt(f.now())
	if missing <= 0 {
		return 0
	}
	return max(time.Duration(missing*float64(f.every)), time.Millisecond)
}

// count takes one.
func (f *failures) count(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.find(name)
	if l == nil {
		l = rate.NewLimiter(rate.Every(f.every), f.burst)
		f.put(name, l)
	}
	l.AllowN(f.now(), 1)
}

func (f *failures) find(name string) *rate.Limiter {
	if l := f.young[name]; l != nil {
		return l
	}
	l := f.old[name]
	if l != nil {
		f.put(name, l)
	}
	return l
}

func (f *failures) put(name string, l *rate.Limiter) {
	if f.young == nil || len(f.young) >= maxFailing/2 {
		f.old, f.young = f.young, map[string]*rate.Limiter{}
	}
	f.young[name] = l
}
