"""SVG by gnuplot: each workload's rows with every peer, quartiles as error bars, and the data beside it."""

import os
import re
import shutil
import subprocess

from results import Metric, workload_of

WIDTH = 900
HEIGHT = 460
# A share of the room between two settings, left free.
GAP = 1.5

# keyslab's first; one for each peer that the build knows, then round again.
COLOURS = ["#d62728", "#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#7f7f7f", "#17becf", "#bcbd22", "#e377c2",
           "#393b79", "#637939", "#8c6d31", "#7b4173", "#c49c94"]

# Settings that are numbers on an axis.
LINES = {"reset": "live blocks", "keys": "keys", "threads": "threads", "flows": "flows"}


def available():
    return shutil.which("gnuplot") is not None


def figures_of(results):
    """{name of the plot: [metric]}: rows that differ in their last setting only; counters have plots of their own."""
    plots = {}
    for metric in results.values:
        parts = metric.row.split("/")
        name = "/".join(parts[:-1] if len(parts) > 2 else parts[:1])
        plots.setdefault((name, metric.counter), []).append(metric)
    return {Metric(name, counter).name: metrics for (name, counter), metrics in plots.items()}


def file_name(title):
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def setting(metric):
    return metric.row.rsplit("/", 1)[-1]


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("_", r"\\_") + '"'


def write_data(path, results, metrics, peers, numeric):
    """A block for each peer: place or number, median, quartiles, width of a box."""
    with open(path, "w", encoding="utf-8") as file:
        for order, peer in enumerate(peers):
            file.write(f"# {peer}\n")
            for index, metric in enumerate(metrics):
                spread = results.spread(metric, peer)
                if not spread:
                    continue
                width = 1 / (len(peers) + GAP)
                at = float(setting(metric)) if numeric else index + (order + (GAP + 1) / 2) * width
                scale = 2**-20 if metric.unit == "bytes" else 1
                values = " ".join(f"{value * scale:g}" for value in (spread.median, spread.first, spread.third))
                file.write(f"{at:g} {values} {0.9 * width:g}\n")
            file.write("\n\n")


def script(title, metrics, peers, numeric, data, image):
    label = {"ns": "nanoseconds", "bytes": "MiB"}.get(metrics[0].unit) or metrics[0].counter.replace("/", " over ")
    lines = [
        f'set terminal svg size {WIDTH},{HEIGHT} font "sans-serif,12" background rgb "white"',
        f"set output {quoted_path(image)}", f"set title {quoted(title)}",
        "set key outside right top", "set grid ytics", "set logscale y",
        f"set ylabel {quoted(label)}",
    ]
    if numeric:
        lines += ["set logscale x", f'set xlabel "{LINES[workload_of(metrics[0].row)]}"']
        style = "using 1:2:3:4 with yerrorlines"
    else:
        marks = ", ".join(f"{quoted(setting(metric))} {index + 0.5}" for index, metric in enumerate(metrics))
        lines += [f"set xtics ({marks})", f"set xrange [0:{len(metrics)}]",
                  "set style fill solid 0.8 noborder", "set errorbars 0"]
        style = "using 1:2:3:4:5 with boxerrorbars"
    parts = [f"{quoted_path(data)} index {order} {style} linecolor rgb '{COLOURS[order % len(COLOURS)]}' "
             f"title {quoted(peer)}" for order, peer in enumerate(peers)]
    return "\n".join(lines + ["plot " + ", \\\n    ".join(parts)]) + "\n"


def quoted_path(path):
    return "'" + path.replace("'", "''") + "'"


def draw(results, folder):
    """[(title, file name)]"""
    drawn = []
    for title, metrics in figures_of(results).items():
        peers = [peer for peer in results.peers_shown() if any(results.spread(metric, peer) for metric in metrics)]
        positive = all(spread.first > 0 for metric in metrics for peer in peers
                       if (spread := results.spread(metric, peer)))
        if not peers or not positive:
            continue
        numeric = workload_of(metrics[0].row) in LINES and len(metrics) > 1
        base = os.path.join(folder, file_name(title))
        write_data(base + ".dat", results, metrics, peers, numeric)
        commands = script(title, metrics, peers, numeric, base + ".dat", base + ".svg")
        done = subprocess.run(["gnuplot"], input=commands, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"gnuplot, {title}: {done.stderr.strip()}")
        drawn.append((title, os.path.basename(base) + ".svg"))
    return drawn
