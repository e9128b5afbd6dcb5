"""The command line."""

import argparse
import re

import distance
import programs
import short
import sizes
import targets

DESCRIPTION = """\
keyslab against what one would pick instead, on this machine: every workload with every peer that is
installed, a process each, in turn, for several rounds. Prints ratios with their quartiles, and leaves
JSON, CSV and plots in a folder with an index page. About half an hour; --quick some minutes, --short
about four. What is missing is installed and built first. Rows of whole programs, program/NAME, take long: they are run with
--programs, or where a --filter matches them, and else left out. docs/benchmarks.md says what each workload
is."""

EPILOG = """\
examples:
  tools/bench --quick
  tools/bench --filter 'pair|handoff/1to1' --peers jemalloc,dpdk
  tools/bench --preload mine=/usr/local/lib/libmine.so --filter churn
  tools/bench --sizes my.pcap --filter churn --capture my.pcap
  tools/bench --from build-bench/report/results.json --markdown
  tools/bench --programs --quick
  tools/bench --filter '^program/(tshark|tcpdump)$'

exit status: 0 done, 1 keyslab has no results or something could not be built, 2 wrong usage, 130 interrupted"""


def positive(convert):
    def parse(text):
        try:
            value = convert(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text}: a number above zero is expected")
        return value
    return parse


def pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def names(text):
    return [name for name in text.split(",") if name]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench", description=DESCRIPTION, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="some minutes: fewer settings and rounds, small live sets")
    add("--filter", type=pattern, metavar="PATTERN", help="only rows that the regular expression matches some part of")
    add("--peers", type=names, default=[], metavar="NAME,...", help="only these, and keyslab")
    add("--preload", action="append", default=[], metavar="NAME=LIBRARY",
        help="one more peer: a library that takes malloc's place; may be repeated")
    add("--rounds", type=positive(int), metavar="N", help="how often everything is run; default 5, with --quick 3")
    add("--seconds", type=positive(float), metavar="N",
        help="how long a row runs in each round, at least; default 0.02, with --quick 0.01")
    add("--tries", type=positive(int), default=distance.TRIES, metavar="N",
        help="how often a row of several threads is measured at most until the processors are as near to each other as "
             "they were at best in this run; default %(default)s")
    add("--sizes", default=sizes.DEFAULT, metavar="WHAT",
        help="what churn allocates: an IMIX genome (RFC 6985), a capture, or a histogram in JSON; default %(default)s")
    add("--capture", metavar="FILE", help="what the workload capture reads; default tools/sample.pcap.gz")
    add("--out", metavar="FOLDER", help="for the report; default build-bench/report")
    add("--list", action="store_true", help="print the peers and the rows, and run nothing")
    add("--json", action="store_true", help="print the results as JSON instead of a table")
    add("--markdown", action="store_true", help="print them as a Markdown table")
    add("--short", action="store_true",
        help="print what a capture author looks at first, a dozen rows with the general peers, as a Markdown table; "
             "runs no others")
    add("--targets", action="store_true",
        help="print what keyslab is meant to reach, and whether it did; runs only the rows and peers that this is "
             "about")
    add("--from", dest="source", metavar="RESULTS",
        help="run nothing, report on an earlier run's results.json, or on a part of it")
    add("--programs", action="store_true",
        help="instead, whole programs with each general peer as their malloc (libkeyslab-malloc.so for keyslab): "
             "a minute or two a round, with --quick a fifth; those that are not installed are named and left out")
    add("--build", metavar="FOLDER", help="take the programs in that folder, and build nothing")
    options = parser.parse_args(arguments)
    if options.json + options.markdown + options.short + options.targets + options.list > 1:
        parser.error("one of --json, --markdown, --short, --targets and --list at a time")
    if options.programs and (options.short or options.targets):
        parser.error("--programs: no goal and no row of --short is about whole programs")
    if options.rounds is None:
        options.rounds = 3 if options.quick else 5
    if options.seconds is None:
        options.seconds = 0.01 if options.quick else 0.02
    report = short if options.short else targets if options.targets else programs if options.programs else None
    options.wants_row = options.filter.search if options.filter else report.wants_row if report else lambda row: True
    options.wants_peer = report.wants_peer if report else lambda peer: True
    return parser, options
