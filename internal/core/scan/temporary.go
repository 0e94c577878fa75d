package scan

import (
	"encoding/json"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

func encodeFacts(l inventory.Layer) ([]byte, error) { return json.Marshal(l) }

func decodeFacts(b []byte) (l inventory.Layer, err error) {
	err = json.Unmarshal(b, &l)
	return l, err
}

func mergeLayers(layers []inventory.Layer) inventory.Image {
	var i inventory.Image
	for n, l := range layers {
		for _, f := range l.Files {
			for _, p := range f.Packages {
				i.Packages = append(i.Packages, inventory.Found{Package: p, Ecosystem: "Debian", Release: "12", Path: f.Path, Format: f.Format, Layer: n})
			}
		}
		for _, r := range l.Releases {
			i.OS = r.OS
		}
	}
	return i
}
