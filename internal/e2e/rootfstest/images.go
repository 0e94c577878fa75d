package rootfstest

import (
	"compress/gzip"
	"errors"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// history is a line of an image's history: what made a layer, or changed the configuration alone.
type history struct {
	createdBy string
	layer     bool
}

// debianHistory is as a build of a Dockerfile has it.
var debianHistory = []history{
	{"/bin/sh -c #(nop) ADD file:rootfs in / ", true},
	{`/bin/sh -c #(nop)  CMD ["bash"]`, false},
	{"RUN /bin/sh -c apt-get update && apt-get install -y python3-minimal python3-requests openssl curl libxml2 rsync # buildkit", true},
	{"ENV SHOP=/opt/shop", false},
	{"COPY shop / # buildkit", true},
	{"RUN /bin/sh -c apt-get purge -y --autoremove rsync && rm -r /opt/shop/node_modules/moment # buildkit", true},
	{`CMD ["/usr/local/bin/shop"]`, false},
}

// images makes an image of layers twice: in OCI's media types, and in Docker's.
func images(layers []Layer, lines []history) (oci, docker v1.Image, err error) {
	var both [2]v1.Image
	for i, kind := range []types.MediaType{types.OCILayer, types.DockerLayer} {
		var adds []mutate.Addendum
		left := layers
		for _, line := range lines {
			add := mutate.Addendum{History: v1.History{CreatedBy: line.createdBy, EmptyLayer: !line.layer, Created: v1.Time{Time: epoch}}}
			if line.layer {
				add.Layer, add.MediaType = storedLayer{left[0], kind}, kind
				left = left[1:]
			}
			adds = append(adds, add)
		}
		image := empty.Image
		if kind == types.OCILayer {
			image = mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
		}
		if image, err = mutate.Append(image, adds...); err != nil {
			return nil, nil, err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, nil, err
		}
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Created = "linux", "amd64", v1.Time{Time: epoch}
		if both[i], err = mutate.ConfigFile(image, config); err != nil {
			return nil, nil, err
		}
	}
	return both[0], both[1], nil
}

// storedLayer is a [v1.Layer] of a file whose digests are known.
type storedLayer struct {
	Layer

	kind types.MediaType
}

func (l storedLayer) Digest() (v1.Hash, error)             { return l.Layer.Digest, nil }
func (l storedLayer) DiffID() (v1.Hash, error)             { return l.Layer.DiffID, nil }
func (l storedLayer) Size() (int64, error)                 { return l.Layer.Size, nil }
func (l storedLayer) MediaType() (types.MediaType, error)  { return l.kind, nil }
func (l storedLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.File) }
func (l storedLayer) Uncompressed() (io.ReadCloser, error) { return l.Layer.Open() }

// Open gives the layer's tar.
func (l Layer) Open() (io.ReadCloser, error) {
	f, err := os.Open(l.File)
	if err != nil {
		return nil, err
	}
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{unpacked, f}, nil
}
