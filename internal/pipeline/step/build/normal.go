package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// source is an image as a builder gives it that has no say in times and media types.
type source struct {
	config []byte
	layers []func() (io.ReadCloser, error) // as tars
	base   int                             // how many of them are of the image that it is made from, as far as that is known
}

func sourceOf(image v1.Image) (source, error) {
	config, err := image.RawConfigFile()
	if err != nil {
		return source{}, err //nolint:wrapcheck // the caller says whose
	}
	layers, err := image.Layers()
	if err != nil {
		return source{}, err //nolint:wrapcheck // the caller says whose
	}
	s := source{config: config}
	for _, l := range layers {
		s.layers = append(s.layers, l.Uncompressed)
	}
	return s, nil
}

// normal makes an image that depends on nothing but what was built: in OCI's media types, with no time later than the
// commit's, and without the names of containers that it came from. Layers of the base stay as they are, so that a registry
// that has them gets them no second time.
func (c Config) normal(ctx context.Context, j *job, s source) (v1.Image, error) {
	dir, err := os.MkdirTemp(j.dir, "layers-")
	if err != nil {
		return nil, fmt.Errorf("a directory for layers: %w", err)
	}
	var config struct {
		RootFS v1.RootFS `json:"rootfs"`
	}
	if err := json.Unmarshal(s.config, &config); err != nil {
		return nil, fmt.Errorf("the image's configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(s.layers) {
		return nil, fmt.Errorf("%s made an image of %d layers, whose configuration has %d", j.builder, len(s.layers), len(config.RootFS.DiffIDs))
	}
	made := &image{layers: map[v1.Hash]*layer{}}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: j.Annotations}
	var diffIDs []v1.Hash
	for i, open := range s.layers {
		l, err := c.normalLayer(ctx, config.RootFS.DiffIDs[i], open, i < s.base, filepath.Join(dir, fmt.Sprint(i)), j.Epoch)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", config.RootFS.DiffIDs[i], err)
		}
		made.layers[l.digest] = l
		diffIDs = append(diffIDs, l.diffID)
		manifest.Layers = append(manifest.Layers, v1.Descriptor{MediaType: types.OCILayer, Size: l.size, Digest: l.digest})
	}
	if made.config, err = normalConfig(s.config, diffIDs, j.Epoch); err != nil {
		return nil, fmt.Errorf("the image's configuration: %w", err)
	}
	hash, size, err := v1.SHA256(strings.NewReader(string(made.config)))
	if err != nil {
		return nil, err //nolint:wrapcheck // reads from memory
	}
	manifest.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Size: size, Digest: hash}
	if made.manifest, err = json.Marshal(manifest); err != nil {
		return nil, err //nolint:wrapcheck // cannot happen
	}
	return partial.CompressedToImage(made) //nolint:wrapcheck // says what
}

func (c Config) normalLayer(ctx context.Context, diffID v1.Hash, open func() (io.ReadCloser, error), base bool, file string, epoch time.Time) (*layer, error) {
	if !base {
		newer, err := later(ctx, open, epoch)
		if err != nil {
			return nil, err
		}
		if newer {
			return clamp(ctx, open, file, epoch)
		}
	}
	return c.lazy(ctx, diffID, open)
}

// image is one that was made of a source.
type image struct {
	config, manifest []byte
	layers           map[v1.Hash]*layer
}

// RawConfigFile gives the configuration.
func (i *image) RawConfigFile() ([]byte, error) { return i.config, nil }

// RawManifest gives the manifest.
func (i *image) RawManifest() ([]byte, error) { return i.manifest, nil }

// MediaType is OCI's.
func (i *image) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// LayerByDigest gives a layer.
func (i *image) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if l, ok := i.layers[h]; ok {
		return l, nil
	}
	return nil, fmt.Errorf("no layer %s", h)
}

// normalConfig takes out of a configuration what differs from one run of a builder to the next. What it does not know it keeps.
func normalConfig(raw []byte, diffIDs []v1.Hash, epoch time.Time) ([]byte, error) {
	var top, config map[string]json.RawMessage
	var history []map[string]any
	err := json.Unmarshal(raw, &top)
	if text, ok := top["config"]; ok {
		err = errors.Join(err, json.Unmarshal(text, &config))
	}
	if text, ok := top["history"]; ok {
		err = errors.Join(err, json.Unmarshal(text, &history))
	}
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"container", "container_config", "docker_version", "id", "parent"} {
		delete(top, key)
	}
	for _, key := range []string{"Hostname", "Domainname", "Image"} { // of the containers that it was made in
		delete(config, key)
	}
	for _, h := range history {
		text, _ := h["created"].(string)
		if at, err := time.Parse(time.RFC3339Nano, text); err != nil || at.After(epoch) {
			h["created"] = epoch.UTC()
		}
		if comment, _ := h["comment"].(string); strings.HasPrefix(comment, "FROM ") { // buildah's name of what it had then
			delete(h, "comment")
		}
	}
	for key, value := range map[string]any{
		"created": epoch.UTC(), "config": config, "history": history, "rootfs": v1.RootFS{Type: "layers", DiffIDs: diffIDs},
	} {
		if top[key], err = json.Marshal(value); err != nil {
			return nil, err //nolint:wrapcheck // cannot happen
		}
	}
	return json.Marshal(top) //nolint:wrapcheck // cannot happen
}

// index makes one of images for several platforms.
func index(images []v1.Image, annotations map[string]string) (v1.ImageIndex, error) {
	made := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, one := range images {
		config, err := one.ConfigFile()
		if err != nil {
			return nil, err //nolint:wrapcheck // says what
		}
		made = mutate.AppendManifests(made, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: config.Platform()}})
	}
	return annotatedIndex(made, annotations), nil
}

func annotatedIndex(made v1.ImageIndex, annotations map[string]string) v1.ImageIndex {
	if len(annotations) == 0 {
		return made
	}
	with, ok := mutate.Annotations(made, annotations).(v1.ImageIndex)
	if !ok {
		return made // go-containerregistry gives back the kind that it got
	}
	return with
}

func annotatedImage(made v1.Image, annotations map[string]string) v1.Image {
	if len(annotations) == 0 {
		return made
	}
	with, ok := mutate.Annotations(made, annotations).(v1.Image)
	if !ok {
		return made // as above
	}
	return with
}

// finished gives what was built, which keeps the job's directory.
func (j *job) finished(image v1.Image, idx v1.ImageIndex) (*Built, error) {
	b := &Built{Image: image, Index: idx, Builder: j.builder, Notes: j.notes, dir: j.dir}
	var err error
	if idx != nil {
		b.Digest, err = idx.Digest()
	} else {
		b.Digest, err = image.Digest()
	}
	if err != nil {
		return nil, fmt.Errorf("the image's digest: %w", err)
	}
	return b, nil
}
