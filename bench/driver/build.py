"""Installs and builds what is missing, as tools/check does."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "build-bench")

COMMANDS = """
set -eu
cd "$1"
. tools/packages.sh
install_missing $packages_bench
configure build-bench -Dbench=enabled -Dtools=enabled -Dtests=disabled
ninja -C build-bench --quiet
"""


def programs():
    """The folder of the programs; ends with status 1 where they cannot be built."""
    if sys.stderr.isatty():
        sys.stderr.write("building the programs in build-bench\n")
    done = subprocess.run(["sh", "-c", COMMANDS, "sh", ROOT], stdout=sys.stderr)
    if done.returncode:
        sys.exit("bench: the programs were not built")
    return os.path.join(FOLDER, "bench")
