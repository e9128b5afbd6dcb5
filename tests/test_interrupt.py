"""Signals: what is interrupted ends soon, with the report that it has, and leaves nothing.

    test_interrupt.py KEYSLAB MAKE-TRACE ODD-EXPERT SOURCE-ROOT
"""

import json
import os
import pty
import signal
import subprocess
import sys
import time
import unittest

from program import KEYSLAB, ODD_EXPERT, SAMPLE, SANITIZED, SIGNALS, Folder, signals_as


SLOWER = 5 if SANITIZED else 1


def children_of(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(name))
    return found


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


class Interrupted(Folder):
    def end(self, process, *numbers, after=0.7, within=30):
        """Sends signals while it runs; its status, output and complaints."""
        time.sleep(after * SLOWER)
        self.assertIsNone(process.poll(), "it has ended before")
        for number in numbers:
            process.send_signal(number)
        out, err = process.communicate(timeout=within)
        return process.returncode, out, err.decode(errors="replace")


class RunInterrupted(Interrupted):
    def check(self, number, status, out, least=1):
        self.assertEqual(status, 128 + number)
        data = json.loads(out)
        self.assertTrue(data["interrupted"])
        self.assertGreaterEqual(data["frames"], least)
        return data

    def test_a_loop_ends_with_its_report(self):
        for number in SIGNALS:
            status, out, err = self.end(self.start("run", "--json", "--loop", "1000000", self.capture()), number)
            data = self.check(number, status, out)
            self.assertIn("interrupted: the report is of", err)
            flows = next(e for e in data["experts"] if e["name"] == "flows")
            self.assertEqual(sum(f["packets"] for f in flows["events"]), data["frames"])

    def test_a_signal_that_comes_twice_at_once_is_one(self):
        """timeout(1) sends its signal to the program and to its group."""
        status, out, _ = self.end(self.start("run", "--json", "--loop", "1000000", self.capture()), *2 * [signal.SIGTERM])
        self.check(signal.SIGTERM, status, out)

    def test_whole_runs_say_so(self):
        self.assertFalse(self.report("run", "--json", "-c", "100", SAMPLE)["interrupted"])

    def test_what_was_ignored_stays_ignored(self):
        process = self.start("run", "--json", "--loop", "1000000", self.capture(), ignored=[signal.SIGHUP])
        time.sleep(0.5 * SLOWER)
        process.send_signal(signal.SIGHUP)
        status, out, _ = self.end(process, signal.SIGTERM)
        self.check(signal.SIGTERM, status, out)

    def test_a_pipe_that_nobody_writes_to(self):
        """Frames that were read are reported; none of a recording, which is played when it is whole."""
        packets = subprocess.run(["gzip", "-dc", SAMPLE], stdout=subprocess.PIPE, check=True).stdout[:300000]
        for loop, least in ((), 100), (("--loop", "3"), 0):
            os.mkfifo(self.path("fifo"))
            process = self.start("run", "--json", *loop, "fifo")
            with open(self.path("fifo"), "wb") as fifo:
                fifo.write(packets)
                fifo.flush()
                status, out, _ = self.end(process, signal.SIGINT)
            self.check(signal.SIGINT, status, out, least)
            os.unlink(self.path("fifo"))

    def test_a_pipe_that_nobody_opens(self):
        os.mkfifo(self.path("fifo"))
        self.assertEqual(self.end(self.start("run", "fifo"), signal.SIGTERM)[:2], (-signal.SIGTERM, b""))

    def odd(self, what):
        self.environment["ODD_EXPERT"] = what
        return self.start("run", "--json", "-e", ODD_EXPERT, "--loop", "1000000", self.capture())

    def test_experts_that_do_not_end(self):
        slow, stuck, again = self.odd("slow"), self.odd("stuck"), self.odd("stuck")
        time.sleep(SLOWER)
        for process in slow, stuck, again:
            process.send_signal(signal.SIGTERM)
        time.sleep(0.8)
        again.send_signal(signal.SIGTERM)
        self.assertEqual(again.communicate(timeout=3)[0], b"")
        self.assertEqual(again.returncode, -signal.SIGTERM)
        out, err = slow.communicate(timeout=20)
        self.check(signal.SIGTERM, slow.returncode, out)
        self.assertIn(b"an expert was too slow", err)
        out, err = stuck.communicate(timeout=20)
        data = self.check(signal.SIGTERM, stuck.returncode, out)
        self.assertEqual(data["experts"][0]["failure"]["kind"], "ignored")

    def test_a_reader_that_goes_away(self):
        """The trace is whole all the same."""
        process = self.start("run", "--top", "1000000", "--trace", "t.kst", SAMPLE)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=30), -signal.SIGPIPE)
        process.stderr.close()
        self.assertEqual(self.report("tune", "--json", "t.kst")["sources"][0]["kind"], "trace")


class OthersInterrupted(Interrupted):
    def test_a_search_ends_with_what_it_found(self):
        for number in SIGNALS:
            process = self.start("tune", "--json", "--search", "-o", "tuned.conf", self.trace("300000"))
            self.assertTrue(wait_until(lambda: children_of(process.pid)))
            child = children_of(process.pid)[0]
            status, out, _ = self.end(process, number)
            self.assertEqual(status, 128 + number)
            self.assertTrue(json.loads(out)["search"]["interrupted"])
            self.assertIn("# It was interrupted before all was tried.", self.read("tuned.conf"))
            self.assertEqual(self.run_it("config", "check", "tuned.conf").returncode, 0)
            self.assertFalse(is_there(child))

    def test_children_end_with_a_search_that_is_killed(self):
        process = self.start("tune", "--search", self.trace("3000000"))
        self.assertTrue(wait_until(lambda: children_of(process.pid)))
        child = children_of(process.pid)[0]
        self.assertEqual(self.end(process, signal.SIGKILL, after=0)[0], -signal.SIGKILL)
        self.assertTrue(wait_until(lambda: not is_there(child)))

    def test_a_search_that_ends(self):
        data = self.report("tune", "--json", "--search=flush", "--search-seconds", "2", self.trace())
        self.assertFalse(data["search"]["interrupted"])

    def test_a_comparison_ends_with_its_whole_rounds(self):
        process = self.start("replay", "--json", "--compare", "default,malloc", "--rounds", "1000", self.trace())
        status, out, err = self.end(process, signal.SIGINT, after=3)
        self.assertEqual(status, 128 + signal.SIGINT)
        self.assertRegex(err, r"interrupted: the report is of \d+ rounds of 1000")
        rounds = [len(a["rounds"]) for a in json.loads(out)["allocators"]]
        self.assertEqual(rounds[0], rounds[1])
        self.assertTrue(0 < rounds[0] < 1000, rounds)

    def test_without_a_report_they_die_of_it(self):
        trace = self.trace()
        for arguments in ("tune", "-"), ("replay", "-"), ("config", "check", "-"):
            process = self.start(*arguments, stdin=subprocess.PIPE)
            with open(trace, "rb") as file:
                process.stdin.write(file.read(100000))
            process.stdin.flush()
            self.assertEqual(self.end(process, signal.SIGTERM)[:2], (-signal.SIGTERM, b""), arguments)


COUNTS = """
import signal, sys, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print('ready', flush=True)
end = time.monotonic() + 20
while not got and time.monotonic() < end:
    time.sleep(0.02)
time.sleep(0.3)
sys.exit(10 + len(got))
"""


@unittest.skipIf(SANITIZED, "a sanitizer's malloc cannot be recorded")
class RecordInterrupted(Interrupted):
    def check_trace(self):
        self.assertGreater(self.report("tune", "--json", "t.kst")["sources"][0]["events"], 1000)

    def test_a_signal_is_passed_on(self):
        process = self.start("record", "-q", "-o", "t.kst", sys.executable, "-c", COUNTS)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.assertEqual(self.end(process, signal.SIGINT, after=0)[0], 11)
        self.check_trace()

    def test_a_terminal_sends_it_by_itself(self):
        process, terminal = pty.fork()
        if not process:
            signals_as()()
            os.chdir(self.folder.name)
            os.execve(KEYSLAB, [KEYSLAB, "record", "-q", "-o", "t.kst", sys.executable, "-c", COUNTS], self.environment)
        shown = b""
        while b"ready" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), 11)
        os.close(terminal)
        self.check_trace()

    def test_what_was_ignored_stays_ignored(self):
        code = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
        for ignored, status in ([], 0), ([signal.SIGINT], 1):
            process = self.start("record", "-q", "-o", "t.kst", sys.executable, "-c", code, ignored=ignored)
            process.communicate(timeout=30)
            self.assertEqual(process.returncode, status)

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
