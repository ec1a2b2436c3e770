# SPDX-License-Identifier: Apache-2.0
"""Write docs/performance.md and its plots from the figures in build/bench.

    python tools/bench/report.py

They come from `run.py`, `scp.py`, `listener.py` and `token_bucket.py`.

The text between the marks of docs/performance.md is made here; what stands outside them is
written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from dataclasses import replace
from pathlib import Path

import scp
from cases import CASES, Case, Goal
from figures import Rounds, ratio, values
from plots import plot_cases, plot_growth, plot_scp, plot_summary
from run import BUILD, GROWTH

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"


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
    for name in rounds:
        row = [name, spread(case, rounds, name), split(rounds, name, "user")]
        row += [split(rounds, name, "system"), losses(rounds, name)]
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, ""]


def goal_table(results: dict[str, Rounds]) -> list[str]:
    lines = [
        "| case | ratio | goal | reached | met | bare loops |",
        "|---|---|---|---|---|---|",
    ]
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
                f"| {sign} {goal.bound} | {shown} | {verdict} | {limit(case, results, goal)} |"
            )
    return [*lines, ""]


def _kind(contender: str) -> str:
    """Return what a bare loop reads from; the name itself of what is none."""
    if contender.startswith("bare ring"):
        return "bare ring"
    return "bare" if contender.startswith("bare") else contender


def limit(case: Case, results: dict[str, Rounds], goal: Goal) -> str:
    """Return the ratios that loops without any protocol reach: what the kernel leaves."""
    kind = {"pyspin": "bare", "pyspin ring": "bare ring"}.get(goal.contender, "")
    found = []
    for bare in case.contenders:
        if _kind(bare) == kind and bare != goal.against:
            reached = ratio(case, results[case.name], replace(goal, contender=bare))
            if reached is not None:
                found.append(f"{bare.removeprefix(kind).strip() or 'bare'} {reached:.2f}")
    return ", ".join(found)


def growth(series: dict[str, list[dict]]) -> list[str]:
    """Draw and tabulate how cost grows."""
    if not series:
        return []
    lines = ["### How cost grows", ""]
    for name, rows in series.items():
        lines += _growth_table(GROWTH[name][0], rows)
    return lines + plot_growth(series)


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
        "The last column is what loops without any protocol, in C and without Python, reach in the "
        "same rounds against the same: `discard` receives and throws away, `place` has the kernel "
        "write into heaps as it knows beforehand what comes, `copy 4` copies into four heaps in "
        "turn (`copy` into sixteen); beside `pyspin ring` they read a packet ring too. Where they "
        "miss the goal as well, the kernel leaves no room for it on this machine. What the sender "
        "spins until its next burst is due is left out of the whole machine's CPU.",
        "",
        *goal_table(results),
        *plot_cases(results),
        "### Figures",
        "",
    ]
    for case in CASES:
        if case.name in results:
            lines += case_table(case, results[case.name])
    if document.get("instructions"):
        counts = ", ".join(f"{v:.0f} at {k} bytes" for k, v in document["instructions"].items())
        lines += [
            "Instructions that a packet costs from memory, its copy and its making included, "
            f"counted by callgrind: {counts}.",
            "",
        ]
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


def listener_part(results: dict[str, list[dict]]) -> list[str]:
    lines = [
        "**ConnectionListener: a burst of 100 000 datagrams of 64 bytes, one callback**",
        "",
        "| | offered/s | messages/s | lost | out of order | CPU us/message |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        lines.append(
            f"| {name} | {middle['offered']:,.0f} | {middle['rate']:,.0f} | {middle['lost']:,.0f} "
            f"| {middle['inversions']:,.0f} | {middle['cpu_us']:.2f} |"
        )
    return [*lines, ""]


def token_bucket_part(results: dict[str, list[dict]]) -> list[str]:
    lines = [
        "**TokenBucket: calls a second without blocking, and the share of the nominal rate that a "
        "blocked caller gets in a second**",
        "",
        "| | " + " | ".join(results) + " |",
        "|---|" + "---|" * len(results),
    ]
    for key in next(iter(results.values()))[0]:
        cells = [statistics.median(run[key] for run in runs) for runs in results.values()]
        shown = [f"{cell:,.0f}/s" if cell > 100 else f"{cell:.4f}" for cell in cells]
        lines.append(f"| {key} | " + " | ".join(shown) + " |")
    return [*lines, ""]


def spinnaker_part(document: dict) -> list[str]:
    lines: list[str] = []
    if document:
        lines += [
            f"Measured on {document['date']}, {document['rounds']} rounds, contenders in turn; the "
            "server is pinned to processor 0, the client to processor 1. `bare read 32` is the C "
            "client without a library at a window of 32.",
            "",
            *plot_scp(document["results"]),
            *scp.section(document).splitlines(),
            "",
        ]
    for name, part in (("listener", listener_part), ("token_bucket", token_bucket_part)):
        if results := measured(name):
            lines += part(results)
    return lines


def measured(name: str) -> dict:
    """Return what the program `name` has measured, nothing if it has not run."""
    path = BUILD / f"{name}.json"
    found: dict = json.loads(path.read_text()) if path.exists() else {}
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    spead, spinnaker = measured("spead"), measured("scp")
    if spead:
        write("spead", spead_part(spead))
    if lines := spinnaker_part(spinnaker):
        write("scp", lines)
    write("summary", plot_summary(spead.get("results", {}), spinnaker.get("results", {})))


if __name__ == "__main__":
    main()
