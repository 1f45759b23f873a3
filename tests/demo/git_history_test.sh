#!/bin/sh
# strata-git-history on a repository that has one of everything: every commit reads back as git has
# it, with the default memory and with 1 MiB; and what is not as git has it is found.
set -eu

history=${STRATA_GIT_HISTORY:?}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

export HOME="$work" TMPDIR="$work" LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME='An Author' GIT_AUTHOR_EMAIL=a@example.com
export GIT_COMMITTER_NAME='A Committer' GIT_COMMITTER_EMAIL=c@example.com
seconds=1600000000

fail() {
    echo "FAILED: $*"
    exit 1
}

# Runs a command, which must exit as told.
expect() { # status, command...
    expected=$1
    shift
    status=0
    "$@" > output 2>&1 || status=$?
    [ "$status" -eq "$expected" ] || { cat output; fail "exit $status, not $expected: $*"; }
}

commit() { # message, then options
    message=$1
    shift
    seconds=$((seconds + 60))
    GIT_AUTHOR_DATE="$seconds +0130" GIT_COMMITTER_DATE="$seconds +0000" \
        git commit -q --allow-empty -m "$message" "$@"
}

commit_all() {
    git add -A
    commit "$@"
}

# Bytes that do not compress and are always the same.
noise() { # size, seed
    awk -v size="$1" -v seed="$2" 'BEGIN {
        srand(seed)
        for (i = 0; i < size; i++) printf "%c", 33 + int(rand() * 90)
    }'
}

make_files() {
    printf 'one\ntwo\n' > plain
    printf 'a\0b\377\n' > binary
    : > empty
    noise 204800 1 > large
    noise 65529 2 > just-one-piece
    noise 65530 3 > just-two-pieces
    noise 300 4 > middling
    printf '#!/bin/sh\n' > script
    chmod +x script
    ln -s plain link
    ln -s ../nowhere/at\ all dangling
    mkdir -p dir/deep/er dir-with
    echo x > dir/deep/er/file
    echo y > dir.file
    echo z > dir-with/file
    echo 0 > dir0
    echo 1 > 'with space'
    echo 2 > 'with "quotes" and \backslash'
    echo 3 > "$(printf 'tab\there')"
    echo 4 > "$(printf 'new\nline')"
    echo 5 > "$(printf '\303\244\342\202\254\360\237\230\200')"
    echo 6 > "$(printf 'not-utf8-\377')"
    echo 7 > -dash
}

make_main() {
    make_files
    commit_all 'first'
    git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,sub/module
    commit 'a submodule'
    git update-index --add --cacheinfo 160000,0987654321098765432109876543210987654321,sub/module
    commit 'a submodule moves on'
    commit 'nothing changes'
    chmod -x script
    chmod +x plain
    git add script plain
    commit 'modes change'
    git mv dir/deep moved
    git mv large 'renamed large'
    commit 'renames'
    git rm -q plain -f
    mkdir plain
    echo in > plain/file
    git add plain
    commit 'a file becomes a folder'
    git rm -qr plain
    echo out > plain
    git add plain
    commit 'a folder becomes a file'
    rm -f link
    echo 'no link' > link
    git add link
    commit 'a link becomes a file'
    noise 204800 5 >> 'renamed large'
    git add 'renamed large'
    commit 'a large file grows'
}

make_branches() {
    git checkout -q -b topic/one HEAD~4
    echo t1 > topic
    commit_all 'on a branch'
    git checkout -q -b 'odd@name%with' HEAD~1
    echo t2 > topic
    commit_all 'on a branch that needs escapes'
    git checkout -q -b "$(printf 'umlaut-\303\244')" main~7
    git rm -q -r --cached .
    commit 'everything goes'
    git checkout -q -f main
    git branch x-0123456789ab main~2
    git branch refs/tags/v1 main~3
    long=$(printf '%0200d' 0)
    git branch "long/$long" main~1
    git branch "long-$long-$long" main~2 2> /dev/null || git branch "$long/$long" main~2
    git update-ref refs/other/kind main~5
    git update-ref refs/remotes/origin/main main~1
}

make_merges() {
    git merge -q --no-ff -m 'a merge' topic/one
    for i in 1 2 3; do
        git checkout -q -b "side$i" main
        echo "$i" > "side$i"
        commit_all "side $i"
    done
    git checkout -q main
    git merge -q -m 'three at once' side1 side2 side3
    git branch -D -q side2 side3
    git merge -q -s ours -m 'theirs is dropped' "$(printf 'umlaut-\303\244')"
}

make_roots() {
    git checkout -q --orphan second-root
    git rm -q -rf .
    echo other > other
    commit_all 'another root'
    git checkout -q --orphan third-root
    git rm -q -rf .
    commit 'an empty root'
    git checkout -q main
    git merge -q --allow-unrelated-histories -m 'roots meet' second-root
}

make_rest() {
    git tag light main~1
    git tag -m 'a tag with a message' annotated main~2
    git tag -m 'a tag of a tag' nested annotated 2> /dev/null
    git tag of-a-blob main:binary
    git tag of-a-tree 'main^{tree}'
    git notes add -m 'a note' main
    mkdir bulk
    i=0
    while [ $i -lt 100 ]; do
        noise 300 $((i + 100)) > bulk/$i
        i=$((i + 1))
    done
    commit_all 'many files at once'
    noise 3000000 6 > huge
    commit_all 'a file larger than the memory'
    git -c i18n.commitEncoding=latin1 commit -q --allow-empty -m "$(printf 'caf\351')"
    tree=$(git write-tree)
    id=$(printf 'no newline at the end' | git commit-tree "$tree" -p HEAD)
    git reset -q --hard "$id"
    id=$(git commit-tree "$tree" -p HEAD < /dev/null)
    git reset -q --hard "$id"
    git checkout -q --detach
    echo detached > detached
    commit_all 'on no branch'
    echo stashed > plain
    git stash -q
}

compare_map_with_git() { # map, repository
    cut -f1 "$1" | sort > mapped
    git -C "$2" rev-list --all HEAD | sort > listed
    cmp mapped listed || fail "$1 lists other commits than git"
    [ -z "$(cut -f3 "$1" | sort | uniq -d)" ] || fail "$1 has a version twice"
}

echo '== a repository with one of everything'
git init -q -b main everything
cd everything
make_main
make_branches
make_merges
make_roots
make_rest
cd ..
git -C everything gc -q

for budget in '' 1MiB; do
    name=db-${budget:-default}
    expect 0 "$history" everything "$name" --map "$name.map" ${budget:+--budget "$budget"}
    cat output
    grep -q ' 0 differences, 0 failures' output || fail 'no word of 0 differences'
    compare_map_with_git "$name.map" everything
done
cut -f2 db-default.map | sort -u > branches
for branch in main topic/one odd%40name%25with second-root third-root; do
    grep -qx -e "$branch" branches || fail "no commit is on $branch"
done
grep -q '^x-[0-9a-f]\{12\}$' branches || fail 'no line without a ref'

echo '== some commits only, later'
expect 0 "$history" everything db-default --map db-default.map --verify 5 --verify-only
grep -q '^verified   5 commits, 5 of them again through forks' output || fail 'not 5 commits'

echo '== a version that is another commit is a difference'
# The versions of two neighbours on main change places.
awk -F '\t' -v OFS='\t' '
    { id[NR] = $1; branch[NR] = $2; version[NR] = $3 }
    $2 == "main" { if (first == 0) first = NR; else if (second == 0) second = NR }
    END {
        kept = version[first]; version[first] = version[second]; version[second] = kept
        for (i = 1; i <= NR; i++) print id[i], branch[i], version[i]
    }' db-default.map > wrong.map
expect 1 "$history" everything db-default --map wrong.map --verify-only
grep -q 'sub/module' output || fail 'the path that differs is not named'

echo '== streams that git writes when asked for more: renames, copies, whole trees'
mkdir bin
real=$(command -v git)
cat > bin/git << END
#!/bin/sh
case " \$* " in
*' fast-export '*) eval "exec '$real' \"\\\$@\" \$EXPORT_OPTIONS" ;;
*) exec '$real' "\$@" ;;
esac
END
chmod +x bin/git
for options in '-M -C' '--full-tree' '| head -c 100000' '| tr M W'; do
    rm -rf db-options
    case $options in
    -*) expected=0 ;;
    *) expected=3 ;;
    esac
    export EXPORT_OPTIONS="$options"
    expect $expected env PATH="$work/bin:$PATH" "$history" everything db-options
    unset EXPORT_OPTIONS
    [ $expected -eq 3 ] || grep -q ' 0 differences, 0 failures' output || fail "with $options"
    [ $expected -eq 0 ] || grep -q 'git fast-export: line' output || fail "no line in $options"
done

echo '== a commit that is more than one transaction may be says so'
git init -q -b main heavy
i=0
while [ $i -lt 100 ]; do
    noise 20000 $((i + 200)) > heavy/$i
    i=$((i + 1))
done
(cd heavy && commit_all 'two megabytes in middling files')
expect 0 "$history" heavy db-heavy
status=0
"$history" heavy db-heavy-1MiB --budget 1MiB > output 2>&1 || status=$?
case $status in
0) grep -q ' 0 differences, 0 failures' output || fail 'no word of 0 differences' ;;
3) grep -q 'too_big' output && grep -q 'larger --budget' output || fail 'no word of the budget' ;;
*) fail "exit $status for a commit that is too big" ;;
esac

echo '== a history without main, and one without commits'
git init -q -b trunk small
echo 1 > small/file
git -C small add file
(cd small && commit 'only one')
expect 0 "$history" small db-small
git init -q -b main nothing
expect 0 "$history" nothing db-nothing
[ ! -e db-map ] || fail 'a map is left behind'

echo '== wrong arguments and places'
expect 0 "$history" --help
expect 2 "$history"
expect 2 "$history" everything
expect 2 "$history" everything db --verify some
expect 2 "$history" everything db --verify 0
expect 2 "$history" everything db --budget
expect 2 "$history" everything db --budget lots
expect 2 "$history" everything db --no-such-option
expect 2 "$history" everything db more
expect 2 "$history" everything db --verify-only
expect 3 "$history" everything db-default
grep -q 'db-default' output || fail 'the database in the way is not named'
expect 3 "$history" no-such-repository db-none
[ -z "$(find . -maxdepth 1 -name 'strata-git-*')" ] || fail 'a temporary file is left behind'

echo 'every commit reads back as git has it'
