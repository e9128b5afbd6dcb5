"""The installed library, as a program of somebody else's finds it: headers, pkg-config, shared and static.

    test_install.py BUILD-ROOT SOURCE-ROOT
"""

import os
import subprocess
import sys
import tempfile
import unittest

BUILD, ROOT = sys.argv[1:3]

PROGRAM = """
#include <keyslab/keyslab.h>
#include <netmon.h>
#include <stdio.h>
#include <stdlib.h>

struct _TALLY;
BOOL WINAPI Tally(HEXPERTKEY hExpertKey, LPVOID pFrame, SIZE_T nFrame, struct _TALLY **ppTally);

int main(void)
{
    ks_key_t key;
    struct _TALLY *tally = NULL;
    if (ks_key_create(NULL, &key) != KS_OK || !Tally((HEXPERTKEY)key, "frame", 5, &tally))
        return 1;
    /* The program's own malloc is not keyslab's jemalloc: its blocks are foreign. */
    void *own = malloc(64);
    if (ks_free(key, own) != KS_BAD_BLOCK)
        return 2;
    free(own);
    printf("%s\\n", ks_version());
    return ks_key_destroy(key) != KS_OK;
}
"""


def output(*command, **kwargs):
    return subprocess.run(command, check=True, capture_output=True, text=True, **kwargs).stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = cls.folder.name
        output("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root)
        cls.pkgconfig = cls.find("keyslab.pc")
        cls.libraries = os.path.dirname(cls.find("libkeyslab.so"))
        cls.environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(cls.pkgconfig),
                               PKG_CONFIG_SYSROOT_DIR=root, LD_LIBRARY_PATH=cls.libraries)
        with open(os.path.join(root, "program.c"), "w") as file:
            file.write(PROGRAM)
        cls.sources = [os.path.join(root, "program.c"), os.path.join(ROOT, "tests", "netmon_source.c")]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def find(cls, name):
        for folder, _, files in os.walk(cls.folder.name):
            if name in files:
                return os.path.join(folder, name)
        raise FileNotFoundError(name)

    def build(self, name, *flags):
        program = os.path.join(self.folder.name, name)
        output("cc", "-Wall", "-Werror", "-o", program, *self.sources, *flags)
        return output(program, env=self.environment)

    def flags(self, *arguments):
        return output("pkg-config", *arguments, "keyslab-netmon", env=self.environment).split()

    def test_shared(self):
        self.assertRegex(self.build("shared", *self.flags("--cflags", "--libs")), r"^\d+\.\d+\.\d+\n$")

    def test_static(self):
        archive = os.path.join(self.libraries, "libkeyslab.a")
        flags = [f for f in self.flags("--cflags", "--libs", "--static") if f != "-lkeyslab"]
        self.assertRegex(self.build("static", *flags[:1], archive, *flags[1:]), r"^\d+\.\d+\.\d+\n$")

    def test_symbols(self):
        names = {line.split()[-1].split("@")[0] for line in
                 output("nm", "-D", "--defined-only", os.path.join(self.libraries, "libkeyslab.so")).splitlines()}
        strangers = {n for n in names if not n.startswith(("ks_", "Expert", "KEYSLAB_"))}
        self.assertEqual(strangers, set())

    def test_malloc(self):
        library = os.path.join(self.libraries, "libkeyslab-malloc.so")
        maps = output("cat", "/proc/self/maps", env=dict(os.environ, LD_PRELOAD=library))
        self.assertIn(library, maps)
        self.find("keyslab-malloc.7")

    def test_program(self):
        program = self.find("keyslab")
        self.assertIn("usage: keyslab", output(program, "--help", env=self.environment))
        self.assertRegex(output(program, "--version", env=self.environment), r"^keyslab \d+\.\d+\.\d+\n$")
        text = output(program, "run", "-c", "100", os.path.join(ROOT, "tools", "sample.pcap.gz"), env=self.environment)
        self.assertIn("100 frames", text)
        trace = os.path.join(self.folder.name, "trace.kst")
        output(program, "record", "-o", trace, "--", "ls", env=self.environment)
        self.assertIn("key ls", output(program, "tune", trace, env=self.environment))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
