"""The zoo of faulty experts (tests/zoo): each alone and all together, beside good ones whose results must not change.

    test_zoo.py KEYSLAB ZOO-FOLDER SOURCE-ROOT [--runs N] [--only EXPRESSION] [TEST...]

With --runs, the table's runs come again and again before all else, until N have been made. With --only, those whose name matches:
"write_low", "isolated, threads 4$".
"""

import argparse
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

MIB = 1 << 20
# More than an expert's ring holds: one that stops taking them stops the capture, until the host has contained it.
FRAMES = 12000
FAULT_FRAME = 1000
THREADS = (1, 2, 4)
GOOD = ("flows", "reassembly")
# Processes at the same time: most of a run that waits for a time limit is waiting.
AT_ONCE = 6
LIMIT = "1"
LEFT_MOST = 8 * MIB
# At which frames "often" fails.
OFTEN = 50

PROCESS, ISOLATE = "in the process", "isolated"
BOTH = (PROCESS, ISOLATE)
ISOLATE_ONLY = (ISOLATE,)


class Row(NamedTuple):
    """What the host must make of an expert; `kind` is None where it must not fail."""
    expert: str
    kind: str = None
    text: str = ""               # of the failure, a regular expression
    frame: int = FAULT_FRAME
    shared: bool = False         # by several threads, of which any may be named, with its frame
    blocks: int = 0              # that the reset recovers at least, where the expert has one thread
    misuse: dict = {}            # counters that are not 0
    left: int = 0                # blocks that it leaves without failing
    options: tuple = ()
    modes: tuple = BOTH
    times: int = 1               # how often it is loaded; the row is of the last
    trace: bool = False          # the backtrace names the expert's own file


# A block for each frame up to the fault.
KEPT = FAULT_FRAME
STRICT = ("--strict",)
QUOTA = ("--expert-quota", "64M")

ROWS = [
    Row("faultless"),
    Row("write_low", "signal", r"^SIGSEGV: wrote to 0x8$", blocks=KEPT, trace=True),
    Row("write_wild", "signal", r"^SIGSEGV: wrote to 0x[0-9a-f]{5,}$", blocks=KEPT, trace=True),
    Row("recurse", "signal", r"^SIGSEGV: .*stack", blocks=KEPT, trace=True),
    Row("bus", "signal", r"^SIGBUS: ", blocks=KEPT, trace=True),
    Row("divide", "signal", r"^SIGFPE: ", blocks=KEPT, trace=True),
    Row("illegal", "signal", r"^SIG(ILL|TRAP)", blocks=KEPT, trace=True),
    Row("abort", "signal", r"^SIGABRT", blocks=KEPT),
    Row("exit", "exit", r"\bexit\(3\)", blocks=KEPT),
    Row("exit_at_once", "exit", r"\b_exit\(3\)", blocks=KEPT),
    Row("thread_exit", "exit", r"pthread_exit", blocks=KEPT),
    Row("throw", "exception", r"std::runtime_error", blocks=KEPT),
    Row("hoard", "signal", r"^SIGSEGV: wrote to 0x8$", blocks=KEPT + 10016, trace=True),
    Row("crowd", "signal", r"^SIGSEGV: wrote to 0x8$", shared=True, blocks=1, trace=True),
    Row("long_call", "signal", r"^SIGSEGV: wrote to 0x8$", blocks=KEPT, trace=True),
    Row("often", "signal", r"^SIGSEGV: wrote to 0x8$", frame=50, trace=True),
    Row("lock_left", "signal", r"^SIGSEGV: wrote to 0x8$", trace=True),
    Row("lock_stdout", "signal", r"^SIGSEGV: wrote to 0x8$", blocks=KEPT, trace=True),
    Row("loop", "time", blocks=KEPT),
    Row("read_pipe", "time", blocks=KEPT),
    Row("lock_twice", "time", blocks=KEPT),
    Row("deaf", "time", blocks=KEPT),
    Row("devour", "quota", blocks=KEPT + 10000, shared=True, options=QUOTA),
    Row("stay", "ignored", r"end of the frames", frame=0),
    Row("stay", "ignored", r"NMERR_EXPERT_TERMINATE", shared=True, options=("--fail", f"stay@{FAULT_FRAME}")),
    Row("faultless", "pretended", shared=True, blocks=KEPT - 1, options=("--fail", f"faultless@{FAULT_FRAME}")),
    Row("give_up", "gave_up", r"no table of ports"),
    Row("thread_left", "left", r"thread", frame=0),
    Row("leak", left=10),
    Row("leak", "left", r"10 blocks", frame=0, blocks=10, left=10, options=STRICT),
    Row("free_twice", misuse={"double_free": 1}),
    Row("free_twice", "misuse", r"free already", blocks=KEPT, misuse={"double_free": 1}, options=STRICT),
    Row("free_foreign", misuse={"bad_block": 1}),
    Row("free_foreign", "misuse", blocks=KEPT, misuse={"bad_block": 1}, options=STRICT),
    Row("free_frame", misuse={"wrong_key": 1}, modes=(PROCESS,)),
    Row("free_frame", misuse={"bad_block": 1}, modes=ISOLATE_ONLY),
    Row("free_lent", misuse={"wrong_key": 1}, times=2, modes=(PROCESS,)),
    Row("free_lent", "misuse", misuse={"wrong_key": 1}, times=2, modes=(PROCESS,), options=STRICT),
    Row("register_crash", "signal", r"^SIGSEGV: wrote to 0x8$", frame=0),
    Row("register_loop", "time", frame=0),
    Row("register_refuse", "refused", r"Register", frame=0),
    Row("configure_crash", "signal", r"^SIGSEGV: wrote to 0x8$", frame=0, blocks=1),
    Row("configure_loop", "time", frame=0, blocks=1),
    Row("configure_refuse", "refused", r"Configure", frame=0, blocks=1),
    # Beyond what the host can contain within its process: docs/experts.md.
    Row("write_frame", "signal", r"^SIGSEGV: wrote to 0x", blocks=KEPT, modes=ISOLATE_ONLY),
    Row("kill", "died", r"SIGKILL", modes=ISOLATE_ONLY),
    Row("smash_heap", "signal", r"^SIGABRT", modes=ISOLATE_ONLY),
]


def paths(row):
    return [os.path.join(ZOO, row.expert + ".so")] * row.times


def arguments(experts, threads, mode, options=()):
    named = itertools.chain.from_iterable(("-e", expert) for expert in experts)
    isolate = ("--isolate",) if mode == ISOLATE else ()
    return [KEYSLAB, "run", "--json", "-t", str(threads), "-c", str(FRAMES), "--expert-timeout", LIMIT, *isolate, *options,
            *named, SAMPLE]


def run(experts, threads, mode, options=()):
    """The report, with the run's status and complaints."""
    done = subprocess.run(arguments(experts, threads, mode, options), capture_output=True, text=True, timeout=100)
    try:
        data = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"no report: status {done.returncode}, {done.stderr!r}, {done.stdout[-200:]!r}") from None
    data["status"], data["complaints"] = done.returncode, done.stderr
    return data


def balance(key):
    return key["allocated"] - key["freed_local"] - key["freed_remote"] - key["live"] - key["dropped"]


def expect(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what} is {found!r}, not {wanted!r}")


def check_good(data):
    expect("number of frames", data["frames"], FRAMES)
    expect("number of frames that were refused", data["refused"], 0)
    # Frames for isolated experts are in no key.
    if "frames_key" in data:
        expect("live frames", data["frames_key"]["live"], 0)
        expect("balance of the frames", balance(data["frames_key"]), 0)
    for found, right in zip(data["experts"], RIGHT):
        expect("name", found["name"], right["name"])
        expect(f"{found['name']} failed", found["failed"], False)
        if found["events"] != right["events"]:
            raise AssertionError(f"the events of {found['name']} are others")


def check_failure(row, found, threads):
    failure = found["failure"]
    expect("kind", (failure["kind"], failure["text"] if failure["kind"] != row.kind else ""), (row.kind, ""))
    if not re.search(row.text, failure["text"]):
        raise AssertionError(f"text is {failure['text']!r}, not {row.text!r}")
    if not row.shared:
        expect("frame", failure["frame"], row.frame)
    if threads == 1:
        if found["recovered_blocks"] < row.blocks:
            raise AssertionError(f"recovered {found['recovered_blocks']} blocks, not {row.blocks}")
        if row.frame == FAULT_FRAME and not row.shared:
            expect("thread", failure["thread"], 1)
    if row.trace and not any(row.expert in call for call in failure["backtrace"]):
        raise AssertionError(f"backtrace is {failure['backtrace']}")


def check_faulty(row, found, threads):
    if row.kind and not found["failed"]:
        raise AssertionError("it has not failed")
    if found["failed"]:
        check_failure(row, found, threads)
    else:
        expect("blocks that were left", found["left_blocks"], row.left)
    misuse = {name: count for name, count in found["misuse"].items() if count}
    expect("misuse", misuse, row.misuse)
    for name in ("live_bytes_after", "arena_bytes_after"):
        expect(name, found["key"][name], 0)


def run_alone(row, threads, mode):
    data = run([*GOOD, *paths(row)], threads, mode, row.options)
    check_good(data)
    expect("number of experts", len(data["experts"]), len(GOOD) + row.times)
    check_faulty(row, data["experts"][-1], threads)
    expect("status", data["status"], 3 if row.kind else 0)


def together(mode, options):
    """The rows that one run can have: none whose options are others."""
    return [row for row in ROWS if mode in row.modes and (not row.options or row.options == options)
            and not (row.expert == "stay" and not row.options)]


def run_together(threads, mode, options=QUOTA):
    rows = together(mode, options)
    data = run([*GOOD, *itertools.chain.from_iterable(map(paths, rows))], threads, mode, options)
    check_good(data)
    end = len(GOOD)
    for row in rows:
        end += row.times
        try:
            check_faulty(row, data["experts"][end - 1], threads)
        except AssertionError as error:
            raise AssertionError(f"{row.expert}: {error}") from None
    expect("status", data["status"], 3)


def thread_counts(row, mode):
    """Where there is little time, a row has all of them in one mode, and one of them in the other or where it waits for a limit."""
    if SOAKS or (mode == PROCESS and row.kind not in ("time", "ignored", "quota")):
        return THREADS
    return THREADS[ROWS.index(row) % len(THREADS):][:1]


def whole_table():
    """Every run of the table, as a name and what makes and checks it."""
    for row in ROWS:
        for mode, threads in ((mode, threads) for mode in row.modes for threads in thread_counts(row, mode)):
            name = " ".join((row.expert, *row.options)) + f", {mode}, threads {threads}"
            yield name, lambda row=row, threads=threads, mode=mode: run_alone(row, threads, mode)
    for mode, threads in itertools.product(BOTH, THREADS if SOAKS else (2,)):
        yield f"all together, {mode}, threads {threads}", lambda threads=threads, mode=mode: run_together(threads, mode)


def table():
    return (run for run in whole_table() if ONLY.search(run[0]))


def attempt(named):
    name, work = named
    try:
        work()
    except (AssertionError, KeyError, subprocess.TimeoutExpired) as error:
        return name, f"{type(error).__name__}: {error}"
    return name, None


class Zoo(unittest.TestCase):
    def test_table(self):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, problem in pool.map(attempt, table()):
                with self.subTest(name):
                    self.assertIsNone(problem)

    def test_text(self):
        command = [word for word in arguments([*GOOD, *paths(Row("hoard"))], 1, PROCESS) if word != "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stdout, r"\nhoard failed at frame 1000, thread 1: SIGSEGV: wrote to 0x8\n")
        self.assertRegex(done.stdout, r"\n  .*\(hoard\.so\)\n|\n  hoard\.so\+0x")
        self.assertRegex(done.stdout, r"1101\d blocks, \d+ bytes recovered, 0 live now")


class Interrupted(unittest.TestCase):
    """Signals end the program whatever experts do, also where these have no time limit."""

    def start(self, expert, mode):
        command = arguments([*GOOD, os.path.join(ZOO, expert + ".so")], 2, mode, ("--expert-timeout", "0"))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        time.sleep(1)
        self.assertIsNone(process.poll(), "it has ended before")
        return process

    def test_once(self):
        for mode, expert in itertools.product(BOTH, ("loop", "read_pipe", "lock_twice", "stay")):
            with self.subTest(expert=expert, mode=mode):
                process = self.start(expert, mode)
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=30)
                self.assertEqual(process.returncode, 128 + signal.SIGTERM, err)
                self.assertTrue(json.loads(out)["experts"][-1]["failed"])

    def test_twice(self):
        for mode in BOTH:
            with self.subTest(mode=mode):
                process = self.start("loop", mode)
                process.send_signal(signal.SIGINT)
                time.sleep(0.6)
                process.send_signal(signal.SIGINT)
                begun = time.monotonic()
                process.communicate(timeout=30)
                self.assertLess(time.monotonic() - begun, 2)


class Memory(unittest.TestCase):
    """What failures leave in the host: after 1,000 of them at most 8 MiB more than after 10; in short runs in proportion."""

    def check(self, few, many, failures):
        self.assertLess(many - few, LEFT_MOST * failures // 1000)

    def test_in_the_process(self):
        failures = 1000 if SOAKS else 150
        for name in ("write_low", "crowd", "hoard", "exit"):
            with self.subTest(name):
                done = subprocess.run([os.path.join(ZOO, "failures"), os.path.join(ZOO, name + ".so"), str(failures)],
                                      env=dict(os.environ, ZOO_FRAME="20"), capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.check(*map(int, done.stdout.split()), failures)

    def resident_isolated(self, failures, frames):
        data = run([os.path.join(ZOO, "often.so")], 1, ISOLATE, ("--restart", str(failures), "-c", str(frames)))
        expect("restarts", data["experts"][0]["restarts"], failures)
        return data["resident"]["after"]

    def test_isolated(self):
        failures = 1000 if SOAKS else 150
        frames = OFTEN * (failures + 1)
        self.check(self.resident_isolated(10, frames), self.resident_isolated(failures, frames), failures)

    def test_many_at_once(self):
        """Hundreds of experts in one run, all of which fail."""
        experts = 300
        data = run([os.path.join(ZOO, "write_low.so")] * experts, 1, PROCESS, ("-c", "1500"))
        self.assertEqual([(e["failure"]["frame"], e["recovered_blocks"]) for e in data["experts"]], [(FAULT_FRAME, KEPT)] * experts)


def soak(runs):
    """The table's runs, until so many have been made; how many went wrong."""
    begun, made, wrong = time.monotonic(), 0, 0
    work = itertools.islice(itertools.chain.from_iterable(table() for _ in itertools.count()), runs)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, problem in pool.map(attempt, work):
            made += 1
            if problem:
                wrong += 1
                print(f"run {made}, {name}: {problem}", flush=True)
    print(f"{made} runs in {time.monotonic() - begun:.0f} s, {wrong} of them wrong", flush=True)
    return wrong


def main():
    global KEYSLAB, ZOO, SAMPLE, RIGHT, ONLY, SOAKS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keyslab")
    parser.add_argument("zoo")
    parser.add_argument("root")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--only", default="")
    options = parser.parse_intermixed_args()
    KEYSLAB, ZOO, ONLY = options.keyslab, options.zoo, re.compile(options.only)
    SOAKS = options.runs
    SAMPLE = os.path.join(options.root, "tools", "sample.pcap.gz")
    RIGHT = run(GOOD, 1, PROCESS)["experts"]
    if options.runs and soak(options.runs):
        sys.exit(1)
    unittest.main(argv=sys.argv[:1] + options.tests, verbosity=2)


if __name__ == "__main__":
    main()
