# SPDX-License-Identifier: Apache-2.0
"""The plots of docs/performance.md. Each function returns the lines that show its plots."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib
import scp
from cases import CASES, Case
from figures import Rounds, ratio, values
from run import GROWTH

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "performance"
OURS, PEER, BARE, VARIANT = "#1f77b4", "#d62728", "#7f7f7f", "#9ecae1"
COLOURS = {
    "pyspin": OURS,
    "pyspin ring": "#17becf",
    "spead2": PEER,
    "spead2 installed": "#ff9896",
    "SpiNNMan": PEER,
    "bare copy 4": "#969696",
    "bare place 4": "#b0b0b0",
    "bare discard": "#bdbdbd",
    "bare ring copy 4": "#969696",
    "bare ring discard": "#bdbdbd",
}


def colour(contender: str) -> str:
    return COLOURS.get(contender, BARE if contender.startswith("bare") else VARIANT)


def plot_cases(results: dict[str, Rounds]) -> list[str]:
    """Draw one bar chart a figure."""
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
        _name_rows(axes, [case.name for case in cases])
        axes.set_xlabel(title)
        named = (bar for bar in axes.containers if not bar.get_label().startswith("_"))
        handles = {bar.get_label(): bar for bar in named}
        axes.legend(handles.values(), handles.keys(), fontsize=8)
        lines += _save(figure_, name, title)
    return lines


def _bars(axes: plt.Axes, row: int, case: Case, rounds: Rounds) -> None:
    height = 0.8 / len(rounds)
    for i, contender in enumerate(rounds):
        figures = values(case, rounds, contender)
        if not figures:
            continue
        middle = statistics.median(figures)
        axes.barh(
            row - 0.4 + height * (i + 0.5),
            middle,
            height,
            xerr=[[middle - min(figures)], [max(figures) - middle]],
            color=colour(contender),
            label=contender,
            error_kw={"lw": 0.8},
        )


def plot_growth(series: dict[str, list[dict]]) -> list[str]:
    """Draw how cost grows, a panel a series."""
    figure, axes = plt.subplots(1, len(series), figsize=(3.2 * len(series), 3), sharey=False)
    for axis, (name, rows) in zip(axes, series.items(), strict=True):
        for contender in ("pyspin", "spead2"):
            points = [
                (row["value"], statistics.median([v for v in row[contender] if v]))
                for row in rows
                if any(row[contender])
            ]
            axis.plot(*zip(*points, strict=True), "o-", color=colour(contender), label=contender)
        axis.set_xlabel(GROWTH[name][0], fontsize=8)
        axis.set_ylim(bottom=0)
        if name in ("payload", "heap"):
            axis.set_xscale("log", base=2)
    axes[0].set_ylabel("CPU s/GB of the receiver")
    axes[0].legend()
    return _save(figure, "growth", "CPU per GB as one thing grows")


def plot_scp(results: dict[str, Rounds]) -> list[str]:
    """Draw the requests a second of each case on a logarithmic axis."""
    names = [case.name for case in scp.CASES if case.name in results]
    figure, axes = plt.subplots(figsize=(9, 0.8 * len(names) + 0.6))
    for row, name in enumerate(names):
        contenders = list(results[name].items())
        height = 0.8 / len(contenders)
        for i, (contender, runs) in enumerate(contenders):
            rate = statistics.median(run["rate"] for run in runs)
            place = row - 0.4 + height * (i + 0.5)
            paint = OURS if colour(contender) == VARIANT else colour(contender)
            axes.barh(place, rate, height * 0.9, color=paint)
            axes.annotate(
                contender,
                (rate, place),
                (3, 0),
                textcoords="offset points",
                fontsize=6,
                va="center",
            )
    _name_rows(axes, names)
    axes.set_xscale("log")
    axes.set_xlabel("requests a second (more is better)")
    return _save(figure, "scp", "SCP requests a second")


def plot_summary(spead: dict[str, Rounds], spinnaker: dict[str, Rounds]) -> list[str]:
    """Draw how many times better than its peer pyspin is in each case, and where it is not."""
    rows = _against_spead2(spead) + _against_spinnman(spinnaker)
    figure, axes = plt.subplots(figsize=(11, 0.8 + 0.26 * len(rows)))
    for row, (_, times) in enumerate(rows):
        axes.barh(row, times - 1, 0.7, left=1, color=OURS if times >= 1 else PEER)
        axes.annotate(
            f"{times:.3g}",
            (max(times, 1), row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    _name_rows(axes, [name for name, _ in rows])
    axes.axvline(1, color="black", lw=0.8)
    axes.set_xscale("log", base=2)
    axes.tick_params(axis="y", labelsize=8)
    axes.minorticks_off()
    ticks = [0.5, 1, 2, 4, 8, 16, 32, 64, 128]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(0.5, 1.6 * max(times for _, times in rows))
    axes.set_xlabel("times as good as the peer, spead2 or SpiNNMan (1: alike)")
    return _save(figure, "summary", "pyspin beside its peers")


def _against_spead2(results: dict[str, Rounds]) -> list[tuple[str, float]]:
    rows = []
    for case in CASES:
        for goal in case.goals:
            if case.name not in results or goal.against != "spead2":
                continue
            if (reached := ratio(case, results[case.name], goal)) is None:
                continue
            ring = ", packet ring" if goal.contender == "pyspin ring" else ""
            unit = case.unit.split()[0]
            name = f"{case.title}{ring} ({unit})"
            rows.append((name, 1 / reached if goal.at_most else reached))
    return rows


def _against_spinnman(results: dict[str, Rounds]) -> list[tuple[str, float]]:
    return [
        (f"SCP {case.name}: {goal[0]} (requests/s)", scp.ratio(results[case.name], goal))
        for case in scp.CASES
        for goal in case.goals
        if case.name in results and goal[1] == "SpiNNMan"
    ]


def _name_rows(axes: plt.Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)


def _save(figure: plt.Figure, name: str, title: str) -> list[str]:
    FOLDER.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(FOLDER / f"{name}.png", dpi=90)
    plt.close(figure)
    return [f"![{title}](performance/{name}.png)", ""]
