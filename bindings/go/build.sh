#!/bin/sh
# Builds the native library and puts it where cgo looks for it: lib/<os>_<arch>/.
#
#   bindings/go/build.sh          # dev profile: debug assertions on; what tests use
#   bindings/go/build.sh release  # what demo, bench and packages use
set -eu

profile="${1:-dev}"
case "$profile" in
dev) flags= folder=debug ;;
release) flags=--release folder=release ;;
*) echo "usage: $0 [dev|release]" >&2; exit 2 ;;
esac

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target="${CARGO_TARGET_DIR:-$root/target}"
lib="$here/lib/$(go env GOOS)_$(go env GOARCH)"

(cd "$root" && cargo build $flags -p instar-ffi)
mkdir -p "$lib"
# Only what changed, so that Go's build cache stays good.
cmp -s "$target/$folder/libinstar_ffi.a" "$lib/libinstar_ffi.a" || cp "$target/$folder/libinstar_ffi.a" "$lib/"
cmp -s "$root/bindings/uniffi/include/instar_ffi.h" "$lib/instar_ffi.h" || cp "$root/bindings/uniffi/include/instar_ffi.h" "$lib/"
echo "$profile" >"$lib/profile"
echo "$lib: $profile"
