#!/usr/bin/env python3
"""Runs benchmarks step by step. Each step leaves one file of JSON lines; its first line says which
sources it measured, so a step that is done for the present sources is not done again."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

import results

ROOT = results.ROOT
PROGRAMS = ROOT / "build" / "bench-programs" / "bin" / "bench"
ROUNDS = 5
ONLY_SECONDS = 35 * 60  # No step is begun after so long.
MIB = 1 << 20


def ycsb_steps():
    """Peers beside libstrata: each round of each case is a step."""
    cases = []
    for size, rows in ((100, 2000000), (1024, 1000000)):
        for threads in (1, 2):
            name = f"{size}B-t{threads}"
            both = ["--value-bytes", size, "--threads", threads, "--rounds", 1]
            cases.append((f"ycsb-{name}", both + [
                "--rows", rows, "--ops", 500000, "--budget", 4096,
                "--workloads", "load,A,B,C,D,E,F,S,M"]))
            budget = 256
            written = 3 * budget
            cases.append((f"ycsb-long-load-{name}", both + [
                "--rows", written * MIB // (size + 24), "--budget", budget, "--label", "long",
                "--workloads", "load"]))
            cases.append((f"ycsb-long-write-{name}", both + [
                "--rows", 100 * MIB // (size + 24), "--ops", 1000, "--write-mib", written,
                "--budget", budget, "--label", "long", "--workloads", "A,F"]))
            cases.append((f"ycsb-x4-{name}", both + [
                "--rows", 256 * MIB // (size + 24), "--ops", 30000, "--budget", 64,
                "--tight", "on", "--label", "x4", "--workloads", "C,U",
                # LevelDB maps its files and reads ahead in them: 4 ms a read, and no target.
                "--engines", "strata,lmdb,rocksdb,rocksdb-mmap,sqlite,wiredtiger"]))
    for size in (100, 1024):
        cases.append((f"commit-peers-{size}B", [
            "--bench", "commit", "--value-bytes", size, "--threads", "1,8,32", "--rounds", 1,
            "--rows", 100000, "--sync-ops", 4000, "--sync", "on", "--budget", 1024,
            "--workloads", "P"]))
    return [(f"{name}-r{number}", ["ycsb", *map(str, options), "--round-first", str(number)])
            for number in range(ROUNDS) for name, options in cases]


def own_steps():
    """libstrata alone: each part is a step, which takes its own medians."""
    parts = {"forks": ("sizes", "depth", "overwritten", "beside", "million"),
             "history": ("latest", "deep", "moments"), "commit": ("synced", "stall"),
             "recovery": ("close", "crash"), "space": ("100B", "1024B"),
             "small": ("1MiB", "16MiB", "empty")}
    return [(f"{name}-{part}", [name, "--scale", "full", "--part", part])
            for name, its in parts.items() for part in its] + [("small-armhf", None)]


def quick_steps():
    short = ["ycsb", "--rounds", "1", "--rows", "100000", "--ops", "50000", "--budget", "1024"]
    work = ["--workloads", "load,A,B,C,D,E,F,S,M"]
    return [
        ("ycsb-t1", [*short, *work, "--value-bytes", "100,1024"]),
        ("ycsb-t2", [*short, *work, "--value-bytes", "100", "--threads", "2"]),
        ("commit-peers", [*short, "--bench", "commit", "--sync", "on", "--sync-ops", "400",
                          "--threads", "1,8,32", "--workloads", "P"]),
    ] + [(name, [name, "--scale", "quick"])
         for name in ("forks", "history", "commit", "recovery", "space", "small")]


# What a program links that uses key-value, branches and recovery, but none of the tools around them: checks,
# metrics, footprint, texts of options.
ARMHF_CALLS = re.compile(
    r"strata_(open|open_report|close|error_\w+|status_name|value_\w+|txn_\w+|space_\w+|cursor_\w+|name_next"
    r"|kv_\w+|branch_\w+|log_\w+|point_resolve|sync|wait_durable|watermarks|maintain|checkpoint)")


def armhf_text(object_file):
    sizes = subprocess.run(["arm-linux-gnueabihf-size", object_file], check=True, text=True,
                           capture_output=True).stdout.split("\n")[1].split()
    return int(sizes[0]) / 1000


def armhf_lines():
    """The size of the code on a small machine: what a program gets, and all of it."""
    compiler = shutil.which("arm-linux-gnueabihf-gcc")
    folder = ROOT / "build" / "bench-library" / "amalgamation"
    names = ["armhf text, key-value, branches, recovery", "armhf text, all that is built"]
    if compiler is None:
        return [{"bench": "small", "case": name, "missing": "no arm-linux-gnueabihf-gcc"}
                for name in names]
    whole = ROOT / "build" / "strata-armhf.o"
    linked = ROOT / "build" / "strata-armhf-linked.o"
    subprocess.run([compiler, "-std=c11", "-Os", "-DNDEBUG", "-ffunction-sections",
                    "-fdata-sections", "-c", folder / "strata.c", "-o", whole], check=True)
    calls = re.findall(r"^STRATA_API .*?(strata_\w+)\(", (folder / "strata.h").read_text(), re.M)
    roots = [f"-Wl,-u,{call}" for call in calls if ARMHF_CALLS.fullmatch(call)]
    subprocess.run([compiler, "-nostdlib", "-r", "-Wl,--gc-sections", *roots, whole, "-o", linked],
                   check=True)
    return [{"bench": "small", "case": name, "value": armhf_text(file), "unit": "KB"}
            for name, file in zip(names, [linked, whole])]


def data_folder():
    """Ours is emptied: a run that was stopped leaves databases behind."""
    folder = os.environ.get("BENCH_DIR")
    if not folder:
        folder = ROOT / "build" / "bench-data"
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    return str(folder)


def step_run(name, command, folder, sources):
    """Returns whether it got through. What went wrong is in the file, which then does not count."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / f"{name}.part"
    begin = time.time()
    lines, code = [], 0
    if command is None:
        lines = [json.dumps(line) for line in armhf_lines()]
    else:
        code = subprocess.run([PROGRAMS / command[0], *command[1:], "--dir", data_folder(),
                               "--json", raw]).returncode
        lines = raw.read_text().splitlines() if raw.exists() else []
        raw.unlink(missing_ok=True)
    head = {"step": name, "sources": sources, "seconds": round(time.time() - begin, 1),
            "code": code, "command": command, "machine": results.machine()}
    (folder / f"{name}.jsonl").write_text("\n".join([json.dumps(head), *lines]) + "\n")
    return code == 0


def steps_run(steps, folder, seconds_max=None):
    """Runs what is not done yet. Returns the names that failed and how many are left."""
    sources = results.sources_hash()
    begin, failed = time.time(), []
    todo = [step for step in steps if not results.step_is_done(folder, *step, sources)]
    print(f"{len(steps) - len(todo)} of {len(steps)} steps are done for the present sources")
    for number, (name, command) in enumerate(todo):
        if seconds_max is not None and time.time() - begin > seconds_max:
            return failed, len(todo) - number
        print(f"\n#### {name} ({number + 1} of {len(todo)})", flush=True)
        if not step_run(name, command, folder, sources):
            failed.append(name)
            print(f"#### {name} FAILED", flush=True)
    return failed, 0


def main():
    mode, name = sys.argv[1], sys.argv[2]
    folder = results.RESULTS
    if mode == "--quick":
        folder = folder / "quick"
        shutil.rmtree(folder, ignore_errors=True)
        failed, left = steps_run(quick_steps(), folder)
    else:
        steps = own_steps() + ycsb_steps()
        if mode == "--only":
            steps = [step for step in steps if step[0] == name or step[0].startswith(name + "-")]
            if not steps:
                sys.exit(f"no such benchmark: {name}")
        failed, left = steps_run(steps, folder, ONLY_SECONDS if mode == "--only" else None)
    results.summary_print(folder, quick=mode == "--quick")
    if mode == "--full":
        results.document_write()
    if left > 0:
        print(f"{left} steps are left: run it again to go on")
    if failed:
        sys.exit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
