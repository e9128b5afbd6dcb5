"""Config files as users meet them: `keyslab config`, its messages, and where a program finds its file.

    test_config_tool.py KEYSLAB PROBE PROBE-SYSTEM SYSTEM-FILE SOURCE-ROOT

PROBE-SYSTEM is PROBE linked statically, with SYSTEM-FILE as the system-wide file.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

KEYSLAB, PROBE, PROBE_SYSTEM, SYSTEM, ROOT = sys.argv[1:6]
MIB = 1 << 20
SANITIZED = "asan" in os.path.realpath(KEYSLAB)

REMOVED = ("this setting was removed and has no effect: free blocks are bits in their slab, and there is nothing left "
           "to size: delete the line")
RETURN = r"a carriage return (\r) inside of a line: expected lines that end with LF or CR LF"

# Each file with all that it must be told, line numbers first.
BAD = [
    ("outbox = 1\n", ["1: outbox: outside of a section: expected [defaults] or [key NAME] above it"]),
    ("[defaults]\nclases = 64\n", ["2: [defaults] clases: no such setting: did you mean 'classes'?"]),
    ("[defaults]\nfrobnicate = 64\n", ["2: [defaults] frobnicate: no such setting: 'keyslab config list' names them"]),
    ("[defaults]\n= 64\n", ["2: [defaults] =: no name before it: expected NAME = VALUE"]),
    ("[defaults]\nflush\n", ["2: 'flush': expected NAME = VALUE, [defaults] or [key NAME]"]),
    ("[defaults]\n  flush\n", ["2: 'flush': expected NAME = VALUE, [defaults] or [key NAME]"]),
    ("[defaults]\nflush =\n", ["2: [defaults] flush: no value: expected 1 to 1000000"]),
    ("[defaults]\nflush = 0\n", ["2: [defaults] flush: '0': expected 1 to 1000000"]),
    ("[defaults]\nflush = 1000001\n", ["2: [defaults] flush: '1000001': expected 1 to 1000000"]),
    ("[defaults]\nflush = 99999999999999999999999\n",
     ["2: [defaults] flush: '99999999999999999999999': expected 1 to 1000000"]),
    ("[defaults]\nflush = -1\n", ["2: [defaults] flush: '-1': expected 1 to 1000000"]),
    ("[defaults]\nflush = 1 KiB\n", ["2: [defaults] flush: '1 KiB': expected 1 to 1000000"]),
    ("magazine = 8\n", ["1: magazine: outside of a section: expected [defaults] or [key NAME] above it"]),
    ("[defaults]\nmagazine\n", ["2: 'magazine': expected NAME = VALUE, [defaults] or [key NAME]"]),
    # Names that are like a removed one are as unknown as any other.
    ("[defaults]\nmagazin = 8\nmagazines = 8\nMagazine = 8\nmagazine blocks = 8\n",
     [f"{line}: [defaults] {name}: no such setting: 'keyslab config list' names them"
      for line, name in enumerate(("magazin", "magazines", "Magazine", "magazine blocks"), 2)]),
    ("[key a]\nretain = 1025 GiB\n",
     ["2: [key a] retain: '1025 GiB': expected auto or 0 to 1024 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\nretain = none\n",
     ["2: [key a] retain: 'none': expected auto or 0 to 1024 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\nretain =\n",
     ["2: [key a] retain: no value: expected auto or 0 to 1024 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\noutbox = 1025 MiB\n", ["2: [key a] outbox: '1025 MiB': expected 1 to 1 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\noutbox = 10k\n", ["2: [key a] outbox: '10k': expected 1 to 1 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\noutbox = 10 kib\n", ["2: [key a] outbox: '10 kib': expected 1 to 1 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\noutbox = 17179869184 GiB\n",
     ["2: [key a] outbox: '17179869184 GiB': expected 1 to 1 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\nquota = 100\n",
     ["2: [key a] quota: '100': expected none or 64 KiB to 1024 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\nquota = 64 KiB\n", ["2: [key a] quota: a quota of 64 KiB has no room for a slab of 256 KiB: "
                                    "expected a larger quota, or a smaller slab"]),
    ("[key a]\nslab = 96 KiB\n",
     ["2: [key a] slab: '96 KiB': expected a power of two from 64 KiB to 256 KiB, as 1500, 64 KiB or 2 MiB"]),
    ("[key a]\non error = shout\n", ["2: [key a] on error: 'shout': expected status, log or abort"]),
    ("[key a]\ncheck = Paranoid\n", ["2: [key a] check: 'Paranoid': expected standard or paranoid"]),
    ("[key a]\narena = own\n", ["2: [key a] arena: 'own': expected shared, key or node"]),
    ("[key a]\nhuge pages = 2 MiB\n", ["2: [key a] huge pages: '2 MiB': expected off or on"]),
    ("[defaults]\ndecay = 10\n", ["2: [defaults] decay: '10': expected never or 0 ms to 86400 s, as 500 ms or 10 s"]),
    ("[defaults]\ndecay = 10 min\n",
     ["2: [defaults] decay: '10 min': expected never or 0 ms to 86400 s, as 500 ms or 10 s"]),
    ("[key a]\ndecay = 10 s\n",
     ["2: [key a] decay: the arena is shared with other keys: expected 'arena = key', or decay in [defaults]"]),
    ("[key a]\narena = node\ndecay = 10 s\n",
     ["3: [key a] decay: the arena is shared with other keys: expected 'arena = key', or decay in [defaults]"]),
    ("[key a]\ntrace = maybe\n", ["2: [key a] trace: 'maybe': expected off or on"]),
    ("[key a]\ntrace file = /tmp/t\n", ["2: [key a] trace file: of the whole program: expected in [defaults]"]),
    ("[key a]\ntrace sample = 2\n", ["2: [key a] trace sample: of the whole program: expected in [defaults]"]),
    ("[defaults]\ntrace sample = 0\n", ["2: [defaults] trace sample: '0': expected 1 to 1000000"]),
    ("[defaults]\ntrace file = /" + 159 * "t" + "\n",
     ["2: [defaults] trace file: 160 bytes: expected none or a path of 159 bytes at the most"]),
    ("[defaults]\ntrace file =\n",
     ["2: [defaults] trace file: no value: expected none or a path of 159 bytes at the most"]),
    ("[key a]\nflush = 1\n\nflush = 2\n", ["4: [key a] flush: set in line 2 already: expected once in a section"]),
    ("[key a]\n[key b]\n[key  a ]\nflush = 0\n",
     ["3: [key  a ]: begun in line 1 already: expected once in a file",
      "4: [key  a ] flush: '0': expected 1 to 1000000"]),
    ("[defaults]\n[defaults]\n", ["2: [defaults]: begun in line 1 already: expected once in a file"]),
    ("[default]\n", ["1: [default]: no such section: did you mean [defaults]?"]),
    ("[keys a]\n", ["1: [keys a]: no such section: did you mean [key NAME]?"]),
    ("[statistics]\n", ["1: [statistics]: no such section: expected [defaults] or [key NAME]"]),
    ("[]\n", ["1: []: no such section: expected [defaults] or [key NAME]"]),
    ("[key]\n", ["1: [key]: no name: expected [key NAME], or a pattern as [key dns-*]"]),
    ("[key a\n", ["1: '[key a': expected ] at its end"]),
    ("[key a] b\n", ["1: '[key a] b': expected ] at its end"]),
    ("[key " + "n" * 64 + "]\n", ["1: [key " + "n" * 64 + "]: a key's name has 63 bytes at the most"]),
    ("[defaults]\nflush = 1\n  [key a]\n",
     ["3: [defaults] flush: '[key a]' is indented, and so goes on with the line above: "
      "only classes may take more than one line"]),
    ("[defaults]\n  [key a]\n", ["2: '[key a]': expected NAME = VALUE, [defaults] or [key NAME]"]),
    ("[defaults]\nflush =\n  1\n",
     ["2: [defaults] flush: no value: expected 1 to 1000000",
      "3: [defaults] flush: '1' is indented, and so goes on with the line above: "
      "only classes may take more than one line"]),
    ("[defaults]\nclasses = 64, 72, 65536\n",
     ["2: [defaults] classes: 72: expected a multiple of 16, or 'alignment = 8'"]),
    ("[defaults]\nclasses = 64,\n    76, # no\n    65536\n", ["3: [defaults] classes: 76: expected a multiple of 8"]),
    ("[defaults]\nclasses = 64,\n    520,\n    65536\n",
     ["3: [defaults] classes: 520: expected a multiple of 16, as all classes from 512 up"]),
    ("[defaults]\nclasses = 64,\n    528,\n    544, 65536\n",
     ["2: [defaults] classes: 528: expected a multiple of 64, as all classes from 512 up, or 'alignment = 16'",
      "2: [defaults] classes: 544: expected a multiple of 64, as all classes from 512 up, or 'alignment = 32'"]),
    ("[key a]\nclasses = 72, 528, 65536\nalignment = 32\n",
     ["2: [key a] classes: 72: expected a multiple of 16, or 'alignment = 8'",
      "2: [key a] classes: 528: expected a multiple of 32, as all classes from 512 up, or 'alignment = 16'"]),
    ("[key a]\nalignment = 16\n[defaults]\nalignment = 8\nclasses = 72, 528, 65536\n",
     ["2: [key a] alignment: 72 is a class in [defaults]: expected 8 at the most, or other classes"]),
    ("[defaults]\nalignment = 8\n[key a]\nclasses = 72, 65536\n[key b]\nalignment = 64\nclasses = 72, 65536\n",
     ["7: [key b] classes: 72: expected a multiple of 16, or 'alignment = 8'"]),
    ("[key a]\nalignment = 24\nclasses = 72, 65536\n",
     ["2: [key a] alignment: '24': expected a power of two from 8 to 64"]),
    ("[key a]\nalignment = 128\n", ["2: [key a] alignment: '128': expected a power of two from 8 to 64"]),
    ("[defaults]\nclasses = 64, 64, 65536\n", ["2: [defaults] classes: 64: expected more than the class before"]),
    ("[defaults]\nclasses = 0, 65536\n", ["2: [defaults] classes: 0: expected 16 to 65536"]),
    ("[defaults]\nclasses = 64, 128 KiB\n",
     ["2: [defaults] classes: 128 KiB: expected 16 to 65536",
      "2: [defaults] classes: the list does not end with 65536: expected that as the last size"]),
    ("[defaults]\nclasses =\n",
     ["2: [defaults] classes: the list does not end with 65536: expected that as the last size"]),
    ("[defaults]\nfl\rush = 7\r\n", [f"2: {RETURN}"]),
    ("# a comment\ron\n[defaults]\n", [f"1: {RETURN}"]),
    ("[defaults]\rflush = 7\r", [f"1: {RETURN}"]),
    ("[defaults]\r\nflush = 7\r\r\n", [f"2: {RETURN}"]),
    ("[defaults]\nflush = 7\r", [f"2: {RETURN}"]),
    ("[defaults]\nflush = 7\n[key\ra]\nflush = 8\nquota = 1\n",
     [f"3: {RETURN}", "5: [...] quota: '1': expected none or 64 KiB to 1024 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[defaults]\r\nflush = \x1b[1m\r\n", ["2: [defaults] flush: '\\033[1m': expected 1 to 1000000"]),
    ("[defaults]\nflush =" + 192 * " " + "7\n", ["2: a line of 200 bytes: expected 198 at the most"]),
    ("[defaults]\nclasses = 64, 80 96, 65536\n",
     ["2: [defaults] classes: '80 96' is no size: expected bytes, as 1536 or 64 KiB, with commas between them"]),
    ("[defaults]\nclasses = 64,, 65536\n",
     ["2: [defaults] classes: '' is no size: expected bytes, as 1536 or 64 KiB, with commas between them"]),
    ("[defaults]\nclasses = " + ", ".join(str(16 * i) for i in range(1, 33)) + ",\n    "
     + ", ".join(str(64 * i) for i in range(9, 24)) + ",\n    65536\n",
     ["4: [defaults] classes: '65536' is one too many: expected 47 sizes at the most",
      "2: [defaults] classes: the list does not end with 65536: expected that as the last size"]),
    ("[defaults]\nflush = " + "1" * 300 + "\noutbox = 0\n",
     ["2: a line of 308 bytes: expected 198 at the most",
      "3: [defaults] outbox: '0': expected 1 to 1 GiB, as 1500, 64 KiB or 2 MiB"]),
    ("[defaults]\nfl\0ush = 1\n", ["2: a zero byte: expected a text file"]),
    # All of a file's errors, and nothing of its good lines.
    ("x = 1\n[defaults]\nflush = a\noutbox = 4 KiB\n[key a]\nquota = b\n[foo]\narena\n",
     ["1: x: outside of a section: expected [defaults] or [key NAME] above it",
      "3: [defaults] flush: 'a': expected 1 to 1000000",
      "6: [key a] quota: 'b': expected none or 64 KiB to 1024 GiB, as 1500, 64 KiB or 2 MiB",
      "7: [foo]: no such section: expected [defaults] or [key NAME]",
      "8: 'arena': expected NAME = VALUE, [defaults] or [key NAME]"]),
]

# Files with settings that were removed: their warnings, and their errors beside them.
WARNED = [
    ("[defaults]\nmagazine = 32\n", [f"2: [defaults] magazine: {REMOVED}"], []),
    ("[key a]\nflush = 7\nmagazine bytes = 1 MiB\n[key b]\nflush = 8\n", [f"3: [key a] magazine bytes: {REMOVED}"], []),
    # It ends the list of classes above it, and is no setting of its section.
    ("[key a]\nclasses = 64,\n  65536\nmagazine = 256: 60, 2 KiB: 32, 8\nmagazine bytes = 15\nquota = 1 MiB\n",
     [f"4: [key a] magazine: {REMOVED}", f"5: [key a] magazine bytes: {REMOVED}"], []),
    # Whatever its value, however often, and with the indented lines below it.
    ("[key a]\nmagazine =\nmagazine = lots,\n  8\n\n  60\n[key b]\nmagazine bytes = \x1b\n",
     [f"2: [key a] magazine: {REMOVED}", f"3: [key a] magazine: {REMOVED}",
      f"8: [key b] magazine bytes: {REMOVED}"], []),
    ("[key a]\nmagazine = 8\nmagazine bytes = 1 MiB\nflush = 0\n",
     [f"2: [key a] magazine: {REMOVED}", f"3: [key a] magazine bytes: {REMOVED}"],
     ["4: [key a] flush: '0': expected 1 to 1000000"]),
    ("[keys a]\nmagazine = 8\n", [f"2: [keys a] magazine: {REMOVED}"],
     ["1: [keys a]: no such section: did you mean [key NAME]?"]),
    ("[key a]\nclasses = 64,\nmagazine = 8\n", [f"3: [key a] magazine: {REMOVED}"],
     ["2: [key a] classes: the list does not end with 65536: expected that as the last size"]),
]

GOOD = """\ufeff# a comment, behind a byte order mark
; another
[defaults]  # of every key
classes = 64, 80, 96,   ; frames
    112,
    # between the lines

    2 KiB
    64 KiB,
quota: 64 MiB
decay=500 ms
\t
[key dns-*]
on error = log\r
[key\ta b]
  arena = key
decay = never
outbox = 1 MiB
huge   pages = on
"""


def run(*arguments, conf=None, program=KEYSLAB):
    environment = {k: v for k, v in os.environ.items() if k != "KEYSLAB_CONF"}
    if conf is not None:
        environment["KEYSLAB_CONF"] = conf
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, env=environment)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def file(self, text, name="test.conf"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", newline="") as file:
            file.write(text)
        return path


class Check(Folder):
    def test_every_error(self):
        for text, expected in BAD:
            with self.subTest(text):
                path = self.file(text)
                result = run("config", "check", path)
                self.assertEqual(result.stderr.splitlines(), [f"keyslab: {path}:{line}" for line in expected])
                self.assertEqual(result.stdout, "")
                self.assertEqual(result.returncode, 1)
                data = json.loads(run("config", "check", "--json", path).stdout)
                self.assertEqual(data, [{"file": path, "errors": [f"{path}:{e}" for e in expected], "sections": []}])

    @staticmethod
    def without_removed(text):
        """The same lines, those of removed settings and below them empty."""
        return re.sub(r"^magazine.*\n(?:[ \t].*\n|\n)*", lambda match: "\n" * match[0].count("\n"), text, flags=re.M)

    def test_every_warning(self):
        for text, warnings, errors in WARNED:
            with self.subTest(text):
                status = 1 if errors else 0
                path = self.file(text)
                said = lambda lines: [f"keyslab: {path}:{line}" for line in lines]
                line_of = lambda line: int(line.partition(":")[0])
                checked, as_json = run("config", "check", path), run("config", "check", "--json", path)
                self.assertEqual(checked.stderr.splitlines(), said(sorted(warnings + errors, key=line_of)))
                self.assertEqual(as_json.stderr.splitlines(), said(warnings))
                shown, shown_json = run("config", "show", path), run("config", "show", "--json", path)
                self.assertEqual((shown.stderr, shown_json.stderr), (checked.stderr, as_json.stderr))
                self.assertNotIn("magazine", checked.stdout + as_json.stdout + shown.stdout + shown_json.stdout)
                self.assertEqual({result.returncode for result in (checked, as_json, shown, shown_json)}, {status})
                # What is reported is that of the file without these lines.
                self.file(self.without_removed(text))
                for result, arguments in ((checked, ["check"]), (as_json, ["check", "--json"]), (shown, ["show"]),
                                          (shown_json, ["show", "--json"])):
                    plain = run("config", *arguments, path)
                    self.assertEqual((result.returncode, result.stdout), (plain.returncode, plain.stdout), arguments)
                    self.assertNotIn("magazine", plain.stderr)

    def test_good_file(self):
        text = GOOD.replace("huge   pages", "huge pages")
        path = self.file(text)
        result = run("config", "check", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("good, 3 sections\n", result.stdout)
        data = json.loads(run("config", "check", "--json", path).stdout)[0]
        self.assertEqual(data["errors"], [])
        self.assertEqual([(s["section"], s["line"], [(v["name"], v["value"], v["line"]) for v in s["settings"]])
                          for s in data["sections"]],
                         [("[defaults]", 3, [("classes", [64, 80, 96, 112, 2048, 65536], 4), ("quota", "64 MiB", 10),
                                             ("decay", "500 ms", 11)]),
                          ("[key dns-*]", 13, [("on error", "log", 14)]),
                          ("[key a b]", 15, [("outbox", "1 MiB", 18), ("arena", "key", 16),
                                             ("huge pages", "on", 19), ("decay", "never", 17)])])

    def test_blanks_inside_a_name_count(self):
        self.assertIn("19: [key\ta b] huge   pages: no such setting: did you mean 'huge pages'?",
                      run("config", "check", self.file(GOOD)).stderr)

    def test_several_files(self):
        good, bad = self.file("[defaults]\n", "good.conf"), self.file("[what]\n", "bad.conf")
        result = run("config", "check", good, bad, "/nowhere")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, f"{good}: good, 1 section\n")
        self.assertEqual(result.stderr, f"keyslab: {bad}:1: [what]: no such section: expected [defaults] or [key NAME]\n"
                                        "keyslab: /nowhere: No such file or directory\n")

    def test_empty_file(self):
        self.assertEqual(run("config", "check", self.file("")).returncode, 0)

    def test_no_newline_at_the_end(self):
        path = self.file("[defaults]\nflush = 7")
        self.assertIn("flush    7", run("config", "check", path).stdout)

    def test_line_ends_of_other_systems(self):
        text = GOOD.replace("huge   pages", "huge pages").replace("\r", "")
        sections = lambda text: json.loads(run("config", "check", "--json", self.file(text)).stdout)[0]["sections"]
        self.assertEqual(len(sections(text)), 3)
        for other in (text.replace("\n", "\r\n"), text.replace("\n", "\r\n", 5)):
            self.assertEqual(sections(other), sections(text))

    def test_long_comments(self):
        path = self.file("# " + 5000 * "c" + "\n[defaults]\n  ; " + 300 * "c" + "\r\nflush = 7\n#" + 300 * "c")
        self.assertIn("flush    7", run("config", "check", path).stdout)

    def test_a_line_that_just_fits(self):
        path = self.file("[defaults]\nflush =" + 190 * " " + "7\r\n")
        self.assertIn("flush    7", run("config", "check", path).stdout)

    def test_many_sections(self):
        text = "".join(f"[key k{i}]\nflush = {i + 1}\n" for i in range(4096))
        path = self.file(text)
        self.assertEqual(run("config", "check", path).returncode, 0)
        self.assertIn("line 6002", run("config", "show", "--key", "k3000", path).stdout)
        result = run("config", "check", self.file(text + "[key more]\n"))
        self.assertIn(":8193: one section too many: expected 4096 at the most\n", result.stderr)

    def test_not_text(self):
        result = run("config", "check", KEYSLAB)
        self.assertEqual(result.returncode, 1)
        self.assertIn("a zero byte: expected a text file", result.stderr)

    def test_usage(self):
        for arguments in (["config"], ["config", "what"], ["config", "check"], ["config", "list", "x"],
                          ["config", "show", "a", "b"], ["config", "check", "--key", "a", "b"], ["config", "--what"]):
            with self.subTest(arguments):
                self.assertEqual(run(*arguments).returncode, 2)
        self.assertIn("usage: keyslab config", run("config", "--help").stdout)


class Show(Folder):
    def test_where_each_comes_from(self):
        path = self.file("[defaults]\nquota = 8 MiB\nflush = 3\n[key d*]\nflush = 5\n[key dns]\noutbox = 1\n")
        for key, quota, flush, outbox in (("dns", 2, 3, 7), ("dn", 2, 5, 0), ("x", 2, 3, 0), (None, 2, 3, 0)):
            data = json.loads(run("config", "show", "--json", *(["--key", key] if key else []), path).stdout)
            origins = {s["name"]: s["from"] for s in data["settings"]}
            at = lambda line: f"{path}:{line}" if line else "built in"
            self.assertEqual((origins["quota"], origins["flush"], origins["outbox"], origins["arena"]),
                             (at(quota), at(flush), at(outbox), "built in"))

    def test_what_is_shown_can_be_pasted(self):
        """Sizes and what is retained, in show's and check's words, are read as the same again."""
        collected = {"1": "1", "64 KiB": "64 KiB", "65536": "64 KiB", "1025": "1025", "1024 MiB": "1 GiB"}
        retained = {"auto": "auto", "0": "0", "1 MiB": "1 MiB", "1024 KiB": "1 MiB", "1024 GiB": "1024 GiB", "7": "7"}
        for name, values in (("outbox", collected), ("retain", retained)):
            for value, expected in values.items():
                path = self.file(f"[key a]\n{name} = {value}\n")
                shown = self.value(path, name)
                self.assertEqual(shown, expected)
                text = run("config", "show", "--key", "a", path).stdout
                self.assertRegex(text, rf"\n *{name} +{re.escape(shown)} +line 2\n")
                self.assertEqual(self.value(self.file(f"[key a]\n{name} = {shown}\n"), name), shown)
                self.assertIn(shown, run("config", "check", path).stdout)

    def value(self, path, name):
        data = json.loads(run("config", "show", "--json", "--key", "a", path).stdout)
        return next(s["value"] for s in data["settings"] if s["name"] == name)

    def test_settings_of_a_key_win_over_the_defaults(self):
        path = self.file("[defaults]\noutbox = 1 KiB\nretain = 0\n[key a]\noutbox = 7\n[key b]\nflush = 1\n")
        self.assertEqual((self.value(path, "outbox"), self.value(path, "retain")), ("7", "0"))
        data = json.loads(run("config", "show", "--json", "--key", "b", path).stdout)
        self.assertIn({"name": "outbox", "value": "1 KiB", "from": f"{path}:2"}, data["settings"])

    def test_removed_settings_are_not_listed(self):
        path = self.file("[defaults]\nflush = 3\n")
        for arguments in (["list"], ["list", "--json"], ["show", path], ["show", "--json", path], ["check", path]):
            self.assertNotIn("magazine", run("config", *arguments).stdout)

    def test_the_file_in_effect(self):
        path = self.file("[defaults]\nflush = 3\n")
        self.assertIn(f"config: {path} (named by KEYSLAB_CONF)\n", run("config", "show", conf=path).stdout)
        self.assertTrue(run("config", "show", conf="").stdout.startswith("config: none\n"))

    def test_a_bad_file(self):
        result = run("config", "show", self.file("[x]\n"))
        self.assertEqual((result.returncode, result.stdout), (1, ""))


class Found(Folder):
    """Which file a program has: the probe prints quota, and the real size of 100 bytes."""

    def probe(self, *names, program=PROBE, **kwargs):
        result = run(*names, program=program, **kwargs)
        self.assertEqual(result.returncode, 0)
        return [tuple(line.split()) for line in result.stdout.splitlines()], result.stderr

    def system(self, text):
        with open(SYSTEM, "w") as file:
            file.write(text)
        self.addCleanup(os.unlink, SYSTEM)

    def test_environment(self):
        path = self.file("[defaults]\nquota = 2 MiB\n[key dns]\nclasses = 512, 65536\n")
        lines, errors = self.probe("dns", "other", conf=path)
        self.assertEqual(lines, [("dns", str(2 * MIB), "512"), ("option", str(MIB), "512"),
                                 ("other", str(2 * MIB), "112"), ("option", str(MIB), "112")])
        self.assertEqual(errors, "")

    def test_bad_environment(self):
        path = self.file("[defaults]\nquota = 2 MiB\nflush = x\noutbox = y\n")
        lines, errors = self.probe("a", "b", conf=path)
        self.assertEqual(lines[::2], [("a", "0", "112"), ("b", "0", "112")])
        self.assertEqual(errors, f"keyslab: {path}:3: [defaults] flush: 'x': expected 1 to 1000000\n"
                                 f"keyslab: {path}:4: [defaults] outbox: 'y': expected 1 to 1 GiB, "
                                 "as 1500, 64 KiB or 2 MiB\n"
                                 "keyslab: built-in settings are used instead\n")

    def test_removed_settings_in_the_environment(self):
        """The file is used, and the warning comes once."""
        path = self.file("[defaults]\nquota = 2 MiB\nmagazine = 8\n")
        lines, errors = self.probe("a", "b", conf=path)
        self.assertEqual(lines[::2], [("a", str(2 * MIB), "112"), ("b", str(2 * MIB), "112")])
        self.assertEqual(errors, f"keyslab: {path}:3: [defaults] magazine: {REMOVED}\n")

    def test_missing_environment(self):
        lines, errors = self.probe("a", conf="/nowhere")
        self.assertEqual(lines[0], ("a", "0", "112"))
        self.assertEqual(errors, "keyslab: /nowhere: No such file or directory\n"
                                 "keyslab: built-in settings are used instead\n")

    def test_the_program_has_a_file_of_its_own(self):
        """That of the environment is not even read, unless the program's is bad."""
        own, bad = self.file("[defaults]\nquota = 4 MiB\n", "own.conf"), self.file("[defaults]\nflush = x\n", "bad.conf")
        lines, errors = self.probe("--load", own, "a", conf=bad)
        self.assertEqual((lines[:2], errors), ([("load", "success"), ("a", str(4 * MIB), "112")], ""))
        lines, errors = self.probe("--load", bad, "a", conf=own)
        self.assertEqual(lines[1], ("a", str(4 * MIB), "112"))
        self.assertEqual(errors, f"keyslab: {bad}:2: [defaults] flush: 'x': expected 1 to 1000000\n")

    def test_system(self):
        self.assertEqual(self.probe("a", program=PROBE_SYSTEM), ([("a", "0", "112"), ("option", str(MIB), "112")], ""))
        self.system("[defaults]\nquota = 3 MiB\n")
        self.assertEqual(self.probe("a", program=PROBE_SYSTEM)[0][0], ("a", str(3 * MIB), "112"))
        # One file counts: the environment's, where there is one, even an empty name.
        path = self.file("[key a]\nclasses = 512, 65536\n")
        self.assertEqual(self.probe("a", program=PROBE_SYSTEM, conf=path)[0][0], ("a", "0", "512"))
        self.assertEqual(self.probe("a", program=PROBE_SYSTEM, conf="")[0][0], ("a", "0", "112"))

    def test_bad_system(self):
        self.system("[defaults]\nquota = 1\n")
        lines, errors = self.probe("a", program=PROBE_SYSTEM)
        self.assertEqual(lines[0], ("a", "0", "112"))
        self.assertIn(f"keyslab: {SYSTEM}:2: [defaults] quota: '1'", errors)

    @unittest.skipIf(SANITIZED, "AddressSanitizer does not run in privileged programs")
    @unittest.skipUnless(os.geteuid() == 0, "only root can make a set-user-ID program of another user's")
    def test_privileged_programs_ignore_the_environment(self):
        program = os.path.join(self.folder.name, "probe")
        shutil.copy(PROBE_SYSTEM, program)
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o4755)
        os.chmod(self.folder.name, 0o755)
        self.system("[defaults]\nquota = 3 MiB\n")
        path = self.file("[defaults]\nquota = 2 MiB\n")
        if os.statvfs(self.folder.name).f_flag & os.ST_NOSUID:
            self.skipTest("no set-user-ID programs in the folder for temporary files")
        self.assertEqual(self.probe("a", program=program, conf=path)[0][0], ("a", str(3 * MIB), "112"))

    def test_on_error(self):
        line = 'keyslab: key "misuse": block 0x8: not a block of this library; found by thread 1\n'
        for setting, status, errors in (("status", 0, ""), ("log", 0, line), ("abort", -signal.SIGABRT, line)):
            with self.subTest(setting):
                path = self.file(f"[key misuse]\non error = {setting}\n")
                result = run("misuse", program=PROBE, conf=path)
                self.assertEqual((result.returncode, result.stderr), (status, errors))

    def test_run(self):
        sample = os.path.join(ROOT, "tools", "sample.pcap.gz")
        path = self.file("[key frames]\nclasses = 2048, 65536\n")
        data = json.loads(run("run", "--json", "--count", "500", "--config", path, sample).stdout)
        self.assertEqual(data["frames"], 500)
        used = [c["size"] for c in data["frames_key"]["classes"] if c["allocated"]]
        self.assertEqual(used, [2048])
        path = self.file("[key frames]\nmagazine = 8\nclasses = 2048, 65536\n")
        result = run("run", "--json", "--count", "500", "--config", path, sample)
        self.assertEqual((result.returncode, result.stderr), (0, f"keyslab: {path}:2: [key frames] magazine: {REMOVED}\n"))
        data = json.loads(result.stdout)
        self.assertEqual([c["size"] for c in data["frames_key"]["classes"] if c["allocated"]], [2048])
        result = run("run", "--config", self.file("[x]\n"), sample)
        self.assertEqual(result.returncode, 1)
        self.assertIn(":1: [x]: no such section", result.stderr)


class Tuned(Folder):
    def test_what_tune_writes_is_read(self):
        sample = os.path.join(ROOT, "tools", "sample.pcap.gz")
        path = os.path.join(self.folder.name, "tuned.conf")
        self.assertEqual(run("tune", "-o", path, sample).returncode, 0)
        result = run("config", "check", "--json", path)
        self.assertEqual(result.returncode, 0)
        sections = json.loads(result.stdout)[0]["sections"]
        tuned = next(v["value"] for s in sections for v in s["settings"] if v["name"] == "classes")
        self.assertEqual(tuned[-1], 65536)
        data = json.loads(run("run", "--json", "--count", "5000", "--config", path, sample).stdout)
        sizes = [c["size"] for c in data["frames_key"]["classes"] if c["size"]]
        self.assertIn(sizes, [v["value"] for s in sections for v in s["settings"]])


class Documents(unittest.TestCase):
    def read(self, *path):
        with open(os.path.join(ROOT, *path)) as file:
            return file.read()

    def settings(self):
        return json.loads(run("config", "list", "--json").stdout)

    @staticmethod
    def built_in(setting):
        value = setting["built_in"]
        return value if isinstance(value, str) else f"{len(value)} classes, {value[0]} to {value[-1]}"

    def test_manual(self):
        """keyslab.conf(5) has each setting as the table has it, in its order, and no other."""
        manual = self.read("docs", "man", "keyslab.conf.5")
        section = manual[manual.index(".SH SETTINGS"):manual.index(".SH FILES")]
        entries = re.findall(r"\.TP\n\.B (.*)\n(.*)\nValues: (.*)\. Built in: (.*)\.\n", section)
        self.assertEqual(entries, [(s["name"], s["text"][0].upper() + s["text"][1:] + ".", s["values"], self.built_in(s))
                                   for s in self.settings()])

    def test_guide(self):
        rows = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?) \|", self.read("docs", "config.md"), re.M)
        self.assertEqual(rows, [(s["name"], s["values"], self.built_in(s)) for s in self.settings()])

    def test_examples_load(self):
        found = 0
        for path in (("docs", "config.md"), ("docs", "man", "keyslab.conf.5"), ("README.md",)):
            text = self.read(*path)
            blocks = re.findall(r"```ini\n(.*?)```", text, re.S) + re.findall(r"\.EX\n(.*?)\.EE", text, re.S)
            for block in blocks:
                if not block.startswith(("[", "#")):
                    continue
                found += 1
                with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
                    file.write(block)
                    file.flush()
                    result = run("config", "check", file.name)
                    self.assertEqual((result.returncode, result.stderr), (0, ""), block)
        self.assertGreaterEqual(found, 5)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
