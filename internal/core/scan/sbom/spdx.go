package sbom

import (
	"fmt"
	"io"
	"strings"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// SPDX writes what an image has as an SPDX 2.3 document in JSON. What is known of a package's layer is its annotation, a line for each
// thing: layer:index, layer:diffId, layer:digest, layer:instruction, path, fromBase.
func SPDX(w io.Writer, c scan.Contents) error {
	name, version := tool(c)
	id := serial(c, FormatSPDX)
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: c.Repository + "@" + c.Image.Digest.String(), DocumentNamespace: id.URN(),
		CreationInfo: &v2_3.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: name + "-" + version}}, Created: timestamp(c),
		},
	}
	relate := func(a common.ElementID, how string, b common.ElementID) {
		doc.Relationships = append(doc.Relationships, &v2_3.Relationship{
			RefA: common.DocElementID{ElementRefID: a}, Relationship: how, RefB: common.DocElementID{ElementRefID: b},
		})
	}
	image := spdxImage("Image", c.Repository, c.Image.Digest)
	image.Annotations = annotations(c, layers(c))
	doc.Packages = append(doc.Packages, image)
	relate("DOCUMENT", common.TypeRelationshipDescribe, "Image")
	if c.Base != nil {
		doc.Packages = append(doc.Packages, spdxImage("Base", c.Base.Repository, c.Base.Digest))
		relate("Image", common.TypeRelationshipDescendantOf, "Base")
	}
	if os := c.Inventory.OS; os.ID != "" {
		p := spdxPackage("OperatingSystem", os.ID, os.VersionID)
		p.PrimaryPackagePurpose, p.PackageSummary = "OPERATING-SYSTEM", os.PrettyName
		doc.Packages = append(doc.Packages, p)
		relate("Image", common.TypeRelationshipContains, "OperatingSystem")
	}
	for i, f := range c.Inventory.Packages {
		p := spdxPackage(common.ElementID(fmt.Sprintf("Package-%d", i+1)), f.Name, f.Version)
		p.PrimaryPackagePurpose = "LIBRARY"
		p.PackageExternalReferences = purlReference(inventory.PURL(f, c.Inventory.OS))
		p.PackageSourceInfo = sourceInfo(f)
		p.Annotations = annotations(c, facts(c, f))
		doc.Packages = append(doc.Packages, p)
		relate("Image", common.TypeRelationshipContains, p.PackageSPDXIdentifier)
	}
	if err := json.Write(doc, w, json.EscapeHTML(false)); err != nil {
		return fmt.Errorf("writing an SPDX document: %w", err)
	}
	return nil
}

func spdxPackage(id common.ElementID, name, version string) *v2_3.Package {
	return &v2_3.Package{
		PackageSPDXIdentifier: id, PackageName: name, PackageVersion: version, PackageDownloadLocation: noAssertion,
		FilesAnalyzed: false, IsFilesAnalyzedTagPresent: true,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
	}
}

func spdxImage(id common.ElementID, repository string, d oci.Digest) *v2_3.Package {
	p := spdxPackage(id, repository, d.String())
	p.PrimaryPackagePurpose = "CONTAINER"
	p.PackageExternalReferences = purlReference(imagePURL(repository, d))
	if d.Algorithm() == oci.SHA256 {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: d.Hex()}}
	} else {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA512, Value: d.Hex()}}
	}
	return p
}

func purlReference(purl string) []*v2_3.PackageExternalReference {
	return []*v2_3.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl}}
}

// sourceInfo says in a sentence where a package was found.
func sourceInfo(f inventory.Found) string {
	if f.Format == Claim {
		return "claimed by the SBOM " + f.Path
	}
	info := "found by its " + f.Format + " file " + f.Path
	if f.Type.System() && (f.Source != f.Name || f.SourceVersion != f.Version) {
		info += ", built from " + f.Source + " " + f.SourceVersion
	}
	return info
}

func annotations(c scan.Contents, facts []fact) []v2_3.Annotation {
	if len(facts) == 0 {
		return nil
	}
	lines := make([]string, len(facts))
	for i, f := range facts {
		lines[i] = f.key + ": " + strings.Join(strings.Fields(f.value), " ")
	}
	name, version := tool(c)
	return []v2_3.Annotation{{
		Annotator:      common.Annotator{AnnotatorType: "Tool", Annotator: name + "-" + version},
		AnnotationType: "OTHER", AnnotationDate: timestamp(c), AnnotationComment: strings.Join(lines, "\n"),
	}}
}
