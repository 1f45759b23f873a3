#!/usr/bin/env python3
"""Joins every layer into one strata.c, bottom layer first, and the public headers into one strata.h.

    amalgamate.py [--xxhash /usr/include/xxhash.h] [--plant 0] FOLDER
    amalgamate.py --self-test

Headers are pasted in at their first use. Internal functions become static, which needs a change
only to their declarations: in C a definition inherits the linkage of the declaration before it.
Bugs planted for the tests (core/plant.h) are left out.
"""
import argparse
import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent
INCLUDE = re.compile(r'#include "(.+)"')
XXHASH = re.compile(r"#include <xxhash\.h>")
# Feature test macros count only before the first include, so the one file has them at its top.
FEATURE = re.compile(r"#\s*define (_\w+_SOURCE|_FILE_OFFSET_BITS|STRATA_EXPERIMENTAL)\b")
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
TYPE = re.compile(r"(struct|union|enum)\s*(\w+\s*$|\w*\s*\{.*\}(\s*__attribute__.*)?$)", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
TOP = """\
/* Strata {version} in one file, generated from many. Any C11 compiler takes it, without flags; link
 * with -pthread. Licence: Apache-2.0, except for the part that begins with the notice of xxHash,
 * which is under the BSD 2-clause licence given there. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#ifndef STRATA_EXPERIMENTAL
#define STRATA_EXPERIMENTAL
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include "strata.h"
"""


class Breach(Exception):
    """A source that the amalgamation cannot take."""


def layers(text):
    return re.findall(r"^strata_layer\((\S+?)[\s)]", text, re.M)


def blanked(text):
    """The same text with comments, strings and directives as spaces: only code is left."""
    for pattern in (COMMENT_OR_STRING, DIRECTIVE):
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    return text


def with_static(name, text):
    """Puts `static` before each function that the header `text` declares."""
    code = blanked(text)
    starts, start, depth = [], None, 0
    for at, char in enumerate(code):
        if start is None and depth == 0 and not char.isspace() and char != ";":
            start = at
        depth += (char == "{") - (char == "}")
        if depth == 0 and char == "}" and "(" in code[start:code.index("{", start)]:
            start = None  # The end of a function's body, not of a type.
        if depth != 0 or char != ";" or start is None:
            continue
        statement, start_of, start = code[start:at], start, None
        if re.match(r"(static|typedef|_Static_assert|static_assert)\b", statement):
            continue
        if TYPE.match(statement):
            continue
        if statement.startswith("extern") or "(" not in statement:
            line = code.count("\n", 0, start_of) + 1
            raise Breach(f"{name}:{line}: an internal header declares types and functions only")
        starts.append(start_of)
    for at in reversed(starts):
        text = text[:at] + "static " + text[at:]
    return text


def without_plants(name, text, plant):
    """Settles each `#if STRATA_PLANT == n`, so that what we ship has no bug on purpose in it."""
    lines, nested = [], []  # For each open #if: None, or whether its lines are kept.
    for number, line in enumerate(text.splitlines(), 1):
        directive = re.match(r"\s*#\s*(if|el|endif)(\w*)(.*)", line)
        ours = directive is not None
        if directive is None:
            pass
        elif directive.group(1) == "if":
            condition = re.match(r" STRATA_PLANT (==|!=) (\d+)\s*$", directive.group(3))
            if directive.group(2) == "" and "STRATA_PLANT" in line and condition is None:
                raise Breach(f"{name}:{number}: write `#if STRATA_PLANT == n`")
            holds = condition and (condition.group(1) == "==") == (int(condition.group(2)) == plant)
            nested.append(holds)
            ours = condition is not None
        elif directive.group(1) == "endif":
            ours = nested.pop() is not None
        elif nested[-1] is None:
            ours = False
        elif directive.group(2) == "se":
            nested[-1] = not nested[-1]
        else:
            raise Breach(f"{name}:{number}: write `#else` and another `#if`")
        lines.append("" if ours or False in nested else line)
    return "\n".join(lines) + "\n"


class Amalgamation:
    def __init__(self, xxhash, plant):
        self.xxhash = xxhash
        self.plant = plant
        self.seen = {"strata.h"}
        self.lines = []

    def paste(self, name):
        text = without_plants(name, (SRC / name).read_text(), self.plant)
        is_header = name.endswith(".h")
        if is_header:
            text = with_static(name, text)
        self.lines.append(f'#line 1 "{name}"')
        depth = 0
        for number, line in enumerate(text.splitlines(), 1):
            depth += bool(re.match(r"\s*#\s*if", line)) - bool(re.match(r"\s*#\s*endif", line))
            include = INCLUDE.match(line)
            if FEATURE.match(line):
                self.lines.append("")
            elif XXHASH.match(line):
                self.lines += ['#line 1 "xxhash.h"', *self.xxhash.read_text().splitlines(),
                               f'#line {number + 1} "{name}"']
            elif include is None:
                self.lines.append(line)
            elif include.group(1) in self.seen:
                self.lines.append("")
            elif depth > is_header:
                raise Breach(f"{name}:{number}: an include of ours must not depend on a condition")
            else:
                self.seen.add(include.group(1))
                self.paste(include.group(1))
                self.lines.append(f'#line {number + 1} "{name}"')


def public_header(read):
    """strata.h with the header that it includes in its place. `read` gives the text of a header."""
    part = read("strata_backend.h").replace('#include "strata.h"\n\n', "")
    whole = read("strata.h").replace('#include "strata_backend.h"\n', part)
    if INCLUDE.search(whole):
        raise Breach("strata.h: includes a header that is not shipped beside strata.c")
    return whole


def main(folder, xxhash, plant):
    header = public_header(lambda name: (SRC.parent / "include" / name).read_text())
    version = re.findall(r"^#define STRATA_VERSION_(?:MAJOR|MINOR|PATCH) +(\d+)", header, re.M)
    top = TOP.format(version=".".join(version))
    whole = Amalgamation(xxhash, plant)
    for layer in layers((SRC / "CMakeLists.txt").read_text()):
        for source in sorted((SRC / layer).glob("*.c")):
            whole.paste(source.relative_to(SRC).as_posix())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "strata.c").write_text(top + "\n".join(whole.lines) + "\n")
    (folder / "strata.h").write_text(header)


def self_test():
    def gains(text, wanted):
        assert with_static("a.h", text) == wanted, with_static("a.h", text)

    gains("int f(void);\n", "static int f(void);\n")
    gains("CHECKED status\nf(int a,\n  int b);\n", "static CHECKED status\nf(int a,\n  int b);\n")
    gains("struct a *f(void);\n", "static struct a *f(void);\n")
    gains("int a(int);\nenum b g(int);\n", "static int a(int);\nstatic enum b g(int);\n")
    gains("int f(void) __attribute__((pure));\n", "static int f(void) __attribute__((pure));\n")
    for same in ("struct a;\n", "struct a {\n    int (*f)(void);\n};\n", "enum { A = 1 };\n",
                 "struct a {\n    int b;\n} __attribute__((packed));\n",
                 "typedef int (*f)(int);\n", "/* int f(void); */\n", "static_assert(1, \"f(;\");\n",
                 "#define F(a) \\\nint f(void);\n", "static inline int f(void)\n{\n    g();\n}\n",
                 "static const int a[] = {1, 2};\n"):
        gains(same, same)
    gains("static inline int f(void)\n{\n}\nint g(void);\n",
          "static inline int f(void)\n{\n}\nstatic int g(void);\n")
    for bad in ("extern const struct a b;\n", "int a;\n", "extern int f(void);\n", "struct a b;\n"):
        try:
            with_static("a.h", bad)
        except Breach:
            continue
        raise AssertionError(bad)
    rest = "#ifndef STRATA_PLANT\n#endif\n"
    planted = "#if STRATA_PLANT == 3\nbad\n#else\n#if A\ngood\n#endif\n#endif\n" + rest
    assert without_plants("a", planted, 0) == "\n\n\n#if A\ngood\n#endif\n\n" + rest
    assert without_plants("a", planted, 3) == "\nbad\n\n\n\n\n\n" + rest
    headers = {"strata.h": '1\n#include "strata_backend.h"\n2\n',
               "strata_backend.h": '3\n#include "strata.h"\n\n4\n'}
    assert public_header(headers.get) == "1\n3\n4\n2\n"
    headers["strata.h"] += '#include "other.h"\n'
    try:
        public_header(headers.get)
        raise AssertionError("an include is left")
    except Breach:
        pass
    assert layers("strata_layer(a)\nstrata_layer(b/c  USES a)\n") == ["a", "b/c"]
    print("amalgamate: self-test passed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--xxhash", type=Path, default=Path("/usr/include/xxhash.h"))
    parser.add_argument("--plant", type=int, default=0)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("amalgamation"))
    options = parser.parse_args()
    try:
        sys.exit(self_test() if options.self_test
                 else main(options.folder, options.xxhash, options.plant))
    except Breach as breach:
        sys.exit(f"amalgamate: {breach}")
