# SPDX-License-Identifier: Apache-2.0
"""The multicast router of a chip: its table, the copy that SC&MP keeps, the fixed route.

Register addresses: SpiNNaker datasheet, chapter "Router". The copy in system
SDRAM (`sv.rtr_copy`) has 16 bytes an entry: next u16, application u8, core u8,
route, key, mask.
"""

from __future__ import annotations

import struct

from .memory import Memory

__all__ = ["Router"]

ENTRIES = 1024
ENTRY = struct.Struct("<HBB3I")
LOADED = struct.Struct("<HH3I")
ROUTES, KEYS, MASKS = 0xE1004000, 0xE1008000, 0xE100C000
FIXED_ROUTE = 0xE1000038
UNUSED = (0xFF000000, 0xFFFFFFFF, 0x00000000)
"""Route, key and mask of an entry that matches nothing."""


class Router:
    """Which entries are whose. Entry 0 is SC&MP's own, so 1023 can be had."""

    def __init__(self, memory: Memory, copy: int, fixed_copy: int) -> None:
        self.memory = memory
        self.copy = copy
        self.fixed_copy = fixed_copy
        self.owner: list[int | None] = [0] + [None] * (ENTRIES - 1)
        for address, value in zip((ROUTES, KEYS, MASKS), UNUSED, strict=True):
            memory.write(address, value.to_bytes(4, "little") * ENTRIES)
        memory.write(copy, ENTRY.pack(0, 0, 0, *UNUSED) * ENTRIES)

    @property
    def largest_free(self) -> int:
        """Entries in the longest free run."""
        longest = run = 0
        for owner in self.owner:
            run = run + 1 if owner is None else 0
            longest = max(longest, run)
        return longest

    def alloc(self, count: int, app: int) -> int:
        """Return the first of `count` entries in a row, or 0."""
        run = 0
        for i, owner in enumerate(self.owner):
            run = run + 1 if owner is None else 0
            if count and run == count:
                first = i - count + 1
                self.owner[first : i + 1] = [app] * count
                return first
        return 0

    def load(self, app: int, table: bytes, offset: int) -> bool:
        """Put entries of a table into the router; False if one is out of range."""
        entries = list(LOADED.iter_unpack(table))
        if any(not 0 < offset + entry[0] < ENTRIES for entry in entries):
            return False
        for index, _, route, key, mask in entries:
            self._set(offset + index, app, route, key, mask)
        return True

    def release(self, first: int) -> int:
        """Free the run of one application that starts at an entry."""
        app = self.owner[first] if 0 < first < ENTRIES else None
        last = first
        while app is not None and last < ENTRIES and self.owner[last] == app:
            self.clear(last, 1)
            last += 1
        return last - first

    def release_app(self, app: int) -> int:
        """Free every entry of an application and return how many there were."""
        mine = [i for i, owner in enumerate(self.owner) if i and owner == app]
        for i in mine:
            self.clear(i, 1)
        return len(mine)

    def clear(self, first: int, count: int) -> bool:
        """Make entries match nothing and free; False if out of range."""
        if first < 0 or first + count > ENTRIES:
            return False
        for i in range(first, first + count):
            self._set(i, 0, *UNUSED)
            self.owner[i] = None if i else 0
        return True

    @property
    def fixed_route(self) -> int:
        """The route of fixed-route packets."""
        return self.memory.word(self.fixed_copy)

    @fixed_route.setter
    def fixed_route(self, route: int) -> None:
        self.memory.put(self.fixed_copy, route)
        self.memory.put(FIXED_ROUTE, route)

    def _set(self, i: int, app: int, route: int, key: int, mask: int) -> None:
        self.memory.write(self.copy + ENTRY.size * i, ENTRY.pack(0, app, 0, route, key, mask))
        for address, value in ((ROUTES, route), (KEYS, key), (MASKS, mask)):
            self.memory.put(address + 4 * i, value)
