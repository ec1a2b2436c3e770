# SPDX-License-Identifier: Apache-2.0
"""The IP tags of a board: eight that its users set, eight that answer requests.

SC&MP, IP tag command. A request that wants a reply and names no tag takes a
transient one, which is free again when the reply has left. With none free the
request is dropped without a word: this is why no more than eight requests may
be outstanding at a board.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

__all__ = ["FIXED_TAGS", "TAGS", "Tag", "TagTable"]

TAGS, FIXED_TAGS = 16, 8
ENTRY = struct.Struct("<4s6s3HIH3B7x")
IN_USE, TRANSIENT, REVERSE, STRIP = 0x8000, 0x4000, 0x0200, 0x0100
MAC = bytes.fromhex("0200c0a80001")


@dataclass
class Tag:
    """One entry of the table."""

    flags: int = 0
    address: bytes = bytes(4)
    port: int = 0
    timeout: int = 0
    count: int = 0
    rx_port: int = 0
    x: int = 0
    y: int = 0
    target: int = 0
    """SDP port in the top three bits, core in the rest."""

    @property
    def in_use(self) -> bool:
        """Whether the tag leads anywhere."""
        return bool(self.flags & IN_USE)

    @property
    def reverse(self) -> bool:
        """Whether the tag leads from the network to a core."""
        return bool(self.flags & REVERSE)

    @property
    def strip(self) -> bool:
        """Whether messages leave without their SDP header."""
        return bool(self.flags & STRIP)

    def pack(self) -> bytes:
        """Return the 32 bytes of a tag in the reply to a get."""
        return ENTRY.pack(
            self.address,
            MAC if self.in_use else bytes(6),
            self.port,
            self.timeout,
            self.flags,
            self.count,
            self.rx_port,
            self.y,
            self.x,
            self.target,
        )


@dataclass
class TagTable:
    """The sixteen tags of an Ethernet chip, and its transient timeout."""

    tags: list[Tag] = field(default_factory=lambda: [Tag() for _ in range(TAGS)])
    timeout_code: int = 9
    """Transient tags last 10 ms * 2 ** (code - 1): 2.56 s."""
    changes: int = 0
    """How often a tag was set or cleared."""

    def set(self, number: int, tag: Tag) -> None:
        """Put an entry into the table; an empty one leads nowhere."""
        self.tags[number] = tag
        self.changes += 1

    def first_free(self) -> int | None:
        """Return the lowest free tag of the users', else None."""
        free = (n for n in range(FIXED_TAGS) if not self.tags[n].in_use)
        return next(free, None)
