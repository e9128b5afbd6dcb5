"""The expert ndpi in keyslab's host, in the rows program/ndpi and program/ndpi-flows.

Here keyslab is what it is to a host: all memory of the library nDPI is of the expert's key, whose reset replaces the
clean-up. For the other peers the library calls malloc, which is theirs, and cleans up. The frames lie in a key in all of
them. A row's own figure is nanoseconds a frame, from the first one to the end of the expert's last thread.
"""

import gzip
import json
import os
import struct

import workloads

BEGINNING = 24  # packets of a flow: by then most are detected
COPIES = 60
RECORD = struct.Struct("<IIII")
FILE_HEADER, ETHERNET_HEADER, TAG = 24, 14, 4


class Ip:
    """Where the addresses and ports of a frame are, behind one VLAN tag or none."""

    layouts = {b"\x08\x00": (12, 4), b"\x86\xdd": (8, 16)}

    def __init__(self, frame):
        at = ETHERNET_HEADER + (TAG if frame[ETHERNET_HEADER - 2:ETHERNET_HEADER] == b"\x81\x00" else 0)
        layout = self.layouts.get(frame[at - 2:at])
        self.found = bool(layout)
        if layout:
            self.source, self.width = at + layout[0], layout[1]
            self.ports = self.source + 2 * self.width

    def flow(self, frame):
        ends = [frame[self.source + i * self.width:][:self.width] + frame[self.ports + 2 * i:][:2] for i in (0, 1)]
        return frozenset(ends)

    def moved(self, frame, copy):
        """The same between other hosts."""
        other = bytearray(frame)
        for i in (0, 1):
            other[self.source + i * self.width + self.width // 2] ^= copy
        return bytes(other)


def records(data):
    """(header, frame) of a capture file's bytes."""
    offset = FILE_HEADER
    while offset < len(data):
        frame = offset + RECORD.size
        after = frame + RECORD.unpack_from(data, offset)[2]
        yield data[offset:frame], data[frame:after]
        offset = after


def beginnings(data):
    """The frames that hold IP, of each flow the first ones."""
    seen = {}
    for header, frame in records(data):
        ip = Ip(frame)
        if not ip.found:
            continue
        flow = ip.flow(frame)
        seen[flow] = seen.get(flow, 0) + 1
        if seen[flow] <= BEGINNING:
            yield header, frame, ip


class Ndpi(workloads.Workload):
    """The whole sample, again and again: few flows, most of whose frames come after their detection."""

    name = "ndpi"
    of_others = {"KEYSLAB_NDPI_MEMORY": "malloc"}
    loops = 20
    keyslab = ""

    def prepare(self):
        with gzip.open(workloads.SAMPLE) as file:
            self.capture = self.write("ndpi.pcap", self.traffic(file.read()))

    def traffic(self, data):
        return data

    def run(self, launcher):
        """What it found; beside that, how long it took."""
        output = launcher.run([self.keyslab, "run", "--json", "-e", "ndpi", "-l", str(self.scaled(self.loops)), self.capture])
        report = json.loads(output)
        self.nanoseconds = 1e9 * report["seconds"] / report["frames"]
        return json.dumps([expert["events"] for expert in report["experts"]]).encode()


class NdpiFlows(Ndpi):
    """The beginnings of many flows: most frames come before their detection."""

    name = "ndpi-flows"
    loops = 1

    def traffic(self, data):
        frames = list(beginnings(data))
        parts = [header + ip.moved(frame, copy) for copy in range(self.scaled(COPIES)) for header, frame, ip in frames]
        return data[:FILE_HEADER] + b"".join(parts)


def found(folder):
    """Those that the build can run."""
    keyslab = os.path.join(folder, "..", "tools", "keyslab")
    if not os.path.isfile(os.path.join(os.path.dirname(keyslab), "experts", "ndpi.so")):
        return ()
    for kind in Ndpi, NdpiFlows:
        kind.keyslab = os.path.realpath(keyslab)
    return Ndpi, NdpiFlows
