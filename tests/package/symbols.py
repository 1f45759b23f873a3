#!/usr/bin/env python3
"""The installed libraries define every function of strata.h and export nothing else."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DECLARED = re.compile(r"^STRATA_API\s[^;(]*?\b(strata_\w+)\(", re.M)


def symbols(library, *options):
    output = subprocess.run(["nm", "--defined-only", "--extern-only", *options, library],
                            check=True, capture_output=True, text=True).stdout
    entries = re.findall(r"^[0-9a-f]+ (\w) (\S+)$", output, re.M)
    # The version of the shared library's symbols is listed as an absolute symbol.
    return {name.partition("@")[0] for kind, name in entries if kind != "A"}


def main(folder):
    # The other public header, of which a part is experimental, declares no functions.
    declared = set(DECLARED.findall((ROOT / "include" / "strata.h").read_text()))
    assert not DECLARED.search((ROOT / "include" / "strata_backend.h").read_text())
    assert len(declared) > 50, "strata.h no longer looks as this test expects"
    failed = False
    for library, options in (("libstrata.a", ()), ("libstrata.so", ("--dynamic",))):
        defined = symbols(folder / library, *options)
        for name in sorted(declared - defined):
            print(f"{library} lacks {name}")
        for name in sorted(defined - declared):
            print(f"{library} exports {name}, which strata.h does not declare")
        failed |= defined != declared
    print(f"{len(declared)} functions")
    return failed


sys.exit(main(Path(sys.argv[1])))
