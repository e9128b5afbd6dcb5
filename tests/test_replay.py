"""`keyslab replay`: a trace's operations are all done, by whatever allocator and however many threads.

    test_replay.py KEYSLAB MAKE-TRACE SOURCE-ROOT
"""

import json
import os
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
        # One operation of seventeen is looked at.
        blocks = sum(given["blocks"] for given in done["classes"])
        self.assertAlmostEqual(blocks, 150000 / 17, delta=150000 / 170)

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
        rows = [line.split()[0] for line in result.stdout.splitlines()[-2:]]
        self.assertEqual(rows, ["keyslab", "malloc"])
        data = outcome("--compare", "malloc,keyslab", "--rounds", "2", self.resets)["allocators"]
        self.assertEqual([row["allocator"] for row in data], ["malloc", "keyslab"])
        self.assertEqual([len(row["rounds"]) for row in data], [2, 2])

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
        missing = run("/nonexistent/trace")
        self.assertEqual((missing.returncode, missing.stderr), (1, "keyslab: /nonexistent/trace: No such file or directory\n"))

    def test_library_that_is_not_there(self):
        result = run("--compare", "malloc,libnone.so.9", "--rounds", "1", self.resets)
        self.assertEqual(result.returncode, 1)
        self.assertIn("libnone.so.9: could not be preloaded", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
