"""What tshark says of a capture, in the words of our experts."""

import collections
import functools
import hashlib
import subprocess

TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS", 255: "ANY"}
RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"]
VERSIONS = {0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3"}
ENDS = ("frame.protocols", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport")


@functools.lru_cache
def fields(path, display, names):
    """A list of texts for each frame; several values of one field with | between them. tshark takes its time: asked again, it is not run again."""
    command = ["tshark", "-n", "-r", path, "-Y", display, "-T", "fields", "-E", "aggregator=|", "-E", "occurrence=a",
               "-o", "tcp.reassemble_out_of_order:TRUE"]
    for field in names:
        command += ["-e", field]
    text = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    return [line.split("\t") for line in text.split("\n") if line]


def first(text):
    return text.split("|")[0]


def ends(row):
    """Those of the first TCP header: addresses of the IP header before it, of which there may be more around and inside."""
    layers = row[0].split(":")
    around = layers[:layers.index("tcp")]
    version = next(layer for layer in reversed(around) if layer in ("ip", "ipv6"))
    place = around.count(version) - 1
    column = 1 if version == "ip" else 2
    texts = []
    for at in (column, column + 3):
        address = row[at].split("|")[place]
        port = first(row[3 if at < 3 else 6])
        texts.append(("%s:%s" if version == "ip" else "[%s]:%s") % (address, port))
    return tuple(texts)


def dns(path):
    """Queries by name and type, responses by name, type and result, and the latencies in milliseconds, all of them counted."""
    rows = fields(path, "dns && (udp.port == 53 || tcp.port == 53)",
                  ("dns.id", "dns.flags.response", "dns.flags.rcode", "dns.qry.name", "dns.qry.type", "dns.time",
                   "dns.retransmit_response"))
    queries, responses, times = collections.Counter(), collections.Counter(), []
    for ids, is_response, rcode, name, kind, time, again in rows:
        messages = len(ids.split("|"))
        split = [v.split("|") for v in (is_response, name, kind)]
        rcodes = iter(rcode.split("|"))
        for i in range(messages):
            asked = ("" if split[1][i] == "<Root>" else split[1][i], TYPES.get(int(split[2][i]), "TYPE" + split[2][i]))
            if split[0][i] == "1":
                responses[asked + (RCODES[int(next(rcodes))],)] += 1
            else:
                queries[asked] += 1
        if time and not again:
            times += [float(t) * 1000 for t in time.split("|")]
    return queries, responses, sorted(times)


def numbers(text):
    """Without those that clients make up to keep servers tolerant."""
    found = [int(value, 0) for value in text.split("|") if value]
    return [n for n in found if n & 0x0F0F != 0x0A0A or n >> 8 != n & 0xFF]


def ja4_hash(values, algorithms=()):
    text = ",".join("%04x" % v for v in values)
    if algorithms:
        text += "_" + ",".join("%04x" % v for v in algorithms)
    return hashlib.sha256(text.encode()).hexdigest()[:12] if values else "0" * 12


def ja4(version, ciphers, extensions, algorithms, protocols):
    """By the published description, from what tshark has read."""
    names = {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10", 0x300: "s3"}
    protocol = protocols[0] if protocols else "00"
    hashed = sorted(set(extensions) - {0, 16})
    return "t%s%s%02d%02d%s_%s_%s" % (names[version], "d" if 0 in extensions else "i", min(len(ciphers), 99),
                                      min(len(extensions), 99), protocol[0] + protocol[-1], ja4_hash(sorted(ciphers)),
                                      ja4_hash(hashed, algorithms))


def tls(path):
    """By client and server: name, offered protocols, fingerprint, and of the server version and cipher; of the first client's."""
    rows = fields(path, "tcp && tls.handshake.type in {1, 2}", ENDS + (
        "tls.handshake.type", "tls.handshake.version", "tls.handshake.extensions.supported_version", "tls.handshake.ciphersuite",
        "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str", "tls.handshake.extension.type",
        "tls.handshake.sig_hash_alg"))
    clients = [row for row in rows if first(row[7]) == "1"]
    servers = [row for row in rows if first(row[7]) == "2"]
    said = {}
    for row in clients:
        version, supported, ciphers, name, alpn, extensions, algorithms = row[8:]
        protocols = alpn.split("|") if alpn else []
        offered = max(numbers(supported) or numbers(version))
        fingerprint = ja4(offered, numbers(ciphers), numbers(extensions), numbers(algorithms), protocols)
        said.setdefault(ends(row), [name, ",".join(protocols), fingerprint, "", ""])
    for row in servers:
        version, supported, cipher = (first(value) for value in row[8:11])
        both = said.setdefault(ends(row)[::-1], ["", "", "", "", ""])
        both[3:] = [VERSIONS[int(supported or version, 0)], "0x%04x" % int(cipher, 0)]
    return {key: tuple(value) for key, value in said.items()}


def segments(path):
    """Of each TCP segment its ends, its length, and what tshark has found: four kinds of trouble, a round trip, and something unseen."""
    return fields(path, "tcp", ENDS + ("tcp.len", "tcp.analysis.retransmission", "tcp.analysis.out_of_order",
                                       "tcp.analysis.duplicate_ack", "tcp.analysis.zero_window", "tcp.analysis.ack_rtt",
                                       "tcp.analysis.ack_lost_segment"))


def health(path):
    """By source and destination: segments, bytes, and what went wrong."""
    counts = collections.defaultdict(lambda: [0] * 6)
    for row in segments(path):
        found = counts[ends(row)]
        found[0] += 1
        found[1] += int(first(row[7]))
        for i in range(4):
            found[2 + i] += bool(row[8 + i])
    return {key: tuple(value) for key, value in counts.items()}


def unseen(path):
    """Ends of connections in which something was acknowledged that had not been captured up to then."""
    return {key for row in segments(path) if row[13] for key in (ends(row), ends(row)[::-1])}


def round_trips(path):
    """By source and destination, how long its segments waited for their acknowledgement: least and most, in milliseconds."""
    times = collections.defaultdict(list)
    for row in segments(path):
        if row[12]:
            times[ends(row)[::-1]].append(float(first(row[12])) * 1000)
    return {key: (min(value), max(value)) for key, value in times.items()}
