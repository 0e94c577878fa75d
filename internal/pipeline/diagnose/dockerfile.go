package diagnose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// dockerFile is what is read of docker's config.json.
type dockerFile struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredHelpers map[string]string     `json:"credHelpers"`
	CredsStore  string                `json:"credsStore"`
	Context     string                `json:"currentContext"`
}

// dockerAuth is a login that is in the file itself. It prints as the word login.
type dockerAuth struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
}

func (dockerAuth) String() string { return "login" }

// GoString is String, for %#v.
func (dockerAuth) GoString() string { return "login" }

// errDockerFile is that docker could not read the file, in words that have nothing of what is in it.
type errDockerFile struct {
	line int
	why  string
}

func (e *errDockerFile) Error() string {
	if e.line > 0 {
		return fmt.Sprintf("line %d: %s", e.line, e.why)
	}
	return e.why
}

// parseDockerFile reads docker's configuration as docker does. Errors do not show what is in the file, where passwords are.
func parseDockerFile(text []byte) (dockerFile, error) {
	var f dockerFile
	if strings.HasPrefix(string(text), "\ufeff") {
		return f, &errDockerFile{1, "it begins with a byte order mark, which docker does not take"}
	}
	if strings.HasPrefix(string(text), "\xff\xfe") || strings.HasPrefix(string(text), "\xfe\xff") {
		return f, &errDockerFile{1, "it is in UTF-16, and docker reads UTF-8"}
	}
	if strings.TrimSpace(string(text)) == "" {
		return f, &errDockerFile{0, "it is empty; docker wants {} at least"}
	}
	err := json.Unmarshal(text, &f)
	if err == nil {
		return f, nil
	}
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	kind, isKind := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case isSyntax && strings.Contains(syntax.Error(), "in string escape code"):
		return f, &errDockerFile{lineAt(text, syntax.Offset), `a backslash in a string is written \\, as in C:\\Users`}
	case isSyntax:
		return f, &errDockerFile{lineAt(text, syntax.Offset), "it is no JSON from here on"}
	case isKind:
		return f, &errDockerFile{lineAt(text, kind.Offset), fmt.Sprintf("%s is a %s, and is to be %s", orDash(kind.Field), kind.Value, jsonKind(kind.Type.Kind().String()))}
	default:
		return f, &errDockerFile{0, "it is no JSON"}
	}
}

func orDash(s string) string {
	if s == "" {
		return "the whole"
	}
	return s
}

func jsonKind(kind string) string {
	if kind == "map" || kind == "struct" {
		return "an object"
	}
	return "a " + kind
}

func lineAt(text []byte, offset int64) int {
	return 1 + strings.Count(string(text[:min(max(offset, 0), int64(len(text)))]), "\n")
}

// dockerHow is by what docker logs in to a registry.
type dockerHow struct {
	Helper string // docker-credential-HELPER; "" for a login in the file
	Own    bool   // the helper is for this registry alone
	Auth   *dockerAuth
}

// how finds what docker would log in to a registry with: a helper for it, then the store for all, then what is in the file.
func (f dockerFile) how(host string) dockerHow {
	if helper := f.CredHelpers[host]; helper != "" {
		return dockerHow{Helper: helper, Own: true}
	}
	if f.CredsStore != "" {
		return dockerHow{Helper: f.CredsStore}
	}
	if auth, found := f.Auths[host]; found {
		return dockerHow{Auth: &auth}
	}
	for _, name := range sortedKeys(f.Auths) { // as old versions wrote them, and other programs
		if hostOf(name) == host {
			auth := f.Auths[name]
			return dockerHow{Auth: &auth}
		}
	}
	return dockerHow{}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func hostOf(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	host, _, _ := strings.Cut(name, "/")
	return host
}

// login gives user and password of an entry of the file.
func (a dockerAuth) login() (user, secret string, err error) {
	if a.Auth == "" {
		if a.Username == "" && a.Password == "" {
			return "", "", errors.New("it is empty, as docker leaves it where the login is in a store that it no longer names")
		}
		return a.Username, a.Password, nil
	}
	raw, err := base64.StdEncoding.DecodeString(a.Auth)
	if err != nil {
		return "", "", errors.New("its auth is not in base64")
	}
	user, secret, split := strings.Cut(string(raw), ":")
	if !split || user == "" {
		return "", "", errors.New("its auth is no name and password")
	}
	return user, strings.Trim(secret, "\x00"), nil
}

// tokenEnd reads when a token of Amazon's ends. Others do not say.
func tokenEnd(secret string) (time.Time, bool) {
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		return time.Time{}, false
	}
	var said struct {
		Expiration int64 `json:"expiration"`
	}
	if json.Unmarshal(raw, &said) != nil || said.Expiration <= 0 {
		return time.Time{}, false
	}
	return time.Unix(said.Expiration, 0), true
}
