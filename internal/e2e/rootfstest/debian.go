package rootfstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// queryFormat is what dpkg-query is to say of each package (dpkg-query(1)).
const queryFormat = `${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${db:Status-Status}\n`

// installed is what apt installs in the second layer. It has most of what a small image of Python is made of, and libraries that have
// had many vulnerabilities.
var installed = []string{"python3-minimal", "python3-requests", "openssl", "curl", "libxml2", RemovedPackage}

// makeDebian makes the layers Base, Packages and Removed in done, out of a root file system at root.
func makeDebian(root, done string) error {
	if err := run("debootstrap", "--variant=minbase", suite, root, mirror); err != nil {
		return err
	}
	before, err := takeSnapshot(root)
	if err != nil {
		return err
	}
	base, err := step(root, done, Base, nil, before)
	if err != nil {
		return err
	}
	if err := inChroot(root, "apt-get", append([]string{"install", "-y"}, installed...)...); err != nil {
		return err
	}
	after, err := takeSnapshot(root)
	if err != nil {
		return err
	}
	packages, err := step(root, done, Packages, before, after)
	if err != nil {
		return err
	}
	if err := inChroot(root, "apt-get", "purge", "-y", "--autoremove", RemovedPackage); err != nil {
		return err
	}
	last, err := takeSnapshot(root)
	if err != nil {
		return err
	}
	removed, err := step(root, done, Removed, after, last, "opt/shop/node_modules/.wh."+RemovedNodePackage)
	if err != nil {
		return err
	}
	return writeLayers(done, base, packages, removed)
}

// step writes what has changed as a layer, and what dpkg has to say.
func step(root, done, name string, before, after snapshot, whiteouts ...string) (Layer, error) {
	query := exec.Command("chroot", root, "dpkg-query", "-W", "-f", queryFormat) //nolint:noctx // it is quick
	out, err := query.Output()
	if err != nil {
		return Layer{}, fmt.Errorf("dpkg-query: %w", err)
	}
	if err := os.WriteFile(filepath.Join(done, name+".dpkg-query"), out, 0o600); err != nil {
		return Layer{}, err
	}
	return writeLayer(done, name, func(w *layerWriter) error { return w.difference(root, before, after, whiteouts) })
}

// inChroot runs apt there, without questions and without the packages that are only recommended.
func inChroot(root, program string, args ...string) error {
	all := append([]string{
		"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "chroot", root,
		program, "-q", "-o", "APT::Sandbox::User=root", "-o", "APT::Install-Recommends=false", "-o", "Dpkg::Use-Pty=0",
	}, args...)
	return run("env", all...)
}

func run(program string, args ...string) error {
	out, err := exec.Command(program, args...).CombinedOutput() //nolint:noctx // the test's own deadline ends it
	if err != nil {
		return fmt.Errorf("%w: %s: %w\n%s", errLacking, program, err, out[max(0, len(out)-2000):])
	}
	return nil
}
