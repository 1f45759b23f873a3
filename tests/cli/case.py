"""What the tests of the program `strata` share."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

STRATA = os.environ["STRATA_BIN"]
OK, NOT_FOUND, USAGE, ERROR = 0, 1, 2, 3


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.database = self.folder / "agent.strata"

    def strata(self, *words, code=OK, stdin=b"", prefix=()):
        """Runs a command, holds it to its exit code, and returns what it wrote to stdout."""
        done = subprocess.run([*prefix, STRATA, *words], cwd=self.folder, input=stdin, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        message = done.stderr.decode("utf-8", "replace")
        self.assertEqual(done.returncode, code, f"{words}: {message}")
        if message:
            self.assertRegex(message, r"\Astrata: [^\n]+\n\Z", words)
        if code in (USAGE, ERROR):
            self.assertTrue(message, words)
        self.message = message
        return done.stdout

    def text(self, *words, **named):
        return self.strata(*words, **named).decode()

    def rows(self, *words, **named):
        """The JSON lines of a command."""
        lines = self.text("--json", *words, **named).split("\n")
        self.assertEqual(lines.pop(), "")
        return [json.loads(line) for line in lines]
