"""What the experts' tests let computers say to one another: DNS messages, TLS handshakes, and frames of whole conversations."""

import os
import ssl
import struct

import frames
from frames import ACK, FIN, PSH, SYN, TCP, UDP

CLIENT, SERVER = "192.0.2.10", "192.0.2.53"
CERTIFICATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "handshakes.pem")
RESPONSE, AUTHORITATIVE = 0x8000, 0x0400
A, NS, TXT, AAAA = 1, 2, 16, 28
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def datagram(source, destination, ports, payload):
    return frames.ethernet(frames.ip(source, destination, UDP, frames.udp(ports, payload)))


class Connection:
    """Frames of one TCP connection, a millisecond apart; each `say` is segments of at most `size` bytes."""

    def __init__(self, ports, start=0.0, client=CLIENT, server=SERVER, size=1400):
        self.ends, self.ports, self.size = (client, server), ports, size
        self.next = [1000, 500000]
        self.time, self.frames = start, []
        self.send(0, SYN)
        self.send(1, SYN | ACK)
        self.send(0, ACK)

    def send(self, side, flags, payload=b"", sequence=None):
        """Side 0 is the client's; a sequence number of one's own sends again what was sent before."""
        number = self.next[side] if sequence is None else sequence
        segment = frames.tcp(self.ports[::-1] if side else self.ports, number, self.next[not side] if flags & ACK else 0, flags,
                             payload)
        ends = self.ends[::-1] if side else self.ends
        self.frames.append((self.time, frames.ethernet(frames.ip(*ends, TCP, segment))))
        self.time = round(self.time + 0.001, 6)
        if sequence is None:
            self.next[side] += len(payload) + (1 if flags & (SYN | FIN) else 0)

    def say(self, side, payload):
        for at in range(0, len(payload), self.size):
            self.send(side, PSH | ACK, payload[at:at + self.size])

    def close(self):
        self.send(0, FIN | ACK)
        self.send(1, FIN | ACK)
        self.send(0, ACK)
        return self.frames


# ------------------------------------------------------------------ DNS


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def question(text, kind):
    return name(text) + struct.pack("!HH", kind, 1)


def record(kind, data, owner=b"\xc0\x0c"):
    return owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def query(ident, text, kind, flags=0x0100):
    return struct.pack("!6H", ident, flags, 1, 0, 0, 0) + question(text, kind)


def response(ident, text, kind, rcode=NOERROR, records=()):
    return struct.pack("!6H", ident, RESPONSE | AUTHORITATIVE | rcode, 1, len(records), 0, 0) + question(text, kind) + b"".join(records)


def framed(*messages):
    return b"".join(struct.pack("!H", len(m)) + m for m in messages)


# ------------------------------------------------------------------ TLS


def context(side, **settings):
    made = ssl.SSLContext(side)
    if side == ssl.PROTOCOL_TLS_CLIENT:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_cert_chain(CERTIFICATE)
    for method, value in settings.items():
        if callable(getattr(made, method)):
            getattr(made, method)(value)
        else:
            setattr(made, method, value)
    return made


def handshake(connection, client=None, server=None, name_of_server=None):
    """Real handshakes: what two contexts of ssl say to one another until both are content, or one is not."""
    ways = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in range(2)]
    sides = [context(ssl.PROTOCOL_TLS_CLIENT, **(client or {})).wrap_bio(*ways[0], server_hostname=name_of_server),
             context(ssl.PROTOCOL_TLS_SERVER, **(server or {})).wrap_bio(*ways[1], server_side=True)]
    done = [False, False]
    for _ in range(10):
        for side in range(2):
            try:
                sides[side].do_handshake()
                done[side] = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                done = [True, True]
            said = ways[side][1].read()
            if said:
                connection.say(side, said)
                ways[not side][0].write(said)
        if all(done):
            break
    return connection


def client_hello(ciphers, extensions, version=0x0303):
    """Extensions as pairs of type and bytes; in a record."""
    listed = b"".join(struct.pack("!HH", kind, len(data)) + data for kind, data in extensions)
    offered = b"".join(struct.pack("!H", cipher) for cipher in ciphers)
    body = struct.pack("!H32sB", version, bytes(32), 0) + struct.pack("!H", len(offered)) + offered + b"\1\0"
    body += struct.pack("!H", len(listed)) + listed
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack("!H", len(message)) + message
