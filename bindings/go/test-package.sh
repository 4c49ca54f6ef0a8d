#!/usr/bin/env bash
# Uses the package as a user does: a module of its own, far from this repository, which gets it from a module proxy.
#
#   bindings/go/test-package.sh [release|dev]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

"$here/package.sh" "${1:-dev}" "$work/dist"

# A module proxy is a folder: https://go.dev/ref/mod#goproxy-protocol
served=$work/proxy/github.com/instar-runtime/instar-go/@v
mkdir -p "$served"
cp "$work/dist/instar-go-$version.zip" "$served/v$version.zip"
cp "$here/go.mod" "$served/v$version.mod"
echo "{\"Version\":\"v$version\",\"Time\":\"2026-01-01T00:00:00Z\"}" >"$served/v$version.info"
echo "v$version" >"$served/list"

mkdir "$work/user"
cd "$work/user"
export GOPROXY="file://$work/proxy" GONOSUMDB='*' GOSUMDB=off GOFLAGS=-mod=mod GOMODCACHE="$work/cache" CGO_ENABLED=1
# The program of README.md.
awk '/^```go$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$here/README.md" >main.go
go mod init example.com/user >/dev/null 2>&1
go get "github.com/instar-runtime/instar-go@v$version"
said=$(go run .)
echo "the user's program says: $said"
[ "$said" = "42 <nil>" ]
