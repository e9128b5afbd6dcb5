"""Misuses of the malloc family under libkeyslab-malloc.so: the exact line and exit status, with each setting; and lives that
begin before constructors and end after main.

    test_malloc_misuse.py LIBRARY MISUSE-PROGRAM LIFE-PROGRAM [CPP-PROGRAM]
"""

import os
import signal
import subprocess
import sys
import unittest

LIBRARY, MISUSE, LIFE = (os.path.abspath(path) for path in sys.argv[1:4])
CPP = os.path.abspath(sys.argv[4]) if len(sys.argv) > 4 else None
SETTING = "KEYSLAB_MALLOC_ON_ERROR"

CASES = {
    "double free": "free({0}): double free of a block of 112 bytes",
    "double free of large": "free({0}): double free of a block of {large} bytes",
    "free of interior": "free({0}): not the address of a block",
    "free of stack": "free({0}): not the address of a block",
    "free of mapping": "free({0}): not the address of a block",
    "free of garbage": "free({0}): not the address of a block",
    "realloc of freed": "realloc({0}): double free of a block of 112 bytes",
    "realloc of foreign": "realloc({0}): not the address of a block",
    "size of freed": "malloc_usable_size({0}): not the address of a live block",
    "double free away": "free({0}): double free of a block of 112 bytes, found when it came home from another thread",
    "free in destructor": "free({0}): double free of a block of 112 bytes",
}
LARGE = "524288"


def run(*command, setting=None, library=LIBRARY):
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    environment["LD_PRELOAD"] = library
    if setting is not None:
        environment[SETTING] = setting
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


class Misuse(unittest.TestCase):
    def check(self, case, setting, says, dies):
        result = run(MISUSE, case, setting=setting)
        lines = result.stdout.splitlines()
        expected = "keyslab-malloc: %s\n" % CASES[case].format(lines[0], large=LARGE) if says else ""
        self.assertEqual(result.stderr, expected)
        self.assertEqual(result.returncode, -signal.SIGABRT if dies else 0)
        went_on = not dies or case == "free in destructor"
        self.assertEqual(lines[1:], ["went on"] if went_on else [])

    def test_every_case_with_every_setting(self):
        for case in CASES:
            for setting, says, dies in ((None, True, True), ("abort", True, True), ("log", True, False),
                                        ("ignore", False, False)):
                with self.subTest(case=case, setting=setting):
                    self.check(case, setting, says, dies)

    def test_unknown_setting_is_told_once(self):
        told = "keyslab-malloc: %s=%s: not one of ignore, log, abort: abort it is\n"
        for value in ("", "Abort", "logs", "x" * 5000):
            result = run("true", setting=value)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stderr[:60], (told % (SETTING, value))[:60])
            self.assertEqual(result.stderr.count("\n"), 1)
            if len(value) < 100:
                self.assertEqual(result.stderr, told % (SETTING, value))
        result = run(MISUSE, "double free", setting="nonsense")
        self.assertEqual(result.returncode, -signal.SIGABRT)
        self.assertEqual(len(result.stderr.splitlines()), 2)

    def test_nowhere_to_write(self):
        """A closed standard error changes nothing about the end."""
        result = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", MISUSE, "double free"],
                                env=dict(os.environ, LD_PRELOAD=LIBRARY), capture_output=True, text=True)
        self.assertEqual(result.returncode, -signal.SIGABRT)


class Life(unittest.TestCase):
    def test_before_constructors_to_after_main(self):
        for _ in range(20):
            result = run(LIFE)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "lived\n", ""))

    def test_address_space_is_limited(self):
        for kib in (40000, 64 << 10, 600000, 4000000):
            result = run("sh", "-c", 'ulimit -v %d; exec "$0"' % kib, LIFE)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "lived\n", ""))

    def test_too_little_address_space_is_no_memory(self):
        result = run("sh", "-c", 'ulimit -v 6500; exec "$0"', LIFE)
        self.assertEqual((result.returncode, result.stdout), (4, ""))

    @unittest.skipUnless(CPP, "no C++ compiler was configured")
    def test_cpp(self):
        result = run(CPP)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "done\n", ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
