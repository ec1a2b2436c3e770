# SPDX-License-Identifier: Apache-2.0
"""VER, INFO, LED, SYNC, ALLOC and RTR: a chip and what it has to give."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..messages import SCPResult
from .chip import Chip
from .cores import Core
from .wire import BUFFER_BYTES, Refusal, Request

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["alloc", "info", "led", "router", "sync", "version"]

BUILD_TIME = 0x65000000


def version(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """VER: who is here, in the format of semantic versions."""
    x, y = chip.place
    kernel = b"SC&MP" if core.number == 0 else b"SARK"
    head = struct.pack("<4B2HI", core.number, core.number, y, x, BUFFER_BYTES, 0xFFFF, BUILD_TIME)
    return head + kernel + b"/SpiNNaker\x004.0.0\x00"


def info(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """INFO: the chip in 38 bytes."""
    return chip.info()


def led(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """LED: two bits a LED; 1 toggles, 2 is off, 3 is on."""
    for number in range(16):
        action = request.arg1 >> 2 * number & 3
        bit = 1 << number
        chip.leds = (chip.leds, chip.leds ^ bit, chip.leds & ~bit, chip.leds | bit)[action]
    return b""


def sync(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """SYNC: turn the clock beacons between boards on or off."""
    machine.syncing = bool(request.arg1)
    return b""


def alloc(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """ALLOC: SDRAM and router entries; a reply of 0 says that there was no room."""
    operation, app = request.arg1 & 0xFF, request.arg1 >> 8 & 0xFF
    retry = bool(request.arg1 >> 16 & 4)
    heap, router = chip.heap, chip.router
    arg2, arg3 = request.arg2, request.arg3
    if operation == 6:
        return struct.pack("<2I", *heap.space())
    actions: dict[int, Callable[[], int]] = {
        0: lambda: heap.alloc(arg2, app, arg3 & 0xFF, retry),
        1: lambda: heap.free(arg2),
        2: lambda: heap.free_app(app),
        3: lambda: router.alloc(arg2, app),
        4: lambda: router.release(arg2),
        5: lambda: router.release_app(app),
        7: lambda: heap.tags.get(app << 8 | arg3 & 0xFF, 0),
    }
    if operation not in actions:
        raise Refusal(SCPResult.RC_ARG)
    return struct.pack("<I", actions[operation]())


def router(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """RTR: init 0, clear 1, load 2, fixed route 3."""
    operation, app, number = request.arg1 & 0xFF, request.arg1 >> 8 & 0xFF, request.arg1 >> 16
    if operation == 0:
        done = chip.router.clear(0, 1024)
    elif operation == 1:
        done = chip.router.clear(request.arg2, number)
    elif operation == 2:
        done = chip.router.load(app, chip.memory.read(request.arg2, 16 * number), request.arg3)
    elif operation == 3:
        return fixed_route(chip, request)
    else:
        done = False
    if not done:
        raise Refusal(SCPResult.RC_ARG)
    return b""


def fixed_route(chip: Chip, request: Request) -> bytes:
    """Set the fixed route, or read it if the top bit says so."""
    if request.arg2 >> 31:
        return struct.pack("<I", chip.router.fixed_route)
    chip.router.fixed_route = request.arg2
    return b""
