# SPDX-License-Identifier: Apache-2.0
"""The chips of a machine, and what happens on all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..messages import Signal
from .chip import Chip, Setting
from .flood import Flood
from .geometry import Geometry, Place

__all__ = ["Machine"]

LOOPBACK = bytes([127, 0, 0, 1])
CORES = 18


class Machine:
    """One or more boards whose chips are joined. Not thread-safe."""

    def __init__(
        self,
        geometry: Geometry,
        *,
        addresses: Mapping[Place, bytes] | None = None,
        cores: int | Mapping[Place, int] = CORES,
        boot_time: int = 0,
        booted: bool = True,
    ) -> None:
        self.geometry = geometry
        self.booted = booted
        self.elapsed = 0.0
        """Seconds since boot, as last told."""
        self.flood = Flood(self._start)
        self.syncing = True
        self._cores = cores
        self._chips: dict[Place, Chip] = {}
        known = dict.fromkeys(geometry.boards, LOOPBACK) if addresses is None else dict(addresses)
        self._setting = Setting(geometry, known, boot_time)

    def chip(self, place: Place) -> Chip:
        """Return a chip; chips are made when first asked for. Raises KeyError for none."""
        chip = self._chips.get(place)
        if chip is None:
            if place not in self.geometry.chips:
                raise KeyError(f"no chip at {place[0]}, {place[1]}")
            cores = self._cores if isinstance(self._cores, int) else self._cores.get(place, CORES)
            chip = self._chips[place] = Chip(place, cores, self._setting)
        return chip

    def chips(self) -> Iterator[Chip]:
        """Yield every chip."""
        for place in sorted(self.geometry.chips):
            yield self.chip(place)

    def signal(self, signal: Signal, app: int, mask: int) -> None:
        """Send a signal to every application whose identifier agrees under a mask."""
        for chip in self.chips():
            for core in chip.cores[1:]:
                if core.app and core.app & mask == app & mask:
                    core.signal(signal)
            if signal is Signal.STOP and mask == 0xFF:
                chip.heap.free_app(app)
                chip.router.release_app(app)

    def count(self, ethernet: Place, app: int, state: int) -> int:
        """Return how many cores of one board have an application in a state."""
        return sum(
            core.app == app and core.state == state
            for chip in self.chips()
            if chip.ethernet == ethernet
            for core in chip.cores
        )

    def _start(self, chip: Chip, app: int, wait: bool, mask: int) -> None:
        chip.run(app, wait, mask, self.elapsed)
