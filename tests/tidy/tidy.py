#!/usr/bin/env python3
"""House rules a compiler does not check. Prints one line per breach; exits 1 if there are any."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Lines of any file of ours, and of a function body in what we ship and in what tests it.
FILE_LINES_MAX = 800
SHIPPED_BODY_MAX = 70
TEST_BODY_MAX = 120

HEADINGS = ["Purpose", "Rules", "On disk", "Concurrency", "Files"]
HEAP = "malloc|calloc|realloc|free"
UNSAFE = "strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|alloca"
OUTPUT = "printf|vprintf|fprintf|vfprintf|puts|fputs|putchar|perror"
COMMENT = re.compile(r"/\*.*?\*/", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'')
# At column zero, up to the first `;` or `=`, without a parenthesis or brace: an object.
DATA = re.compile(
    r"^(?!static\b|typedef\b|(?:struct|union|enum)\s+\w+;)[A-Za-z_][\w\s*\[\]]*[=;]", re.M)


def layers(text):
    """Maps each layer to the layers it may include, from the strata_layer() lines."""
    lines = re.findall(r"^strata_layer\((\S+?)(?:\s+USES\s+([^)]*))?\)", text, re.M)
    return {name: {name, *(uses or "").split()} for name, uses in lines}


def blanked(pattern, text):
    """The text with every match of `pattern` as spaces, so that line numbers stay."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def code_of(text):
    """The text without comments and without what is inside string literals."""
    return blanked(STRING, blanked(COMMENT, text))


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def check_includes(path, text, allowed):
    """Holds a file of a layer to its strata_layer() line; `path` is relative to src/."""
    layer = path.rpartition("/")[0]
    if layer not in allowed:
        return [f"{path}: the folder is not a declared layer"]
    breaches = []
    for include in re.findall(r'^\s*#\s*include "(.+)"', text, re.M):
        target = include.rpartition("/")[0]
        if include != "strata.h" and target not in allowed[layer]:
            breaches.append(f'{path}: "{include}" is not in {layer} or a layer that it uses')
    return breaches


def check_outside_includes(path, text, own_headers):
    """Holds a program to the public header: "strata.h", its own headers, the system's."""
    breaches = []
    for include in re.findall(r'^\s*#\s*include "(.+)"', text, re.M):
        if include != "strata.h" and include not in own_headers:
            breaches.append(f'{path}: "{include}" is internal; this program knows strata.h only')
    if "STRATA_EXPERIMENTAL" in text:
        breaches.append(f"{path}: uses the experimental part of strata.h")
    return breaches


def own_headers(folder):
    """The headers of a folder, as its files may write them: "cli/table.h" or "table.h"."""
    names = [file.name for file in (ROOT / folder).glob("*.h")]
    return names + [f"{folder.rpartition('/')[2]}/{name}" for name in names]


def check_length(path, text):
    count = len(text.splitlines())
    return [f"{path}: {count} lines, limit {FILE_LINES_MAX}"] if count > FILE_LINES_MAX else []


def check_sizes(path, text, function_lines_max):
    lines = text.splitlines()
    breaches = check_length(path, text)
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > function_lines_max:
                breaches.append(f"{path}:{start}: function body over {function_lines_max} lines")
            start = None
    return breaches


def check_calls(path, text, names):
    code = code_of(text)
    calls = re.finditer(rf"(?<![\w.>])({names})\s*\(", code)
    return [f"{path}:{line_of(code, call.start())}: {call.group(1)}() is banned, see docs/style.md"
            for call in calls]


def guard_of(path):
    """The include guard of a header, and the pattern that it must match."""
    words = re.sub(r"\W", "_", re.sub("^(src|include)/", "", path)).upper()
    guard = "STRATA_" + words.removeprefix("STRATA_")
    if path.startswith(("src/", "include/")):
        return guard, guard
    # What is not shipped may leave folders out.
    name = re.sub(r"\W", "_", path.rpartition("/")[2]).upper()
    return guard, rf"STRATA_(?:\w+_)?{name}"


def check_text(path, text):
    """What holds for every C file of ours; `path` is relative to the repository."""
    breaches = []
    for word in re.finditer(r"\b(TODO|FIXME|XXX)\b", text):
        breaches.append(f"{path}:{line_of(text, word.start())}: {word.group()} does not merge")
    if path.endswith(".h"):
        guard, pattern = guard_of(path)
        if not re.search(rf"^#ifndef ({pattern})\n#define \1\n", text, re.M):
            breaches.append(f"{path}: include guard should be {guard}")
        if not text.startswith("/* "):
            breaches.append(f"{path}: a header opens with a comment saying what it is for")
    return breaches


def check_header_data(path, text):
    """An internal header declares no object: in strata.c it could not be made static."""
    code = blanked(re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M), code_of(text))
    return [f"{path}:{line_of(code, found.start())}: a header declares no data and says no `extern`"
            for found in re.finditer(rf"{DATA.pattern}|^extern\b", code, re.M)]


def conditions(code):
    """Yields the offset and text of each condition of an if, while or for."""
    for keyword in re.finditer(r"\b(if|while|for)\s*\(", code):
        depth, at = 1, keyword.end()
        while depth > 0 and at < len(code):
            depth += (code[at] == "(") - (code[at] == ")")
            at += 1
        condition = re.sub(r"\{[^{}]*\}", "", code[keyword.end():at - 1])
        if keyword.group(1) == "for":
            condition = (condition.split(";") + [""])[1]
        yield keyword.group(1), keyword.start(), condition


def check_conditions(path, text, while_may_assign=False):
    code = code_of(text)
    breaches = []
    for keyword, at, condition in conditions(code):
        if keyword == "while" and while_may_assign:
            continue
        if re.search(r"(?<![=!<>])=(?!=)|<<=|>>=", condition):
            breaches.append(f"{path}:{line_of(code, at)}: assignment inside a condition")
    return breaches


def check_readme(layer, text, files):
    """Five headings in order, and every file of the layer named under the last."""
    found = re.findall(r"^#+ +(.+?) *$", text, re.M)
    if [heading for heading in found if heading in HEADINGS] != HEADINGS:
        return [f"src/{layer}/README.md: its headings should be {', '.join(HEADINGS)}"]
    listed = re.split(r"^#+ +Files *$", text, flags=re.M)[1]
    return [f"src/{layer}/README.md: does not name {file}" for file in files
            if not re.search(rf"(?<![\w.]){file.rpartition('.')[0]}[.`]", listed)]


def check_layer(layer):
    folder = ROOT / "src" / layer
    readme = folder / "README.md"
    if not readme.exists():
        return [f"src/{layer}: no README.md"]
    files = sorted(file.name for file in folder.glob("*.[ch]"))
    return check_readme(layer, readme.read_text(), files)


def check_source(path, text, allowed):
    """A file under src/; `path` is relative to the repository."""
    breaches = check_text(path, text) + check_sizes(path, text, SHIPPED_BODY_MAX)
    if path.startswith("src/cli/"):
        return (breaches + check_outside_includes(path, text, own_headers("src/cli"))
                + check_calls(path, text, UNSAFE)
                + check_conditions(path, text, while_may_assign=True))
    banned = f"{UNSAFE}|{OUTPUT}" + ("" if path == "src/core/memory.c" else f"|{HEAP}")
    breaches += check_includes(path.removeprefix("src/"), text, allowed)
    breaches += check_calls(path, text, banned) + check_conditions(path, text)
    if path.endswith(".h"):
        breaches += check_header_data(path, text)
    return breaches


def check_outside(path, text):
    """A test, benchmark or demo."""
    breaches = check_text(path, text) + check_sizes(path, text, TEST_BODY_MAX)
    breaches += check_calls(path, text, UNSAFE)
    breaches += check_conditions(path, text, while_may_assign=True)
    if path.startswith("docs/demo/"):
        breaches += check_outside_includes(path, text, own_headers("docs/demo"))
    return breaches


def self_test():
    allowed = layers("strata_layer(core)\nstrata_layer(engine/kv   USES\n  core)\n")
    assert allowed == {"core": {"core"}, "engine/kv": {"engine/kv", "core"}}
    assert not check_includes("engine/kv/kv.c", '#include "core/bytes.h"\n', allowed)
    assert not check_includes("engine/kv/kv.c", '#include "strata.h"\n', allowed)
    assert check_includes("core/bytes.h", '#include "engine/kv/kv.h"\n', allowed)
    assert check_includes("core/bytes.h", '#include "../engine/kv/kv.h"\n', allowed)
    assert check_includes("core/bytes.h", '#include "bytes.h"\n', allowed)
    assert check_includes("other/a.c", "", allowed)

    assert not check_outside_includes("a.c", '#include "strata.h"\n#include "b.h"\n', ["b.h"])
    assert check_outside_includes("a.c", '#include "core/bytes.h"\n', ["cli/a.h"])
    assert check_outside_includes("a.c", "#define STRATA_EXPERIMENTAL\n", [])

    assert check_sizes("a.c", "{\n" + "x\n" * 71 + "}\n", SHIPPED_BODY_MAX)
    assert not check_sizes("a.c", "{\n" + "x\n" * 70 + "}\n", SHIPPED_BODY_MAX)
    assert check_sizes("a.c", "{\n" + "x\n" * 121 + "}\n", TEST_BODY_MAX)
    assert check_sizes("a.c", "x\n" * 801, SHIPPED_BODY_MAX)
    assert check_length("a.py", "x\n" * 801) and not check_length("a.py", "x\n" * 800)

    assert check_calls("a.c", "p = malloc(1);", HEAP)
    assert not check_calls("a.c", 'hooks->free(p); /* free(p) */ f("free(p)");', HEAP)
    assert check_calls("a.c", "fprintf(stderr, x);", OUTPUT)
    assert not check_calls("a.c", "snprintf(to, 1, x); vsnprintf(to, 1, x, y);", OUTPUT)
    assert not check_calls("a.c", "snprintf(to, 1, x); vsnprintf(to, 1, x, y);", UNSAFE)

    header = "/* For x. */\n#ifndef STRATA_A_B_H\n#define STRATA_A_B_H\n#endif\n"
    assert not check_text("src/a/b.h", header)
    assert not check_text("tests/a/b.h", header)
    assert not check_text("tests/a/b.h", header.replace("STRATA_A", "STRATA_TESTS_A"))
    assert check_text("src/a/b.h", header.replace("STRATA_A", "STRATA_TESTS_A"))
    assert not check_text("include/strata_a.h", "/* S. */\n#ifndef STRATA_A_H\n#define STRATA_A_H\n")
    assert not check_text("include/strata.h", "/* S. */\n#ifndef STRATA_H\n#define STRATA_H\n")
    assert check_text("src/a/b.h", header.replace("/* For x. */\n", ""))
    assert check_text("src/a/b.c", "/* TODO: x */") and not check_text("a.c", '"/tmp/XXXXXX"')

    for bad in ("extern const struct a b;\n", "int a;\n", "struct a b;\n", "const int a[] = {1};\n",
                "extern int f(void);\n"):
        assert check_header_data("a.h", bad), bad
    for good in ("struct a;\n", "struct a {\n    int b;\n};\n", "enum { A = 1 };\n",
                 "int f(int a);\n", "typedef int a;\n",
                 "static const int a = 1;\n", "#define A \\\n  b;\n",
                 "static inline int f(void)\n{\n    int a = 1;\n    return a;\n}\n"):
        assert not check_header_data("a.h", good), good

    for bad in ("if (a = b)", "while ((a = f()) == b)", "if (x && (a += 1))", "for (;a = b;)"):
        assert check_conditions("a.c", bad), bad
    for good in ("if (a == b && c <= d && e != f && g >= h)", "for (int i = 0; i < n; i += 2)",
                 "if (f((struct a){.b = c}))", 'if (f("a = b") /* a = b */)', "while (a < b)"):
        assert not check_conditions("a.c", good), good
    assert not check_conditions("a.c", "while ((a = f()) == b)", while_may_assign=True)

    readme = "\n".join(f"## {heading}\n" for heading in HEADINGS) + "- `b.h`, `b.c`: x\n"
    assert not check_readme("a", readme, ["b.c", "b.h"])
    assert check_readme("a", readme, ["c.c"])
    assert not check_readme("a", readme + "`c.{c,h}`", ["c.c", "c.h"])
    assert check_readme("a", "# a\n", [])
    print("tidy: self-test passed")


def main():
    allowed = layers((ROOT / "src" / "CMakeLists.txt").read_text())
    breaches = [breach for layer in allowed for breach in check_layer(layer)]
    for file in sorted((ROOT / "src").rglob("*.[ch]")):
        breaches += check_source(file.relative_to(ROOT).as_posix(), file.read_text(), allowed)
    for folder in ("tests", "bench", "docs/demo"):
        for file in sorted((ROOT / folder).rglob("*.[ch]")):
            breaches += check_outside(file.relative_to(ROOT).as_posix(), file.read_text())
    for file in sorted((ROOT / "include").glob("*.h")):
        name, text = file.relative_to(ROOT).as_posix(), file.read_text()
        breaches += check_text(name, text) + check_sizes(name, text, SHIPPED_BODY_MAX)
    for folder in ("src", "tests", "bench", "docs/demo"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".py", ".sh", ".txt") and file.is_file():
                breaches += check_length(file.relative_to(ROOT).as_posix(), file.read_text())
    print("\n".join(breaches) or "tidy")
    return bool(breaches)


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1:] == ["--self-test"] else main())
