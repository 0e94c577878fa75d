package ops

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Face is what those who count requests call these paths.
const Face = "ops"

// ReadMetrics is the permission to read metrics where everybody can ask for them.
const ReadMetrics policy.Action = "berth:ReadMetrics"

// paths are what is served beside the faces.
var paths = []string{"/healthz", "/readyz", "/metrics"}

// Serves tells whether a path is one of those.
func Serves(path string) bool { return slices.Contains(paths, path) }

// Operations are the names of what can be asked for, for those who count.
func Operations() []string {
	all := make([]string, len(paths))
	for i, p := range paths {
		all[i] = "GET " + p
	}
	return all
}

// counted tells whoever counts requests which it is.
func counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation := ""
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			operation = "GET " + r.URL.Path // one of paths: nothing else comes here
		}
		middleware.Label(r.Context(), Face, operation)
		next.ServeHTTP(w, r)
	})
}

// metrics answers those who may read them.
func (c Config) metrics(w http.ResponseWriter, r *http.Request) {
	caller, err := c.Caller(r)
	if err == nil {
		middleware.NotePrincipal(r.Context(), caller.ARN)
		err = c.May(r.Context(), caller, ReadMetrics, "")
	}
	if err == nil {
		c.Metrics.ServeHTTP(w, r)
		return
	}
	middleware.LabelFault(r.Context(), err)
	f, ok := fault.Of(err)
	switch {
	case !ok, f.Code == fault.Unavailable:
		c.Logger.LogAttrs(r.Context(), slog.LevelError, "metrics were not served", slog.Any("error", err))
		answer(w, http.StatusServiceUnavailable, "who may read metrics cannot be found out now\n")
	case f.Code == fault.AccessDenied:
		answer(w, http.StatusForbidden, f.Message+"\n")
	case f.Code == fault.TooManyFailures:
		answer(w, http.StatusTooManyRequests, f.Message+"\n")
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="Berth"`)
		answer(w, http.StatusUnauthorized, "metrics need the permission "+string(ReadMetrics)+
			": come with an authorization token as the password of AWS, or with a signature for ecr\n")
	}
}

// NewListener makes the handler of a listener that only those who operate Berth can reach: nobody is asked for credentials. Profiles go
// to this machine alone (a port that is forwarded into a container counts as such), for they cost time, and show what is going on.
// Caller and May are not used.
func NewListener(c Config) http.Handler {
	r := &readiness{Config: c}
	mux := http.NewServeMux()
	c.state(mux, r)
	mux.Handle("GET /metrics", c.Metrics)
	for path, handle := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.HandleFunc("GET "+path, fromHere(handle))
	}
	return mux
}

// fromHere refuses requests of other machines; those that a proxy on this one hands on; and those of a page in somebody's browser, whose
// name was made to lead here.
func fromHere(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		handedOn := slices.ContainsFunc([]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}, func(name string) bool { return r.Header.Get(name) != "" })
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() || handedOn || host != "localhost" && !loopback(host) {
			answer(w, http.StatusForbidden, "profiles are for this machine alone\n")
			return
		}
		next(w, r)
	}
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// may is registry.Registry.May.
type may = func(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
