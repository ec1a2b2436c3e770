# SPDX-License-Identifier: Apache-2.0
"""Requests to the multicast router of a chip: entries, tables, the fixed route."""

from __future__ import annotations

from pyspin.arguments import integer

from .enums import AllocFree, RouterCommand, SCPCommand
from .errors import AllocationError
from .scp import (
    AbstractSCPRequest,
    CheckOKResponse,
    PlainRequest,
    check_byte,
    check_word,
    read_word,
)

# In the second argument of the fixed-route operation: read, do not set.
_READ = 1 << 31


class RouterAllocResponse(CheckOKResponse):
    """The first of the entries, in `base_address`. AllocationError if there are too few."""

    __slots__ = ("_n_entries", "base_address")

    base_address: int

    def __init__(self, n_entries: int = 0) -> None:
        super().__init__("Allocate router entries", SCPCommand.CMD_ALLOC)
        self._n_entries = n_entries

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.base_address = read_word("reply to a router allocation", data, offset)
        if self.base_address == 0:
            raise AllocationError(f"{self._n_entries} router entries")


class RouterAlloc(AbstractSCPRequest[RouterAllocResponse]):
    """Allocate `n_entries` router entries for an application."""

    __slots__ = ()

    def __init__(self, x: int, y: int, app_id: int, n_entries: int) -> None:
        operation = check_byte("app_id", app_id) << 8 | AllocFree.ALLOC_ROUTING
        self._set(x, y, 0, SCPCommand.CMD_ALLOC, operation, check_word("n_entries", n_entries))

    def get_scp_response(self) -> RouterAllocResponse:
        return RouterAllocResponse(self._argument_2)


class RouterInit(PlainRequest):
    """Load `n_entries` entries that lie in memory at `table_address`.

    They go to the router from entry `base_address` on. An entry takes 16 bytes.
    """

    __slots__ = ()
    operation = "Load router entries"

    def __init__(
        self, x: int, y: int, n_entries: int, table_address: int, base_address: int, app_id: int
    ) -> None:
        count = integer("n_entries", n_entries, 1, 0xFFFF)
        operation = count << 16 | check_byte("app_id", app_id) << 8 | RouterCommand.LOAD
        self._set(
            x,
            y,
            0,
            SCPCommand.CMD_RTR,
            operation,
            check_word("table_address", table_address),
            check_word("base_address", base_address),
        )


class RouterClear(PlainRequest):
    """Set the router up anew: no entries."""

    __slots__ = ()
    operation = "Clear router"

    def __init__(self, x: int, y: int) -> None:
        self._set(x, y, 0, SCPCommand.CMD_RTR, RouterCommand.INIT)


class FixedRouteInit(PlainRequest):
    """Set the fixed route of a chip; `entry` is a word of links and cores."""

    __slots__ = ()
    operation = "Set fixed route"

    def __init__(self, x: int, y: int, entry: int, app_id: int = 0) -> None:
        operation = check_byte("app_id", app_id) << 8 | RouterCommand.FIXED_ROUTE
        self._set(x, y, 0, SCPCommand.CMD_RTR, operation, check_word("entry", entry))


class FixedRouteResponse(CheckOKResponse):
    """The fixed route, in `route`: a word of links and cores."""

    __slots__ = ("route",)

    route: int

    def __init__(self) -> None:
        super().__init__("Read fixed route", SCPCommand.CMD_RTR)

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.route = read_word("reply to a fixed route read", data, offset)


class FixedRouteRead(AbstractSCPRequest[FixedRouteResponse]):
    """Read the fixed route of a chip."""

    __slots__ = ()

    def __init__(self, x: int, y: int, app_id: int = 0) -> None:
        operation = check_byte("app_id", app_id) << 8 | RouterCommand.FIXED_ROUTE
        self._set(x, y, 0, SCPCommand.CMD_RTR, operation, _READ)

    def get_scp_response(self) -> FixedRouteResponse:
        return FixedRouteResponse()
