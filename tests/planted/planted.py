#!/usr/bin/env python3
"""Plants bugs and measures whether the tests find them.

    planted.py [--only N ...] [--budget SECONDS] [--no-baseline]

The sources hold one-line faults behind `#if STRATA_PLANT == n`. For each number found there the
library and the tests listed below are built with that fault, and run in the
order below until one fails. A fault is found if one does within the budget. First everything runs
without a fault: a test that fails then proves nothing later.
"""
import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "planted"

# In this order; what takes minutes comes last. The snapshots need the address sanitizer to see memory
# that went too early.
CHEAP = [
    "table/cache",
    "table/memtable_way",
    "process/local_ops",
    "storage/random",
    "crash/sequences",
    "durability/wal_ring",
    "durability/wal_turns",
]
SANITIZED = ["concurrency/snapshots"]
COSTLY = [
    "crash/lives",
    "crash/sweep",
    "crash/damage",
    "fault/faults",
    "crash/parity",
    "concurrency/commits",
    "process/kill",
]
STAGES = [
    (CHEAP, "", "plain"),
    (SANITIZED, "-fsanitize=address", "sanitized"),
    (COSTLY, "", "plain"),
]

# What each number means; the code has the fault, this list the words.
MEANINGS = {
    1: "the log's sync returns without syncing",
    2: "the local backend does not sync names",
    3: "names are not synced after a table was written",
    4: "a commit is called durable before the sync",
    5: "a fork sees one commit too many",
    6: "a merge loses a tombstone",
    7: "history has the wrong end of a row",
    8: "the number of a log segment is used again",
    9: "a frame's place and generation are not checked",
    10: "the manifest is published before its tables are synced",
    11: "memory is freed before its epoch ends",
    12: "numbers of objects are used above the durable watermark",
    13: "numbers that are still to be used count as orphans of the last crash",
    14: "a merge moves the deletion of a branch that inherits to history",
    15: "a merge drops rows that a handle on a deleted branch reads",
    16: "the time of a commit may go back",
    17: "a search in the versions of a key jumps too far",
    18: "a frame is freed before its epoch ends",
    19: "bytes of the log's ring are used again before they were copied",
    20: "recovery takes what an earlier lap left in the log's ring",
    21: "what a fork inherits is collected without the last commit of its ancestors",
    22: "a merge forgets the last row of a stretch of one source",
    27: "who reads in order misses keys that are on their way into a memtable's tree",
    30: "a scan shows a key before every source that may have a newer row of it has been asked",
    31: "the log of a branch loses the commits that a jump passes",
    35: "whoever waited for a sync that failed syncs once more",
    36: "a sync is said to cover what was appended while it ran",
    41: "commits of one branch are taken to have versions without gaps",
}


def planted_numbers():
    found = set()
    for source in (ROOT / "src").rglob("*.[ch]"):
        for number in re.findall(r"STRATA_PLANT\s*[!=]=\s*(\d+)", source.read_text()):
            found.add(int(number))
    found.discard(0)
    return sorted(found)


def tame():
    """Sanitizers of some age do not start where addresses are spread over more than 28 bits."""
    try:
        spread = int(Path("/proc/sys/vm/mmap_rnd_bits").read_text())
    except (OSError, ValueError):
        spread = 28
    return ["setarch", os.uname().machine, "-R"] if spread > 28 else []


def target(test):
    return test.replace("/", "_") + "_test"


def execute(command):
    """Runs a command of the build; ends the program if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stdout[-2000:]}")


def configure(number, flags, folder):
    execute(["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Debug",
             f"-DSTRATA_PLANT={number}", f"-DCMAKE_C_FLAGS=-O1 {flags}"])


def build(test, folder):
    execute(["cmake", "--build", str(folder), "-j", str(os.cpu_count() or 1),
             "--target", target(test)])


def reason(output):
    """The line in which a test says why it fails."""
    for line in output.splitlines():
        if re.search(r"violation: |AddressSanitizer: |Assertion .* failed", line):
            return line.strip()[:160]
    for line in output.splitlines():
        if "ERROR" in line or "!=" in line:
            return line.strip()[:160]
    return "it ended badly"


def run(test, folder, budget):
    """Returns None if the test passes, else how it failed."""
    program = folder / "tests" / Path(test).parent / target(test)
    environment = dict(os.environ, SOURCE_DIR=str(ROOT), BUILD_DIR=str(folder))
    try:
        done = subprocess.run([*tame(), str(program)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=budget, env=environment)
    except subprocess.TimeoutExpired:
        return "it hangs, or is beyond the budget"
    if done.returncode == 0:
        return None
    return reason(done.stdout.decode(errors="replace"))


def hunt(number, budget):
    """Runs the tests with fault `number` until one fails. Returns (test, why, seconds) or None; the
    seconds are those of the tests, not of the compiler."""
    spent = 0.0
    for tests, flags, name in STAGES:
        folder = BUILD / name
        configure(number, flags, folder)
        for test in tests:
            build(test, folder)
            start = time.monotonic()
            why = run(test, folder, budget - spent)
            spent += time.monotonic() - start
            if spent >= budget:
                return None
            if why is not None:
                return test, why, spent
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=int, nargs="+")
    parser.add_argument("--budget", type=float, default=600, help="seconds for each fault")
    parser.add_argument("--no-baseline", action="store_true")
    arguments = parser.parse_args()
    numbers = arguments.only or planted_numbers()
    if not arguments.no_baseline:
        found = hunt(0, arguments.budget * 4)
        if found:
            sys.exit(f"without a fault, {found[0]} fails: {found[1]}")
        print("without a fault: all tests pass", flush=True)
    count = 0
    for number in numbers:
        found = hunt(number, arguments.budget)
        count += found is not None
        words = MEANINGS.get(number, "?")
        if found:
            print(f"{number:3} {words}: found by {found[0]} in {found[2]:.0f} s: {found[1]}",
                  flush=True)
        else:
            print(f"{number:3} {words}: NOT FOUND in {arguments.budget:.0f} s", flush=True)
    print(f"planted bugs: {count} of {len(numbers)} found")
    return 0 if count == len(numbers) else 1


if __name__ == "__main__":
    sys.exit(main())
