package scan

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const (
	// maxConfig bounds an image's configuration, in bytes. Usual ones have a few thousand.
	maxConfig = 4 << 20
	// maxInstruction bounds what is kept of the instruction that made a layer, in bytes.
	maxInstruction = 1 << 10
	// maxWords bounds the description of a scan, in bytes.
	maxWords = 1 << 10
)

// imageConfig is what is read of an image's configuration (image-spec, config.md): a stranger's word.
type imageConfig struct {
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
}

// readConfig reads a configuration; the error says what is wrong with it.
func readConfig(r io.Reader) (imageConfig, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return imageConfig{}, err
	}
	if len(raw) > maxConfig {
		return imageConfig{}, badConfig(fmt.Sprintf("the image's configuration has more than %d bytes", maxConfig))
	}
	var c imageConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return imageConfig{}, badConfig("the image's configuration cannot be read: it is no JSON document of that kind")
	}
	return c, nil
}

// badConfig is what is wrong with a configuration, and not with its reading.
type badConfig string

func (b badConfig) Error() string { return string(b) }

// instructions gives what made each layer, where the history tells of as many layers as there are.
func (c imageConfig) instructions(layers int) []string {
	made := make([]string, 0, layers)
	for _, h := range c.History {
		if !h.EmptyLayer {
			made = append(made, plain(h.CreatedBy, maxInstruction))
		}
	}
	if len(made) != layers {
		return make([]string, layers)
	}
	return made
}

// claims compares what the configuration says of a layer with what came out of it, and says what is wrong.
func (c imageConfig) claims(i int, layer oci.Descriptor, row StoredLayer) string {
	said := c.RootFS.DiffIDs[i]
	if row.Problem != "" || said == row.DiffID.String() {
		return ""
	}
	return fmt.Sprintf("layer %d (%s) unpacks to %s, and the image's configuration says %s", i+1, layer.Digest.Short(), row.DiffID, plain(said, 100))
}

// plain makes a stranger's text fit for a row and for people: valid UTF-8 without control characters, of at most limit bytes.
func plain(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}
