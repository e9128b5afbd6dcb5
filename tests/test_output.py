"""What cannot be written: a message, status 1, and the old file as it was.

    test_output.py KEYSLAB MAKE-TRACE ODD-EXPERT SOURCE-ROOT
"""

import os
import resource
import sys
import unittest

from program import CONFIG, SAMPLE, SANITIZED, Folder


class NotWritten(Folder):
    def commands(self):
        trace, conf = self.trace(), self.write("c.conf", CONFIG)
        return [["--help"], ["--version"], *([name, "--help"] for name in ("run", "record", "tune", "replay", "config")),
                ["run", SAMPLE], ["run", "--json", "-c", "1000", SAMPLE], ["tune", trace], ["tune", "--json", trace],
                ["tune", "-o", "-", trace], ["tune", "--scudo", "-", trace], ["tune", "-o", "tuned.conf", trace],
                ["replay", trace], ["replay", "--json", trace], ["replay", "--json", "--peer", "malloc", trace],
                ["replay", "--rounds", "1", "--compare", "default,malloc", trace], ["config", "list"],
                ["config", "list", "--json"], ["config", "check", conf], ["config", "check", "--json", conf],
                ["config", "show", conf], ["config", "show", "--json", conf]]

    def check_lost(self, done, why):
        """A long report fails early, and why is not known any more at the end."""
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.message, rf"\Akeyslab: standard output could not be written(: {why})?\n\Z")

    def test_standard_output(self):
        for arguments in self.commands():
            with self.subTest(arguments):
                with open("/dev/full", "wb") as full:
                    self.check_lost(self.run_it(*arguments, stdout=full), "No space left on device")
                self.check_lost(self.run_it(*arguments, preexec_fn=lambda: os.close(1)), "Bad file descriptor")

    def test_nothing_to_write_is_no_error(self):
        if not SANITIZED:
            self.assertEqual(self.run_it("record", "-q", "true", preexec_fn=lambda: os.close(1)).returncode, 0)
        done = self.run_it("config", "check", self.write("bad.conf", "[what]\n"), preexec_fn=lambda: os.close(1))
        self.assertEqual((done.returncode, done.message.count("\n")), (1, 1))

    def test_no_file_is_taken_for_a_closed_stream(self):
        """The first file that is opened would be standard output, and the report would be written into it."""
        done = self.run_it("run", "--trace", "t.kst", "-c", "1000", SAMPLE, preexec_fn=lambda: os.close(1))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.report("tune", "--json", "t.kst")["sources"][0]["kind"], "trace")

    def test_files(self):
        trace = self.trace()
        for arguments in (["tune", "-o", "/dev/full", trace], ["tune", "--scudo", "/dev/full", trace],
                          ["run", "--trace", "/dev/full", SAMPLE]):
            done = self.run_it(*arguments)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.message, r"\Akeyslab: .*/dev/full: No space left on device\n\Z")
        for option in "-o", "--scudo", "--svg":
            done = self.run_it("tune", option, "/nonexistent/x", trace)
            self.assertEqual((done.returncode, done.message), (1, "keyslab: /nonexistent/x: No such file or directory\n"))

    def test_the_old_file_stays(self):
        trace = self.trace()
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        os.mkdir(self.path("pictures"))
        for name, *arguments in (("a.conf", "-o", "a.conf"), ("a.xml", "--scudo", "a.xml"),
                                 ("pictures/frames-sizes.svg", "--svg", "pictures")):
            self.write(name, "old\n")
            before = sorted(os.listdir(self.folder.name)), os.listdir(self.path("pictures"))
            done = self.run_it("tune", "-k", "frames", *arguments, trace, preexec_fn=limit)
            self.assertEqual((done.returncode, done.message), (1, f"keyslab: {name}: File too large\n"))
            self.assertEqual(self.read(name), "old\n")
            self.assertEqual((sorted(os.listdir(self.folder.name)), os.listdir(self.path("pictures"))), before)

    def test_a_file_is_replaced_as_it_was(self):
        """Its mode stays, and so does a link to it; a new one has the mode that the umask allows."""
        trace = self.trace()
        os.chmod(self.write("a.conf", "old\n"), 0o640)
        os.symlink("a.conf", self.path("link.conf"))
        self.assertEqual(self.run_it("tune", "-o", "link.conf", trace).returncode, 0)
        self.assertTrue(os.path.islink(self.path("link.conf")))
        self.assertIn("classes = ", self.read("a.conf"))
        self.assertEqual(os.stat(self.path("a.conf")).st_mode & 0o7777, 0o640)
        self.assertEqual(self.run_it("tune", "-o", "new.conf", trace, preexec_fn=lambda: os.umask(0o027)).returncode, 0)
        self.assertEqual(os.stat(self.path("new.conf")).st_mode & 0o7777, 0o640)

    def test_standard_output_in_place_of_the_report(self):
        trace = self.trace()
        self.assertEqual(self.run_it("tune", "-o", "a.conf", trace).returncode, 0)
        self.assertEqual(self.run_it("tune", "-o", "-", trace).stdout.decode(), self.read("a.conf"))
        self.assertTrue(self.run_it("tune", "--scudo", "-", trace).stdout.startswith(b"<malloc"))
        for arguments in (["-o", "-", "--json"], ["-o", "-", "--scudo", "-"]):
            self.assertEqual(self.run_it("tune", *arguments, trace).returncode, 2)
        self.assertEqual(self.run_it("record", "-o", "-", "true").returncode, 2)
        self.assertEqual(self.run_it("run", "--trace", "-", SAMPLE).returncode, 2)

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
