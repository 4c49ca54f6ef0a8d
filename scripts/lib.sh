# What the machine has. Sourced by the other scripts; each function says why not, if not.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# at_least WANTED FOUND: whether a dotted version is new enough.
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

has_python() {
    command -v python3 >/dev/null || { echo "no python3 (install CPython 3.11 or newer)"; return 1; }
    local version
    version=$(python3 -c 'import platform; print(platform.python_version())')
    at_least 3.11 "$version" || { echo "python3 is $version (3.11 or newer is needed)"; return 1; }
    python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "python3 has no venv (install python3-venv)"; return 1; }
}

has_node() {
    command -v node >/dev/null && command -v npm >/dev/null || { echo "no node or npm (install Node.js 20 or newer)"; return 1; }
    at_least 20 "$(node -p process.versions.node)" || { echo "node is $(node -v) (20 or newer is needed)"; return 1; }
}

has_dotnet() {
    if command -v dotnet >/dev/null && at_least 10 "$(dotnet --version 2>/dev/null)"; then return 0; fi
    [ -x "$root/../shared/dotnet/setup" ] || { echo "no dotnet (install the .NET SDK 10)"; return 1; }
}

has_go() {
    command -v go >/dev/null || { echo "no go (install Go 1.26 or newer)"; return 1; }
    local version
    version=$(go env GOVERSION)
    at_least 1.26 "${version#go}" || { echo "go is ${version#go} (1.26 or newer is needed)"; return 1; }
    command -v cc >/dev/null || { echo "no C compiler for cgo (install gcc or clang)"; return 1; }
}
