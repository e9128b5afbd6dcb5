"""docs/write-an-expert.md: its commands, typed as they are shown, say what is shown, and its code is that of the expert.

    test_tutorial.py BUILD-ROOT SOURCE-ROOT
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

BUILD, ROOT = sys.argv[1:3]
with open(os.path.join(ROOT, "docs", "write-an-expert.md"), encoding="utf-8") as document:
    BLOCKS = re.findall(r"^```(\S+)\n(.*?)^```$", document.read(), re.M | re.S)


def blocks(kind):
    return [text for name, text in BLOCKS if name == kind]


def commands(block):
    """Each command with the lines that it is shown to print."""
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def pattern(shown):
    """`...` in a line is the rest of it; alone, any lines."""
    parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", shown, flags=re.M)]
    return re.compile("(?:.*\n)*".join(part.replace(re.escape("..."), ".*") for part in parts) + r"\Z")


class Tutorial(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = cls.folder.name
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root], check=True)
        cls.work = os.path.join(root, "work")
        os.mkdir(cls.work)
        os.symlink(os.path.join(ROOT, "tools"), os.path.join(cls.work, "tools"))
        found = {name: folder for folder, _, files in os.walk(root) for name in files}
        cls.environment = dict(os.environ, PKG_CONFIG_PATH=found["keyslab-netmon.pc"], PKG_CONFIG_SYSROOT_DIR=root,
                               PATH=found["keyslab"] + ":" + os.environ["PATH"], LD_LIBRARY_PATH=found["libkeyslab.so"])
        for name, text in BLOCKS:
            if name == "meson" or name.endswith(".c"):
                with open(os.path.join(cls.work, "meson.build" if name == "meson" else name), "w", encoding="utf-8") as file:
                    file.write(text)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def type(self, command):
        return subprocess.run(command, shell=True, cwd=self.work, env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)

    def follow(self, block):
        for command, shown in commands(block):
            result = self.type(command)
            self.assertRegex(result.stdout, pattern(shown), command)
        return result

    def test_commands(self):
        self.assertGreater(len(blocks("console")), 3)
        for block in blocks("console"):
            self.assertEqual(self.follow(block).returncode, 0, block)

    def test_failure(self):
        if "--expert-timeout" not in self.type("keyslab run --help").stdout:
            self.skipTest("this host does not contain faults")
        self.assertEqual(self.type("cp tools/experts/connects.c . && "
                                   "cc -shared -fPIC -o connects.so connects.c $(pkg-config --cflags keyslab-netmon)").returncode, 0)
        self.assertEqual(self.follow(blocks("failure")[0]).returncode, 3)

    @unittest.skipIf(os.geteuid(), "live captures are root's")
    def test_live(self):
        (command, _), = commands(blocks("live")[0])
        self.type("cc -shared -fPIC -o connects.so tools/experts/connects.c $(pkg-config --cflags keyslab-netmon)")
        result = self.type(command.replace("sudo ", "timeout -s INT 1 "))
        self.assertIn(result.returncode, (0, 124), result.stdout)
        self.assertIn("frames", result.stdout)

    def test_code(self):
        with open(os.path.join(ROOT, "tools", "experts", "connects.c"), encoding="utf-8") as file:
            source = file.read()
        self.assertLess(source.count("\n"), 80)
        self.assertGreater(len(blocks("c")), 3)
        for block in blocks("c"):
            self.assertIn(block, source)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
