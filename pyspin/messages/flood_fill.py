# SPDX-License-Identifier: Apache-2.0
"""Flood fill: data that every chip takes and passes on to its neighbours.

A fill is a start, a choice of cores if they shall run the data, its blocks, and an end, all
under one identifier of 7 bits. None of these is idempotent: a board floods again what it
receives again.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyspin.arguments import integer, octets

from .enums import SCPCommand
from .run import run_word
from .scp import UDP_MESSAGE_MAX_SIZE, PlainRequest, check_byte, check_word, processor_mask

_DEFAULT_CHIP = 255

# Flood commands (spinnaker_tools, ``scamp-nn.c``, NN_CMD_*).
_START = 6 << 24
_CORE_SELECT = 7 << 24
_END = 15 << 24

# Forward over all six links; retry and delay as the host tools set them; bit 31 lets the
# first chip give the flood a new identifier.
_FORWARD_RETRY = 0x3F1A
_NEW_ID = 1 << 31
_FORWARD = 0x3F << 24
_RETRY = 0x1E << 16

# Every chip, as a region.
_EVERYWHERE = 0xFFFF


def _region(x: int | None, y: int | None) -> int:
    """Return the region of one chip, or of all when no chip is given.

    A region of level 3 is a 4 x 4 block of chips and a bit for one of them: its corner, the
    level with a marker, and the bit (``scamp-nn.c``).
    """
    if x is None or y is None:
        return _EVERYWHERE
    x, y = check_byte("x", x), check_byte("y", y)
    corner = (x & 0xFC) << 24 | (y & 0xFC) << 16
    return corner | 3 << 16 | 1 << ((y & 3) << 2 | x & 3)


class FloodFillStart(PlainRequest):
    """Announce `n_blocks` blocks to every chip, or to chip (x, y) alone."""

    __slots__ = ()
    operation = "Start flood fill"

    def __init__(
        self, nearest_neighbour_id: int, n_blocks: int, x: int | None = None, y: int | None = None
    ) -> None:
        self._set(
            _DEFAULT_CHIP,
            _DEFAULT_CHIP,
            0,
            SCPCommand.CMD_NNP,
            _START
            | check_byte("nearest_neighbour_id", nearest_neighbour_id) << 16
            | check_byte("n_blocks", n_blocks) << 8,
            _region(x, y),
            _NEW_ID | _FORWARD_RETRY,
        )


class FloodFillCoreSelect(PlainRequest):
    """Choose the cores that shall run what is being filled, everywhere or on chip (x, y).

    Recent SC&MP takes the cores from this request only.
    """

    __slots__ = ()
    operation = "Select cores of flood fill"

    def __init__(
        self, processors: Iterable[int] | None, x: int | None = None, y: int | None = None
    ) -> None:
        self._set(
            _DEFAULT_CHIP,
            _DEFAULT_CHIP,
            0,
            SCPCommand.CMD_NNP,
            _CORE_SELECT | processor_mask(processors),
            _region(x, y),
            _FORWARD_RETRY,
        )


class FloodFillData(PlainRequest):
    """Send one block: `length` bytes of `data` from `offset`, whole words, at most 256 bytes."""

    __slots__ = ()
    operation = "Send flood fill block"

    def __init__(
        self,
        nearest_neighbour_id: int,
        block_no: int,
        base_address: int,
        data: bytes,
        offset: int = 0,
        length: int | None = None,
    ) -> None:
        block = octets("data", data)[integer("offset", offset, 0) :]
        if length is not None:
            block = block[: integer("length", length, 0)]
        size = len(block)
        if size == 0 or size % 4 or size > UDP_MESSAGE_MAX_SIZE:
            raise ValueError(f"data must be blocks of 4, 8, … or 256 bytes, not {size}")
        self._set(
            _DEFAULT_CHIP,
            _DEFAULT_CHIP,
            0,
            SCPCommand.CMD_FFD,
            _FORWARD | _RETRY | check_byte("nearest_neighbour_id", nearest_neighbour_id),
            check_byte("block_no", block_no) << 16 | (size // 4 - 1) << 8,
            check_word("base_address", base_address),
            block,
        )


class FloodFillEnd(PlainRequest):
    """End a fill; chips that have every block start `processors` on it, if there are any."""

    __slots__ = ()
    operation = "End flood fill"

    def __init__(
        self,
        nearest_neighbour_id: int,
        app_id: int = 0,
        processors: Iterable[int] | None = None,
        wait: bool = False,
    ) -> None:
        self._set(
            _DEFAULT_CHIP,
            _DEFAULT_CHIP,
            0,
            SCPCommand.CMD_NNP,
            _END | check_byte("nearest_neighbour_id", nearest_neighbour_id),
            run_word(app_id, processors, wait),
            _FORWARD_RETRY,
        )
