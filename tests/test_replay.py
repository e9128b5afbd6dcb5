"""`keyslab replay`: a trace's operations are all done, by whatever allocator and however many threads.

    test_replay.py KEYSLAB MAKE-TRACE SOURCE-ROOT
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

KEYSLAB, MAKE_TRACE, ROOT = sys.argv[1:4]


def run(*arguments, environment=None):
    return subprocess.run([KEYSLAB, "replay", *arguments], capture_output=True, text=True, timeout=200,
                          env=dict(os.environ, **(environment or {})))


def outcome(*arguments):
    result = run("--json", *arguments)
    assert result.returncode == 0, (result.returncode, result.stderr)
    return json.loads(result.stdout)


class Replayed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.plain = os.path.join(cls.folder.name, "plain.kst")
        cls.resets = os.path.join(cls.folder.name, "resets.kst")
        subprocess.run([MAKE_TRACE, cls.plain, "300000", "2000"], check=True)
        subprocess.run([MAKE_TRACE, cls.resets, "100000", "2000", "3000"], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_every_operation(self):
        for threads in "1", "3", "4", "64":
            for peer in "keyslab", "malloc":
                done = outcome("-t", threads, "-p", peer, self.plain)
                self.assertGreaterEqual(done["operations"], 300000 - 3)
                self.assertEqual((done["failed"], done["unmatched"]), (0, 0))
                self.assertEqual(done["asked_end"], outcome("-t", "1", self.plain)["asked_end"])
                self.assertGreater(done["seconds"], 0)

    def test_memory(self):
        """8,000 blocks of three kinds are live at the end, of about 900 bytes."""
        done = outcome(self.plain)
        self.assertGreater(done["asked_end"], 8000 * 500)
        self.assertLess(done["asked_end"], 8000 * 1500)
        self.assertGreaterEqual(done["asked_peak"], done["asked_end"])
        self.assertGreaterEqual(done["resident_peak"], done["resident_end"])
        self.assertGreater(done["resident_end"], done["asked_end"])
        self.assertGreater(done["inside_blocks"], 0.01)
        self.assertLess(done["inside_blocks"], 0.15)
        for given in done["classes"]:
            self.assertLessEqual(given["asked"], given["usable"])
            self.assertEqual(given["usable"], given["blocks"] * given["size"])
        self.assertAlmostEqual(sum(given["blocks"] for given in done["classes"]), 154000, delta=5000)
        # In this process one operation of seventeen is looked at.
        blocks = sum(given["blocks"] for given in outcome("-p", "keyslab", self.plain)["classes"])
        self.assertAlmostEqual(blocks, 154000 / 17, delta=5000 / 17)

    def test_resets(self):
        """What a reset drops in keyslab is freed block by block in malloc: the same is left."""
        keyslab = outcome(self.resets)
        malloc = outcome("-p", "malloc", self.resets)
        self.assertEqual(keyslab["asked_end"], malloc["asked_end"])
        self.assertEqual((keyslab["failed"], keyslab["unmatched"]), (0, 0))
        self.assertGreater(malloc["operations"], keyslab["operations"])

    def test_compare(self):
        result = run("--compare", "keyslab,malloc", "--rounds", "3", self.resets)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [line.split()[0] for line in result.stdout.splitlines()[3:5]]
        self.assertEqual(rows, ["keyslab", "malloc"])
        data = outcome("--compare", "malloc,keyslab", "--rounds", "2", self.resets)["allocators"]
        self.assertEqual([row["allocator"] for row in data], ["malloc", "keyslab"])
        self.assertEqual([len(row["rounds"]) for row in data], [2, 2])

    def config(self, text, name="keyslab.conf"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_configs(self):
        """Sections count by the names of the trace's keys: only frames have these classes."""
        path = self.config("[key fra*]\nclasses = 4096, 65536\n")
        default, coarse = outcome("--config", path, "--rounds", "1", self.plain)["allocators"]
        self.assertEqual((default["allocator"], default["config"]), ("default", None))
        self.assertEqual((coarse["allocator"], coarse["config"]), (path, path))
        self.assertEqual(default["ratio"], 1)
        at_4096 = [sum(given["blocks"] for given in row["classes"] if given["size"] == 4096)
                   for row in (default, coarse)]
        self.assertGreater(at_4096[1] - at_4096[0], 40000)
        self.assertGreater(sum(given["blocks"] for given in coarse["classes"] if given["size"] < 2048), 60000)
        for row in default, coarse:
            self.assertEqual(row["classes"], sorted(row["classes"], key=lambda given: given["size"]))
        self.assertGreater(coarse["measured"], 1.5 * default["measured"])

    def test_compare_names(self):
        """Names with .so are libraries, other names files; what --config names is a file, whatever its name."""
        coarse = self.config("[defaults]\nclasses = 65536\n")
        odd = self.config("[defaults]\nclasses = 8192, 65536\n", "odd.so")
        rows = outcome("--compare", f"{coarse},default,malloc", "--config", odd, "-r", "1", self.resets)["allocators"]
        self.assertEqual([row["config"] for row in rows], [coarse, None, None, odd])
        self.assertEqual(["predicted" in row for row in rows], [True, True, False, True])
        self.assertEqual({given["size"] for given in rows[0]["classes"]}, {65536})
        self.assertEqual({given["size"] for given in rows[3]["classes"]}, {8192})
        with_config = outcome("--peer", "keyslab", "--config", coarse, self.resets)
        self.assertEqual({given["size"] for given in with_config["classes"]}, {65536})

    def test_default_is_built_in(self):
        """A file that the environment names is not what was asked for."""
        path = self.config("[defaults]\nclasses = 65536\n")
        result = run("--json", self.resets, environment={"KEYSLAB_CONF": path})
        self.assertGreater(len(json.loads(result.stdout)["classes"]), 10)

    def test_prediction(self):
        """What tune predicts is what the library does, with any classes, and with resets too."""
        coarse = self.config("[defaults]\nclasses = 1024, 65536\n[key flows]\nclasses = 48, 80, 144, 65536\n")
        tuned = os.path.join(self.folder.name, "tuned.conf")
        packed = os.path.join(self.folder.name, "packed.conf")
        for trace in self.plain, self.resets:
            subprocess.run([KEYSLAB, "tune", "--threads", "0", "-o", tuned, trace], check=True, capture_output=True)
            subprocess.run([KEYSLAB, "tune", "--threads", "0", "--alignment", "8", "-o", packed, trace], check=True,
                           capture_output=True)
            rows = outcome("--config", coarse, "--config", tuned, "--config", packed, "-r", "1", trace)["allocators"]
            for row in rows:
                self.assertAlmostEqual(row["predicted"], row["measured"], delta=1e-9)
            self.assertGreater(rows[1]["measured"], rows[0]["measured"])
            self.assertLess(rows[2]["measured"], rows[0]["measured"])
            self.assertLess(rows[3]["measured"], rows[2]["measured"])
            alone = outcome(trace)
            self.assertEqual((alone["predicted"], alone["measured"]), (rows[0]["predicted"], rows[0]["measured"]))
        text = run(self.plain).stdout
        self.assertRegex(text, r"over time: \d+\.\d\d % measured, \d+\.\d\d % predicted\n")

    def test_prediction_is_tunes(self):
        """The same figure as in tune's own report, for one key."""
        report = json.loads(subprocess.run([KEYSLAB, "tune", "--json", "--joint", self.plain], check=True,
                                           capture_output=True, text=True).stdout)
        default = next(table for table in report["keys"][0]["tables"] if table["table"] == "default")
        self.assertAlmostEqual(outcome(self.plain)["predicted"], default["all"]["internal_part"], delta=1e-9)

    def test_bad_config(self):
        path = self.config("[defaults]\nclases = 1\nflush = 0\n")
        for arguments in (("--config", path), ("--compare", f"default,{path}"),
                          ("--peer", "keyslab", "--config", path)):
            result = run(*arguments, self.plain)
            self.assertEqual((result.returncode, result.stdout), (1, ""), arguments)
            self.assertIn(f"{path}:2: [defaults] clases: no such setting", result.stderr)
            self.assertIn(f"{path}:3: [defaults] flush: '0': expected", result.stderr)
        result = run("--config", "/nonexistent/c", self.plain)
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent/c: No such file or directory", result.stderr)

    def test_removed_settings(self):
        """A config with one is used, and the warning comes once, not in every round."""
        path = self.config("[defaults]\nmagazine = 8\nclasses = 4096, 65536\n")
        said = f"keyslab: {path}:2: [defaults] magazine: this setting was removed and has no effect: "
        for arguments in (("--config", path, "--rounds", "2"), ("--compare", f"default,{path}", "--rounds", "2"),
                          ("--peer", "keyslab", "--config", path)):
            for form in ["--json"], []:
                result = run(*form, *arguments, self.resets)
                self.assertEqual(result.returncode, 0, arguments)
                self.assertTrue(result.stderr.startswith(said), result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
                if form:
                    self.assertNotIn("magazine", result.stdout)
                    data = json.loads(result.stdout)
                    classes = (data["allocators"][1] if "allocators" in data else data)["classes"]
                    self.assertIn(4096, [given["size"] for given in classes])
        result = run("--quiet", "--peer", "keyslab", "--config", path, self.resets)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(run("--quiet", "--config", path, self.resets).returncode, 2)
        # Of a file that the environment names nothing is read.
        for arguments in ("--rounds", "2", "--compare", "default,malloc"), ("--peer", "keyslab"), ():
            result = run(*arguments, self.resets, environment={"KEYSLAB_CONF": path})
            self.assertEqual((result.returncode, result.stderr), (0, ""), arguments)

    def test_nothing_is_recorded(self):
        """A config that traces may name the very trace that is replayed: it is left as it is, and so is the time."""
        trace = os.path.join(self.folder.name, "kept.kst")
        shutil.copy(self.resets, trace)
        with open(trace, "rb") as file:
            before = file.read()
        path = self.config(f"[key flows]\ntrace = off\n[defaults]\ntrace = on\ntrace file = {trace}\n"
                           "[key frames]\ntrace = on\nclasses = 4096, 65536\n")
        said = "".join(f"keyslab: {path}:{line}: trace = on is left out: a replay is not recorded\n" for line in (4, 7))
        for arguments in (("--config", path, "--rounds", "2"), ("--peer", "keyslab", "--config", path)):
            result = run(*arguments, trace)
            self.assertEqual((result.returncode, result.stderr), (0, said), arguments)
            with open(trace, "rb") as file:
                self.assertEqual(file.read(), before)
        default, traced = outcome("--config", path, "--rounds", "3", trace)["allocators"]
        self.assertEqual(sum(given["blocks"] for given in default["classes"]),
                         sum(given["blocks"] for given in traced["classes"]))
        # The other settings count.
        self.assertIn(4096, [given["size"] for given in traced["classes"]])
        os.unlink(trace)
        run("--peer", "keyslab", "--config", path, self.resets)
        self.assertFalse(os.path.exists(trace))

    def test_damaged(self):
        with open(self.plain, "rb") as file:
            data = bytearray(file.read())
        data[len(data) // 2] ^= 4
        path = os.path.join(self.folder.name, "damaged.kst")
        with open(path, "wb") as file:
            file.write(data)
        refused = run(path)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("damaged", refused.stderr)
        salvaged = run("--salvage", "--json", path)
        self.assertEqual(salvaged.returncode, 0)
        self.assertGreater(json.loads(salvaged.stdout)["operations"], 200000)

    def test_refused(self):
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("-p", "hoard", self.plain).returncode, 2)
        self.assertEqual(run("--compare", "keyslab", self.plain).returncode, 2)
        self.assertEqual(run("--compare", "keyslab,malloc", "-p", "malloc", self.plain).returncode, 2)
        self.assertEqual(run("-t", "65", self.plain).returncode, 2)
        self.assertEqual(run("--peer", "malloc", "--config", "c", self.plain).returncode, 2)
        self.assertEqual(run("--weigh", self.plain).returncode, 2)
        missing = run("/nonexistent/trace")
        self.assertEqual((missing.returncode, missing.stderr), (1, "keyslab: /nonexistent/trace: No such file or directory\n"))

    def test_library_that_is_not_there(self):
        result = run("--compare", "malloc,libnone.so.9", "--rounds", "1", self.resets)
        self.assertEqual(result.returncode, 1)
        self.assertIn("libnone.so.9: could not be preloaded", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
