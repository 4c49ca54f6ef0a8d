#!/usr/bin/env bash
# Compiles the hello example ahead of time (NativeAOT) and compares what it prints.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../environment.sh"
# An empty property in the project does not win over the SDK's default for the linker; one on the command line does.
dotnet publish "$here" -v quiet -nologo -p:InstarVersion="$INSTAR_VERSION" -p:LinkerFlavor= -o "$here/bin/publish"
diff "$here/../../examples/Hello/expected.txt" <("$here/bin/publish/AotTest")
