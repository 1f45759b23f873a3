#!/usr/bin/env python3
"""The program `strata` from outside: exit codes, forms of bytes, JSON, damage."""
import hashlib
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

from case import ERROR, NOT_FOUND, OK, STRATA, USAGE, Case

# Permissions count for root too if it has no capabilities.
ORDINARY = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

READS = (["kv", "get", "k"], ["kv", "list"], ["kv", "history", "k"], ["kv", "count"],
         ["kv", "exists", "k"], ["branch", "list"], ["branch", "log"], ["check"], ["stats"],
         ["info"])
CHANGES = (["kv", "delete", "k"], ["branch", "delete", "b"], ["branch", "rename", "b", "c"],
           ["compact"], ["checkpoint"])
CREATES = (["kv", "put", "k", "v"], ["kv", "increment", "n"], ["branch", "create", "b"],
           ["branch", "fork", "main", "b"])


def hex_of(data):
    return "hex:" + data.hex()


def tree_of(folder):
    """What is in every file of a folder, and when it was last written."""
    return {str(path.relative_to(folder)):
            (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(folder.rglob("*")) if path.is_file()}


class MissingDatabase(Case):
    def test_reading_one_is_not_found_and_creates_nothing(self):
        for command in READS + CHANGES:
            self.strata(*command, code=NOT_FOUND)
            self.assertEqual(list(self.folder.iterdir()), [], command)
            self.assertIn("strata: ", self.message)

    def test_writing_creates_one(self):
        for number, command in enumerate(CREATES):
            self.strata("--db", f"db{number}", *command)
            self.strata("--db", f"db{number}", "check")

    def test_another_path_is_used_when_given(self):
        self.strata("--db", "elsewhere", "kv", "put", "k", "v")
        self.assertEqual(self.strata("--db=elsewhere", "kv", "get", "k"), b"v")
        self.assertFalse(self.database.exists())


class Usage(Case):
    def test_wrong_words_are_refused_before_anything_is_opened(self):
        for words in ([], ["kv"], ["branch"], ["jump"], ["kv", "jump"], ["get", "k"],
                      ["kv", "get"], ["kv", "get", "a", "b"], ["kv", "put", "a"],
                      ["kv", "put", "a", "b", "c"], ["branch", "fork", "main"],
                      ["check", "now"], ["kv", "increment", "n", "1.5"],
                      ["kv", "increment", "n", "9223372036854775808"],
                      ["kv", "increment", "n", ""], ["kv", "put", "hex:0", "v"],
                      ["kv", "put", "k", "hex:0g"], ["kv", "list", "hex:abc"]):
            self.strata(*words, code=USAGE)
            self.assertEqual(list(self.folder.iterdir()), [], words)

    def test_wrong_options_are_refused_before_anything_is_opened(self):
        for words in (["--no-such", "kv", "list"], ["kv", "list", "--limit"],
                      ["kv", "list", "--limit", "many"], ["kv", "list", "--limit", "-1"],
                      ["kv", "list", "--limit", "18446744073709551616"],
                      ["kv", "list", "--at", "1"], ["kv", "count", "--limit", "1"],
                      ["kv", "get", "k", "--reverse"], ["--json=yes", "kv", "list"],
                      ["--as-of", "yesterday", "kv", "list"], ["--as-of", "0", "kv", "list"],
                      ["--as-of", "main@1", "kv", "list"], ["--db"],
                      ["branch", "fork", "main@1", "b", "--at", "1"],
                      ["kv", "put", "k", "--v"]):
            self.strata(*words, code=USAGE)
            self.assertEqual(list(self.folder.iterdir()), [], words)

    def test_writing_does_not_go_with_the_past_or_with_read_only(self):
        for command in CHANGES + CREATES:
            self.strata("--as-of", "1", *command, code=USAGE)
            self.strata("--read-only", *command, code=USAGE)
            self.assertEqual(list(self.folder.iterdir()), [], command)

    def test_options_stand_anywhere_and_end_at_two_dashes(self):
        self.strata("kv", "put", "--", "--json", "--value")
        self.assertEqual(self.text("kv", "--read-only", "get", "--", "--json"), "--value")
        self.assertEqual(self.text("kv", "get", "--json", "--", "--json")[:16],
                         '{"key":"--json",')
        self.strata("kv", "put", "minus", "-5")
        self.assertEqual(self.text("kv", "get", "minus"), "-5")

    def test_help_and_version_need_no_database(self):
        for words in (["help"], ["--help"], ["kv", "--help"]):
            self.assertIn("kv put KEY VALUE", self.text(*words))
        self.assertNotIn("branch", self.text("help", "kv").split("options:")[0])
        self.assertRegex(self.text("--version"), r"\Astrata \d+\.\d+\.\d+ \(format \d+.*\)\n\Z")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_output_that_cannot_be_written_is_an_error(self):
        self.strata("kv", "put", "k", "v")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([STRATA, "kv", "get", "k"], cwd=self.folder, stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, ERROR)
        self.assertIn(b"strata: ", done.stderr)

    def closed(self, streams, *words, **named):
        """Starts a command without some of its standard streams."""
        command = ["sh", "-c", f'exec "$0" "$@" {streams}', STRATA, *words]
        return subprocess.Popen(command, cwd=self.folder, **named)

    def test_standard_streams_that_are_closed_take_no_file(self):
        with self.closed(">&- 2>&-", "kv", "put", "k", "-", stdin=subprocess.PIPE) as process:
            process.stdin.write(b"x" * 200_000) # More than a pipe holds: it is past opening.
            process.stdin.flush()
            for stream in (1, 2):
                self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{stream}"), "/dev/null")
            process.stdin.close()
            self.assertEqual(process.wait(), OK)
        self.assertEqual(self.strata("kv", "get", "k"), b"x" * 200_000)

    def test_a_standard_stream_that_is_closed_is_an_error_where_it_is_needed(self):
        self.strata("kv", "put", "k", "v")
        for streams, words, told in (("<&-", ["kv", "put", "n", "-"], b"the input cannot be read"),
                                     (">&-", ["kv", "get", "k"], b"the output cannot be written"),
                                     ("<&- >&- 2>&-", ["kv", "get", "k"], b"")):
            with self.closed(streams, *words, stderr=subprocess.PIPE) as process:
                self.assertIn(told, process.stderr.read())
                self.assertEqual(process.wait(), ERROR, streams)
        self.strata("kv", "get", "n", code=NOT_FOUND)
        self.strata("check")


class Keys(Case):
    BYTES = (b"plain", "größer".encode(), "漢字 and spaces".encode(), b"\x00", b"\xff\xfe",
             b"hex:", b"hex:00", b"tab\there", b"line\nend", b"\x7f", b"\xc2\x85", b"\xed\xa0\x80",
             b"\xc0\xaf", b"\xf4\x90\x80\x80", b"cut \xe2\x82", b'quote " and \\', b"-", b"--")

    def test_bytes_round_trip_as_the_program_writes_them(self):
        for data in self.BYTES:
            self.strata("kv", "put", "--", hex_of(data), hex_of(data))
            self.assertEqual(self.strata("kv", "get", hex_of(data)), data)
        lines = self.strata("kv", "list").split(b"\n")[:-1]
        self.assertEqual(len(lines), len(self.BYTES))
        for line, data in zip(lines, sorted(self.BYTES)):
            key, value = line.split(b"\t")
            self.assertEqual(key, value)
            self.assertEqual(self.strata("kv", "get", "--", key), data)

    def test_plain_text_is_shown_as_itself_and_nothing_else_is(self):
        plain = {b"plain", "größer".encode(), "漢字 and spaces".encode(), b'quote " and \\', b"-",
                 b"--"}
        for data in self.BYTES:
            self.strata("kv", "put", hex_of(data), "v")
        shown = {line.split(b"\t")[0] for line in self.strata("kv", "list").split(b"\n")[:-1]}
        self.assertEqual(shown, {data if data in plain else hex_of(data).encode()
                                 for data in self.BYTES})

    def test_json_says_every_byte(self):
        for data in self.BYTES:
            self.strata("kv", "put", hex_of(data), hex_of(data))
        rows = self.rows("kv", "list")
        self.assertEqual(len(rows), len(self.BYTES))
        for row, data in zip(rows, sorted(self.BYTES)):
            try:
                expected = {"value": data.decode()}
            except UnicodeDecodeError:
                expected = {"value_hex": data.hex()}
            self.assertEqual({name: row[name] for name in row if name.startswith("value")}, expected)
            self.assertEqual(self.strata("kv", "get", "--", row["key"]), data)
            self.assertRegex(row["time"], TIME)
            self.assertGreater(row["version"], 0)

    def test_values_come_from_standard_input_at_any_size(self):
        for size in (0, 1, 65535, 65536, 65537, 3_000_000):
            data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            self.strata("kv", "put", "k", "-", stdin=data)
            self.assertEqual(self.strata("kv", "get", "k"), data, size)
            row, = self.rows("kv", "list")
            shown = row["value"].encode() if "value" in row else bytes.fromhex(row["value_hex"])
            self.assertEqual(shown, data)
        self.strata("kv", "put", "dash", "hex:2d")
        self.assertEqual(self.strata("kv", "get", "dash"), b"-")

    def test_an_empty_value_is_there(self):
        for empty in ("", "hex:"):
            self.strata("kv", "put", "k", empty)
            self.assertEqual(self.strata("kv", "get", "k"), b"")
            self.strata("kv", "exists", "k")
            self.assertEqual(self.rows("kv", "get", "k")[0]["value"], "")

    def test_an_empty_or_too_long_key_is_an_error(self):
        self.strata("kv", "put", "", "v", code=ERROR)
        self.strata("kv", "put", "k" * 16385, "v", code=ERROR)
        self.strata("kv", "put", "k" * 16384, "v")
        for command in ("get", "exists", "history", "delete", "increment"):
            self.strata("kv", command, "k" * 16385, code=ERROR)
            self.assertIn("key has 16385 bytes", self.message, command)

    def test_absent_keys_are_not_found(self):
        self.strata("kv", "put", "k", "v")
        for command in ("get", "exists", "delete", "history"):
            self.strata("kv", command, "absent", code=NOT_FOUND)
        self.assertEqual(self.strata("kv", "list", "absent"), b"")
        self.assertEqual(self.text("kv", "count", "absent"), "0\n")
        self.assertEqual(self.rows("kv", "exists", "absent", code=NOT_FOUND),
                         [{"key": "absent", "exists": False}])

    def test_lists_page_both_ways(self):
        keys = [f"{number:02}" for number in range(25)]
        for key in keys:
            self.strata("kv", "put", f"p{key}", key)
        self.strata("kv", "put", "other", "x")
        for reverse in ([], ["--reverse"]):
            found, last = [], None
            while True:
                after = [] if last is None else ["--after", last]
                page = self.rows("kv", "list", "p", "--limit", "7", *reverse, *after)
                if not page:
                    break
                self.assertLessEqual(len(page), 7)
                found += [row["value"] for row in page]
                last = page[-1]["key"]
            self.assertEqual(found, keys[::-1] if reverse else keys)
        self.assertEqual(self.text("kv", "count", "p"), "25\n")
        self.assertEqual(self.text("kv", "count"), "26\n")

    def test_counters_add_and_show_as_numbers(self):
        self.assertEqual(self.text("kv", "increment", "n"), "1\n")
        self.assertEqual(self.text("kv", "increment", "n", "-9223372036854775808"),
                         "-9223372036854775807\n")
        self.strata("kv", "increment", "n", "-2", code=ERROR)
        self.assertEqual(self.text("kv", "get", "n"), "-9223372036854775807")
        self.assertEqual(self.rows("kv", "get", "n")[0]["value"], -9223372036854775807)
        self.assertEqual(self.text("kv", "list"), "n\t-9223372036854775807\n")
        self.assertEqual(self.rows("kv", "increment", "n", "7")[0]["value"], -9223372036854775800)
        self.assertEqual([line.split("\t")[2] for line in
                          self.text("kv", "history", "n").splitlines()], ["counter"] * 3)
        self.strata("kv", "put", "text", "v")
        self.strata("kv", "increment", "text", code=ERROR)

    def test_spaces_are_apart(self):
        self.strata("kv", "put", "k", "default")
        self.strata("--space", "other", "kv", "put", "k", "other")
        self.assertEqual(self.text("kv", "get", "k"), "default")
        self.assertEqual(self.text("--space", "other", "kv", "get", "k"), "other")
        self.assertEqual(self.text("--space", "never", "kv", "count"), "0\n")


class Time(Case):
    def setUp(self):
        super().setUp()
        self.commits = [self.rows("kv", "put", "k", f"v{number}")[0] for number in range(3)]
        self.commits += self.rows("kv", "delete", "k")

    def test_commits_rise_in_version_and_time(self):
        versions = [commit["version"] for commit in self.commits]
        times = [commit["time"] for commit in self.commits]
        self.assertEqual(versions, sorted(set(versions)))
        self.assertEqual(times, sorted(times))

    def test_every_past_can_be_read(self):
        for number, commit in enumerate(self.commits[:3]):
            for moment in (str(commit["version"]), commit["time"]):
                self.assertEqual(self.text("--as-of", moment, "kv", "get", "k"), f"v{number}")
                self.assertEqual(self.text("--as-of", moment, "kv", "list"), f"k\tv{number}\n")
                self.assertEqual(self.text("--as-of", moment, "kv", "count"), "1\n")
                self.assertEqual(len(self.rows("--as-of", moment, "kv", "history", "k")),
                                 number + 1)
                self.strata("--as-of", moment, "kv", "exists", "k")
        self.strata("--as-of", str(self.commits[3]["version"]), "kv", "get", "k", code=NOT_FOUND)
        self.strata("--as-of", "2001-01-01T00:00:00Z", "kv", "get", "k", code=NOT_FOUND)

    def test_a_version_to_come_is_an_error(self):
        self.strata("--as-of", str(self.commits[3]["version"] + 1000), "kv", "get", "k", code=ERROR)

    def test_history_has_deletions(self):
        rows = self.rows("kv", "history", "k")
        self.assertEqual([row.get("value") for row in rows], [None, "v2", "v1", "v0"])
        self.assertTrue(rows[0]["deleted"])
        self.assertEqual([(row["version"], row["time"]) for row in rows],
                         [(row["version"], row["time"]) for row in self.commits[::-1]])
        lines = [line.split("\t") for line in self.text("kv", "history", "k").splitlines()]
        self.assertEqual([line[2:] for line in lines],
                         [["delete", ""], ["put", "v2"], ["put", "v1"], ["put", "v0"]])
        self.assertEqual(len(self.rows("kv", "history", "k", "--limit", "2")), 2)

    def test_log_has_every_commit(self):
        rows = self.rows("branch", "log")
        versions = [row["version"] for row in rows]
        self.assertEqual(versions, sorted(versions, reverse=True))
        self.assertLessEqual({commit["version"] for commit in self.commits}, set(versions))
        self.assertEqual(rows, self.rows("branch", "log", "main"))
        self.assertEqual(rows[:2], self.rows("branch", "log", "--limit", "2"))
        moment = str(self.commits[1]["version"])
        self.assertEqual(self.rows("--as-of", moment, "branch", "log")[0]["version"], int(moment))


class Branches(Case):
    def names(self):
        return [row["name"] for row in self.rows("branch", "list")]

    def test_a_branch_lives_and_dies(self):
        self.strata("kv", "put", "k", "main")
        version = self.rows("branch", "fork", "main", "fork")[0]["version"]
        self.assertGreater(version, 1)
        self.strata("--branch", "fork", "kv", "put", "k", "fork")
        self.assertEqual(self.text("kv", "get", "k"), "main")
        self.assertEqual(self.text("--branch", "fork", "kv", "get", "k"), "fork")
        self.strata("branch", "rename", "fork", "new")
        self.strata("branch", "create", "empty")
        self.assertEqual(self.names(), ["empty", "main", "new"])
        self.assertEqual([row["parent"] for row in self.rows("branch", "list")],
                         [None, None, "main"])
        self.assertEqual(self.text("--branch", "empty", "kv", "count"), "0\n")
        self.strata("branch", "delete", "new")
        self.assertEqual(self.names(), ["empty", "main"])

    def test_a_fork_starts_at_any_moment(self):
        first = self.rows("kv", "put", "k", "1")[0]
        self.strata("kv", "put", "k", "2")
        version = str(first["version"])
        self.strata("branch", "fork", "main", "a", "--at", version)
        self.strata("branch", "fork", "main", "b", "--at", first["time"])
        self.strata("branch", "fork", f"main@{version}", "c")
        for name in "abc":
            self.assertEqual(self.text("--branch", name, "kv", "get", "k"), "1", name)

    def test_absent_and_taken_names(self):
        self.strata("kv", "put", "k", "v")
        for words in (["--branch", "no", "kv", "get", "k"], ["--branch", "no", "kv", "put", "k", "v"],
                      ["branch", "delete", "no"], ["branch", "rename", "no", "x"],
                      ["branch", "fork", "no", "x"], ["branch", "log", "no"]):
            self.strata(*words, code=NOT_FOUND)
        self.strata("branch", "create", "main", code=ERROR)
        self.strata("branch", "fork", "main", "main", code=ERROR)
        self.strata("branch", "create", "a@b", code=ERROR)
        self.assertEqual(self.names(), ["main"])


class Care(Case):
    def setUp(self):
        super().setUp()
        for number in range(20):
            self.strata("kv", "put", f"k{number}", "v" * 1000)
        self.strata("kv", "put", "big", "-", stdin=b"b" * 300_000)

    def test_reading_changes_no_byte(self):
        before = tree_of(self.database)
        for command in READS:
            self.strata(*command, code=NOT_FOUND if command[-1] == "k" else OK)
            self.strata("--read-only", "--json", *command,
                        code=NOT_FOUND if command[-1] == "k" else OK)
        self.assertEqual(tree_of(self.database), before)

    def test_a_read_only_folder_can_be_read_and_not_written(self):
        paths = [self.database, *self.database.rglob("*")]
        modes = {path: path.stat().st_mode for path in paths}
        for path in paths:
            path.chmod(modes[path] & 0o555)
        try:
            self.assertEqual(self.text("kv", "get", "k0", prefix=ORDINARY), "v" * 1000)
            self.strata("check", prefix=ORDINARY)
            self.strata("kv", "put", "k", "v", code=ERROR, prefix=ORDINARY)
        finally:
            for path in paths:
                path.chmod(modes[path])

    def test_info_says_all_in_both_forms(self):
        info, = self.rows("info")
        self.assertEqual(info["path"], str(self.database.resolve()))
        self.assertEqual(info["health"], "healthy")
        self.assertGreaterEqual(info["head_version"], info["durable_version"])
        self.assertGreater(info["durable_version"], 20)
        self.assertGreater(info["format_version"], 0)
        self.assertRegex(info["library_version"], r"\A\d+\.\d+\.\d+\Z")
        self.assertGreaterEqual(info["memory_budget_bytes"], 1 << 20)
        self.assertEqual(info["recovery"]["lost_first_version"], 0)
        files = [path for path in self.database.rglob("*")
                 if path.is_file() and path.parent.name != "locks"]
        footprint = info["footprint"]
        self.assertEqual(footprint["file_count"], len(files))
        self.assertEqual(sum(footprint[f"{part}_bytes"] for part in
                             ("live", "history", "derived", "pinned", "dead", "log", "other")),
                         sum(path.stat().st_size for path in files))
        lines = dict(line.split("\t") for line in self.text("info").splitlines())
        flat = set()
        for name, value in info.items():
            flat |= {f"{name}.{inner}" for inner in value} if isinstance(value, dict) else {name}
        self.assertEqual(set(lines), flat)

    def test_stats_are_named_and_told_apart(self):
        rows = self.rows("stats")
        names = [row["name"] for row in rows]
        self.assertEqual(len(set(names)), len(names))
        for row in rows:
            self.assertTrue(row["unit"] and row["description"], row)
            self.assertIsInstance(row["value"], (int, float))
        lines = [line.split("\t") for line in self.text("stats").splitlines()]
        self.assertEqual([line[0] for line in lines], names)
        self.assertEqual({len(line) for line in lines}, {8})

    def test_maintenance_loses_nothing(self):
        before = self.text("kv", "list")
        self.strata("checkpoint")
        self.strata("compact")
        self.assertEqual(self.text("kv", "list"), before)
        self.assertEqual(self.text("check"), "ok\n")

    def test_a_holder_keeps_others_out_and_is_named(self):
        with subprocess.Popen([STRATA, "kv", "put", "held", "-"], cwd=self.folder,
                              stdin=subprocess.PIPE) as holder:
            holder.stdin.write(b"x" * 200_000) # More than a pipe holds: it is past opening.
            holder.stdin.flush()
            self.strata("kv", "put", "k", "v", code=ERROR)
            self.assertRegex(self.message,
                             rf"pid {holder.pid} since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ host ")
            holder.stdin.close()
            self.assertEqual(holder.wait(), OK)
        self.assertEqual(self.strata("kv", "get", "held"), b"x" * 200_000)

    def test_damage_is_told_and_never_crashes(self):
        self.strata("checkpoint")
        found = 0
        for file in [path for path in self.database.rglob("*") if path.is_file()]:
            good = file.read_bytes()
            if not good:
                continue
            for start in (0, len(good) // 2):
                bad = bytearray(good)
                for at in range(start, min(start + 64, len(bad))):
                    bad[at] ^= 0x5a
                file.write_bytes(bad)
                found += self.check_damaged()
            file.write_bytes(good)
        self.assertGreater(found, 0)
        self.assertEqual(self.text("check"), "ok\n")

    def check_damaged(self):
        """Whether check finds the damage; it may also lie where nothing is kept."""
        for words in (["check"], ["--json", "check"], ["--json", "info"], ["kv", "get", "k1"]):
            done = subprocess.run([STRATA, *words], cwd=self.folder, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
            self.assertIn(done.returncode, (OK, NOT_FOUND, ERROR), done.stderr)
            if done.returncode != OK:
                self.assertRegex(done.stderr.decode(), r"\Astrata: [^\n]+\n\Z")
            if "--json" in words:
                for line in done.stdout.decode().splitlines():
                    json.loads(line)
            if words == ["check"]:
                code = done.returncode
        return code == ERROR


if __name__ == "__main__":
    unittest.main()
