"""Programs that know nothing of keyslab: with libkeyslab-malloc.so they do what they do without.

    test_programs.py LIBRARY SOURCE-ROOT
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

LIBRARY, ROOT = (os.path.abspath(path) for path in sys.argv[1:3])
sys.path.insert(0, os.path.join(ROOT, "tools"))
import workloads  # noqa: E402

SIZE = 0.2
LITTLE_SPACE = 256 << 20


class Programs(unittest.TestCase):
    """A test for each workload is added below."""

    def check(self, kind, prefix=()):
        missing = kind.missing()
        if missing:
            self.skipTest("%s is not installed" % ", ".join(missing))
        with tempfile.TemporaryDirectory() as folder:
            workload = kind(folder, SIZE)
            workload.prepare()
            without = workload.run(workloads.Launcher())
            self.assertGreater(len(without), 1000)
            launcher = workloads.Launcher(LIBRARY)
            launcher.prefix += prefix
            self.assertEqual(workload.run(launcher), without)


def name_of(kind):
    return "test_" + kind.name.replace("-", "_")


for each in workloads.ALL:
    setattr(Programs, name_of(each), lambda self, kind=each: self.check(kind))
for each in (workloads.Python, workloads.Sqlite, workloads.Nginx, workloads.Redis):
    setattr(Programs, name_of(each) + "_in_little_address_space",
            lambda self, kind=each: self.check(kind, ["prlimit", "--as=%d" % LITTLE_SPACE]))


class Loaded(unittest.TestCase):
    def test_it_is_really_there(self):
        maps = workloads.Launcher(LIBRARY).run(["cat", "/proc/self/maps"]).decode()
        self.assertIn(os.path.basename(LIBRARY), maps)

    def test_only_the_malloc_family_is_exported(self):
        text = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], check=True, capture_output=True, text=True).stdout
        names = {line.split()[-1] for line in text.splitlines()}
        family = {"malloc", "calloc", "realloc", "reallocarray", "free", "posix_memalign", "aligned_alloc", "memalign",
                  "valloc", "pvalloc", "malloc_usable_size", "malloc_trim", "malloc_stats", "malloc_info", "mallinfo",
                  "mallinfo2", "mallopt"}
        internal = {"__libc_" + name for name in ("malloc", "calloc", "realloc", "free", "memalign", "valloc", "pvalloc")}
        self.assertEqual(names, family | internal)

    def test_malloc_calls_nothing_through_the_plt(self):
        """What every call goes through is in the library itself."""
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", LIBRARY], check=True, capture_output=True,
                              text=True).stdout
        for name in ("malloc", "free"):
            body = text.split("<__libc_%s>:\n" % name)[1].split("\n\n")[0]
            self.assertEqual(re.findall(r"(?:call|jmp) .*<(?!__assert_fail)\S+@plt>", body), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
