#!/usr/bin/env python3
"""Holds docs/testing.md to its word: every test that its tables name must exist.

A name is `file:token` in the last column of a table row, such as
`crash/sweep_test.c:prefix_holds_at_every_crash_point`: a file under tests/ and a word in it.
In a table whose last column is headed Test or Tests, every row must name one.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"`([\w./-]+\.\w+):([^`]+)`")


def rows(text):
    """Yields for each table row its line number, its last cell, and the last cell of the header."""
    header = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.strip().startswith("|"):
            header = None
        elif header is None:
            header = cells[-1]
        elif not re.fullmatch(r"[\s|:-]+", line):
            yield number, cells[-1], header


def check(text, read):
    """`read` gives the text of a file under tests/, or None. Returns breaches and a count."""
    breaches, count = [], 0
    for number, cell, header in rows(text):
        names = NAME.findall(cell)
        if header.lower() in ("test", "tests") and not names:
            breaches.append(f"docs/testing.md:{number}: the row names no test")
        for file, token in names:
            count += 1
            found = read(file)
            if found is None:
                breaches.append(f"docs/testing.md:{number}: there is no tests/{file}")
            elif token not in found:
                breaches.append(f"docs/testing.md:{number}: tests/{file} has no {token}")
    return breaches, count


def self_test():
    def run(text):
        return check(text, {"a/b_test.c": "static void holds(void **state)"}.get)

    table = "| Promise | Test |\n|---|---|\n| x | {} |\n"
    assert run(table.format("`a/b_test.c:holds`")) == ([], 1)
    assert run(table.format("`a/b_test.c:holds`, `a/c_test.c:holds`"))[0]
    assert run(table.format("`a/b_test.c:breaks`"))[0]
    assert run(table.format("none"))[0]
    assert run("| Label | Meaning |\n|---|---|\n| unit | `x` |\n") == ([], 0)
    assert run("| Label | Meaning |\n|---|---|\n| unit | `a/c_test.c:holds` |\n")[0]
    print("testmap: self-test passed")


def main():
    document = ROOT / "docs" / "testing.md"
    if not document.exists():
        print("docs/testing.md does not exist yet; nothing to check")
        return 0

    def read(file):
        path = ROOT / "tests" / file
        return path.read_text() if path.is_file() else None

    breaches, count = check(document.read_text(), read)
    print("\n".join(breaches) or f"all {count} tests named exist")
    return bool(breaches)


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1:] == ["--self-test"] else main())
