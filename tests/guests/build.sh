#!/usr/bin/env bash
# Builds the guests: build.sh [OUTPUT_FOLDER [PART...]], by default the plugins, to target/guests under the repository root.
#
#   plugins                 markdown json misbehave, and wat/
#   kernels                 one hot loop each
#   lua sqlite simd go big  programs; big is the largest
#   all                     all of these
#
# With NATIVE=1 the kernels and programs are also built for this machine, to OUTPUT_FOLDER/native.
# What is newer than its sources is left alone. Exit code 3: no compiler, and no way to get one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${1:-$here/../../target/guests}
parts=("${@:2}")
[ ${#parts[@]} -gt 0 ] || parts=(plugins)
read -ra cc <<<"${CC:-cc}"

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

# install PACKAGE...: where that is possible without asking.
install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "build.sh: installing $*" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1 || true
    hash -r
}

need_tools() {
    find_tools && return
    if install clang lld && find_tools; then return; fi
    cat >&2 <<'EOF'
build.sh: the guests need clang (14 or newer) and wasm-ld. Install them:
  Debian, Ubuntu   apt-get install clang lld
  Fedora           dnf install clang lld
  Arch             pacman -S clang lld
  macOS            brew install llvm lld     (and put $(brew --prefix llvm)/bin in front of PATH)
EOF
    exit 3
}

# Where the C library for WASI is, if not where clang looks by itself: WASI_SYSROOT=FOLDER.
wasi_flags=(--target=wasm32-wasi ${WASI_SYSROOT:+--sysroot="$WASI_SYSROOT"})

# Whether a program can be linked: that takes headers, the C library, and the builtins of the compiler.
can_link_wasi() {
    echo '#include <stdio.h>
int main(void) { return puts("") + (int)(__int128)1; }' | "$clang" "${wasi_flags[@]}" -x c - -o /dev/null 2>/dev/null
}

need_wasi() {
    need_tools
    can_link_wasi && return
    if install wasi-libc libclang-rt-dev-wasm32 && can_link_wasi; then return; fi
    cat >&2 <<'EOF'
build.sh: Lua, SQLite and simd need a C library for WASI and the compiler's builtins for wasm32. Install them:
  Debian, Ubuntu   apt-get install wasi-libc libclang-rt-dev-wasm32
  Fedora           dnf install wasi-libc-static compiler-rt-wasm32
  Arch             pacman -S wasi-libc wasi-compiler-rt
  elsewhere        unpack a wasi-sdk, and set PATH and WASI_SYSROOT to it
EOF
    exit 3
}

need_go() {
    command -v go >/dev/null && return
    if [ -x /usr/local/go/bin/go ]; then
        PATH=$PATH:/usr/local/go/bin
        return
    fi
    echo "build.sh: the Go guests need Go 1.24 or newer: https://go.dev/dl" >&2
    exit 3
}

# sources_of CRATE: the folder of a crate's sources. cargo fetches them when they are not there.
sources_of() {
    local crate=$1 folder
    folder=$(cargo metadata --quiet --locked --format-version 1 --manifest-path "$here/sources/Cargo.toml" |
        tr ',' '\n' | sed -n "s|.*\"manifest_path\":\"\(.*/$crate-[0-9][^/]*\)/Cargo.toml\".*|\1|p")
    if [ ! -d "$folder" ]; then
        echo "build.sh: cargo does not tell where the sources of the crate $crate are" >&2
        exit 1
    fi
    echo "$folder"
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

# in_scratch OUTPUT FUNCTION ARGUMENT...: calls the function, which makes `$scratch/out`, and moves that to OUTPUT.
in_scratch() {
    local target=$1
    shift
    mkdir -p "${target%/*}"
    scratch=$(mktemp -d "$output/.build.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$scratch'" EXIT
    "$@"
    mv -f "$scratch/out" "$target"
    rm -rf "$scratch"
    trap - EXIT
    echo "built ${target#"$output/"} ($(wc -c <"$target" | tr -d ' ') bytes)"
}

kernels=(fib sieve matrix sha256 mandelbrot json_parse)

kernel_wasm() {
    need_tools
    "$clang" "${target_flags[@]}" -mnontrapping-fptoint "${compile_flags[@]}" -c "$here/kernels/$1.c" -o "$scratch/kernel.o"
    "$linker" "${link_flags[@]}" "$scratch/kernel.o" -o "$scratch/out"
}

kernel_native() {
    "${cc[@]}" -std=gnu11 -O2 -ffp-contract=off -Wall -Wextra -Wshadow -Werror "$here/native/kernel.c" "$here/kernels/$1.c" -o "$scratch/out"
}

build_kernels() {
    local kernel
    local headers=("$here/kernels/kernel.h" "$here/lib/types.h" "$here/build.sh")
    for kernel in "${kernels[@]}"; do
        is_fresh "$output/$kernel.wasm" "$here/kernels/$kernel.c" "${headers[@]}" ||
            in_scratch "$output/$kernel.wasm" kernel_wasm "$kernel"
        [ "${NATIVE:-}" = 1 ] || continue
        is_fresh "$output/native/$kernel" "$here/kernels/$kernel.c" "$here/native/kernel.c" "${headers[@]}" ||
            in_scratch "$output/native/$kernel" kernel_native "$kernel"
    done
}

# Of a program: what every language feature that compilers use by default today is worth, and no more.
program_flags=(-std=gnu11 -O2 -ffp-contract=off)
program_target_flags=(-mbulk-memory -msign-ext -mmutable-globals -mnontrapping-fptoint -ftls-model=local-exec)

# What a program in C is made of, set by the function `describe_NAME`:
ours=() theirs=() own_flags=() flags=() native_flags=() libraries=() stack_bytes=0

describe_lua() {
    local folder source
    folder=$(sources_of lua-src)/lua-5.4.9
    ours=("$here/lua/guest.c")
    theirs=()
    for source in "$folder"/l*.c; do
        # Left out: the list of all libraries, loading of modules, and the libraries debug and coroutine.
        case ${source##*/} in linit.c | loadlib.c | ldblib.c | lcorolib.c) ;; *) theirs+=("$source") ;; esac
    done
    flags=(-include "$here/lua/config.h" -I"$folder")
    own_flags=(-I"$here/lua/include" -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS)
    native_flags=()
    libraries=(-lwasi-emulated-signal -lwasi-emulated-process-clocks)
    stack_bytes=1048576
}

describe_sqlite() {
    local folder
    folder=$(sources_of libsqlite3-sys)/sqlite3
    ours=("$here/sqlite/guest.c" "$here/sqlite/system.c")
    theirs=("$folder/sqlite3.c")
    flags=(-include "$here/sqlite/config.h" -I"$folder")
    own_flags=()
    native_flags=()
    libraries=()
    stack_bytes=524288
}

describe_simd() {
    ours=("$here"/simd/*.c)
    theirs=()
    flags=()
    own_flags=(-msimd128)
    native_flags=(-I"$here/native")
    libraries=()
    stack_bytes=262144
}

# Links the sources that `compile` compiles.
program_wasm() {
    local source objects=()
    need_wasi
    local all=("${wasi_flags[@]}" "${program_flags[@]}" "${program_target_flags[@]}" "${own_flags[@]}" "${flags[@]}")
    for source in "${ours[@]}" "$here/lib/command.c" "${theirs[@]}"; do
        local object=$scratch/${#objects[@]}.o warnings=(-Wall -Wextra -Werror)
        # Warnings in what is not ours are not ours to fix.
        case " ${theirs[*]:-} " in *" $source "*) warnings=(-w) ;; esac
        "$clang" "${all[@]}" "${warnings[@]}" -c "$source" -o "$object"
        objects+=("$object")
    done
    "$clang" "${wasi_flags[@]}" -nostartfiles "-Wl,--stack-first,-z,stack-size=$stack_bytes,--strip-debug" "${objects[@]}" \
        "${libraries[@]}" -o "$scratch/out"
}

program_native() {
    "${cc[@]}" "${program_flags[@]}" "${flags[@]}" "${native_flags[@]}" -w "${ours[@]}" "$here/lib/command.c" "${theirs[@]}" \
        -o "$scratch/out" -lm
}

# build_program NAME: a C program for WASI.
build_program() {
    local name=$1
    local tracked=("$here/$name"/*.[ch] "$here/lib"/command.* "$here/lib/guest.h" "$here/sources/Cargo.lock" "$here/build.sh")
    if ! is_fresh "$output/$name.wasm" "${tracked[@]}"; then
        "describe_$name"
        in_scratch "$output/$name.wasm" program_wasm
    fi
    [ "${NATIVE:-}" = 1 ] || return 0
    if ! is_fresh "$output/native/$name" "${tracked[@]}" "$here/native/wasm_simd128.h"; then
        "describe_$name"
        in_scratch "$output/native/$name" program_native
    fi
}

go_program() {
    (cd "$here/go" && CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local GOWORK=off \
        env "${@:2}" go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$scratch/out" "./$1")
}

# build_go NAME FOLDER
build_go() {
    local name=$1 tracked=("$here/go/$2"/*.go "$here/go/go.mod" "$here/build.sh")
    need_go
    is_fresh "$output/$name.wasm" "${tracked[@]}" || in_scratch "$output/$name.wasm" go_program "$2" GOOS=wasip1 GOARCH=wasm
    [ "${NATIVE:-}" = 1 ] || return 0
    is_fresh "$output/native/$name" "${tracked[@]}" || in_scratch "$output/native/$name" go_program "$2"
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

build_plugins() {
    local lib=$here/lib
    local base=("$lib/alloc.c" "$lib/bytes.c" "$lib/heap_wasm.c")
    build markdown "${base[@]}" "$lib/array.c" "$lib/buffer.c" "$lib/utf8.c"
    build json "${base[@]}" "$lib/buffer.c" "$lib/utf8.c"
    build misbehave "${base[@]}"
    build_with_dwarf 4 backtrace
    build_with_dwarf 5 backtrace
    copy_wat
}

mkdir -p "$output"
output=$(cd "$output" && pwd)
for part in "${parts[@]}"; do
    case $part in
    plugins) build_plugins ;;
    kernels) build_kernels ;;
    lua | sqlite | simd) build_program "$part" ;;
    go) build_go go ordinary ;;
    big) build_go big big ;;
    all)
        build_plugins
        build_kernels
        for program in lua sqlite simd; do build_program "$program"; done
        build_go go ordinary
        build_go big big
        ;;
    *)
        echo "build.sh: no part '$part'; there are: plugins kernels lua sqlite simd go big all" >&2
        exit 2
        ;;
    esac
done
