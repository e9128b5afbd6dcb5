"""The installed library, as a program of somebody else's finds it: headers, pkg-config, shared and static.

    test_install.py BUILD-ROOT SOURCE-ROOT JEMALLOC
"""

import os
import subprocess
import sys
import tempfile
import unittest

BUILD, ROOT, OPTION = sys.argv[1:4]

PROGRAM = """
#include <keyslab/inline.h>
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
    struct ks_key_stats stats;
    if (ks_key_stats((ks_key_t)key, &stats) != KS_OK)
        return 3;
    printf("%s %s\\n", ks_version(), stats.backend == KS_BACKEND_JEMALLOC ? "jemalloc" : "extents");
    return ks_key_destroy(key) != KS_OK;
}
"""


HOST = """
project('host', 'c')
keyslab = dependency(
    'keyslab',
    fallback: 'keyslab',
    default_options: ['tools=disabled', 'tests=disabled', 'bench=disabled'],
)
executable('host', 'host.c', dependencies: keyslab)
"""

HOST_C = """
#include "subprojects/keyslab/tests/late_plugin.c"
#include <stdio.h>

int main(void)
{
    printf("%d\\n", plugin_use());
    return 0;
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

    def build(self, name, *flags, **environment):
        program = os.path.join(self.folder.name, name)
        output("cc", "-Wall", "-Werror", "-o", program, *self.sources, *flags)
        return output(program, env=dict(self.environment, **environment))

    def flags(self, *arguments, package="keyslab-netmon"):
        return output("pkg-config", *arguments, package, env=self.environment).split()

    def flags_static(self, **package):
        flags = self.flags("--cflags", "--libs", "--static", **package)
        return ["-l:libkeyslab.a" if f == "-lkeyslab" else f for f in flags]

    def test_shared(self):
        self.assertRegex(self.build("shared", *self.flags("--cflags", "--libs")), r"^\d+\.\d+\.\d+ jemalloc\n$")

    def test_jemalloc_is_found_beside_the_library(self):
        flags = self.flags("--cflags", "--libs") + ["-Wl,-rpath," + self.libraries]
        self.assertRegex(self.build("beside", *flags, LD_LIBRARY_PATH=""), r" jemalloc\n$")

    def test_static(self):
        self.assertRegex(self.build("static", *self.flags_static()), r"^\d+\.\d+\.\d+ extents\n$")

    def test_static_with_jemalloc(self):
        flags = self.flags_static() + self.flags_static(package="keyslab-jemalloc")
        self.assertRegex(self.build("static-jemalloc", *flags), r"^\d+\.\d+\.\d+ jemalloc\n$")
        if OPTION == "private" and os.path.exists(output("cc", "-print-file-name=libinih.a").strip()):
            self.assertRegex(self.build("whole", "-static", *flags), r" jemalloc\n$")

    def test_plugins_open_late(self):
        for name, flags in (("plugin", self.flags("--cflags", "--libs")), ("plugin-static", self.flags_static())):
            plugin = os.path.join(self.folder.name, name + ".so")
            output("cc", "-shared", "-fPIC", "-o", plugin, os.path.join(ROOT, "tests", "late_plugin.c"), *flags)
            script = f"import ctypes; print(ctypes.CDLL({plugin!r}).plugin_use())"
            self.assertEqual(output(sys.executable, "-c", script, env=self.environment), "2\n")

    def test_subproject(self):
        host = os.path.join(self.folder.name, "host")
        os.makedirs(os.path.join(host, "subprojects"))
        os.symlink(ROOT, os.path.join(host, "subprojects", "keyslab"))
        for name, text in (("meson.build", HOST), ("host.c", HOST_C)):
            with open(os.path.join(host, name), "w") as file:
                file.write(text)
        output("meson", "setup", "build", "-Doptimization=0", f"-Dkeyslab:jemalloc={OPTION}", cwd=host)
        output("ninja", "-C", "build", "host", cwd=host)
        self.assertEqual(output(os.path.join(host, "build", "host")), "1\n")

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
