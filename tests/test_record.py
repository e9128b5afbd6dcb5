"""`keyslab record`: what a program does is unchanged, and in the trace.

    test_record.py KEYSLAB SOURCE-ROOT
"""

import os
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

KEYSLAB, ROOT = sys.argv[1:3]
CHUNK = struct.Struct("<4sIIIQQII")

PROGRAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    int status = 0;
    if (argc > 1 && !strcmp(argv[1], "fork")) {
        pid_t child = fork();
        if (!child) {
            work(NULL);
            _exit(9);
        }
        waitpid(child, &status, 0);
        printf("%d %d\n", (int)child, WEXITSTATUS(status));
    }
    if (argc > 1 && !strcmp(argv[1], "kill")) {
        sleep(2);
        abort();
    }
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


def events(path):
    return sum(events for kind, _, events in chunks(path) if kind in ("EVTS", "MORE"))


class Recorded(unittest.TestCase):
    # Of one run of work(): allocation, reallocation in place or moved, and three frees, for each of its 5,000 rounds.
    LEAST = 5000 * 7

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.program = os.path.join(cls.folder.name, "program")
        source = cls.program + ".c"
        with open(source, "w") as file:
            file.write(PROGRAM)
        subprocess.run(["cc", "-O0", "-o", cls.program, source, "-pthread"], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def record(self, *arguments, options=()):
        trace = os.path.join(self.folder.name, self.id() + ".kst")
        result = subprocess.run([KEYSLAB, "record", "-o", trace, *options, "--", *arguments], capture_output=True,
                                text=True, timeout=60)
        return trace, result

    def test_everything_of_every_thread(self):
        trace, result = self.record(self.program)
        self.assertEqual((result.returncode, result.stdout), (0, "done\n"))
        self.assertEqual([kind for kind, _, _ in chunks(trace)][:1], ["INFO"])
        self.assertEqual([kind for kind, _, _ in chunks(trace)][-1:], ["LAST"])
        busy = {}
        for kind, thread, count in chunks(trace):
            busy[thread] = busy.get(thread, 0) + count
        self.assertEqual(sum(count >= self.LEAST for count in busy.values()), 4)
        self.assertIn("bytes an event", result.stderr)
        size = os.path.getsize(trace) / events(trace)
        self.assertLess(size, 12)

    def test_status_and_output_are_the_program_s(self):
        self.assertEqual(self.record(self.program, "fail")[1].returncode, 3)
        quiet = self.record(self.program, options=("--quiet",))[1]
        self.assertEqual((quiet.returncode, quiet.stdout, quiet.stderr), (0, "done\n", ""))

    def test_child(self):
        trace, result = self.record(self.program, "fork")
        child, status = result.stdout.split("\n")[0].split()
        self.assertEqual(status, "9")
        self.assertGreaterEqual(events(trace), 4 * self.LEAST)
        self.assertGreaterEqual(events("%s.%s" % (trace, child)), self.LEAST)
        self.assertLess(events("%s.%s" % (trace, child)), self.LEAST * 2)

    def test_killed(self):
        trace, result = self.record(self.program, "kill")
        self.assertEqual(result.returncode, 128 + signal.SIGABRT)
        self.assertIn("--salvage", result.stderr)
        self.assertGreaterEqual(events(trace), 4 * self.LEAST)

    def test_sample(self):
        whole = events(self.record(self.program)[0])
        sampled = events(self.record(self.program, options=("--sample", "4"))[0])
        self.assertLess(sampled, whole / 2)
        self.assertGreater(sampled, 0)

    def test_refused(self):
        self.assertEqual(self.record("/nonexistent/program")[1].returncode, 127)
        self.assertEqual(self.record("/dev/null")[1].returncode, 126)
        self.assertEqual(subprocess.run([KEYSLAB, "record"], capture_output=True).returncode, 2)
        bad = subprocess.run([KEYSLAB, "record", "-o", "/nonexistent/t", "true"], capture_output=True, text=True)
        self.assertEqual((bad.returncode, bad.stderr), (1, "keyslab: /nonexistent/t: No such file or directory\n"))

    def test_disk_that_fills_up(self):
        """The program goes on, and the reason is told."""
        trace = os.path.join(self.folder.name, "limited.kst")
        limited = "trap '' XFSZ; ulimit -f 64; exec \"$@\""
        result = subprocess.run(["sh", "-c", limited, "sh", KEYSLAB, "record", "-o", trace, "--", self.program],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stdout), (0, "done\n"))
        self.assertIn("File too large; the trace ends there", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
