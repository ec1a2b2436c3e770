# SPDX-License-Identifier: Apache-2.0
"""What a virtual board has done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["BoardStats"]


@dataclass(frozen=True)
class BoardStats:
    """Counters since a board was made, in datagrams unless said otherwise. They add up."""

    received: int = 0
    """Datagrams that came to the SCP port."""
    sent: int = 0
    """Datagrams that left."""
    requests_lost: int = 0
    requests_duplicated: int = 0
    requests_reordered: int = 0
    replies_lost: int = 0
    replies_duplicated: int = 0
    replies_reordered: int = 0
    messages: int = 0
    """Messages delivered to application cores."""
    results: Mapping[str, int] = field(default_factory=dict)
    """Requests executed or refused, by the name of the result code."""
    commands: Mapping[int, int] = field(default_factory=dict)
    """Requests that reached a core, by command number."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Datagrams that the board dropped without a word, by reason: `no_tag`, `oversize`,
    `runt`, `abort`, `tag`, `no_chip`, `no_application`, `not_booted`."""

    def __add__(self, other: BoardStats) -> BoardStats:
        """Return the sums of two boards' counters."""
        if not isinstance(other, BoardStats):
            return NotImplemented
        sums: dict[str, Any] = {}
        for each in fields(self):
            a, b = getattr(self, each.name), getattr(other, each.name)
            sums[each.name] = a + b if isinstance(a, int) else dict(Counter(a) + Counter(b))
        return BoardStats(**sums)
