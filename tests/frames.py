"""Frames and captures for the tests, made byte by byte, and what `keyslab run` says of them."""

import json
import socket
import struct
import subprocess

from capture_files import Pcap

ICMP, TCP, UDP, FRAGMENT = 1, 6, 17, 44
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1_700_000_000
MICRO = 1_000_000


def data(size, seed=0):
    """Bytes that tell where they belong."""
    return bytes((seed + i * 7 + (i >> 8)) & 0xff for i in range(size))


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def ipv4(source, destination, protocol, payload, ident=0, offset=0, more=False):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, more << 13 | offset >> 3, 64, protocol, 0,
                       address(source), address(destination)) + payload


def ipv6(source, destination, protocol, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64, address(source), address(destination)) + payload


def ip(source, destination, protocol, payload):
    return (ipv6 if ":" in source else ipv4)(source, destination, protocol, payload)


def fragment(source, destination, protocol, piece, ident, offset, more):
    if ":" in source:
        return ipv6(source, destination, FRAGMENT, struct.pack("!BBHI", protocol, 0, offset | more, ident) + piece)
    return ipv4(source, destination, protocol, piece, ident, offset, more)


def fragments(source, destination, protocol, payload, ident, size):
    return [fragment(source, destination, protocol, payload[at:at + size], ident, at, at + size < len(payload))
            for at in range(0, len(payload), size)]


def udp(ports, payload):
    return struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload


def tcp(ports, sequence, acknowledgement, flags, payload=b""):
    return struct.pack("!HHIIBBHHH", *ports, sequence & 0xffffffff, acknowledgement & 0xffffffff, 0x50, flags, 65535, 0,
                       0) + payload


def ethernet(packet, vlan=None):
    kind = struct.pack("!H", 0x86dd if packet[0] >> 4 == 6 else 0x0800)
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return b"\2\0\0\0\0\2\2\0\0\0\0\1" + tag + kind + packet


def write_pcap(path, frames, snap=262144):
    """Frames as (seconds, bytes); seconds count from START."""
    file = Pcap(snap=snap)
    for seconds, frame in frames:
        time = round((START + seconds) * MICRO)
        file.record(frame[:snap], time // MICRO, time % MICRO, len(frame))
    with open(path, "wb") as output:
        output.write(file.data)


def report(keyslab, path, *options, status=0):
    result = subprocess.run([keyslab, "run", "--json", *options, path], capture_output=True, text=True, timeout=120)
    assert result.returncode == status, (result.returncode, result.stderr)
    return json.loads(result.stdout)


def events(data_of_run, expert):
    return next(e["events"] for e in data_of_run["experts"] if e["name"] == expert)


def checksum(stream):
    """What `reassembly` says of a stream with these bytes: FNV-1a from 0."""
    value = 0
    for byte in stream:
        value = (value ^ byte) * 16777619 & 0xffffffff
    return value
