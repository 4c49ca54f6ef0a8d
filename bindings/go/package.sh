#!/usr/bin/env bash
# Builds dist/instar-go-<version>.zip: the module with its native library, laid out as a Go module proxy serves it.
#
#   bindings/go/package.sh [release|dev] [folder]     folder: where to put it, dist by default
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
profile=${1:-release} dist=${2:-$here/dist}
case $profile in
release) flags=(--release) folder=release ;;
dev) flags=() folder=debug ;;
*) echo "usage: $0 [release|dev] [folder]" >&2; exit 2 ;;
esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

(cd "$root" && cargo build --quiet "${flags[@]}" -p instar-ffi)
library=$(mktemp)
trap 'rm -f "$library"' EXIT
strip --strip-debug -o "$library" "$target/$folder/libinstar_ffi.a"
mkdir -p "$dist"
cd "$here"
go run ./internal/pack "$version" "$library" "$root/bindings/uniffi/include/instar_ffi.h" "$root/LICENSE" "$dist/instar-go-$version.zip"
ls -l "$dist/instar-go-$version.zip"
