"""Names: standard input as -, pipes, names of any bytes in JSON, and the program's own name before its messages.

    test_names.py KEYSLAB MAKE-TRACE ODD-EXPERT SOURCE-ROOT
"""

import json
import os
import re
import resource
import subprocess
import sys
import unittest

from program import CONFIG, KEYSLAB, MAKE_TRACE, ODD_EXPERT, SAMPLE, Folder


class StandardInput(Folder):
    def inputs(self, path):
        """The file as standard input itself, through a pipe, and behind something that was read already."""
        with open(path, "rb") as file:
            data = file.read()
        yield {"stdin": open(path, "rb")}
        yield {"input": data}
        behind = open(self.path("behind"), "wb+")
        behind.write(b"skipped\n" + data)
        behind.flush()
        behind.seek(8)
        os.lseek(behind.fileno(), 8, os.SEEK_SET)
        yield {"stdin": behind}

    def same(self, expected, path, *arguments):
        for how in self.inputs(path):
            data = self.report(*arguments, **how)
            self.assertEqual(expected(data), expected(self.report(*(path if a == "-" else a for a in arguments))))
            if "stdin" in how:
                how["stdin"].close()

    def test_tune(self):
        classes = lambda data: [(k["blocks"], k["classes"]) for k in data["keys"]]
        self.same(classes, self.trace(), "tune", "--json", "-")
        self.same(classes, self.write("h.json", '{"64": 10, "100": 3}'), "tune", "--json", "-")
        self.same(classes, self.write("r.txt", "12: malloc 0x7000 24\n12: free 0x7000\n"), "tune", "--json", "-")
        self.same(classes, self.write("v.txt", "v 10400 3\nX ls\n+ 18 4 7000\n- 7000\n"), "tune", "--json", "-")
        self.same(classes, SAMPLE, "tune", "--json", "-")
        data = self.report("tune", "--json", "-", input=b'{"64": 10}')
        self.assertEqual(data["sources"][0]["path"], "-")
        self.assertTrue(self.run_it("tune", "-", input=b'{"64": 10}').stdout.startswith(b"standard input: histogram"))

    def test_replay(self):
        trace = self.trace()
        self.same(lambda data: data["operations"], trace, "replay", "--json", "-")
        self.same(lambda data: data["operations"], trace, "replay", "--json", "--peer", "keyslab", "-")
        conf = self.write("c.conf", "[defaults]\nclasses = 4096, 65536\n")
        lost = lambda data: [round(a["inside_blocks"], 3) for a in data["allocators"]]
        self.same(lost, conf, "replay", "--json", "--rounds", "1", "--config", "-", trace)

    def test_config(self):
        conf = self.write("c.conf", CONFIG)
        self.same(lambda data: data[0]["sections"], conf, "config", "check", "--json", "-")
        self.same(lambda data: [s["value"] for s in data["settings"]], conf, "config", "show", "--json", "-")
        self.same(lambda data: data["frames"], conf, "run", "--json", "-c", "100", "--config", "-", SAMPLE)
        done = self.run_it("config", "check", "-", input=b"[defaults]\nflush = 0\n")
        self.assertEqual(done.message, "keyslab: standard input:2: [defaults] flush: '0': expected 1 to 1000000\n")

    def test_a_pipe_with_a_name(self):
        trace = self.trace()
        for arguments in ("tune", "--json"), ("replay", "--json"):
            os.mkfifo(self.path("fifo"))
            process = self.start(*arguments, "fifo")
            with open(trace, "rb") as file, open(self.path("fifo"), "wb") as fifo:
                fifo.write(file.read())
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err)
            self.assertIn(b"\n", out)
            os.unlink(self.path("fifo"))
        shell = f'"{KEYSLAB}" tune --json <(cat "{trace}")'
        done = subprocess.run(["bash", "-c", shell], capture_output=True, env=self.environment, timeout=60, check=False)
        self.assertRegex(json.loads(done.stdout)["sources"][0]["path"], "^/dev/fd/")

    def test_closed(self):
        for arguments in ("tune", "-"), ("replay", "-"), ("config", "check", "-"):
            done = self.run_it(*arguments, preexec_fn=lambda: os.close(0))
            self.assertEqual((done.returncode, done.message), (1, "keyslab: standard input: Bad file descriptor\n"))

    def test_no_room_for_a_copy(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        done = self.run_it("tune", "-", input=100000 * b"x", preexec_fn=limit)
        self.assertEqual((done.returncode, done.message),
                         (1, f"keyslab: {self.temporary}: File too large, for a copy of standard input\n"))


class Names(Folder):
    """JSON has a string for every name: itself where it is UTF-8, and no two names have the same."""

    FORMS = {b"caf\xe9": "caf\\xe9", b"caf\xc3\xa9": "caf\u00e9", b"a\\b": "a\\b", b"a\\xe9": "a\\\\xe9", b"a\\\xe9": "a\\\\\\xe9",
             b"\xc3": "\\xc3", b"\xed\xa0\x80": "\\xed\\xa0\\x80", b"\xf0\x9f\x90\x9f": "\U0001f41f", b'q"\x01\n': 'q"\x01\n'}

    def named(self, name, suffix, data):
        path = os.path.join(os.fsencode(self.folder.name), name + suffix)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_files(self):
        with open(SAMPLE, "rb") as file:
            capture = file.read()
        with open(self.trace("3000"), "rb") as file:
            trace = file.read()
        for name, form in self.FORMS.items():
            with self.subTest(name):
                ends = lambda text, suffix, form=form: self.assertTrue(text.endswith("/" + form + suffix), text)
                path = self.named(name, b".pcap", capture)
                ends(self.report("run", "--json", "-c", "10", path)["source"], ".pcap")
                path = self.named(name, b".kst", trace)
                ends(self.report("tune", "--json", path)["sources"][0]["path"], ".kst")
                conf = self.named(name, b".conf", CONFIG.encode())
                data = self.report("replay", "--json", "--rounds", "1", "--config", conf, path)
                ends(data["allocators"][1]["allocator"], ".conf")
                ends(data["allocators"][1]["config"], ".conf")
                ends(self.report("config", "check", "--json", conf)[0]["file"], ".conf")
                data = self.report("config", "show", "--json", conf)
                ends(data["file"], ".conf")
                ends(next(s for s in data["settings"] if s["name"] == "flush")["from"], ".conf:2")
                bad = self.named(name, b".bad", b"[key \xe8]\nflush = \xe7\n")
                data = self.report("config", "check", "--json", bad, status=1)[0]
                self.assertEqual(len(data["errors"]), 1)
                self.assertTrue(data["errors"][0].endswith("flush: '\\xe7': expected 1 to 1000000"), data["errors"])

    def test_keys(self):
        for name, form in self.FORMS.items():
            if b"\n" in name:
                continue
            conf = self.named(b"keys", b".conf", b"[key " + name + b"]\nflush = 9\n")
            self.assertEqual(self.report("config", "check", "--json", conf)[0]["sections"][0]["section"], f"[key {form}]")
            self.assertEqual(self.report("config", "show", "--json", "--key", name, conf)["key"], form)
            path = self.path("keys.kst")
            subprocess.run([MAKE_TRACE, path, "3000", "100", "0", name], check=True)
            data = self.report("tune", "--json", "--svg", "pictures", path)
            self.assertIn(form, [k["key"] for k in data["keys"]])
            for picture in os.listdir(self.path("pictures")):
                with open(os.path.join(self.path("pictures"), picture), "rb") as file:
                    file.read().decode("utf-8")

    def test_what_experts_say(self):
        self.environment["ODD_EXPERT"] = "names"
        data = self.report("run", "--json", "-c", "10", "-e", ODD_EXPERT, SAMPLE, status=3)
        expert = data["experts"][0]
        self.assertEqual((expert["name"], expert["description"], expert["failure"]["text"], expert["key"]["name"]),
                         ("odd\\xe9", "not UTF-8: \\xff", "gave up: \\xe9", "odd\\xe9"))
        self.assertEqual(expert["events"], [{"event": "event \\xe9", "column \\xe9": "text \\xe9", "nan": None, "large": 1e300}])


class Messages(Folder):
    def test_they_begin_with_the_programs_name(self):
        name = self.path("other-name")
        os.symlink(KEYSLAB, name)
        for arguments, status in (([], 2), (["what"], 2), (["run"], 2), (["run", "--what"], 2), (["run", "-t"], 2),
                                  (["run", "-t", "0", "x"], 2), (["run", "/nonexistent"], 1), (["record"], 2), (["record", "-x"], 2),
                                  (["record", "-o", "/nonexistent/x", "true"], 1), (["tune"], 2), (["tune", "--what"], 2),
                                  (["tune", "/nonexistent"], 1), (["tune", "--search=what", "x"], 2), (["replay"], 2),
                                  (["replay", "-x"], 2), (["replay", "/nonexistent"], 1), (["config"], 2), (["config", "what"], 2),
                                  (["config", "check", "/nonexistent"], 1), (["config", "list", "--what"], 2)):
            with self.subTest(arguments):
                done = subprocess.run([name, *arguments], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual((done.returncode, done.stdout), (status, ""))
                lines = done.stderr.splitlines()
                self.assertEqual([line for line in lines if not line.startswith("other-name: ")], [])
                self.assertGreaterEqual(len(lines), 1)

    def test_a_missing_expert(self):
        done = self.run_it("run", "-e", "nobody", SAMPLE)
        match = re.fullmatch(r"keyslab: --expert nobody: no such expert: neither in (/\S+) nor in (/\S+)\n", done.message)
        self.assertTrue(match, done.message)
        self.assertEqual(match[1], os.path.join(os.path.dirname(os.path.realpath(KEYSLAB)), "experts"))
        self.assertNotIn("..", match[2])

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
