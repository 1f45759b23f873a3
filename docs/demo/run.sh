#!/bin/sh
# Loads the whole history of a git repository into a database, with the default memory and with
# 1 MiB, verifies every commit against git, and reads some of it back as it was. A commit is one
# transaction, which has to fit: where 1 MiB is too little for one, more is tried.
#
#     sh docs/demo/run.sh         a history of 14,732 commits, which lies in tests/data/history
#     sh docs/demo/run.sh REPO    any repository
set -eu

caller=$PWD
cd "$(dirname "$0")/../.."

# Debian packages for the commands and headers that are not there.
missing_packages() {
    for pair in cmake:cmake ninja:ninja-build gcc:gcc python3:python3 git:git zstd:zstd; do
        command -v "${pair%%:*}" > /dev/null || echo "${pair#*:}"
    done
    [ -e /usr/include/xxhash.h ] || echo libxxhash-dev
    [ -e /usr/include/pthread.h ] || echo libc6-dev
}

install_missing() {
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    echo "== installing with apt-get: $packages"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null || { echo "that needs root or sudo"; exit 3; }
        sudo=sudo
    fi
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages
}

build() {
    echo "== building"
    # A folder of its own: without the tests, which need more packages.
    cmake --preset release -B build/demo -DSTRATA_TESTS=OFF > "$work/build.log" 2>&1 &&
        cmake --build build/demo --target strata_git_history strata_cli \
            >> "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 3; }
}

# Prints a command and runs it, the first lines of what it says.
show() {
    echo "\$ $*"
    "$@" > "$work/shown" || echo "(exit $?)"
    head -n 6 "$work/shown" | cut -c 1-100
    rest=$(($(wc -l < "$work/shown") - 6))
    [ $rest -le 0 ] || echo "... $rest more lines"
}

# Reads of the branch with the most commits, at its first, middle and last commit.
read_back() {
    branch=$(cut -f2 "$work/map" | sort | uniq -c | sort -rn |
        sed -n '1s/^ *[0-9]* //p')
    awk -F '\t' -v branch="$branch" '$2 == branch' "$work/map" > "$work/of-branch"
    count=$(wc -l < "$work/of-branch")
    strata="build/demo/bin/strata --db $work/db"
    echo "== reading it back: $branch, $count commits"
    for line in 1 $(((count + 1) / 2)) "$count"; do
        id=$(sed -n "${line}p" "$work/of-branch" | cut -f1)
        version=$(sed -n "${line}p" "$work/of-branch" | cut -f3)
        echo
        echo "-- as of version $version, which is commit $id"
        show $strata --branch "$branch" --as-of "$version" kv count
        show $strata --branch "$branch" --as-of "$version" kv list --limit 3
        show $strata --branch "$branch" --as-of "$version" --space git kv get "$id"
    done
    echo
    show $strata --branch "$branch" branch log "$branch" --limit 3
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install_missing
build

if [ $# -gt 0 ]; then
    repository=$(cd "$caller" && cd "$1" && pwd)
else
    echo "== unpacking tests/data/history/history-14k.fast-export.zst"
    repository=$work/repository
    git init -q --bare "$repository"
    zstd -dcq tests/data/history/history-14k.fast-export.zst |
        git -C "$repository" fast-import --quiet
fi

code=0
echo "== loading and verifying, default memory"
build/demo/bin/strata-git-history "$repository" "$work/db" --map "$work/map" || code=$?
for budget in 1MiB 8MiB 64MiB; do
    echo "== loading and verifying, $budget of memory"
    rm -rf "$work/db-small"
    small=0
    build/demo/bin/strata-git-history "$repository" "$work/db-small" --budget $budget || small=$?
    [ $small -eq 3 ] || break
done
[ $small -eq 0 ] || code=$small
[ "$code" -ne 0 ] || read_back
exit "$code"
