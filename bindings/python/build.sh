#!/usr/bin/env bash
# Builds the wheel into dist/ and installs it, with the tools of the tests, in target/venv-python.
#
#   bindings/python/build.sh [dev|release]      dev (the default) has debug assertions
set -euo pipefail

profile=${1:-dev}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/target/venv-python
python=${PYTHON:-python3}
tools=(maturin==1.16.0 pytest==9.2.0 mypy==2.4.1)

case $profile in
    dev) options=(--profile dev) ;;
    release) options=(--profile release --strip) ;;
    *) echo "usage: build.sh [dev|release]" >&2; exit 2 ;;
esac

if [[ ! -x $venv/bin/python ]]; then
    "$python" -m venv "$venv"
fi
if [[ $(cat "$venv/tools" 2>/dev/null || true) != "${tools[*]}" ]]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${tools[@]}"
    echo "${tools[*]}" >"$venv/tools"
fi

cd "$here"
rm -rf dist
CARGO_TARGET_DIR=$root/target "$venv/bin/maturin" build --quiet --interpreter "$venv/bin/python" --out dist "${options[@]}"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall dist/*.whl
echo "built and installed $(basename dist/*.whl) ($profile)"
