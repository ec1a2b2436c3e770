# SPDX-License-Identifier: Apache-2.0
"""The memory of boards in bulk: read, written and filled in C, many boards at a time."""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Callable
from typing import Any, TypeVar

from pyspin._ffi import check, ffi, lib, own
from pyspin.arguments import integer
from pyspin.messages import (
    FloodFillEnd,
    FloodFillStart,
    UnexpectedResponseCodeError,
)

from .link import link_of, window_config
from .window_errors import error_of, result_name

# Something with the buffer protocol.
Buffer = Any
B = TypeVar("B")
Progress = Callable[[int, int], Any]

# How long C works before Python may look at signals and report progress.
_SLICE_MS = 50
_MEMORY_END = 1 << 32
_DATA_MAX = 256
_LINK_MAX = 5
_FIELD_NAME = re.compile(":[^:]*:")
_COMMANDS = {
    lib.SPN_TRANSFER_READ: ("Read memory", "CMD_READ"),
    lib.SPN_TRANSFER_WRITE: ("Write memory", "CMD_WRITE"),
    lib.SPN_TRANSFER_LINK_READ: ("Read link", "CMD_LINK_READ"),
    lib.SPN_TRANSFER_LINK_WRITE: ("Write link", "CMD_LINK_WRITE"),
    lib.SPN_TRANSFER_FILL: ("Fill memory", "CMD_FILL"),
    lib.SPN_TRANSFER_FLOOD: ("Flood fill", "CMD_FFD"),
}


class BulkTransfer:
    """Pieces of memory to be read and written, on one board or several, from one thread.

    ::

        bulk = BulkTransfer()
        images = [bulk.read(board, 0, 0, 0x60000000, 1 << 20) for board in boards]
        bulk.run()

    The methods but `run` only take note; what they return is filled when `run` returns.
    Transfers over one connection are done in order, those over several at the same time.
    `n_channels`, `n_retries` and `packet_timeout` are those of SCPRequestPipeLine, for each
    connection. Not thread safe; but other threads may use the same connections meanwhile.
    """

    def __init__(
        self,
        *,
        n_channels: int | None = None,
        n_retries: int = 10,
        packet_timeout: float = 1.0,
    ) -> None:
        config = window_config(n_channels, None, n_retries, packet_timeout, probe=True)
        out = ffi.new("spn_bulk **")
        check(lib.spn_bulk_new(config, out))
        # C works on the transfers and on the buffers until the bulk is freed, so the function
        # that frees it keeps them.
        kept: list[tuple[Any, Any]] = []
        self._bulk = own(out[0], lambda bulk, kept=kept: lib.spn_bulk_free(bulk))  # type: ignore[misc]
        self._kept = kept
        self._timeout = packet_timeout
        self._total = 0

    def read(
        self,
        connection: Any,
        x: int,
        y: int,
        base_address: int,
        length: int,
        cpu: int = 0,
        *,
        out: B | None = None,
    ) -> B | bytearray:
        """Read `length` bytes of chip (x, y) into `out`, or into a new bytearray; return it.

        `out` is a writable, contiguous buffer of `length` bytes, such as a numpy array.
        """
        into = _output(length, out)
        view = ffi.from_buffer("uint8_t[]", into, require_writable=True)
        self._add(connection, lib.SPN_TRANSFER_READ, x, y, cpu, base_address, length, view)
        return into

    def write(
        self, connection: Any, x: int, y: int, base_address: int, data: Buffer, cpu: int = 0
    ) -> None:
        """Write the bytes of `data`, a contiguous buffer that must not change before the end."""
        view = _input(data)
        self._add(connection, lib.SPN_TRANSFER_WRITE, x, y, cpu, base_address, len(view), view)

    def fill(
        self,
        connection: Any,
        x: int,
        y: int,
        base_address: int,
        word: int,
        length: int,
        cpu: int = 0,
    ) -> None:
        """Fill `length` bytes with a 32-bit word; address and length are multiples of 4."""
        word = integer("word", word, 0, 0xFFFFFFFF)
        _check_words(base_address, length)
        self._add(connection, lib.SPN_TRANSFER_FILL, x, y, cpu, base_address, length, word=word)

    def read_link(
        self,
        connection: Any,
        x: int,
        y: int,
        link: int,
        base_address: int,
        length: int,
        cpu: int = 0,
        *,
        out: B | None = None,
    ) -> B | bytearray:
        """Read the memory of the neighbour of chip (x, y) over a link, 0 to 5, in words."""
        link = integer("link", link, 0, _LINK_MAX)
        _check_words(base_address, length)
        into = _output(length, out)
        view = ffi.from_buffer("uint8_t[]", into, require_writable=True)
        self._add(
            connection, lib.SPN_TRANSFER_LINK_READ, x, y, cpu, base_address, length, view, link
        )
        return into

    def write_link(
        self,
        connection: Any,
        x: int,
        y: int,
        link: int,
        base_address: int,
        data: Buffer,
        cpu: int = 0,
    ) -> None:
        """Write the memory of the neighbour of chip (x, y) over a link, 0 to 5, in words."""
        link = integer("link", link, 0, _LINK_MAX)
        view = _input(data)
        _check_words(base_address, len(view))
        self._add(
            connection,
            lib.SPN_TRANSFER_LINK_WRITE,
            x,
            y,
            cpu,
            base_address,
            len(view),
            view,
            link,
        )

    def _flood(
        self, connection: Any, flood: int, base_address: int, data: Buffer, word: int
    ) -> None:
        view = _input(data)
        self._add(
            connection,
            lib.SPN_TRANSFER_FLOOD,
            255,
            255,
            0,
            base_address,
            len(view),
            view,
            flood,
            word,
        )

    def _add(
        self,
        connection: Any,
        kind: int,
        x: int,
        y: int,
        cpu: int,
        address: int,
        length: int,
        view: Any = ffi.NULL,
        link: int = 0,
        word: int = 0,
    ) -> None:
        address, length = _address(address), _length(length)
        if address + length > _MEMORY_END:
            raise ValueError(f"{length} bytes from {address:#x} go beyond 32-bit addresses")
        transfer = ffi.new(
            "spn_transfer *",
            {
                "kind": kind,
                "x": integer("x", x, 0, 255),
                "y": integer("y", y, 0, 255),
                "cpu": integer("cpu", cpu, 0, 31),
                "link": link,
                "address": address,
                "word": word,
                "length": length,
                "data": view,
            },
        )
        self._kept.append((transfer, view))
        check(lib.spn_bulk_add(self._bulk, link_of(connection), transfer))
        self._total += length

    def run(self, progress: Progress | None = None) -> None:
        """Do all that was noted, and return when it is done.

        `progress` is called with (bytes done, bytes in all) now and then, and at the end; it may
        note more. If transfers fail the others are done all the same; then the error of the first
        is raised: SpinnakerTimeoutError, UnexpectedResponseCodeError, SpinnakerIOError (nobody
        listens, retries used up by the board's answers) or ConnectionClosedError. What a signal
        handler or `progress` raises ends the run; `run` may be called again to go on.
        """
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable, not {progress!r}")
        left, noted = 0, -1
        while left or noted < len(self._kept):
            noted = len(self._kept)
            left = lib.spn_bulk_run(self._bulk, _SLICE_MS)
            if left < 0 and left != -errno.EINTR:
                check(left)
            if progress is not None:
                progress(int(lib.spn_bulk_done(self._bulk)), self._total)
        for transfer, _ in self._kept:
            if transfer.status:
                raise self._error(transfer)

    def _error(self, transfer: Any) -> Exception:
        operation, command = _COMMANDS[transfer.kind]
        if transfer.status == -errno.EREMOTEIO:
            return UnexpectedResponseCodeError(operation, command, result_name(transfer.code))
        what = (
            f"{operation} of {transfer.length} bytes at {transfer.address:#x} "
            f"of chip ({transfer.x}, {transfer.y})"
        )
        return error_of(transfer.status, transfer.code, 0, what, self._timeout)

    @property
    def statistics(self) -> dict[str, int]:
        """The counters of the windows, summed, by the names that ``docs/scp.md`` explains."""
        stats = ffi.new("spn_window_stats *")
        lib.spn_bulk_read_stats(self._bulk, stats)
        return {name: int(getattr(stats, name)) for name, _ in ffi.typeof(stats[0]).fields}


def read_memory(
    connection: Any,
    x: int,
    y: int,
    base_address: int,
    length: int,
    cpu: int = 0,
    *,
    out: B | None = None,
    progress: Progress | None = None,
) -> B | bytearray:
    """Read memory, as `BulkTransfer.read` and `BulkTransfer.run`."""
    bulk = BulkTransfer()
    into = bulk.read(connection, x, y, base_address, length, cpu, out=out)
    bulk.run(progress)
    return into


def write_memory(
    connection: Any,
    x: int,
    y: int,
    base_address: int,
    data: Buffer,
    cpu: int = 0,
    *,
    progress: Progress | None = None,
) -> None:
    """Write memory, as `BulkTransfer.write` and `BulkTransfer.run`."""
    bulk = BulkTransfer()
    bulk.write(connection, x, y, base_address, data, cpu)
    bulk.run(progress)


def fill_memory(
    connection: Any,
    x: int,
    y: int,
    base_address: int,
    word: int,
    length: int,
    cpu: int = 0,
    *,
    progress: Progress | None = None,
) -> None:
    """Fill memory, as `BulkTransfer.fill` and `BulkTransfer.run`."""
    bulk = BulkTransfer()
    bulk.fill(connection, x, y, base_address, word, length, cpu)
    bulk.run(progress)


def read_link(
    connection: Any,
    x: int,
    y: int,
    link: int,
    base_address: int,
    length: int,
    cpu: int = 0,
    *,
    out: B | None = None,
    progress: Progress | None = None,
) -> B | bytearray:
    """Read a neighbour's memory, as `BulkTransfer.read_link` and `BulkTransfer.run`."""
    bulk = BulkTransfer()
    into = bulk.read_link(connection, x, y, link, base_address, length, cpu, out=out)
    bulk.run(progress)
    return into


def write_link(
    connection: Any,
    x: int,
    y: int,
    link: int,
    base_address: int,
    data: Buffer,
    cpu: int = 0,
    *,
    progress: Progress | None = None,
) -> None:
    """Write a neighbour's memory, as `BulkTransfer.write_link` and `BulkTransfer.run`."""
    bulk = BulkTransfer()
    bulk.write_link(connection, x, y, link, base_address, data, cpu)
    bulk.run(progress)


# How a block of a flood fill is passed on: over all links; retry and delay as the host tools
# of spinnaker_tools set them.
_FORWARD_RETRY = 0x3F1E
_FLOOD_MAX = 255 * _DATA_MAX
_floods = itertools.cycle(range(1, 128))


def flood_fill(
    connection: Any,
    base_address: int,
    data: Buffer,
    *,
    progress: Progress | None = None,
) -> None:
    """Write `data` to the same address of every chip of the machine at once.

    `data` is whole words, at most 65 280 bytes (255 blocks). Nothing is started. None of the
    requests may be executed twice, so each lost one is waited for until its time is up.
    """
    size = len(_input(data))
    if not 0 < size <= _FLOOD_MAX:
        raise ValueError(f"data must have 4 to {_FLOOD_MAX} bytes, not {size}")
    _check_words(base_address, size)
    flood = next(_floods)
    bulk = BulkTransfer()
    # Before the start, so that nothing is started that cannot be done.
    bulk._flood(connection, flood, base_address, data, _FORWARD_RETRY)
    # The identifier is the upper seven bits of its byte.
    _ask(connection, FloodFillStart(flood << 1, -(-size // _DATA_MAX)))
    bulk.run(progress)
    _ask(connection, FloodFillEnd(flood << 1))


def _ask(connection: Any, request: Any) -> None:
    """Send one request and return when it has been answered."""
    # Here, because scamp.py needs this module and the pipeline needs scamp.py.
    from .pipeline import SCPRequestPipeLine

    errors: list[Exception] = []
    with SCPRequestPipeLine(connection) as pipeline:
        pipeline.send_request(request, None, lambda _, error, __, ___: errors.append(error))
    if errors:
        raise errors[0]


def _output(length: int, out: B | None) -> B | bytearray:
    length = _length(length)
    if out is None:
        return bytearray(length)
    view = _view("out", out)
    if view.nbytes != length:
        raise ValueError(f"out must have {length} bytes, not {view.nbytes}")
    if view.readonly or not view.c_contiguous:
        raise ValueError("out must be writable and C-contiguous")
    return out


def _input(data: Buffer) -> Any:
    view = _view("data", data)
    if not view.c_contiguous:
        raise ValueError("data must be C-contiguous")
    return ffi.from_buffer("uint8_t[]", view)


def _view(name: str, value: Any) -> memoryview:
    try:
        view = memoryview(value)
    except (TypeError, ValueError):  # the latter of numpy, for dates
        raise TypeError(f"{name} must be a buffer, not {value!r}") from None
    # A board's bytes are no pointers; names of fields, which may be anything, are between colons.
    if "O" in _FIELD_NAME.sub("", view.format):
        raise TypeError(f"{name} must hold no Python objects, not {value!r}")
    return view


def _address(address: int) -> int:
    return integer("base_address", address, 0, _MEMORY_END - 1)


def _length(length: int) -> int:
    return integer("length", length, 0, _MEMORY_END)


def _check_words(address: int, length: int) -> None:
    if (_address(address) | _length(length)) % 4:
        raise ValueError(
            f"base_address and length must be multiples of 4, not {address:#x} and {length}"
        )
