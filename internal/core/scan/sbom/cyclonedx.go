package sbom

import (
	"fmt"
	"io"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// namespace is where our properties are in CycloneDX documents.
const namespace = "berth:"

// CycloneDX writes what an image has as a CycloneDX 1.6 document in JSON. What is known of a package's layer are its properties:
// berth:layer:index, berth:layer:diffId, berth:layer:digest, berth:layer:instruction, berth:path, berth:fromBase.
func CycloneDX(w io.Writer, c scan.Contents) error {
	name, version := tool(c)
	bom := &cdx.BOM{
		JSONSchema: "http://cyclonedx.org/schema/bom-1.6.schema.json", BOMFormat: "CycloneDX", SpecVersion: cdx.SpecVersion1_6,
		SerialNumber: serial(c, FormatCycloneDX).URN(), Version: 1,
		Metadata: &cdx.Metadata{
			Timestamp: timestamp(c),
			Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: name, Version: version}}},
			Component: container(c),
		},
	}
	components := make([]cdx.Component, 0, len(c.Inventory.Packages)+1)
	if os := c.Inventory.OS; os.ID != "" {
		components = append(components, cdx.Component{
			BOMRef: "os", Type: cdx.ComponentTypeOS, Name: os.ID, Version: os.VersionID, Description: os.PrettyName,
		})
	}
	for i, f := range c.Inventory.Packages {
		components = append(components, component(c, i, f))
	}
	bom.Components = &components
	if len(c.Inventory.Problems) > 0 {
		bom.Compositions = &[]cdx.Composition{{Aggregate: cdx.CompositionAggregateIncomplete, Assemblies: &[]cdx.BOMReference{"image"}}}
	}
	if err := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetEscapeHTML(false).Encode(bom); err != nil {
		return fmt.Errorf("writing a CycloneDX document: %w", err)
	}
	return nil
}

// container is the image, with its base as an ancestor.
func container(c scan.Contents) *cdx.Component {
	image := &cdx.Component{
		BOMRef: "image", Type: cdx.ComponentTypeContainer, Name: c.Repository, Version: c.Image.Digest.String(),
		PackageURL: imagePURL(c.Repository, c.Image.Digest), Properties: properties(layers(c)),
	}
	if c.Base != nil {
		image.Pedigree = &cdx.Pedigree{Ancestors: &[]cdx.Component{{
			Type: cdx.ComponentTypeContainer, Name: c.Base.Repository, Version: c.Base.Digest.String(), PackageURL: imagePURL(c.Base.Repository, c.Base.Digest),
		}}}
	}
	return image
}

func component(c scan.Contents, i int, f inventory.Found) cdx.Component {
	p := cdx.Component{
		BOMRef: fmt.Sprintf("package-%d", i+1), Type: cdx.ComponentTypeLibrary, Name: f.Name, Version: f.Version,
		PackageURL: inventory.PURL(f, c.Inventory.OS), Properties: properties(facts(c, f)),
	}
	if between := map[inventory.Type]string{inventory.Maven: ":", inventory.NPM: "/", inventory.Composer: "/"}[f.Type]; between != "" {
		if group, name, ok := strings.Cut(f.Name, between); ok {
			p.Group, p.Name = group, name
		}
	}
	if f.Format != Claim {
		p.Evidence = &cdx.Evidence{Occurrences: &[]cdx.EvidenceOccurrence{{Location: f.Path}}}
	}
	return p
}

func properties(facts []fact) *[]cdx.Property {
	if len(facts) == 0 {
		return nil
	}
	list := make([]cdx.Property, len(facts))
	for i, f := range facts {
		list[i] = cdx.Property{Name: namespace + f.key, Value: f.value}
	}
	return &list
}
