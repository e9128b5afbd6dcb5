"""tools/bench on its smallest settings, and the arithmetic of its driver. Nothing that depends on time.

    test_bench.py BENCH-BUILD CRASH-PRELOAD SOURCE-ROOT
"""

import csv
import html.parser
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree

BUILD, CRASH, ROOT = (os.path.abspath(path) for path in sys.argv[1:4])
BENCH = os.path.join(ROOT, "tools", "bench")
sys.path.insert(0, os.path.join(ROOT, "bench", "driver"))

import distance  # noqa: E402
import figures  # noqa: E402
import microbenchmarks  # noqa: E402
import programs  # noqa: E402
import runner  # noqa: E402
import short  # noqa: E402
import sizes  # noqa: E402
import targets  # noqa: E402
import text  # noqa: E402
from peers import Peer, PeerFailed  # noqa: E402
from results import Metric, Results  # noqa: E402

WORKLOADS = {"pair", "pair-untouched", "batch", "batch-untouched", "bulk", "bulk-apart", "handoff", "handoff-single",
             "churn", "ticktock", "scope", "flows", "reset", "keys", "threads", "oversubscribed", "realloc", "capture",
             "cold", "aged"}
PROCESSORS = len(os.sched_getaffinity(0))


def workloads_of(peer):
    """Those that --quick has on this machine."""
    left_out = {"keys"} if peer == "glibc" else set()
    if PROCESSORS < 2:
        left_out |= {"handoff", "handoff-single"}
    if PROCESSORS >= 64:
        left_out.add("oversubscribed")
    return WORKLOADS - left_out


def bench(*arguments, status=0):
    done = subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def run(*arguments, status=0):
    """Of the programs that the tests were built with, as short as can be."""
    return bench("--build", BUILD, "--quick", "--rounds", "1", "--seconds", "0.0001", *arguments, status=status)


def results_of(values, general=("malloc",)):
    """{(row, counter): {peer: [values]}}"""
    peers = {peer for row in values.values() for peer in row}
    about = {"peers": [{"name": peer, "version": "", "general": peer in general} for peer in sorted(peers)]}
    results = Results(about=about)
    for (row, counter), row_values in values.items():
        for peer, rounds in row_values.items():
            for in_round, value in enumerate(rounds):
                results.add(Metric(row, counter), peer, in_round, value)
    return results


class Figures(unittest.TestCase):
    def test_median_and_quartiles(self):
        spread = figures.spread([5, 1, 4, 2, 3])
        self.assertEqual((spread.first, spread.median, spread.third, spread.rounds), (2, 3, 4, 5))
        self.assertEqual(figures.spread([1, 2, 3, 4]).median, 2.5)
        self.assertEqual(figures.spread([1, 2, 3, 4]).first, 1.75)
        self.assertEqual(figures.spread([7]).third, 7)

    def test_rounds_that_are_missing(self):
        self.assertEqual(figures.spread([None, 4, None, 6]).median, 5)
        self.assertIsNone(figures.spread([None]))
        self.assertIsNone(figures.spread([]))

    def test_noise_is_a_share_of_the_median(self):
        self.assertAlmostEqual(figures.spread([8, 9, 10, 11, 12]).noise, 0.2)

    def test_ratios_are_taken_round_by_round(self):
        self.assertEqual(figures.ratios([(1, 2), (20, 40), (3, 6)]), [0.5, 0.5, 0.5])
        self.assertEqual(figures.ratios([(1, 2), (None, 2), (3, None), (4, 0)]), [0.5])
        # The ratio of the medians would be 1.
        results = results_of({("pair/64B", ""): {"keyslab": [1, 2, 3], "malloc": [3, 1, 2]}})
        self.assertEqual(results.ratio(Metric("pair/64B"), "malloc").median, 1.5)


class Values(unittest.TestCase):
    def test_best_is_the_least_median_and_never_the_transport(self):
        results = results_of({
            ("pair/64B", ""): {"keyslab": [4, 4], "malloc": [9, 5], "other": [6, 6], "transport": [1, 1],
                               "transport-ahead": [1, 1], "keyslab-inline": [1, 1]}})
        self.assertEqual(results.best(Metric("pair/64B")), "other")
        self.assertEqual(results.best(Metric("pair/64B"), results.general()), "malloc")
        self.assertIsNone(results.best(Metric("pair/1500B")))

    def test_a_round_that_a_peer_missed(self):
        results = results_of({("pair/64B", ""): {"keyslab": [4, 4, 4]}})
        results.add(Metric("pair/64B"), "late", 2, 8)
        self.assertEqual(results.of(Metric("pair/64B"), "late"), [None, None, 8])
        self.assertEqual(results.ratio(Metric("pair/64B"), "late").median, 0.5)

    def test_json_and_back(self):
        results = results_of({("churn/1MiB", "resident/live"): {"keyslab": [1.1, None], "malloc": [1.2, 1.3]}})
        again = Results.from_json(json.loads(json.dumps(results.to_json())))
        self.assertEqual((again.values, again.rounds, again.about), (results.values, results.rounds, results.about))

    def test_names_and_units(self):
        self.assertEqual(Metric("bulk-apart/64B/32", "free_ns").name, "bulk-apart/64B/32 free")
        self.assertEqual((Metric("reset/1000", "after_ns").unit, Metric("reset/1000", "after/steady").unit), ("ns", ""))
        for name in ("reset/1000/iterations:1/manual_time", "reset/1000/manual_time", "reset/1000"):
            self.assertEqual(microbenchmarks.row_name(name), "reset/1000")
        self.assertEqual(microbenchmarks.row_name("threads/pair/64/threads:64"), "threads/pair/64")

    def test_numbers(self):
        self.assertEqual([text.number(value) for value in (12345, 123, 12.34, 1.234, 0.01234, 0)],
                         ["12,345", "123", "12.3", "1.23", "0.012", "0.00"])
        self.assertEqual([text.quantity(value, "ns") for value in (9999, 12345, 2.5e7)],
                         ["9,999", "12.3 us", "25.0 ms"])


class Meter:
    def look(self):
        pass


class Source:
    """Measures a row of two peers: for each call, what it takes and how long a line does before and after."""

    def __init__(self, **calls):
        self.calls = {peer: iter(of_peer) for peer, of_peer in calls.items()}
        self.counts = dict.fromkeys(calls, 0)

    def rows_of(self, _):
        return ["handoff/1to1/64B"]

    def measure(self, peer, rows):
        self.counts[peer.name] += 1
        value, before, after = next(self.calls[peer.name])
        return [(Metric(rows[0]), value), (Metric(rows[0], distance.BEFORE), before),
                (Metric(rows[0], distance.AFTER), after)]


class Distance(unittest.TestCase):
    METRIC = Metric("handoff/1to1/64B")

    def measured(self, source, rounds=1, tries=10):
        peers = [Peer(name, "") for name in source.calls]
        about = {"peers": [{"name": peer.name, "version": "", "general": True} for peer in peers]}
        results = Results(about=about)
        run = runner.Run(peers, {self.METRIC.row: source}, rounds, tries, results, Meter())
        with unittest.mock.patch("time.sleep"):
            self.assertTrue(run.all())
        self.assertEqual(list(results.values), [self.METRIC])
        return results

    def test_what_is_far_is_measured_again(self):
        source = Source(keyslab=[(5, 60, 61)], malloc=[(99, 260, 250), (98, 62, 250), (8, 62, 63)])
        results = self.measured(source)
        self.assertEqual(source.counts, {"keyslab": 1, "malloc": 3})
        self.assertEqual(results.of(self.METRIC, "malloc"), [8])
        self.assertEqual(results.distances.sentence(),
                         "a line takes 60 ns between the processors; of 2 measurements 1 were repeated, and 0 stayed "
                         "far: 1.5 times that, or nearer by as much")

    def test_what_was_the_nearest_and_is_no_longer(self):
        source = Source(keyslab=[(50, 260, 261), (5, 61, 61)], malloc=[(8, 60, 60)])
        results = self.measured(source)
        self.assertEqual(source.counts, {"keyslab": 2, "malloc": 1})
        self.assertEqual(results.ratio(self.METRIC, "malloc").median, 5 / 8)

    def test_what_was_near_once_is_no_reference(self):
        once = [(2, 30, 30), (8, 60, 60)]
        source = Source(keyslab=[(5, 60, 61)] * 5, malloc=[(8, 62, 62)] * 2 + once + [(8, 62, 62)] * 2)
        results = self.measured(source, rounds=5)
        self.assertEqual(results.distances.nearest_ns, 60)
        self.assertEqual(results.of(self.METRIC, "malloc"), [8] * 5)

    def test_what_stays_far_is_kept_and_has_no_ratio_to_what_is_near(self):
        results = self.measured(Source(keyslab=[(5, 60, 60)], malloc=[(80, 200, 200)] * 3), tries=3)
        self.assertEqual(results.of(self.METRIC, "malloc"), [80])
        self.assertIsNone(results.ratio(self.METRIC, "malloc"))
        self.assertIn("of 2 measurements 1 were repeated, and 1 stayed far", results.distances.sentence())
        line, = text.summary_rows(results)[1]
        self.assertEqual(line[3:], ["malloc", "80.0 far", "-"])
        self.assertEqual(text.ratio_rows(results), (["keyslab over"], []))

    def test_near_with_near_and_far_with_far(self):
        near, far = (60, 60), (200, 200)
        results = self.measured(tries=1, rounds=3, source=Source(
            keyslab=[(5, *near), (40, *far), (40, *far)], malloc=[(10, *near), (50, *far), (10, *near)]))
        self.assertEqual(vars(results.ratio(self.METRIC, "malloc")),
                         {"median": 0.5, "first": 0.5, "third": 0.5, "rounds": 1, "far": False})
        self.assertEqual(results.spread(self.METRIC).median, 5)
        # Where there is no near pair, a far one will do.
        results = self.measured(tries=1, rounds=3, source=Source(
            keyslab=[(5, *near), (5, *near), (40, *far)], malloc=[(50, *far), (50, *far), (50, *far)]))
        ratio = results.ratio(self.METRIC, "malloc")
        self.assertEqual((ratio.median, ratio.rounds, ratio.far), (0.8, 1, True))
        self.assertEqual(text.ratio_with_quartiles(ratio), "0.80 far")

    def test_json_and_back(self):
        results = self.measured(Source(keyslab=[(5, 60, 60)], malloc=[(80, 200, 100)] * 3), tries=3)
        data = json.loads(json.dumps(results.to_json()))
        self.assertEqual(data["distances"]["measurements"][self.METRIC.row]["malloc"],
                         [{"before_ns": 200, "after_ns": 100, "tries": 3}])
        self.assertEqual([data["distances"][key] for key in ("nearest_ns", "repeated", "far")], [60, 1, 1])
        self.assertEqual(Results.from_json(data).distances, results.distances)

    def test_rows_of_one_thread_have_none(self):
        results = results_of({("pair/64B", ""): {"keyslab": [5], "malloc": [8]}})
        self.assertEqual(results.distances.sentence(), "")
        self.assertIsNone(results.to_json()["distances"]["nearest_ns"])
        self.assertEqual(Results.from_json(results.to_json()).distances, distance.Distances())


class Targets(unittest.TestCase):
    def found(self, values, general=("malloc", "jemalloc")):
        """(name, goal, against, met), each of which the run would have had a row for."""
        results = results_of(values, general)
        for metric in results.values:
            self.assertTrue(targets.wants_row(metric.row), metric.row)
        return [(target.name, target.goal, target.against, target.met) for target in targets.evaluate(results)]

    def test_met_and_not_met(self):
        self.assertEqual(self.found({("pair/64B", ""): {"keyslab": [5], "malloc": [4]},
                                     ("pair/1500B", ""): {"keyslab": [5.1], "malloc": [4]}}),
                         [("pair/64B", 1.25, "malloc", True), ("pair/1500B", 1.25, "malloc", False)])

    def test_only_general_peers_count(self):
        self.assertEqual(self.found({("pair/64B", ""): {"keyslab": [5], "malloc": [9], "dpdk": [1]}}),
                         [("pair/64B", 1.25, "malloc", True)])

    def test_the_inline_header_has_goals_of_its_own(self):
        row = {"keyslab": [6], "keyslab-inline": [5.1], "malloc": [10]}
        self.assertEqual(self.found({("batch/lifo/64B/65536", ""): row}),
                         [("batch/lifo/64B/65536", 0.6, "malloc", True),
                          ("batch/lifo/64B/65536, inline", 0.5, "malloc", False)])
        self.assertEqual(self.found({("pair/64B", ""): {"keyslab": [6], "malloc": [5]},
                                     ("inline/pair/64B", ""): {"keyslab": [5]}}),
                         [("pair/64B", 1.25, "malloc", True), ("pair/64B, inline", 1.0, "malloc", True)])

    def test_live_sets_and_what_is_resident(self):
        found = self.found({("capture/frames", ""): {"keyslab": [8], "malloc": [10]},
                            ("capture/frames", "resident/live"): {"keyslab": [2], "malloc": [1]},
                            ("churn/1MiB", ""): {"keyslab": [10], "malloc": [10]},
                            ("churn/1MiB", "resident/live"): {"keyslab": [1], "malloc": [1]},
                            ("churn/1MiB", "peak/live"): {"keyslab": [9], "malloc": [1]}})
        self.assertEqual(found, [
            ("capture/frames", 0.85, "malloc", True), ("capture/frames, resident", 1.0, "malloc", False),
            ("churn/1MiB", 1.0, "malloc", True), ("churn/1MiB, resident", 1.0, "malloc", True)])

    def test_handoff(self):
        found = self.found({("handoff/1to1/64B", ""): {"keyslab": [6], "malloc": [20], "dpdk": [5], "transport": [4]},
                            ("aged/handoff/1to1/64B", ""): {"keyslab": [6], "malloc": [20]},
                            ("aged/handoff-single/1to1/64B", ""): {"keyslab": [6], "malloc": [6]},
                            ("handoff-single/1to1/256B", ""): {"keyslab": [8], "malloc": [10]}})
        self.assertEqual(found, [("aged/handoff-single/1to1/64B", 1.0, "malloc", True),
                                 ("handoff-single/1to1/256B", 0.7, "malloc", False),
                                 ("handoff/1to1/64B", 0.5, "malloc", True),
                                 ("handoff/1to1/64B", 1.25, "transport", False),
                                 ("aged/handoff/1to1/64B", 0.5, "malloc", True)])

    def test_bulk_is_held_against_the_best_pair(self):
        values = {("bulk/64B/32", ""): {"keyslab": [1.5], "malloc": [1]},
                  ("pair/64B", ""): {"malloc": [4], "dpdk": [1]}}
        self.assertEqual(self.found(values), [("bulk/64B/32", 0.375, "malloc, pair/64B", True)])

    def test_scope_of_a_packet_is_held_against_wmem_too(self):
        values = {("scope/packet", ""): {"keyslab": [9], "malloc": [8], "wmem-block": [3], "wmem-block-fast": [2]}}
        self.assertEqual(self.found(values), [("scope/packet", 1.0, "malloc", False),
                                              ("scope/packet", 4.0, "wmem-block-fast", False)])

    def test_realloc_is_held_against_jemalloc(self):
        values = {("realloc/1MiB", ""): {"keyslab": [9], "malloc": [8], "jemalloc": [9]}}
        self.assertEqual(self.found(values), [("realloc/1MiB", 1.0, "jemalloc", True)])

    def test_growth_is_that_of_the_dearest_setting(self):
        found = self.found({("keys/1", ""): {"keyslab": [10]}, ("keys/16", ""): {"keyslab": [13]},
                            ("keys/4096", ""): {"keyslab": [11]}, ("threads/pair/1", ""): {"keyslab": [10]},
                            ("oversubscribed/pair/64", ""): {"keyslab": [11]}})
        self.assertEqual(found, [("more keys", 1.2, "keys/1 (keys/16)", False),
                                 ("more threads, pair", 1.2, "threads/pair/1 (oversubscribed/pair/64)", True)])
        found = self.found({("reset/10000", ""): {"keyslab": [900]}, ("reset/1000", ""): {"keyslab": [800]}})
        self.assertEqual(found, [("reset/1000", 1000, "", True), ("reset/10000", 1000, "", True),
                                 ("reset, more blocks", 1.2, "reset/1000 (reset/10000)", True)])


class Short(unittest.TestCase):
    def table(self, values):
        results = results_of(values, ("malloc", "other"))
        with unittest.mock.patch("text.circumstances", lambda results: []):
            results.about["command"] = ""
            return short.report(results).split("\n\n")[0].splitlines()

    def test_what_is_resident_stands_beside(self):
        lines = self.table({("capture/frames", ""): {"keyslab": [80], "malloc": [90], "other": [100], "dpdk": [1]},
                            ("capture/frames", "peak/live"): {"keyslab": [3], "malloc": [4], "other": [2]}})
        self.assertEqual(lines[0], "| ns | keyslab | malloc | other | keyslab over the best |")
        self.assertEqual(lines[2:], ["| capture/frames (peak/live) | 80.0 (3.00) | 90.0 (4.00) | 100 (2.00) "
                                     "| 0.89 (**1.50**) |"])

    def test_one_row_of_those_that_stand_for_each_other(self):
        lines = self.table({("flows/10000", ""): {"keyslab": [8]}, ("pair/1500B", ""): {"keyslab": [8]},
                            ("flows/200000", ""): {"keyslab": [9]}, ("pair/64B", ""): {"keyslab": [1]}})
        self.assertEqual(lines[2:], ["| flows/200000 (resident/live) | 9.00 (-) | - (-) |",
                                     "| pair/1500B | 8.00 | - |"])


class Groups(unittest.TestCase):
    def test_a_process_for_each(self):
        rows = ["pair/64B", "pair/256B", "churn/1MiB", "churn/32MiB", "aged/churn/1MiB", "aged/pair/64B",
                "oversubscribed/pair/4", "oversubscribed/pair/64", "program/git"]
        self.assertEqual(list(runner.groups_of(rows).values()),
                         [rows[:2], rows[2:3], rows[3:4], rows[4:5], rows[5:6], rows[6:8], rows[8:]])


class Sizes(unittest.TestCase):
    def test_genome(self):
        self.assertEqual(sizes.for_programs(sizes.DEFAULT, ""), "64:7,594:4,1518:1")
        self.assertEqual(sizes.for_programs("aag", ""), "64:2,1518:1")

    def test_genomes_that_are_none(self):
        for genome, part in (("aaz", "'z'"), ("aA", "'A'"), ("aA,A=x", "A=x"), ("aA,a=5", "a=5")):
            with self.assertRaisesRegex(ValueError, part):
                sizes.for_programs(genome, "")

    def test_histogram(self):
        path = os.path.join(ROOT, "bench", "data", "frame_sizes.json")
        parts = dict(part.split(":") for part in sizes.for_programs(path, "").split(","))
        self.assertEqual(parts["66"], "13370")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"64": 0}')
            file.flush()
            with self.assertRaisesRegex(ValueError, "above zero"):
                sizes.for_programs(file.name, "")


# Does one row, and interrupts whoever runs it for the second time.
INTERRUPTING = r"""#!/bin/sh
for argument; do
    case $argument in
    --benchmark_list_tests) echo pair/64B; exit ;;
    --benchmark_out=*) out=${argument#*=} ;;
    esac
done
echo '{"context": {}, "benchmarks": [{"name": "pair/64B", "items_per_second": 1e9}]}' >"$out"
[ -f "$0.ran" ] || exec touch "$0.ran"
kill -INT $PPID
exec sleep 100
"""


class Interrupted(unittest.TestCase):
    def test_what_there_is_by_then_is_reported(self):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "bench-keyslab")
            with open(program, "w", encoding="utf-8") as file:
                file.write(INTERRUPTING)
            os.chmod(program, 0o755)
            with open(os.path.join(folder, "peers.json"), "w", encoding="utf-8") as file:
                json.dump([{"name": "keyslab", "program": "bench-keyslab", "preload": "", "package": ""}], file)
            report = os.path.join(folder, "report")
            done = bench("--build", folder, "--rounds", "5", "--out", report, status=130)
            self.assertIn("rounds: 1, INTERRUPTED", done.stdout)
            with open(os.path.join(report, "results.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file)["rows"][0]["values"], {"keyslab": [1.0]})


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


class WholeRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="keyslab-test-bench-")
        cls.done = run("--peers", "glibc", "--out", cls.folder)
        with open(os.path.join(cls.folder, "results.json"), encoding="utf-8") as file:
            cls.data = json.load(file)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def test_every_workload_ran(self):
        for peer in ("keyslab", "glibc"):
            rows = {row["row"] for row in self.data["rows"] if peer in row["values"]}
            self.assertEqual({row.split("/")[0] for row in rows}, workloads_of(peer))
        self.assertEqual(self.data["problems"], [])
        self.assertTrue(all(value > 0 for row in self.data["rows"] if not row["counter"]
                            for values in row["values"].values() for value in values))

    def test_rows_of_several_threads_tell_the_distance(self):
        measurements = self.data["distances"]["measurements"]
        there = {row["row"] for row in self.data["rows"]}
        for name in ("capture/frames", "aged/handoff/1to1/1500B", "oversubscribed/pair/64", "threads/pair/2"):
            if name in there and PROCESSORS > 1:
                for peer in ("keyslab", "glibc"):
                    self.assertGreater(measurements[name][peer][0]["before_ns"], 0, name)
                    self.assertGreater(measurements[name][peer][0]["after_ns"], 0, name)

    def test_table(self):
        self.assertRegex(self.done.stdout, r"(?m)^pair/1500B  ")
        self.assertRegex(self.done.stdout, r"processors?, ")
        self.assertIn(os.path.join(self.folder, "index.html"), self.done.stderr)

    def test_csv_agrees_with_json(self):
        with open(os.path.join(self.folder, "results.csv"), encoding="utf-8") as file:
            from_csv = {(line["row"], line["counter"], line["peer"]): float(line["value"])
                        for line in csv.DictReader(file)}
        from_json = {(row["row"], row["counter"], peer): values[0]
                     for row in self.data["rows"] for peer, values in row["values"].items()}
        self.assertEqual(from_csv, from_json)
        with open(os.path.join(self.folder, "summary.csv"), encoding="utf-8") as file:
            lines = [line for line in csv.DictReader(file) if line["keyslab over it"]]
        for line in lines:
            ours, theirs = (from_csv[line["row"], line["counter"], peer] for peer in ("keyslab", "glibc"))
            self.assertAlmostEqual(float(line["keyslab over it"]), ours / theirs)
        self.assertTrue(lines)

    def test_page_and_plots(self):
        page = Page()
        with open(os.path.join(self.folder, "index.html"), encoding="utf-8") as file:
            page.feed(file.read())
        self.assertEqual(page.open, [])
        self.assertIn("results.csv", page.links)
        for link in page.links:
            self.assertTrue(os.path.isfile(os.path.join(self.folder, link)), link)
        images = [link for link in page.links if link.endswith(".svg")]
        if shutil.which("gnuplot"):
            self.assertIn("pair.svg", images)
        for image in images:
            root = xml.etree.ElementTree.parse(os.path.join(self.folder, image)).getroot()
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")

    def test_earlier_results(self):
        path = os.path.join(self.folder, "results.json")
        self.assertEqual(bench("--from", path).stdout, self.done.stdout)
        self.assertEqual(json.loads(bench("--from", path, "--json").stdout), self.data)
        lines = bench("--from", path, "--markdown").stdout.splitlines()
        width = lines[0].count("|")
        rows = [line for line in lines if line.startswith("|")]
        self.assertTrue(all(line.count("|") == width for line in rows))
        self.assertEqual(len(rows) - 2, len(self.data["rows"]))
        listed = bench("--from", path, "--targets").stdout
        self.assertRegex(listed, r"(?m)^pair/64B .*(met|NOT MET)$")
        lines = bench("--from", path, "--short").stdout.splitlines()
        self.assertEqual(lines[0], "| ns | keyslab | glibc | keyslab over the best |")
        self.assertTrue(lines[2].startswith("| capture/frames (peak/live) |"))


class Settings(unittest.TestCase):
    def test_json_and_a_capture_of_ones_own(self):
        sample = os.path.join(ROOT, "tools", "sample.pcap.gz")
        with tempfile.TemporaryDirectory() as folder:
            done = run("--peers", "glibc", "--filter", "^churn/1MiB$", "--sizes", sample, "--json", "--out", folder)
        data = json.loads(done.stdout)
        self.assertEqual({row["row"] for row in data["rows"]}, {"churn/1MiB"})
        self.assertEqual({row["counter"] for row in data["rows"]}, {"", "resident/live", "peak/live"})

    def test_list(self):
        listed = run("--list").stdout
        self.assertRegex(listed, r"(?m)^  glibc +\d")
        self.assertRegex(listed, r"(?m)^  (oversubscribed/)?handoff/1to1/64B$")

    def test_help(self):
        self.assertIn("--preload NAME=LIBRARY", bench("--help").stdout)

    def test_wrong_usage(self):
        broken = os.path.join(ROOT, "meson.build")
        for arguments, words in (
                (["--no-such"], "--no-such"),
                (["--rounds", "0"], "0: a number above zero"),
                (["--seconds", "x"], "x: a number above zero"),
                (["--filter", "("], "("),
                (["--filter", "^nothing$"], "finds no row"),
                (["--peers", "nobody"], "nobody: no such peer"),
                (["--preload", "mine"], "NAME=LIBRARY"),
                (["--preload", "mine=/no/such.so"], "/no/such.so"),
                (["--preload", f"glibc={CRASH}"], "there is a peer of that name"),
                (["--sizes", "aaz"], "'z'"),
                (["--sizes", broken], "meson.build"),
                (["--capture", "/no/such.pcap"], "/no/such.pcap"),
                (["--json", "--markdown"], "one of"),
                (["--programs", "--short"], "no row of --short"),
                (["--build", "/no/such"], "/no/such: nothing is built there"),
                (["--from", broken], "no results of a run")):
            with self.subTest(arguments):
                self.assertIn(words, run(*arguments, status=2).stderr)

    def test_a_peer_that_is_not_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in os.listdir(BUILD):
                if name.startswith("bench-") and not name.endswith(".p"):
                    os.symlink(os.path.join(BUILD, name), os.path.join(folder, name))
            with open(os.path.join(BUILD, "peers.json"), encoding="utf-8") as file:
                peers = json.load(file)
            for peer in peers:
                if peer["name"] == "dpdk":
                    peer["program"] = ""
            with open(os.path.join(folder, "peers.json"), "w", encoding="utf-8") as file:
                json.dump(peers, file)
            arguments = ("--build", folder, "--quick", "--rounds", "1", "--seconds", "0.0001", "--filter", "^pair/64B$",
                         "--out", os.path.join(folder, "report"))
            self.assertIn("dpdk is not installed (package libdpdk-dev)", bench(*arguments).stdout)
            refused = bench(*arguments, "--peers", "dpdk", status=2)
            self.assertIn("--peers dpdk: it is not installed; the package is libdpdk-dev", refused.stderr)


@unittest.skipIf(programs.workloads.Git.missing(), "git is not installed")
class WholePrograms(unittest.TestCase):
    LIBRARY = os.path.realpath(os.path.join(BUILD, "..", "lib", "malloc", "libkeyslab-malloc.so"))

    def git(self, *arguments, status=0):
        with tempfile.TemporaryDirectory() as folder:
            return run("--filter", "^program/git$", "--peers", "glibc", "--out", folder, *arguments, status=status)

    def test_figures(self):
        data = json.loads(self.git("--programs", "--json", "--preload", "again=" + self.LIBRARY).stdout)
        self.assertEqual([row["counter"] for row in data["rows"]], ["", "cpu_ns", "peak_bytes"])
        for row in data["rows"]:
            self.assertEqual(set(row["values"]), {"keyslab", "glibc", "again"})
        wall, cpu, peak = ({peer: values[0] for peer, values in row["values"].items()} for row in data["rows"])
        for peer, nanoseconds in cpu.items():
            self.assertGreater(nanoseconds, 1e6)
            self.assertGreater(wall[peer], 1e6)
        # The launcher's own peak is not in it: git's is a few MiB.
        self.assertLess(peak["glibc"], 10 << 20)

    def test_a_filter_that_names_one_is_enough(self):
        self.assertRegex(self.git().stdout, r"(?m)^program/git peak .* MiB ")

    def test_only_they_are_run(self):
        self.assertRegex(run("--programs", "--list").stdout, r"rows:\n  program/")
        self.assertNotIn("program/", run("--list").stdout)

    def test_one_that_cannot_be_loaded(self):
        broken = os.path.join(ROOT, "LICENSE")
        self.assertRegex(self.git("--preload", "mine=" + broken).stdout, "(?m)^PROBLEM: mine.*was not loaded")

    def test_one_that_crashes(self):
        self.assertRegex(self.git("--preload", f"mine={CRASH}").stdout, "(?m)^PROBLEM: mine.*status")

    def test_another_output_than_without(self):
        kind = programs.workloads.Git
        peer = Peer("keyslab", "")
        with tempfile.TemporaryDirectory() as folder:
            source = programs.Programs(BUILD, True, folder)
            outputs = iter([b"one", b"one", b"another"])
            source.workloads = {"program/git": lambda folder, size: unittest.mock.Mock(
                spec=kind, prepare=lambda: None, run=lambda launcher: next(outputs))}
            with self.assertRaisesRegex(PeerFailed, "its output is another one"):
                source.measure(peer, ["program/git"])


class BadPeers(unittest.TestCase):
    def left_out(self, library, words):
        with tempfile.TemporaryDirectory() as folder:
            done = run("--peers", "glibc", "--preload", f"mine={library}", "--filter", "^pair/64B$", "--out", folder)
        self.assertRegex(done.stdout, f"(?m)^PROBLEM: mine.*{words}")
        self.assertRegex(done.stdout, r"(?m)^pair/64B .*glibc")

    def test_one_that_crashes(self):
        self.left_out(CRASH, "ended by SIGABRT")

    def test_one_that_is_no_library(self):
        self.left_out(os.path.join(ROOT, "LICENSE"), "was not loaded, or does not define malloc")

    def test_one_that_is_no_allocator(self):
        self.left_out(os.path.join(BUILD, "..", "lib", "libkeyslab.so"), "does not define malloc")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
