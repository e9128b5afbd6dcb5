"""The expert ndpi: as nDPI's own reader counts, with all the library's memory in the expert's key.

    test_ndpi.py KEYSLAB SOURCE-ROOT

KEYSLAB_CAPTURES=FOLDER: further captures, each of which is compared with ndpiReader.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

KEYSLAB, ROOT = sys.argv[1:3]
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
FOLDER = os.environ.get("KEYSLAB_CAPTURES") or os.path.join(ROOT, "..", "shared", "captures")

# The reader counts a frame's bytes in 16 bits; these captures have one frame, which is longer.
WRAPPED = ("tcpdump-bigtcp-ipv6.pcap", "tcpdump-ipv6_jumbogram_1.pcap")

# With several threads each has a detection module of its own, and so the caches in which one flow's addresses help to
# detect another: no capture here is known to need them.


def run(*arguments, **environment):
    return subprocess.run([KEYSLAB, "run", "--json", *arguments], capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, **environment))


def report(*arguments, status=0, **environment):
    result = run("-e", "ndpi", *arguments, **environment)
    assert result.returncode == status, (result.returncode, result.stderr)
    data = json.loads(result.stdout)
    return next(expert for expert in data["experts"] if expert["name"] == "ndpi")


def table(expert):
    return {e["protocol"]: (e["packets"], e["bytes"], e["flows"]) for e in expert["events"]}


def further_captures():
    if not os.path.isdir(FOLDER):
        return []
    return sorted(os.path.join(FOLDER, name) for name in os.listdir(FOLDER) if name.endswith((".pcap", ".pcapng")))


class Reader(unittest.TestCase):
    """ndpiReader reads no compressed files."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.sample = os.path.join(cls.folder.name, "sample.pcap")
        with gzip.open(SAMPLE) as packed, open(cls.sample, "wb") as plain:
            shutil.copyfileobj(packed, plain)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def reader(self, path):
        results = os.path.join(self.folder.name, "results")
        subprocess.run(["ndpiReader", "-q", "-i", path, "-w", results], capture_output=True, check=True, timeout=120)
        with open(results, encoding="utf-8") as file:
            rows = [line.split("\t") for line in file if line.count("\t") == 3 and not line.startswith("\t")]
        return {name: tuple(map(int, counts)) for name, *counts in rows}

    @unittest.skipUnless(shutil.which("ndpiReader"), "ndpiReader is not installed")
    def test_it_counts_what_the_reader_counts(self):
        for path in [self.sample] + further_captures():
            expected = self.reader(path)
            wrapped = os.path.basename(path) in WRAPPED
            for threads in "1", "2", "4":
                with self.subTest(capture=os.path.basename(path), threads=threads):
                    found = table(report("-t", threads, path))
                    if wrapped:
                        found = {name: (packets, octets % 65536, flows) for name, (packets, octets, flows) in found.items()}
                    self.assertEqual(found, expected)

    @unittest.skipUnless(shutil.which("ndpiReader"), "ndpiReader is not installed")
    def test_the_sample_has_something_to_find(self):
        self.assertGreater(len(self.reader(self.sample)), 5)


class Memory(unittest.TestCase):
    def test_a_reset_replaces_the_clean_up(self):
        key = report(SAMPLE)["key"]
        self.assertGreater(key["live"], 10000)
        self.assertEqual((key["live_bytes_after"], key["arena_bytes_after"]), (0, 0))

    def test_the_library_can_clean_up(self):
        for threads in "1", "3":
            expert = report("-t", threads, SAMPLE, KEYSLAB_NDPI_MEMORY="clean")
            key = expert["key"]
            self.assertEqual(key["live"], 0)
            self.assertGreater(key["allocated"], 10000)
            self.assertEqual(key["double_free"] + key["bad_block"] + key["wrong_key"] + key["stale"], 0)
            self.assertEqual(table(expert), table(report(SAMPLE)))

    def test_malloc_is_for_comparison(self):
        expert = report(SAMPLE, KEYSLAB_NDPI_MEMORY="malloc")
        self.assertLess(expert["key"]["allocated"], 1000)
        self.assertEqual(table(expert), table(report(SAMPLE)))

    def test_what_it_does_not_know_is_named(self):
        result = run("-e", "ndpi", SAMPLE, KEYSLAB_NDPI_MEMORY="heap")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("KEYSLAB_NDPI_MEMORY: expected key, clean or malloc", result.stderr)

    def test_two_of_it_do_not_mix_their_memory(self):
        result = run("-e", "ndpi", "-e", "ndpi", "-t", "2", SAMPLE)
        self.assertEqual(result.returncode, 0, result.stderr)
        one, two = json.loads(result.stdout)["experts"]
        self.assertEqual(table(one), table(two))
        for expert in one, two:
            key = expert["key"]
            self.assertEqual(key["bad_block"] + key["wrong_key"] + key["double_free"], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
