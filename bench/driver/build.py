"""Installs and builds what is missing, as tools/check does."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "build-bench")

INSTALL = """
set -eu
. tools/packages.sh
install_missing $packages_bench
"""

BUILD = """
set -eu
. tools/packages.sh
configure build-bench -Dbench=enabled -Dtools=enabled -Dtests=disabled
ninja -C build-bench --quiet
"""


def programs():
    """The folder of the programs; ends with status 1 where they cannot be built."""
    if subprocess.run(["sh", "-c", INSTALL], cwd=ROOT, stdout=sys.stderr).returncode:
        sys.exit("bench: not everything could be installed")
    if sys.stderr.isatty():
        sys.stderr.write("building in build-bench, a minute when it is new")
        sys.stderr.flush()
    built = subprocess.run(["sh", "-c", BUILD], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    if built.returncode:
        sys.exit(f"{built.stdout}bench: the programs were not built")
    return os.path.join(FOLDER, "bench")
