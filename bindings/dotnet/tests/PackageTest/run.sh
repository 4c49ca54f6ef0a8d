#!/usr/bin/env bash
# Packs what build.sh has built, and runs a project that has nothing but the package, on .NET 8 and 10.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../environment.sh"
rm -rf "$here/obj" "$here/bin"
mkdir -p "$here/obj/feed"
"$here/../../build.sh" "${1:-dev}" pack "$here/obj/feed"
dotnet build "$here" -c Release -v quiet -nologo -p:InstarVersion="$INSTAR_VERSION"
for framework in net8.0 net10.0; do
    seen=$(dotnet "$here/bin/Release/$framework/PackageTest.dll")
    echo "$seen"
    case $seen in "Instar $INSTAR_VERSION on .NET "*) ;; *) echo "expected version $INSTAR_VERSION" >&2; exit 1 ;; esac
done
