"""What --sizes may be: an IMIX genome (RFC 6985), a histogram in JSON, or a capture.

The programs get SIZE:WEIGHT,...
"""

import json
import os
import re
import subprocess
from collections import Counter

# RFC 6985, section 4. Frames of the path's MTU (z) have no size of their own.
GENOME = {"a": 64, "b": 128, "c": 256, "d": 512, "e": 1024, "f": 1280, "g": 1518, "h": 2112, "i": 9216, "j": 16000}

# The simple IMIX: seven of 64 bytes, four of 594, one of 1,518.
DEFAULT = "aaaaaaaAAAAg,A=594"


def of_genome(text):
    """A letter for each frame, in capitals what is defined behind it: "aaaaaaaAAAAg,A=594"."""
    letters, *definitions = text.split(",")
    known = dict(GENOME)
    for definition in definitions:
        match = re.fullmatch(r"([A-Z])=([1-9]\d{0,6})", definition)
        if not match:
            raise ValueError(f"--sizes {text}: {definition}: a capital letter, = and a size are expected")
        known[match[1]] = int(match[2])
    for letter in letters:
        if letter not in known:
            raise ValueError(f"--sizes {text}: no file, and {letter!r} is no size of an IMIX genome")
    return Counter(known[letter] for letter in letters)


def of_histogram(path):
    """{"SIZE": COUNT, ...}"""
    try:
        with open(path, encoding="utf-8") as file:
            counts = {int(size): float(count) for size, count in json.load(file).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"--sizes {path}: no histogram of sizes: {error}") from error
    if not counts or any(size < 1 or count <= 0 for size, count in counts.items()):
        raise ValueError(f"--sizes {path}: sizes and counts above zero are expected")
    return counts


def of_capture(path, program):
    try:
        tool = subprocess.run([program, f"--print-sizes={path}"], capture_output=True, text=True)
    except OSError as error:
        raise ValueError(f"--sizes {path}: {program}: {error.strerror}") from error
    if tool.returncode != 0:
        raise ValueError(f"--sizes {path}: {tool.stderr.strip()}")
    return tool.stdout.strip()


def for_programs(text, program):
    """ValueError says what is wrong."""
    if os.path.isfile(text) and not text.endswith(".json"):
        return of_capture(text, program)
    counts = of_histogram(text) if os.path.isfile(text) or text.endswith(".json") else of_genome(text)
    return ",".join(f"{size}:{count:g}" for size, count in sorted(counts.items()))
