package load

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"

	"github.com/hoopstat-haus/berth/internal/bench/proc"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"

	smallLayer = 4 << 10
	tailSize   = 4 << 10
)

// Image is a small image: one layer of 4 KiB, a configuration and a manifest.
type Image struct {
	Layer, Config, Manifest                   []byte
	LayerDigest, ConfigDigest, ManifestDigest string
}

// Layer is a large layer. All layers of one [Content] share Body; only the last 4 KiB are their own,
// which is enough to make them different blobs and lets the digest be computed without a pass over it all.
type Layer struct {
	Body, Tail []byte
	Digest     string
}

// Size is the layer's length in bytes.
func (l Layer) Size() int64 { return int64(len(l.Body) + len(l.Tail)) }

// Content makes images and layers: the same for the same number, so that every server gets the same
// bytes, and different ones for different numbers. The bytes are random and do not compress.
type Content struct {
	template []byte // of small layers and tails
	body     []byte
	midstate []byte // the hash after body
}

// NewContent prepares content with large layers of the given size.
func NewContent(layerSize int64) (*Content, error) {
	c := &Content{
		template: make([]byte, smallLayer),
		body:     make([]byte, layerSize-tailSize),
	}
	random := rand.NewChaCha8([32]byte([]byte("berth bench: the same every time")))
	for _, b := range [][]byte{c.template, c.body} {
		if _, err := random.Read(b); err != nil {
			return nil, err
		}
	}
	h := sha256.New()
	h.Write(c.body)
	var err error
	if c.midstate, err = h.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return nil, fmt.Errorf("saving a hash: %w", err)
	}
	return c, nil
}

// unique is 4 KiB that no other number has.
func (c *Content) unique(kind string, n uint64) []byte {
	b := make([]byte, smallLayer)
	copy(b, c.template)
	copy(b, kind)
	binary.BigEndian.PutUint64(b[16:], n)
	return b
}

// Image makes small image number n.
func (c *Content) Image(n uint64) Image {
	i := Image{Layer: c.unique("small", n)}
	i.LayerDigest = digest(i.Layer)
	i.Config = fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z","author":"berth bench",`+
		`"config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Entrypoint":["/app"],`+
		`"Labels":{"number":"%d"}},"rootfs":{"type":"layers","diff_ids":["%s"]},`+
		`"history":[{"created":"2026-01-01T00:00:00Z","created_by":"COPY app /app # bench"}]}`, n, i.LayerDigest)
	i.ConfigDigest = digest(i.Config)
	i.Manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%d},`+
		`"layers":[{"mediaType":"%s","digest":"%s","size":%d}]}`,
		manifestType, configType, i.ConfigDigest, len(i.Config), layerType, i.LayerDigest, len(i.Layer))
	i.ManifestDigest = digest(i.Manifest)
	return i
}

// Layer makes large layer number n.
func (c *Content) Layer(n uint64) (Layer, error) {
	tail := c.unique("large", n)
	h := sha256.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(c.midstate); err != nil {
		return Layer{}, fmt.Errorf("restoring a hash: %w", err)
	}
	h.Write(tail)
	return Layer{Body: c.body, Tail: tail, Digest: format(h)}, nil
}

// HashCost is what one pass of sha256 over large layers costs here, in processor seconds per billion
// bytes: the least that a server must spend which verifies what it is sent.
func (p *Plan) HashCost() (float64, error) {
	before, err := proc.CPU(os.Getpid())
	if err != nil {
		return 0, err
	}
	passes := 1<<30/len(p.content.body) + 1
	for range passes {
		sha256.Sum256(p.content.body)
	}
	after, err := proc.CPU(os.Getpid())
	return (after - before).Seconds() / (float64(passes) * float64(len(p.content.body)) / 1e9), err
}

func digest(b []byte) string {
	h := sha256.New()
	h.Write(b)
	return format(h)
}

func format(h hash.Hash) string {
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
