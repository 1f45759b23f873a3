#!/bin/sh
# Builds everything and runs every test; the last line counts them.
#
#     sh tests/run.sh            warnings as errors, address and thread sanitizers, short fuzzing
#     sh tests/run.sh --fast     warnings as errors only, and only the quick tests
#     sh tests/run.sh --tsan     the thread sanitizer only
#     sh tests/run.sh --sweep    the long crash run; further arguments go to it
#     sh tests/run.sh --planted  plants bugs and shows that the tests find them
set -eu
cd "$(dirname "$0")/.."

jobs=$(nproc)
passed=0
failed=0
skipped=0

# Sanitizers of this age do not start where addresses are spread over more than 28 bits.
spread=$(cat /proc/sys/vm/mmap_rnd_bits 2> /dev/null || echo 28)
tame=
[ "$spread" -le 28 ] || tame="setarch $(uname -m) -R"

# Debian packages for the commands and headers that are not there.
missing_packages() {
    for pair in cmake:cmake ninja:ninja-build gcc:gcc g++:g++ clang:clang \
                clang-format:clang-format pkg-config:pkg-config python3:python3 git:git zstd:zstd nm:binutils; do
        command -v "${pair%%:*}" > /dev/null || echo "${pair#*:}"
    done
    [ -e /usr/include/cmocka.h ] || echo libcmocka-dev
    [ -e /usr/include/xxhash.h ] || echo libxxhash-dev
    [ -e /usr/include/pthread.h ] || echo libc6-dev
    [ -n "$(find -L /usr/lib/llvm* /usr/lib/clang* -name 'libclang_rt.fuzzer*' 2> /dev/null)" ] ||
        echo libclang-rt-dev
}

install_missing() {
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    echo "installing with apt-get: $packages"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null || { echo "that needs root or sudo"; exit 1; }
        sudo=sudo
    fi
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages
}

build() { # preset, target
    echo "== $1: build"
    cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs" --target "$2"
}

# Adds the counts of one ctest run to ours; what ctest could not run counts as failed.
count() { # results.xml, exit status of ctest
    counts=$(python3 - "$1" << 'END'
import sys
import xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().attrib
total, bad = int(suite["tests"]), int(suite["failures"])
skipped = int(suite["skipped"]) + int(suite["disabled"])
print(total - bad - skipped, bad, skipped)
END
    ) || counts="0 1 0"
    set -- "$2" $counts
    [ "$1" -eq 0 ] || [ "$3" -gt 0 ] || set -- "$1" "$2" 1 "$4"
    passed=$((passed + $2))
    failed=$((failed + $3))
    skipped=$((skipped + $4))
}

check() { # preset, target, then arguments of ctest
    preset=$1
    if ! build "$preset" "$2"; then
        echo "== $preset: does not build"
        failed=$((failed + 1))
        return 0
    fi
    shift 2
    echo "== $preset: test"
    results=$PWD/build/$preset/results.xml
    rm -f "$results"
    status=0
    $tame ctest --preset "$preset" -j "$jobs" --output-junit "$results" "$@" || status=$?
    count "$results" "$status"
}

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}

mode=${1:-}
[ -z "$mode" ] || shift
case $mode in
'')
    install_missing
    check werror all
    check asan all -L 'unit|crash|fault|fuzz'
    check tsan all -L concurrency
    check fuzz fuzzers -L fuzz
    finish
    ;;
--fast)
    install_missing
    check werror all -L 'unit|fuzz|tidy'
    finish
    ;;
--tsan)
    install_missing
    check tsan all -L concurrency
    finish
    ;;
--sweep)
    install_missing
    build release sweep
    exec build/release/tests/crash/sweep "$@"
    ;;
--planted)
    install_missing
    exec python3 tests/planted/planted.py "$@"
    ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
