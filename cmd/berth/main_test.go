package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/hoopstat-haus/berth/internal/cli"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/extract/extracttest"
)

// TestMain is the program itself where it is started as a child.
func TestMain(m *testing.M) {
	if _, child := extract.Child(os.Args); child {
		os.Exit(cli.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// TestChild: the program reads a layer when it is started as the server starts it.
func TestChild(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	const content = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u4\n\n"
	if err := w.WriteHeader(&tar.Header{Name: "./var/lib/dpkg/status", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := extracttest.New(t, extract.Config{}).Extract(t.Context(), oci.Descriptor{}, bytes.NewReader(b.Bytes()))
	if err != nil || l.Problem != "" || len(l.Files) != 1 || len(l.Files[0].Packages) != 1 || l.Files[0].Packages[0].Name != "libc6" {
		t.Errorf("Extract = %+v, %v, want libc6", l, err)
	}
}
