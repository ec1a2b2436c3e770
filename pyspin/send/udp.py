# SPDX-License-Identifier: Apache-2.0
"""Send heaps over UDP, waiting for each."""

from __future__ import annotations

import socket as _socket
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from .._ffi import check, check_socket, ffi, lib
from .config import StreamConfig
from .endpoints import DEFAULT_BUFFER_SIZE, Endpoint
from .heap import Heap
from .references import GroupMode, HeapReference, prepare
from .sender import AGAIN, SLICE_MS, Sender

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..threads import ThreadPool


class UdpStream(Sender):
    """Send heaps as UDP packets to one or several destinations.

    The forms: a host and a port, with a socket of the caller's own if wanted (it is duplicated
    and should not be connected); a multicast group with `ttl`, and for IPv4 an
    `interface_address`, for IPv6 an `interface_index` to send from; and, as in later versions
    of spead2, a list of destinations, with `interface_address` as the source address, or
    preceded by a socket. `endpoints`, where a host is given too, are further destinations.

    - `config`: see `StreamConfig`; a copy is taken.
    - `buffer_size`: bytes of the socket's send buffer, 0 to leave it. What the system does not
      grant is logged.
    - `gso`: let the kernel cut packets apart (UDP_SEGMENT) where it can.

    `TypeError` or `ValueError` for arguments, `SocketError` (an `OSError` and a `RuntimeError`)
    when a name is unknown or the system refuses. Any thread may call any method.

    As a context manager it waits for what is in flight and stops, or stops at once when the
    block has raised.
    """

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        hostname: str,
        port: int,
        config: StreamConfig = ...,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        socket: _socket.socket | None = None,
        *,
        endpoints: Sequence[Endpoint] = (),
        gso: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        multicast_group: str,
        port: int,
        config: StreamConfig = ...,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        *,
        ttl: int,
        interface_address: str = "",
        endpoints: Sequence[Endpoint] = (),
        gso: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        multicast_group: str,
        port: int,
        config: StreamConfig = ...,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        *,
        ttl: int,
        interface_index: int,
        endpoints: Sequence[Endpoint] = (),
        gso: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        multicast_group: str,
        port: int,
        config: StreamConfig,
        buffer_size: int,
        ttl: int,
        interface_address: str = "",
        *,
        endpoints: Sequence[Endpoint] = (),
        gso: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        multicast_group: str,
        port: int,
        config: StreamConfig,
        buffer_size: int,
        ttl: int,
        interface_index: int,
        *,
        endpoints: Sequence[Endpoint] = (),
        gso: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        endpoints: Sequence[Endpoint],
        config: StreamConfig = ...,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        interface_address: str = "",
        *,
        ttl: int | None = None,
        interface_index: int | None = None,
        gso: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        socket: _socket.socket,
        endpoints: Sequence[Endpoint],
        config: StreamConfig = ...,
        *,
        gso: bool = True,
    ) -> None: ...

    def __init__(
        self, thread_pool: ThreadPool, *args: Any, gso: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(thread_pool, args, kwargs, gso)
        self._abandoned: set[int] = set()

    def send_heap(self, heap: Heap, cnt: int = -1, *, substream_index: int = 0) -> int:
        """Send a heap and return its size in bytes, headers included, when the kernel has it.

        `cnt` -1 is the next of the sequence; another leaves the sequence as it is.
        `substream_index` chooses the destination.

        `OSError`: with EWOULDBLOCK (a `BlockingIOError`), and a warning, when `max_heaps` are
        in flight; with EINVAL, and a warning, when cnt does not fit the flavour or there is no
        such substream; otherwise what the socket met, and the rest of the heap is not sent.
        `ValueError` if the heap cannot be cut into packets, `Stopped` after `stop`.

        Signal handlers run meanwhile. If one raises, the heap is still sent.
        """
        if self._abandoned:
            self._forget_abandoned()
        packets, cnt, substream_index = prepare(
            heap, cnt, substream_index, self._max_packet_size, self._num_substreams
        )
        token = next(self._tokens)
        try:
            self._in_flight[token] = heap
            size = lib.spn_sender_send(self._sender, packets, cnt, substream_index, token)
            result = 0 if size else self._wait(token)
        except BaseException:
            self._abandoned.add(token)
            raise
        del self._in_flight[token]
        if size < 0:
            self._refuse(size)
        return size or check_socket(result)

    def send_heaps(
        self, heaps: Iterable[HeapReference | Heap], mode: GroupMode = GroupMode.SERIAL
    ) -> int:
        """Send heaps together, and return their bytes, headers included, when the kernel has them.

        `heaps` are `HeapReference`, or `Heap` for one with the next cnt to the first
        destination. They are not interrupted by heaps of other calls, and count singly in
        `max_heaps`. `mode` is the order of their packets.

        Either all are queued or, when one cannot be or there is no room for all, none, with the
        errors of `send_heap`, those of one of them naming its place; with EINVAL too when
        `heaps` is empty. What one meets at the socket ends that heap alone: the others are sent,
        and the first such error is raised in the end.
        """
        if self._abandoned:
            self._forget_abandoned()
        held, rows = self._prepare_group(heaps, mode)
        references = ffi.new("spn_heap_reference[]", rows)
        token = next(self._tokens)
        try:
            self._in_flight[token] = held
            size = lib.spn_sender_send_group(self._sender, references, len(rows), mode.value, token)
            result = 0 if size else self._wait(token)
        except BaseException:
            self._abandoned.add(token)
            raise
        del self._in_flight[token]
        if size < 0:
            self._refuse(size)
        return size or check_socket(result)

    def _wait(self, token: int) -> int:
        result = ffi.new("int64_t *")
        while (code := lib.spn_sender_wait(self._sender, token, SLICE_MS, result)) in AGAIN:
            pass
        check(code)
        value: int = result[0]
        return value

    def _forget_abandoned(self) -> None:
        """Let go of the heaps whose senders were interrupted, as far as they are done with."""
        if not self._abandoned:
            return
        result = ffi.new("int64_t *")
        is_idle = lib.spn_sender_flush(self._sender, 0) == 0
        for token in list(self._abandoned):
            if lib.spn_sender_wait(self._sender, token, 0, result) == 0 or is_idle:
                self._abandoned.discard(token)
                self._in_flight.pop(token, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.stop()
