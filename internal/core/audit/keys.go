package audit

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// keySecret is the secret that the log's key is kept as.
const keySecret = "audit-log"

// Secrets is where the key rests, sealed under the master key.
type Secrets interface {
	// Secret returns the sealed secret of that name. When there is none it stores fallback durably and returns that.
	Secret(ctx context.Context, name string, fallback []byte) ([]byte, error)
}

// Key signs checkpoints, of all logs of the registry.
type Key struct {
	signer   note.Signer
	verifier string
}

// LoadKey gives the registry's key, making it first where there is none.
func LoadKey(ctx context.Context, secrets Secrets, master identity.MasterKey, account string) (Key, error) {
	fresh, public, err := note.GenerateKey(rand.Reader, "berth-audit-"+account)
	if err != nil {
		return Key{}, fmt.Errorf("making the audit log's key: %w", err)
	}
	fallback, err := master.Seal("secret/"+keySecret, []byte(fresh+"\n"+public))
	if err != nil {
		return Key{}, fmt.Errorf("sealing the audit log's key: %w", err)
	}
	sealed, err := secrets.Secret(ctx, keySecret, fallback)
	if err != nil {
		return Key{}, fmt.Errorf("reading the audit log's key: %w", err)
	}
	text, err := master.Open("secret/"+keySecret, sealed)
	if err != nil {
		return Key{}, fmt.Errorf("opening the audit log's key: %w", err)
	}
	private, public, _ := strings.Cut(string(text), "\n")
	signer, err := note.NewSigner(private)
	if err != nil {
		return Key{}, fmt.Errorf("reading the audit log's key: %w", err)
	}
	return Key{signer, public}, nil
}

// Verifier is the public key, as verifiers of notes read it: name+hash+key.
func (k Key) Verifier() string { return k.verifier }

// Checkpoint says what a log was: so many records with this root.
type Checkpoint struct {
	Log  string
	Size int64
	Root tlog.Hash
	At   time.Time
}

// originPrefix begins a checkpoint's first line; the log's id follows.
const originPrefix = "berth-audit/"

// Sign makes a signed note of a checkpoint (C2SP tlog-checkpoint): origin, size and root, a line each, and when it was made.
func (k Key) Sign(c Checkpoint) (string, error) {
	text := originPrefix + c.Log + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\n" + c.At.UTC().Format(time.RFC3339) + "\n"
	signed, err := note.Sign(&note.Note{Text: text}, k.signer)
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint of the audit log: %w", err)
	}
	return string(signed), nil
}

// ErrCheckpoint is what OpenCheckpoint answers for what is none, or not signed by the key.
var ErrCheckpoint = errors.New("this is no checkpoint that the audit log's key has signed")

// OpenCheckpoint reads a signed checkpoint, by the public key that must have signed it.
func OpenCheckpoint(verifier, text string) (Checkpoint, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("reading the audit log's public key: %w", err)
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	var c Checkpoint
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 {
		return c, ErrCheckpoint
	}
	id, ok := strings.CutPrefix(lines[0], originPrefix)
	size, err := strconv.ParseInt(lines[1], 10, 64)
	root, err2 := base64.StdEncoding.DecodeString(lines[2])
	at, err3 := time.Parse(time.RFC3339, lines[3])
	if !ok || id == "" || size < 0 || len(root) != tlog.HashSize || errors.Join(err, err2, err3) != nil {
		return c, ErrCheckpoint
	}
	return Checkpoint{id, size, tlog.Hash(root), at}, nil
}
