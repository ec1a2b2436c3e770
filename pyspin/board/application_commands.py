# SPDX-License-Identifier: Apache-2.0
"""AS, AR, APP_COPY_RUN, the flood, SIG and COUNT: applications from image to end."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..messages import SCPResult, Signal
from .chip import SYSTEM_SDRAM, Chip
from .cores import Core
from .memory_commands import neighbour
from .wire import Refusal, Request

if TYPE_CHECKING:
    from .machine import Machine

__all__ = [
    "copy_run",
    "count",
    "flood_data",
    "nearest_neighbour",
    "run_at",
    "run_loaded",
    "signal",
]


def start(machine: Machine, chip: Chip, word: int) -> None:
    """Start an application: identifier, wait flag and core mask are in one word."""
    mask = word & 0x3FFFF
    if mask & 1:
        raise Refusal(SCPResult.RC_ARG)
    chip.run(word >> 24, bool(word >> 18 & 1), mask, machine.elapsed)


def run_at(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """AS: start the image at an address."""
    start(machine, chip, request.arg2)
    return b""


def run_loaded(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """AR: start the image in the system buffer."""
    start(machine, chip, request.arg1)
    return b""


def copy_run(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """APP_COPY_RUN: fetch an image from a neighbour, check its sum, start it."""
    link, size = request.arg1 & 7, request.arg2
    if link > 5 or size & 3:
        raise Refusal(SCPResult.RC_ARG)
    image = neighbour(machine, chip, link).memory.read(SYSTEM_SDRAM, size)
    total = sum(struct.unpack(f"<{size // 4}I", image))
    if total & 0x1FFFFFFF != request.arg1 >> 3:
        raise Refusal(SCPResult.RC_SUM)
    chip.memory.write(SYSTEM_SDRAM, image)
    start(machine, chip, request.arg3)
    return b""


def nearest_neighbour(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """NNP: a signal, or a flood's start, core selection or end."""
    if request.arg1 >> 24 == 0:
        send_signal(machine, request.arg2)
        return b""
    if not machine.flood.packet(request.arg1, request.arg2, machine.chips()):
        raise Refusal(SCPResult.RC_ARG)
    return b""


def flood_data(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """FFD: one block of a flood."""
    size = ((request.arg2 >> 8 & 0xFF) + 1) * 4
    if len(request.data) < size:
        raise Refusal(SCPResult.RC_LEN)
    machine.flood.block(
        request.arg1,
        request.arg2 >> 16 & 0xFF,
        request.arg3,
        request.data[:size],
        machine.chips(),
    )
    return b""


def signal(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """SIG: to every core of the machine whose application matches."""
    if request.arg1 not in (0, 2):
        raise Refusal(SCPResult.RC_ARG)
    send_signal(machine, request.arg2)
    return b""


def send_signal(machine: Machine, word: int) -> None:
    """Signal in bits 16-23, mask in 8-15, application in 0-7."""
    number = word >> 16 & 0xFF
    if number > Signal.USER_3:
        raise Refusal(SCPResult.RC_ARG)
    machine.signal(Signal(number), word & 0xFF, word >> 8 & 0xFF)


def count(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """COUNT: cores of an application in a state, on the board of the chip asked."""
    app, state = request.arg1 & 0xFF, request.arg2 & 0xFF
    return struct.pack("<I", machine.count(chip.ethernet, app, state))
