#!/usr/bin/env python3
"""Reads the JSON lines that benchmarks left and holds them to bench/targets.tsv.

    results.py gates      what is missing, failed, held; exits 1 unless all gates are held
    results.py document   writes the results into docs/benchmarks.md, with plots
    results.py self-test
"""
import hashlib
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "bench-results"
TARGETS = ROOT / "bench" / "targets.tsv"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: written by bench/run.sh --full -->", "<!-- end of results -->"
PENALTY = {"rocksdb": 1.36}  # Debian builds it with asserts.
VARIANTS = {"rocksdb": ("rocksdb", "rocksdb-mmap")}  # The best of them counts.
ROUNDS_MIN = 5
PEERS = ("lmdb", "rocksdb", "leveldb", "sqlite", "wiredtiger")


# ---- Sources and steps ----

def sources_hash():
    """Of all that a figure depends on: the library and the programs that measure it."""
    digest = hashlib.sha256()
    files = [ROOT / "CMakeLists.txt"]
    for folder, names in (("src", ("*.c", "*.h", "*.py", "CMakeLists.txt")), ("include", ("*.h",)),
                          ("bench", ("*.c", "*.h", "CMakeLists.txt"))):
        for name in names:
            files += (ROOT / folder).rglob(name)
    for file in sorted(files):
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def machine():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines()
             if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown"


def head_of(file):
    try:
        return json.loads(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return {}


def step_is_done(folder, name, command, sources):
    head = head_of(folder / f"{name}.jsonl")
    return (head.get("sources") == sources and head.get("code") == 0
            and head.get("command") == command)


def lines_read(folder, sources):
    """The lines of all steps of these sources that got through, and the heads of the others."""
    lines, stale = [], []
    for file in sorted(folder.glob("*.jsonl")):
        head = head_of(file)
        if "step" not in head:
            continue
        if head["sources"] != sources or head["code"] != 0:
            stale.append(head)
            continue
        lines += [json.loads(line) for line in file.read_text().splitlines()[1:]]
    return lines, stale


# ---- Figures ----

class Figures:
    """Medians over rounds of what engines took, and single values."""

    def __init__(self, lines):
        self.took = defaultdict(lambda: defaultdict(list))  # (bench, case) -> engine -> ns
        self.rows = defaultdict(list)  # (bench, case, engine) -> lines
        self.values = {}  # (bench, case) -> (value, unit)
        self.settings = {}
        self.missing = {}
        for line in lines:
            bench, case, engine = line["bench"], line.get("case"), line.get("engine")
            if "settings" in line:
                self.settings[engine, line["synced"]] = line["settings"]
            elif "missing" in line:
                self.missing[bench, case] = line["missing"]
            elif "value" in line:
                self.values[bench, case] = (line["value"], line["unit"])
            elif "cpu_ns" in line and line["wrong"] == 0:
                wall = line["synced"] or " x4 " in case
                self.took[bench, case][engine].append(line["wall_ns" if wall else "cpu_ns"])
                self.rows[bench, case, engine].append(line)
        for (bench, case, engine), rows in self.rows.items():
            if engine == "strata" and " x4 " in case:
                reads = median(row["device_reads"] / row["operations"] for row in rows)
                self.values[bench, f"device reads per get, {case}"] = (reads, "count")

    def ratio(self, bench, case, peer, rounds_min):
        """How many times the peer's throughput libstrata's is, corrected; None if not measured."""
        took = self.took.get((bench, case), {})
        own = took.get("strata", [])
        others = [took.get(name, []) for name in VARIANTS.get(peer, (peer,))]
        others = [other for other in others if len(other) >= rounds_min]
        if len(own) < rounds_min or not others:
            return None
        return min(map(median, others)) / median(own) / PENALTY.get(peer, 1)


def targets_read(text):
    """Yields bench, case, peer, gate, goal, direction; a goal or gate of "-" is None."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            bench, case, peer, gate, goal, direction = line.split("\t")
            yield (bench, case, peer, None if gate == "-" else float(gate),
                   None if goal == "-" else float(goal), direction)


def meets(value, bound, direction):
    return value >= bound if direction == "min" else value <= bound


def target_lines(figures, targets, rounds_min):
    """One line for each target; without a figure it has no "holds"."""
    for bench, case, peer, gate, goal, direction in targets:
        line = {"bench": bench, "case": case, "peer": peer}
        key = "ratio" if peer != "-" else "value"
        if peer != "-":
            value = figures.ratio(bench, case, peer, rounds_min)
        else:
            value = figures.values.get((bench, case), (None,))[0]
        if value is not None:
            line[key] = round(value, 3)
        line["gate"], line["goal"] = gate, goal
        if value is not None:
            if gate is not None:
                line["holds"] = meets(value, gate, direction)
            if goal is not None:
                line["goal_met"] = meets(value, goal, direction)
        elif (bench, case) in figures.missing:
            line["missing"] = figures.missing[bench, case]
        yield line


def verdict(lines):
    """Missing, failed and held; rows without a gate count for nothing."""
    gated = [line for line in lines if line["gate"] is not None]
    missing = [line for line in gated if "holds" not in line]
    failed = [line for line in gated if line.get("holds") is False]
    held = [line for line in gated if line.get("holds")]
    return missing, failed, held


def shown(line):
    peer = "" if line["peer"] == "-" else f" to {line['peer']}"
    value = line.get("ratio", line.get("value"))
    found = "not measured" if value is None else f"{value:g}"
    reason = f" ({line['missing']})" if "missing" in line else ""
    goal = "" if line["goal"] is None else f", goal {line['goal']:g}"
    return f"{line['bench']}: {line['case']}{peer}: {found}, gate {line['gate']:g}{goal}{reason}"


def goals_text(lines):
    """The share of goals met in each column, which is to be at least half."""
    counts = defaultdict(lambda: [0, 0])
    for line in lines:
        if line["peer"] != "-" and line["goal"] is not None:
            counts[line["peer"]][0] += bool(line.get("goal_met"))
            counts[line["peer"]][1] += 1
    return ", ".join(f"{peer} {met} of {all_}" for peer, (met, all_) in counts.items())


def evaluated(folder, rounds_min=ROUNDS_MIN):
    lines, stale = lines_read(folder, sources_hash())
    figures = Figures(lines)
    found = list(target_lines(figures, targets_read(TARGETS.read_text()), rounds_min))
    return figures, found, stale


def gates():
    _, lines, stale = evaluated(RESULTS)
    missing, failed, held = verdict(lines)
    with open(RESULTS / "targets.jsonl", "w") if RESULTS.exists() else open("/dev/null", "w") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    for title, its in (("missing", missing), ("failed", failed), ("held", held)):
        for line in its:
            print(f"{title}: {shown(line)}")
    for head in stale:
        why = "failed" if head["code"] != 0 else "is of other sources"
        print(f"not counted: step {head['step']} {why}")
    print(f"goals met: {goals_text(lines)}")
    print(f"{len(missing)} missing, {len(failed)} failed, {len(held)} held")
    return 1 if missing or failed or not held else 0


def summary_print(folder, quick):
    """Targets of what was run, as JSON lines too."""
    _, lines, _ = evaluated(folder, 1 if quick else ROUNDS_MIN)
    with open(folder / "targets.jsonl", "w") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    print("\n== targets" + (" (quick: sizes too small to count)" if quick else ""))
    for line in lines:
        if "ratio" in line or "value" in line:
            print(json.dumps(line))
    missing, failed, held = verdict(lines)
    print(f"{len(missing)} missing, {len(failed)} failed, {len(held)} held")


# ---- The document ----

WORKLOADS = {"L": "load", "A": "A, 50 % update", "B": "B, 5 % update", "C": "C, read only",
             "D": "D, read latest", "E": "E, short scans", "F": "F, read-modify-write",
             "S": "scan, settled", "M": "multi-get of 16", "P": "synced put", "U": "uniform read"}
COLORS = {"lmdb": "#1b6ca8", "rocksdb": "#d1495b", "leveldb": "#7a9e3f", "sqlite": "#8e6bbf",
          "wiredtiger": "#e08e1b"}


def plot_svg(title, rows):
    """`rows`: (name, [(peer, ratio, gate)]). Ratios on a logarithmic scale, gates as ticks."""
    left, right, line, top = 190, 850, 15, 60
    count = sum(len(dots) + 1 for _, dots in rows)
    height = top + count * line + 20
    low, high = 0.1, 100.0

    def x_of(ratio):
        share = math.log(min(max(ratio, low), high) / low) / math.log(high / low)
        return left + share * (right - left)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {height}" '
           'font-family="sans-serif" font-size="11">',
           '<rect width="100%" height="100%" fill="#ffffff"/>',
           f'<text x="10" y="20" font-size="14">{title}</text>',
           '<text x="10" y="36" fill="#555">throughput of libstrata over the peer\'s; '
           'the black tick is the gate</text>']
    for mark in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        color = "#444" if mark == 1 else "#ddd"
        out.append(f'<line x1="{x_of(mark):.1f}" y1="{top - 8}" x2="{x_of(mark):.1f}" '
                   f'y2="{height - 10}" stroke="{color}"/>'
                   f'<text x="{x_of(mark):.1f}" y="{top - 12}" text-anchor="middle">{mark:g}</text>')
    y = top
    for name, dots in rows:
        out.append(f'<text x="10" y="{y + 10}" font-weight="bold">{name}</text>')
        for peer, ratio, gate in dots:
            color, one = COLORS[peer], x_of(1)
            start, end = min(one, x_of(ratio)), max(one, x_of(ratio))
            out.append(f'<text x="{left - 8}" y="{y + 10}" text-anchor="end">{peer}</text>'
                       f'<rect x="{start:.1f}" y="{y + 2}" width="{end - start:.1f}" height="9" '
                       f'fill="{color}"/>'
                       f'<text x="{end + 4:.1f}" y="{y + 10}">{ratio:.2f}</text>')
            if gate is not None:
                out.append(f'<line x1="{x_of(gate):.1f}" y1="{y}" x2="{x_of(gate):.1f}" '
                           f'y2="{y + 13}" stroke="#000" stroke-width="2"/>')
            y += line
        y += line
    return "\n".join(out + ["</svg>"]) + "\n"


def by_group(lines):
    """Lines against peers by (bench, what follows the workload in the case's name)."""
    groups = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        if line["peer"] != "-":
            workload, _, group = line["case"].partition(" ")
            groups[line["bench"], group][workload][line["peer"]] = line
    return groups


def ratio_cell(line):
    if line is None:
        return ""
    gate = "" if line["gate"] is None else f" ({line['gate']:g})"
    if "ratio" not in line:
        return "not measured" + gate
    mark = "" if line.get("holds", True) else " **missed**"
    return f"{line['ratio']:.2f}{gate}{mark}"


def cost_cell(figures, bench, case, engine):
    rows = figures.rows.get((bench, case, engine))
    if not rows:
        return ""
    took = median(figures.took[bench, case][engine])
    tails = [median(row[key] for row in rows) / 1000 for key in ("p50_ns", "p99_ns", "p999_ns")]
    tail = "/".join(f"{us:.2f}" if us < 10 else f"{us:,.0f}" for us in tails)
    return f"{took:,.0f} ({tail})"


def group_text(figures, bench, group, workloads):
    peers = [peer for peer in PEERS if any(peer in its for its in workloads.values())]
    out = [f"### {bench}, {group}", "",
           "Ratio of throughputs (gate):", "",
           "| | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for workload, its in workloads.items():
        cells = " | ".join(ratio_cell(its.get(peer)) for peer in peers)
        out.append(f"| {WORKLOADS[workload]} | {cells} |")
    engines = ["strata"] + [name for peer in peers for name in VARIANTS.get(peer, (peer,))]
    wall = "synced" in group or "x4" in group
    out += ["", f"{'Wall' if wall else 'CPU'} ns per operation (p50/p99/p99.9 in us):", "",
            "| | " + " | ".join(engines) + " |", "|---" * (len(engines) + 1) + "|"]
    for workload in workloads:
        cells = " | ".join(cost_cell(figures, bench, f"{workload} {group}", engine)
                           for engine in engines)
        out.append(f"| {WORKLOADS[workload]} | {cells} |")
    last = [[row for workload in workloads
             for row in figures.rows.get((bench, f"{workload} {group}", engine), [])]
            for engine in engines]
    out += ["| resident MiB, grown | " + " | ".join(
        f"{max(row['memory_bytes'] for row in rows) >> 20}" if rows else "" for rows in last) + " |",
            "| written MiB, median sum | " + " | ".join(
        f"{sum(row['write_bytes'] for row in rows) // max(1, len({row['round'] for row in rows})) >> 20}"
        if rows else "" for rows in last) + " |", ""]
    return out


def document_text(figures, lines, plots):
    missing, failed, held = verdict(lines)
    out = [f"Measured on {machine()}, sources {sources_hash()}. Of the gates {len(held)} are held, "
           f"{len(failed)} missed, {len(missing)} not measured. Goals met: {goals_text(lines)}.", ""]
    out += [f"![{title}]({name})" for name, title in plots] + [""]
    for (bench, group), workloads in by_group(lines).items():
        out += group_text(figures, bench, group, workloads)
    out += ["### Costs nothing", "", "| | | value | gate | goal | |", "|---|---|---|---|---|---|"]
    for line in lines:
        if line["peer"] == "-":
            value = f"{line['value']:g}" if "value" in line else "not measured"
            word = {True: "held", False: "**missed**"}.get(line.get("holds"), line.get("missing", ""))
            bounds = " | ".join("" if line[key] is None else f"{line[key]:g}"
                                for key in ("gate", "goal"))
            out.append(f"| {line['bench']} | {line['case']} | {value} | {bounds} | {word} |")
    out += ["", "### All values", "", "| | | value | |", "|---|---|---|---|"]
    out += [f"| {bench} | {case} | {value:g} | {unit} |"
            for (bench, case), (value, unit) in sorted(figures.values.items())]
    out += ["", "### Settings", ""]
    out += [f"- {engine}{', synced' if synced else ''}: {text}"
            for (engine, synced), text in sorted(figures.settings.items())]
    return "\n".join(out) + "\n"


def plots_write(lines):
    plots = []
    for (bench, group), workloads in by_group(lines).items():
        rows = [(WORKLOADS[workload], [(peer, its[peer]["ratio"], its[peer]["gate"])
                                       for peer in PEERS if "ratio" in its.get(peer, {})])
                for workload, its in workloads.items()]
        rows = [row for row in rows if row[1]]
        if not rows:
            continue
        name = f"benchmarks-{bench}-{group}.svg".replace(" ", "-")
        (DOCUMENT.parent / name).write_text(plot_svg(f"{bench}, {group}", rows))
        plots.append((name, f"{bench}, {group}"))
    return plots


def document_write():
    figures, lines, _ = evaluated(RESULTS)
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        sys.exit(f"{DOCUMENT} has no place for results")
    body = document_text(figures, lines, plots_write(lines))
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}")
    print(f"wrote {DOCUMENT.relative_to(ROOT)}")


# ---- Its own test ----

def self_test():
    def line(engine, ns, case="A 100B t1", **more):
        return {"bench": "ycsb", "case": case, "engine": engine, "cpu_ns": ns, "wall_ns": ns * 10,
                "synced": False, "wrong": 0, "device_reads": 5, "operations": 10, "p50_ns": ns,
                "p99_ns": ns, "p999_ns": ns, "memory_bytes": 1, "write_bytes": 1, "round": 0,
                **more}

    rounds = [line("strata", 100), line("strata", 110), line("strata", 500), line("lmdb", 330),
              line("lmdb", 330), line("lmdb", 1), line("rocksdb", 900), line("rocksdb-mmap", 748)]
    figures = Figures(rounds)
    assert figures.ratio("ycsb", "A 100B t1", "lmdb", 3) == 3
    assert figures.ratio("ycsb", "A 100B t1", "lmdb", 5) is None
    assert figures.ratio("ycsb", "A 100B t1", "sqlite", 1) is None
    assert abs(figures.ratio("ycsb", "A 100B t1", "rocksdb", 1) - 5) < 1e-9  # The better one.
    wrong = Figures([line("strata", 1, wrong=1), line("lmdb", 1)])
    assert wrong.ratio("ycsb", "A 100B t1", "lmdb", 1) is None
    tight = Figures([line("strata", 1, case="U x4 100B t1"), line("lmdb", 2, case="U x4 100B t1")])
    assert tight.values["ycsb", "device reads per get, U x4 100B t1"][0] == 0.5
    assert tight.took["ycsb", "U x4 100B t1"]["strata"] == [10]

    text = ("ycsb\tA 100B t1\tlmdb\t2.8\t3.8\tmin\nycsb\tA 100B t1\tsqlite\t9\t-\tmin\n"
            "forks\tx\t-\t1.1\t-\tmax\nforks\ty\t-\t1\t-\tmax\n")
    figures = Figures(rounds + [{"bench": "forks", "case": "x", "value": 1.2, "unit": "ratio"},
                                {"bench": "forks", "case": "y", "missing": "why"}])
    found = list(target_lines(figures, targets_read(text), 1))
    assert found[0] == {"bench": "ycsb", "case": "A 100B t1", "peer": "lmdb", "ratio": 3.0,
                        "gate": 2.8, "goal": 3.8, "holds": True, "goal_met": False}
    missing, failed, held = verdict(found)
    assert (len(missing), len(failed), len(held)) == (2, 1, 1)
    assert "why" in shown(missing[1])
    document = document_text(figures, found, [])
    assert "**missed**" in document and "3.00 (2.8)" in document
    assert plot_svg("t", [("A", [("lmdb", 3.0, 2.8)])]).startswith("<svg")
    targets = list(targets_read(TARGETS.read_text()))
    assert len({target[:3] for target in targets}) == len(targets)
    assert all(target[5] in ("min", "max") for target in targets)
    print("results: self-test passed")


if __name__ == "__main__":
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode == "gates":
        sys.exit(gates())
    elif mode == "document":
        document_write()
    elif mode == "self-test":
        self_test()
    else:
        sys.exit(__doc__)
