#!/bin/sh
# Each public header compiles alone, without a warning, as C99, C11, C++98 and C++17.
set -eu
cd "$(dirname "$0")/../.."

for dialect in "gcc -x c -std=c99" "gcc -x c -std=c11" "g++ -x c++ -std=c++98" "g++ -x c++ -std=c++17" \
               "clang -x c -std=c99" "clang++ -x c++ -std=c++98"; do
    for experimental in "" -DSTRATA_EXPERIMENTAL; do
        for header in strata.h strata_backend.h; do
            echo "$dialect $experimental $header"
            echo "#include \"$header\"" |
                $dialect $experimental -Wall -Wextra -pedantic -Werror -Iinclude -fsyntax-only -
        done
    done
done
