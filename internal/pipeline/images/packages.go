package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const maxSBOM = 64 << 20

// ErrNoSBOM says that nothing tells which packages an image has.
var ErrNoSBOM = errors.New("has no SBOM that refers to it")

// comparePackages compares what the SBOMs of two images say, or says why not.
func comparePackages(ctx context.Context, c *Client, left Details, v Variant, d *Client, right Details, w Variant) ([]Change, string) {
	a, err := c.packages(ctx, left, v)
	if err != nil {
		return nil, fmt.Sprintf("%s %s", v.Digest, err)
	}
	b, err := d.packages(ctx, right, w)
	if err != nil {
		return nil, fmt.Sprintf("%s %s", w.Digest, err)
	}
	return changes("package", a, b), ""
}

// packages gives the versions of an image's packages, by the first SBOM that can be read: one that refers to the image, or one that
// BuildKit put beside it in the index.
func (c *Client) packages(ctx context.Context, of Details, v Variant) (map[string]string, error) {
	if of.NotRead != nil {
		return nil, fmt.Errorf("has none that can be read: %w", of.NotRead)
	}
	candidates := slices.Clone(of.Referrers)
	if v.Digest != of.Digest {
		more, err := c.Distribution.Referrers(ctx, c.Repository, v.Digest)
		if err != nil {
			return nil, fmt.Errorf("has none that can be found: %w", err)
		}
		for _, d := range more {
			candidates = append(candidates, referrer(d, v.Digest))
		}
	}
	last := ErrNoSBOM
	for _, r := range candidates {
		if r.Of != v.Digest || r.Kind != "sbom" && !r.Inside {
			continue
		}
		packages, err := c.sbom(ctx, r.Digest)
		if err == nil {
			return packages, nil
		}
		if r.Kind == "sbom" {
			last = fmt.Errorf("has an SBOM that cannot be read: %w", err)
		}
	}
	return nil, last
}

// sbom reads an artifact whose layer is an SBOM, or an attestation with one in it.
func (c *Client) sbom(ctx context.Context, d oci.Digest) (map[string]string, error) {
	texts, err := c.texts(ctx, d)
	if err != nil {
		return nil, err
	}
	err = errors.New("there is none in it")
	for _, text := range texts {
		packages, parseErr := parseSBOM(text)
		if parseErr == nil {
			return packages, nil
		}
		err = parseErr
	}
	return nil, err
}

// parseSBOM reads name and version of each package from SPDX or CycloneDX, in JSON, bare or as the predicate of an in-toto
// statement. Any version of the formats will do: they agree on these members.
func parseSBOM(text []byte) (map[string]string, error) {
	var doc struct {
		Predicate json.RawMessage `json:"predicate"`

		SPDX     string `json:"spdxVersion"`
		Packages []struct {
			Name    string `json:"name"`
			Version string `json:"versionInfo"`
			Purpose string `json:"primaryPackagePurpose"`
		} `json:"packages"`

		BOMFormat  string `json:"bomFormat"`
		Components []struct {
			Group   string `json:"group"`
			Name    string `json:"name"`
			Version string `json:"version"`
			Type    string `json:"type"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	versions := map[string][]string{}
	switch {
	case doc.SPDX != "":
		for _, p := range doc.Packages {
			if p.Purpose != "CONTAINER" && p.Purpose != "FILE" { // the image itself, and files, are none
				versions[p.Name] = append(versions[p.Name], p.Version)
			}
		}
	case doc.BOMFormat == "CycloneDX":
		for _, p := range doc.Components {
			if p.Group != "" {
				p.Name = p.Group + "/" + p.Name
			}
			if p.Type != "file" {
				versions[p.Name] = append(versions[p.Name], p.Version)
			}
		}
	case len(doc.Predicate) > 0:
		return parseSBOM(doc.Predicate)
	default:
		return nil, errors.New("it is neither SPDX nor CycloneDX in JSON")
	}
	packages := map[string]string{}
	for name, all := range versions {
		slices.Sort(all)
		packages[name] = strings.Join(slices.Compact(all), ", ")
	}
	return packages, nil
}
