#!/bin/sh
# Installs the tools of versions.txt that are missing, or there in another version, into $TOOLS.
#
#   tools/install.sh              all but the optional
#   tools/install.sh crane oras   these
set -eu

here=$(dirname "$0")
: "${TOOLS:=${HOME:-}/.cache/berth-tools}"
mkdir -p "$TOOLS"
TOOLS=$(cd "$TOOLS" && pwd)

# current tells whether a program was built from this package in this version.
current() { # file package version
	[ -x "$1" ] && go version -m "$1" 2>/dev/null |
		awk -v package="$2" -v version="$3" '
			$1 == "path" && $2 == package { path = 1 }
			($1 == "mod" || $1 == "dep") && index(package, $2) == 1 && $3 == version { mod = 1 }
			END { exit !(path && mod) }'
}

# wanted tells whether a tool is asked for.
wanted() { # name kind names...
	name=$1 kind=$2
	shift 2
	case $#-$kind in
	0-*optional) ;;
	0-*) return 0 ;;
	esac
	for n in "$@"; do
		[ "$n" != "$name" ] || return 0
	done
	return 1
}

# build makes a tool whose module replaces or excludes others, which go install refuses: as what a module for the
# moment depends on, for which neither counts.
build() { # file package version
	scratch=$(mktemp -d)
	if (
		cd "$scratch"
		export GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0
		go mod init moment && go get "$2@$3" && go build -trimpath -o "$1" "$2"
	) </dev/null; then
		rm -rf "$scratch"
	else
		rm -rf "$scratch"
		return 1
	fi
}

known=""
while read -r package version kind name; do
	case $package in '' | '#'*) continue ;; esac
	: "${name:=${package##*/}}"
	known="$known $name "
	wanted "$name" "$kind" "$@" || continue
	if ! current "$TOOLS/$name" "$package" "$version"; then
		echo "installing $name $version in $TOOLS" >&2
		case $kind in
		module*) build "$TOOLS/$name" "$package" "$version" ;;
		*) GOBIN=$TOOLS GOFLAGS= CGO_ENABLED=0 go install -trimpath "$package@$version" </dev/null ;;
		esac
	fi
done <"$here/versions.txt"

for n in "$@"; do
	case $known in
	*" $n "*) ;;
	*)
		echo "tools/install.sh: $n is not in versions.txt" >&2
		exit 2
		;;
	esac
done
