# SPDX-License-Identifier: Apache-2.0
"""One chip after booting: its memory with the system variables in it, cores, heap, router.

Offsets in the block of system variables at 0xF5007F00 (256 bytes): SARK header
file (`sv_t`) and `sark.struct` of the low-level tools.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from ..messages import CPUState
from .cores import IOBUF_BYTES, Core
from .geometry import Geometry, Place
from .heap import Heap
from .memory import Memory
from .router import Router
from .tags import TagTable

__all__ = ["Chip"]

SYSTEM_VARIABLES = 0xE5007F00
VCPU_BASE = 0xE5007000
SYSRAM_BASE = 0xE5000100
SDRAM_BASE = 0x60000000
TAG_TABLE = 0x60200000
HEAP_BASE = 0x60240000
SYSTEM_SDRAM = 0x67800000
SYSTEM_BUFFER_WORDS = 32768
ROUTER_COPY = SYSTEM_SDRAM + 4 * SYSTEM_BUFFER_WORDS
HOP_TABLE = ROUTER_COPY + 0x4000
IOBUF_BASE = 0x67880000
SYSRAM_HEAP_BYTES = 4096
P2P_TABLE = 0xE1010000
NO_ROUTE, MONITOR_ROUTE = 6, 7
EMPTY_TABLE = (0o66666666).to_bytes(4, "little") * 8192
"""Eight three-bit entries a word, every one of them "no route"."""


@dataclass(frozen=True)
class Setting:
    """What the chips of a machine know of it."""

    geometry: Geometry
    addresses: dict[Place, bytes]
    """The IPv4 address of each Ethernet chip."""
    boot_time: int
    """Unix time."""


ROOT: Place = (0, 0)
"""The chip from which a machine is booted."""


class Chip:
    """A booted chip. Not thread-safe: the board's lock covers it."""

    def __init__(self, place: Place, cores: int, setting: Setting) -> None:
        self.place = place
        self.setting = setting
        self.ethernet = setting.geometry.ethernet_of(place)
        self.tags = TagTable()
        self.leds = 0
        self.memory = Memory()
        self._write_system_variables(cores)
        self._write_p2p_table()
        self.heap = Heap(self.memory, HEAP_BASE, SYSTEM_SDRAM, TAG_TABLE)
        self.router = Router(self.memory, ROUTER_COPY, SYSTEM_VARIABLES + 0xF4)
        self.cores = [
            Core(
                number,
                self.memory if number == 0 else Memory(self.memory.pages),
                VCPU_BASE,
                IOBUF_BASE + IOBUF_BYTES * number,
            )
            for number in range(cores)
        ]
        self.cores[0].start(0, False, b"scamp-400", setting.boot_time)
        for dead in range(cores, 18):
            Core(dead, self.memory, VCPU_BASE, 0).become(CPUState.DEAD)

    @property
    def has_ethernet(self) -> bool:
        """Whether the board's Ethernet is at this chip."""
        return self.place == self.ethernet

    def tick(self, elapsed: float) -> None:
        """Bring the clocks among the system variables to `elapsed` seconds after boot."""
        ms = int(elapsed * 1000)
        unix_time = self.setting.boot_time + ms // 1000
        self.memory.put(SYSTEM_VARIABLES + 0x10, ms, 8)
        self.memory.put(SYSTEM_VARIABLES + 0x18, ms % 1000, 2)
        self.memory.put(SYSTEM_VARIABLES + 0x1C, unix_time)

    def run(self, app: int, wait: bool, mask: int, now: float) -> None:
        """Start the image in the system buffer on the cores of a mask."""
        unix_time = self.setting.boot_time + int(now)
        for core in self.cores[1:]:
            if mask >> core.number & 1:
                core.start(app, wait, b"app-%d" % app, unix_time)

    def info(self) -> bytes:
        """Return the 38 bytes of an INFO reply, arguments included."""
        links = sum(1 << link for link in self.setting.geometry.links(self.place))
        summary = (
            len(self.cores) | links << 8 | self.router.largest_free << 14 | self.has_ethernet << 25
        )
        states = bytes(core.state for core in self.cores).ljust(18, b"\0")
        x, y = self.ethernet
        address = self.setting.addresses.get(self.place, bytes(4))
        return (
            struct.pack("<3I", summary, self.heap.space()[1], SYSRAM_HEAP_BYTES)
            + states
            + bytes([y, x])
            + address
            + struct.pack("<H", self._parent_link())
        )

    def _parent_link(self) -> int:
        """The link towards the root chip, through which this one was booted."""
        if self.place == ROOT:
            return 0xFFFF
        return self.setting.geometry.first_links(self.place)[ROOT]

    def _write_system_variables(self, cores: int) -> None:
        x, y = self.place
        geometry = self.setting.geometry
        eth_x, eth_y = self.ethernet
        links = sum(1 << link for link in geometry.links(self.place))
        signature = zlib.crc32(b"pyspin virtual board")
        identity = bytes(range(cores)).ljust(20, b"\xff")
        fields: list[tuple[int, str, tuple[int, ...]]] = [
            (0x00, "4B", (y, x, geometry.height, geometry.width)),
            (0x06, "B", (1,)),
            (0x08, "4B", (eth_y, eth_x, geometry.hardware, self.has_ethernet)),
            (0x0C, "3B", (4, 4, 0x33)),
            (0x24, "2H", (200, 130)),
            (0x28, "6B", (0x3F, 0, 100, 1, 50, 0)),
            (0x2E, "H", (0,)),
            (0x30, "I", (1,)),
            (0x40, "4B", (self.place == ROOT, 7, 20, 3)),
            (0x48, "2I", (SYSRAM_BASE, HEAP_BASE)),
            (0x50, "4I", (IOBUF_BYTES, SYSTEM_SDRAM, SYSTEM_BUFFER_WORDS, signature)),
            (0x65, "B", (links,)),
            (0x94, "20B", tuple(identity)),
            (0xA8, "20B", tuple(identity)),
            (0xBC, "2B", (cores, cores)),
            (0xC0, "4I", (SDRAM_BASE, SYSRAM_BASE, SYSTEM_SDRAM, VCPU_BASE)),
            (0xD0, "4I", (ROUTER_COPY, ROUTER_COPY, HOP_TABLE, TAG_TABLE)),
            (0xE0, "2H", (1, len(geometry.chips))),
        ]
        for offset, layout, values in fields:
            self.memory.write(SYSTEM_VARIABLES + offset, struct.pack("<" + layout, *values))
        if self.has_ethernet:
            self.memory.write(SYSTEM_VARIABLES + 0xF0, self.setting.addresses[self.place])
        self.tick(0.0)

    def _write_p2p_table(self) -> None:
        self.memory.write(P2P_TABLE, EMPTY_TABLE)
        routes = self.setting.geometry.first_links(self.place)
        routes[self.place] = MONITOR_ROUTE
        for (x, y), route in routes.items():
            address, shift = P2P_TABLE + 4 * (x << 5 | y >> 3), 3 * (y & 7)
            word = self.memory.word(address) & ~(7 << shift)
            self.memory.put(address, word | route << shift)
