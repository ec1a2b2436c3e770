# SPDX-License-Identifier: Apache-2.0
"""What the virtual board's network does to datagrams, on an invented clock."""

from __future__ import annotations

import pytest

from pyspin.board import Impairment, Line
from pyspin.board.network import LineCounts


def through(
    impairment: Impairment, count: int, *, seed: int = 1, gap: float = 0.001
) -> tuple[list[int], LineCounts]:
    """Send numbers down a line, one each `gap`, and return them as they arrive."""
    line: Line[int] = Line(impairment, seed)
    arrived: list[int] = []
    for number in range(count):
        line.offer(number, number * gap)
        arrived += line.arrived(number * gap)
    while line.next_due is not None:
        arrived += line.arrived(line.next_due)
    return arrived, line.counts


def test_a_perfect_line_changes_nothing() -> None:
    arrived, counts = through(Impairment(), 100)
    assert arrived == list(range(100))
    assert (counts.offered, counts.lost, counts.duplicated, counts.reordered) == (100, 0, 0, 0)


def test_loss_is_counted_and_about_its_rate() -> None:
    arrived, counts = through(Impairment(loss=0.1), 5000)
    assert len(arrived) == 5000 - counts.lost
    assert 400 < counts.lost < 600
    assert arrived == sorted(set(arrived))


def test_everything_may_be_lost() -> None:
    assert through(Impairment(loss=1.0), 10)[0] == []


def test_duplicates_come_twice() -> None:
    arrived, counts = through(Impairment(duplication=0.5), 1000)
    assert len(arrived) == 1000 + counts.duplicated
    assert 400 < counts.duplicated < 600


def test_reordered_datagrams_are_passed() -> None:
    arrived, counts = through(Impairment(reordering=0.1, reorder_delay=0.0025), 1000)
    assert sorted(arrived) == list(range(1000))
    assert 50 < counts.reordered < 150
    late = [n for at, n in enumerate(arrived) if any(m > n for m in arrived[max(0, at - 3) : at])]
    assert len(late) >= counts.reordered // 2


def test_latency_holds_back() -> None:
    line: Line[str] = Line(Impairment(latency=0.5), 1)
    line.offer("a", 1.0)
    assert line.next_due == 1.5
    assert line.arrived(1.4) == []
    assert line.arrived(1.5) == ["a"]
    assert line.next_due is None


def test_jitter_stays_within_its_bound() -> None:
    line: Line[int] = Line(Impairment(latency=1.0, jitter=0.5), 1)
    for _ in range(100):
        line.offer(0, 0.0)
    assert line.arrived(0.999) == []
    assert 0 < len(line.arrived(1.25)) < 100
    line.arrived(1.5)
    assert line.next_due is None


def test_a_seed_decides_everything() -> None:
    bad = Impairment(loss=0.1, duplication=0.1, reordering=0.1, jitter=0.01)
    assert through(bad, 500, seed=3) == through(bad, 500, seed=3)
    assert through(bad, 500, seed=3)[0] != through(bad, 500, seed=4)[0]


@pytest.mark.parametrize("name", ["loss", "duplication", "reordering"])
@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_rates_are_checked(name: str, rate: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be from 0 to 1, not {rate}"):
        Impairment(**{name: rate})


@pytest.mark.parametrize("name", ["latency", "jitter", "reorder_delay"])
def test_times_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 0, not -1"):
        Impairment(**{name: -1})
