# SPDX-License-Identifier: Apache-2.0
"""Requests that start an application which is already in memory."""

from __future__ import annotations

from collections.abc import Iterable

from pyspin.arguments import index

from .enums import SCPCommand
from .memory import check_link
from .scp import PlainRequest, check_byte, check_word, processor_mask

_WAIT_BIT = 18


def run_word(app_id: int, processors: Iterable[int] | None, wait: bool) -> int:
    """Return the word that names an application, its cores, and whether they wait to start.

    Application in the high byte, the wait flag at bit 18, the core mask below
    (spinnaker_tools, ``scamp-cmd.c``, cmd_ar).
    """
    mask = processor_mask(processors)
    return check_byte("app_id", app_id) << 24 | bool(wait) << _WAIT_BIT | mask


class ApplicationRun(PlainRequest):
    """Run the image in the chip's system buffer on some cores (CMD_AR).

    With `wait` the cores stop at the start until they get the signal.
    """

    __slots__ = ()
    operation = "Run application"

    def __init__(
        self, app_id: int, x: int, y: int, processors: Iterable[int] | None, wait: bool = False
    ) -> None:
        self._set(x, y, 0, SCPCommand.CMD_AR, run_word(app_id, processors, wait))


class ApplicationStart(PlainRequest):
    """Run the image at an address on some cores (CMD_AS)."""

    __slots__ = ()
    operation = "Start application"

    def __init__(
        self,
        app_id: int,
        x: int,
        y: int,
        address: int,
        processors: Iterable[int] | None,
        wait: bool = False,
    ) -> None:
        self._set(
            x,
            y,
            0,
            SCPCommand.CMD_AS,
            check_word("address", address),
            run_word(app_id, processors, wait),
        )


class AppCopyRun(PlainRequest):
    """Copy the image from the chip over `link`, check its sum, and run it (CMD_APP_COPY_RUN).

    `size` is in bytes, a multiple of four. The copy takes its time: allow a long timeout.
    """

    __slots__ = ()
    operation = "Copy and run application"

    def __init__(
        self,
        x: int,
        y: int,
        link: int,
        size: int,
        app_id: int,
        processors: Iterable[int] | None,
        checksum: int,
        wait: bool = False,
    ) -> None:
        if check_word("size", size) % 4:
            raise ValueError(f"size must be a multiple of 4, not {size}")
        self._set(
            x,
            y,
            0,
            SCPCommand.CMD_APP_COPY_RUN,
            (index("checksum", checksum) & 0x1FFFFFFF) << 3 | check_link(link),
            check_word("size", size),
            run_word(app_id, processors, wait),
        )
