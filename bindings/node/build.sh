#!/usr/bin/env bash
# Builds the native half beside this file: ./build.sh [dev|release]
set -euo pipefail
cd "$(dirname "$0")"

profile=${1:-dev}
case $profile in
  dev) folder=debug ;;
  release) folder=release ;;
  *) echo "usage: build.sh [dev|release]" >&2; exit 2 ;;
esac

root=../..
cargo build --manifest-path "$root/Cargo.toml" -p instar-node --profile "$profile"

built=${CARGO_TARGET_DIR:-$root/target}/$folder/libinstar_node.so
target=instar.linux-$(node -p process.arch)-gnu.node
# To another name first: a process that has the old one mapped must not see it change.
cp "$built" "$target.new"
if [ "$profile" = release ]; then strip --strip-unneeded "$target.new"; fi
mv "$target.new" "$target"
echo "built $target ($profile)"
