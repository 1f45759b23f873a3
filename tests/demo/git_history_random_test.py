#!/usr/bin/env python3
"""strata-git-history on random histories: files and folders that take each other's names, many
branches and merges, and the different ways in which git can export the same commits."""
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = range(1, 9)
COMMITS = 250
NAMES = ["a", "b", "a.x", "a-b", "ab", "z z", "\u00e4"]
BUDGETS = [[], ["--budget", "1MiB"]]

# git puts these behind its own options; a renamed file may also be exported in an order that git
# itself cannot import, so renames and copies are left to git_history_test.sh.
EXPORTS = ["", "--full-tree"]

WRAPPER = """#!/bin/sh
case " $* " in
*' fast-export '*) exec '{git}' "$@" $EXPORT_OPTIONS ;;
*) exec '{git}' "$@" ;;
esac
"""


def random_path(source):
    return "/".join(source.choice(NAMES) for _ in range(source.randint(1, 4)))


def random_change(source):
    kind = source.random()
    if kind < 0.7:
        mode = source.choice(["100644", "100755", "120000"])
        text = f"v{source.randint(0, 50)}" * source.choice([1, 1, 100, 20000])
        return f'M {mode} inline "{random_path(source)}"\ndata {len(text)}\n{text}\n'
    if kind < 0.97:
        return f'D "{random_path(source)}"\n'
    return "deleteall\n"


def random_commit(source, mark, heads):
    """The text of one commit; `heads` maps branches to marks."""
    branch = source.choice(["main", "t1", "t2", f"u{source.randint(0, 20)}"])
    text = f"commit refs/heads/{branch}\nmark :{mark}\ncommitter C <c> {mark} +0000\ndata 1\nx\n"
    if mark > 1 and source.random() < 0.3:
        text += f"from :{source.randint(1, mark - 1)}\n"
    elif branch in heads:
        text += f"from :{heads[branch]}\n"
    elif mark > 1 and source.random() < 0.9:
        text += f"from :{source.randint(1, mark - 1)}\n"
    if mark > 1 and source.random() < 0.3:
        text += f"merge :{source.randint(1, mark - 1)}\n"
    heads[branch] = mark
    changes = source.choice([0, 1, 2, 3, 8])
    return text + "".join(random_change(source) for _ in range(changes)) + "\n"


def random_stream(seed):
    source = random.Random(seed)
    heads = {}
    commits = [random_commit(source, mark, heads) for mark in range(1, COMMITS + 1)]
    # Tags keep what the heads leave behind.
    tags = [f"reset refs/tags/t{mark}\nfrom :{mark}\n\n" for mark in range(1, COMMITS, 3)]
    return "".join(commits + tags).encode()


def check(program, work, seed, export, budget):
    repository, database = work / f"repository-{seed}", work / f"database-{seed}"
    subprocess.run(["git", "init", "-q", "--bare", repository], check=True)
    subprocess.run(["git", "-C", repository, "fast-import", "--quiet", "--force"],
                   input=random_stream(seed), check=True)
    environment = dict(os.environ, PATH=f"{work}:{os.environ['PATH']}", EXPORT_OPTIONS=export)
    done = subprocess.run([program, repository, database, *budget], env=environment,
                          capture_output=True, text=True, errors="replace")
    same = done.returncode == 0 and " 0 differences, 0 failures" in done.stdout
    if not same:
        print(f"seed {seed}, export {export!r}, budget {budget}: exit {done.returncode}")
        print(done.stdout, done.stderr)
    return same


def main():
    os.environ.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null")
    program = os.environ["STRATA_GIT_HISTORY"]
    git = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True,
                         check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "git").write_text(WRAPPER.format(git=git))
        (work / "git").chmod(0o755)
        good = [check(program, work, seed, EXPORTS[seed // 2 % 2], BUDGETS[seed % 2])
                for seed in SEEDS]
    print(f"{sum(good)} of {len(good)} random histories read back as git has them")
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
