package cli_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	ggcr "github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// Commands for scans:
//
//	pushfiles DIR REPO TAG FROM DIR…  push an image whose layers are these directories, on top of the image FROM, REPO:TAG, or of none: -
//	osvzip DIR                        make each directory in it an export of OSV's, all.zip
//	scannedby DIR REPO TAG STATUS     wait until the scan of an image has that status

func pushFiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: pushfiles DIR REPO TAG FROM DIR...")
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, ggcr.OCIManifestSchema1), ggcr.OCIConfigJSON)
	if args[3] != "-" {
		repository, tag, _ := strings.Cut(args[3], ":")
		ref, login := pushTo(ts, args[0], repository, tag)
		var err error
		image, err = remote.Image(ref, login)
		ts.Check(err)
	}
	for _, dir := range args[4:] {
		layer := static.NewLayer(tarOf(ts, ts.MkAbs(dir)), ggcr.OCIUncompressedLayer)
		var err error
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "COPY " + dir + " /"}})
		ts.Check(err)
	}
	file, err := image.ConfigFile()
	ts.Check(err)
	file.OS, file.Architecture = "linux", "amd64"
	image, err = mutate.ConfigFile(image, file)
	ts.Check(err)
	ref, login := pushTo(ts, args[0], args[1], args[2])
	ts.Check(remote.Write(ref, image, login))
}

// tarOf is a directory's files.
func tarOf(ts *testscript.TestScript, dir string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return w.WriteHeader(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755})
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, write := 0, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))})
		if write == nil {
			_, write = w.Write(text)
		}
		return write
	}))
	ts.Check(w.Close())
	return b.Bytes()
}

func osvZip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: osvzip DIR")
	}
	exports, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*", "*.json"))
	ts.Check(err)
	archives := map[string]*bytes.Buffer{}
	writers := map[string]*zip.Writer{}
	for _, name := range exports {
		dir := filepath.Dir(name)
		if archives[dir] == nil {
			archives[dir] = &bytes.Buffer{}
			writers[dir] = zip.NewWriter(archives[dir])
		}
		text, err := os.ReadFile(name)
		ts.Check(err)
		w, err := writers[dir].Create(filepath.Base(name))
		ts.Check(err)
		_, err = w.Write(text)
		ts.Check(err)
	}
	for dir, w := range writers {
		ts.Check(w.Close())
		ts.Check(os.WriteFile(filepath.Join(dir, "all.zip"), archives[dir].Bytes(), 0o600))
	}
}

func scannedBy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: scannedby DIR REPO TAG STATUS")
	}
	client, _ := connect(ts, args[0])
	last := ""
	for range 600 {
		out, err := client.DescribeImageScanFindings(context.Background(), &ecr.DescribeImageScanFindingsInput{
			RepositoryName: &args[1], ImageId: &types.ImageIdentifier{ImageTag: &args[2]},
		})
		if _, ok := errors.AsType[*types.ScanNotFoundException](err); !ok {
			ts.Check(err)
		}
		if err == nil && out.ImageScanStatus != nil {
			if last = string(out.ImageScanStatus.Status) + ": " + aws.ToString(out.ImageScanStatus.Description); string(out.ImageScanStatus.Status) == args[3] {
				return
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	ts.Fatalf("the scan is %s", last)
}
