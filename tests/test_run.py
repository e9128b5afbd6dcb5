"""`keyslab run` on the sample capture and on broken ones.

    test_run.py KEYSLAB SOURCE-ROOT
"""

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

KEYSLAB, ROOT = sys.argv[1:3]
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
CAPTURES = os.path.join(ROOT, "..", "shared", "captures")
MIB = 1 << 20
# An allocator keeps its books in the resident set too, and a sanitizer multiplies them.
SANITIZED = "asan" in os.path.realpath(KEYSLAB)


def run(*arguments):
    return subprocess.run([KEYSLAB, "run", *arguments], capture_output=True, text=True, timeout=120)


def report(*arguments, status=0):
    result = run("--json", *arguments)
    assert result.returncode == status, (result.returncode, result.stderr)
    return json.loads(result.stdout)


def expert(data, name):
    return next(e for e in data["experts"] if e["name"] == name)


def balance(stats):
    return stats["allocated"] - stats["freed_local"] - stats["freed_remote"] - stats["live"] - stats["dropped"]


class Sample(unittest.TestCase):
    def test_threads_change_nothing(self):
        one = report("-t", "1", SAMPLE)
        self.assertGreaterEqual(one["frames"], 50000)
        self.assertEqual(one["problems"]["count"], 0)
        for threads in ("2", "4"):
            more = report("-t", threads, SAMPLE)
            self.assertEqual((more["frames"], more["bytes"]), (one["frames"], one["bytes"]))
            for name in ("flows", "reassembly"):
                self.assertEqual(expert(more, name)["events"], expert(one, name)["events"])

    def test_flows_account_for_every_frame(self):
        data = report(SAMPLE)
        flows = expert(data, "flows")["events"]
        self.assertEqual(sum(f["packets"] for f in flows), data["frames"])
        self.assertEqual(sum(f["bytes"] for f in flows), data["bytes"])
        self.assertTrue(any(f["vlan"] == 42 for f in flows))
        self.assertTrue(any(f["source"].startswith("[2001:db8::") for f in flows))

    def test_streams_of_the_same_file_are_the_same(self):
        streams = expert(report(SAMPLE), "reassembly")["events"]
        large = [s for s in streams if s["source"] == "192.0.2.2:80" and s["bytes"] > 4000000 and not s["lost"]]
        sums = {(s["bytes"], s["checksum"]) for s in large}
        self.assertGreaterEqual(len(large), 3)
        self.assertLess(len(sums), len(large))
        self.assertGreater(sum(s["out of order"] for s in streams), 100)

    def test_every_block_comes_home(self):
        data = report("-t", "2", SAMPLE)
        for stats in [data["frames_key"]] + [e["key"] for e in data["experts"]]:
            self.assertEqual(balance(stats), 0)
            self.assertEqual(stats["live"], 0)
            self.assertEqual(stats["arena_bytes_after"], 0)
            self.assertEqual(stats["double_free"] + stats["bad_block"] + stats["stale"], 0)
        self.assertGreaterEqual(data["frames_key"]["freed_remote"], data["frames"])
        if not SANITIZED:
            self.assertLess(data["resident"]["after"] - data["resident"]["before"], 4 * MIB)

    def test_a_failed_expert_is_contained(self):
        whole = report(SAMPLE)
        for threads in ("1", "3"):
            data = report("-t", threads, "--fail", "reassembly@40000", SAMPLE, status=3)
            failed = expert(data, "reassembly")
            self.assertTrue(failed["failed"])
            self.assertEqual((failed["failure"]["kind"], failed["failure"]["backtrace"]), ("pretended", []))
            self.assertGreaterEqual(failed["failure"]["frame"], 40000)
            self.assertFalse(expert(data, "flows")["failed"])
            self.assertGreater(failed["recovered_blocks"], 0)
            self.assertGreater(failed["recovered_bytes"], 0)
            self.assertEqual(failed["key"]["live_bytes_after"], 0)
            self.assertEqual(failed["key"]["arena_bytes_after"], 0)
            self.assertEqual(expert(data, "flows")["events"], expert(whole, "flows")["events"])
            for stats in (data["frames_key"], expert(data, "flows")["key"]):
                self.assertEqual((balance(stats), stats["live"]), (0, 0))

    def test_loop_filter_and_count(self):
        once = report("-f", "tcp port 80", "-e", "flows", SAMPLE)
        self.assertTrue(all(f["protocol"] == "tcp" for f in expert(once, "flows")["events"]))
        self.assertEqual([e["name"] for e in once["experts"]], ["flows"])
        self.assertEqual(report("-l", "3", "-f", "tcp port 80", SAMPLE)["frames"], 3 * once["frames"])
        self.assertEqual(report("-c", "1000", SAMPLE)["frames"], 1000)

    def test_text(self):
        result = run("--top", "3", SAMPLE)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stderr, "")
        self.assertIn("flows: flow, the largest 3 of", result.stdout)
        self.assertIn("resident:", result.stdout)

    @unittest.skipUnless(shutil.which("tshark"), "tshark is not installed")
    def test_tshark_agrees(self):
        ours = sorted(
            (sorted((f["source"], f["destination"])), f["packets"], f["packets back"])
            for f in expert(report(SAMPLE), "flows")["events"] if f["protocol"] == "tcp")
        text = subprocess.run(["tshark", "-n", "-q", "-z", "conv,tcp", "-r", SAMPLE], capture_output=True,
                              text=True).stdout
        theirs = []
        for line in text.splitlines():
            match = re.match(r"(\S+):(\d+)\s+<->\s+(\S+):(\d+)\s+(.*)", line)
            if match:
                ends = sorted(("[%s]:%s" if ":" in a else "%s:%s") % (a, p) for a, p in
                              ((match[1], match[2]), (match[3], match[4])))
                counts = re.findall(r"(\d+)\s+[\d,]+(?:\s+(?:bytes|kB|MB))", match[5])
                theirs.append((ends, int(counts[2])))
        self.assertEqual([o[:2] for o in ours], sorted(theirs))


class Broken(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        with gzip.open(SAMPLE) as file:
            self.bytes = file.read(200000)

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name, data):
        path = os.path.join(self.folder.name, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_cut_capture(self):
        result = run("--json", self.path("cut.pcap", self.bytes[:100001]))
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"cut\.pcap: frame \d+: truncated")
        data = json.loads(result.stdout)
        self.assertGreater(data["frames"], 50)
        self.assertIn("frame %d:" % (data["frames"] + 1), result.stderr)

    def test_what_is_decoded_is_in_the_manual(self):
        """Every name of the list that --help prints."""
        listed = run("--help").stdout.split("Decoded, to the innermost flow:\n")[1]
        with open(os.path.join(ROOT, "docs", "man", "keyslab.1"), encoding="utf-8") as file:
            manual = file.read()
        names = set(re.findall(r"[A-Z0-9][A-Za-z0-9.-]*[A-Za-z0-9]", listed))
        self.assertGreater(len(names), 40)
        self.assertEqual({name for name in names if name not in manual}, set())

    def test_no_capture(self):
        for data in (b"", b"hello, this is no capture", os.urandom(10000)):
            result = run(self.path("none", data))
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, r"none: not a capture: ")
            self.assertEqual(result.stdout, "")

    def test_no_such_file(self):
        result = run("/nonexistent/file.pcap")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent/file.pcap: no such file", result.stderr)

    def test_bad_options(self):
        for arguments, text in ((["-t", "0", SAMPLE], "--threads 0"), ([], "no capture named"),
                                (["-f", "nonsense(", SAMPLE], "--filter"), (["--fail", "x", SAMPLE], "NAME@FRAME"),
                                (["--fail", "nobody@1", SAMPLE], "nobody"), (["--nothing"], "nothing"),
                                (["-e", "nobody", SAMPLE], "nobody"), ([SAMPLE, SAMPLE], "more than one")):
            result = run(*arguments)
            self.assertIn(result.returncode, (1, 2))
            self.assertIn(text, result.stderr)
            self.assertEqual(result.stdout, "")

    def test_frames_cut_in_every_header(self):
        """Every frame of the sample's beginning, cut at every length: reported or read, and never past its end."""
        header, offset, frames = self.bytes[:24], 24, []
        for _ in range(60):
            seconds, micros, captured, length = struct.unpack("<IIII", self.bytes[offset:offset + 16])
            frame = self.bytes[offset + 16:offset + 16 + captured]
            for cut in range(min(captured, 90)):
                frames.append(struct.pack("<IIII", seconds, micros, cut, length) + frame[:cut])
            offset += 16 + captured
        path = self.path("cuts.pcap", header + b"".join(frames))
        data = report("-t", "2", path)
        self.assertEqual(data["frames"], len(frames))
        self.assertGreater(data["problems"]["count"], 100)
        self.assertEqual(data["problems"]["first"][0], {"frame": 1, "problem": "Ethernet header is cut"})
        self.assertIn("frame 1: Ethernet header is cut", run(path).stdout)

    def test_lengths_that_lie(self):
        """Every byte of the headers of some frames set to 0 and to 255."""
        header, offset, frames = self.bytes[:24], 24, []
        for _ in range(40):
            record = self.bytes[offset:offset + 16]
            captured = struct.unpack("<IIII", record)[2]
            frame = self.bytes[offset + 16:offset + 16 + captured]
            for place in range(12, min(captured, 80)):
                for value in (0, 255):
                    frames.append(record + frame[:place] + bytes([value]) + frame[place + 1:])
            offset += 16 + captured
        data = report(self.path("lies.pcap", header + b"".join(frames)))
        self.assertEqual(data["frames"], len(frames))
        self.assertGreater(data["problems"]["count"], 50)
        self.assertEqual(sum(f["packets"] for f in expert(data, "flows")["events"]), len(frames))

    def test_other_link_types(self):
        """The same packets under other link headers make the same flows, whose bytes lack what is not there."""
        header, offset, frames, raw = bytearray(self.bytes[:24]), 24, [], []
        while offset + 16 < len(self.bytes) and len(frames) < 100:
            record = self.bytes[offset:offset + 16]
            seconds, micros, captured, length = struct.unpack("<IIII", record)
            frame = self.bytes[offset + 16:offset + 16 + captured]
            offset += 16 + captured
            if frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
                frames.append(record + frame)
                raw.append(struct.pack("<IIII", seconds, micros, captured - 14, length - 14) + frame[14:])
        plain = report(self.path("plain.pcap", bytes(header) + b"".join(frames)))
        header[20:24] = struct.pack("<I", 101)
        other = report(self.path("raw.pcap", bytes(header) + b"".join(raw)))
        flows = expert(plain, "flows")["events"]
        for flow in flows:
            flow["bytes"] -= 14 * flow["packets"]
            flow["bytes back"] -= 14 * flow["packets back"]
        self.assertEqual(sorted(flows, key=str), sorted(expert(other, "flows")["events"], key=str))
        header[20:24] = struct.pack("<I", 147)
        path = self.path("odd.pcap", bytes(header) + b"".join(raw))
        odd = report(path)
        self.assertEqual([(f["protocol"], f["packets"]) for f in expert(odd, "flows")["events"]], [("other", len(raw))])
        self.assertRegex(run(path).stderr, r"odd\.pcap: %d frames of link type 147 " % len(raw))


@unittest.skipUnless(os.path.isdir(CAPTURES), "no captures beside the project")
class Outside(unittest.TestCase):
    def test_every_capture(self):
        for name in sorted(os.listdir(CAPTURES)):
            if ".pcap" not in name:
                continue
            with self.subTest(name):
                one = report(os.path.join(CAPTURES, name))
                two = report("-t", "3", os.path.join(CAPTURES, name))
                self.assertGreater(one["frames"], 0)
                self.assertEqual(expert(one, "flows")["events"], expert(two, "flows")["events"])
                self.assertEqual(expert(one, "reassembly")["events"], expert(two, "reassembly")["events"])
                self.assertEqual(sum(f["packets"] for f in expert(one, "flows")["events"]), one["frames"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
