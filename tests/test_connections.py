"""Which connection a TCP segment is of: `keyslab run` on connections that share their ports.

    test_connections.py KEYSLAB

Each kind is a list of segments and what is right: the flows, by who sent their first packet and how many packets they
have, and the streams, by who sent them: bytes, gaps, and bytes lost.
"""

import os
import random
import sys
import tempfile
import unittest

from frames import ACK, FIN, PSH, RST, SYN, TCP, checksum, data, ethernet, events, ip, report, tcp, write_pcap

KEYSLAB = sys.argv[1]
ENDS = {"A": ("192.0.2.1", 40000), "B": ("198.51.100.2", 80)}
FLAGS = {"S": SYN, "A": ACK, "F": FIN, "R": RST, "P": PSH}
OTHER = {"A": "B", "B": "A"}


def segment(side, flags, sequence, acknowledgement=0, size=0, seconds=0.001, **more):
    """One that comes `seconds` behind the one before."""
    return dict(side=side, flags=flags, sequence=sequence, acknowledgement=acknowledgement, size=size, seconds=seconds, **more)


def handshake(client, server, opener="A"):
    return [segment(opener, "S", client), segment(OTHER[opener], "SA", server, client + 1),
            segment(opener, "A", client + 1, server + 1)]


def closing(client, server, opener="A"):
    """Both sides' FIN, where their streams are at `client` and `server`."""
    return [segment(opener, "FA", client, server), segment(OTHER[opener], "FA", server, client + 1),
            segment(opener, "A", client + 1, server + 1)]


def whole(client, server, out, back, opener="A"):
    """A connection with `out` and `back` bytes, 12 or fewer packets."""
    return handshake(client, server, opener) + [
        segment(opener, "PA", client + 1, server + 1, out), segment(OTHER[opener], "PA", server + 1, client + 1 + out, back)
    ] + closing(client + 1 + out, server + 1 + back, opener)


def later(seconds, segments):
    return [dict(segments[0], seconds=seconds)] + segments[1:]


def write(path, segments, addresses=None):
    time, frames = 0, []
    ends = addresses or ENDS
    for s in segments:
        time += s["seconds"]
        source, destination = ends[s["side"]], ends[OTHER[s["side"]]]
        flags = sum(FLAGS[letter] for letter in s["flags"])
        body = s.get("bytes", data(s["size"], s["sequence"]))
        packet = tcp((source[1], destination[1]), s["sequence"], s["acknowledgement"], flags, body)
        frames.append((time, ethernet(ip(source[0], destination[0], TCP, packet))))
    write_pcap(path, frames)


WHOLE = whole(1000, 5000, 300, 200)
HIGH = whole(2_000_000_000, 1_500_000_000, 300, 200)
TWO_STREAMS = [("A", 300, 0, 0), ("B", 200, 0, 0)]

# name: segments, flows, streams
KINDS = {
    # Another SYN is another connection.
    "reused with other numbers, whatever they are": (
        WHOLE + later(5, HIGH) + later(5, whole(1400, 5300, 30, 20)) + later(5, whole(900_000, 4000, 31, 21)),
        [("A", 8)] * 4, TWO_STREAMS * 2 + [("A", 30, 0, 0), ("B", 20, 0, 0), ("A", 31, 0, 0), ("B", 21, 0, 0)]),
    "reused by the other side": (WHOLE + later(5, whole(7000, 90, 30, 20, "B")), [("A", 8), ("B", 8)],
                                 TWO_STREAMS + [("B", 30, 0, 0), ("A", 20, 0, 0)]),
    "a SYN to an open connection": (
        handshake(1000, 5000) + [segment("A", "PA", 1001, 5001, 50)] + later(5, whole(60_000, 70_000, 30, 20)),
        [("A", 4), ("A", 8)], [("A", 50, 0, 0), ("A", 30, 0, 0), ("B", 20, 0, 0)]),
    "the same numbers again, after both were done": (WHOLE + later(5, WHOLE), [("A", 8)] * 2, TWO_STREAMS * 2),
    "the same numbers again, from the other side": (
        WHOLE + later(5, whole(5000, 1000, 20, 30, "B")), [("A", 8), ("B", 8)], TWO_STREAMS + [("B", 20, 0, 0), ("A", 30, 0, 0)]),
    "a SYN behind a reset": (
        handshake(1000, 5000) + [segment("B", "RA", 5001, 1001)] + later(1, WHOLE), [("A", 4), ("A", 8)], TWO_STREAMS),
    "SYNs that nobody answers": ([segment("A", "S", n) for n in (5, 4_000_000_000, 70_000)], [("A", 1)] * 3, []),
    "numbers that wrap": (
        whole(0xffffff80, 0xffffffff, 300, 200) + later(5, whole(100, 0xfffffff0, 400, 100)), [("A", 8)] * 2,
        TWO_STREAMS + [("A", 400, 0, 0), ("B", 100, 0, 0)]),
    "only the client's packets": (
        [s for s in WHOLE + later(5, HIGH) if s["side"] == "A"], [("A", 5)] * 2, [("A", 300, 0, 0)] * 2),
    "only the server's packets": (
        [s for s in WHOLE + later(5, HIGH) if s["side"] == "B"], [("B", 3)] * 2, [("B", 200, 0, 0)] * 2),
    "an answer to a SYN that was not captured": (
        WHOLE + later(5, HIGH[1:]), [("A", 8), ("B", 7)], TWO_STREAMS * 2),
    "the middle of a connection, then a SYN of the same side": (
        [segment("A", "PA", 2_000_000_000, 77, 100)] + WHOLE, [("A", 1), ("A", 8)], [("A", 100, 0, 0)] + TWO_STREAMS),
    "the middle of a connection, then a SYN of the other side": (
        [segment("B", "PA", 2_000_000_000, 77, 100)] + WHOLE, [("B", 1), ("A", 8)], [("B", 100, 0, 0)] + TWO_STREAMS),
    "a SYN without an answer, then one of the other side with other numbers": (
        [segment("A", "S", 2_000_000_000)] + later(3, whole(1000, 5000, 300, 200, "B")), [("A", 1), ("B", 8)],
        [("B", 300, 0, 0), ("A", 200, 0, 0)]),
    "the same, and the answer was not captured": (
        [segment("A", "S", 2_000_000_000), segment("B", "S", 1000, seconds=3), segment("A", "A", 5001, 1001),
         segment("B", "PA", 1001, 5001, 40), segment("A", "PA", 5001, 1041, 50)], [("A", 1), ("B", 4)],
        [("B", 40, 0, 0), ("A", 50, 0, 0)]),
    "a SYN without an answer, then an answer to another, which is taken": (
        [segment("A", "S", 2_000_000_000)] + later(3, WHOLE[1:]), [("A", 1), ("B", 7)], TWO_STREAMS),
    "a connection without its SYN behind one that has ended": (
        WHOLE + [segment("A", "PA", 3_500_000_000, 9, 60, seconds=5), segment("B", "PA", 9, 3_500_000_060, 70)],
        [("A", 8), ("A", 2)], TWO_STREAMS + [("A", 60, 0, 0), ("B", 70, 0, 0)]),
    "what the old connection waited for is its gap": (
        handshake(1000, 5000) + [segment("A", "PA", 1001, 5001, 10), segment("A", "PA", 1111, 5001, 10)] + later(5, HIGH),
        [("A", 5), ("A", 8)], [("A", 20, 1, 100)] + TWO_STREAMS),

    # These are the same connection.
    "a SYN sent again, also when both were done": (WHOLE + WHOLE[:1] + WHOLE[7:], [("A", 10)], TWO_STREAMS),
    "a SYN sent again, also behind a reset": (
        WHOLE[:4] + [segment("B", "R", 5001)] + WHOLE[:1], [("A", 6)], [("A", 300, 0, 0)]),
    "a SYN sent again, also behind data": (
        WHOLE[:1] * 3 + WHOLE[1:2] * 2 + WHOLE[2:4] + WHOLE[:1] + WHOLE[4:], [("A", 12)], TWO_STREAMS),
    "an answer with another number: the second counts": (
        [segment("A", "S", 1000), segment("B", "SA", 90_000, 1001), segment("A", "S", 1000)] + WHOLE[1:], [("A", 10)], TWO_STREAMS),
    "an answer with another number: the one that is acknowledged counts": (
        WHOLE[:2] + [segment("B", "SA", 90_000, 1001)] + WHOLE[2:], [("A", 9)], TWO_STREAMS),
    "an answer with another number when the first has been acknowledged": (
        WHOLE[:4] + [segment("B", "SA", 90_000, 1001)] + WHOLE[4:], [("A", 9)], TWO_STREAMS),
    "a forged reset before the answer": (
        WHOLE[:1] + [segment("B", "RA", 0, 1001)] + WHOLE[1:], [("A", 9)], TWO_STREAMS),
    "a refused SYN sent again": ([segment("A", "S", 1000), segment("B", "RA", 0, 1001)] * 3, [("A", 6)], []),
    "a split handshake": (
        [segment("A", "S", 1000), segment("B", "A", 0, 1001), segment("B", "S", 5000), segment("A", "SA", 1000, 5001),
         segment("B", "A", 5001, 1001)] + WHOLE[3:], [("A", 10)], TWO_STREAMS),
    "a simultaneous open": (
        [segment("A", "S", 1000), segment("B", "S", 5000), segment("A", "SA", 1000, 5001), segment("B", "SA", 5000, 1001)] + WHOLE[3:],
        [("A", 9)], TWO_STREAMS),
    "a simultaneous open whose answers were not captured": (
        [segment("A", "S", 1000), segment("B", "S", 5000)] + WHOLE[3:], [("A", 7)], TWO_STREAMS),
    "a SYN behind the data": (
        [segment("A", "PA", 1001, 5001, 50), segment("A", "S", 1000), segment("B", "SA", 5000, 1001)], [("A", 3)], [("A", 50, 0, 0)]),
    "an answer before its SYN": (WHOLE[1:2] + WHOLE[:1] + WHOLE[2:], [("B", 8)], TWO_STREAMS),
    "an answer behind the data": (
        [segment("B", "PA", 5001, 1001, 50), segment("B", "SA", 5000, 1001), segment("A", "A", 1001, 5051)], [("B", 3)],
        [("B", 50, 0, 0)]),
    "data in the SYN": (
        [segment("A", "S", 1000, 0, 60), segment("B", "SA", 5000, 1061), segment("A", "PA", 1061, 5001, 40)], [("A", 3)],
        [("A", 100, 0, 0)]),
    "data in the SYN, which is sent again without": (
        [segment("A", "S", 1000, 0, 60, bytes=data(60)), segment("A", "S", 1000), segment("B", "SA", 5000, 1061),
         segment("A", "PA", 1001, 5001, 60, bytes=data(60)), segment("A", "PA", 1061, 5001, 40)], [("A", 5)], [("A", 100, 0, 0)]),
    "data in the SYN, which comes late": (
        [segment("B", "SA", 5000, 1061), segment("A", "S", 1000, 0, 60), segment("A", "PA", 1061, 5001, 40)], [("B", 3)],
        [("A", 100, 0, 0)]),
    "keep-alives": (
        handshake(1000, 5000) + [segment("A", "A", 1000, 5001), segment("B", "A", 5001, 1001), segment("A", "A", 1000, 5001, 1)] +
        WHOLE[3:], [("A", 11)], TWO_STREAMS),
    "a keep-alive is the first that is captured": (
        [segment("A", "A", 1000, 5001), segment("B", "A", 5001, 1001), segment("A", "PA", 1001, 5001, 30)], [("A", 3)], [("A", 30, 0, 0)]),
    "data behind a reset": (
        WHOLE[:3] + [segment("B", "R", 5001)] + WHOLE[3:5] + [segment("A", "S", 1000)] + WHOLE[5:], [("A", 10)], TWO_STREAMS),
    "the text of a reset is not of the stream": (
        WHOLE[:5] + [segment("B", "RA", 5201, 1301, 12)], [("A", 6)], TWO_STREAMS),

    "one that lasts longer than a flow": (
        WHOLE[:4] + [segment("B", "A", 5001, 1301 + i, seconds=280) for i in range(14)] + [segment("A", "PA", 1301, 5001, 30)] + WHOLE[:1],
        [("A", 16), ("B", 4)], [("A", 330, 0, 0)]),

    # Segments that are not of the connection's streams are left out of them.
    "the connection before goes on behind the new SYN": (
        handshake(300_000, 400_000) + [segment("A", "PA", 300_001, 400_001, 50)] + WHOLE[:1] +
        [segment("A", "PA", 300_051, 400_001, 50), segment("B", "A", 400_001, 300_101), segment("A", "R", 300_101)] + WHOLE[1:3] +
        [segment("A", "PA", 300_051, 400_001, 50)] + WHOLE[3:], [("A", 4), ("A", 12)], [("A", 50, 0, 0)] + TWO_STREAMS),
    "and its numbers are below": (
        handshake(1000, 5000) + [segment("A", "PA", 1001, 5001, 50)] + handshake(300_000, 400_000) +
        [segment("A", "PA", 1001, 5001, 50), segment("B", "PA", 5001, 1051, 70), segment("A", "PA", 300_001, 400_001, 30)],
        [("A", 4), ("A", 6)], [("A", 50, 0, 0), ("A", 30, 0, 0)]),
    "the old connection is not known, and it answers": (
        WHOLE[:1] + [segment("B", "A", 3_000_000_000, 3_500_000_000), segment("A", "R", 3_500_000_000)] + WHOLE,
        [("A", 11)], TWO_STREAMS),
    "an answer to a SYN before, which is reset": (
        [segment("A", "S", 2_000_000_000)] + WHOLE[:1] + [segment("B", "SA", 77_000, 2_000_000_001), segment("A", "R", 2_000_000_001)] +
        WHOLE, [("A", 1), ("A", 11)], TWO_STREAMS),
    "a segment that is far off": (
        WHOLE[:3] + [segment("A", "PA", 1001 + (3 << 29), 5001, 90), segment("A", "PA", 1001 + (1 << 28), 5001, 90)] + WHOLE[3:],
        [("A", 10)], TWO_STREAMS),
    "a large gap that the other side has got": (
        handshake(1000, 5000) + [segment("A", "PA", 1001, 5001, 10), segment("A", "PA", 8_001_011, 5001, 10),
                                 segment("B", "A", 5001, 8_001_021)], [("A", 6)], [("A", 20, 1, 8_000_000)]),
}


class Capture(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "capture.pcap")

    def tearDown(self):
        self.folder.cleanup()

    def found(self, *options, ends=None):
        run = report(KEYSLAB, self.path, *options)
        names = {("[%s]:%d" if ":" in a else "%s:%d") % (a, p): side for side, (a, p) in (ends or ENDS).items()}
        flows = sorted((names[f["source"]], int(f["packets"])) for f in events(run, "flows"))
        streams = sorted((names[s["source"]], int(s["bytes"]), int(s["gaps"]), int(s["lost"])) for s in events(run, "reassembly"))
        return run, flows, streams


class Connections(Capture):
    def test_kinds(self):
        for name, (segments, flows, streams) in KINDS.items():
            write(self.path, segments)
            for threads in ("1", "3"):
                with self.subTest(name, threads=threads):
                    _, got_flows, got_streams = self.found("-t", threads)
                    self.assertEqual(got_flows, sorted(flows))
                    self.assertEqual(got_streams, sorted(streams))

    def test_kinds_of_ipv6(self):
        ends = {"A": ("2001:db8::1", 40000), "B": ("2001:db8::2", 80)}
        for name, (segments, flows, streams) in KINDS.items():
            with self.subTest(name):
                write(self.path, segments, ends)
                _, got_flows, got_streams = self.found(ends=ends)
                self.assertEqual((got_flows, got_streams), (sorted(flows), sorted(streams)))

    def test_numbers_do_not_matter(self):
        """Every kind with its numbers moved, so that they wrap somewhere."""
        generator = random.Random(5)
        for name, (segments, flows, streams) in KINDS.items():
            for _ in range(2):
                by = {"A": generator.getrandbits(32), "B": generator.getrandbits(32)}
                moved = [dict(s, sequence=(s["sequence"] + by[s["side"]]) & 0xffffffff,
                              bytes=s.get("bytes", data(s["size"], s["sequence"])),
                              acknowledgement=(s["acknowledgement"] + by[OTHER[s["side"]]]) & 0xffffffff) for s in segments]
                with self.subTest(name, by=by):
                    write(self.path, moved)
                    _, got_flows, got_streams = self.found()
                    self.assertEqual((got_flows, got_streams), (sorted(flows), sorted(streams)))


def random_connection(generator, opener, number, sides):
    """Segments of a connection, some twice and some late, and its streams' bytes, as far as its sides are captured."""
    client, server = generator.getrandbits(32), generator.getrandbits(32)
    streams = {side: data(generator.choice((0, 1, 900, 5000)), number) for side in "AB"}
    other = OTHER[opener]
    isn = {opener: client, other: server}
    segments = handshake(client, server, opener)
    if generator.random() < 0.3:
        segments.insert(1, segments[0])
    if sides == "AB" and generator.random() < 0.2:
        segments.insert(1, segment(other, "RA", generator.getrandbits(32), client + 1))
    body = []
    for side in (opener, other):
        stream, start = streams[side], isn[side] + 1
        acknowledged = isn[OTHER[side]] + 1 + (len(streams[opener]) if side == other else 0)
        pieces = [segment(side, "PA", start + at, acknowledged, bytes=stream[at:at + 700]) for at in range(0, len(stream), 700)]
        for i in range(len(pieces) - 1):
            if generator.random() < 0.2:
                pieces[i], pieces[i + 1] = pieces[i + 1], pieces[i]
        body += [p for piece in pieces for p in [piece] * generator.choice((1, 1, 1, 2))]
    segments += body
    if generator.random() < 0.3:
        segments.append(segment(opener, "S", client))
    ending = generator.choice(("both", "one", "reset", "none"))
    at = {side: isn[side] + 1 + len(streams[side]) for side in "AB"}
    if ending == "both":
        segments += closing(at[opener], at[other], opener)
    elif ending == "one":
        segments.append(segment(opener, "FA", at[opener], at[other]))
    elif ending == "reset":
        segments.append(segment(other, "RA", at[other], at[opener]))
    return [s for s in segments if s["side"] in sides], [(side, streams[side]) for side in sides if streams[side]]


class Random(Capture):
    def test_connections_one_after_another(self):
        """Any numbers, any ends, one side or both, on a few ports, in turn: each connection is a flow, its streams whole."""
        for seed in range(12):
            generator = random.Random(seed)
            queues, flows, streams = [], [], []
            for pair in range(5):
                ends = {"A": (ENDS["A"][0], 40000 + pair), "B": ENDS["B"]}
                queue = []
                sides = generator.choice(("AB", "AB", "A", "B"))
                for number in range(6):
                    segments, sent = random_connection(generator, generator.choice("AB"), number, sides)
                    queue += segments
                    names = {side: "%s:%d" % ends[side] for side in "AB"}
                    flows.append((names[segments[0]["side"]], len(segments)))
                    streams += [(names[side], len(stream), 0, 0, checksum(stream)) for side, stream in sent]
                queues.append((ends, queue))
            frames, time = [], 0
            while any(queue for _, queue in queues):
                ends, queue = generator.choice([pair for pair in queues if pair[1]])
                s = queue.pop(0)
                source, destination = ends[s["side"]], ends[OTHER[s["side"]]]
                packet = tcp((source[1], destination[1]), s["sequence"], s["acknowledgement"],
                             sum(FLAGS[letter] for letter in s["flags"]), s.get("bytes", b""))
                time += 0.001
                frames.append((time, ethernet(ip(source[0], destination[0], TCP, packet))))
            write_pcap(self.path, frames)
            for threads in ("1", "3", "8"):
                with self.subTest(seed=seed, threads=threads):
                    run = report(KEYSLAB, self.path, "-t", threads)
                    self.assertEqual(sorted((f["source"], int(f["packets"])) for f in events(run, "flows")), sorted(flows))
                    self.assertEqual(sorted((s["source"], int(s["bytes"]), int(s["gaps"]), int(s["lost"]), int(s["checksum"]))
                                            for s in events(run, "reassembly")), sorted(streams))

    def test_any_segments(self):
        """Flags and numbers without sense: no packet is lost, and threads change nothing."""
        for seed in range(20):
            generator = random.Random(seed)
            numbers = [generator.getrandbits(32) for _ in range(4)] + [1000, 1001, 1002, 5000, 5001]
            frames = []
            for i in range(600):
                ends = [("192.0.2.1", generator.choice((1, 2))), ("198.51.100.2", 80)]
                generator.shuffle(ends)
                packet = tcp((ends[0][1], ends[1][1]), generator.choice(numbers), generator.choice(numbers),
                             generator.choice((SYN, SYN | ACK, ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, 0, SYN | FIN)),
                             data(generator.choice((0, 0, 1, 2, 100))))
                frames.append((i * generator.choice((0.001, 0.5)), ethernet(ip(ends[0][0], ends[1][0], TCP, packet))))
            write_pcap(self.path, frames)
            runs = [report(KEYSLAB, self.path, "-t", threads) for threads in ("1", "3", "8")]
            for run in runs:
                with self.subTest(seed=seed):
                    self.assertEqual(sum(f["packets"] for f in events(run, "flows")), len(frames))
                    for expert in ("flows", "reassembly"):
                        self.assertEqual(events(run, expert), events(runs[0], expert))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
