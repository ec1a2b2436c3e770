# SPDX-License-Identifier: Apache-2.0
"""CMD_ALLOC: blocks of SDRAM for an application, and their return."""

from __future__ import annotations

from pyspin.arguments import integer

from .enums import AllocFree, SCPCommand
from .errors import AllocationError
from .scp import AbstractSCPRequest, CheckOKResponse, check_byte, check_word, read_word

# With this flag and a tag, a request that comes twice gives the same block twice
# (spinnaker_tools, issue 159).
_RETRY = 4 << 16


class SDRAMAllocResponse(CheckOKResponse):
    """Where the block is, in `base_address`. AllocationError if there is no room."""

    __slots__ = ("_size", "base_address")

    base_address: int

    def __init__(self, size: int = 0) -> None:
        super().__init__("Allocate SDRAM", SCPCommand.CMD_ALLOC)
        self._size = size

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.base_address = read_word("reply to an SDRAM allocation", data, offset)
        if self.base_address == 0:
            raise AllocationError(f"{self._size} bytes of SDRAM")


class SDRAMAlloc(AbstractSCPRequest[SDRAMAllocResponse]):
    """Allocate `size` bytes of SDRAM for an application, under a tag of 1..255 or none.

    With a tag and `retry_tag` the request may safely be sent again.
    """

    __slots__ = ("is_idempotent",)

    def __init__(
        self,
        x: int,
        y: int,
        app_id: int,
        size: int,
        tag: int | None = None,
        retry_tag: bool = True,
    ) -> None:
        operation = check_byte("app_id", app_id) << 8 | AllocFree.ALLOC_SDRAM
        # A tag of 0 is none: a block under it cannot be found again.
        number = 0 if tag is None else check_byte("tag", tag)
        self.is_idempotent = bool(number and retry_tag)
        if self.is_idempotent:
            operation |= _RETRY
        self._set(
            x,
            y,
            0,
            SCPCommand.CMD_ALLOC,
            operation,
            integer("size", size, 1, 0xFFFFFFFF),
            number,
        )

    def get_scp_response(self) -> SDRAMAllocResponse:
        return SDRAMAllocResponse(self._argument_2)


class SDRAMDeAllocResponse(CheckOKResponse):
    """How many blocks were freed, in `number_of_blocks_freed`.

    None when the block was named by its address, since the board then does not say.
    """

    __slots__ = ("_reads_count", "number_of_blocks_freed")

    def __init__(self, read_n_blocks_freed: bool = False) -> None:
        super().__init__("Free SDRAM", SCPCommand.CMD_ALLOC)
        self._reads_count = read_n_blocks_freed
        self.number_of_blocks_freed: int | None = None

    def _read_payload(self, data: bytes, offset: int) -> None:
        if self._reads_count:
            self.number_of_blocks_freed = read_word("reply to an SDRAM release", data, offset)


class SDRAMDeAlloc(AbstractSCPRequest[SDRAMDeAllocResponse]):
    """Free the block at `base_address`, or all blocks of `app_id`."""

    __slots__ = ("_by_app",)

    def __init__(
        self, x: int, y: int, *, app_id: int | None = None, base_address: int | None = None
    ) -> None:
        self._by_app = app_id is not None
        if app_id is not None and base_address is None:
            operation = check_byte("app_id", app_id) << 8 | AllocFree.FREE_SDRAM_BY_APP_ID
            self._set(x, y, 0, SCPCommand.CMD_ALLOC, operation)
        elif base_address is not None and app_id is None:
            address = check_word("base_address", base_address)
            self._set(x, y, 0, SCPCommand.CMD_ALLOC, AllocFree.FREE_SDRAM_BY_POINTER, address)
        else:
            raise TypeError("SDRAMDeAlloc takes one of app_id and base_address")

    def get_scp_response(self) -> SDRAMDeAllocResponse:
        return SDRAMDeAllocResponse(self._by_app)
