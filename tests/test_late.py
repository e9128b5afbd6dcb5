"""The library, and plugins that are linked with it in every way, opened when a program has long begun, and closed.

    test_late.py HOST STARTUP JEMALLOC SOURCE-ROOT LIBRARY PLUGIN...

HOST is late.c, STARTUP the same with a plugin inside, JEMALLOC the option of the build.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

OPTION = sys.argv[3]
HOST, STARTUP, ROOT, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3] + sys.argv[4:6])
PLUGINS = [os.path.abspath(path) for path in sys.argv[6:]]
BACKENDS = {1: "jemalloc", 2: "extents"}
GROWN_MOST = 4096  # KiB

OPEN_AGAIN = """
import _ctypes, ctypes, sys
for round in range(300):
    library = ctypes.CDLL(sys.argv[1])
    key = ctypes.c_size_t()
    assert library.ks_key_create(None, ctypes.byref(key)) == 0
    library.ks_alloc.restype = ctypes.c_void_p
    block = library.ks_alloc(key, ctypes.c_size_t(100 + 1000 * round), None)
    assert block and library.ks_free(key, ctypes.c_void_p(block)) == 0 and library.ks_key_destroy(key) == 0
    _ctypes.dlclose(library._handle)
print("fine")
"""

PRINT_JSON = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
key = ctypes.c_size_t()
assert library.ks_key_create(None, ctypes.byref(key)) == 0
write = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda _, text: print(text.decode(), end=""))
assert library.ks_key_stats_print(key, int(sys.argv[2]), write, None) == 0
"""

DISSECTOR = """
#include <stdio.h>
int plugin_use(void);
void plugin_register(void);
const char plugin_version[] = "1";
const int plugin_want_major = %d;
const int plugin_want_minor = %d;
void plugin_register(void)
{
    fprintf(stderr, "backend %%d\\n", plugin_use());
}
"""


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not there")


def run(*command, **environment):
    result = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **environment))
    if result.returncode:
        raise AssertionError(f"{' '.join(command)}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def system_jemalloc():
    paths = re.findall(r"libjemalloc\.so\.2 .*=> (.*)", subprocess.run(
        ["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout)
    return paths[0] if paths else None


class Late(unittest.TestCase):
    def use(self, program, rounds, *objects, **environment):
        """The backend that was used in every round; nothing may have piled up."""
        text = run(program, str(rounds), *objects, **environment)
        found = re.fullmatch(r"backend (\d) grown (-?\d+)\n", text)
        self.assertTrue(found, text)
        self.assertLess(int(found[2]), GROWN_MOST)
        return BACKENDS[int(found[1])]

    def test_linked_programs_have_jemalloc(self):
        self.assertEqual(self.use(STARTUP, 5), "jemalloc")

    def test_plugins_open_late(self):
        for plugin in PLUGINS:
            with self.subTest(plugin):
                self.assertEqual(self.use(HOST, 1, plugin), "extents")

    def test_plugins_open_again_and_again(self):
        for plugin in PLUGINS:
            with self.subTest(plugin):
                self.assertEqual(self.use(HOST, 300, plugin), "extents")
        self.assertEqual(self.use(HOST, 100, *PLUGINS), "extents")

    def test_a_plugin_uses_the_library_of_its_program(self):
        dynamic = PLUGINS[0]
        self.assertEqual(self.use(STARTUP, 20, dynamic), "jemalloc")

    @unittest.skipUnless(OPTION == "shared" and system_jemalloc(), "the program's jemalloc is used with jemalloc=shared")
    def test_a_plugin_uses_the_jemalloc_of_its_program(self):
        for plugin in PLUGINS:
            with self.subTest(plugin):
                self.assertEqual(self.use(HOST, 20, plugin, LD_PRELOAD=system_jemalloc()), "jemalloc")

    def test_a_relative_path_is_found_again(self):
        for plugin in PLUGINS:
            folder, name = os.path.split(plugin)
            text = subprocess.run([HOST, "60", "./" + name], cwd=folder, capture_output=True, text=True).stdout
            self.assertIn("backend 2", text)

    def test_the_library_asks_for_little_static_tls(self):
        """What is left for libraries that are opened late is 1,664 bytes, for all of them together."""
        for item in [LIBRARY] + PLUGINS:
            segments = run("readelf", "-lW", item)
            found = re.search(r"^ +TLS +\S+ \S+ \S+ \S+ (0x[0-9a-f]+)", segments, re.M)
            self.assertLessEqual(int(found[1], 16) if found else 0, 128, item)

    def test_python_opens_the_library(self):
        self.assertEqual(run(sys.executable, "-c", OPEN_AGAIN, LIBRARY), "fine\n")

    def test_statistics_name_the_backend(self):
        self.assertIn('"backend":"extents"', run(sys.executable, "-c", PRINT_JSON, LIBRARY, "1"))
        self.assertRegex(run(sys.executable, "-c", PRINT_JSON, LIBRARY, "0"), r"(?m)^  backend +extents$")
        preloaded = run(sys.executable, "-c", PRINT_JSON, LIBRARY, "1", LD_PRELOAD=LIBRARY)
        self.assertIn('"backend":"jemalloc"', preloaded)

    @needs("sqlite3")
    def test_sqlite3_loads_an_extension(self):
        for plugin in PLUGINS:
            self.assertEqual(run("sqlite3", ":memory:", f".load {plugin}", "select 6 * 7"), "42\n")

    @needs("perl")
    def test_perl_loads_a_library(self):
        script = ("use DynaLoader; for (1..50) { my $l = DynaLoader::dl_load_file($ARGV[0], 0) or die DynaLoader::dl_error();"
                  "DynaLoader::dl_find_symbol($l, 'plugin_use') or die; DynaLoader::dl_unload_file($l); } print 'fine'")
        for plugin in PLUGINS:
            self.assertEqual(run("perl", "-e", script, plugin), "fine")

    @needs("tshark")
    def test_tshark_loads_a_dissector(self):
        version = re.search(r"(\d+)\.(\d+)", run("tshark", "--version"))
        with tempfile.TemporaryDirectory() as home:
            target = os.path.join(home, ".local/lib/wireshark/plugins", f"{version[1]}.{version[2]}", "epan")
            os.makedirs(target)
            source = os.path.join(home, "dissector.c")
            with open(source, "w", encoding="utf-8") as file:
                file.write(DISSECTOR % (int(version[1]), int(version[2])))
            run("cc", "-shared", "-fPIC", "-o", os.path.join(target, "dissector.so"), source,
                os.path.join(ROOT, "tests", "late_plugin.c"), "-I", os.path.join(ROOT, "include"),
                "-L", os.path.dirname(LIBRARY), "-lkeyslab", "-Wl,-rpath," + home)
            shutil.copy(LIBRARY, os.path.join(home, "libkeyslab.so.0"))
            os.chmod(home, 0o755)
            # As root it loads nobody's plugins.
            other = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
            with open(os.path.join(ROOT, "tools", "sample.pcap.gz"), "rb") as capture:
                result = subprocess.run(["tshark", "-n", "-r", "-", "-c", "3"], stdin=capture, capture_output=True, text=True, cwd=home,
                                        env=dict(os.environ, HOME=home), **other)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("backend 2\n", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
