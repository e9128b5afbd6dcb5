"""Address space under libkeyslab-malloc.so: how little a program takes, and programs that limit it, or are limited, before and
while they run.

    test_malloc_space.py LIBRARY PROGRAM
"""

import os
import re
import resource
import subprocess
import sys
import unittest

LIBRARY, PROGRAM = (os.path.abspath(path) for path in sys.argv[1:3])
MIB = 1 << 20

IMPORTS_AND_A_THREAD = """
import threading, decimal, json
thread = threading.Thread(target=lambda: print(len(json.dumps(list(range(100000))))))
thread.start()
thread.join()
"""
OBEYS = """
import sys
print("ready", flush=True)
sys.stdin.readline()
try:
    bytearray(600 << 20)
    print("too much")
except MemoryError:
    print("no memory")
"""


def environment(library):
    return dict(os.environ, LD_PRELOAD=library)


def run(*command, library=LIBRARY):
    result = subprocess.run(command, env=environment(library), capture_output=True, text=True, timeout=120)
    return result.returncode, result.stdout, result.stderr


def size_of_cat(library):
    """KiB of address space of a program that does nothing."""
    text = run("cat", "/proc/self/status", library=library)[1]
    return int(re.search(r"^VmSize:\s*(\d+) kB$", text, re.M)[1])


class Space(unittest.TestCase):
    def test_a_program_that_does_nothing_takes_little(self):
        self.assertLess(size_of_cat(LIBRARY) - size_of_cat(""), 16 << 10)

    def test_a_life_within_a_limit(self):
        for mib in (64, 256, 1024, 4096, 102400):
            for first in (0, 50, 5000000):
                with self.subTest(mib=mib, first=first):
                    self.assertEqual(run(PROGRAM, str(mib), str(first)), (0, "lived\n", ""))

    def test_a_limit_that_is_there_already(self):
        for kib in (65536, 262144, 4 << 20):
            with self.subTest(kib=kib):
                life = 'ulimit -v %d; exec "$@"' % kib
                self.assertEqual(run("sh", "-c", life, "sh", PROGRAM, "48", "0"), (0, "lived\n", ""))

    def test_an_interpreter_that_limits_itself(self):
        for mib in (256, 4096):
            limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (%d, %d))\n" % (mib * MIB, mib * MIB)
            self.assertEqual(run("/usr/bin/env", "python3", "-c", limit + IMPORTS_AND_A_THREAD), (0, "688890\n", ""))

    def test_a_limit_that_comes_while_it_runs(self):
        for limit, says in ((resource.RLIM_INFINITY, "too much\n"), (512 * MIB, "no memory\n")):
            with subprocess.Popen([sys.executable, "-c", OBEYS], env=environment(LIBRARY), text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) as program:
                self.assertEqual(program.stdout.readline(), "ready\n")
                resource.prlimit(program.pid, resource.RLIMIT_AS, (limit, limit))
                self.assertEqual(program.communicate("\n", timeout=120)[0], says)
                self.assertEqual(program.returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
