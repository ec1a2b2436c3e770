# SPDX-License-Identifier: Apache-2.0
"""Where the chips of a board are, and which chip is at the end of each link.

A SpiNN-3 board is 2x2 chips that wrap north to south only; a SpiNN-5 board is
48 chips in a hexagon cut out of an 8x8 square (SpiNNaker datasheet; SpiNN-3
and SpiNN-5 board descriptions). The links of a board that stands alone end at
its edge. Three SpiNN-5 boards make a triad of 12x12 chips, and triads a torus: one
board's hexagon starts at (0, 0), the others at (4, 8) and (8, 4) of each triad.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pyspin.arguments import integer

__all__ = ["Geometry", "Place", "geometry_of", "torus_of"]

Place = tuple[int, int]
"""A chip's coordinates, x then y."""

VECTORS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
"""Links 0 to 5: east, north-east, north, west, south-west, south."""

SPIN3_CUT = frozenset(
    [(0, 0, 3), (0, 0, 4), (0, 1, 3), (0, 1, 4), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)]
)
SPIN5_ROWS = ((0, 4), (0, 5), (0, 6), (0, 7), (1, 7), (2, 7), (3, 7), (4, 7))
"""First and last x of each row y of a 48-chip board."""
TRIAD = ((0, 0), (4, 8), (8, 4))
"""The Ethernet chips of three boards that fill a square of 12x12 chips."""


@dataclass(frozen=True)
class Geometry:
    """The chips of a machine and how they are joined."""

    hardware: int
    width: int
    height: int
    chips: frozenset[Place]
    wraps: bool
    cut: frozenset[tuple[int, int, int]] = frozenset()
    ethernets: dict[Place, Place] = field(default_factory=dict, repr=False)
    """The Ethernet chip of each chip's board, where that is not (0, 0)."""

    @property
    def boards(self) -> list[Place]:
        """The Ethernet chips, that of (0, 0) first."""
        return sorted({self.ethernet_of(place) for place in self.chips})

    def ethernet_of(self, place: Place) -> Place:
        """Return the Ethernet chip of the board that has a chip."""
        return self.ethernets.get(place, (0, 0))

    def neighbour(self, place: Place, link: int) -> Place | None:
        """Return the chip at the end of a working link, else None."""
        if (*place, link) in self.cut:
            return None
        x, y = place[0] + VECTORS[link][0], place[1] + VECTORS[link][1]
        if self.wraps:
            x, y = x % self.width, y % self.height
        return (x, y) if (x, y) in self.chips else None

    def links(self, place: Place) -> list[int]:
        """Return the working links of a chip, in rising order."""
        return [link for link in range(6) if self.neighbour(place, link) is not None]

    def without(
        self, chips: Iterable[Place] = (), links: Iterable[tuple[int, int, int]] = ()
    ) -> Geometry:
        """Return the geometry less some chips, and some links at both their ends."""
        cut = set(self.cut)
        for x, y, link in links:
            cut.add((x, y, link))
            other = self.neighbour((x, y), link)
            if other is not None:
                cut.add((*other, (link + 3) % 6))
        return replace(self, chips=self.chips - set(chips), cut=frozenset(cut))

    def first_links(self, source: Place) -> dict[Place, int]:
        """Return, for each chip that can be reached, the link of a shortest way to it."""
        first: dict[Place, int] = {}
        waiting = deque([source])
        while waiting:
            here = waiting.popleft()
            for link in self.links(here):
                there = self.neighbour(here, link)
                if there is None or there == source or there in first:
                    continue
                first[there] = first.get(here, link)
                waiting.append(there)
        return first


def geometry_of(hardware: int) -> Geometry:
    """Return the geometry of a lone board of hardware version 3 or 5."""
    if hardware == 3:
        square = frozenset((x, y) for x in range(2) for y in range(2))
        return Geometry(3, 2, 2, square, wraps=True, cut=SPIN3_CUT)
    if hardware == 5:
        return Geometry(5, 8, 8, frozenset(hexagon()), wraps=False)
    raise ValueError(f"hardware must be 3 or 5, not {hardware!r}")


def torus_of(width: int, height: int) -> Geometry:
    """Return the geometry of `width` by `height` triads of SpiNN-5 boards, joined at the edges."""
    width, height = integer("width", width, 1, 21), integer("height", height, 1, 21)
    across, up = 12 * width, 12 * height
    origins = [
        (12 * i + x, 12 * j + y) for i in range(width) for j in range(height) for x, y in TRIAD
    ]
    ethernets = {
        ((left + x) % across, (bottom + y) % up): (left, bottom)
        for left, bottom in origins
        for x, y in hexagon()
    }
    return Geometry(5, across, up, frozenset(ethernets), wraps=True, ethernets=ethernets)


def hexagon() -> list[Place]:
    """Return the chips of a 48-chip board."""
    return [(x, y) for y, (first, last) in enumerate(SPIN5_ROWS) for x in range(first, last + 1)]
