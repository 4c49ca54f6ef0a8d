#!/usr/bin/env bash
# Builds the release wheel, installs it beside wasmtime in a venv of its own, and runs bench.py.
#
#   bindings/python/bench/run.sh        needs tests/guests/build.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/../../../target/venv-python-bench
peer=wasmtime==50.0.1

"$here/../build.sh" release >&2
if [[ ! -x $venv/bin/python ]]; then
    "${PYTHON:-python3}" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$peer"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall "$here"/../dist/*.whl
"$venv/bin/python" "$here/bench.py"
