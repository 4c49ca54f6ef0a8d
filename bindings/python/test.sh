#!/usr/bin/env bash
# Builds the dev wheel, checks the types, and runs the tests. Ends with pytest's summary.
#
#   bindings/python/test.sh [arguments for pytest]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/../../target/venv-python

"$here/build.sh" dev
cd "$here"
"$venv/bin/python" -m mypy --strict examples tests
"$venv/bin/python" -m mypy.stubtest instar --allowlist tests/stubtest.txt
"$venv/bin/python" -m pytest "$@"
