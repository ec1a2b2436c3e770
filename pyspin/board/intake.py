# SPDX-License-Identifier: Apache-2.0
"""How many requests a board can hold, and how long it takes over each.

SC&MP has eight transient tags. One is taken by each request that waits for its
reply, and a request that finds none free vanishes (spinnaker_tools issues 25
and 92).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Intake", "Slot"]

FIRST_TRANSIENT = 8


class Slot(NamedTuple):
    """A place in the queue: the tag of the reply, and when it leaves."""

    tag: int
    finish: float


class Intake:
    """One server with a bounded queue, on the time that it is told."""

    def __init__(self, tags: int, service_time: float) -> None:
        self.service_time = service_time
        self._idle_at = 0.0
        self._taken_until = [0.0] * tags

    def admit(self, now: float, needs_tag: bool) -> Slot | None:
        """Return a slot, or None if a tag is needed and none is free."""
        if not self.service_time:
            return Slot(FIRST_TRANSIENT, now)
        tag = next((n for n, until in enumerate(self._taken_until) if until <= now), None)
        if tag is None and needs_tag:
            return None
        finish = self._idle_at = max(now, self._idle_at) + self.service_time
        if needs_tag and tag is not None:
            self._taken_until[tag] = finish
        return Slot(FIRST_TRANSIENT + (tag or 0), finish)
