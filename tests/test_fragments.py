"""Which flow the fragments of a datagram are of: `keyslab run` on fragments in and out of order.

    test_fragments.py KEYSLAB
"""

import os
import random
import struct
import sys
import tempfile
import unittest

from frames import (ACK, ICMP, PSH, SYN, TCP, UDP, checksum, data, ethernet, events, fragment, fragments, ip, ipv4, report, tcp,
                    udp, write_pcap)

KEYSLAB = sys.argv[1]
THREADS = ("1", "3", "8")
ENDS = {4: ("192.0.2.1", "198.51.100.2"), 6: ("2001:db8::1", "2001:db8::2")}


def datagram(version, ports=(1000, 2000), ident=7, size=4000, piece=1480, back=False):
    ends = ENDS[version][::-1] if back else ENDS[version]
    return fragments(*ends, UDP, udp(ports, data(size)), ident, piece)


def at(seconds, packets):
    return [(seconds, packet) for packet in packets]


def order(packets, *places):
    return [packets[i] for i in places]


# name: what makes the packets, of a version of IP, or those with their seconds; then what flows there are, by the first
# end's port and their packets. The port is 0 where the first fragment is not in the capture.
KINDS = {
    "in order": (lambda v: datagram(v) + datagram(v, (2000, 1000), 8, back=True), {1000: 6}),
    "the first comes last": (lambda v: order(datagram(v), 2, 1, 0) + datagram(v, (5, 6), 8), {1000: 3, 5: 3}),
    "the first comes between": (lambda v: order(datagram(v), 2, 0, 1), {1000: 3}),
    "two datagrams in turn": (
        lambda v: [p for pair in zip(datagram(v), datagram(v, (5, 6), 8)) for p in pair], {1000: 3, 5: 3}),
    "two directions with one identification": (
        lambda v: [p for pair in zip(datagram(v)[::-1], datagram(v, (5, 6), 7, back=True)[::-1]) for p in pair], {1000: 3, 5: 3}),
    "without the first": (lambda v: datagram(v)[1:], {0: 2}),
    "without the last": (lambda v: datagram(v)[:-1] + datagram(v, (5, 6), 8), {1000: 2, 5: 3}),
    "everything twice": (lambda v: [p for p in datagram(v) for _ in (0, 1)], {1000: 6}),
    "everything twice, the last ones first": (lambda v: [p for p in datagram(v)[::-1] for _ in (0, 1)], {1000: 6}),
    "the whole datagram twice": (lambda v: datagram(v) * 2, {1000: 6}),
    "one that is too late": (lambda v: datagram(v) + datagram(v)[1:2], {1000: 4}),
    "the identification again": (lambda v: datagram(v) + datagram(v, (5, 6)), {1000: 3, 5: 3}),
    "the identification again, the first comes last": (
        lambda v: datagram(v) + datagram(v, (5, 6))[::-1] + datagram(v, (8, 9))[::-1], {1000: 3, 5: 3, 8: 3}),
    "the identification again when the last is missing": (
        lambda v: datagram(v)[:-1] + datagram(v, (5, 6)), {1000: 2, 5: 3}),
    "tiny pieces": (lambda v: datagram(v, size=400, piece=8), {1000: 51}),
    "tiny pieces, the last ones first": (lambda v: datagram(v, size=400, piece=8)[::-1], {1000: 51}),
    "pieces that overlap": (
        lambda v: [fragment(*ENDS[v], UDP, udp((1000, 2000), data(800))[a:b], 7, a, b < 808)
                   for a, b in ((0, 400), (200, 600), (0, 400), (400, 808))], {1000: 4}),
    "a fragment that is the whole datagram": (lambda v: datagram(v, size=100), {1000: 1}),
    "waits as long as a host": (
        lambda v: at(0, datagram(v)[1:]) + at((30, 60)[v == 6], datagram(v)[:1]), {1000: 3}),
    "does not wait longer": (
        lambda v: at(0, datagram(v)[1:]) + at((31, 61)[v == 6], datagram(v)[:1]), {1000: 1, 0: 2}),
    "what came first is forgotten": (
        lambda v: at(0, datagram(v)[:1]) + at((31, 61)[v == 6], datagram(v)[1:]), {1000: 1, 0: 2}),
    "a step back is no time": (lambda v: at(5000, datagram(v)[:1]) + at(0, datagram(v)[1:]), {1000: 3}),
    "more wait than there is room for": (
        lambda v: [p for i in range(5000) for p in datagram(v, ident=i, size=100, piece=80)[1:]] +
                  datagram(v, (5, 6), 4999, 100, 80)[:1], {5: 2, 0: 4999}),
}


class Fragments(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "capture.pcap")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, packets, vlan=None):
        timed = [p if isinstance(p, tuple) else (i * 0.001, p) for i, p in enumerate(packets)]
        write_pcap(self.path, [(seconds, ethernet(packet, vlan)) for seconds, packet in timed])
        return len(timed)

    def flows(self, *options):
        flows = events(report(KEYSLAB, self.path, *options), "flows")
        self.assertTrue(all(f["seconds"] >= 0 for f in flows))
        found = {int(f["source"].split(":")[-1]): int(f["packets"]) for f in flows}
        self.assertEqual(len(found), len(flows))
        return found

    def test_kinds(self):
        for version in (4, 6):
            for name, (make, right) in KINDS.items():
                self.write(make(version))
                for threads in THREADS:
                    with self.subTest(name, version=version, threads=threads):
                        self.assertEqual(self.flows("-t", threads), right)

    def test_vlans_are_apart(self):
        """The same identification in two networks at the same time."""
        packets = list(zip(datagram(4), datagram(4, (5, 6))))
        write_pcap(self.path, [(0, ethernet(p, vlan)) for pair in packets for vlan, p in zip((1, 2), pair)])
        self.assertEqual(self.flows(), {1000: 3, 5: 3})

    def test_every_order(self):
        """One datagram of four pieces in each order, between packets of the same flow."""
        pieces = datagram(4, size=4600)
        self.assertEqual(len(pieces), 4)
        packets = [ip(*ENDS[4], UDP, udp((1000, 2000), b"whole"))]
        orders = [(a, b, c, d) for a in range(4) for b in range(4) for c in range(4) for d in range(4) if len({a, b, c, d}) == 4]
        for i, places in enumerate(orders):
            packets += order(datagram(4, size=4600, ident=i), *places) + packets[:1]
        total = self.write(packets)
        for threads in THREADS:
            self.assertEqual(self.flows("-t", threads), {1000: total})

    def test_echo(self):
        echo = struct.pack("!BBHHH", 8, 0, 0, 77, 1) + data(3000)
        self.write(fragments(*ENDS[4], ICMP, echo, 7, 1480)[::-1])
        self.assertEqual(self.flows(), {77: 3})

    def test_tunnel(self):
        """A datagram of a tunnel in fragments: the flow, and its layers, are the inner ones."""
        inner = ipv4("10.0.0.1", "10.0.0.2", TCP, tcp((7, 8), 1001, 5001, PSH | ACK, data(2000)))
        gre = struct.pack("!HH", 0, 0x0800) + inner
        self.write(fragments(*ENDS[4], 47, gre, 7, 800)[::-1])
        run = report(KEYSLAB, self.path)
        flow, = events(run, "flows")
        self.assertEqual((flow["protocol"], flow["source"], flow["packets"], flow["layers"]), ("tcp", "10.0.0.1:7", 3, "gre"))
        stream, = events(run, "reassembly")
        self.assertEqual((stream["bytes"], stream["lost"], stream["checksum"]), (2000, 0, checksum(data(2000))))

    def test_segments(self):
        """TCP in fragments, in any order, with data in the SYN: the stream is whole."""
        sent = data(6000)
        for version in (4, 6):
            ends = ENDS[version]
            segments = [tcp((7, 8), 1000, 0, SYN, sent[:1500]), tcp((7, 8), 2501, 5001, PSH | ACK, sent[1500:4000]),
                        tcp((7, 8), 5001, 5001, PSH | ACK, sent[4000:])]
            for seed in range(6):
                generator = random.Random(seed)
                packets = []
                for ident, s in enumerate(segments):
                    pieces = fragments(*ends, TCP, s, ident, 552)
                    generator.shuffle(pieces)
                    packets += pieces
                total = self.write(packets)
                with self.subTest(version=version, seed=seed):
                    run = report(KEYSLAB, self.path)
                    self.assertEqual([int(f["packets"]) for f in events(run, "flows")], [total])
                    stream, = events(run, "reassembly")
                    self.assertEqual((stream["bytes"], stream["gaps"], stream["lost"], stream["checksum"]),
                                     (6000, 0, 0, checksum(sent)))

    def test_what_waits_at_the_end(self):
        """Counted, looped and failed runs with frames that are held."""
        packets = datagram(4)[::-1]
        self.write(packets)
        self.assertEqual(self.flows("-c", "2"), {0: 2})
        self.assertEqual(self.flows("-l", "5"), {1000: 15})
        self.assertEqual(self.flows("-l", "5", "-c", "5"), {1000: 3, 0: 2})
        run = report(KEYSLAB, self.path, "--fail", "flows@1", status=3)
        self.assertEqual(run["frames_key"]["live"], 0)
        run = report(KEYSLAB, self.path, "-l", "3", "-c", "8", "--fail", "reassembly@2", status=3)
        self.assertEqual((run["frames_key"]["live"], sum(f["packets"] for f in events(run, "flows"))), (0, 8))

    def test_many_at_random(self):
        """Datagrams of several protocols that overtake one another, whose identifications come again."""
        for seed in range(15):
            generator = random.Random(seed)
            right, frames, time = {}, [], 0
            for _ in range(40):
                batch = []
                for ident in generator.sample(range(12), 8):
                    version, port = generator.choice((4, 6)), generator.randrange(1, 6)
                    packets = datagram(version, (port, 9), ident, generator.randrange(10, 5000), generator.choice((8 * 40, 1480)))
                    if generator.random() < 0.5:
                        generator.shuffle(packets)
                    if len(packets) > 1 and generator.random() < 0.2:
                        packets.insert(1, packets[0])
                    right[version, port] = right.get((version, port), 0) + len(packets)
                    batch.append(packets)
                while batch:
                    packets = generator.choice(batch)
                    time += generator.choice((0, 0.001, 0.002)) - (generator.random() < 0.01) * 0.5
                    frames.append((time, ethernet(packets.pop(0))))
                    batch = [p for p in batch if p]
                time += generator.choice((0, 0, 35, 70))
            write_pcap(self.path, frames)
            for threads in THREADS:
                with self.subTest(seed=seed, threads=threads):
                    flows = events(report(KEYSLAB, self.path, "-t", threads), "flows")
                    found = {(6 if f["source"].startswith("[") else 4, int(f["source"].split(":")[-1])): int(f["packets"]) for f in flows}
                    self.assertEqual(found, right)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
