# SPDX-License-Identifier: Apache-2.0
"""A SPEAD stream that is received: transports in, heaps out."""

from __future__ import annotations

import os
import socket as sockets_of_python
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from .._ffi import check, check_socket, ffi, lib
from ..arguments import INT_MAX, instance, integer, seconds
from ..items import BUG_COMPAT_PYSPEAD_0_5_2
from ..memory import MEMCPY_STD, MemoryAllocator
from ..threads import ThreadPool
from . import packet_ring, sockets
from .ring import Ring
from .source import HeapSource
from .stats import StreamStats, snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer, Self

_TAG_MAX = 2**64 - 1


class _Ending:
    """Ends the C stream with its last reference, and then lets go of what it reads from.

    It is the destructor of the C pointer, so the buffers cannot go before the stream that
    reads them, whatever order the garbage collector takes.
    """

    def __init__(self) -> None:
        self.buffers: list[Any] = []
        # At interpreter exit the module's own names may be gone.
        self._unref = lib.spn_stream_unref

    def __call__(self, stream: Any) -> None:
        self._unref(stream)
        self.buffers.clear()


_WAIT_MAX = 2000.0  # seconds; as many microseconds fit the int that the kernel takes


def _nanoseconds(name: str, value: float) -> int:
    return round(seconds(name, value, _WAIT_MAX) * 1e9)


def _pointer(allocator: MemoryAllocator) -> Any:
    instance("allocator", allocator, MemoryAllocator)
    return allocator.pointer


class Stream(HeapSource):
    """A stream of heaps from one or several transports. Any thread may use it.

    Packets with the same heap counter belong to one heap, whichever reader they come
    through and in whatever order. Iterate over it, or call `get`; `stop` or leaving a
    `with` block ends it, and so does its last reference.

    `thread_pool` does the work, all of a stream's readers on one of its threads.
    `bug_compat` is a sum of `BUG_COMPAT_...`. At most `max_heaps` heaps are partial at one
    time: each new one puts out the one `max_heaps` before it. Up to `ring_heaps` finished
    heaps wait to be taken; while the ring is full the readers are suspended. With
    `contiguous_only=False` heaps with gaps are given as `IncompleteHeap`, with their
    `payload_ranges` if `incomplete_keep_payload_ranges`.

    `max_latency` bounds in seconds how long a busy reader may wait for more packets before
    it asks the kernel again (0: never). `scatter` lets the kernel write payloads straight
    into heaps. `ring` is a `Ring` to share with other streams: then the heaps are taken
    from it, `ring_heaps` does not count, and each heap has this stream's `tag`.
    `allocator` is as `set_memory_allocator` before the first packet.

    Raises `TypeError` and `ValueError` for arguments of the wrong type or range, `Stopped` if
    the pool or the ring has been stopped, `ForkedError` if they are those of a parent
    process.
    """

    # Those of the API that is kept, spead2 1.6.
    DEFAULT_MAX_HEAPS: ClassVar[int] = 4
    DEFAULT_RING_HEAPS: ClassVar[int] = 4
    DEFAULT_UDP_MAX_SIZE: ClassVar[int] = 9200
    DEFAULT_UDP_BUFFER_SIZE: ClassVar[int] = 8 * 1024 * 1024

    def __init__(
        self,
        thread_pool: ThreadPool,
        bug_compat: int = 0,
        max_heaps: int = DEFAULT_MAX_HEAPS,
        ring_heaps: int = DEFAULT_RING_HEAPS,
        contiguous_only: bool = True,
        incomplete_keep_payload_ranges: bool = False,
        *,
        max_latency: float = 100e-6,
        scatter: bool = True,
        ring: Ring | None = None,
        tag: int = 0,
        allocator: MemoryAllocator | None = None,
    ) -> None:
        if not isinstance(thread_pool, ThreadPool):
            raise TypeError(f"thread_pool must be a ThreadPool, not {thread_pool!r}")
        config = ffi.new(
            "spn_stream_config *",
            {
                "max_heaps": integer("max_heaps", max_heaps, 1),
                "contiguous_only": bool(contiguous_only),
                "keep_payload_ranges": bool(incomplete_keep_payload_ranges),
                "stop_on_stop_item": True,
                "memcpy_id": MEMCPY_STD,
                "max_latency_ns": _nanoseconds("max_latency", max_latency),
                "tag": integer("tag", tag, 0, _TAG_MAX),
                "bug_compat": integer("bug_compat", bug_compat, 0, BUG_COMPAT_PYSPEAD_0_5_2),
            },
        )
        if ring is None:
            ring = Ring(integer("ring_heaps", ring_heaps, 1))
        elif not isinstance(ring, Ring):
            raise TypeError(f"ring must be a Ring, not {ring!r}")
        self._ring = ring._ring
        self._scatter = bool(scatter)
        self._stop_on_stop_item = True
        self._ending = _Ending()
        c_allocator = ffi.NULL if allocator is None else _pointer(allocator)
        out = ffi.new("spn_stream **")
        check(lib.spn_stream_new(thread_pool.pointer, config, c_allocator, self._ring, out))
        self._stream = ffi.gc(out[0], self._ending)

    def add_buffer_reader(self, buffer: Buffer | NDArray[Any]) -> None:
        """Feed the packets that lie back to back in a buffer; at its end the stream stops.

        `buffer` is anything contiguous with the buffer protocol, taken as bytes; it is not
        copied, and is let go by `stop` or with the stream. At the first bytes that are no
        packet the rest is given up. Nothing happens if the stream has been stopped.

        Raises `TypeError` without the buffer protocol, `ValueError` if not C-contiguous.
        """
        try:
            data = ffi.from_buffer(buffer)
        except (BufferError, ValueError) as error:
            raise ValueError(f"buffer must be C-contiguous: {error}") from None
        except TypeError:
            raise TypeError(f"buffer must have the buffer protocol, unlike {buffer!r}") from None
        if self.stopped:
            return
        self._ending.buffers.append(data)
        check(lib.spn_stream_add_memory_reader(self._stream, data, len(data)))

    @overload
    def add_udp_reader(
        self,
        port: int,
        max_size: int = ...,
        buffer_size: int = ...,
        bind_hostname: str = ...,
        socket: sockets_of_python.socket | None = ...,
        *,
        gro: bool = ...,
        busy_poll: float = ...,
        reuse_port: bool = ...,
        huge_pages: bool = ...,
    ) -> None: ...

    @overload
    def add_udp_reader(
        self,
        multicast_group: str,
        port: int,
        max_size: int = ...,
        buffer_size: int = ...,
        interface_address: str = ...,
        *,
        gro: bool = ...,
        busy_poll: float = ...,
        reuse_port: bool = ...,
        huge_pages: bool = ...,
    ) -> None: ...

    @overload
    def add_udp_reader(
        self,
        multicast_group: str,
        port: int,
        max_size: int = ...,
        buffer_size: int = ...,
        *,
        interface_index: int,
        gro: bool = ...,
        busy_poll: float = ...,
        reuse_port: bool = ...,
        huge_pages: bool = ...,
    ) -> None: ...

    @overload
    def add_udp_reader(
        self,
        multicast_group: str,
        port: int,
        max_size: int,
        buffer_size: int,
        interface_index: int,
        *,
        gro: bool = ...,
        busy_poll: float = ...,
        reuse_port: bool = ...,
        huge_pages: bool = ...,
    ) -> None: ...

    def add_udp_reader(self, *args: Any, **kwargs: Any) -> None:
        """Feed the datagrams of a UDP port, in one of three forms.

        `add_udp_reader(port, ..., bind_hostname="", socket=None)` binds to the first
        address of a host, by default any IPv4 address; if it is a multicast group, that is
        joined. `socket` is an unbound UDP socket to use instead of a new one; it is
        duplicated, so it may be closed.

        `add_udp_reader(multicast_group, port, ..., interface_address="0.0.0.0")` joins an
        IPv4 group on the interface with an address, '' or '0.0.0.0' for the system's
        choice. With `interface_index` in the place of the address, or by name, an IPv6
        group on the interface of that number, 0 for the system's choice.

        Datagrams larger than `max_size` bytes are counted and dropped. `buffer_size` is that
        of the kernel's socket buffer in bytes, 0 for the system's default; if it cannot be
        had a warning is logged. `gro` asks the kernel to merge packets (UDP_GRO),
        `busy_poll` for busy polling of this many seconds (SO_BUSY_POLL), `reuse_port` lets
        several readers share the port (SO_REUSEPORT). `huge_pages` has the datagrams land in
        huge pages (6 MiB a reader): reserved ones, else transparent ones if there are any.

        Nothing happens if the stream has been stopped. Raises `SocketError`, an `OSError`
        and `RuntimeError`, if the host cannot be resolved or the socket not be bound;
        `TypeError` for a port that is none; `ValueError` for a group that is no multicast
        group of that protocol.
        """
        if "multicast_group" in kwargs or (args and isinstance(args[0], str)):
            self._add_multicast_reader(*args, **kwargs)
        else:
            self._add_unicast_reader(*args, **kwargs)

    def _add_unicast_reader(
        self,
        port: int,
        max_size: int = DEFAULT_UDP_MAX_SIZE,
        buffer_size: int = DEFAULT_UDP_BUFFER_SIZE,
        bind_hostname: str = "",
        socket: sockets_of_python.socket | None = None,
        *,
        gro: bool = True,
        busy_poll: float = 0.0,
        reuse_port: bool = False,
        huge_pages: bool = False,
    ) -> None:
        port = sockets.check_port(port)
        config = self._reader_config(max_size, buffer_size, gro, busy_poll, huge_pages)
        if self.stopped:
            return
        if socket is None:
            fd = sockets.open_unicast(port, bind_hostname, buffer_size, reuse_port)
        else:
            fd = sockets.adopt_socket(socket, port, bind_hostname, buffer_size, reuse_port)
        self._add_socket(fd, config)

    def _add_multicast_reader(
        self,
        multicast_group: str,
        port: int,
        max_size: int = DEFAULT_UDP_MAX_SIZE,
        buffer_size: int = DEFAULT_UDP_BUFFER_SIZE,
        interface_address: str | int | None = None,
        *,
        interface_index: int | None = None,
        gro: bool = True,
        busy_poll: float = 0.0,
        reuse_port: bool = False,
        huge_pages: bool = False,
    ) -> None:
        port = sockets.check_port(port)
        config = self._reader_config(max_size, buffer_size, gro, busy_poll, huge_pages)
        if interface_index is not None and interface_address is not None:
            raise TypeError("interface_address and interface_index exclude each other")
        if isinstance(interface_address, int):  # both forms have theirs in the same position
            interface_index, interface_address = interface_address, None
        if self.stopped:
            return
        if interface_index is None:
            address = "" if interface_address is None else interface_address
            fd = sockets.open_multicast_ipv4(
                multicast_group, port, address, buffer_size, reuse_port
            )
        else:
            fd = sockets.open_multicast_ipv6(
                multicast_group, port, interface_index, buffer_size, reuse_port
            )
        self._add_socket(fd, config)

    def _reader_config(
        self, max_size: int, buffer_size: int, gro: bool, busy_poll: float, huge_pages: bool
    ) -> Any:
        integer("buffer_size", buffer_size, 0)
        return ffi.new(
            "spn_udp_reader_config *",
            {
                "max_size": integer("max_size", max_size, 1),
                "gro": bool(gro),
                "scatter": self._scatter,
                "busy_poll_us": _nanoseconds("busy_poll", busy_poll) // 1000,
                "huge_pages": bool(huge_pages),
            },
        )

    def _add_socket(self, fd: int, config: Any) -> None:
        try:
            check_socket(lib.spn_stream_add_udp_reader(self._stream, fd, config))
        except BaseException:
            os.close(fd)
            raise

    def add_packet_ring_reader(
        self,
        interface: str | int,
        port: int,
        *,
        address: str = "",
        max_size: int = DEFAULT_UDP_MAX_SIZE,
        block_size: int = 1 << 20,
        block_count: int = 32,
        block_timeout: float = 0.002,
        fanout: int | None = None,
        fanout_mode: Literal["hash", "cpu"] = "hash",
        reject: bool = True,
        all_protocols: bool = False,
    ) -> None:
        """Feed the datagrams to a port that an interface sees, through a TPACKET_V3 ring.

        It costs the process a fraction of what a socket costs for packets that the kernel
        cannot merge, and needs CAP_NET_RAW. `interface` is a name or an index, 0 for all.
        `address` is whose datagrams are wanted, unicast or a multicast group, IPv4 or IPv6;
        '' is any IPv4 and '::' any IPv6 address. VLAN tags are passed over; IP fragments,
        bad lengths and bad checksums are counted in `stats.rejected_ip`, lost frames in
        `stats.kernel_drops`.

        The ring has `block_count` blocks of `block_size` bytes (a multiple of the page
        size, and more than any frame has: one that is many packets, by GSO, may have
        64 KiB); one that is not full is handed over after `block_timeout` seconds, in steps
        of a millisecond (before Linux 6.18 of its clock's tick, mostly 4 ms): less delay for
        more CPU. Streams that name the same `fanout` group (0 to 65535) share the traffic by
        flow ('hash') or by the processor that received it ('cpu', which may divide a heap
        between streams). `reject` holds the port with a UDP socket that rejects every
        datagram: only one reader of a port needs it. `all_protocols` binds to ETH_P_ALL,
        which sees frames before an nftables ingress chain drops them.

        Nothing happens if the stream has been stopped. Raises `PermissionError` without the
        capability, `SocketError` for an interface or address that is none, an interface
        without Ethernet frames or a fanout group of another kind, `ValueError` for sizes out
        of range, `TypeError` for a port that is none, `MemoryError` for a ring that is larger
        than the memory that is free.
        """
        options = packet_ring.Options(
            interface,
            port,
            address,
            max_size,
            block_size,
            block_count,
            block_timeout,
            fanout,
            fanout_mode,
            reject,
            all_protocols,
        )
        if not self.stopped:
            packet_ring.add(self._stream, options)

    def set_memory_allocator(self, allocator: MemoryAllocator) -> None:
        """Take the payloads of heaps that begin from now on from `allocator`.

        Raises `TypeError` unless it is a `MemoryAllocator`.
        """
        lib.spn_stream_set_allocator(self._stream, _pointer(allocator))

    def set_memcpy(self, id: int) -> None:
        """Copy into heaps that begin from now on by MEMCPY_STD or MEMCPY_NONTEMPORAL.

        Raises `ValueError` for another number, `TypeError` for what is none.
        """
        number = integer("id", id, -INT_MAX)
        if lib.spn_stream_set_memcpy(self._stream, number) < 0:
            raise ValueError(f"id must be MEMCPY_STD or MEMCPY_NONTEMPORAL, not {id!r}")

    @property
    def stop_on_stop_item(self) -> bool:
        """Whether a heap with a stop item ends the stream and is dropped (the default)."""
        return self._stop_on_stop_item

    @stop_on_stop_item.setter
    def stop_on_stop_item(self, stop: bool) -> None:
        self._stop_on_stop_item = bool(stop)
        lib.spn_stream_set_stop_on_stop_item(self._stream, bool(stop))

    @property
    def stats(self) -> StreamStats:
        """A consistent snapshot of the stream's counters."""
        out = ffi.new("spn_stream_stats *")
        lib.spn_stream_read_stats(self._stream, out)
        return snapshot(out)

    @property
    def stopped(self) -> bool:
        """Whether the stream was stopped, or came to its own end. Heaps may still wait."""
        return bool(lib.spn_stream_is_stopped(self._stream))

    def stop(self) -> None:
        """End the stream: close its sockets, drop partial heaps and wake every waiter.

        Heaps that are in the ring can still be taken. Returns when the readers have quit,
        so that their ports and buffers are free. Any thread, any number of times.
        """
        lib.spn_stream_stop(self._stream)
        self._ending.buffers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
