"""`keyslab run` with experts that fail: each is stopped, named, and takes nobody with it.

    test_contain.py KEYSLAB CONTAIN-EXPERT SOURCE-ROOT
"""

import functools
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

KEYSLAB, EXPERT, ROOT = map(os.path.abspath, sys.argv[1:4])
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
MIB = 1 << 20
SANITIZED = "asan" in os.path.realpath(KEYSLAB)
FRAME = 100
BLOCK = 48
# Short for those that take it all, long for those that only have to come through on a busy machine.
LIMIT, LIMIT_LONG = ("4", "60") if SANITIZED else ("2", "20")


def start(mode, *arguments, **environment):
    command = [KEYSLAB, "run", *arguments, SAMPLE]
    environment = dict(os.environ, CONTAIN_EXPERT=mode, **environment)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process, status):
    out, err = process.communicate(timeout=100)
    assert process.returncode == status, (process.returncode, err)
    return out


def report(mode, *arguments, status=3, **environment):
    return json.loads(finish(start(mode, "--json", *arguments, **environment), status))


def balance(stats):
    return stats["allocated"] - stats["freed_local"] - stats["freed_remote"] - stats["live"] - stats["dropped"]


class Contained(unittest.TestCase):
    good = None

    @classmethod
    def setUpClass(cls):
        cls.good = report("", "-e", "flows", status=0)["experts"][0]["events"]

    def check(self, mode, *arguments, limit=LIMIT_LONG, threads="2", kind="signal", text="^.", frame=FRAME, status=3):
        """Beside a good expert, whose results are as ever. The faulty one."""
        data = report(mode, "-t", threads, "--expert-timeout", limit, *arguments, "-e", "flows", "-e", EXPERT, status=status)
        flows, faulty = data["experts"]
        self.assertFalse(flows["failed"])
        self.assertEqual(flows["events"], self.good)
        self.assertEqual((balance(data["frames_key"]), data["frames_key"]["live"]), (0, 0))
        self.assertEqual(faulty["failed"], status == 3)
        self.assertEqual((faulty["key"]["live_bytes_after"], faulty["key"]["arena_bytes_after"]), (0, 0))
        if status == 3:
            failure = faulty["failure"]
            self.assertEqual((failure["kind"], failure["frame"]), (kind, frame))
            self.assertRegex(failure["text"], text)
        return faulty

    def test_faults(self):
        for mode, text in (("write", "^SIGSEGV: wrote to 0x8$"), ("jump", "^SIGSEGV: jumped to 0x8$"),
                           ("strlen", "^SIGSEGV: read from 0x8$"), ("recurse", "^SIGSEGV: stack overflow$"),
                           ("raise", "^SIGILL: raised by itself$"), ("abort", "^SIGABRT: called abort$")):
            for threads in ("1", "3"):
                with self.subTest(mode, threads=threads):
                    faulty = self.check(mode, threads=threads, text=text)
                    self.assertIn("contain_expert.so", " ".join(faulty["failure"]["backtrace"]))
                    self.assertGreaterEqual(faulty["recovered_blocks"], 1)
                    self.assertGreaterEqual(faulty["recovered_bytes"], BLOCK)

    def test_the_backtrace_names_functions(self):
        calls = self.check("write", threads="1")["failure"]["backtrace"]
        self.assertRegex(calls[-1], r"^Run\+0x[0-9a-f]+ \(contain_expert\.so\)$")

    def test_locks_that_are_left(self):
        """Of standard output; of malloc; and what the thread was doing in a function of the host."""
        for mode in "printf", "lock", "heap", "event":
            if SANITIZED and mode == "heap":
                continue
            with self.subTest(mode):
                self.check(mode, threads="1")

    def test_ends(self):
        for mode in "exit", "_exit":
            self.check(mode, kind="exit", text="^called %s\\(3\\)$" % mode)
        self.check("pthread_exit", kind="exit", text="pthread_exit")

    def check_at_once(self, *checks):
        """What waits for a limit waits beside others."""
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(check) for check in checks]:
                done.result()

    def check_time(self, mode):
        faulty = self.check(mode, limit=LIMIT, kind="time", text="one frame took more than %s s" % LIMIT)
        self.assertIn("contain_expert.so", " ".join(faulty["failure"]["backtrace"]))

    def test_time(self):
        self.check_at_once(*(functools.partial(self.check_time, mode) for mode in ("loop", "block", "deaf")))

    def test_ignoring_the_end(self):
        stay = functools.partial(self.check, "stay", limit=LIMIT, kind="ignored")
        self.check_at_once(lambda: stay(text="of the end of the frames$", frame=0),
                           lambda: stay("--fail", "contain@50", text="NMERR_EXPERT_TERMINATE", frame=50),
                           lambda: self.check("", "--fail", "contain@50", kind="pretended", text="--fail", frame=50))

    def test_quota(self):
        faulty = self.check("devour", "--expert-quota", "4M", limit=LIMIT, kind="quota", text="4.0 MiB is used up")
        self.assertLessEqual(faulty["key"]["arena_peak"], 4 * MIB)

    def test_misuse_is_counted(self):
        none = {"double_free": 0, "bad_block": 0, "wrong_key": 0, "stale": 0}
        for mode, misuse, kind in (("double", {"double_free": 1}, "free already"), ("foreign", {"bad_block": 2}, "not a block")):
            self.assertEqual(self.check(mode, status=0)["misuse"], {**none, **misuse})
            faulty = self.check(mode, "--strict", kind="misuse", text=kind)
            self.assertEqual(faulty["misuse"], {**none, **misuse})
            self.assertIn("Run+0x", " ".join(faulty["failure"]["backtrace"]))
        leaky = self.check("leak", status=0)
        self.assertEqual((leaky["left_blocks"], leaky["left_bytes"], leaky["misuse"]), (10, 10 * BLOCK, none))
        leaky = self.check("leak", "--strict", kind="left", text="10 blocks", frame=0)
        self.assertEqual((leaky["left_blocks"], leaky["recovered_blocks"]), (10, 10))

    def test_threads_that_it_begins(self):
        self.check("thread left", kind="left", text="thread", frame=0)
        faulty = self.check("thread crash", threads="1", text="wrote to 0x8", frame=0)
        self.assertEqual(faulty["failure"]["thread"], 2)

    def test_before_the_first_frame(self):
        self.check("register crash", frame=0)
        self.check("register loop", limit=LIMIT, kind="time", frame=0)
        self.check("register refuse", kind="refused", text="Register", frame=0)
        self.check("configure crash", frame=0)
        self.check("configure refuse", kind="refused", text="Configure", frame=0)

    def test_text(self):
        out = finish(start("write", "-e", EXPERT), 3)
        self.assertRegex(out, "\ncontain failed at frame 100, thread 1: SIGSEGV: wrote to 0x8\n"
                              "(  .*\\S\n)+  its key was reset: 1 blocks, 48 bytes recovered, 0 live now\n")
        self.assertRegex(finish(start("foreign", "-e", EXPERT), 0), "\ncontain: 2 frees of foreign pointers\n")

    def test_a_thousand_failures(self):
        data = report("write", "-c", "300", *["-e", EXPERT] * 1000)
        self.assertEqual(sum(expert["failed"] for expert in data["experts"]), 1000)
        self.assertTrue(all(expert["key"]["arena_bytes_after"] == 0 for expert in data["experts"]))


class Interrupted(unittest.TestCase):
    def run_them(self, modes, *signals):
        processes = [start(mode, "--json", "--expert-timeout", "0", "-e", "flows", "-e", EXPERT) for mode in modes]
        time.sleep(1.5)
        self.assertEqual([process.poll() for process in processes], len(modes) * [None])
        for number in signals:
            for process in processes:
                process.send_signal(number)
            time.sleep(0.7)
        return processes

    def test_the_report_comes(self):
        modes = "loop", "block", "deaf", "stay"
        for process, mode in zip(self.run_them(modes, signal.SIGTERM), modes):
            with self.subTest(mode):
                data = json.loads(finish(process, 128 + signal.SIGTERM))
                self.assertTrue(data["interrupted"])
                self.assertEqual([e["failed"] for e in data["experts"]], [False, True])
                self.assertEqual(data["experts"][1]["failure"]["kind"], "ignored")

    def test_the_second_ends_it(self):
        process, = self.run_them(("loop",), signal.SIGINT, signal.SIGINT)
        self.assertEqual(process.communicate(timeout=5)[0], "")
        self.assertEqual(process.returncode, -signal.SIGINT)


class Bad(unittest.TestCase):
    def test_options(self):
        for option, value in (("--expert-timeout", "soon"), ("--expert-timeout", "-1"), ("--expert-timeout", ""),
                              ("--expert-quota", "much"), ("--expert-quota", "1K"), ("--expert-quota", "-1"),
                              ("--expert-quota", "99999999T")):
            process = start("", option, value)
            _, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 2, value)
            self.assertIn(option, err)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
