#!/bin/sh
# Makes etcd, kube-apiserver and kube-controller-manager in a directory, for the tests of deploy targets that ask for a real API server:
#
#   tools/kubernetes.sh DIR && BERTH_TEST_KUBERNETES=DIR go test ./internal/pipeline/target/kubernetes
#
# Kubernetes is built from the Go module proxy, which takes a quarter of an hour on an idle machine of two cores, once. etcd is Debian's,
# unpacked and not installed. What is there already is left as it is.
set -eu

version=v1.37.2
modules=v0.37.2 # of what Kubernetes' own go.mod replaces by directories of its repository

dir=${1:?usage: tools/kubernetes.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

if ! [ -x "$dir/etcd" ]; then
	apt-get download etcd-server >/dev/null
	dpkg -x etcd-server*.deb .
	cp usr/bin/etcd "$dir/etcd"
fi

printf 'module kubernetes\ngo 1.26.0\nrequire k8s.io/kubernetes %s\n' "$version" >go.mod
go mod download "k8s.io/kubernetes@$version"
sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/.*|replace \1 => \1 '"$modules"'|p' \
	"$(go env GOMODCACHE)/k8s.io/kubernetes@$version/go.mod" >>go.mod
cat >programs.go <<'END'
//go:build programs

package programs

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
END
go mod tidy

for program in kube-apiserver kube-controller-manager; do
	if ! [ -x "$dir/$program" ]; then
		go build -trimpath -ldflags='-s -w' -o "$dir/$program" "k8s.io/kubernetes/cmd/$program"
	fi
done
