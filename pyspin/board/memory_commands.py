# SPDX-License-Identifier: Apache-2.0
"""READ, WRITE, FILL and their like over a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages import SCPResult
from .chip import Chip
from .cores import Core
from .wire import BUFFER_BYTES, Refusal, Request

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["fill", "link_read", "link_write", "neighbour", "read", "write"]

UNIT_SIZES = (1, 2, 4)
STALE = b"\xa5"
"""What the board's message buffer holds where a READ copied nothing."""


def whole_units(request: Request) -> int:
    """Return how many bytes of a READ or WRITE its unit covers; a remainder is not moved."""
    if request.arg2 > BUFFER_BYTES or request.arg3 >= len(UNIT_SIZES):
        raise Refusal(SCPResult.RC_ARG)
    return request.arg2 & -UNIT_SIZES[request.arg3]


def read(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """READ: up to 256 bytes, in bytes, half-words or words."""
    address = request.arg1 & -UNIT_SIZES[min(request.arg3, 2)]
    data = core.memory.read(address, whole_units(request))
    return data.ljust(request.arg2, STALE)


def write(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """WRITE: up to 256 bytes, in bytes, half-words or words."""
    count = whole_units(request)
    if len(request.data) < count:
        raise Refusal(SCPResult.RC_LEN)
    core.memory.write(request.arg1 & -UNIT_SIZES[request.arg3], request.data[:count])
    return b""


def fill(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """FILL: a word over and over."""
    if request.arg1 & 3 or request.arg3 & 3:
        raise Refusal(SCPResult.RC_ARG)
    pattern = request.arg2.to_bytes(4, "little")
    core.memory.fill(request.arg1, pattern, request.arg3)
    return b""


def linked(machine: Machine, chip: Chip, request: Request) -> Chip:
    """Return the neighbour that a link command names."""
    if request.arg2 > BUFFER_BYTES or request.arg1 & 3 or request.arg2 & 3 or request.arg3 > 5:
        raise Refusal(SCPResult.RC_ARG)
    return neighbour(machine, chip, request.arg3)


def neighbour(machine: Machine, chip: Chip, link: int) -> Chip:
    """Return the chip at the end of a link; a dead link times out."""
    there = machine.geometry.neighbour(chip.place, link)
    if there is None:
        raise Refusal(SCPResult.RC_TIMEOUT)
    return machine.chip(there)


def link_read(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """LINK_READ: words of a neighbour's memory."""
    return linked(machine, chip, request).memory.read(request.arg1, request.arg2)


def link_write(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """LINK_WRITE: words into a neighbour's memory."""
    there = linked(machine, chip, request)
    if len(request.data) < request.arg2:
        raise Refusal(SCPResult.RC_LEN)
    there.memory.write(request.arg1, request.data[: request.arg2])
    return b""
