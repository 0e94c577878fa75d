package dockercred

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// spare is how long before its end a token is given out no more: a long push must be done by then. It is
	// at most a quarter of the token's life.
	spare = 15 * time.Minute
	// maxCache bounds the file; whoever changes credentials with every call leaves many entries.
	maxCache = 4 << 20
	maxKept  = 200
)

// cache keeps tokens in a file that nobody else can read.
type cache struct {
	file string // empty: nothing is kept
	now  func() time.Time
}

// entry is a token in the file.
type entry struct {
	Server   string    `json:"server"`
	Username string    `json:"username"`
	Secret   string    `json:"secret"`
	GiveTo   time.Time `json:"giveTo"` // until then it is given out
}

// entryID names an entry so that only the credentials that got a token find it again: with other ones, a
// changed secret or another session, another token is asked for.
func entryID(c aws.Credentials, words ...string) string {
	mac := hmac.New(sha256.New, []byte(c.SecretAccessKey))
	for _, w := range append([]string{c.AccessKeyID, c.SessionToken}, words...) {
		mac.Write(fmt.Appendf(nil, "%d:%s", len(w), w))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func (c cache) find(id string) (Login, bool) {
	e, ok := c.read()[id]
	if !ok || !c.now().Before(e.GiveTo) {
		return Login{}, false
	}
	return Login{e.Username, e.Secret}, true
}

// token is a login that holds until it expires.
type token struct {
	login   Login
	expires time.Time
}

// keep adds a token, and leaves out what has come to its end.
func (c cache) keep(id, server string, t token) error {
	now := c.now()
	life := t.expires.Sub(now)
	giveTo := t.expires.Add(-min(spare, life/4))
	if c.file == "" || !now.Before(giveTo) {
		return nil
	}
	entries := c.read()
	maps.DeleteFunc(entries, func(_ string, e entry) bool { return !now.Before(e.GiveTo) })
	if len(entries) >= maxKept {
		clear(entries)
	}
	entries[id] = entry{server, t.login.Username, t.login.Secret, giveTo}
	return c.write(entries)
}

func (c cache) erase(server string) error {
	entries := c.read()
	before := len(entries)
	maps.DeleteFunc(entries, func(_ string, e entry) bool { return e.Server == server })
	if len(entries) == before {
		return nil
	}
	return c.write(entries)
}

// read gives what is in the file. A file that is not ours alone, or is no cache, counts as empty: it is
// written anew.
func (c cache) read() map[string]entry {
	entries := map[string]entry{}
	if c.file == "" {
		return entries
	}
	info, err := os.Stat(c.file)
	if err != nil || !info.Mode().IsRegular() || !private(info.Mode()) || info.Size() > maxCache {
		return entries
	}
	text, err := os.ReadFile(c.file)
	if err != nil || json.Unmarshal(text, &entries) != nil || entries == nil {
		return map[string]entry{}
	}
	return entries
}

// write replaces the file as a whole. Of two at once the later wins, and the other's token is asked for
// again.
func (c cache) write(entries map[string]entry) error {
	text, err := json.Marshal(entries)
	if err != nil {
		return fmt.Errorf("encoding the tokens: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return err
	}
	return replaceFile(c.file, text, 0o600)
}

// replaceFile writes a file beside the old one and puts it in its place.
func replaceFile(file string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // nothing is gained by a second error
	}
	return err
}
