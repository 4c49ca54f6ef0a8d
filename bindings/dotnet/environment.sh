# To be sourced by the scripts beside it: dotnet 10 on PATH, and INSTAR_VERSION from the repository's Cargo.toml.
_dotnet_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
_repository=$(cd "$_dotnet_folder/../.." && pwd)

_dotnet_major=$(dotnet --version 2>/dev/null | cut -d. -f1 || true)
if [ "${_dotnet_major:-0}" -lt 10 ]; then
    _setup=$_repository/../shared/dotnet/setup
    if [ ! -x "$_setup" ]; then
        echo "the .NET SDK 10 is needed: neither is dotnet on PATH, nor is ../shared/dotnet/setup beside the checkout" >&2
        exit 1
    fi
    eval "$("$_setup")"
fi

INSTAR_VERSION=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$_repository/Cargo.toml")
export INSTAR_VERSION
