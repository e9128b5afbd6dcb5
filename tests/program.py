"""What tests of the program share: a folder, inputs in it, and `keyslab` run there.

The tests are run with KEYSLAB MAKE-TRACE ODD-EXPERT SOURCE-ROOT.
"""

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

KEYSLAB, MAKE_TRACE, ODD_EXPERT, ROOT = map(os.path.abspath, sys.argv[1:5])
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
SANITIZED = "asan" in os.path.realpath(KEYSLAB)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CONFIG = "[defaults]\nflush = 9\n"


def signals_as(ignored=()):
    """For a child: those that end it do, whatever this process has inherited."""
    def prepare():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    return prepare


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.temporary = self.path("tmp")
        os.mkdir(self.temporary)
        self.environment = dict(os.environ, TMPDIR=self.temporary, LC_ALL="C.UTF-8")

    def tearDown(self):
        self.assertEqual(os.listdir(self.temporary), [])
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w", newline="") as file:
            file.write(text)
        return path

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def capture(self):
        """The sample's beginning, which is soon read; the same file again for whoever asks again."""
        path = self.path("short.pcap")
        if os.path.exists(path):
            return path
        with gzip.open(SAMPLE) as sample:
            data = sample.read(24)
            for _ in range(200):
                header = sample.read(16)
                data += header + sample.read(struct.unpack("<8xI4x", header)[0])
        with open(path, "wb") as file:
            file.write(data)
        return path

    def trace(self, events="30000"):
        path = self.path("t.kst")
        subprocess.run([MAKE_TRACE, path, events, "1000"], check=True)
        return path

    def run_it(self, *arguments, **more):
        more = {"stdout": subprocess.PIPE, "cwd": self.folder.name, **more}
        done = subprocess.run([KEYSLAB, *arguments], stderr=subprocess.PIPE, timeout=120, env=self.environment, check=False, **more)
        done.message = done.stderr.decode(errors="replace")
        return done

    def report(self, *arguments, status=0, **more):
        done = self.run_it(*arguments, **more)
        self.assertEqual(done.returncode, status, done.message)
        return json.loads(done.stdout.decode("utf-8"))

    def start(self, *arguments, ignored=(), **more):
        """In the background; a test that fails leaves nothing behind."""
        process = subprocess.Popen([KEYSLAB, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment,
                                   cwd=self.folder.name, preexec_fn=signals_as(ignored), **more)
        self.addCleanup(process.kill)
        return process
