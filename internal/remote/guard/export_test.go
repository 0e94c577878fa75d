package guard

import (
	"net/http"
	"net/url"
)

// Through is Transport with a proxy that the environment does not name.
func Through(proxy func(*http.Request) (*url.URL, error), refuse Refusal) http.RoundTripper {
	t, _ := Transport(refuse, func(t *http.Transport) {
		if t.Proxy != nil {
			t.Proxy = proxy
		}
	}).(*transport)
	t.proxy = proxy
	return t
}
