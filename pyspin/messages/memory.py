# SPDX-License-Identifier: Apache-2.0
"""Requests to read, write and fill the memory of a chip, or of its neighbours over a link.

The four that SpiNNMan 7.1 made with ``x, y, …, cpu`` and SpiNNMan 7.4 with ``(x, y, p), …``
take either form.
"""

from __future__ import annotations

from typing import Any, overload

from pyspin.arguments import integer, octets

from .enums import SCPCommand
from .errors import InvalidPacketError
from .scp import (
    UDP_MESSAGE_MAX_SIZE,
    AbstractSCPRequest,
    CheckOKResponse,
    PlainRequest,
    check_word,
)

Coordinates = tuple[int, int, int]

_END = 1 << 32

# Read and write units: byte, half, word (scamp-cmd.c: the board steps through memory in this
# unit and drops a remainder, so it must divide both the address and the length). Indexed by
# the two low bits of address | length.
_UNITS = (2, 0, 1, 0)


def access_unit(address: int, size: int) -> int:
    """Return the widest unit that divides both: 2 words, 1 halves, 0 bytes."""
    return _UNITS[(address | size) & 3]


class ReadMemoryResponse(CheckOKResponse):
    """The bytes that were read: `length` of them in `data`, from `offset`."""

    __slots__ = ("_size", "data", "length", "offset")

    data: bytes
    offset: int
    length: int

    def __init__(self, operation: str, command: SCPCommand, size: int | None = None) -> None:
        super().__init__(operation, command)
        self._size = size

    def _read_payload(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset
        self.length = len(data) - offset
        if self._size is not None and self.length != self._size:
            raise InvalidPacketError(
                "reply to a read", f"{self.length} bytes where {self._size} were asked for"
            )

    @property
    def payload(self) -> bytes:
        """The bytes that were read, and nothing else."""
        return self.data[self.offset :]


class ReadMemory(AbstractSCPRequest[ReadMemoryResponse]):
    """Read up to 256 bytes: ``ReadMemory((x, y, p), base_address, size)`` or
    ``ReadMemory(x, y, base_address, size, cpu=0)``.
    """

    __slots__ = ()
    is_idempotent = True

    @overload
    def __init__(self, coordinates: Coordinates, base_address: int, size: int) -> None: ...
    @overload
    def __init__(self, x: int, y: int, base_address: int, size: int, cpu: int = 0) -> None: ...
    def __init__(self, *args: Any, **named: Any) -> None:
        if len(args) != 3 or named:
            args = _arguments("ReadMemory", ("base_address", "size"), args, named)
        try:
            (x, y, cpu), address, size = args
        except (TypeError, ValueError):
            raise _no_place(args[0]) from None
        address, size, unit = _span(address, size)
        self._set(x, y, cpu, SCPCommand.CMD_READ, address, size, unit)

    def get_scp_response(self) -> ReadMemoryResponse:
        return ReadMemoryResponse("Read memory", SCPCommand.CMD_READ, self._argument_2)


class WriteMemory(PlainRequest):
    """Write up to 256 bytes: ``WriteMemory((x, y, p), base_address, data)`` or
    ``WriteMemory(x, y, base_address, data, cpu=0)``.
    """

    __slots__ = ()
    operation = "Write memory"
    is_idempotent = True

    @overload
    def __init__(self, coordinates: Coordinates, base_address: int, data: bytes) -> None: ...
    @overload
    def __init__(self, x: int, y: int, base_address: int, data: bytes, cpu: int = 0) -> None: ...
    def __init__(self, *args: Any, **named: Any) -> None:
        if len(args) != 3 or named:
            args = _arguments("WriteMemory", ("base_address", "data"), args, named)
        try:
            (x, y, cpu), address, data = args
        except (TypeError, ValueError):
            raise _no_place(args[0]) from None
        data = octets("data", data, UDP_MESSAGE_MAX_SIZE)
        address, size, unit = _span(address, len(data), 0)
        self._set(x, y, cpu, SCPCommand.CMD_WRITE, address, size, unit, data)


class FillRequest(PlainRequest):
    """Fill memory with a word; one request can fill megabytes.

    `base_address` and `size`, in bytes, must be multiples of four; `data` is the word.
    """

    __slots__ = ()
    operation = "Fill"
    is_idempotent = True

    def __init__(self, x: int, y: int, base_address: int, data: int, size: int) -> None:
        address, size = check_word("base_address", base_address), check_word("size", size)
        _check_words(address, size)
        self._set(x, y, 0, SCPCommand.CMD_FILL, address, check_word("data", data), size)


class ReadLink(AbstractSCPRequest[ReadMemoryResponse]):
    """Read a neighbour's memory over a link, in words:
    ``ReadLink((x, y, p), link, base_address, size)`` or
    ``ReadLink(x, y, link, base_address, size, cpu=0)``.
    """

    __slots__ = ()

    @overload
    def __init__(
        self, coordinates: Coordinates, link: int, base_address: int, size: int
    ) -> None: ...
    @overload
    def __init__(
        self, x: int, y: int, link: int, base_address: int, size: int, cpu: int = 0
    ) -> None: ...
    def __init__(self, *args: Any, **named: Any) -> None:
        if len(args) != 4 or named:
            args = _arguments("ReadLink", ("link", "base_address", "size"), args, named)
        try:
            (x, y, cpu), link, address, size = args
        except (TypeError, ValueError):
            raise _no_place(args[0]) from None
        address, size, _ = _span(address, size)
        _check_words(address, size)
        self._set(x, y, cpu, SCPCommand.CMD_LINK_READ, address, size, check_link(link))

    def get_scp_response(self) -> ReadMemoryResponse:
        return ReadMemoryResponse("Read link", SCPCommand.CMD_LINK_READ, self._argument_2)


class WriteLink(PlainRequest):
    """Write a neighbour's memory over a link, in words:
    ``WriteLink((x, y, p), link, base_address, data)`` or
    ``WriteLink(x, y, link, base_address, data, cpu=0)``.
    """

    __slots__ = ()
    operation = "Write link"

    @overload
    def __init__(
        self, coordinates: Coordinates, link: int, base_address: int, data: bytes
    ) -> None: ...
    @overload
    def __init__(
        self, x: int, y: int, link: int, base_address: int, data: bytes, cpu: int = 0
    ) -> None: ...
    def __init__(self, *args: Any, **named: Any) -> None:
        if len(args) != 4 or named:
            args = _arguments("WriteLink", ("link", "base_address", "data"), args, named)
        try:
            (x, y, cpu), link, address, data = args
        except (TypeError, ValueError):
            raise _no_place(args[0]) from None
        data = octets("data", data, UDP_MESSAGE_MAX_SIZE)
        address, size, _ = _span(address, len(data), 0)
        _check_words(address, size)
        self._set(x, y, cpu, SCPCommand.CMD_LINK_WRITE, address, size, check_link(link), data)


def _no_place(coordinates: Any) -> TypeError:
    return TypeError(f"coordinates must be (x, y, p), not {coordinates!r}")


def _span(address: int, size: int, least: int = 1) -> tuple[int, int, int]:
    """Return the address, the size, and the unit to move them in, all checked."""
    if address.__class__ is not int or size.__class__ is not int or size < least:
        address, size = check_word("base_address", address), integer("size", size, least)
    if size > UDP_MESSAGE_MAX_SIZE:
        raise ValueError(f"size must be at most {UDP_MESSAGE_MAX_SIZE}, not {size}")
    if not 0 <= address <= _END - size:
        raise ValueError(f"base_address must leave room for {size} bytes, not {address:#x}")
    return address, size, _UNITS[(address | size) & 3]


def check_link(link: int) -> int:
    """Return the number of one of a chip's links; TypeError or ValueError if it is none."""
    return integer("link", link, 0, 5)


def _check_words(address: int, size: int) -> None:
    if (address | size) & 3:
        raise ValueError(
            f"base_address and size must be multiples of 4, not {address:#x} and {size}"
        )


def _arguments(
    what: str, names: tuple[str, ...], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """Return ((x, y, cpu), …) from either form of the arguments."""
    if not named and len(args) == len(names) + 2:
        return ((args[0], args[1], 0), *args[2:])
    if "coordinates" in named or (args and isinstance(args[0], tuple)):
        order: tuple[str, ...] = ("coordinates", *names)
    else:
        order = ("x", "y", *names, "cpu")
        named = named if "cpu" in named or len(args) == len(order) else {**named, "cpu": 0}
    given = dict(zip(order, args, strict=False))
    twice = given.keys() & named.keys()
    if len(args) > len(order) or twice or given.keys() | named.keys() != set(order):
        raise TypeError(
            f"{what} takes ((x, y, p), {', '.join(names)}) or (x, y, {', '.join(names)}, cpu=0)"
        )
    given.update(named)
    if "coordinates" in given:
        return (given["coordinates"], *(given[name] for name in names))
    return ((given["x"], given["y"], given["cpu"]), *(given[name] for name in names))
