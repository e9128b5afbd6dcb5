"""tools/bench: from the command line to the report."""

import json
import os
import shlex
import signal
import sys
import tempfile
import time

import build
import files
import machine
import options as command_line
import runner
import selection
import short
import targets as goals
import text
from peers import PeerFailed
from results import Results

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def list_all(peers, missing, rows):
    print("peers:")
    for peer in peers:
        print(f"  {peer.name:16} {peer.version}".rstrip())
    for peer in missing:
        print(f"  {peer.name:16} not installed (package {peer.package})")
    print("rows:")
    for row in rows.sources:
        print(f"  {row}")
    for program in rows.missing:
        print(f"  {program} is not installed")


def about(options, peers, missing, rows):
    return {
        "command": shlex.join(["tools/bench", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine.description(),
        "settings": {"quick": options.quick, "seconds": options.seconds, "sizes": options.sizes},
        "peers": [{"name": peer.name, "version": peer.version, "general": peer.general} for peer in peers],
        "missing": [{"name": peer.name, "package": peer.package} for peer in missing] +
                   [{"name": program, "package": ""} for program in rows.missing],
    }


def measure(options):
    """The results, or None where there was only a list to print."""
    folder = options.build or build.programs()
    peers, missing = selection.peers_of(options, folder)
    with tempfile.TemporaryDirectory(prefix="keyslab-bench-") as scratch:
        rows = selection.Rows(options, folder, peers[0], scratch)
        if options.list:
            list_all(peers, missing, rows)
            return None
        results = Results(about=about(options, peers, missing, rows))
        meter = machine.Meter()
        run = runner.Run(peers, rows.sources, options.rounds, options.tries, results, meter)
        results.about["complete"] = run.all()
        results.about["busy"] = meter.report()
    return results


def earlier(options):
    """An earlier run's results, of which a part may be shown; the best of the others is still that of them all."""
    try:
        with open(options.source, encoding="utf-8") as file:
            results = Results.from_json(json.load(file))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--from {options.source}: no results of a run: {error}") from error
    for name in options.peers:
        if name not in results.peers():
            raise ValueError(f"--peers {name}: not in that run; there are {', '.join(results.peers())}")
    results.shown = options.peers
    if options.filter:
        results.values = {metric: values for metric, values in results.values.items()
                          if options.filter.search(metric.name)}
    return results


def show(options, results, targets):
    if options.json:
        print(files.as_json(results, targets))
    elif options.markdown:
        print(text.markdown_report(results))
    elif options.short:
        print(short.report(results))
    elif options.targets:
        print(text.aligned(*text.target_rows(targets)), *text.circumstances(results), sep="\n")
    else:
        print(text.report(results))


def main(arguments):
    parser, options = command_line.parse(arguments)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # head has seen enough
    # Both end the run with what there is, in the background too, where a shell has them ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = earlier(options) if options.source else measure(options)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except PeerFailed as failure:
        sys.exit(f"bench: keyslab: {failure}")
    if results is None:
        return 0
    targets = goals.evaluate(results)
    show(options, results, targets)
    if not options.source or options.out:
        index, complaint = files.write_all(options.out or os.path.join(build.FOLDER, "report"), results, targets)
        print(f"{complaint}\n{index}".lstrip(), file=sys.stderr)
    if not results.about["complete"]:
        return EXIT_INTERRUPTED
    return 0 if results.values and not any(p["peer"] == "keyslab" for p in results.problems) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
