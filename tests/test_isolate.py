"""`keyslab run --isolate`: the same results as in one process, whatever becomes of an expert's.

    test_isolate.py KEYSLAB ISOLATE-EXPERT SOURCE-ROOT
"""

import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from frames import UDP, data, ethernet, fragments, ip, udp, write_pcap

KEYSLAB, EXPERT, ROOT = map(os.path.abspath, sys.argv[1:4])
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
CAPTURES = os.path.join(ROOT, "..", "shared", "captures")
ENDS = ("192.0.2.1", "198.51.100.2")
EACH = 1000  # frames, of the faulty expert


def start(*arguments, what=None, **more):
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    environment.pop("ISOLATE_EXPERT", None)
    if what:
        environment["ISOLATE_EXPERT"] = what
    return subprocess.Popen([KEYSLAB, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=environment, **more)


def finish(process, status=0):
    out, err = process.communicate(timeout=100)
    assert process.returncode == status, (process.returncode, err)
    return json.loads(out), err


def report(*arguments, status=0, **more):
    return finish(start("--json", *arguments, **more), status)[0]


def events(run, name):
    return next(e["events"] for e in run["experts"] if e["name"] == name)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return list(map(int, file.read().split()))


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def capture(self, packets):
        path = os.path.join(self.folder.name, "capture.pcap")
        write_pcap(path, [(i * 0.01, ethernet(packet)) for i, packet in enumerate(packets)])
        return path


class SameResults(Folder):
    def check(self, path, *arguments, threads=("1", "2", "4")):
        for count in threads:
            with self.subTest(path, threads=count):
                one = report("-t", count, path)
                apart = report("--isolate", *arguments, "-t", count, path)
                for name in ("frames", "bytes", "refused", "problems"):
                    self.assertEqual(apart[name], one[name])
                for name in ("flows", "reassembly"):
                    self.assertEqual(events(apart, name), events(one, name))
                self.assertEqual([e["restarts"] for e in apart["experts"]], [0, 0])
                self.assertEqual(apart["experts"][0]["key"]["live_bytes_after"], 0)

    def test_sample(self):
        self.check(SAMPLE)

    def test_ring_that_is_always_full(self):
        self.check(SAMPLE, "--isolate-ring", "64k")

    def test_small_captures(self):
        for path in sorted(glob.glob(os.path.join(CAPTURES, "*.pcap*"))):
            if os.path.getsize(path) < 1 << 20:
                self.check(path, "--isolate-ring", "512k", threads=("2",))

    def test_fragments_that_come_before_their_first(self):
        packets = []
        for i in range(200):
            packets += fragments(*ENDS, UDP, udp((1000 + i, 53), data(4000)), i, 1480)[::-1]
        self.check(self.capture(packets))

    def test_standard_input(self):
        path = self.capture([ip(*ENDS, UDP, udp((1000 + i % 9, 53), data(i))) for i in range(500)])
        with open(path, "rb") as file:
            apart = report("--isolate", "-", stdin=file)
        self.assertEqual(events(apart, "flows"), events(report(path), "flows"))

    def test_loops(self):
        apart = report("--isolate", "-l", "3", "-c", "200000", "-t", "2", "-e", "flows", SAMPLE)
        self.assertEqual(apart["frames"], 200000)
        self.assertEqual(sum(f["packets"] for f in events(apart, "flows")), 200000)

    def test_report(self):
        process = start("--isolate", "--isolate-ring", "1M", "--top", "3", SAMPLE)
        out, err = process.communicate(timeout=100)
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertIn("flows: flow, the largest 3 of", out)
        self.assertIn("frames: a ring of 1.0 MiB", out)
        self.assertEqual(report("--isolate", "--isolate-ring", "1M", SAMPLE)["frames_ring"], {"bytes": 1 << 20})


class Faults(Folder):
    good = None

    @classmethod
    def setUpClass(cls):
        cls.good = events(report("-e", "flows", SAMPLE), "flows")

    def check(self, what, kind, *arguments, lives=1):
        """Beside a good expert, whose results are as ever. The faulty one."""
        run = report("--isolate", "--expert-timeout", "0.5", *arguments, "-e", "flows", "-e", EXPERT, SAMPLE, what=what,
                     status=3)
        flows, faulty = run["experts"]
        self.assertFalse(flows["failed"])
        self.assertEqual(flows["events"], self.good)
        self.assertEqual(faulty["name"], "isolate")
        self.assertTrue(faulty["failed"])
        self.assertEqual(faulty["failure"]["kind"], kind)
        self.assertEqual(faulty["restarts"], lives - 1)
        return faulty

    def test_crash(self):
        faulty = self.check("segv", "signal")
        self.assertIn("SIGSEGV: wrote to 0x8", faulty["failure"]["text"])
        self.assertEqual((faulty["failure"]["frame"], faulty["failure"]["thread"]), (EACH, 1))

    def test_write_to_a_frame(self):
        """The frames are the other experts' too."""
        faulty = self.check("frame", "signal")
        self.assertIn("SIGSEGV: wrote to", faulty["failure"]["text"])

    def test_process_that_is_killed(self):
        faulty = self.check("kill", "died")
        self.assertEqual(faulty["failure"]["text"], "its process was killed: SIGKILL")
        self.assertEqual((faulty["failure"]["frame"], faulty["failure"]["thread"]), (EACH, 1))

    def test_loop(self):
        self.check("loop", "time")

    def test_all_that_is_shared_is_overwritten(self):
        self.check("garbage", "died")

    def test_no_message(self):
        faulty = self.check("scribble", "died")
        self.assertEqual(faulty["failure"]["text"], "its process sent what is no message")

    def test_restart(self):
        for what, kind in (("segv", "signal"), ("kill", "died"), ("scribble", "died")):
            faulty = self.check(what, kind, "--restart", "2", lives=3)
            lives = sorted(faulty["events"], key=lambda event: event["first"])
            # What former lives have found is kept, and each begins behind the frame that ended the one before.
            self.assertEqual([life["first"] for life in lives], [1, EACH + 1, 2 * EACH + 1])
            self.assertEqual(len({life["process"] for life in lives}), 3)
            self.assertEqual(faulty["failure"]["frame"], 3 * EACH)

    def test_restart_of_one_that_is_made_to_fail(self):
        run = report("--isolate", "--restart", "5", "--fail", "flows@10000", SAMPLE, status=3)
        flows = run["experts"][0]
        self.assertEqual((flows["restarts"], flows["failure"]["kind"]), (1, "pretended"))
        self.assertEqual(sum(f["packets"] for f in flows["events"]), run["frames"] - 10000)

    def test_text(self):
        process = start("--isolate", "--restart", "2", "-e", EXPERT, SAMPLE, what="kill")
        out, err = process.communicate(timeout=100)
        self.assertEqual(process.returncode, 3)
        self.assertIn("isolate failed: its process was killed: SIGKILL", err)
        self.assertIn("isolate failed at frame 3000, thread 1: its process was killed: SIGKILL\n"
                      "  its process is gone, with all of its memory\n"
                      "  it was started again 2 times\n", out)

    def test_every_expert_fails(self):
        run = report("--isolate", "-e", EXPERT, "-e", EXPERT, SAMPLE, what="kill", status=3)
        self.assertEqual([e["failure"]["kind"] for e in run["experts"]], ["died", "died"])
        self.assertGreater(run["frames"], 70000)


class Ends(Folder):
    def started(self, *arguments, experts=2, **more):
        process = start("--json", "--isolate", "-l", "1000000", *arguments, SAMPLE, **more)
        self.addCleanup(process.kill)
        self.assertTrue(wait_until(lambda: len(children_of(process.pid)) == experts))
        children = children_of(process.pid)
        time.sleep(0.5)
        return process, children

    def assert_nothing_is_left(self, children):
        self.assertTrue(wait_until(lambda: not any(map(is_there, children))))

    def test_child_that_is_killed(self):
        process, children = self.started()
        os.kill(children[1], signal.SIGKILL)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        run, _ = finish(process, 128 + signal.SIGINT)
        flows, reassembly = run["experts"]
        self.assertEqual(sum(f["packets"] for f in flows["events"]), run["frames"])
        self.assertEqual(reassembly["failure"]["kind"], "died")
        self.assertLess(reassembly["failure"]["frame"], run["frames"])
        self.assert_nothing_is_left(children)

    def test_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process, children = self.started("-t", "2")
            process.send_signal(number)
            run, err = finish(process, 128 + number)
            self.assertTrue(run["interrupted"])
            self.assertIn("interrupted: the report is of", err)
            self.assertEqual(sum(f["packets"] for f in events(run, "flows")), run["frames"])
            self.assert_nothing_is_left(children)

    def test_terminal(self):
        """Its signals come to the experts' processes, too."""
        process, children = self.started(start_new_session=True)
        os.killpg(process.pid, signal.SIGINT)
        run, _ = finish(process, 128 + signal.SIGINT)
        self.assertEqual([e["failed"] for e in run["experts"]], [False, False])
        self.assertEqual(sum(f["packets"] for f in events(run, "flows")), run["frames"])
        self.assert_nothing_is_left(children)

    def test_signal_while_an_expert_is_stuck(self):
        process, children = self.started("--expert-timeout", "0", "-e", EXPERT, "-e", "flows", what="loop")
        process.send_signal(signal.SIGTERM)
        run, _ = finish(process, 128 + signal.SIGTERM)
        self.assertEqual(run["experts"][0]["failure"]["kind"], "ignored")
        self.assertEqual(run["experts"][0]["failure"]["frame"], EACH)
        self.assertFalse(run["experts"][1]["failed"])
        self.assert_nothing_is_left(children)

    def test_host_that_is_killed(self):
        process, children = self.started()
        process.kill()
        process.communicate(timeout=100)
        self.assert_nothing_is_left(children)


class BadInput(Folder):
    def test_frame_that_is_larger_than_the_ring(self):
        packets = [ip(*ENDS, UDP, udp((1000, 53), data(5000 if i == 3 else 100))) for i in range(10)]
        run, err = finish(start("--json", "--isolate", "--isolate-ring", "4k", "-e", "flows", self.capture(packets)), 1)
        self.assertRegex(err, r"capture\.pcap: frame 4: \d+ bytes .* --isolate-ring")
        self.assertEqual((run["frames"], run["refused"]), (10, 1))
        self.assertEqual(sum(f["packets"] for f in events(run, "flows")), 9)

    def test_options(self):
        for arguments, text in ((["--restart", "2", SAMPLE], "--restart: only with --isolate"),
                                (["--isolate-ring", "1M", SAMPLE], "--isolate-ring: only with --isolate"),
                                (["--isolate", "--isolate-ring", "100", SAMPLE], "--isolate-ring 100: expected a size"),
                                (["--isolate", "--isolate-ring", "big", SAMPLE], "--isolate-ring big: expected a size"),
                                (["--isolate", "--restart", "x", SAMPLE], "--restart x: expected a whole number"),
                                (["--isolate", "--trace", "t.kst", SAMPLE], "--trace"),
                                (["--isolate", "-e", "nobody", SAMPLE], "no such expert")):
            process = start(*arguments)
            out, err = process.communicate(timeout=100)
            self.assertIn(process.returncode, (1, 2))
            self.assertIn(text, err)
            self.assertEqual(out, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
