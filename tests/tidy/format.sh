#!/bin/sh
# Every C file is laid out as clang-format with our .clang-format would lay it out.
set -eu
cd "$(dirname "$0")/../.."

if ! command -v clang-format > /dev/null; then
    echo "clang-format is not installed; on Debian: apt-get install clang-format"
    exit 1
fi
for folder in src include tests bench docs/demo; do
    if [ -d "$folder" ]; then
        find "$folder" -name '*.[ch]' -print0
    fi
done | xargs -0 clang-format --dry-run -Werror
