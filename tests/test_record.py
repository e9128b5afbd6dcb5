"""`keyslab record`: what a program does is unchanged, and in the trace. Every trace that is left is read, by tune and by replay.

    test_record.py KEYSLAB RECORDED
"""

import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

KEYSLAB, RECORDED = sys.argv[1:3]
CHUNK = struct.Struct("<4sIIIQQII")

# As in recorded.c.
PAIRS, MANY_PAIRS, INHERITED = 1000, 50000, 64

# Of a process that does its pairs and nothing else: its key's name, and two events for each pair.
WORK = 1 + 2 * PAIRS
# Of one that begins with main: its blocks for children, too.
PROGRAM = WORK + INHERITED

THREADED = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 5000, THREADS = 4 };

static void *work(void *unused)
{
    (void)unused;
    for (int i = 1; i <= BLOCKS; i++) {
        char *block = malloc((size_t)i);
        block = realloc(block, (size_t)i * 2);
        free(block);
        void *aligned;
        if (posix_memalign(&aligned, 256, 100))
            abort();
        free(aligned);
        free(calloc(3, 7));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("done\n");
    return argc > 1 && !strcmp(argv[1], "fail") ? 3 : 0;
}
"""


def chunks(path):
    """Type, thread and events of each chunk of a trace."""
    with open(path, "rb") as file:
        data = file.read()
    found = []
    at = 16
    while at + CHUNK.size <= len(data):
        kind, size, thread, events = CHUNK.unpack_from(data, at)[:4]
        found.append((kind.decode(), thread, events))
        at += CHUNK.size + size
    return found


class Folder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.trace = os.path.join(self.folder.name, self.id().split(".")[-1])

    def record(self, *arguments, options=(), **how):
        return subprocess.run([KEYSLAB, "record", "-o", self.trace, *options, "--", *arguments], capture_output=True,
                              text=True, timeout=60, **how)

    def read(self, *arguments):
        result = subprocess.run([KEYSLAB, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stderr), (0, ""), arguments)
        return json.loads(result.stdout)

    def events(self, path=None):
        """How many events tune and replay find in a trace, which must be whole."""
        path = path or self.trace
        tuned = self.read("tune", "--json", path)
        count = tuned["sources"][0]["events"]
        self.assertEqual(count, sum(events for kind, _, events in chunks(path) if kind == "EVTS"))
        self.assertEqual([chunks(path)[0][0], chunks(path)[-1][0]], ["INFO", "LAST"])
        replayed = self.read("replay", "--json", path)
        self.assertEqual(replayed["failed"], 0)
        # Neither the key's name is replayed nor what is of blocks from before; of moves there are two events.
        self.assertGreater(replayed["operations"], 0)
        self.assertLess(replayed["operations"], count)
        return count

    def children(self):
        """The events of each child's trace, in rising order."""
        return sorted(self.events(path) for path in glob.glob(self.trace + ".*"))


class Recorded(Folder):
    # Of one run of work(): allocation, reallocation in place or moved, and three frees, for each of its 5,000 rounds.
    LEAST = 5000 * 7

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = os.path.join(cls.folder.name, "threaded")
        subprocess.run(["cc", "-O0", "-x", "c", "-o", cls.program, "-", "-pthread"], input=THREADED, text=True,
                       check=True)

    def test_everything_of_every_thread(self):
        result = self.record(self.program)
        self.assertEqual((result.returncode, result.stdout), (0, "done\n"))
        count = self.events()
        busy = {}
        for _, thread, events in chunks(self.trace):
            busy[thread] = busy.get(thread, 0) + events
        self.assertEqual(sum(events >= self.LEAST for events in busy.values()), 4)
        del busy[0]  # INFO and LAST
        self.assertIn(f"{count} events of {len(busy)} threads", result.stderr)
        self.assertIn("bytes an event", result.stderr)
        self.assertLess(os.path.getsize(self.trace) / count, 12)

    def test_status_and_output_are_the_program_s(self):
        self.assertEqual(self.record(self.program, "fail").returncode, 3)
        self.assertGreaterEqual(self.events(), 4 * self.LEAST)
        quiet = self.record(self.program, options=("--quiet",))
        self.assertEqual((quiet.returncode, quiet.stdout, quiet.stderr), (0, "done\n", ""))
        self.assertGreaterEqual(self.events(), 4 * self.LEAST)

    def test_sample(self):
        self.record(self.program)
        whole = self.events()
        sampled = []
        for _ in range(3):  # few addresses, used again and again, and others in each process
            self.record(self.program, options=("--sample", "4"))
            sampled.append(self.events())
        self.assertIn(min(sampled), range(100, whole // 2))
        self.assertLess(max(sampled), whole)

    def test_refused(self):
        self.assertEqual(self.record("/nonexistent/program").returncode, 127)
        self.assertEqual(self.record("/dev/null").returncode, 126)
        self.assertEqual(subprocess.run([KEYSLAB, "record"], capture_output=True).returncode, 2)
        bad = subprocess.run([KEYSLAB, "record", "-o", "/nonexistent/t", "true"], capture_output=True, text=True)
        self.assertEqual((bad.returncode, bad.stderr), (1, "keyslab: /nonexistent/t: No such file or directory\n"))

    def test_disk_that_fills_up(self):
        """The program goes on, the reason is told, and what was there before can be read."""
        limited = "ulimit -f 64; exec \"$@\""
        result = subprocess.run(["sh", "-c", limited, "sh", KEYSLAB, "record", "-o", self.trace, "--", self.program],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stdout), (0, "done\n"))
        self.assertEqual(result.stderr.count("File too large; the trace ends there"), 1)
        self.assertIn(self.events(), range(500, 4 * self.LEAST))

    def test_an_older_trace_is_replaced(self):
        self.record(self.program)
        with open(self.trace, "rb") as still_open:
            whole = still_open.read()
            self.record(RECORDED, "pairs")
            still_open.seek(0)
            self.assertEqual(still_open.read(), whole)
        self.assertEqual(self.events(), PROGRAM)


class Children(Folder):
    def check(self, way, children, program=PROGRAM):
        result = self.record(RECORDED, way)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.events(), program)
        found = self.children()
        self.assertEqual(found, children)
        if children:
            some = "1 trace" if len(found) == 1 else f"{len(found)} traces"
            self.assertIn(f"{self.trace}.PID: {some} of child processes, {sum(found)} events\n", result.stderr)
        return result

    def test_one(self):
        self.check("one", [WORK])

    def test_names(self):
        """A child's trace is named after its process."""
        self.check("one", [WORK])
        name, = glob.glob(self.trace + ".*")
        self.assertRegex(name[len(self.trace):], r"^\.\d+$")
        with open(name, "rb") as file:
            process = struct.unpack_from("<I", file.read(), 16 + CHUNK.size + 20)[0]
        self.assertEqual(name, f"{self.trace}.{process}")

    def test_older_children_s_traces_stay(self):
        self.check("one", [WORK])
        self.record(RECORDED, "one")
        self.assertEqual(self.children(), [WORK, WORK])

    def test_a_child_that_allocates_nothing_has_no_trace(self):
        self.check("silent", [])

    def test_blocks_of_the_parent(self):
        """The first event is the first reallocation: in place, which is one event, or not, which is two."""
        result = self.record(RECORDED, "inherit")
        self.assertEqual(result.returncode, 0)
        name, = glob.glob(self.trace + ".*")
        in_place = moved = kept = INHERITED // 4
        freed = INHERITED // 4 - 1
        self.assertEqual(self.events(name), WORK + freed + in_place + 2 * moved + in_place + moved + kept)
        replayed = self.read("replay", "--json", name)
        # A reallocated block is one from then on; what is freed, and has not been seen, is not.
        self.assertEqual(replayed["operations"], 2 * PAIRS + 2 * in_place + 2 * moved)
        self.assertEqual(replayed["unmatched"], freed + in_place + moved + kept)
        self.assertEqual(replayed["asked_end"], 0)

    def test_tree(self):
        result = self.record(RECORDED, "tree")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.children(), [WORK] * 6)
        self.assertGreater(self.events(), PROGRAM + 2 * PAIRS)

    def test_forks_while_threads_allocate(self):
        result = self.record(RECORDED, "storm")
        self.assertEqual(result.returncode, 0, result.stderr)
        found = self.children()
        self.assertEqual(len(found), 20)
        self.assertEqual(found[:10], [WORK] * 10)
        self.assertGreaterEqual(found[10], WORK + 2 * PAIRS)
        self.assertGreater(self.events(), PROGRAM)

    def test_exec(self):
        """A process is one trace, whatever programs it runs; what the first one had is gone by a reset."""
        self.check("replace", [], PROGRAM + 2 * PAIRS + 1 + PROGRAM)

    def test_exec_in_child(self):
        self.check("exec", sorted([WORK + 1 + PROGRAM, WORK + 2 * PAIRS]))

    def test_spawn(self):
        self.check("spawn", [PROGRAM, PROGRAM], PROGRAM + 2 * PAIRS)

    def test_ends(self):
        """By _exit, quick_exit, SIGSEGV, SIGABRT and SIGKILL."""
        self.check("ends", [WORK] * 5)

    def test_end_in_handler(self):
        result = self.record(RECORDED, "handler")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(self.children()[0], WORK)

    def test_processes_of_one_number(self):
        """In name spaces of their own."""
        if not shutil.which("unshare") or subprocess.run(["unshare", "-rpf", "true"], capture_output=True).returncode:
            self.skipTest("no name spaces of processes here")
        self.record("sh", "-c", "for i in 1 2 3; do unshare -rpf \"$0\" one & done; wait", RECORDED)
        names = [os.path.basename(name)[len(os.path.basename(self.trace)):] for name in glob.glob(self.trace + ".*")]
        for number in ("1", "2"):
            for again in ("", ".2", ".3"):
                self.assertIn(f".{number}{again}", names)
        for again in ("", ".2", ".3"):
            self.assertEqual(self.events(f"{self.trace}.2{again}"), WORK)
            self.assertGreaterEqual(self.events(f"{self.trace}.1{again}"), PROGRAM)
        self.children()

    def test_shell(self):
        result = self.record("sh", "-c", "\"$0\" pairs | cat; (\"$0\" one; :) & wait; exec \"$0\" pairs", RECORDED)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreaterEqual(self.events(), PROGRAM)
        self.assertGreaterEqual(sum(events >= WORK for events in self.children()), 3)


class Outlived(Folder):
    """Processes that go on after the program's end: as long as their standard input is open."""

    def outlived(self, way):
        """The only child's trace, when it has recorded something; and what keeps it alive."""
        ours, theirs = os.pipe()
        result = self.record(RECORDED, way, stdin=ours)
        os.close(ours)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.events(), PROGRAM)
        deadline = time.monotonic() + 20
        while not (names := glob.glob(self.trace + ".*")) or self.salvaged(names[0]) < WORK:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        return names[0], theirs, result

    def salvaged(self, path):
        result = subprocess.run([KEYSLAB, "tune", "--salvage", "--json", path], capture_output=True, text=True)
        return 0 if result.returncode else json.loads(result.stdout)["sources"][0]["events"]

    def await_end(self, path):
        deadline = time.monotonic() + 20
        while subprocess.run([KEYSLAB, "tune", path], capture_output=True).returncode:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_child(self):
        path, pipe, result = self.outlived("outlived")
        self.assertEqual(path, f"{self.trace}.{result.stdout.strip()}")
        os.close(pipe)
        self.await_end(path)
        self.assertEqual(self.events(path), WORK + 2 * MANY_PAIRS)

    def test_daemon(self):
        """It has closed every descriptor, and its parent is gone."""
        path, pipe, _ = self.outlived("daemon")
        os.close(pipe)
        self.await_end(path)
        self.assertEqual(self.events(path), WORK + 2 * PAIRS + 2 * MANY_PAIRS)

    def test_killed(self):
        """Nobody is there to complete its trace: it is salvaged."""
        path, pipe, result = self.outlived("outlived")
        os.kill(int(result.stdout), signal.SIGKILL)
        os.close(pipe)
        refused = subprocess.run([KEYSLAB, "tune", path], capture_output=True, text=True)
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, r"chunk \d+ is not complete: the program was killed.*--salvage")
        self.assertEqual(self.salvaged(path), WORK)
        replayed = subprocess.run([KEYSLAB, "replay", "--salvage", "--json", path], capture_output=True, text=True)
        self.assertEqual(replayed.returncode, 0)
        self.assertEqual(json.loads(replayed.stdout)["operations"], 2 * PAIRS)


class Ends(Folder):
    """How the program itself ends. What it has recorded is there, to the last event, and its trace is whole."""

    def check(self, way, status, name):
        result = self.record(RECORDED, way)
        self.assertEqual(result.returncode, status)
        count = PROGRAM + 2 * PAIRS
        self.assertEqual(self.events(), count)
        self.assertRegex(result.stderr, rf"^keyslab: \S+: {count} events of 1 thread, .*{name}\n$")

    def test_at_once(self):
        self.check("_exit", 3, "bytes an event")

    def test_by_a_fault(self):
        self.check("segv", 139, "; the program was ended by SIGSEGV")

    def test_by_abort(self):
        self.check("abort", 134, "; the program was ended by SIGABRT")

    def test_by_being_killed(self):
        self.check("kill", 137, "; the program was ended by SIGKILL")

    def test_nothing_is_recorded(self):
        """The message says so, and so it is."""
        source = "#include <signal.h>\n#include <stdlib.h>\nint main(int n, char **v) { return n > 1 ? raise(9) : 0; }\n"
        for linked, message in ((("-O0",), "no allocation was recorded"), (("-static",), "nothing was recorded: ")):
            program = os.path.join(self.folder.name, "idle")
            subprocess.run(["cc", *linked, "-x", "c", "-o", program, "-"], input=source, text=True, check=True)
            for arguments, status, end in (((), 0, ""), (("x",), 137, "; the program was ended by SIGKILL")):
                result = self.record(program, *arguments)
                self.assertEqual(result.returncode, status or int("-static" in linked))
                self.assertRegex(result.stderr, rf"^keyslab: \S+: {message}.*{end}\n$")
                self.assertNotIn("salvage", result.stderr)
                self.assertEqual(subprocess.run([KEYSLAB, "tune", "--salvage", self.trace],
                                                capture_output=True).returncode, 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
