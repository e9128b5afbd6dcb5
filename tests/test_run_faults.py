"""`keyslab run` with the 1st, 2nd, ... call to the outside failing, until a run passes untouched.

    test_run_faults.py KEYSLAB PRELOAD SOURCE-ROOT

Each run gives the same report as one without faults, or ends with status 1, or 3 where it is an expert that has failed, and one line that
says why. With many
calls, all of the first ones fail in turn, and of the others every few.
"""

import json
import os
import subprocess
import sys
import tempfile

KEYSLAB, PRELOAD, ROOT = sys.argv[1:4]
SAMPLE = os.path.join(ROOT, "tools", "sample.pcap.gz")
FRAMES = "1500"
EACH = 60  # the first calls, all of which fail
SPREAD = 90  # of those behind, as many as this
SECONDS_TO_HANG = 60


def run(after, threads, left):
    """Status, report and complaints of one run; what is left of the count in the file `left`."""
    environment = dict(os.environ, LD_PRELOAD=PRELOAD, KEYSLAB_FAULT_AFTER=str(after), KEYSLAB_FAULT_LEFT=left)
    # The sanitizer wants to be the first of all libraries; what is preloaded here replaces nothing of it. And a run that
    # gives up exits as it stands: whole runs are searched for leaks in test_run.py.
    options = [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0", "detect_leaks=0"]
    environment["ASAN_OPTIONS"] = ":".join(filter(None, options))
    command = [KEYSLAB, "run", "--json", "-t", threads, "-c", FRAMES, SAMPLE]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_HANG, env=environment)
    with open(left, encoding="ascii") as file:
        remaining = int(file.read())
    return result, remaining


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def findings(report):
    """What does not depend on memory or time."""
    experts = [(e["name"], e["failed"], e.get("failure", {}).get("kind"), e["events"]) for e in report["experts"]]
    return report["frames"], report["bytes"], report["refused"], report["problems"], experts


def check_key(stats, whole):
    freed = stats["freed_local"] + stats["freed_remote"]
    check(stats["allocated"] == freed + stats["live"] + stats["dropped"], "%s does not balance" % stats["name"])
    check(stats["double_free"] + stats["bad_block"] + stats["wrong_key"] + stats["stale"] == 0, "a free was refused")
    check(stats["arena_bytes_after"] == 0 and stats["live_bytes_after"] == 0, "%s kept memory" % stats["name"])
    check(not whole or stats["live"] == 0, "%s lost blocks" % stats["name"])


def check_run(result, expected):
    """True where the run came through as if nothing had happened."""
    check(result.returncode in (0, 1, 3), "status %d: %s" % (result.returncode, result.stderr))
    lines = result.stderr.splitlines()
    check(all(line.startswith("keyslab: ") for line in lines), "on standard error: %s" % result.stderr)
    check(len(lines) == bool(result.returncode), "%d complaints, status %d" % (len(lines), result.returncode))
    report = json.loads(result.stdout) if result.stdout else None
    check(report or result.returncode, "no report, and no complaint")
    if report:
        for stats in [report["frames_key"]] + [e["key"] for e in report["experts"]]:
            check_key(stats, whole=result.returncode == 0)
    if result.returncode == 0:
        check(findings(report) == expected, "a run with a fault found something else")
    return result.returncode == 0


def every_fault(threads, left):
    """With one call after the other failing: how many did, of how many, and how many runs were whole all the same."""
    untouched, most = run(1 << 30, threads, left)
    expected = findings(json.loads(untouched.stdout))
    check(check_run(untouched, expected), "the run without a fault failed")
    calls = (1 << 30) - most
    step = max(1, (calls - EACH) // SPREAD)
    n, failed, whole, remaining = 1, 0, 0, 0
    while not remaining:
        result, remaining = run(n, threads, left)
        try:
            whole += check_run(result, expected)
        except AssertionError as error:
            sys.exit("test_run_faults: %s threads, call %d: %s" % (threads, n, error))
        if not remaining:
            failed += 1
            calls = max(calls, n)
        n += 1 if n < EACH else step
    return failed, calls, whole - 1


def main():
    with tempfile.TemporaryDirectory() as folder:
        for threads in ("1", "3"):
            counts = every_fault(threads, os.path.join(folder, "left"))
            print("%s threads an expert: %d of %d calls failed in turn, %d runs were whole all the same" %
                  ((threads,) + counts))


if __name__ == "__main__":
    main()
