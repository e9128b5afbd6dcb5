"""The experts dns, tls and tcp-health against tshark, on the sample and on captures made here.

    test_experts.py KEYSLAB SOURCE-ROOT

Captures in a folder that KEYSLAB_CAPTURES names are compared too.
"""

import collections
import gzip
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

import frames
import talks
import tshark
from frames import ACK, PSH
from talks import A, AAAA, CLIENT, NS, NXDOMAIN, SERVER, SERVFAIL, TXT

KEYSLAB, ROOT = sys.argv[1:3]
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
HAS_TLS = os.path.exists(os.path.join(os.path.dirname(KEYSLAB), "experts", "tls.so"))
NEEDS_TSHARK = unittest.skipUnless(shutil.which("tshark"), "tshark is not installed")
NEEDS_TLS = unittest.skipUnless(HAS_TLS, "built without libmd")
HEALTH = ("segments", "bytes", "retransmissions", "out of order", "duplicate acks", "zero windows")
EXPERTS = ("connects", "dns", "tcp-health") + (("tls",) if HAS_TLS else ())


def events(path, expert, *options):
    return frames.events(frames.report(KEYSLAB, path, "-e", expert, *options), expert)


# An IPv6 packet longer than its header can say, which tshark does not read.
BEYOND_TSHARK = {"tcpdump-bigtcp-ipv6.pcap"}


def captures():
    folder = os.environ.get("KEYSLAB_CAPTURES")
    names = [name for name in sorted(os.listdir(folder)) if ".pcap" in name] if folder else []
    return [SAMPLE] + [os.path.join(folder, name) for name in names if name not in BEYOND_TSHARK]


# ------------------------------------------------------------------ what our experts say, in tshark's order


def dns(path):
    queries, responses, times = collections.Counter(), collections.Counter(), []
    for row in events(path, "dns"):
        asked = (row["name"], row["type"])
        queries[asked] += row["queries"]
        responses[asked + (row["result"],)] += row["responses"]
        if row["queries"] and row["responses"]:
            times.append(row["ms"])
    return +queries, +responses, sorted(times)


def tls(path):
    return {(row["client"], row["server"]): (row["name"], row["offered alpn"], row["ja4"], row["version"], row["cipher"])
            for row in events(path, "tls")}


def health(path):
    counts = collections.defaultdict(lambda: [0] * 6)
    for row in events(path, "tcp-health"):
        for i, column in enumerate(HEALTH):
            counts[row["source"], row["destination"]][i] += row[column]
    return {key: tuple(value) for key, value in counts.items()}


class Made(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, made, name="made.pcap", **how):
        path = os.path.join(self.folder.name, name)
        frames.write_pcap(path, sorted(made, key=lambda frame: frame[0]), **how)
        return path

    def agree(self, path):
        """All experts with tshark, and with themselves beside the others, in any number of threads."""
        queries, responses, times = dns(path)
        asked, answered, theirs = tshark.dns(path)
        self.assertEqual((queries, responses), (asked, answered))
        self.assertEqual(len(times), len(theirs))
        self.assertLess(max((abs(a - b) for a, b in zip(times, theirs)), default=0), 0.0011)
        self.assertEqual(health(path), tshark.health(path))
        if HAS_TLS:
            self.assertEqual(tls(path), tshark.tls(path))
        every = EXPERTS + ("flows", "reassembly")
        alone = {expert: events(path, expert) for expert in every}
        options = [option for expert in every for option in ("-e", expert)]
        for threads in ("1", "2", "4"):
            report = frames.report(KEYSLAB, path, *options, "-t", threads)
            self.assertEqual({expert: frames.events(report, expert) for expert in every}, alone)


@NEEDS_TSHARK
class Captures(Made):
    def test_tshark_agrees(self):
        for path in captures():
            with self.subTest(os.path.basename(path)):
                self.agree(path)

    def test_round_trips(self):
        """Of streams in which nothing was sent again: there the two may take different times for the first."""
        compared = 0
        for path in captures():
            theirs = tshark.round_trips(path)
            rows = collections.defaultdict(list)
            for row in events(path, "tcp-health"):
                rows[row["source"], row["destination"]].append(row)
            for key, (least, most) in theirs.items():
                if len(rows[key]) == 1 and not rows[key][0]["retransmissions"]:
                    self.assertAlmostEqual(rows[key][0]["least rtt ms"], least, delta=0.0011)
                    self.assertAlmostEqual(rows[key][0]["most rtt ms"], most, delta=0.0011)
                    compared += 1
        self.assertGreater(compared, 100)


class Dns(Made):
    def exchange(self, time, port, asked, *answers, source=CLIENT):
        """A query, and answers a millisecond apart."""
        made = [(time, talks.datagram(source, SERVER, (port, 53), asked))]
        for i, answer in enumerate(answers):
            made.append((time + 0.001 * (i + 1), talks.datagram(SERVER, source, (53, port), answer)))
        return made

    def various(self):
        address = talks.record(A, bytes([192, 0, 2, 1]))
        made = []
        made += self.exchange(0, 1001, talks.query(1, "a.example", A), talks.response(1, "a.example", A, records=[address]))
        made += self.exchange(1, 1002, talks.query(2, "none.example", AAAA), talks.response(2, "none.example", AAAA, NXDOMAIN))
        made += self.exchange(2, 1003, talks.query(3, "broken.example", TXT), talks.response(3, "broken.example", TXT, SERVFAIL))
        made += self.exchange(3, 1004, talks.query(4, "silent.example", A))
        made += self.exchange(4, 1005, talks.query(5, "", NS), talks.response(5, "", NS))
        made += self.exchange(5, 1006, talks.query(6, "odd.example", 4711), talks.response(6, "odd.example", 4711, 5))
        long = talks.Connection((1007, 53), 6, size=7)
        long.say(0, talks.framed(talks.query(7, "one.example", A), talks.query(8, "two.example", AAAA)))
        long.say(1, talks.framed(talks.response(8, "two.example", AAAA), talks.response(7, "one.example", A, NXDOMAIN)))
        return made + long.close()

    @NEEDS_TSHARK
    def test_tshark_agrees(self):
        self.agree(self.write(self.various()))

    def test_results(self):
        rows = {row["name"]: row for row in events(self.write(self.various()), "dns")}
        results = {name: row["result"] for name, row in rows.items()}
        self.assertEqual(results, {"a.example": "NOERROR", "none.example": "NXDOMAIN", "broken.example": "SERVFAIL",
                                   "silent.example": "unanswered", "": "NOERROR", "odd.example": "REFUSED",
                                   "one.example": "NXDOMAIN", "two.example": "NOERROR"})
        self.assertEqual(rows["odd.example"]["type"], "TYPE4711")
        self.assertEqual(rows["a.example"]["ms"], 1)
        self.assertEqual(rows["silent.example"]["ms"], 0)

    def test_asked_again(self):
        asked = talks.query(9, "slow.example", A)
        answer = talks.response(9, "slow.example", A)
        made = self.exchange(0, 2000, asked) + self.exchange(1, 2000, asked, answer, answer)
        row, = events(self.write(made), "dns")
        self.assertEqual((row["queries"], row["responses"], row["ms"]), (2, 2, 1001))

    def test_identifier_used_again(self):
        made = []
        for i, text in enumerate(("a.example", "b.example", "b.example")):
            made += self.exchange(i, 2000, talks.query(9, text, A), talks.response(9, text, A))
        rows = events(self.write(made), "dns")
        self.assertEqual(sorted((r["name"], r["queries"], r["responses"]) for r in rows),
                         [("a.example", 1, 1), ("b.example", 1, 1), ("b.example", 1, 1)])

    def test_answers_that_nobody_asked_for(self):
        made = self.exchange(0, 2000, talks.query(9, "asked.example", A), talks.response(9, "forged.example", A),
                             talks.response(10, "asked.example", A))
        rows = {(r["name"], r["queries"], r["responses"], r["result"]) for r in events(self.write(made), "dns")}
        self.assertEqual(rows, {("asked.example", 1, 0, "unanswered"), ("forged.example", 0, 1, "NOERROR"),
                                ("asked.example", 0, 1, "NOERROR")})

    def test_malformed(self):
        """Pointers to themselves, to each other and ahead, labels too long, names too long, counts that lie, and cuts."""
        header = struct.pack("!6H", 1, 0, 1, 0, 0, 0)
        end = struct.pack("!HH", A, 1)
        unreadable = [b"", header[:11], header, header + b"\xc0\x0c" + end, header + b"\xc0\x0e\xc0\x0c" + end,
                      header + b"\xc0\xff" + end, header + b"\x40" + bytes(64) + end, header + b"\1a\x80" + end,
                      header + (b"\x3f" + b"a" * 63) * 4 + b"\0" + end, header + b"\1a\0\0\1", header + b"\1a\xc0"]
        made = []
        for i, message in enumerate(unreadable):
            made += self.exchange(i, 3000 + i, message)
        rows = events(self.write(made), "dns")
        self.assertEqual(sorted(int(r["client"].split(":")[1]) for r in rows), list(range(3001, 3000 + len(unreadable))))
        self.assertEqual({(r["result"], r["malformed"], r["queries"]) for r in rows}, {("malformed", 1, 0)})
        lying = struct.pack("!6H", 1, talks.RESPONSE, 1, 65535, 65535, 65535) + talks.question("liar.example", A)
        row, = events(self.write(self.exchange(0, 3000, talks.query(1, "liar.example", A), lying)), "dns")
        self.assertEqual((row["malformed"], row["answers"], row["result"]), (1, 65535, "NOERROR"))

    def test_a_cut_capture_is_not_malformed(self):
        text = "x" * 60 + ".example"
        records = [talks.record(TXT, bytes(200))]
        made = self.exchange(0, 3000, talks.query(1, text, TXT), talks.response(1, text, TXT, records=records))
        row, = events(self.write(made, snap=160), "dns")
        self.assertEqual((row["malformed"], row["responses"], row["result"]), (0, 1, "NOERROR"))

    def test_names_are_text(self):
        message = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\5a.\\\0\xff\2bc\0" + struct.pack("!HH", A, 1)
        row, = events(self.write(self.exchange(0, 3000, message)), "dns")
        self.assertEqual(row["name"], "a\\046\\092\\000\\255.bc")

    def test_lost_bytes_in_a_stream(self):
        connection = talks.Connection((1007, 53))
        connection.say(0, talks.framed(talks.query(7, "one.example", A)))
        connection.next[0] += 100
        connection.say(0, talks.framed(talks.query(8, "two.example", A)))
        rows = events(self.write(connection.close()), "dns")
        self.assertEqual([(r["name"], r["result"]) for r in rows], [("one.example", "unanswered")])

    def test_many_questions_of_one_port(self):
        """More than are kept: the oldest are given up, none is lost."""
        made = []
        for i in range(3000):
            made += self.exchange(i * 0.001, 2000, talks.query(i, "%d.example" % i, A))
        rows = events(self.write(made), "dns")
        self.assertEqual(len({r["name"] for r in rows}), 3000)


@NEEDS_TLS
class Tls(Made):
    def various(self):
        """Real handshakes: (connection, name, version, offered, chosen, retries, alert)."""
        old, new = {"maximum_version": 0x303}, {"minimum_version": 0x304}
        both = {"set_alpn_protocols": ["h2", "http/1.1"]}
        plans = [
            ({**both}, {**new}, "new.example", "TLS 1.3", "h2,http/1.1", "", 0, ""),
            ({**both}, {**old, "set_alpn_protocols": ["http/1.1"]}, "old.example", "TLS 1.2", "h2,http/1.1", "http/1.1", 0, ""),
            ({}, {**new}, None, "TLS 1.3", "", "", 0, ""),
            ({}, {**new, "set_ecdh_curve": "secp384r1"}, "retry.example", "TLS 1.3", "", "", 1, ""),
            ({**old}, {**new}, "refused.example", "", "", "", 0, "server: protocol_version"),
        ]
        made = []
        for i, (client, server, name, *expected) in enumerate(plans):
            connection = talks.Connection((4000 + i, 443), i, size=(1400, 100, 1, 333, 60)[i])
            talks.handshake(connection, client, server, name)
            made.append((connection, name or "", *expected))
        return made

    @NEEDS_TSHARK
    def test_tshark_agrees(self):
        made = [frame for connection, *_ in self.various() for frame in connection.close()]
        self.agree(self.write(made))

    def test_handshakes(self):
        plans = self.various()
        path = self.write([frame for connection, *_ in plans for frame in connection.close()])
        rows = sorted(events(path, "tls"), key=lambda row: row["client"])
        columns = ("name", "version", "offered alpn", "alpn", "retries", "alert")
        self.assertEqual([tuple(row[c] for c in columns) for row in rows], [tuple(plan[1:]) for plan in plans])
        self.assertGreater(min(row["ms"] for row in rows), 0)

    def test_out_of_order(self):
        """The same rows when segments overtake each other, and come twice."""
        connection = talks.handshake(talks.Connection((4000, 443), size=200), name_of_server="a.example")
        straight = connection.close()
        shuffled = straight[:3] + sorted(straight[3:], key=lambda f: (int(f[0] * 1000) // 4, -f[0])) + straight[10:14]
        times = sorted(f[0] for f in straight) + [1.0, 1.1, 1.2, 1.3]
        expected, = events(self.write(straight), "tls")
        row, = events(self.write([(times[i], f[1]) for i, f in enumerate(shuffled)]), "tls")
        for changed in (expected, row):
            del changed["ms"]
        self.assertEqual(row, expected)

    def test_published_fingerprints(self):
        """The examples of JA4's description: shuffled as browsers do, with GREASE, and of other protocols."""
        ciphers = [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35]
        algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
        plain = [0x1B, 0x33, 0x4469, 0x17, 0x2D, 0x05, 0x23, 0x12, 0x0B, 0x0A, 0xFF01, 0x15]
        signatures = b"".join(struct.pack("!H", a) for a in algorithms)
        extensions = [(kind, b"") for kind in plain]
        extensions += [(0, b"\0\x0c\0\0\x09a.example"), (16, b"\0\x0c\2h2\x08http/1.1"), (0x2B, b"\6\x3a\x3a\3\4\3\3"),
                       (13, struct.pack("!H", len(signatures)) + signatures)]
        made = []
        for i, greased in enumerate((False, True)):
            random.Random(i).shuffle(extensions)
            grease = [(0x4A4A, b""), (0xDADA, b"\0")] if greased else []
            hello = talks.client_hello(ciphers + [0x2A2A] * greased, grease[:1] + extensions + grease[1:])
            connection = talks.Connection((5000 + i, 443), i)
            connection.say(0, hello)
            made += connection.frames
        rows = events(self.write(made), "tls")
        self.assertEqual([row["ja4"] for row in rows], ["t13d1516h2_8daaf6152771_e5627efa2ab1"] * 2)

    def test_fingerprints_of_odd_clients(self):
        alpn = lambda protocol: [(16, struct.pack("!HB", len(protocol) + 1, len(protocol)) + protocol)]
        plans = [(0x303, [0x2F], alpn(b"h"), "t12i0101hh"), (0x301, [0x2F], alpn(b"\xabx\xcd"), "t10i0101ad"),
                 (0x300, [], [], "ts3i000000_000000000000_000000000000"), (0x303, list(range(120)), [], "t12i990000")]
        made = []
        for i, (version, ciphers, extensions, _) in enumerate(plans):
            connection = talks.Connection((5000 + i, 443), i)
            connection.say(0, talks.client_hello(ciphers, extensions, version))
            made += connection.frames
        rows = sorted(events(self.write(made), "tls"), key=lambda row: row["client"])
        for row, plan in zip(rows, plans):
            self.assertTrue(row["ja4"].startswith(plan[3]), row["ja4"])

    def test_behind_other_lines(self):
        connection = talks.Connection((4000, 25))
        connection.say(1, b"220 mail.example ready\r\n")
        connection.say(0, b"STARTTLS\r\n")
        connection.say(1, b"220 go ahead\r\n")
        talks.handshake(connection, name_of_server="mail.example")
        row, = events(self.write(connection.close()), "tls")
        self.assertEqual((row["name"], row["version"]), ("mail.example", "TLS 1.3"))

    def test_what_looks_like_a_hello(self):
        """Lengths that lie, in the record, in the message and in each list: no row, or one without what is not there."""
        hello = talks.client_hello([0x1301], [(0, b"\0\x0c\0\0\x09a.example"), (16, b"\0\3\2h2")])
        made = []
        for at in range(3, len(hello)):
            for k, value in enumerate((0, 255)):
                connection = talks.Connection((10000 + at * 2 + k, 443), at, size=37)
                connection.say(0, hello[:at] + bytes([value]) + hello[at + 1:])
                made += connection.close()
        rows = events(self.write(made), "tls")
        self.assertGreater(len(rows), 50)
        self.assertLess(len(rows), 2 * len(hello))


class Health(Made):
    def rows(self, connection):
        return {row["source"]: row for row in events(self.write(connection.close()), "tcp-health")}

    def test_retransmissions(self):
        connection = talks.Connection((6000, 80))
        start = connection.next[0]
        connection.send(0, PSH | ACK, b"x" * 100)
        connection.time += 1
        connection.send(0, PSH | ACK, b"x" * 100, start)
        connection.send(1, ACK)
        connection.send(0, PSH | ACK, b"x" * 100, start)
        row = self.rows(connection)[CLIENT + ":6000"]
        self.assertEqual((row["retransmissions"], row["out of order"], row["bytes"]), (2, 0, 300))
        self.assertEqual((row["handshake ms"], row["most rtt ms"]), (2, 1002))

    def test_duplicates_and_zero_windows(self):
        connection = talks.Connection((6000, 80))
        connection.send(0, PSH | ACK, b"x" * 100)
        for _ in range(4):
            connection.send(1, ACK)
        closed = bytearray(connection.frames[-1][1])
        closed[14 + 20 + 14:14 + 20 + 16] = b"\0\0"
        connection.frames.append((connection.time, bytes(closed)))
        connection.time += 0.001
        row = self.rows(connection)[SERVER + ":80"]
        self.assertEqual((row["duplicate acks"], row["zero windows"], row["segments"]), (3, 1, 7))

    @NEEDS_TSHARK
    def test_random_connections(self):
        """
        Segments lost, late, twice and early, with windows that close: as tshark counts them. Once it has seen an acknowledgement of
        what it has not, it takes segments out of order for fast retransmissions.
        """
        chance = random.Random(7)
        made = []
        for i in range(100):
            connection = talks.Connection((7000 + i, 80), i * 10, size=500)
            for _ in range(12):
                connection.say(chance.randrange(2), bytes(chance.randrange(1, 1500)))
                if chance.random() < 0.3:
                    connection.send(chance.randrange(2), ACK)
            for time, frame in connection.close():
                late = chance.choice((0,) * 40 + (0.0015, 0.0035, 0.3))
                if chance.random() < 0.1:
                    frame = frame[:48] + b"\0\0" + frame[50:]
                if chance.random() > 0.01:
                    made.append((time + late, frame))
                if chance.random() < 0.1:
                    made.append((time + chance.choice((0.0005, 0.01, 0.3)), frame))
        path = self.write(made)
        ours, theirs, unseen = health(path), tshark.health(path), tshark.unseen(path)
        both = lambda counts: counts[:2] + (counts[2] + counts[3],) + counts[4:]
        self.assertEqual({key: both(counts) for key, counts in ours.items()}, {key: both(c) for key, c in theirs.items()})
        compared = set(theirs) - unseen
        self.assertGreater(len(compared), 40)
        self.assertEqual({key: ours[key] for key in compared}, {key: theirs[key] for key in compared})
        self.assertGreater(sum(theirs[key][2] for key in compared), 50)
        self.assertGreater(sum(theirs[key][3] for key in compared), 10)


class Robust(Made):
    def kept_frames(self):
        """Of the sample those of DNS and its first ones, and handshakes of TLS."""
        with gzip.open(SAMPLE) as file:
            data = file.read()
        kept, offset = [], 24
        while offset < len(data):
            length = struct.unpack("<IIII", data[offset:offset + 16])[2]
            frame = data[offset + 16:offset + 16 + length]
            offset += 16 + length
            if b"\0\x35" in frame[34:58] or len(kept) < 2000:
                kept.append(frame)
        if HAS_TLS:
            for connection, *_ in Tls.various(self):
                kept += [frame for _, frame in connection.close()]
        return data[:24], kept

    def test_mutated_payloads(self):
        """Bytes of payloads set at random, and frames cut: every expert sees all frames, ends, and has freed every block."""
        header, kept = self.kept_frames()
        options = [option for expert in EXPERTS for option in ("-e", expert)]
        path = os.path.join(self.folder.name, "mutated.pcap")
        for seed in range(8):
            chance = random.Random(seed)
            made = []
            for i, frame in enumerate(kept):
                mutated = bytearray(frame)
                for _ in range(chance.choice((0, 1, 2, 8))):
                    at = chance.randrange(min(40, len(frame) - 1), len(frame))
                    mutated[at] = chance.choice((0, 1, 0xC0, 0xFF, chance.randrange(256)))
                cut = mutated[:chance.choice((len(frame), len(frame), chance.randrange(14, len(frame) + 1)))]
                made.append(struct.pack("<IIII", i // 1000, i % 1000, len(cut), len(frame)) + cut)
            with open(path, "wb") as file:
                file.write(header + b"".join(made))
            report = frames.report(KEYSLAB, path, "-t", "1" if seed % 2 else "4", *options)
            self.assertEqual(report["frames"], len(made))
            for expert in report["experts"]:
                self.assertEqual((expert["failed"], expert["key"]["live"]), (False, 0))

    def test_listed(self):
        text = subprocess.run([KEYSLAB, "run", "--help"], capture_output=True, text=True, check=True).stdout
        with open(os.path.join(ROOT, "docs", "man", "keyslab.1"), encoding="utf-8") as file:
            manual = file.read()
        with open(os.path.join(ROOT, "docs", "experts.md"), encoding="utf-8") as file:
            document = file.read()
        for name in ("connects", "dns", "flows", "reassembly", "tcp-health", "tls"):
            self.assertIn(name, text)
            self.assertIn(name.replace("-", r"\-"), manual)
            self.assertIn("| `%s` |" % name, document)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
