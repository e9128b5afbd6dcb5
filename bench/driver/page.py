"""The index page: plain HTML that needs nothing but the files beside it."""

from html import escape

import text

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; }
th, td { padding: 2px 8px; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
.warning { background: #fee; padding: .5em 1em; }
img { max-width: 100%; }
"""


def table(titles, rows):
    def line(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
    body = "\n".join(line(cells, "td") for cells in rows)
    return f'<div class="wide"><table>\n{line(titles, "th")}\n{body}\n</table></div>'


def circumstance(line):
    warning = ' class="warning"' if line.startswith(("PROBLEM", "THE MACHINE")) else ""
    return f"<p{warning}>{escape(line)}</p>"


def write(path, results, targets, plots, files):
    parts = [
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8"><title>keyslab bench</title>',
        f"<style>{STYLE}</style></head><body>", "<h1>keyslab bench</h1>",
        *(circumstance(line) for line in text.circumstances(results)),
        f"<p>{escape(text.LEGEND)}</p>",
        "<p>" + ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in files) + "</p>",
        "<h2>keyslab and the best of the others</h2>", table(*text.summary_rows(results)),
        "<h2>keyslab over each of the others</h2>", table(*text.ratio_rows(results)),
        "<h2>Everybody's own figures</h2>", table(*text.time_rows(results)),
    ]
    if targets:
        parts += ["<h2>Targets</h2>", table(*text.target_rows(targets))]
    if plots:
        parts.append("<h2>Plots</h2>")
        parts += [f'<p><img src="{escape(name)}" alt="{escape(title)}"></p>' for title, name in plots]
    parts.append("</body></html>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))
