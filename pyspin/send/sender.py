# SPDX-License-Identifier: Apache-2.0
"""What the UDP streams share: the C sender, and the heaps that are in flight through it."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from .._ffi import check, ffi, lib, own
from ..arguments import instance, integer
from ..threads import ThreadPool
from .endpoints import DEFAULT_BUFFER_SIZE, Address, open_socket, parse_destination
from .heap import Heap
from .references import GroupMode, HeapReference, prepare_group
from .refusal import refusal
from .stats import SenderStats, read_stats

if TYPE_CHECKING:
    from .._core import spn_sender, spn_sender_config
    from .config import StreamConfig
    from .references import Row

SLICE_MS = 200
"""A wait is made of slices: a signal may come just before one and not be seen till its end."""

AGAIN = (-errno.EINTR, -errno.EAGAIN)

_MAX_CNT = (1 << 64) - 1


class Sender:
    """The face of a UDP stream that does not depend on how one waits for it.

    Heaps go strictly in the order in which they were handed over. Their values are held until
    they have been sent, and no longer read when `stop` has returned.
    """

    DEFAULT_BUFFER_SIZE = DEFAULT_BUFFER_SIZE

    def __init__(
        self, thread_pool: ThreadPool, args: Sequence[Any], kwargs: Mapping[str, Any], gso: bool
    ) -> None:
        instance("thread_pool", thread_pool, ThreadPool)
        destination = parse_destination(args, kwargs)
        self._config = destination.config.copy()
        self._max_packet_size = self._config.max_packet_size
        self._in_flight: dict[int, Heap | list[Heap]] = {}
        self._tokens = itertools.count()
        sock, addresses = open_socket(destination)
        with sock:
            # The pool is kept for as long as it may be stopped with the stream.
            self._thread_pool = thread_pool
            settings = _make_settings(self._config, gso, is_own=destination.socket is None)
            sender = _make_sender(thread_pool, sock.fileno(), addresses, settings)
            sock.detach()
        self._sender = own(sender, _stop_before_release(self._in_flight))
        self._num_substreams = len(addresses)

    @property
    def config(self) -> StreamConfig:
        """A copy of the stream's settings."""
        return self._config.copy()

    @property
    def num_substreams(self) -> int:
        """The number of destinations."""
        return self._num_substreams

    @property
    def stats(self) -> SenderStats:
        """Statistics of this moment."""
        return read_stats(self._sender)

    def set_cnt_sequence(self, next: int, step: int) -> None:
        """Give the next heap without a cnt of its own `next`, the one after it `next + step`.

        It starts as (1, 1); counts wrap to the width of the flavour. `ValueError` for a step
        of 0 or numbers outside 64 bits.
        """
        next, step = integer("next", next, 0, _MAX_CNT), integer("step", step, 1, _MAX_CNT)
        check(lib.spn_sender_set_cnt_sequence(self._sender, next, step))

    def flush(self) -> None:
        """Wait until all heaps that were handed over before this call are done with.

        Whether well or not. Signal handlers run meanwhile, and what they raise ends the wait.
        """
        while (code := lib.spn_sender_flush(self._sender, SLICE_MS)) in AGAIN:
            pass
        check(code)

    def stop(self) -> None:
        """Give up what has not been sent, and close the socket. Any number of times.

        Heaps in flight end with `Stopped`. Dropping the last reference does the same.
        """
        lib.spn_sender_stop(self._sender)

    def _prepare_group(
        self, heaps: Iterable[HeapReference | Heap], mode: GroupMode
    ) -> tuple[list[Heap], list[Row]]:
        return prepare_group(heaps, mode, self._max_packet_size, self._num_substreams)

    def _refuse(self, code: int) -> NoReturn:
        if code == -errno.EAGAIN:
            most = self._config.max_heaps
            raise refusal(errno.EWOULDBLOCK, f"max_heaps {most} are in flight")
        if code == -errno.EMSGSIZE:
            size = self._config.max_packet_size
            raise refusal(errno.EMSGSIZE, f"UDP has no packets of {size} bytes")
        check(code)
        raise AssertionError(code)


def _make_settings(config: StreamConfig, gso: bool, is_own: bool) -> spn_sender_config:
    settings = ffi.new("spn_sender_config *")
    settings.rate = config.rate
    settings.burst_rate_ratio = config.burst_rate_ratio
    settings.burst_size = config.burst_size
    settings.max_heaps = config.max_heaps
    settings.gso = bool(gso)
    settings.may_connect = is_own
    return settings


def _make_sender(
    thread_pool: ThreadPool, fd: int, addresses: list[Address], settings: spn_sender_config
) -> spn_sender:
    names = [ffi.new("char[]", address.host.encode("ascii")) for address in addresses]
    endpoints = ffi.new("spn_endpoint[]", len(addresses))
    for i, address in enumerate(addresses):
        endpoints[i].address = names[i]
        endpoints[i].port = address.port
        endpoints[i].scope = address.scope
    out = ffi.new("spn_sender **")
    check(lib.spn_sender_new(thread_pool.pointer, fd, endpoints, len(addresses), settings, out))
    return out[0]


def _stop_before_release(
    in_flight: dict[int, Heap | list[Heap]],
) -> Callable[[spn_sender], None]:
    """Return a destructor that holds the heaps in flight until C has let go of them."""

    def free(sender: spn_sender) -> None:
        lib.spn_sender_unref(sender)
        in_flight.clear()

    return free
