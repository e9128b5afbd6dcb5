"""Numbers and tables for people: on a terminal, in Markdown."""

import textwrap

import machine
from results import OURS

LEGEND = ("Nanoseconds an operation unless it says otherwise, medians of the rounds. A ratio is keyslab over the "
          "other, below 1 is faster; in brackets its quartiles. Noise: the distance between keyslab's quartiles, "
          "as a share. What is far was measured while the processors were far from each other.")


def number(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 or not value else f"{value:.2g}"


def quantity(value, unit):
    if unit == "bytes":
        return f"{number(value / 2**20)} MiB"
    if unit != "ns" or value < 10000:
        return number(value)
    return f"{number(value / 1000)} us" if value < 1e7 else f"{number(value / 1e6)} ms"


def with_unit(value, unit):
    text = quantity(value, unit)
    return f"{text} ns" if unit == "ns" and text[-1].isdigit() else text


def marked(cell, spread):
    return f"{cell} far" if spread.far else cell


def median(spread, unit=""):
    """Empty where there is none."""
    return marked(quantity(spread.median, unit), spread) if spread else ""


def ratio_with_quartiles(spread):
    if not spread:
        return "-"
    if spread.rounds == 1:
        return median(spread)
    return marked(f"{number(spread.median)} ({number(spread.first)} to {number(spread.third)})", spread)


def aligned(titles, rows):
    """The first column to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows)]
    lines = []
    for cells in [titles, *rows]:
        line = [cells[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])]
        lines.append("  ".join(line).rstrip())
    return "\n".join(lines)


def markdown(titles, rows):
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def summary_rows(results):
    """A row for each metric that keyslab has: itself, its noise, the best of the others, the ratio to that one."""
    titles = ["", "keyslab", "noise", "best other", "", "ratio"]
    rows = []
    for metric in results.values:
        ours = results.spread(metric)
        if not ours:
            continue
        best = results.best(metric)
        rows.append([metric.name, median(ours, metric.unit), f"{ours.noise:.0%}" if ours.rounds > 1 else "-",
                     best or "-", median(results.spread(metric, best), metric.unit) or "-",
                     ratio_with_quartiles(results.ratio(metric, best))])
    return titles, rows


def peers_with_results(results):
    return [peer for peer in results.peers_shown() if peer != OURS
            and any(results.spread(metric, peer) for metric in results.values)]


def ratio_rows(results):
    """keyslab's ratio to each peer."""
    peers = [peer for peer in peers_with_results(results)
             if any(results.ratio(metric, peer) for metric in results.values)]
    rows = []
    for metric in results.values:
        ratios = [results.ratio(metric, peer) for peer in peers]
        if any(ratios):
            rows.append([metric.name] + [median(ratio) or ("-" if results.spread(metric, peer) else "")
                                         for peer, ratio in zip(peers, ratios)])
    return ["keyslab over"] + peers, rows


def time_rows(results):
    """Each one's own figures."""
    peers = [peer for peer in (OURS, *peers_with_results(results))]
    rows = []
    for metric in results.values:
        spreads = [results.spread(metric, peer) for peer in peers]
        rows.append([metric.name] + [median(spread, metric.unit) for spread in spreads])
    return [""] + peers, rows


def target_rows(targets):
    titles = ["target", "at most", "is", "quartiles", "of", ""]
    rows = []
    for target in targets:
        value = target.value
        goal, middle, first, third = (with_unit(part, target.unit)
                                      for part in (target.goal, value.median, value.first, value.third))
        rows.append([target.name, goal, marked(middle, value), f"{first} to {third}" if value.rounds > 1 else "-",
                     target.against, "met" if target.met else "NOT MET"])
    return titles, rows


def versions(results):
    return ", ".join(f"{peer['name']} {peer['version']}".strip() for peer in results.about["peers"])


def circumstances(results):
    about = results.about
    interrupted = "" if about["complete"] else ", INTERRUPTED"
    yield f"{about['command']}   ({about['date']}, rounds: {results.rounds}{interrupted})"
    yield machine.sentence(about["machine"])
    yield machine.busy_sentence(about["busy"])
    if distance := results.distances.sentence():
        yield distance
    yield versions(results)
    for missing in about["missing"]:
        package = f" (package {missing['package']})" if missing["package"] else ""
        yield f"left out: {missing['name']} is not installed{package}"
    for problem in results.problems:
        rows = f" on {problem['rows']}" if problem["rows"] else ""
        yield f"PROBLEM: {problem['peer']}{rows}: {problem['problem']}"


def report(results):
    return "\n".join([textwrap.fill(LEGEND, 100), "", aligned(*summary_rows(results)), "",
                      aligned(*ratio_rows(results)), "", *circumstances(results)])


def with_notes(results, titles, rows):
    notes = "\n".join(f"- {line}" for line in list(circumstances(results))[1:])
    return f"{markdown(titles, rows)}\n\n    {results.about['command']}\n\n{notes}"


def markdown_report(results):
    titles, rows = time_rows(results)
    bests = {cells[0]: cells[3:] for cells in summary_rows(results)[1]}
    rows = [cells + [bests[cells[0]][2] if cells[0] in bests else "-"] for cells in rows]
    return with_notes(results, titles + ["keyslab over the best other (quartiles)"], rows)
