"""Programs that know nothing of keyslab: with libkeyslab-malloc.so they do what they do without.

    test_programs.py LIBRARY SOURCE-ROOT
"""

import json
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
WAIT_SECONDS = 300


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


class Bench(unittest.TestCase):
    """tools/bench-programs, on little work."""

    BUILD = os.path.dirname(os.path.dirname(os.path.dirname(LIBRARY)))

    def bench(self, *arguments):
        return subprocess.run([os.path.join(ROOT, "tools", "bench-programs"), "--build", self.BUILD, *arguments],
                              capture_output=True, text=True, timeout=WAIT_SECONDS)

    @unittest.skipIf(workloads.Git.missing(), "git is not installed")
    def test_figures(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "figures.json")
            result = self.bench("--quick", "--rounds", "2", "--json", path, "--preload", "again=" + LIBRARY, "git")
            self.assertEqual(result.returncode, 0, result.stderr)
            with open(path) as file:
                results = json.load(file)
        self.assertEqual(results["rounds"], 2)
        program, = results["programs"]
        self.assertEqual((program["program"], program["packets"]), ("git", False))
        self.assertLessEqual({"keyslab", "glibc", "again"}, set(program["allocators"]))
        for name, figures in program["allocators"].items():
            self.assertIn(name, result.stdout)
            for figure in ("wall", "cpu", "peak"):
                self.assertGreater(figures[figure]["low"], 0)
                self.assertLessEqual(figures[figure]["low"], figures[figure]["median"])
                self.assertLessEqual(figures[figure]["median"], figures[figure]["high"])
        # The launcher's own peak is not in it: git's is a few MiB.
        self.assertLess(program["allocators"]["glibc"]["peak"]["median"], 10 << 20)
        for ratio in program["ratios"].values():
            self.assertIn(ratio["best"], program["allocators"])
            self.assertGreater(ratio["ratio"], 0.1)

    def test_usage(self):
        for arguments, text in ((["nothing"], "nothing: no such program"), (["--rounds", "0", "git"], "1 or more"),
                                (["--preload", "x=/nonexistent.so", "git"], "/nonexistent.so"),
                                (["--preload", LIBRARY], "NAME="), (["--build", "/nonexistent"], "/nonexistent/")):
            result = self.bench(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn(text, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
