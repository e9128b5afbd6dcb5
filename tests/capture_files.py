"""Capture files, made record by record and block by block, as tests need them; and zstd without its program."""

import struct

ETHERNET, RAW = 1, 101
MICROSECONDS, NANOSECONDS, KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34


class Pcap:
    """Classic: a header, then records."""

    def __init__(self, order="<", magic=MICROSECONDS, version=(2, 4), snap=262144, link=ETHERNET):
        self.order, self.magic = order, magic
        self.data = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snap, link)

    def record(self, frame, seconds=0, fraction=0, length=None, captured=None):
        captured = len(frame) if captured is None else captured
        length = captured if length is None else length
        self.data += struct.pack(self.order + "IIII", seconds, fraction, captured, length)
        self.data += bytes(8 if self.magic == KUZNETZOV else 0) + frame
        return self


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


class Pcapng:
    """Blocks of one section behind another; `order` is that of the section."""

    def __init__(self, order="<", **section):
        self.data = b""
        self.section(order, **section)

    def block(self, kind, body, first=None, last=None):
        """Lengths that are not the block's own may be given."""
        body += bytes(-len(body) % 4)
        total = 12 + len(body)
        self.data += struct.pack(self.order + "II", kind, total if first is None else first) + body
        self.data += struct.pack(self.order + "I", total if last is None else last)
        return self

    def section(self, order="<", magic=0x1A2B3C4D, version=(1, 0), length=-1):
        self.order = order
        return self.block(0x0A0D0D0A, struct.pack(order + "IHHq", magic, *version, length))

    def interface(self, link=ETHERNET, snap=0, options=()):
        """Options are pairs of code and value."""
        body = struct.pack(self.order + "HHI", link, 0, snap) + b"".join(option(self.order, *o) for o in options)
        return self.block(1, body + (option(self.order, 0, b"") if options else b""))

    def packet(self, frame, interface=0, ticks=0, length=None, captured=None, options=b"", **lengths):
        captured = len(frame) if captured is None else captured
        fields = (interface, ticks >> 32, ticks & 0xFFFFFFFF, captured, captured if length is None else length)
        return self.block(6, struct.pack(self.order + "5I", *fields) + frame + bytes(-len(frame) % 4) + options, **lengths)

    def old_packet(self, frame, interface=0, ticks=0):
        fields = (interface, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        return self.block(2, struct.pack(self.order + "HHIIII", *fields) + frame)

    def simple_packet(self, frame, length=None):
        return self.block(3, struct.pack(self.order + "I", len(frame) if length is None else length) + frame)


def zstd(data, checksum=None):
    """A frame of uncompressed blocks; with four bytes as its checksum, if it is to have one."""
    blocks = [data[i:i + 100000] for i in range(0, len(data), 100000)] or [b""]
    frame = b"\x28\xb5\x2f\xfd" + bytes([4 if checksum else 0, 0x38])
    for i, block in enumerate(blocks):
        frame += struct.pack("<I", len(block) << 3 | (i + 1 == len(blocks)))[:3] + block
    return frame + (checksum or b"")


def zstd_skipped(data):
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", len(data)) + data
