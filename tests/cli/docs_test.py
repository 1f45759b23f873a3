#!/usr/bin/env python3
"""Runs every example of docs/cli.md, in order, in one scratch folder, and compares the output."""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE_DIR = Path(os.environ.get("SOURCE_DIR", Path(__file__).resolve().parents[2]))
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def examples(text):
    """Yields (line number, command, expected lines) of each `$` line in a ```console block."""
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        example = None
        for number, line in enumerate(block.group(1).splitlines(), first):
            if line.startswith("$ "):
                if example is not None:
                    yield example
                example = (number, line[2:], [])
            else:
                example[2].append(line)
        yield example


def pattern(lines):
    """A regular expression: `...` is anything in a line, a line of its own is any lines."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:[^\n]*\n)*")
        else:
            parts.append(r"[^\n]*?".join(re.escape(part) for part in line.split("...")) + r"\n")
    return re.compile("".join(parts))


def run(command, folder, binary):
    environment = dict(os.environ, PATH=f"{binary.parent}{os.pathsep}{os.environ['PATH']}",
                       LC_ALL="C.UTF-8")
    result = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, timeout=60,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, check=False)
    return result.stdout.decode("utf-8", "backslashreplace")


def self_test():
    assert pattern(["a...c", "...", "d"]).fullmatch("abc\nx\ny\nd\n")
    assert pattern(["a...c", "...", "d"]).fullmatch("ac\nd\n")
    assert not pattern(["a...c"]).fullmatch("a\nc\n")
    assert not pattern(["a"]).fullmatch("b\n") and pattern([]).fullmatch("")
    text = "x\n```console\n$ one\nout\n$ two\n```\n"
    assert list(examples(text)) == [(3, "one", ["out"]), (5, "two", [])]


def main():
    self_test()
    text = (SOURCE_DIR / "docs" / "cli.md").read_text()
    failures = count = 0
    with tempfile.TemporaryDirectory() as scratch:
        programs, folder = Path(scratch, "bin"), Path(scratch, "work")
        programs.mkdir()
        folder.mkdir()
        binary = programs / "strata"
        binary.symlink_to(Path(os.environ["STRATA_BIN"]).resolve())
        for number, command, expected in examples(text):
            count += 1
            output = run(command, folder, binary)
            if output and not output.endswith("\n"):
                output += "\n"
            if not pattern(expected).fullmatch(output):
                failures += 1
                wanted = "".join(f"    {line}\n" for line in expected)
                found = "".join(f"    {line}\n" for line in output.splitlines())
                print(f"docs/cli.md:{number}: $ {command}\n  expected:\n{wanted}  found:\n{found}")
    print(f"{count} examples, {failures} failed")
    return failures > 0 or count == 0


if __name__ == "__main__":
    sys.exit(main())
