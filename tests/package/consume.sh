#!/bin/sh
# Builds and runs consumer.c in one of the ways a user would. CMakeLists.txt sets the variables:
# SOURCE_DIR BUILD_DIR PREFIX LIBDIR AMALGAMATION CC CXX CMAKE GENERATOR.
set -eu

way=$1
consumer=$SOURCE_DIR/tests/package/consumer.c
work=$BUILD_DIR/package/$way
rm -rf "$work"
mkdir -p "$work"
cd "$work"

export PKG_CONFIG_PATH="$LIBDIR/pkgconfig"
export LD_LIBRARY_PATH="$LIBDIR"

# Configures, builds and runs the CMake project in this folder.
build_with_cmake() {
    "$CMAKE" -S . -B build -G "$GENERATOR" -DCMAKE_C_COMPILER="$CC" "$@"
    "$CMAKE" --build build
    ./build/consumer
}

cmake_project() {
    echo 'cmake_minimum_required(VERSION 3.21)'
    echo 'project(consumer LANGUAGES C)'
    echo "$1"
    echo "add_executable(consumer $consumer)"
    echo 'target_link_libraries(consumer PRIVATE strata::strata)'
}

case $way in
pkg_config)
    $CC "$consumer" -o consumer $(pkg-config --cflags --libs strata)
    ldd ./consumer | grep "$LIBDIR/libstrata.so.0"
    ./consumer
    ;;
static)
    $CC "$consumer" -o consumer $(pkg-config --cflags strata) "$LIBDIR/libstrata.a" -pthread
    ./consumer
    ;;
find_package)
    cmake_project 'find_package(strata REQUIRED)' > CMakeLists.txt
    build_with_cmake -DCMAKE_PREFIX_PATH="$PREFIX"
    ;;
add_subdirectory)
    cmake_project "add_subdirectory($SOURCE_DIR strata)" > CMakeLists.txt
    build_with_cmake
    ;;
amalgamation)
    # Two files and no flags are enough, with either compiler, and neither has a complaint.
    cp "$AMALGAMATION/strata.c" "$AMALGAMATION/strata.h" "$consumer" .
    for compiler in gcc clang; do
        for flags in "" "-std=c11 -Wall -Wextra" "-O2 -DNDEBUG"; do
            echo "$compiler $flags"
            $compiler $flags -Werror -c strata.c
        done
        $compiler consumer.c strata.o -lpthread -o consumer
        ./consumer | grep 'works (commit=unknown '
    done
    # In the one file that uses it, the library can be private as a whole.
    echo '#define STRATA_API static' > single.c
    echo '#include "strata.c"' >> single.c
    echo '#include "consumer.c"' >> single.c
    $CC single.c -lpthread -o single
    ./single
    ;;
cxx98)
    $CXX -x c++ -std=c++98 -Wall -Wextra -pedantic -Werror "$consumer" -x none -o consumer \
        $(pkg-config --cflags --libs strata)
    ./consumer
    ;;
program)
    "$PREFIX/bin/strata" --version
    commit=$("$PREFIX/bin/strata" --version | sed -n 's/.*commit=\([^ ]*\) .*/\1/p')
    if [ -e "$SOURCE_DIR/.git" ] && git -C "$SOURCE_DIR" rev-parse HEAD > /dev/null; then
        git -C "$SOURCE_DIR" cat-file -e "$commit^{commit}"
    else
        [ "$commit" = unknown ]
    fi
    ;;
*)
    echo "no such way: $way"
    exit 2
    ;;
esac
