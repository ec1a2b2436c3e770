# SPDX-License-Identifier: Apache-2.0
"""Flood fill: one image, in numbered blocks, to the chips of a region.

SC&MP, nearest-neighbour packets. A start (FFS) announces an identifier and a
number of blocks; core selections (FFCS) name cores of regions; data (FFD)
carries up to 256 bytes with its address; an end (FFE) starts the application
if as many blocks came as were announced. A block that comes twice counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .chip import Chip

__all__ = ["Flood", "in_region"]

START, CORES, END = 6, 7, 15


def in_region(place: tuple[int, int], region: int) -> bool:
    """Return whether a region word covers a chip.

    Bits 31-24 and 23-16 hold the x and y of a square, whose low bits hold the
    level; bits 15-0 select sixteenths of it, which are 64, 16, 4 or 1 chips wide
    at levels 0 to 3.
    """
    x, y = place
    level = region >> 16 & 3
    shift = 6 - 2 * level
    square = 0xFF & ~((4 << shift) - 1)
    if (x ^ region >> 24) & square or (y ^ region >> 16) & square:
        return False
    part = (x >> shift & 3) + 4 * (y >> shift & 3)
    return bool(region >> part & 1)


@dataclass
class Flood:
    """One flood at a time; a new start forgets the last."""

    run: Callable[[Chip, int, bool, int], None]
    identifier: int | None = None
    blocks: int = 0
    region: int = 0
    received: set[int] = field(default_factory=set)
    cores: dict[tuple[int, int], int] = field(default_factory=dict)

    def packet(self, key: int, data: int, chips: Iterable[Chip]) -> bool:
        """Do what a nearest-neighbour packet asks; False if it asks nothing known."""
        kind = key >> 24
        if kind == START:
            self.identifier, self.blocks, self.region = key >> 16 & 0xFF, key >> 8 & 0xFF, data
            self.received, self.cores = set(), {}
        elif kind == CORES:
            for chip in chips:
                if in_region(chip.place, data):
                    mask = self.cores.get(chip.place, 0) | (key & 0x3FFFF)
                    self.cores[chip.place] = mask
        elif kind == END:
            self._end(key, data, chips)
        return kind in (START, CORES, END)

    def block(
        self, key: int, number: int, address: int, data: bytes, chips: Iterable[Chip]
    ) -> None:
        """Store one block on every chip, if it belongs to the flood under way."""
        if self.identifier is None or key & 0xFF != self.identifier:
            return
        self.received.add(number)
        for chip in chips:
            chip.memory.write(address, data)

    def _end(self, key: int, data: int, chips: Iterable[Chip]) -> None:
        if self.identifier is None or key & 0xFF != self.identifier:
            return
        if len(self.received) == self.blocks:
            for chip in chips:
                mask = self.cores.get(chip.place, 0) & ~1
                if mask:
                    self.run(chip, data >> 24, bool(data >> 18 & 1), mask)
        self.identifier = None
