#!/bin/sh
# Builds the installed release library and the benchmarks against it, and runs them.
#
#     sh bench/run.sh              a quick set, in ten minutes: does anything look wrong?
#     sh bench/run.sh --only NAME  one benchmark in full size; ends within 45 minutes and goes on
#                                  where it stopped when called again
#     sh bench/run.sh --full       everything, for hours; goes on where it stopped; then writes the
#                                  results into docs/
#     sh bench/run.sh --gates      which targets are missing, failed, held by figures of the present
#                                  sources; exits 1 unless all are held
#
# NAME is ycsb, forks, history, commit, recovery, space or small, or the beginning of the name of a
# step, such as ycsb-100B-t1. Databases are made in $BENCH_DIR (build/bench-data). Results are in
# build/bench-results, one file of JSON lines for each step, which counts as long as the sources are
# those that it was made from.
set -eu
cd "$(dirname "$0")/.."

# Debian packages for what is not there. A peer that no package brings is skipped and counts as
# missing.
missing_packages() {
    for pair in cmake:cmake gcc:gcc python3:python3 ninja:ninja-build; do
        command -v "${pair%%:*}" > /dev/null || echo "${pair#*:}"
    done
    for pair in xxhash.h:libxxhash-dev lmdb.h:liblmdb-dev rocksdb/c.h:librocksdb-dev \
                leveldb/c.h:libleveldb-dev sqlite3.h:libsqlite3-dev \
                wiredtiger.h:libwiredtiger-dev; do
        [ -e "/usr/include/${pair%%:*}" ] || echo "${pair#*:}"
    done
    case $mode in --full | --only)
        command -v arm-linux-gnueabihf-gcc > /dev/null ||
            echo "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"
    esac
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
    $sudo apt-get update -qq || echo "apt-get update failed; trying with what is known"
    for package in $packages; do
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" > /dev/null ||
            echo "$package: not packaged: skipped"
    done
}

build() {
    echo "== building"
    cmake -S . -B build/bench-library -G Ninja -DCMAKE_BUILD_TYPE=Release -DSTRATA_TESTS=OFF \
        -DSTRATA_BENCH=OFF -DCMAKE_INSTALL_PREFIX="$PWD/build/bench-install" > build/bench.log
    cmake --build build/bench-library >> build/bench.log
    cmake --install build/bench-library >> build/bench.log
    cmake -S bench -B build/bench-programs -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_PREFIX_PATH="$PWD/build/bench-install" >> build/bench.log
    cmake --build build/bench-programs >> build/bench.log
}

mode=${1:---quick}
case $mode in
--gates)
    exec python3 bench/results.py gates
    ;;
--quick | --only | --full)
    if [ "$mode" = --only ] && [ $# -lt 2 ]; then
        sed -n '2,17s/^# \{0,1\}//p' "$0"
        exit 2
    fi
    mkdir -p build
    install_missing
    build || { tail -40 build/bench.log; exit 1; }
    exec python3 bench/steps.py "$mode" "${2:-}"
    ;;
*)
    sed -n '2,17s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
