package advisory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A body begins with a byte that says what follows it.
const (
	bodyPlain = 'j' // JSON
	bodyZstd  = 'z' // JSON, compressed with zstd
)

// maxBody bounds what a body unpacks to. MaxDetails and the like keep real ones far below.
const maxBody = 1 << 20

var coders = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(32<<10))
	if err != nil {
		panic(err) // the options are constants
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		panic(err)
	}
	return enc, dec
})

// Encode packs all of an advisory but Affected, which has rows of its own.
func Encode(a Advisory) ([]byte, error) {
	a.Affected = nil
	b, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if len(b) > maxBody {
		return nil, malformed("%s has more than %d bytes", a.ID, maxBody)
	}
	enc, _ := coders()
	packed := enc.EncodeAll(b, append(make([]byte, 0, len(b)), bodyZstd))
	if len(packed) > len(b) {
		return append([]byte{bodyPlain}, b...), nil
	}
	return packed, nil
}

// Decode unpacks what Encode has packed.
func Decode(b []byte) (a Advisory, err error) {
	err = decode(b, &a)
	return a, err
}

// DecodeRated unpacks no more of it than tells whether it counts and how bad it is (Rate): the rest is most of it.
func DecodeRated(b []byte) (Advisory, error) {
	var a struct {
		ID        string   `json:"id"`
		Withdrawn bool     `json:"withdrawn"`
		Vectors   []Vector `json:"vectors"`
		Word      string   `json:"word"`
	}
	err := decode(b, &a)
	return Advisory{ID: a.ID, Withdrawn: a.Withdrawn, Vectors: a.Vectors, Word: a.Word}, err
}

func decode(b []byte, into any) (err error) {
	if len(b) == 0 {
		return malformed("the stored advisory is empty")
	}
	text := b[1:]
	switch b[0] {
	case bodyPlain:
	case bodyZstd:
		_, dec := coders()
		if text, err = dec.DecodeAll(text, nil); err != nil {
			return fmt.Errorf("unpacking a stored advisory: %w", err)
		}
	default:
		return malformed("the stored advisory has the unknown format %q", b[0])
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("reading a stored advisory: %w", err)
	}
	return nil
}

// Hash is the same for advisories that say the same.
func Hash(a Advisory) (string, error) {
	type named struct {
		Ecosystem, Release, Name string
		Affected
	}
	affected := make([]named, len(a.Affected))
	for i, f := range a.Affected {
		affected[i] = named{f.Ecosystem, f.Release, f.Name, f}
	}
	a.Affected = nil
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(a); err != nil {
		return "", err
	}
	if err := json.NewEncoder(h).Encode(affected); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
