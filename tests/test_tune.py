"""`keyslab tune` on every kind of file: what it finds, writes and refuses.

    test_tune.py KEYSLAB MAKE-TRACE SOURCE-ROOT
"""

import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

KEYSLAB, MAKE_TRACE, ROOT = sys.argv[1:4]
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
FRAMES = os.path.join(ROOT, "bench", "data", "frame_sizes.json")

REPLAY = """\
12: malloc 0x7000 24 1000 1100
12: calloc 0x8000 4 16 1200 1250
13: memalign 0x9000 64 100 1300 1400
12: realloc 0xa000 0x7000 48 2000 2100
12: free 0x8000 3000 3100
13: thread_done 0x0 4000 4000
"""

HEAPTRACK_RAW = """\
v 10400 3
x b /usr/bin/ls
X ls -l
t 7f92 0
+ 18 4 7000
c 10
+ 40 4 8000
- 7000
c 20
- 8000
"""

HEAPTRACK = """\
v 10400 3
X /usr/bin/ls -l
a 18 4
a 40 4
+ 0
c 10
+ 1
- 0
c 20
- 1
"""


def run(*arguments, conf=""):
    return subprocess.run([KEYSLAB, "tune", *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "KEYSLAB_CONF": conf})


def report(*arguments, conf=""):
    result = run("--json", *arguments, conf=conf)
    assert result.returncode == 0, (result.returncode, result.stderr)
    return json.loads(result.stdout)


def good(classes, alignment=64):
    """What the library asks of a table of classes, for keys whose blocks are aligned so."""
    return (len(classes) <= 47 and classes[-1] == 65536 and classes == sorted(set(classes))
            and all(c % min(alignment, 16) == 0 and c >= 16 and (c < 512 or c % max(alignment, 16) == 0)
                    for c in classes))


def table(key, name):
    return next(t for t in key["tables"] if t["table"] == name)


def overhead(spending):
    return spending["internal"] + spending["slab_tails"] + spending["partial_groups"]


GRID = {"slab": ("64 KiB", "128 KiB", "256 KiB"), "retain": ("0", "1 MiB", "16 MiB"),
        "outbox": ("4 KiB", "16 KiB", "64 KiB", "256 KiB"), "flush": ("16", "256")}


def grid(trials, start, names=tuple(GRID)):
    """What a search tries from these values on, and what is best in the end, where its trials have kept some."""
    kept, tried, best = iter(trial["kept"] for trial in trials), [], dict(start)
    for name in names:
        for value in GRID[name]:
            if value != best[name]:
                tried.append((name, value))
                best[name] = value if next(kept, False) else best[name]
    return tried, best


class Tuned(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.trace = cls.path("trace.kst")
        subprocess.run([MAKE_TRACE, cls.trace, "200000", "1000"], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def test_default_is_the_documented_one(self):
        """The figure of docs/size-classes.md, from the same data, is for lengths up to 1,536."""
        with open(FRAMES) as file:
            sizes = {int(size): count for size, count in json.load(file).items() if int(size) <= 1536}
        key = report(self.write("short.json", json.dumps(sizes)))["keys"][0]
        self.assertAlmostEqual(table(key, "default")["all"]["internal_part"], 0.055, delta=0.001)
        self.assertAlmostEqual(table(key, "jemalloc's")["all"]["internal_part"], 0.082, delta=0.001)

    def test_beats_the_others(self):
        """By much in sample; on a half that it has not seen it may only equal the default: the sample has few sizes."""
        for path in (FRAMES, SAMPLE):
            key = report(path)["keys"][0]
            default = table(key, "default")
            self.assertLess(table(key, "tuned")["all"]["internal"], default["all"]["internal"])
            self.assertLess(table(key, "tuned")["held_out"]["internal"], default["held_out"]["internal"] * 1.01)
            self.assertGreater(key["avoidable_less_than_default"], 0.4)
            self.assertGreater(key["avoidable_less_than_jemalloc"], 0.4)
            for row in key["tables"]:
                alignment = int(row["table"].rsplit(" ", 1)[1]) if " aligned " in row["table"] else 64
                self.assertTrue(good(row["classes"], alignment), row)
                if alignment == 64:
                    self.assertGreaterEqual(row["all"]["internal"], key["alignment_alone"]["internal"])

    def test_alignment(self):
        """Where blocks may be at any multiple of 8, tables of as many classes lose 40 % less than others, and more."""
        for path in (FRAMES, SAMPLE):
            keys = [report("--alignment", str(alignment), path)["keys"][0] for alignment in (64, 32, 16, 8)]
            for key, alignment, rows in zip(keys, (64, 32, 16, 8), (7, 7, 6, 5)):
                self.assertEqual((key["alignment"], len(key["tables"])), (alignment, rows))
                self.assertTrue(good(table(key, "tuned")["classes"], alignment), key)
                self.assertFalse(good(table(key, "tuned")["classes"], 2 * alignment), key)
            for looser, stricter in zip(keys[1:], keys):
                self.assertLess(looser["alignment_alone"]["internal"], stricter["alignment_alone"]["internal"])
                self.assertGreater(looser["less_than_default"], stricter["less_than_default"])
            self.assertEqual(table(keys[0], "inside, aligned 8")["all"], table(keys[3], "inside, as default")["all"])
            self.assertEqual(table(keys[1], "inside, aligned 16")["all"], table(keys[2], "inside, as default")["all"])
            self.assertGreater(keys[3]["less_than_default"], 0.4)
            self.assertGreater(keys[3]["less_than_jemalloc"], 0.4)
            written = self.path("aligned.conf")
            for alignment in (8, 16, 32, 64):
                run("--alignment", str(alignment), "-o", written, path)
                self.check(written)
                self.assertEqual(self.setting(written, "frames", "alignment")["value"], str(alignment))

    def test_blocks_that_ask_for_an_alignment(self):
        """An eighth of the blocks of this key ask for multiples of 128, which few classes between multiples of 16 are."""
        for alignment in 8, 16, 64:
            key = report("--alignment", str(alignment), "--threads", "0", "-k", "streams", self.trace)["keys"][0]
            default, tuned = table(key, "default"), table(key, "tuned")
            self.assertLess(overhead(tuned["all"]), 0.5 * overhead(default["all"]))
            self.assertLess(overhead(tuned["held_out"]), 0.5 * overhead(default["held_out"]))
            curve = {point["classes"]: point["internal_part"] for point in key["curve"]}
            self.assertEqual(curve[len(tuned["classes"])], tuned["all"]["internal_part"])

    def test_alignment_of_the_config_in_effect(self):
        conf = self.write("packed.conf", "[key flows]\nalignment = 8\n")
        keys = report(self.trace, conf=conf)["keys"]
        self.assertEqual([key["alignment"] for key in keys], [64, 8, 64])
        self.assertEqual({key["alignment"] for key in report("--alignment", "16", self.trace, conf=conf)["keys"]}, {16})
        path = self.path("packed-too.conf")
        self.assertEqual(run("-o", path, self.trace, conf=conf).returncode, 0)
        self.check(path)
        self.assertEqual([self.setting(path, key, "alignment")["value"] for key in ("frames", "flows")],
                         ["64", "8"])

    def test_more_classes_lose_no_more(self):
        costs = [point["cost"] for point in report(FRAMES)["keys"][0]["curve"]]
        self.assertEqual(len(costs), 47 - 13 + 1)
        self.assertEqual(costs, sorted(costs, reverse=True))

    def test_keys_of_a_trace(self):
        data = report(self.trace)
        self.assertEqual([key["key"] for key in data["keys"]], ["frames", "flows", "streams"])
        for key in data["keys"]:
            self.assertEqual(key["weight"], "lifetime")
            self.assertTrue(good(key["classes"]))
            for part in "all", "held_out":
                self.assertLessEqual(overhead(table(key, "tuned")[part]), overhead(table(key, "default")[part]))
        self.assertEqual(report("--key", "flows", self.trace)["keys"], [data["keys"][1]])
        joint = report("--joint", self.trace)["keys"]
        self.assertEqual([key["key"] for key in joint], [None])
        self.assertEqual(joint[0]["blocks"], sum(key["blocks"] for key in data["keys"]))

    def test_run_records_its_keys(self):
        """Each key of `keyslab run` has a table, and the trace has every block that the run's own statistics have."""
        with tempfile.TemporaryDirectory() as folder:
            trace = os.path.join(folder, "run.kst")
            config = os.path.join(folder, "keyslab.conf")
            environment = {**os.environ, "KEYSLAB_CONF": ""}
            ran = subprocess.run([KEYSLAB, "run", "--json", "--trace", trace, SAMPLE], capture_output=True, text=True,
                                 timeout=120, env=environment)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""))
            told = json.loads(ran.stdout)
            keys = [told["frames_key"], *(expert["key"] for expert in told["experts"])]
            allocated = {key["name"]: key["allocated"] for key in keys}
            tuned = report("-o", config, trace)
            self.assertEqual({key["key"]: key["blocks"] + key["large_blocks"] for key in tuned["keys"]}, allocated)
            self.assertEqual(sorted(allocated), ["flows", "frames", "reassembly"])
            for key in tuned["keys"]:
                self.assertTrue(good(key["classes"]))
            again = subprocess.run([KEYSLAB, "run", "--config", config, SAMPLE], capture_output=True, text=True,
                                   timeout=120, env=environment)
            self.assertEqual((again.returncode, again.stderr), (0, ""))
            replayed = subprocess.run([KEYSLAB, "replay", "--json", trace], capture_output=True, text=True, timeout=120)
            self.assertEqual((replayed.returncode, replayed.stderr), (0, ""))

    def test_run_cannot_record(self):
        ran = subprocess.run([KEYSLAB, "run", "--trace", "/nonexistent/t", SAMPLE], capture_output=True, text=True,
                             timeout=120)
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr),
                         (1, "", "keyslab: --trace /nonexistent/t: No such file or directory\n"))

    def test_deterministic(self):
        self.assertEqual(run(self.trace).stdout, run(self.trace).stdout)

    def test_options(self):
        self.assertLessEqual(len(report("-n", "20", FRAMES)["keys"][0]["classes"]), 20)
        fine = report("--step", "25", "-n", "47", FRAMES)["keys"][0]["classes"]
        self.assertTrue(all((b - a - 1) / b <= 0.25 for a, b in zip(fine, fine[1:]) if b > 48))
        blocks = report("--blocks", self.trace)["keys"][0]
        self.assertEqual(blocks["weight"], "blocks")
        plain = report(SAMPLE)["keys"][0]["tables"][0]["all"]["asked"]
        frames = report(SAMPLE)["keys"][0]["blocks"]
        self.assertEqual(report("--headroom", "128", SAMPLE)["keys"][0]["tables"][0]["all"]["asked"],
                         plain + 128 * frames)
        free = report("--threads", "0", self.trace)["keys"][0]
        self.assertEqual(table(free, "tuned")["all"]["partial_groups"], 0)
        one, three = (table(report("--threads", threads, self.trace)["keys"][0], "default")["all"]["partial_groups"]
                      for threads in ("1", "3"))
        self.assertGreater(one, 0)
        self.assertAlmostEqual(three, 3 * one)

    def test_config(self):
        path = self.path("keyslab.conf")
        self.assertEqual(run("-o", path, self.trace).returncode, 0)
        with open(path) as file:
            text = file.read()
        self.assertEqual(re.findall(r"^\[(.*)\]$", text, re.M), ["key frames", "key flows", "key streams"])
        tables = re.findall(r"^classes = ([\d,\s]+?)$(?!\n    )", text, re.M)
        self.assertEqual(len(tables), 3)
        for numbers, key in zip(tables, report(self.trace)["keys"]):
            self.assertEqual([int(number) for number in numbers.split(",")], key["classes"])
        self.assertLess(max(len(line) for line in text.split("\n")), 200)
        self.check(path)
        for section, *arguments in (("defaults", "--joint", self.trace), ("key frames", SAMPLE), ("key frames", FRAMES),
                                    ("defaults", self.write("app.txt", REPLAY)),
                                    ("key flows", "-k", "flows", self.trace)):
            run("-o", path, *arguments)
            with open(path) as file:
                self.assertEqual(re.findall(r"^\[(.*)\]$", file.read(), re.M), [section])
            self.check(path)

    def check(self, path):
        """`keyslab config` takes the file, and it has nothing to say of it."""
        result = subprocess.run([KEYSLAB, "config", "check", path], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def setting(self, path, key, name):
        """A setting that a key of that name would have, and the line that it comes from."""
        shown = subprocess.run([KEYSLAB, "config", "show", "--json", "--key", key, path], capture_output=True,
                               text=True)
        return next(setting for setting in json.loads(shown.stdout)["settings"] if setting["name"] == name)

    def settings(self, conf=""):
        """The values of every setting, with the file in effect or built in."""
        shown = subprocess.run([KEYSLAB, "config", "show", "--json"], capture_output=True, text=True,
                               env={**os.environ, "KEYSLAB_CONF": conf})
        return {setting["name"]: setting["value"] for setting in json.loads(shown.stdout)["settings"]}

    def test_slabs_of_the_config_in_effect(self):
        conf = self.write("slabs.conf", "[key frames]\nslab = 64 KiB\n")
        keys = [{key["key"]: table(key, "default") for key in report(self.trace, conf=name)["keys"]}
                for name in ("", conf)]
        self.assertGreater(keys[1]["frames"]["all"]["slab_tails"], 1.5 * keys[0]["frames"]["all"]["slab_tails"])
        self.assertEqual(keys[1]["flows"], keys[0]["flows"])
        # The written file stands in its place, and so must say it too.
        path = self.path("with-slabs.conf")
        self.assertEqual(run("-o", path, self.trace, conf=conf).returncode, 0)
        self.check(path)
        self.assertEqual([self.setting(path, key, "slab")["value"] for key in ("frames", "flows")],
                         ["64 KiB", "256 KiB"])

    def test_a_bad_config_in_effect(self):
        conf = self.write("bad.conf", "[defaults]\nslab = 1\n")
        result = run("--json", self.trace, conf=conf)
        self.assertEqual(result.returncode, 0)
        self.assertTrue(result.stderr.startswith(f"keyslab: {conf}:2: [defaults] slab: '1': expected a power of two"))
        self.assertTrue(result.stderr.endswith("keyslab: built-in settings are used instead\n"))
        self.assertEqual(json.loads(result.stdout), report(self.trace))

    def test_removed_settings_of_the_config_in_effect(self):
        """The file is used, and the warning comes once, however many replays a search takes."""
        conf = self.write("old.conf", "[defaults]\nmagazine = 8\nslab = 64 KiB\n")
        plain = self.write("new.conf", "[defaults]\n\nslab = 64 KiB\n")
        said = f"keyslab: {conf}:2: [defaults] magazine: this setting was removed and has no effect: "
        result = run("--json", self.trace, conf=conf)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(json.loads(result.stdout), report(self.trace, conf=plain))
        self.assertNotEqual(json.loads(result.stdout), report(self.trace))
        searched = run("--search", "--search-seconds", "1", self.trace, conf=conf)
        for errors in result.stderr, searched.stderr:
            self.assertTrue(errors.startswith(said), errors)
            self.assertEqual(errors.count("magazine"), 1, errors)

    def test_config_of_each_kind(self):
        path = self.path("kinds.conf")
        with gzip.open(SAMPLE) as packed, open(self.path("sample.pcap"), "wb") as plain:
            plain.write(packed.read())
        long = os.path.join(self.folder.name, "long" * 50 + ".json")
        with open(FRAMES) as source, open(long, "w") as copy:
            copy.write(source.read())
        for source in (self.trace, SAMPLE, self.path("sample.pcap"), FRAMES, long, self.write("app.txt", REPLAY),
                       self.write("h.raw", HEAPTRACK_RAW), self.write("h.txt", HEAPTRACK)):
            for arguments in (source,), ("--joint", source), ("-n", "47", source), ("-n", "14", source):
                self.assertEqual(run("-o", path, *arguments).returncode, 0, arguments)
                self.check(path)
            run("-o", path, source)
            for key in report(source)["keys"]:
                self.assertEqual(self.setting(path, key["key"], "classes")["value"], key["classes"])

    def test_config_of_odd_names(self):
        """A section for every name that a section can have; a comment for the others."""
        path, trace = self.path("odd.conf"), self.path("odd.kst")
        names = ["dns-*", "a]", "[a]", "a;b", "a#b", "two words", "ü", "x" * 63, "default"]
        for name in names + ["", " a", "a ", "a ;b", ";a", "#", "a\nb", "a\tb"]:
            subprocess.run([MAKE_TRACE, trace, "20000", "100", "0", name], check=True)
            self.assertEqual(run("-o", path, trace).returncode, 0, name)
            self.check(path)
            with open(path) as file:
                text = file.read()
            self.assertEqual(text.count("[key "), 3 if name in names else 2, name)
            self.assertEqual("# No section for a key of" in text, name not in names)
            if name in names:
                self.assertEqual(self.setting(path, name, "classes")["value"],
                                 report("-k", name, trace)["keys"][0]["classes"])

    def test_groups_of_blocks(self):
        """Of four blocks of 64 bytes: 72 bytes for 32 of them, and half a group of the class in each thread."""
        path = self.write("groups.txt", "".join(f"12: malloc {address:#x} 64 0 0\n" for address in range(64, 320, 64))
                          + "12: thread_done 0x0 1000 1000\n")
        all = table(report("--threads", "2", path)["keys"][0], "default")["all"]
        self.assertEqual((all["asked"], all["internal"], all["classes_used"]), (256, 0, 1))
        self.assertAlmostEqual(all["slab_tails"], 4 * 72 / 32)
        self.assertAlmostEqual(all["partial_groups"], 2 * (32 * 64 + 72) / 2)

    def test_search(self):
        """Nothing is touched that was not asked for, and the file says what was searched."""
        path, small = self.path("search.conf"), self.path("small.kst")
        subprocess.run([MAKE_TRACE, small, "20000", "500"], check=True)
        data = report("--search=outbox,flush", "--search-seconds", "20", "-o", path, "--key", "frames", small)
        self.check(path)
        trials = data["search"]["trials"]
        self.assertEqual({trial["setting"] for trial in trials} - {"outbox", "flush"}, set())
        self.assertEqual({trial["key"] for trial in trials}, {"frames"})
        tried, _ = grid(trials, self.settings(), ("outbox", "flush"))
        self.assertEqual([(trial["setting"], trial["value"]) for trial in trials], tried[:len(trials)])
        self.assertTrue(all(3 <= trial["rounds"] <= 14 and trial["time"] > 0 for trial in trials))
        self.assertTrue(data["search"]["late"] or len(trials) == len(tried))
        with open(path) as file:
            text = file.read()
        self.assertIn("# Searched by replay, and as built in where nothing better is set below: outbox, flush.", text)
        settings = dict(re.findall(r"^([a-z ]+) = (.*)$", text, re.M))
        kept = {trial["setting"]: trial["value"] for trial in trials if trial["kept"]}
        self.assertEqual(set(settings) - {"classes"}, set(kept))
        for name, value in kept.items():
            self.assertEqual(self.setting(path, "frames", name)["value"], value)
        self.assertFalse("together" in data["search"] and not kept)

    def search_all(self, conf=""):
        """The trials of a search of all settings, with a file in effect, are those of the grid; the file has what was best."""
        path, small = self.path("grid.conf"), self.path("small.kst")
        subprocess.run([MAKE_TRACE, small, "20000", "500", "500"], check=True)
        data = report("--search", "--search-seconds", "60", "-o", path, "--joint", small, conf=conf)
        self.check(path)
        trials = data["search"]["trials"]
        tried, best = grid(trials, self.settings(conf))
        self.assertEqual([(trial["setting"], trial["value"]) for trial in trials], tried[:len(trials)])
        self.assertTrue(data["search"]["late"] or len(trials) == len(tried))
        written = self.settings(path)
        self.assertEqual({name: written[name] for name in GRID}, {name: best[name] for name in GRID})

    def test_search_tries_the_grid(self):
        """Slabs, idle slabs, outboxes and slow paths, each value tried as a change of what was kept."""
        self.search_all()

    def test_search_goes_on_from_the_slab_in_effect(self):
        self.search_all(self.write("slab.conf", "[defaults]\nslab = 64 KiB\n"))

    def test_search_says_what_came_of_each(self):
        small = self.path("small.kst")
        subprocess.run([MAKE_TRACE, small, "20000", "500"], check=True)
        data = report("--search=retain,flush", "--search-seconds", "20", "--joint", small)["search"]
        self.assertTrue(data["trials"])
        for trial in data["trials"]:
            self.assertEqual(trial["verdict"] == "kept", trial["kept"])
            within = (abs(trial["time"] - 1) <= max(trial["noise"], 0.01)
                      and abs(trial["resident"] - 1) <= max(trial["resident_noise"], 0.02))
            if trial["verdict"] == "within noise":
                self.assertTrue(within, trial)
            elif trial["verdict"] in ("slower", "more memory"):
                self.assertFalse(within, trial)
            else:
                self.assertIn(trial["verdict"], ("kept", "not confirmed"))
                self.assertEqual(trial["rounds"], 14)
        text = run("--search=flush", "--search-seconds", "20", "--joint", small).stdout
        self.assertRegex(text, r"\n +search +value +time +noise +resident, peak +noise +rounds  outcome *\n"
                               r"(  all keys: flush +\d+( +\d\.\d{3}){4} +\d+  (kept|not confirmed|slower|more memory|"
                               r"within noise) *\n){1,2}")

    def test_search_ends(self):
        """A replay that would take longer is ended; its files are removed; what is known is written."""
        path, folder = self.path("late.conf"), self.path("late")
        os.mkdir(folder)
        arguments = ["--json", "--search", "--search-seconds", "1", "-o", path, self.trace]
        result = subprocess.run([KEYSLAB, "tune", *arguments], capture_output=True, text=True, timeout=60,
                                env=dict(os.environ, TMPDIR=folder))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertTrue(json.loads(result.stdout)["search"]["late"])
        self.assertEqual(os.listdir(folder), [])
        with open(path) as file:
            self.assertIn("# The time was up before all was tried.", file.read())
        self.check(path)

    def test_search_refused(self):
        refused = run("--search", SAMPLE)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("--search replays a trace, and this is a capture", refused.stderr)
        for arguments in (("--search=quota", self.trace), ("--search=magazine", self.trace), ("--search=", self.trace), ("--search", self.trace, SAMPLE),
                          ("--search-seconds", "5", self.trace), ("--search", "--search-seconds", "0", self.trace)):
            self.assertEqual(run(*arguments).returncode, 2, arguments)
        self.assertRegex(run("--search=quota", self.trace).stderr,
                         "'quota': expected slab, retain, outbox or flush, with commas")

    def test_scudo(self):
        path = self.path("scudo.xml")
        run("--scudo", path, FRAMES)
        with open(path) as file:
            lines = file.read().split("\n")
        self.assertEqual((lines[0], lines[-2]), ('<malloc version="scudo-1">', "</malloc>"))
        counts = [re.fullmatch(r'<alloc size="(\d+)" count="(\d+)"/>', line) for line in lines[1:-2]]
        with open(FRAMES) as file:
            expected = sum(count for size, count in json.load(file).items() if int(size) <= 65536)
        self.assertEqual(sum(int(found[2]) for found in counts), expected)

    def test_pictures(self):
        folder = self.path("pictures")
        self.assertEqual(run("--svg", folder, self.trace).returncode, 0)
        self.assertEqual(len(os.listdir(folder)), 6)
        for name in os.listdir(folder):
            self.assertTrue(xml.parse(os.path.join(folder, name)).getroot().tag.endswith("svg"))

    def test_memory_replay(self):
        for path in (self.write("app.txt", REPLAY), self.path("app.txt.gz")):
            if path.endswith("gz"):
                with gzip.open(path, "wt") as file:
                    file.write(REPLAY)
            data = report("--threads", "0", path)
            self.assertEqual(data["sources"][0]["kind"], "memory_replay trace")
            key = data["keys"][0]
            self.assertEqual((key["key"], key["blocks"], key["weight"]), (os.path.basename(path), 4, "lifetime"))
            # 24 bytes for 1,000 of 3,000 ns, 64 for 1,800, 100 for 2,700, 48 for 2,000.
            asked = (24 * 1000 + 64 * 1800 + 100 * 2700 + 48 * 2000) / 3000
            self.assertAlmostEqual(table(key, "default")["all"]["asked"], asked)

    def test_heaptrack(self):
        for name, text in (("raw", HEAPTRACK_RAW), ("interpreted", HEAPTRACK)):
            key = report(self.write("heaptrack." + name, text))["keys"][0]
            self.assertEqual((key["key"], key["blocks"]), ("ls", 2))
            self.assertAlmostEqual(table(key, "default")["all"]["asked"], (24 * 10 + 64 * 10) / 20)

    def test_damaged_trace(self):
        with open(self.trace, "rb") as file:
            data = file.read()
        cut = self.path("cut.kst")
        with open(cut, "wb") as file:
            file.write(data[:len(data) * 2 // 3])
        refused = run(cut)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertRegex(refused.stderr, r"cut\.kst: cut off at byte \d+.*--salvage")
        salvaged = run("--salvage", "--json", cut)
        self.assertEqual(salvaged.returncode, 0)
        self.assertRegex(salvaged.stderr, r"salvaged \d+ events")
        whole = report(self.trace)["keys"][0]["blocks"]
        self.assertGreater(json.loads(salvaged.stdout)["keys"][0]["blocks"], whole // 2)

    def test_refused(self):
        cases = {
            self.write("words.json", '{"64": 1, "some": 2}'): "words.json: key 'some': expected a size in bytes",
            self.write("minus.json", '{"64": -1}'): "minus.json: key '64': expected a count",
            self.write("broken.json", '{"64": \n'): "broken.json:",
            self.write("bad.txt", "12: malloc 0x7000 24\n12: mallok 0x1 2\n"): "bad.txt:2: expected",
            self.write("few.txt", "12: malloc 0x7000\n"): "few.txt:1: expected",
            self.write("bad.heaptrack", "v 10400 3\n+ 18\n"): "bad.heaptrack:2: expected",
            self.write("none", "nothing that is known"): "none: not a capture",
            self.path("missing"): "missing: No such file",
            self.write("empty.json", "{}"): "nothing to tune",
        }
        for path, message in cases.items():
            result = run(path)
            self.assertEqual((result.returncode, result.stdout), (1, ""), path)
            self.assertIn(message, result.stderr)
        self.assertIn("the keys are:", run("--key", "none", self.trace).stderr)
        self.assertIn("--alignment 24: expected a power of two from 8 to 64", run("--alignment", "24", FRAMES).stderr)
        for arguments in ((), ("-n", "48", FRAMES), ("-n", "5", FRAMES), ("--alignment", "24", FRAMES), ("--step", "0", FRAMES), ("--nothing",),
                          ("--joint", "--key", "a", FRAMES)):
            self.assertEqual(run(*arguments).returncode, 2, arguments)
        self.assertIn("need 13 classes or more", run("-n", "5", FRAMES).stderr)
        self.assertEqual(run("-o", "/nonexistent/c", FRAMES).returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
