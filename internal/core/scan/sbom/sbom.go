// Package sbom writes what an image has installed as SPDX and CycloneDX documents, attaches them to images where the registry is told
// to, and reads those that others have attached.
//
// A document says more than most do: which layer brought a package, by which instruction, in which file it stands, and what is of the
// base image. It is the same, byte for byte, however often it is written of the same inventory.
package sbom

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Format is a format of documents.
type Format string

// The formats, both as JSON: SPDX 2.3 and CycloneDX 1.6.
const (
	FormatSPDX      Format = "spdx"
	FormatCycloneDX Format = "cyclonedx"
)

// Formats are all of them.
func Formats() []Format { return []Format{FormatCycloneDX, FormatSPDX} }

// Media types of documents, which are also the artifact types of those that refer to an image.
const (
	TypeSPDX      = "application/spdx+json"
	TypeCycloneDX = "application/vnd.cyclonedx+json"
)

// MediaType gives the type of documents of a format.
func (f Format) MediaType() string {
	if f == FormatSPDX {
		return TypeSPDX
	}
	return TypeCycloneDX
}

// Write writes a document of a format, or answers fault.InvalidParameter for one that there is not.
func Write(w io.Writer, f Format, c scan.Contents) error {
	switch f {
	case FormatSPDX:
		return SPDX(w, c)
	case FormatCycloneDX:
		return CycloneDX(w, c)
	}
	return fault.BadParameter("format", fmt.Sprintf("Member must be one of %v", Formats()))
}

const (
	// noAssertion is SPDX's word for what nobody has looked at.
	noAssertion = "NOASSERTION"
	// maxInstruction bounds an instruction that is told with a package, in bytes; many packages have the same.
	maxInstruction = 200
)

// name is who writes documents: the program, with the revision of its extractors.
func tool(c scan.Contents) (name, version string) { return "berth", strconv.Itoa(c.Revision) }

// serial names a document: the same for the same image, revision and format.
func serial(c scan.Contents, f Format) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "berth:sbom:%s:%d:%s", c.Image.Digest, c.Revision, f))
}

func timestamp(c scan.Contents) string { return c.ScannedAt.UTC().Format(time.RFC3339) }

// imagePURL names an image (purl-spec, oci). Which registry it is in is left out: the document is true of the image wherever it is.
func imagePURL(repository string, d oci.Digest) string {
	name := repository[strings.LastIndexByte(repository, '/')+1:]
	return "pkg:oci/" + strings.ToLower(name) + "@" + strings.ReplaceAll(d.String(), ":", "%3A")
}

// fact is a thing that is known of a package besides what the formats have members for.
type fact struct{ key, value string }

// facts lists what is known of a package, the empty ones left out.
func facts(c scan.Contents, f inventory.Found) []fact {
	list := []fact{
		{"format", f.Format},
		{"path", f.Path},
		{"source", f.Source},
		{"sourceVersion", f.SourceVersion},
		{"ecosystem", strings.TrimSuffix(f.Ecosystem+":"+f.Release, ":")},
	}
	if f.Format == Claim {
		list = append(list, fact{"claimed", "true"})
	} else {
		list = append(list, fact{"layer:index", strconv.Itoa(f.Layer)})
		if f.Layer >= 0 && f.Layer < len(c.Layers) {
			l := c.Layers[f.Layer]
			list = append(list, fact{"layer:diffId", l.DiffID.String()}, fact{"layer:digest", l.Digest.String()}, fact{"layer:instruction", clip(l.Instruction)})
		}
		if c.Base != nil && f.Layer < c.Base.Layers {
			list = append(list, fact{"fromBase", "true"})
		}
	}
	if f.Owned {
		list = append(list, fact{"ownedBySystemPackage", "true"})
	}
	told := list[:0]
	for _, f := range list {
		if f.value != "" {
			told = append(told, f)
		}
	}
	return told
}

// layers lists what is known of an image's layers, in whole.
func layers(c scan.Contents) []fact {
	var list []fact
	for i, l := range c.Layers {
		at := "layer:" + strconv.Itoa(i) + ":"
		list = append(list, fact{at + "diffId", l.DiffID.String()}, fact{at + "digest", l.Digest.String()})
		if l.Instruction != "" {
			list = append(list, fact{at + "instruction", strings.ToValidUTF8(l.Instruction, "\uFFFD")})
		}
	}
	for _, p := range c.Inventory.Problems {
		list = append(list, fact{"problem", strings.ToValidUTF8(p, "\uFFFD")})
	}
	return list
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxInstruction {
		return s
	}
	return strings.ToValidUTF8(s[:maxInstruction], "") + "…"
}
