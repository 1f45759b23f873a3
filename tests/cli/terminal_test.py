#!/usr/bin/env python3
"""The program `strata` on a terminal."""
import os
import pty
import subprocess
import sys
import unittest

from case import OK, STRATA, Case

NOT_RUN = 77 # As tests/CMakeLists.txt tells CTest.


class Terminal(Case):
    def on_terminal(self, *words):
        """What a command writes to a terminal."""
        parent, child = pty.openpty()
        try:
            done = subprocess.run([STRATA, *words], cwd=self.folder, stdin=subprocess.DEVNULL,
                                  stdout=child, stderr=subprocess.PIPE, timeout=60, check=False)
        finally:
            os.close(child)
        self.assertEqual(done.returncode, OK, done.stderr)
        output = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError: # The end, on Linux.
                break
            if not piece:
                break
            output += piece
        os.close(parent)
        return output.decode().replace("\r\n", "\n")

    def test_a_value_ends_its_line_on_a_terminal_only(self):
        self.strata("kv", "put", "k", "v")
        self.assertEqual(self.text("kv", "get", "k"), "v")
        self.assertEqual(self.on_terminal("kv", "get", "k"), "v\n")

    def test_tables_are_aligned_on_a_terminal(self):
        self.strata("kv", "put", "a", "x")
        self.strata("kv", "put", "größer", "y")
        self.strata("kv", "put", "z", "long " * 100)
        lines = self.on_terminal("kv", "list").splitlines()
        self.assertEqual(lines[:3], ["KEY     VALUE", "a       x", "größer  y"])
        self.assertTrue(lines[3].startswith("z       long long"))
        self.assertTrue(lines[3].endswith("...") and len(lines[3]) < 80)
        self.assertRegex(self.on_terminal("branch", "list"), r"\ANAME  PARENT  FORK  HEAD  TIME\nmain  - ")
        self.assertNotIn("\t", self.on_terminal("info"))

    def test_tables_longer_than_a_page_lose_no_row(self):
        for number in range(130):
            self.strata("kv", "put", f"{number:03}", "v")
        lines = self.on_terminal("kv", "list").splitlines()
        self.assertEqual([line.split() for line in lines],
                         [["KEY", "VALUE"]] + [[f"{number:03}", "v"] for number in range(130)])

    def test_json_is_the_same_on_a_terminal(self):
        self.strata("kv", "put", "k", "v")
        self.assertEqual(self.on_terminal("--json", "kv", "list"), self.text("--json", "kv", "list"))


if __name__ == "__main__":
    try:
        for descriptor in pty.openpty():
            os.close(descriptor)
    except OSError as error:
        print(f"not run: there are no pseudo-terminals, is /dev/pts mounted? ({error})")
        sys.exit(NOT_RUN)
    unittest.main()
