"""`keyslab run` and `keyslab tune` on captures of every form: what is read of whole, cut and damaged ones.

    test_captures.py KEYSLAB SOURCE-ROOT
"""

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

from capture_files import ETHERNET, KUZNETZOV, NANOSECONDS, Pcap, Pcapng, RAW, option, zstd, zstd_skipped
from frames import UDP, ethernet, ipv4, udp as udp_datagram

KEYSLAB, ROOT = map(os.path.abspath, sys.argv[1:3])


def udp(port=1000, size=50):
    """A frame with a UDP datagram of `size` bytes from 192.0.2.1 and `port` to 192.0.2.2:53."""
    return ethernet(ipv4("192.0.2.1", "192.0.2.2", UDP, udp_datagram((port, 53), bytes(size))))


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, data, name="a.pcap"):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data.data if hasattr(data, "data") else data)
        return path

    def keyslab(self, *arguments, stdin=None):
        return subprocess.run([KEYSLAB, *arguments], capture_output=True, timeout=60, input=stdin)

    def run_report(self, data, *options, status=0, message=None, name="a.pcap"):
        """The report of `run` on a file; of a good one nothing is said."""
        path = self.write(data, name)
        result = self.keyslab("run", "--json", "-e", "flows", *options, path)
        error = result.stderr.decode()
        self.assertEqual(result.returncode, status, error)
        if message:
            self.assertRegex(error, message)
            self.assertIn("keyslab: " + path + ": ", error)
        else:
            self.assertEqual(error, "")
        return json.loads(result.stdout)

    def tune_frames(self, data, status=0, message=None, name="a.pcap"):
        path = self.write(data, name)
        result = self.keyslab("tune", "--json", path)
        error = result.stderr.decode()
        self.assertEqual(result.returncode, status, error)
        self.assertRegex(error, message or "^$")
        source = json.loads(result.stdout)["sources"][0]
        self.assertEqual(source["whole"], status == 0)
        return source["frames"]

    def refused(self, data, message, name="a.pcap"):
        """Neither reads it, and both say why."""
        path = self.write(data, name)
        for command in "run", "tune":
            result = self.keyslab(command, path)
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertRegex(result.stderr.decode(), message)
            self.assertIn(path, result.stderr.decode())

    def counts(self, report):
        return report["frames"], report["bytes"], report["problems"]["count"]

    def flows(self, report):
        return report["experts"][0]["events"]


FRAME = udp()
SIZE = len(FRAME)


class Classic(Base):
    def test_byte_orders_and_magics(self):
        for order in "<>":
            for magic, fraction in ((0xA1B2C3D4, 250000), (NANOSECONDS, 250000999), (KUZNETZOV, 250000)):
                with self.subTest(order=order, magic=hex(magic)):
                    file = Pcap(order, magic).record(FRAME, 10, 0).record(FRAME, 12, fraction)
                    report = self.run_report(file)
                    self.assertEqual(self.counts(report), (2, 2 * SIZE, 0))
                    self.assertEqual([f["seconds"] for f in self.flows(report)], [2.25])

    def test_times_fill_32_bits(self):
        for first in 0x7FFFFFFF, 0xFFFFFFFE:
            report = self.run_report(Pcap().record(FRAME, first, 999999).record(FRAME, first + 1, 999999))
            self.assertEqual([f["seconds"] for f in self.flows(report)], [1])

    def test_lengths_changed_places(self):
        """Before version 2.3, and with it perhaps, the length on the wire comes first."""
        for version, first, second in (((2, 2), 200, SIZE), ((543, 0), 200, SIZE), ((2, 3), 200, SIZE), ((2, 3), SIZE, 200),
                                       ((2, 4), SIZE, 200)):
            with self.subTest(version=version):
                file = Pcap(version=version).record(FRAME, captured=first, length=second).record(b"")
                self.assertEqual(self.counts(self.run_report(file)), (2, 200, 1))

    def test_versions(self):
        for version in (1, 4), (2, 5), (3, 0), (543, 1):
            self.refused(Pcap(version=version), "pcap version %d.%d" % version)

    def test_link_field(self):
        """The length of a check sequence, in the upper bits, is no part of the link type."""
        self.assertEqual(self.counts(self.run_report(Pcap(link=0x24000001).record(FRAME))), (1, SIZE, 0))
        self.refused(Pcap(link=0x00010001), "no link type 0x00010001")

    def test_odd_lengths(self):
        """No bytes, none captured, more than the snapshot length, more than the frame had; a large one."""
        large = udp(size=65000) + bytes(600000)
        file = Pcap(snap=60).record(b"", length=0).record(b"", length=90).record(FRAME).record(FRAME + bytes(40), length=SIZE)
        report = self.run_report(file.record(large))
        self.assertEqual((report["frames"], report["bytes"]), (5, 90 + 2 * SIZE + len(large)))
        self.assertEqual(self.counts(self.run_report(Pcap(snap=0).record(FRAME))), (1, SIZE, 0))

    def test_absurd_length(self):
        for captured in 0x7FFFFFFF, 0xFFFFFFFF, 0x00200000:
            file = Pcap().record(FRAME).record(FRAME, captured=captured)
            message = "frame 2: the record at offset %d is damaged: %d bytes" % (24 + 16 + SIZE, captured)
            self.assertEqual(self.run_report(file, status=1, message=message)["frames"], 1)
            self.assertEqual(self.tune_frames(file, status=1, message=message), 1)

    def test_cut_at_every_byte(self):
        whole = Pcap().record(FRAME).record(FRAME).data
        for length in range(1, 24):
            self.refused(whole[:length], "not a capture")
        record = 16 + SIZE
        for length in range(24, len(whole)):
            if (length - 24) % record in (0, 1, 8, 15, 16, 17, record - 1):
                frames = (length - 24) // record
                good = (length - 24) % record == 0
                expected = {} if good else {"status": 1, "message": "frame %d: truncated" % (frames + 1)}
                self.assertEqual(self.run_report(whole[:length], **expected)["frames"], frames)

    def test_tune_reports_what_came_before(self):
        whole = Pcap().record(FRAME).record(FRAME).data
        self.assertEqual(self.tune_frames(whole), 2)
        self.assertEqual(self.tune_frames(whole[:-1], status=1, message="frame 2: truncated"), 1)


class Blocks(Base):
    def test_interfaces(self):
        """Each has its link type, its snapshot length, its clock; names do not matter."""
        for order in "<>":
            file = Pcapng(order).interface(snap=64).interface(link=RAW, snap=96, options=[(2, b"eth1"), (9, b"\x09")])
            file.packet(FRAME, ticks=1000000).packet(FRAME[14:], interface=1, ticks=3500000000, length=1000)
            report = self.run_report(file)
            self.assertEqual(self.counts(report), (2, SIZE + 1000, 0))
            self.assertEqual([f["seconds"] for f in self.flows(report)], [2.5])
            self.assertEqual(self.tune_frames(file), 2)
            self.assertEqual(self.run_report(file, "--loop", "3")["frames"], 6)

    def test_resolutions(self):
        """Two seconds pass in ticks of each interface; the finest have no room for more."""
        for code, ticks in ((0, 2), (3, 2000), (6, 2000000), (9, 2 * 10**9), (12, 2 * 10**12), (18, 2 * 10**18),
                            (0x80, 2), (0x80 + 10, 2 << 10), (0x80 + 44, 2 << 44), (0x80 + 62, 2 << 62)):
            with self.subTest(code=code):
                file = Pcapng().interface(options=[(9, bytes([code]))]).packet(FRAME).packet(FRAME, ticks=ticks)
                self.assertEqual([f["seconds"] for f in self.flows(self.run_report(file))], [2])

    def test_resolutions_that_overflow(self):
        """Whole seconds that 64 bits of microseconds do not hold, and ticks of nothing: flows of no less than 0 s."""
        for code in 0, 19, 38, 127, 0x80, 0x80 + 64, 0xFF:
            with self.subTest(code=code):
                file = Pcapng().interface(options=[(9, bytes([code])), (14, struct.pack("<q", -2**63))])
                file.interface(options=[(9, bytes([code])), (14, struct.pack("<q", 2**63 - 1))])
                file.packet(FRAME, ticks=2**64 - 1).packet(FRAME, interface=1, ticks=2**64 - 1)
                self.assertTrue(all(f["seconds"] >= 0 for f in self.flows(self.run_report(file))))

    def test_time_offset(self):
        for order in "<>":
            file = Pcapng(order).interface(options=[(14, struct.pack(order + "q", -3600))]).interface()
            file.packet(FRAME, ticks=3601 * 1000000).packet(FRAME, interface=1, ticks=2000000)
            self.assertEqual([f["seconds"] for f in self.flows(self.run_report(file))], [1])

    def test_options(self):
        """Of any length, also such as stand for others with another one; with and without an end."""
        options = [(1, b"odd"), (2, b"e"), (9, b"\x03\x03"), (14, b"\1\2\3"), (2988, bytes(7)), (0x8000, b"12345")]
        file = Pcapng().interface(options=options).packet(FRAME, ticks=5, options=option("<", 1, b"why") + option("<", 0, b""))
        file.block(1, struct.pack("<HHI", ETHERNET, 0, 0) + option("<", 2, b"no end")).packet(FRAME, interface=1, ticks=5)
        self.assertEqual(self.counts(self.run_report(file)), (2, 2 * SIZE, 0))
        long = Pcapng().block(1, struct.pack("<HHI", ETHERNET, 0, 0) + struct.pack("<HH", 2, 5) + b"abcd")
        self.run_report(long, status=1, message="frame 1: the block at offset 28 is damaged: an option is longer")

    def test_sections(self):
        """Interfaces are numbered anew; the other byte order, and a length that is given."""
        file = Pcapng().interface(snap=60).packet(FRAME)
        file.section(">", length=1000).interface(link=RAW).packet(FRAME[14:])
        file.section("<").section("<").interface().packet(FRAME)
        report = self.run_report(file)
        self.assertEqual(self.counts(report), (3, 3 * SIZE - 14, 0))
        file.section(">").packet(FRAME)
        self.run_report(file, status=1, message="frame 4: the block at offset .* its interface is number 0, and its section has 0")

    def test_kinds_of_packets(self):
        file = Pcapng().interface(snap=70).packet(FRAME, ticks=9).old_packet(FRAME, ticks=9).simple_packet(FRAME[:70], length=SIZE)
        file.simple_packet(udp(size=8))
        report = self.run_report(file)
        self.assertEqual(self.counts(report)[:2], (4, 3 * SIZE + 50))
        self.assertEqual(sum(f["seconds"] for f in self.flows(report)), 0)

    def test_other_blocks_are_skipped(self):
        """Names, statistics, secrets, custom ones, unknown ones, empty ones."""
        file = Pcapng().interface()
        for kind in 4, 5, 10, 0xBAD, 0x40000BAD, 7, 0x80000001, 0xFFFFFFFF:
            file.block(kind, b"").block(kind, bytes(range(64))).packet(FRAME)
        self.assertEqual(self.counts(self.run_report(file)), (8, 8 * SIZE, 0))
        self.assertEqual(self.run_report(Pcapng())["frames"], 0)

    def test_padding_that_does_not_count(self):
        """Some programs leave the padding out of the length."""
        file = Pcapng().interface()
        frame = udp(size=49)
        total = 12 + 20 + len(frame)
        file.packet(frame, first=total, last=total).packet(FRAME)
        self.assertEqual(self.counts(self.run_report(file)), (2, len(frame) + SIZE, 0))

    def test_damaged(self):
        start = Pcapng().interface().packet(FRAME).data
        at = len(start)

        def broken(more, message):
            file = Pcapng()
            file.data = start
            more(file)
            message = r"frame 2: the (block|section) at offset %d " % at + message
            self.assertEqual(self.run_report(file, status=1, message=message)["frames"], 1)
            self.assertEqual(self.tune_frames(file, status=1, message=message), 1)

        broken(lambda f: f.packet(FRAME, interface=1), "is damaged: its interface is number 1, and its section has 1")
        broken(lambda f: f.packet(FRAME, last=96), "is damaged: its length is 124 bytes at its beginning and 96 at its end")
        broken(lambda f: f.packet(FRAME, first=8), "is damaged: its length is 8 bytes")
        broken(lambda f: f.packet(FRAME, first=0), "is damaged: its length is 0 bytes")
        broken(lambda f: f.block(0xBAD, b"", first=0xFFFFFFF0), "is damaged: its length is 4294967280 bytes")
        broken(lambda f: f.packet(FRAME, captured=200), "is damaged: 200 bytes captured, in a block of 124")
        broken(lambda f: f.packet(FRAME, captured=0xFFFFFFFF), "is damaged: 4294967295 bytes captured")
        broken(lambda f: f.block(6, bytes(12)), "is damaged: it is too short")
        broken(lambda f: f.block(1, bytes(4)), "is damaged: it is too short")
        broken(lambda f: f.section(magic=0x1A2B3C4E), "is damaged: its byte-order magic is 0x1a2b3c4e")
        broken(lambda f: f.section(version=(2, 0)), "has version 2.0")
        broken(lambda f: f.block(0x0A0D0D0A, bytes(16), first=20), "is damaged")

    def test_cut_at_every_byte(self):
        whole = Pcapng().interface().packet(FRAME).packet(FRAME).data
        first = len(Pcapng().interface().data)
        block = (len(whole) - first) // 2
        for length in range(1, 28):
            self.refused(whole[:length], "not a capture")
        for length in (28, 29, 40, first - 1, *(first + n * block + i for n in (0, 1) for i in (0, 1, 7, 8, 27, 28, 60, block - 4, block - 1))):
            frames = max(0, (length - first) // block)
            expected = {"status": 1, "message": r"frame %d: the block at offset \d+ is truncated" % (frames + 1)}
            expected = expected if length != 28 and (length < first or (length - first) % block) else {}
            self.assertEqual(self.run_report(whole[:length], **expected)["frames"], frames)


class Links(Base):
    def test_unknown_link_types_count_as_other(self):
        """In a file with others, or alone: the frames are there, and what they are is said."""
        usb = bytes(range(64))
        file = Pcapng().interface().interface(link=189).packet(FRAME).packet(usb, interface=1).packet(usb, interface=1)
        report = self.run_report(file, message=r"2 frames of link type 189 \(USB_LINUX\), which is not decoded")
        self.assertEqual(self.counts(report), (3, SIZE + 128, 0))
        self.assertEqual([(f["protocol"], f["packets"]) for f in self.flows(report)], [("other", 2), ("udp", 1)])
        report = self.run_report(Pcap(link=147).record(usb), message=r"1 frames of link type 147 \(.*\)")
        self.assertEqual(self.counts(report), (1, 64, 0))
        self.assertEqual(self.tune_frames(Pcap(link=147).record(usb)), 1)

    def test_filters_go_for_every_link_type(self):
        file = Pcapng().interface().interface(link=RAW).interface(link=228).interface(link=189)
        file.packet(FRAME).packet(FRAME[14:], interface=1).packet(FRAME[14:], interface=2)
        for pattern, frames in (("udp port 53", 3), ("ip6", 0), ("ether proto 0x800", 3), ("greater 100", 0), ("port 54", 0)):
            with self.subTest(pattern):
                self.assertEqual(self.run_report(file, "-f", pattern)["frames"], frames)
        file.packet(bytes(200), interface=3)
        self.assertEqual(self.run_report(file, "-f", "udp")["frames"], 3)
        self.assertEqual(self.run_report(file, "-f", "greater 100", message="link type 189")["frames"], 1)

    def test_bad_filters(self):
        for file in Pcap().record(FRAME), Pcapng().interface().interface(link=RAW).packet(FRAME), Pcapng():
            result = self.keyslab("run", "-f", "nonsense(", self.write(file))
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertIn(b"--filter 'nonsense(': ", result.stderr)


class Compressed(Base):
    """300 frames of different contents, so that there is something to cut."""

    def setUp(self):
        super().setUp()
        file = Pcap()
        for i in range(300):
            file.record(udp(1000 + i, 50)[:-8] + struct.pack("<Q", i * 0x9E3779B97F4A7C15 % 2**64), i)
        self.plain = file.data
        self.gzip = gzip.compress(self.plain, mtime=0)

    def both(self, data, frames=None, **expected):
        report = self.run_report(data, **expected)
        self.assertEqual(self.tune_frames(data, **expected), report["frames"])
        if frames is not None:
            self.assertEqual(report["frames"], frames)
        return report["frames"]

    def test_whole(self):
        """By its contents, whatever it is called; members and blocks of nothing; zeros of a tape."""
        half = 24 + 150 * (16 + SIZE)
        nothing = gzip.compress(b"")
        for data in (self.plain, self.gzip, gzip.compress(self.plain[:half]) + gzip.compress(self.plain[half:]),
                     nothing + self.gzip + nothing, gzip.compress(self.plain[:1000], 0) + gzip.compress(self.plain[1000:], 9),
                     self.gzip + bytes(512)):
            self.both(data, 300, name="a.zst")
            self.both(data, 300, name="a.gz")

    def test_header_fields(self):
        """A name, a comment, extra bytes, and a checksum of them, which may be wrong."""
        rest = self.gzip[10:]
        header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x03\0abcname\0why\0"
        good = struct.pack("<H", zlib.crc32(header) & 0xFFFF)
        self.both(header + good + rest, 300)
        self.refused(header + b"??" + rest, "gzip data is damaged")

    def test_cut_at_every_byte(self):
        """Also in the header and the trailer: an error, and never more frames than there were."""
        size = len(self.gzip)
        before = 0
        for length in (1, 2, 3, 9, 10, 11, 12):
            self.refused(self.gzip[:length], "gzip data is cut short at byte %d of the file" % length)
        for length in (size // 3, size // 2, size - 9, size - 8, size - 7, size - 4, size - 1):
            frames = self.both(self.gzip[:length], status=1, message=r"behind frame \d+: the gzip data is cut short at byte %d of" % length)
            self.assertGreaterEqual(frames, before)
            before = frames
        self.assertEqual(before, 300)

    def test_second_member_cut(self):
        half = 24 + 150 * (16 + SIZE)
        first, second = gzip.compress(self.plain[:half]), gzip.compress(self.plain[half:])
        for length in 1, 2, 5, 10, len(second) // 2, len(second) - 8, len(second) - 1:
            frames = self.both(first + second[:length], status=1, message="gzip data is cut short at byte %d" % (len(first) + length))
            self.assertGreaterEqual(frames, 150)

    def test_damaged(self):
        def flip(at, bit=1):
            return self.gzip[:at] + bytes([self.gzip[at] ^ bit]) + self.gzip[at + 1:]

        size = len(self.gzip)
        self.both(flip(size - 6), 300, status=1, message="gzip data is damaged before byte .*: its checksum is wrong")
        self.both(flip(size - 2), 300, status=1, message="gzip data is damaged before byte .*: its length is wrong")
        for at in range(size // 2, size, size // 24):
            self.both(flip(at, 0x10), status=1, message="gzip data is (damaged|cut short)|gzip data, .* something else")

    def test_something_else_behind(self):
        """It may be a member that is damaged: what came before counts, but all is not well."""
        for more in (b"garbage", b"\x1f\x8c" + self.gzip[2:], bytes(10) + b"x"):
            self.both(self.gzip + more, 300, status=1, message="behind the gzip data, from byte .*, is something else")

    def test_text_cut_where_a_line_ends(self):
        text = b"".join(b"1: malloc 0x%x 64\n" % (i * 64 + 64) for i in range(5000))
        for data, good in ((gzip.compress(text), True), (gzip.compress(text)[:-8], False), (gzip.compress(text)[:-20], False)):
            path = self.write(data, "replay.txt.gz")
            result = self.keyslab("tune", "--json", path)
            self.assertEqual(result.returncode, 0 if good else 1)
            source = json.loads(result.stdout)["sources"][0]
            self.assertEqual((source["kind"], source["whole"]), ("memory_replay trace", good))
            if not good:
                self.assertRegex(result.stderr.decode(), r"replay.txt.gz: behind line %d: the gzip data is cut short" % source["lines"])
        result = self.keyslab("tune", self.write(gzip.compress(b'{"64": 3}')[:-3], "h.json.gz"))
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"h.json.gz: the gzip data is cut short", result.stderr)

    def test_zstd(self):
        data = zstd(self.plain)
        if b"this build does not read" in self.keyslab("run", self.write(data)).stderr:
            self.skipTest("built without zstd")
        half = 24 + 150 * (16 + SIZE)
        self.both(data, 300)
        self.both(zstd_skipped(b"seek table") + zstd(self.plain[:half]) + zstd(b"") + zstd_skipped(b"") + zstd(self.plain[half:]), 300)
        for length in 2, 3, 4, 5:
            self.refused(data[:length], "zstd data is cut short at byte %d of the file" % length)
        two = zstd(self.plain[:half]) + zstd(self.plain[half:])
        first = len(zstd(self.plain[:half]))
        for length in first + 2, first + 8, len(two) - 1:
            self.both(two[:length], status=1, message="zstd data is cut short at byte %d of the file" % length)
        self.both(zstd(self.plain, checksum=b"none"), 300, status=1, message="zstd data is damaged .*: its checksum is wrong")
        self.both(data + b"garbage", 300, status=1, message="behind the zstd data, from byte .*, is something else")

    def test_others_are_named(self):
        for magic, name in ((b"\xfd7zXZ\0", "xz"), (b"BZh91AY", "bzip2"), (b"\x04\x22\x4d\x18", "lz4"), (b"PK\x03\x04", "zip")):
            self.refused(magic + bytes(100), "compressed with %s, which is not read" % name)


class Sources(Base):
    """Standard input, pipes, and what is no file to be read."""

    def setUp(self):
        super().setUp()
        self.capture = Pcapng().interface().packet(FRAME).packet(FRAME).data

    def fifo(self, command, data):
        path = os.path.join(self.folder, "fifo")
        os.mkfifo(path)
        process = subprocess.Popen([KEYSLAB, command, "--json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with open(path, "wb") as file:
            file.write(data)
        output, error = process.communicate(timeout=60)
        os.unlink(path)
        return process.returncode, json.loads(output), error.decode()

    def test_standard_input_and_fifo(self):
        for data in self.capture, gzip.compress(self.capture):
            for command in "run", "tune":
                result = self.keyslab(command, "--json", "-", stdin=data)
                self.assertEqual((result.returncode, result.stderr), (0, b""))
                for report in json.loads(result.stdout), self.fifo(command, data)[1]:
                    self.assertEqual(report["frames"] if command == "run" else report["sources"][0]["frames"], 2)
            self.assertEqual(json.loads(self.keyslab("run", "--json", "-l", "3", "-", stdin=data).stdout)["frames"], 6)

    def test_cut_standard_input(self):
        for command in "run", "tune":
            result = self.keyslab(command, "--json", "-", stdin=gzip.compress(self.capture)[:-4])
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, b"^keyslab: standard input: behind frame 2: the gzip data is cut short")
            self.assertTrue(json.loads(result.stdout))

    def test_what_tune_reads_twice(self):
        """Text, whose lines are counted first, and a trace, which is read in any order."""
        text = b"1: malloc 0x10 64\n1: malloc 0x20 100\n1: free 0x10\n"
        for data in text, gzip.compress(text):
            self.assertEqual(json.loads(self.keyslab("tune", "--json", "-", stdin=data).stdout)["sources"][0]["lines"], 3)
            self.assertEqual(self.fifo("tune", data)[1]["sources"][0]["lines"], 3)
        self.assertEqual(self.fifo("tune", gzip.compress(text)[:-1])[0], 1)
        trace = os.path.join(self.folder, "t.kst")
        self.assertEqual(self.keyslab("run", "--trace", trace, os.path.join(ROOT, "tools", "sample.pcap.gz"), "-c", "500").returncode, 0)
        with open(trace, "rb") as file:
            data = file.read()
        with open(trace, "rb") as file:
            direct = subprocess.run([KEYSLAB, "tune", "--json", "-"], stdin=file, capture_output=True, timeout=60)
        for output in direct.stdout, self.keyslab("tune", "--json", "-", stdin=data).stdout:
            self.assertGreater(json.loads(output)["sources"][0]["events"], 1000)
        result = self.keyslab("tune", "--json", "--search=slab", "--search-seconds", "1", "-", stdin=data)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertIn("search", json.loads(result.stdout))
        result = self.keyslab("tune", self.write(gzip.compress(data), "t.kst.gz"))
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"a compressed trace is not read", result.stderr)

    def test_interrupted_while_it_waits(self):
        """A pipe of which nothing more comes: the report of what came, and no word of a truncated frame."""
        for more in b"", self.capture[-70:-30]:
            for number in signal.SIGINT, signal.SIGTERM:
                process = subprocess.Popen([KEYSLAB, "run", "--json", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                process.stdin.write(self.capture + self.capture + more)
                process.stdin.flush()
                time.sleep(0.5)
                process.send_signal(number)
                output, error = process.stdout.read(), process.stderr.read()
                process.stdin.close()
                self.assertEqual((process.wait(timeout=10), error), (128 + number, b"keyslab: standard input: interrupted: the report is of 4 frames\n"))
                self.assertEqual(json.loads(output)["frames"], 4)
                process.stdout.close()
                process.stderr.close()

    def test_no_files(self):
        self.refused(b"", "not a capture: the file is empty")
        for command in "run", "tune":
            result = self.keyslab(command, self.folder)
            self.assertEqual((result.returncode, result.stderr.decode()), (1, "keyslab: %s: Is a directory\n" % self.folder))
        result = self.keyslab("run", os.path.join(self.folder, "none.pcap"))
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertIn(b"none.pcap: no such file\n", result.stderr)
        if os.getuid():
            path = self.write(self.capture)
            os.chmod(path, 0)
            for command in "run", "tune":
                self.assertIn(b"a.pcap: Permission denied", self.keyslab(command, path).stderr)

    def test_named_like_an_interface(self):
        self.write(b"no capture at all", "lo")
        result = subprocess.run([KEYSLAB, "run", "lo"], cwd=self.folder, capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"lo: not a capture: ", result.stderr)
        self.assertIn(b"the file hides the interface of that name", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
