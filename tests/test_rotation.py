"""`keyslab run --every`: a report for each period, as if the period were a capture of its own.

    test_rotation.py KEYSLAB MAKE-TRACE ODD-EXPERT SOURCE-ROOT
"""

import gzip
import json
import re
import signal
import struct
import time
import unittest

from program import KEYSLAB, SAMPLE, Folder

SECONDS = 3
RECORD = struct.Struct("<IIII")


def lines(done):
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def events(report, name):
    return next(expert["events"] for expert in report["experts"] if expert["name"] == name)


def sample():
    """Its file header, and of each record the time in microseconds and the bytes."""
    with gzip.open(SAMPLE) as file:
        data = file.read()
    records, offset = [], 24
    while offset < len(data):
        seconds, micros, captured, _ = RECORD.unpack_from(data, offset)
        after = offset + RECORD.size + captured
        records.append((seconds * 1000000 + micros, data[offset:after]))
        offset = after
    return data[:24], records


class Rotation(Folder):
    def every(self, seconds, *arguments, status=0):
        done = self.run_it("run", "--json", "--every", seconds, *arguments)
        self.assertEqual(done.returncode, status, done.message)
        return lines(done)

    def split(self):
        """A capture of each period's frames. Time does not step back by the clock that the periods go by."""
        header, records = sample()
        passed, reference, parts = 0, records[0][0], {}
        for moment, record in records:
            passed += max(0, moment - reference)
            reference = max(reference, moment)
            parts.setdefault(passed // (SECONDS * 1000000), []).append(record)
        for number, part in sorted(parts.items()):
            path = self.path("part%d.pcap" % number)
            with open(path, "wb") as file:
                file.write(header + b"".join(part))
            yield path

    def test_a_period_is_as_a_capture_of_its_own(self):
        reports = self.every("%ds" % SECONDS, SAMPLE)
        parts = list(self.split())
        self.assertGreater(len(parts), 5)
        self.assertEqual([report["period"]["number"] for report in reports], list(range(1, len(parts) + 1)))
        for report, part in zip(reports, parts):
            alone = self.report("run", "--json", part)
            self.assertEqual((report["frames"], report["bytes"]), (alone["frames"], alone["bytes"]))
            for name in "flows", "reassembly":
                self.assertEqual(events(report, name), events(alone, name))

    def test_times_are_the_frames(self):
        reports = self.every("3", SAMPLE)
        times = [moment for moment, _ in sample()[1]]
        self.assertAlmostEqual(reports[0]["period"]["from"], min(times) / 1e6, places=5)
        self.assertAlmostEqual(reports[-1]["period"]["to"], max(times) / 1e6, places=5)
        for one, other in zip(reports, reports[1:]):
            self.assertLessEqual(one["period"]["to"], other["period"]["from"])
            self.assertLess(one["period"]["to"] - one["period"]["from"], SECONDS)

    def test_keys_are_reset_and_memory_does_not_grow(self):
        reports = self.every("1s", "-t", "2", SAMPLE)
        self.assertGreater(len(reports), 10)
        for report in reports:
            for key in [report["frames_key"]] + [expert["key"] for expert in report["experts"]]:
                self.assertEqual(key["arena_bytes_after"], 0)
                freed = key["freed_local"] + key["freed_remote"]
                self.assertEqual(key["allocated"] - freed - key["live"] - key["dropped"], 0)
            self.assertEqual(report["frames_key"]["live"], 0)

    def test_a_period_longer_than_the_capture(self):
        whole, = self.every("1h", SAMPLE)
        self.assertEqual(events(whole, "flows"), events(self.report("run", "--json", SAMPLE), "flows"))

    def test_frames_are_counted_and_numbered_on(self):
        reports = self.every("3s", "-c", "40000", SAMPLE)
        self.assertEqual(sum(report["frames"] for report in reports), 40000)
        failing = reports[0]["frames"] + 10
        failed = self.every("3s", "--fail", "reassembly@%d" % failing, SAMPLE, status=3)
        states = [expert["failed"] for report in failed for expert in report["experts"] if expert["name"] == "reassembly"]
        self.assertEqual(states, [False] + (len(states) - 1) * [True])
        for report, whole in zip(failed, self.every("3s", SAMPLE)):
            self.assertEqual(events(report, "flows"), events(whole, "flows"))
        later = next(expert for expert in failed[2]["experts"] if expert["name"] == "reassembly")
        self.assertEqual((later["events"], later["failure"]["frame"]), ([], failing))

    def test_experts_in_processes(self):
        """Which are others in each period."""
        wholes = self.every("3s", SAMPLE)
        failing = wholes[0]["frames"] + 10
        for options, status, restarts in ((), 0, 0), (("--restart", "1", "--fail", "reassembly@%d" % failing), 3, 1):
            with self.subTest(options=options):
                reports = self.every("3s", "--isolate", "-t", "2", *options, SAMPLE, status=status)
                self.assertEqual([report["frames"] for report in reports], [whole["frames"] for whole in wholes])
                for number, (report, whole) in enumerate(zip(reports, wholes)):
                    self.assertEqual(events(report, "flows"), events(whole, "flows"))
                    failed = number > 0 and restarts > 0
                    self.assertEqual([expert["restarts"] for expert in report["experts"]], [0, restarts * failed])
                    if number != 1 or not restarts:
                        self.assertEqual(events(report, "reassembly"), events(whole, "reassembly"))

    def test_text(self):
        done = self.run_it("run", "--every", "3s", "--top", "1", SAMPLE)
        self.assertEqual((done.returncode, done.message), (0, ""))
        heads = re.findall(r"(?m)^period (\d+), (\S+ \S+) to (\S+ \S+) UTC$", done.stdout.decode())
        self.assertEqual([int(number) for number, _, _ in heads], list(range(1, len(heads) + 1)))
        self.assertGreater(len(heads), 5)

    def test_reports_come_when_their_period_is_over(self):
        """Of a pipe that goes on; and a signal ends the run with the last one."""
        header, records = sample()
        process = self.start("run", "--json", "--every", "1s", "-", stdin=-1)
        process.stdin.write(header + b"".join(record for moment, record in records if moment < records[0][0] + 2500000))
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        second = json.loads(process.stdout.readline())
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, err)
        last = json.loads(out)
        self.assertEqual([report["period"]["number"] for report in (first, second, last)], [1, 2, 3])
        self.assertEqual([report["interrupted"] for report in (first, second, last)], [False, False, True])

    def test_a_capture_that_is_cut(self):
        header, records = sample()
        cut = self.path("cut.pcap")
        with open(cut, "wb") as file:
            file.write((header + b"".join(record for _, record in records[:40000]))[:-3])
        reports = self.every("3s", cut, status=1)
        self.assertEqual(sum(report["frames"] for report in reports), 39999)

    def test_what_is_refused(self):
        for text in "0", "5d", "s", "", "-1", "0.01s", "1e3", "inf", "400000h":
            done = self.run_it("run", "--every=" + text, SAMPLE)
            self.assertEqual(done.returncode, 2, text)
            self.assertIn("--every %s: expected a time" % text, done.message)
        for option in ("--loop", "2"), ("--spool",):
            done = self.run_it("run", "--every", "1s", *option, SAMPLE)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--every: not with " + option[0], done.message)


if __name__ == "__main__":
    unittest.main(argv=[KEYSLAB])
