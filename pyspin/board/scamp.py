# SPDX-License-Identifier: Apache-2.0
"""What SC&MP 4.0.0 does at each command: one function a command, from request to payload.

A function returns the bytes that follow the result code of an OK reply, or
raises `Refusal`. Argument encodings: SC&MP's command descriptions (SpiNNaker
application note 5 and the headers of the low-level tools).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..messages import SCPCommand, SCPResult, Signal
from .chip import SYSTEM_SDRAM, Chip
from .cores import Core
from .tags import IN_USE, REVERSE, STRIP, TAGS, Tag
from .wire import Refusal, Request

if TYPE_CHECKING:
    from .model import Board

__all__ = ["CORE_COMMANDS", "MONITOR_COMMANDS", "Handler"]

Handler = Callable[["Board", Chip, Core, Request], bytes]

BUFFER_BYTES = 256
UNIT_SIZES = (1, 2, 4)
BUILD_TIME = 0x65000000
STALE = b"\xa5"
"""What the board's message buffer holds where a READ copied nothing."""


def version(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """VER: who is here, in the format of semantic versions."""
    x, y = chip.place
    kernel = b"SC&MP" if core.number == 0 else b"SARK"
    head = struct.pack("<4B2HI", core.number, core.number, y, x, BUFFER_BYTES, 0xFFFF, BUILD_TIME)
    return head + kernel + b"/SpiNNaker\x004.0.0\x00"


def whole_units(request: Request) -> int:
    """Return how many bytes of a READ or WRITE its unit covers; a remainder is not moved."""
    if request.arg2 > BUFFER_BYTES or request.arg3 >= len(UNIT_SIZES):
        raise Refusal(SCPResult.RC_ARG)
    return request.arg2 & -UNIT_SIZES[request.arg3]


def read(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """READ: up to 256 bytes, in bytes, half-words or words."""
    address = request.arg1 & -UNIT_SIZES[min(request.arg3, 2)]
    data = core.memory.read(address, whole_units(request))
    return data.ljust(request.arg2, STALE)


def write(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """WRITE: up to 256 bytes, in bytes, half-words or words."""
    count = whole_units(request)
    if len(request.data) < count:
        raise Refusal(SCPResult.RC_LEN)
    core.memory.write(request.arg1 & -UNIT_SIZES[request.arg3], request.data[:count])
    return b""


def fill(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """FILL: a word over and over."""
    if request.arg1 & 3 or request.arg3 & 3:
        raise Refusal(SCPResult.RC_ARG)
    pattern = request.arg2.to_bytes(4, "little")
    core.memory.fill(request.arg1, pattern, request.arg3)
    return b""


def linked(board: Board, chip: Chip, request: Request) -> Chip:
    """Return the neighbour that a link command names."""
    if request.arg2 > BUFFER_BYTES or request.arg1 & 3 or request.arg2 & 3 or request.arg3 > 5:
        raise Refusal(SCPResult.RC_ARG)
    return neighbour(board, chip, request.arg3)


def neighbour(board: Board, chip: Chip, link: int) -> Chip:
    """Return the chip at the end of a link; a dead link times out."""
    there = board.geometry.neighbour(chip.place, link)
    if there is None:
        raise Refusal(SCPResult.RC_TIMEOUT)
    return board.chip(*there)


def link_read(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """LINK_READ: words of a neighbour's memory."""
    return linked(board, chip, request).memory.read(request.arg1, request.arg2)


def link_write(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """LINK_WRITE: words into a neighbour's memory."""
    there = linked(board, chip, request)
    if len(request.data) < request.arg2:
        raise Refusal(SCPResult.RC_LEN)
    there.memory.write(request.arg1, request.data[: request.arg2])
    return b""


def start(board: Board, chip: Chip, word: int) -> None:
    """Start an application: identifier, wait flag and core mask are in one word."""
    mask = word & 0x3FFFF
    if mask & 1:
        raise Refusal(SCPResult.RC_ARG)
    chip.run(word >> 24, bool(word >> 18 & 1), mask, board.elapsed)


def run_at(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """AS: start the image at an address."""
    start(board, chip, request.arg2)
    return b""


def run_loaded(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """AR: start the image in the system buffer."""
    start(board, chip, request.arg1)
    return b""


def copy_run(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """APP_COPY_RUN: fetch an image from a neighbour, check its sum, start it."""
    link, size = request.arg1 & 7, request.arg2
    if link > 5 or size & 3:
        raise Refusal(SCPResult.RC_ARG)
    image = neighbour(board, chip, link).memory.read(SYSTEM_SDRAM, size)
    total = sum(struct.unpack(f"<{size // 4}I", image))
    if total & 0x1FFFFFFF != request.arg1 >> 3:
        raise Refusal(SCPResult.RC_SUM)
    chip.memory.write(SYSTEM_SDRAM, image)
    start(board, chip, request.arg3)
    return b""


def nearest_neighbour(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """NNP: a signal, or a flood's start, core selection or end."""
    if request.arg1 >> 24 == 0:
        send_signal(board, request.arg2)
        return b""
    if not board.flood.packet(request.arg1, request.arg2, board.chips()):
        raise Refusal(SCPResult.RC_ARG)
    return b""


def flood_data(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """FFD: one block of a flood."""
    size = ((request.arg2 >> 8 & 0xFF) + 1) * 4
    if len(request.data) < size:
        raise Refusal(SCPResult.RC_LEN)
    board.flood.block(
        request.arg1,
        request.arg2 >> 16 & 0xFF,
        request.arg3,
        request.data[:size],
        board.chips(),
    )
    return b""


def signal(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """SIG: to every core of the machine whose application matches."""
    if request.arg1 not in (0, 2):
        raise Refusal(SCPResult.RC_ARG)
    send_signal(board, request.arg2)
    return b""


def send_signal(board: Board, word: int) -> None:
    """Signal in bits 16-23, mask in 8-15, application in 0-7."""
    number = word >> 16 & 0xFF
    if number > Signal.USER_3:
        raise Refusal(SCPResult.RC_ARG)
    board.signal(Signal(number), word & 0xFF, word >> 8 & 0xFF)


def count(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """COUNT: cores of an application in a state."""
    app, state = request.arg1 & 0xFF, request.arg2 & 0xFF
    found = sum(
        core.app == app and core.state == state for chip in board.chips() for core in chip.cores
    )
    return struct.pack("<I", found)


def led(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """LED: two bits a LED; 1 toggles, 2 is off, 3 is on."""
    for number in range(16):
        action = request.arg1 >> 2 * number & 3
        bit = 1 << number
        chip.leds = (chip.leds, chip.leds ^ bit, chip.leds & ~bit, chip.leds | bit)[action]
    return b""


def ip_tag(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """IPTAG: new 0, set 1, get 2, clear 3, transient timeout 4."""
    operation, number = request.arg1 >> 16 & 0xF, request.arg1 & 0xFF
    if not chip.has_ethernet:
        raise Refusal(SCPResult.RC_CMD)
    if operation == 4:
        return tag_timeout(board, request)
    if operation == 0:
        free = board.tags.first_free()
        if free is None:
            raise Refusal(SCPResult.RC_BUF)
        number = free
    if operation > 3 or number >= TAGS:
        raise Refusal(SCPResult.RC_ARG)
    if operation == 2:
        last = min(TAGS, number + max(1, request.arg2))
        return b"".join(tag.pack() for tag in board.tags.tags[number:last])[:BUFFER_BYTES]
    if operation == 3:
        board.tags.set(number, Tag())
        return b""
    board.tags.set(number, tag_from(request))
    return struct.pack("<I", number)


def tag_from(request: Request) -> Tag:
    """Return the tag that a set describes."""
    flags, target = request.arg1 >> 28, request.arg1 >> 8 & 0xFF
    tag = Tag(flags=IN_USE | (STRIP if flags & 1 else 0), timeout=request.arg1 >> 24 & 0xF)
    if flags & 2:
        tag.flags |= REVERSE
        tag.rx_port = request.arg2 & 0xFFFF
        tag.x, tag.y = request.arg2 >> 24, request.arg2 >> 16 & 0xFF
        tag.target = target
        return tag
    address = request.arg3.to_bytes(4, "little")
    tag.port = request.arg2 & 0xFFFF
    host, port = request.sender
    if flags & 4:
        tag.port = port
    tag.address = ipaddress.IPv4Address(host).packed if flags & 4 or not any(address) else address
    return tag


def tag_timeout(board: Board, request: Request) -> bytes:
    """Set or read how long transient tags last."""
    if request.arg2 < 16:
        board.tags.timeout_code = request.arg2
    return bytes([board.tags.timeout_code, 32, 8, 8])


def alloc(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
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


def router(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
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


def info(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """INFO: the chip in 38 bytes."""
    return chip.info()


def sync(board: Board, chip: Chip, core: Core, request: Request) -> bytes:
    """SYNC: turn the clock beacons between boards on or off."""
    board.syncing = bool(request.arg1)
    return b""


MONITOR_COMMANDS: dict[int, Handler] = {
    SCPCommand.CMD_VER: version,
    SCPCommand.CMD_READ: read,
    SCPCommand.CMD_WRITE: write,
    SCPCommand.CMD_FILL: fill,
    SCPCommand.CMD_COUNT: count,
    SCPCommand.CMD_LINK_READ: link_read,
    SCPCommand.CMD_LINK_WRITE: link_write,
    SCPCommand.CMD_AR: run_loaded,
    SCPCommand.CMD_NNP: nearest_neighbour,
    SCPCommand.CMD_APP_COPY_RUN: copy_run,
    SCPCommand.CMD_SIG: signal,
    SCPCommand.CMD_FFD: flood_data,
    SCPCommand.CMD_AS: run_at,
    SCPCommand.CMD_LED: led,
    SCPCommand.CMD_IPTAG: ip_tag,
    SCPCommand.CMD_ALLOC: alloc,
    SCPCommand.CMD_RTR: router,
    SCPCommand.CMD_INFO: info,
    SCPCommand.CMD_SYNC: sync,
}
"""What a monitor core answers."""

CORE_COMMANDS: dict[int, Handler] = {
    SCPCommand.CMD_VER: version,
    SCPCommand.CMD_READ: read,
    SCPCommand.CMD_WRITE: write,
    SCPCommand.CMD_FILL: fill,
}
"""What SARK answers on any other core."""
