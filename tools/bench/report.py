# SPDX-License-Identifier: Apache-2.0
"""Write docs/performance.md and its plots from the figures of `run.py` and `scp.py`.

    python tools/bench/report.py [--spead build/bench/spead.json] [--scp build/bench/scp.json]

The text between the marks of docs/performance.md is made here; what stands outside them is
written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from pathlib import Path

import matplotlib
from cases import CASES, Case, Goal
from run import BUILD, GROWTH

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"
COLOURS = {
    "pyspin": "#1f77b4",
    "pyspin ring": "#17becf",
    "pyspin in order": "#9ecae1",
    "spead2": "#d62728",
    "bare": "#7f7f7f",
    "bare copy": "#7f7f7f",
    "bare discard": "#bdbdbd",
}
Rounds = dict[str, list[dict]]


def values(case: Case, rounds: Rounds, contender: str) -> list[float]:
    return [run[case.figure] for run in rounds[contender] if run.get(case.figure) is not None]


def short(value: float) -> str:
    """Return a figure with three significant digits and a thousands mark."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def spread(case: Case, rounds: Rounds, contender: str) -> str:
    figures = values(case, rounds, contender)
    if not figures:
        return "none arrived"
    return f"{short(statistics.median(figures))} [{short(min(figures))}..{short(max(figures))}]"


def ratio(case: Case, rounds: Rounds, goal: Goal) -> float | None:
    """Return the median of the ratios within a round."""
    pairs = zip(rounds[goal.contender], rounds[goal.against], strict=True)
    ratios = [
        mine[case.figure] / theirs[case.figure]
        for mine, theirs in pairs
        if mine.get(case.figure) and theirs.get(case.figure)
    ]
    return statistics.median(ratios) if ratios else None


def losses(rounds: Rounds, contender: str) -> str:
    lost = [run["lost"] for run in rounds[contender] if "lost" in run]
    return f"{100 * statistics.median(lost):.2g} %" if lost else ""


def split(rounds: Rounds, contender: str, key: str) -> str:
    figures = [run[key] for run in rounds[contender] if key in run]
    return f"{statistics.median(figures):.2f}" if figures else ""


def case_table(case: Case, rounds: Rounds) -> list[str]:
    lines = [
        f"#### {case.title}",
        "",
        f"| | {case.unit}: median [least..most] | user s | system s | heaps lost |",
        "|---|---|---|---|---|",
    ]
    for name in case.contenders:
        row = [name, spread(case, rounds, name), split(rounds, name, "user")]
        row += [split(rounds, name, "system"), losses(rounds, name)]
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, ""]


def goal_table(results: dict[str, Rounds]) -> list[str]:
    lines = ["| case | ratio | goal | reached | met |", "|---|---|---|---|---|"]
    for case in CASES:
        if case.name not in results:
            continue
        for goal in case.goals:
            reached = ratio(case, results[case.name], goal)
            sign = "at most" if goal.at_most else "at least"
            verdict = "-" if reached is None else "yes" if goal.met(reached) else "**no**"
            shown = "-" if reached is None else f"{reached:.2f}"
            lines.append(
                f"| {case.title} ({case.unit}) | {goal.contender} / {goal.against} "
                f"| {sign} {goal.bound} | {shown} | {verdict} |"
            )
    return [*lines, ""]


def plot_cases(results: dict[str, Rounds]) -> list[str]:
    """Draw one bar chart a figure; return the lines that show them."""
    lines = []
    for figure, title, name in [
        ("cpu_per_gb", "CPU of the receiver (s/GB, less is better)", "cpu"),
        ("heaps_per_second", "1 KiB heaps a second (more is better)", "small"),
        ("bytes_per_second", "bytes a second (more is better)", "rate"),
    ]:
        cases = [case for case in CASES if case.figure == figure and case.name in results]
        if not cases:
            continue
        figure_, axes = plt.subplots(figsize=(9, 0.6 + 0.75 * len(cases)))
        for row, case in enumerate(cases):
            _bars(axes, row, case, results[case.name])
        axes.set_yticks(range(len(cases)), [case.name for case in cases])
        axes.invert_yaxis()
        axes.set_xlabel(title)
        axes.grid(axis="x", alpha=0.3)
        handles = {h.get_label(): h for h in axes.containers}
        axes.legend(handles.values(), handles.keys(), fontsize=8)
        lines += _save(figure_, name, title)
    return lines


def _bars(axes: plt.Axes, row: int, case: Case, rounds: Rounds) -> None:
    height = 0.8 / len(case.contenders)
    for i, contender in enumerate(case.contenders):
        figures = values(case, rounds, contender)
        if not figures:
            continue
        middle = statistics.median(figures)
        axes.barh(
            row - 0.4 + height * (i + 0.5),
            middle,
            height,
            xerr=[[middle - min(figures)], [max(figures) - middle]],
            color=COLOURS[contender],
            label=contender,
            error_kw={"lw": 0.8},
        )


def _save(figure: plt.Figure, name: str, title: str) -> list[str]:
    path = PAGE.parent / "performance" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return [f"![{title}](performance/{name}.png)", ""]


def growth(series: dict[str, list[dict]]) -> list[str]:
    """Draw and tabulate how cost grows."""
    if not series:
        return []
    lines = ["### How cost grows", ""]
    figure, axes = plt.subplots(1, len(series), figsize=(3.2 * len(series), 3), sharey=False)
    for axis, (name, rows) in zip(axes, series.items(), strict=True):
        for contender in ("pyspin", "spead2"):
            points = [
                (row["value"], statistics.median([v for v in row[contender] if v]))
                for row in rows
                if any(row[contender])
            ]
            axis.plot(*zip(*points, strict=True), "o-", color=COLOURS[contender], label=contender)
        axis.set_xlabel(GROWTH[name][0], fontsize=8)
        axis.set_ylim(bottom=0)
        if name in ("payload", "heap"):
            axis.set_xscale("log", base=2)
        lines += _growth_table(GROWTH[name][0], rows)
    axes[0].set_ylabel("CPU s/GB of the receiver")
    axes[0].legend()
    return [*lines, *_save(figure, "growth", "CPU per GB as one thing grows")]


def _growth_table(title: str, rows: list[dict]) -> list[str]:
    lines = [f"| {title} | pyspin CPU s/GB | spead2 CPU s/GB |", "|---|---|---|"]
    for row in rows:
        cells = [
            f"{statistics.median([v for v in row[name] if v]):.3f}" if any(row[name]) else "-"
            for name in ("pyspin", "spead2")
        ]
        lines.append(f"| {row['value']:g} | {cells[0]} | {cells[1]} |")
    return [*lines, ""]


def spead_part(document: dict) -> list[str]:
    results = document["results"]
    machine = ", ".join(f"{key} {value}" for key, value in document["machine"].items())
    lines = [
        f"Measured on {document['date']}: {machine}. Medians of {document['rounds']} rounds, "
        "contenders in turn; a ratio is the median of the ratios within a round. Receivers are "
        "pinned to processor 1, senders to processor 0.",
        "",
        "### Goals",
        "",
        *goal_table(results),
        *plot_cases(results),
        "### Figures",
        "",
    ]
    for case in CASES:
        if case.name in results:
            lines += case_table(case, results[case.name])
    return lines + growth(document["growth"])


def write(part: str, lines: list[str]) -> None:
    """Replace what stands between the marks of `part` in the page."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    page = PAGE.read_text()
    if begin not in page:
        raise SystemExit(f"{PAGE} has no mark {begin}")
    body = "\n".join(lines).rstrip()
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    PAGE.write_text(re.sub(pattern, lambda _: f"{begin}\n{body}\n{end}", page, flags=re.S))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spead", type=Path, default=BUILD / "spead.json")
    arguments = parser.parse_args()
    if arguments.spead.exists():
        write("spead", spead_part(json.loads(arguments.spead.read_text())))


if __name__ == "__main__":
    main()
