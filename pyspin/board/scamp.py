# SPDX-License-Identifier: Apache-2.0
"""What SC&MP 4.0.0 answers: a function for each command, from request to payload.

A function returns the bytes that follow the result code of an OK reply, or
raises `Refusal`. Argument encodings: SC&MP's command descriptions (SpiNNaker
application note 5 and the headers of the low-level tools).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..messages import SCPCommand
from .application_commands import (
    copy_run,
    count,
    flood_data,
    nearest_neighbour,
    run_at,
    run_loaded,
    signal,
)
from .chip import Chip
from .chip_commands import alloc, info, led, router, sync, version
from .cores import Core
from .memory_commands import fill, link_read, link_write, read, write
from .tag_commands import ip_tag
from .wire import Request

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["CORE_COMMANDS", "MONITOR_COMMANDS", "Handler"]

Handler = Callable[["Machine", Chip, Core, Request], bytes]

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
