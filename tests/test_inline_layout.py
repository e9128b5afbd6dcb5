#!/usr/bin/env python3
"""test_inline_layout.py LIBRARY SOURCE COMPILER...: a program with keyslab/inline.h meets a library of another layout.

The number of the layout changes with what the header says of it; a program that was compiled for another number
does not link and, linked with a library that had it, does not start.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import unittest

LIBRARY, SOURCE, *COMPILER = sys.argv[1:]
HEADER = os.path.join(SOURCE, "include", "keyslab", "inline.h")

# The layout's text without comments and blanks, by its number. Another text needs another number.
KNOWN = {
    "1": "81bac6c8c7f326a8",
}

PROGRAM = """
#include <keyslab/inline.h>
int main(void)
{
    ks_key_t key;
    return ks_key_create(0, &key) || ks_free(key, ks_alloc(key, 100, 0));
}
"""


def header():
    with open(HEADER, encoding="utf-8") as file:
        return file.read()


def layout():
    """(number, digest)"""
    text = header()
    number = re.search(r'#define KS_LAYOUT_\(name\) __asm__\("ks_layout_(\d+)_" name\)', text).group(1)
    begin = text.index("#define KS_LAYOUT_")
    end = text.index("/* ------", begin)
    bare = re.sub(r"/\*.*?\*/|\s|\\", "", text[begin:end], flags=re.DOTALL)
    return number, hashlib.sha256(bare.encode()).hexdigest()[:16]


class Layout(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def compile(self, number):
        """The result of compiling and linking a program for a layout of that number."""
        os.makedirs(self.path("keyslab"), exist_ok=True)
        with open(self.path("keyslab/inline.h"), "w", encoding="utf-8") as file:
            file.write(header().replace(f'"ks_layout_{layout()[0]}_"', f'"ks_layout_{number}_"'))
        with open(self.path("program.c"), "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        return subprocess.run(
            [*COMPILER, "-O2", "-I", self.folder.name, "-I", os.path.join(SOURCE, "include"), self.path("program.c"),
             "-o", self.path("program"), LIBRARY, f"-Wl,-rpath,{os.path.dirname(os.path.abspath(LIBRARY))}"],
            capture_output=True, text=True)

    def test_the_number_changes_with_the_layout(self):
        number, digest = layout()
        self.assertEqual(KNOWN.get(number), digest, "the layout is another one: raise its number, and add its digest")

    def test_a_program_of_this_layout_runs(self):
        self.assertEqual(self.compile(layout()[0]).stderr, "")
        subprocess.run([self.path("program")], check=True)

    def test_a_program_of_another_layout_does_not_link(self):
        result = self.compile("999")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("ks_layout_999_thread", result.stderr)

    def test_a_linked_program_does_not_start_with_another_layout(self):
        self.compile(layout()[0])
        old = f"ks_layout_{layout()[0]}_".encode()
        with open(self.path("program"), "rb") as file:
            program = file.read()
        self.assertIn(old, program)
        with open(self.path("other"), "wb") as file:
            file.write(program.replace(old, old.replace(b"layout", b"tuoyal")))
        os.chmod(self.path("other"), 0o755)
        result = subprocess.run([self.path("other")], capture_output=True, text=True)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("tuoyal", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
