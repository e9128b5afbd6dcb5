"""tools/bench: from the command line to the report."""

import json
import os
import shlex
import signal
import sys
import time

import build
import files
import machine
import options as command_line
import peers as all_peers
import runner
import sizes
import targets as goals
import text
from results import Results, workload_of

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
PROGRAMS = os.path.join(build.ROOT, "tools", "bench-programs")
SAMPLE = os.path.join(build.ROOT, "tools", "sample.pcap.gz")


def settings_of(options, folder):
    """What every program is told."""
    capture = options.capture or SAMPLE
    if not os.path.isfile(capture):
        raise ValueError(f"--capture {capture}: there is no such file")
    settings = [f"--seconds={options.seconds:g}",
                f"--sizes={sizes.for_programs(options.sizes, os.path.join(folder, 'bench-malloc'))}",
                f"--capture={os.path.abspath(capture)}"]
    return settings + ["--quick"] if options.quick else settings


def peers_of(options, folder):
    found = all_peers.from_build(folder) + [all_peers.added(text, folder) for text in options.preload]
    names = [peer.name for peer in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--preload {name}: there is a peer of that name")
    added = [text.partition("=")[0] for text in options.preload]
    return found, all_peers.chosen(found, options.peers + added if options.peers else [])


def rows_of(peers, settings, options):
    """keyslab does every row; a program that does not even list them is no peer's problem, but ours."""
    rows = runner.rows_of(peers[0], settings)
    if options.capture and "capture" not in map(workload_of, rows):
        raise ValueError("--capture: the programs were built without libpcap, which reads captures")
    return [row for row in rows if not options.filter or options.filter.search(row)]


def list_all(found, rows):
    print("peers:")
    for peer in found:
        state = f"not installed (package {peer.package})" if peer.missing else peer.version
        print(f"  {peer.name:16} {state}".rstrip())
    print("rows:")
    for row in rows:
        print(f"  {row}")


def about(options, found, peers):
    return {
        "command": shlex.join(["tools/bench", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine.description(),
        "settings": {"quick": options.quick, "seconds": options.seconds, "sizes": options.sizes},
        "peers": [{"name": peer.name, "version": peer.version, "general": peer.general} for peer in peers],
        "missing": [{"name": peer.name, "package": peer.package} for peer in found if peer.missing],
    }


def measure(options):
    """The results, or None where there was only a list to print."""
    folder = options.build or build.programs()
    found, peers = peers_of(options, folder)
    settings = settings_of(options, folder)
    rows = rows_of(peers, settings, options)
    if not rows:
        raise ValueError(f"--filter {options.filter.pattern}: finds no row; --list shows them")
    if options.list:
        list_all(found, rows)
        return None
    results = Results(about=about(options, found, peers))
    meter = machine.Meter()
    run = runner.Run(peers, rows, settings, options.rounds, results, meter)
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
    elif options.targets:
        print(text.aligned(*text.target_rows(targets)), *text.circumstances(results), sep="\n")
    else:
        print(text.report(results))


def main(arguments):
    if arguments[:1] == ["--programs"]:
        if not os.access(PROGRAMS, os.X_OK):
            sys.exit(f"bench: --programs: there is no {PROGRAMS}")
        os.execv(PROGRAMS, [PROGRAMS, *arguments[1:]])
    parser, options = command_line.parse(arguments)
    # Both end the run with what there is, in the background too, where a shell has them ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = earlier(options) if options.source else measure(options)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except runner.PeerFailed as failure:
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
