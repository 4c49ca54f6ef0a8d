#!/usr/bin/env bash
# Builds the native library for the .NET binding, and packages.
#   build.sh [dev|release]         libinstar_ffi.so to runtimes/linux-x64/native/, where projects and packages take it from
#   build.sh [dev|release] pack    the same, then dist/Instar.<version>.nupkg
#   build.sh ... pack FOLDER       ... to another folder
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
profile=${1:-dev}
case $profile in
    dev) built=debug ;;
    release) built=release ;;
    *) echo "usage: build.sh [dev|release] [pack [FOLDER]]" >&2; exit 2 ;;
esac

cargo build --manifest-path "$root/Cargo.toml" -p instar-ffi --profile "$profile"
mkdir -p "$here/runtimes/linux-x64/native"
# A process that runs with the old file keeps it: replace, do not overwrite.
install -m 644 "${CARGO_TARGET_DIR:-$root/target}/$built/libinstar_ffi.so" "$here/runtimes/linux-x64/native/libinstar_ffi.so.new"
mv -f "$here/runtimes/linux-x64/native/libinstar_ffi.so.new" "$here/runtimes/linux-x64/native/libinstar_ffi.so"

if [ "${2:-}" = pack ]; then
    . "$here/environment.sh"
    dotnet pack "$here/src/Instar" -c Release -v quiet -nologo -p:InstarVersion="$INSTAR_VERSION" -o "${3:-$here/dist}"
    echo "${3:-$here/dist}/Instar.$INSTAR_VERSION.nupkg"
fi
