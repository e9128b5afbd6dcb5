"""Which peers and rows are run: by name and pattern, else what the report that was asked for shows."""

import os

import build
import peers as all_peers
from microbenchmarks import Microbenchmarks
from programs import Programs
from results import workload_of
from sizes import for_programs

SAMPLE = os.path.join(build.ROOT, "tools", "sample.pcap.gz")


def settings_of(options, folder):
    """What the build's programs are told."""
    capture = options.capture or SAMPLE
    if not os.path.isfile(capture):
        raise ValueError(f"--capture {capture}: there is no such file")
    settings = [f"--seconds={options.seconds:g}",
                f"--sizes={for_programs(options.sizes, os.path.join(folder, 'bench-malloc'))}",
                f"--capture={os.path.abspath(capture)}"]
    return settings + ["--quick"] if options.quick else settings


def peers_of(options, folder):
    """Those to run, and those that would be run if they were installed."""
    found = all_peers.from_build(folder) + [all_peers.added(text, folder) for text in options.preload]
    names = [peer.name for peer in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--preload {name}: there is a peer of that name")
    if options.peers:
        added = [text.partition("=")[0] for text in options.preload]
        return all_peers.chosen(found, options.peers + added), []
    found = [peer for peer in found if options.wants_peer(peer)]
    return [peer for peer in found if not peer.missing], [peer for peer in found if peer.missing]


class Rows:
    """`sources`: what measures each row. keyslab does every row: where it does not even list them, PeerFailed."""

    def __init__(self, options, folder, keyslab, scratch):
        self.sources = {}
        self.missing = []  # programs
        self.wants = options.wants_row
        if not options.programs:
            self.add_microbenchmarks(Microbenchmarks(settings_of(options, folder)), keyslab, options)
        if options.programs or options.filter:
            self.add_programs(Programs(folder, options.quick, scratch), keyslab, options)
        if not self.sources:
            pattern = options.filter.pattern if options.filter else ""
            raise ValueError(f"--filter {pattern}: finds no row; --list shows them")

    def add(self, source, rows):
        self.sources |= {row: source for row in rows if self.wants(row)}

    def add_microbenchmarks(self, source, keyslab, options):
        rows = source.rows_of(keyslab)
        if options.capture and "capture" not in map(workload_of, rows):
            raise ValueError("--capture: the programs were built without libpcap, which reads captures")
        self.add(source, rows)

    def add_programs(self, source, keyslab, options):
        if source.built:
            self.add(source, source.rows_of(keyslab))
            self.missing = [name for row, name in source.missing.items() if self.wants(row)]
        elif options.programs:
            raise ValueError(f"--programs: {source.library} or {source.launcher} is not built")
