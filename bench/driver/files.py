"""The folder that a run leaves: results.json, results.csv with each round, summary.csv, plots, and index.html."""

import csv
import json
import os

import page
import plots

INDEX = "index.html"


def as_json(results, targets):
    return json.dumps(results.to_json() | {"targets": [target.to_json() for target in targets]}, indent=1)


def write_rounds(path, results):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "counter", "unit", "peer", "round", "value", "far"])
        for metric, peers in results.values.items():
            for peer, values in peers.items():
                for in_round, value in enumerate(values):
                    if value is not None:
                        far = "far" if results.is_far(metric, peer, in_round) else ""
                        writer.writerow([metric.row, metric.counter, metric.unit, peer, in_round + 1, value, far])


def write_summary(path, results):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "counter", "unit", "peer", "median", "first quartile", "third quartile",
                         "keyslab over it", "its first quartile", "its third quartile"])
        for metric, peers in results.values.items():
            for peer in peers:
                spread = results.spread(metric, peer)
                ratio = results.ratio(metric, peer) if peer in results.peers_of(metric) else None
                if spread:
                    writer.writerow([metric.row, metric.counter, metric.unit, peer, spread.median, spread.first,
                                     spread.third, *([ratio.median, ratio.first, ratio.third] if ratio else [""] * 3)])


def write_all(folder, results, targets):
    """The path of the index page, and what could not be drawn, in words."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as file:
        file.write(as_json(results, targets) + "\n")
    write_rounds(os.path.join(folder, "results.csv"), results)
    write_summary(os.path.join(folder, "summary.csv"), results)
    drawn, complaint = [], ""
    if plots.available():
        drawn = plots.draw(results, folder)
    else:
        complaint = "no plots: gnuplot is not installed (package gnuplot-nox)"
    index = os.path.join(folder, INDEX)
    page.write(index, results, targets, drawn, ["results.json", "results.csv", "summary.csv"])
    return index, complaint
