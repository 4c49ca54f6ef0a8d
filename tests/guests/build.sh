#!/usr/bin/env bash
# Builds the guests: build.sh [OUTPUT_FOLDER], by default target/guests under the repository root.
#
# What is newer than its sources is left alone. Exit code 3: no compiler, and no way to get one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${1:-$here/../../target/guests}

# The oldest features that make sense: every runtime has them, and clang of any version obeys.
target_flags=(--target=wasm32 -mcpu=mvp -msign-ext -mbulk-memory -mmutable-globals)
compile_flags=(-std=gnu11 -O2 -ffreestanding -fvisibility=hidden -Wall -Wextra -Wshadow -Werror)
# The stack comes first: a guest that exhausts it runs into address 0 and traps, and its data stay whole.
link_flags=(--no-entry --stack-first -z stack-size=65536 --gc-sections)
debug_flags=() strip_flags=(--strip-debug)

# The first of a tool's names that exists; versions from new to old.
find_tool() {
    local name version
    for name in "$1" $(for version in $(seq 30 -1 14); do echo "$1-$version"; done); do
        if command -v "$name"; then return 0; fi
    done
    return 1
}

find_tools() {
    clang=$(find_tool clang) && linker=$(find_tool wasm-ld)
}

need_tools() {
    find_tools && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "build.sh: installing clang and lld" >&2
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends clang lld; } >/dev/null 2>&1 || true
        hash -r
        find_tools && return
    fi
    cat >&2 <<'EOF'
build.sh: the guests need clang (14 or newer) and wasm-ld. Install them:
  Debian, Ubuntu   apt-get install clang lld
  Fedora           dnf install clang lld
  Arch             pacman -S clang lld
  macOS            brew install llvm lld     (and put $(brew --prefix llvm)/bin in front of PATH)
EOF
    exit 3
}

# is_fresh OUTPUT SOURCE...: whether OUTPUT exists and no source is newer.
is_fresh() {
    local target=$1 source
    shift
    [ -e "$target" ] || return 1
    for source in "$@"; do
        if [ "$source" -nt "$target" ]; then return 1; fi
    done
}

# build NAME SOURCE...: one guest out of its folder and lib/.
build() {
    local name=$1 built=$output/${built_name:-$1}.wasm sources=() headers=() objects=() source object scratch
    shift
    sources=("$here/$name"/*.c "$@")
    for source in "$here/$name"/*.s; do
        if [ -e "$source" ]; then sources+=("$source"); fi
    done
    headers=("$here/$name"/*.h "$here/lib"/*.h "$here/build.sh")
    if is_fresh "$built" "${sources[@]}" "${headers[@]}"; then return 0; fi

    need_tools
    # In a folder of its own and moved at the end: two builds at once do not see halves of each other.
    scratch=$(mktemp -d "$output/.build-$name.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$scratch'" EXIT
    for source in "${sources[@]}"; do
        object=$scratch/${#objects[@]}-${source##*/}.o
        case $source in
        *.c) "$clang" "${target_flags[@]}" "${compile_flags[@]}" ${debug_flags[@]+"${debug_flags[@]}"} -c "$source" -o "$object" ;;
        *.s) "$clang" "${target_flags[@]}" -c "$source" -o "$object" ;;
        esac
        objects+=("$object")
    done
    "$linker" "${link_flags[@]}" ${strip_flags[@]+"${strip_flags[@]}"} "${objects[@]}" -o "$scratch/guest.wasm"
    mv -f "$scratch/guest.wasm" "$built"
    rm -rf "$scratch"
    trap - EXIT
    echo "built ${built##*/} ($(wc -c <"$built" | tr -d ' ') bytes)"
}

# build_with_dwarf VERSION NAME SOURCE...: one guest as NAME-dwarfVERSION, with its DWARF.
build_with_dwarf() {
    local built_name=$2-dwarf$1 debug_flags=(-g "-gdwarf-$1") strip_flags=()
    shift
    build "$@"
}

copy_wat() {
    local source target
    for source in "$here"/wat/*.wat; do
        target=$output/${source##*/}
        if is_fresh "$target" "$source"; then continue; fi
        cp "$source" "$target.$$"
        mv -f "$target.$$" "$target"
    done
}

mkdir -p "$output"
lib=$here/lib
base=("$lib/alloc.c" "$lib/bytes.c" "$lib/heap_wasm.c")
build markdown "${base[@]}" "$lib/array.c" "$lib/buffer.c" "$lib/utf8.c"
build json "${base[@]}" "$lib/buffer.c" "$lib/utf8.c"
build misbehave "${base[@]}"
build_with_dwarf 4 backtrace
build_with_dwarf 5 backtrace
copy_wat
