# SPDX-License-Identifier: Apache-2.0
"""IPTAG: the ways between a board and hosts."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

from ..messages import SCPResult
from .chip import Chip
from .cores import Core
from .tags import IN_USE, REVERSE, STRIP, TAGS, Tag
from .wire import BUFFER_BYTES, Refusal, Request

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["ip_tag"]


def ip_tag(machine: Machine, chip: Chip, core: Core, request: Request) -> bytes:
    """IPTAG: new 0, set 1, get 2, clear 3, transient timeout 4."""
    operation, number = request.arg1 >> 16 & 0xF, request.arg1 & 0xFF
    if not chip.has_ethernet:
        raise Refusal(SCPResult.RC_CMD)
    if operation == 4:
        return tag_timeout(chip, request)
    if operation == 0:
        free = chip.tags.first_free()
        if free is None:
            raise Refusal(SCPResult.RC_BUF)
        number = free
    if operation > 3 or number >= TAGS:
        raise Refusal(SCPResult.RC_ARG)
    if operation == 2:
        last = min(TAGS, number + max(1, request.arg2))
        return b"".join(tag.pack() for tag in chip.tags.tags[number:last])[:BUFFER_BYTES]
    if operation == 3:
        chip.tags.set(number, Tag())
        return b""
    chip.tags.set(number, tag_from(request))
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


def tag_timeout(chip: Chip, request: Request) -> bytes:
    """Set or read how long transient tags last."""
    if request.arg2 < 16:
        chip.tags.timeout_code = request.arg2
    return bytes([chip.tags.timeout_code, 32, 8, 8])
