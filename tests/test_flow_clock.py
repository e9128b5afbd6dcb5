"""When a flow ends by time: `keyslab run` on captures whose clocks step, against the rule in Python.

    test_flow_clock.py KEYSLAB
"""

import os
import random
import sys
import tempfile
import unittest

from frames import UDP, ethernet, events, ip, report, udp, write_pcap

KEYSLAB = sys.argv[1]
IDLE, HARD, REMOVAL = 300, 3600, 600
STEP, ASTRAY = 60, 32
THREADS = ("1", "2", "3", "8")


def clock_of(times):
    """The time that has passed in the capture up to each frame."""
    reference, passed, astray, clock = None, 0, 0, []
    for time in times:
        if reference is None:
            reference = time
        elif abs(time - reference) > STEP:
            astray += 1
            if astray > ASTRAY:
                reference, astray = time, 0
        elif time > reference:
            passed += time - reference
            reference, astray = time, 0
        clock.append(passed)
    return clock


def flows_of(packets):
    """Of (seconds, port): for each port its flows as (packets, duration), in any order."""
    clock = clock_of([seconds for seconds, _ in packets])
    flows, current = [], {}
    for (seconds, port), passed in zip(packets, clock):
        flow = current.get(port)
        if not flow or seconds - flow["previous"] > IDLE or seconds - flow["first"] > HARD or passed - flow["passed"] > REMOVAL:
            flow = {"port": port, "packets": 0, "first": seconds, "last": seconds}
            flows.append(flow)
            current[port] = flow
        flow.update(packets=flow["packets"] + 1, first=min(flow["first"], seconds), last=max(flow["last"], seconds),
                    previous=seconds, passed=passed)
    return sorted((f["port"], f["packets"], round(f["last"] - f["first"], 3)) for f in flows)


def stream(port, times):
    return [(seconds, port) for seconds in times]


def in_turn(*streams):
    return [packet for packets in zip(*streams) for packet in packets]


# name: packets in the order of the capture, and where it is short what is right
KINDS = {
    "gaps": (stream(1, (0, 300, 601, 602)), [(1, 2, 300), (1, 2, 1)]),
    "the longest flow": (stream(1, range(0, 3601, 300)) + stream(1, (3601,)), [(1, 13, 3600), (1, 1, 0)]),
    "a step back": (stream(1, (7200, 7210, 0, 10)), [(1, 4, 7210)]),
    "a gap behind a step back": (stream(1, (7200, 0, 100, 401)), [(1, 3, 7200), (1, 1, 0)]),
    "a record from the future in front": (
        stream(9, (7200,)) + stream(1, (0, 10, 400, 410)), [(9, 1, 0), (1, 2, 10), (1, 2, 10)]),
    "a record from the future between": (stream(1, (0, 10)) + stream(9, (7200,)) + stream(1, (20,)), [(9, 1, 0), (1, 3, 20)]),
    "a record from the past between": (stream(1, (7200, 7210)) + stream(9, (0,)) + stream(1, (7220,)), [(9, 1, 0), (1, 3, 20)]),
    "two clocks": (
        in_turn(stream(1, range(0, 100, 10)), stream(2, range(1000, 1100, 10))), [(1, 10, 90), (2, 10, 90)]),
    "idle while others go on": (
        stream(1, (0,)) + stream(2, range(0, 700, 10)) + stream(1, (100,)), [(1, 1, 0), (1, 1, 0), (2, 70, 690)]),
}


class Clock(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "capture.pcap")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, packets):
        frames = [(seconds, ethernet(ip("192.0.2.%d" % (port % 250), "198.51.100.2", UDP, udp((port, 9), b"x"))))
                  for seconds, port in packets]
        write_pcap(self.path, frames)

    def found(self, threads):
        flows = events(report(KEYSLAB, self.path, "-t", threads), "flows")
        return sorted((int(f["source"].split(":")[1]), int(f["packets"]), round(f["seconds"], 3)) for f in flows)

    def test_kinds(self):
        for name, (packets, right) in KINDS.items():
            self.write(packets)
            self.assertEqual(flows_of(packets), sorted(right), name)
            for threads in THREADS:
                with self.subTest(name, threads=threads):
                    self.assertEqual(self.found(threads), sorted(right))

    def test_any_times(self):
        for seed in range(25):
            generator = random.Random(seed)
            ports = range(1, generator.choice((3, 12, 40)))
            time, packets = 10_000, []
            for _ in range(600):
                time += generator.choice((0, 0.001, 1, 5, 20, generator.choice((1, 61, 299, 301, 700))))
                if generator.random() < 0.01:
                    time -= generator.choice((30, 299, 5000))
                astray = generator.choice((-3600, 7200, 1_000_000)) if generator.random() < 0.02 else 0
                packets.append((time + astray, generator.choice(ports)))
            self.write(packets)
            right = flows_of(packets)
            for threads in THREADS:
                with self.subTest(seed=seed, threads=threads):
                    self.assertEqual(self.found(threads), right)

    def test_idle_flows_are_removed_behind_a_record_from_the_future(self):
        """Five hours of flows of one packet: no more are kept than come in the time after which they are removed."""
        packets = [(i, 1000 + i) for i in range(20000)]
        sizes = []
        for astray in ([], [(1_000_000, 1)], [(1_000_000 + i, 1) for i in range(3)]):
            self.write(astray + packets)
            run = report(KEYSLAB, self.path)
            key = next(e["key"] for e in run["experts"] if e["name"] == "flows")
            sizes.append(key["arena_peak"])
        self.write([(seconds / 20, port) for seconds, port in packets])
        run = report(KEYSLAB, self.path)
        all_kept = next(e["key"] for e in run["experts"] if e["name"] == "flows")["arena_peak"]
        for size in sizes:
            self.assertLess(size, all_kept / 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
