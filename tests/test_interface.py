"""The interface that experts call: frames in every direction, filters, events, status, configurations.

    test_interface.py KEYSLAB SOURCE-ROOT WALKING-EXPERT [--isolate]
"""

import gzip
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

import frames

KEYSLAB, ROOT, WALKING = sys.argv[1:4]
MODE = [argument for argument in sys.argv[4:5] if argument == "--isolate"]
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
END, OUT_OF_RANGE, NOT_SUPPORTED, BAD_FILTER = 5, 24, 90, 57
SIDEWAYS = ("forward on", "backward", "look back", "from ahead")
FRAMES = 8000
MODULUS = 1 << 32


def run(*arguments, **options):
    return subprocess.run([KEYSLAB, "run", *MODE, *arguments], capture_output=True, timeout=120, **options)


def report(*arguments, status=0, **options):
    result = run("--json", *arguments, **options)
    assert result.returncode == status, (result.returncode, result.stderr)
    return json.loads(result.stdout)


def walk(how, *arguments, ahead=FRAMES // 2, filter=None, **options):
    """What each thread saw, the one with the lowest frame first."""
    environment = dict(os.environ, WALK=how, WALK_AHEAD=str(ahead), **({"WALK_FILTER": filter} if filter else {}))
    data = report("-e", WALKING, *arguments, env=environment, **options)
    events = next(e for e in data["experts"] if e["name"] == "walking")["events"]
    return sorted(events, key=lambda event: event["sum"])


def seen(events, *titles):
    return [tuple(event[title] for title in titles or ("frames", "sum", "error")) for event in events]


class Walks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.plain = os.path.join(cls.folder.name, "plain.pcap")
        cls.gzip = os.path.join(cls.folder.name, "part.pcap.gz")
        with gzip.open(SAMPLE) as file:
            data = file.read()
        end = 24
        for _ in range(FRAMES):
            end += 16 + int.from_bytes(data[end + 8:end + 12], "little")
        cls.data = data[:end]
        with open(cls.plain, "wb") as file:
            file.write(cls.data)
        with gzip.open(cls.gzip, "wb") as file:
            file.write(cls.data)
        cls.forward = {threads: walk("forward", "-t", str(threads), cls.plain) for threads in (1, 2, 4)}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def inputs(self):
        yield (self.plain,), {}
        yield (self.gzip,), {}
        yield ("--spool", "-"), {"input": self.data}
        yield ("--spool", "-"), {"input": gzip.compress(self.data, 1)}

    def test_forward_is_every_frame_once(self):
        for threads, events in self.forward.items():
            self.assertEqual(len(events), threads)
            self.assertEqual(sum(event["frames"] for event in events), FRAMES)
            self.assertEqual(sum(event["sum"] for event in events) % MODULUS, self.forward[1][0]["sum"])
            self.assertEqual({event["error"] for event in events}, {END})
        self.assertEqual(seen(self.forward[1], "first", "last", "steps back"), [(1, FRAMES, 0)])

    def test_each_direction_sees_the_same(self):
        for threads, forward in self.forward.items():
            for arguments, options in self.inputs():
                for how in SIDEWAYS:
                    with self.subTest(how=how, threads=threads, input=arguments, bytes=len(options.get("input", b""))):
                        events = walk(how, "-t", str(threads), *arguments, **options)
                        self.assertEqual(seen(events), seen(forward))

    def test_backward_is_the_reverse_of_forward(self):
        for threads, forward in self.forward.items():
            backward = walk("backward", "-t", str(threads), self.gzip)
            self.assertEqual(seen(backward, "last", "first"), seen(forward, "first", "last"))
            self.assertEqual([event["steps back"] for event in backward], [event["frames"] - 1 for event in backward])

    def test_by_number_every_thread_sees_every_frame(self):
        whole = self.forward[1][0]
        for threads in (1, 2, 4):
            for arguments, options in self.inputs():
                events = walk("by number", "-t", str(threads), *arguments, **options)
                self.assertEqual(seen(events), [(FRAMES, whole["sum"], OUT_OF_RANGE)] * threads)

    def test_a_second_pass(self):
        for arguments, options in self.inputs():
            events = walk("twice", "-t", "2", *arguments, **options)
            sums = sorted((2 * event["frames"], 2 * event["sum"] % MODULUS) for event in self.forward[2])
            self.assertEqual(sorted(seen(events, "frames", "sum")), sums)

    def test_beside_others(self):
        """Experts of other numbers of threads, of which one wants what the others have not read."""
        flows = report("-e", "flows", self.gzip)["experts"][0]["events"]
        environment = dict(os.environ, WALK="backward")
        for arguments, options in self.inputs():
            data = report("-e", "flows", "-e", WALKING + ":3", "-e", WALKING, "-e", "flows:2", *arguments,
                          env=environment, **options)
            self.assertEqual([(e["name"], e["threads"]) for e in data["experts"]],
                             [("flows", 1), ("walking", 3), ("walking#2", 1), ("flows#2", 2)])
            self.assertEqual(data["experts"][0]["events"], flows)
            self.assertEqual(data["experts"][3]["events"], flows)
            self.assertEqual(sum(e["sum"] for e in data["experts"][1]["events"]) % MODULUS, self.forward[1][0]["sum"])
            self.assertEqual(data["experts"][2]["events"][0]["sum"], self.forward[1][0]["sum"])
            self.assertTrue(MODE or data["frames_key"]["live"] == 0)

    def test_many_of_one_name(self):
        """Each has its own key, which a section of the config file can name."""
        path = os.path.join(self.folder.name, "keys.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[key flows#40]\nquota = 96 MiB\n")
        data = report("--config", path, "-c", "500", *("-e", "flows") * 50, self.plain)
        names = ["flows"] + ["flows#%d" % number for number in range(2, 51)]
        self.assertEqual([e["name"] for e in data["experts"]], names)
        self.assertEqual([e["key"]["name"] for e in data["experts"]], names)
        self.assertEqual([e["name"] for e in data["experts"] if e["key"]["quota"] == 96 << 20], ["flows#40"])
        for expert in data["experts"]:
            self.assertEqual(expert["events"], data["experts"][0]["events"])

    def test_filters(self):
        for expression in ("src host 192.0.2.1", "tcp[tcpflags] & tcp-push != 0", "greater 1000"):
            passed = walk("forward", "-f", expression, self.plain)[0]["frames"]
            self.assertGreater(passed, 0)
            for threads in (1, 3):
                forward = walk("forward", "-t", str(threads), self.plain, filter=expression)
                self.assertEqual(sum(event["frames"] for event in forward), passed)
                for how in ("backward", "forward on", "by number") if threads == 1 else ("backward", "forward on"):
                    self.assertEqual(seen(walk(how, "-t", str(threads), self.gzip, filter=expression), "frames", "sum"),
                                     seen(forward, "frames", "sum"))
        self.assertEqual(seen(walk("forward", self.plain, filter="no such thing")), [(0, 0, BAD_FILTER)])

    def test_the_users_filter_and_count_go_for_all_directions(self):
        for options in (("-f", "tcp"), ("-c", "1000"), ("-f", "tcp", "-c", "300")):
            forward = walk("forward", *options, self.plain)
            for how in ("backward", "by number"):
                self.assertEqual(seen(walk(how, *options, self.gzip), "frames", "sum"), seen(forward, "frames", "sum"))

    def test_loops(self):
        forward = walk("forward", "-l", "3", "-t", "2", self.plain)
        self.assertEqual(sum(event["frames"] for event in forward), 3 * FRAMES)
        for how in SIDEWAYS:
            self.assertEqual(seen(walk(how, "-l", "3", "-t", "2", self.plain)), seen(forward))

    def test_what_can_be_read_once(self):
        """Forward needs nothing else; what does is refused, with a hint."""
        self.assertEqual(seen(walk("forward", "-", input=self.data)), seen(self.forward[1]))
        result = run("--json", "-t", "2", "-e", WALKING, "-", env=dict(os.environ, WALK="backward"), input=self.data)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stderr.count(b"see --spool"), 1)
        self.assertEqual(seen(json.loads(result.stdout)["experts"][0]["events"]), [(0, 0, NOT_SUPPORTED)] * 2)

    def test_a_broken_end(self):
        path = os.path.join(self.folder.name, "cut.pcap")
        with open(path, "wb") as file:
            file.write(self.data[:-5])
        environment = dict(os.environ, WALK="backward")
        result = run("--json", "-e", WALKING, path, env=environment)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.count(b"truncated"), 1)
        self.assertEqual(json.loads(result.stdout)["experts"][0]["events"][0]["frames"], FRAMES - 1)

    def test_a_failure_on_the_way_back(self):
        environment = dict(os.environ, WALK="backward")
        data = report("-e", WALKING, "-e", "flows", "--fail", "walking@7000", self.plain, status=3,
                      env=environment)
        self.assertTrue(data["experts"][0]["failed"])
        self.assertTrue(MODE or data["frames_key"]["live"] == 0)


class Fragments(unittest.TestCase):
    """Frames of datagrams whose first fragment comes last: they come late, and in the place of their flow."""

    def test_every_direction(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "fragments.pcap")
            packets = []
            for number in range(200):
                pieces = frames.fragments("192.0.2.1", "198.51.100.2", frames.UDP,
                                          frames.udp((1000 + number, 2000), frames.data(4000)), number, 1480)
                packets += pieces[::-1] if number % 3 else pieces
            frames.write_pcap(path, [(0, frames.ethernet(packet)) for packet in packets])
            for threads in ("1", "2", "4"):
                forward = walk("forward", "-t", threads, path)
                self.assertEqual(sum(event["frames"] for event in forward), len(packets))
                self.assertGreater(sum(event["steps back"] for event in forward), 100)
                for how in SIDEWAYS:
                    events = walk(how, "-t", threads, path, ahead=300)
                    self.assertEqual(seen(events), seen(forward), (how, threads))


class Sources(unittest.TestCase):
    """Sources for Network Monitor, compiled unchanged and run."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        for compiler, name in (("cc", "sdk_expert.c"), ("c++", "sdk_expert.cc"), ("cc", "netmon_source.c")):
            if shutil.which(compiler):
                subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", cls.path(name + ".so"),
                                os.path.join(ROOT, "tests", name), "-I", os.path.join(ROOT, "include", "keyslab")], check=True)
        cls.sdk = cls.path("sdk_expert.c.so")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def expert(self, *arguments, **options):
        return report("-c", "3000", "-e", self.sdk, *arguments, SAMPLE, **options)["experts"][0]

    def test_events_of_all_types(self):
        text = run("-c", "3000", "-e", self.sdk, SAMPLE).stdout.decode()
        data = self.expert()
        whole, short = data["events"]
        long_frames = whole["Frames"]
        self.assertGreater(long_frames, 100)
        self.assertEqual(whole, {
            "event": "Long frames", "Frames": long_frames, "Last": 3000, "Uint8": 200, "Sint8": -100, "Uint16": 60000,
            "Sint16": -30000, "Sint32": -2000000000, "Float64": 2.5, "YesNo": True, "OnOff": False, "TrueFalse": True,
            "Address": "00:00:5e:00:53:01", "Address#2": "00000001.00005e005301", "Address#3": "192.0.2.1",
            "VarTime": "2024-02-29 12:00:00.000", "event#2": "a text", "Nothing": "",
            "about": {"severity": "warning", "time": "2024-02-29 23:00:00.005", "source": "SDK source",
                      "machine": "host.example", "description": "at least 1000", "id": 7}})
        self.assertEqual(short, {"event": "event", "Frames": long_frames, "Last": 3000})
        self.assertIn("\nSDK sample: Long frames, the largest 1 of 1\n", text)
        self.assertIn("\nSDK sample: event, the largest 1 of 1\n", text)
        self.assertRegex(text, "  yes +off +true +00:00:5e:00:53:01 +00000001.00005e005301 +192.0.2.1 ")
        self.assertRegex(text, " warning +2024-02-29 23:00:00.005 +SDK source")
        self.assertIn("\nSDK sample: done, 100 %: All frames\n", text)

    def test_status(self):
        self.assertEqual(self.expert()["status"], {"status": "done", "substatus": 3, "percent": 100, "text": "All\nframes"})
        silent = report("-c", "10", "-e", WALKING, SAMPLE, env=dict(os.environ, WALK="forward"))["experts"][0]
        self.assertNotIn("status", silent)

    def test_a_line_for_each_on_a_terminal(self):
        master, slave = pty.openpty()
        subprocess.run([KEYSLAB, "run", *MODE, "-e", self.sdk, "-e", self.sdk, "-e", WALKING, SAMPLE], stdout=subprocess.DEVNULL,
                       stderr=slave, timeout=60, env=dict(os.environ, WALK="forward"))
        os.close(slave)
        shown = b""
        try:
            while True:
                shown += os.read(master, 65536)
        except OSError:
            os.close(master)
        self.assertRegex(shown, rb"frames, \d+ a second\r+\nSDK sample: running, \d+ %\r+\nSDK sample#2: running, \d+ %\x1b\[2A")
        self.assertTrue(shown.endswith(b"\r\x1b[J"))

    def test_a_source_in_another_language(self):
        if not os.path.exists(self.path("sdk_expert.cc.so")):
            self.skipTest("no C++ compiler")
        long_frames = self.expert()["events"][0]["Frames"]
        for threads in ("1", "3"):
            data = report("-t", threads, "-c", "3000", "-e", self.path("sdk_expert.cc.so"), SAMPLE)["experts"][0]
            self.assertLessEqual(abs(sum(event["frames"] for event in data["events"]) - long_frames), long_frames // 10)
            self.assertEqual(data["left_blocks"], 0)

    def test_configurations(self):
        path = self.path("sdk.config")
        option = "SDK sample=" + path
        first = self.expert("--strict", "--expert-config", option)
        self.assertEqual(first["left_blocks"], 0)
        with open(path, "rb") as file:
            written = file.read()
        self.assertEqual(struct.unpack("<II", written[:8]), (40, 1000))
        described = lambda data: data["events"][0]["about"]["description"]
        changed = self.expert("--expert-config", option, env=dict(os.environ, SDK_MINIMUM="60"))
        self.assertEqual(described(changed), "at least 60")
        self.assertGreater(changed["events"][0]["Frames"], first["events"][0]["Frames"])
        with open(path, "rb") as file:
            self.assertEqual(struct.unpack("<II", file.read(8)), (40, 60))
        modified = os.stat(path).st_mtime_ns
        self.assertEqual(described(self.expert("--expert-config", option)), "at least 60")
        self.assertEqual(os.stat(path).st_mtime_ns, modified)
        self.assertEqual(described(self.expert()), "at least 1000")

    def test_configurations_that_are_none(self):
        for bytes, text in ((b"", "0 bytes"), (b"\x08\0\0\0", "says that it has 8"), (b"\x04\0\0\0rest", "has 8 bytes")):
            path = self.path("bad.config")
            with open(path, "wb") as file:
                file.write(bytes)
            result = run("-e", self.sdk, "--expert-config", "SDK sample=" + path, SAMPLE)
            self.assertEqual((result.returncode, result.stdout), (1, b""))
            self.assertIn(text, result.stderr.decode())
            with open(path, "rb") as file:
                self.assertEqual(file.read(), bytes)
        for option, text in (("flows=x", "cannot be configured"), ("nobody=x", "nobody"), ("flows", "NAME=FILE")):
            result = run("-e", "flows", "--expert-config", option, SAMPLE)
            self.assertIn(result.returncode, (1, 2))
            self.assertIn(text, result.stderr.decode())
        result = run("-c", "10", "-e", self.sdk, "--expert-config", "SDK sample=" + self.path("none/file"), SAMPLE)
        self.assertEqual(result.returncode, 1)
        self.assertIn("none/file", result.stderr.decode())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4 + len(MODE):], verbosity=2)
