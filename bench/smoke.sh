#!/bin/sh
# Runs every benchmark in the least size: do they get through, and is every answer right? The
# figures are not looked at.
#
#     sh bench/smoke.sh FOLDER_OF_PROGRAMS
set -eu
programs=$(cd "$1" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

run() {
    echo "== $*"
    name=$1
    shift
    if ! "$programs/$name" "$@" --dir "$folder" --json "$folder/$name.jsonl" \
            > "$folder/$name.txt" 2>&1; then
        cat "$folder/$name.txt"
        echo "$name failed"
        exit 1
    fi
}

for name in forks history commit recovery space small; do
    run "$name" --scale smoke
done
run ycsb --rounds 2 --rows 1500 --ops 300 --budget 64 --workloads load,A,B,C,D,E,F,S,M,U
run ycsb --rounds 1 --rows 1500 --ops 300 --budget 64 --workloads load,A,E,M --value-bytes 1024 \
    --threads 2 --write-mib 1 --label long
run ycsb --rounds 1 --rows 500 --sync-ops 16 --budget 64 --workloads P --sync on --threads 1,8
