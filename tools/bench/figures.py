# SPDX-License-Identifier: Apache-2.0
"""What a case's runs come to: the figures of a contender, and ratios within a round."""

from __future__ import annotations

import statistics

from cases import Case, Goal

Rounds = dict[str, list[dict]]


def values(case: Case, rounds: Rounds, contender: str) -> list[float]:
    return [run[case.figure] for run in rounds[contender] if run.get(case.figure) is not None]


def ratio(case: Case, rounds: Rounds, goal: Goal) -> float | None:
    """Return the median of the ratios within a round."""
    pairs = zip(rounds[goal.contender], rounds[goal.against], strict=True)
    ratios = [
        mine[case.figure] / theirs[case.figure]
        for mine, theirs in pairs
        if mine.get(case.figure) and theirs.get(case.figure)
    ]
    return statistics.median(ratios) if ratios else None
