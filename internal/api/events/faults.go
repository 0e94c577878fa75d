package events

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// statuses are the faults that reading events comes to. Any other is the server's own.
var statuses = map[fault.Code]int{
	fault.InvalidParameter:     http.StatusBadRequest,
	fault.CredentialsMissing:   http.StatusUnauthorized,
	fault.CredentialsMalformed: http.StatusUnauthorized,
	fault.AccessKeyUnknown:     http.StatusUnauthorized,
	fault.SignatureMismatch:    http.StatusUnauthorized,
	fault.SignatureExpired:     http.StatusUnauthorized,
	fault.TokenInvalid:         http.StatusUnauthorized,
	fault.TokenExpired:         http.StatusUnauthorized,
	fault.SessionExpired:       http.StatusUnauthorized,
	fault.RequestMalformed:     http.StatusBadRequest,
	fault.AccessDenied:         http.StatusForbidden,
	fault.TooManyFailures:      http.StatusTooManyRequests,
	fault.Unavailable:          http.StatusServiceUnavailable,
}

// problem is the body of an error.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Oldest  *int64 `json:"oldest,omitempty"` // of a cursor that is not in the feed: the lowest that is
	Newest  *int64 `json:"newest,omitempty"`
}

func (f *Face) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, p := http.StatusInternalServerError, problem{Code: "InternalError", Message: "Something went wrong; the server's log says what."}
	if gone, ok := errors.AsType[feed.Forgotten](err); ok {
		status, p = http.StatusGone, problem{Code: "CursorGone", Message: gone.Error(), Oldest: &gone.Head.Forgotten, Newest: &gone.Head.Number}
	}
	if errors.Is(err, errTooMany) {
		status, p = http.StatusTooManyRequests, problem{Code: "TooManyReaders", Message: err.Error()}
		w.Header().Set("Retry-After", retryAfter)
	}
	if known, ok := errors.AsType[*fault.Error](err); ok {
		if s, ok := statuses[known.Code]; ok {
			status, p = s, problem{Code: words(known.Code), Message: known.Message}
		}
		if refusal, ok := known.Detail.(policy.Refusal); ok && f.Denials != nil {
			w.Header().Set("X-Berth-Authorization-Message", f.Denials.Encode(r.Context(), refusal))
		}
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", `Basic realm="`+realm(f.Place.URL)+`",service="ecr.amazonaws.com"`)
	}
	if status == http.StatusInternalServerError {
		f.note(r, err)
	}
	// Who brought no credentials has asked for nothing yet, and who has brought wrong ones too often is not listened to: nobody fills the log by guessing.
	entry := middleware.Note(r.Context())
	if entry.Fault, entry.Message = p.Code, p.Message; errors.Is(err, fault.CredentialsMissing) || errors.Is(err, fault.TooManyFailures) {
		entry.Service = ""
	}
	f.answer(w, status, p)
}

// words makes a code for programs: access denied becomes AccessDenied.
func words(c fault.Code) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(string(c)) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// realm keeps what may stand within quotation marks.
func realm(url string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, url)
}

// note logs what went wrong, unless it is that the reader went away.
func (f *Face) note(r *http.Request, err error) {
	if r.Context().Err() == nil {
		f.Logger.LogAttrs(r.Context(), slog.LevelError, "events could not be read",
			slog.String("request", middleware.RequestID(r.Context())), slog.Any("error", err))
	}
}
