# SPDX-License-Identifier: Apache-2.0
"""What a network does to datagrams: loses, repeats, delays and reorders them.

Every choice comes from a seeded generator, one draw of each kind per datagram, so
that a seed gives the same fate to the same sequence of datagrams.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyspin.arguments import rate, seconds

__all__ = ["Impairment", "Line", "LineCounts"]

T = TypeVar("T")

MAX_DELAY = 1e6
"""Seconds that a datagram can be held back, and a board can take over a request."""


@dataclass(frozen=True, kw_only=True)
class Impairment:
    """How bad one direction of a network is. Rates are from 0 to 1, times in seconds."""

    loss: float = 0.0
    """How many datagrams are lost."""
    duplication: float = 0.0
    """How many are delivered twice."""
    reordering: float = 0.0
    """How many are held back by `reorder_delay`, so that later ones pass them."""
    latency: float = 0.0
    """How long every datagram takes."""
    jitter: float = 0.0
    """How much longer, evenly spread, some take."""
    reorder_delay: float = 0.001
    """How long a reordered datagram is held back."""

    def __post_init__(self) -> None:
        for name in ("loss", "duplication", "reordering"):
            rate(name, getattr(self, name))
        for name in ("latency", "jitter", "reorder_delay"):
            seconds(name, getattr(self, name), MAX_DELAY)

    @property
    def transparent(self) -> bool:
        """Whether this does nothing at all."""
        return not (self.loss or self.duplication or self.reordering or self.latency or self.jitter)


@dataclass
class LineCounts:
    """What a line has done."""

    offered: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0


class Line(Generic[T]):
    """One direction of a network. Sans-I/O: told the time, it says what arrives."""

    def __init__(self, impairment: Impairment, seed: int | str) -> None:
        self.impairment = impairment
        self.counts = LineCounts()
        self._random = random.Random(seed)
        self._flight: list[tuple[float, int, T]] = []
        self._order = 0

    def offer(self, item: T, now: float) -> None:
        """Take something that was sent at `now`."""
        how = self.impairment
        self.counts.offered += 1
        if how.transparent:
            self._push(now, item)
            return
        lost, twice, late, spread = (self._random.random() for _ in range(4))
        if lost < how.loss:
            self.counts.lost += 1
            return
        due = now + how.latency + how.jitter * spread
        if late < how.reordering:
            self.counts.reordered += 1
            due += how.reorder_delay
        self._push(due, item)
        if twice < how.duplication:
            self.counts.duplicated += 1
            self._push(due, item)

    def arrived(self, now: float) -> list[T]:
        """Return what has arrived by `now`, in the order of arrival."""
        arrived = []
        while self._flight and self._flight[0][0] <= now:
            arrived.append(heapq.heappop(self._flight)[2])
        return arrived

    @property
    def next_due(self) -> float | None:
        """When something arrives next, or None if nothing is on its way."""
        return self._flight[0][0] if self._flight else None

    def _push(self, due: float, item: T) -> None:
        self._order += 1
        heapq.heappush(self._flight, (due, self._order, item))
