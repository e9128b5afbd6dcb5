"""The peers: what the build found, what it did not, and what the user adds."""

import json
import os
import subprocess
from dataclasses import dataclass

import results


class PeerFailed(Exception):
    """It cannot do what it was asked for, and is left out of that."""


@dataclass(frozen=True)
class Peer:
    name: str
    program: str  # path; empty where it is missing
    preload: str = ""
    package: str = ""

    @property
    def general(self):
        return os.path.basename(self.program) == "bench-malloc"

    @property
    def missing(self):
        return not self.program

    @property
    def version(self):
        if self.package:
            return package_version(self.package)
        return os.path.realpath(self.preload) if self.preload else ""

    def environment(self):
        environment = dict(os.environ)
        environment.pop("LD_PRELOAD", None)
        if self.preload:
            environment["LD_PRELOAD"] = self.preload
        return environment


def package_version(package):
    """Debian's number for it; empty elsewhere."""
    try:
        query = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    except OSError:
        return ""
    return query.stdout if query.returncode == 0 else ""


def from_build(folder):
    """What bench/meson.build wrote down: keyslab, then those that take malloc's place, then the others."""
    try:
        with open(os.path.join(folder, "peers.json"), encoding="utf-8") as file:
            entries = json.load(file)
    except OSError as error:
        raise ValueError(f"--build {folder}: nothing is built there: {error.strerror}") from error
    peers = [Peer(entry["name"], os.path.join(folder, entry["program"]) if entry["program"] else "",
                  entry["preload"] and os.path.realpath(entry["preload"]), entry["package"]) for entry in entries]
    return sorted(peers, key=lambda peer: (peer.name != results.OURS, not peer.general))


def added(text, folder):
    """One of --preload NAME=LIBRARY; ValueError says what is wrong with it."""
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise ValueError(f"--preload {text}: NAME=LIBRARY is expected")
    if not os.path.isfile(path):
        raise ValueError(f"--preload {text}: there is no file {path}")
    return Peer(name, os.path.join(folder, "bench-malloc"), os.path.abspath(path))


def chosen(found, names):
    """Those that were asked for, and keyslab; ValueError names one that cannot be had."""
    known = {peer.name: peer for peer in found}
    for name in names:
        if name not in known:
            raise ValueError(f"--peers {name}: no such peer; there are {', '.join(known)}")
        if known[name].missing:
            raise ValueError(f"--peers {name}: it is not installed; the package is {known[name].package}")
    return [peer for peer in found if peer.name in names or peer.name == results.OURS]
