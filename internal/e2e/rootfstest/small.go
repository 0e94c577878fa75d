package rootfstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// apkPackage is a package of the Alpine image: of Alpine 3.11, of which there are advisories in the sample.
type apkPackage struct {
	Name, Version, Origin string
	Dir                   string
	Files                 []string
}

// APK is what the Alpine image has.
var APK = []apkPackage{
	{"musl", "1.1.24-r0", "musl", "lib", []string{"ld-musl-x86_64.so.1"}},
	{"busybox", "1.31.1-r8", "busybox", "bin", []string{"busybox", "sh"}},
	{"libcrypto1.1", "1.1.1d-r2", "openssl", "lib", []string{"libcrypto.so.1.1"}},
	{"libssl1.1", "1.1.1d-r2", "openssl", "lib", []string{"libssl.so.1.1"}},
	{"libcurl", "7.65.3-r0", "curl", "usr/lib", []string{"libcurl.so.4"}},
	{"zlib", "1.2.11-r3", "zlib", "lib", []string{"libz.so.1"}},
}

// Alpine makes an image like Alpine's: an os-release, apk's database of APK, the files that it lists, of no content. It has two layers,
// of which the second brings a Python package of its own.
func Alpine(tb testing.TB) v1.Image {
	tb.Helper()
	return small(tb, alpineFiles(), map[string]string{
		"app/Django-3.2.4.dist-info/METADATA": "Metadata-Version: 2.1\nName: Django\nVersion: 3.2.4\n",
	})
}

func alpineFiles() map[string]string {
	files := map[string]string{
		"etc/os-release": "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.11.2\nPRETTY_NAME=\"Alpine Linux v3.11\"\n",
	}
	var db strings.Builder
	for _, p := range APK {
		fmt.Fprintf(&db, "C:Q1tSkotDuUTVQC0VlOZBd4nxxRFTg=\nP:%s\nV:%s\nA:x86_64\nT:a package\no:%s\nF:%s\n", p.Name, p.Version, p.Origin, p.Dir)
		for _, name := range p.Files {
			fmt.Fprintf(&db, "R:%s\na:0:0:755\n", name)
			files[p.Dir+"/"+name] = ""
		}
		db.WriteString("\n")
	}
	files["lib/apk/db/installed"] = db.String()
	return files
}

// Distroless makes an image that has no dpkg, but a file of each package's as dpkg would know it.
func Distroless(tb testing.TB) v1.Image {
	tb.Helper()
	return small(tb, map[string]string{
		"etc/os-release":                       "PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"12\"\n",
		"var/lib/dpkg/status.d/base":           "Package: base-files\nVersion: 12.4+deb12u5\nArchitecture: amd64\nMaintainer: nobody\n",
		"var/lib/dpkg/status.d/libssl3":        "Package: libssl3\nSource: openssl\nVersion: 3.0.9-1\nArchitecture: amd64\n",
		"var/lib/dpkg/status.d/libc6":          "Package: libc6\nSource: glibc\nVersion: 2.36-9\nArchitecture: amd64\n",
		"var/lib/dpkg/status.d/base.md5sums":   "d41d8cd98f00b204e9800998ecf8427e  usr/share/base-files/profile\n",
		"usr/share/base-files/profile":         "",
		"usr/lib/x86_64-linux-gnu/libssl.so.3": "",
	})
}

// small makes an image of layers that are given by their files.
func small(tb testing.TB, layers ...map[string]string) v1.Image {
	tb.Helper()
	dir := tb.TempDir()
	var made []Layer
	var lines []history
	for i, files := range layers {
		layer, err := writeLayer(dir, fmt.Sprintf("layer%d", i), func(w *layerWriter) error {
			for _, name := range slices.Sorted(maps.Keys(files)) {
				if err := w.file(name, 0o755, []byte(files[name])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
		made = append(made, layer)
		lines = append(lines, history{fmt.Sprintf("COPY layer%d / # buildkit", i), true})
	}
	oci, _, err := images(made, lines)
	if err != nil {
		tb.Fatal(err)
	}
	return oci
}
