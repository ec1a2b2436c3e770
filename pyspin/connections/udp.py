# SPDX-License-Identifier: Apache-2.0
"""A UDP socket with deadlines, whose close wakes those who wait for it.

The socket never blocks: waiting is done in ``poll``, so the time allowed for one call does not
touch another, and descriptors above 1023 work. `close` shuts the socket down, which wakes every
waiter; the descriptor itself is given back when the last of them has left, so that none of
them can meet a stranger under the same number.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from pyspin.arguments import instance, integer, seconds
from pyspin.messages import (
    ConnectionClosedError,
    NobodyListensError,
    SpinnakerIOError,
    SpinnakerTimeoutError,
)

from .abstract import Connection
from .decoding import as_it_is, decoded_by

# Linux: SO_MEMINFO, whose ninth word counts the datagrams that found the buffer full
# (linux/sock_diag.h, SK_MEMINFO_DROPS); and the form of SO_RCVBUF for the privileged.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_DROPS = 8
_SO_RCVBUFFORCE = 33

_MAX_DATAGRAM = 65536
_RECEIVE_BUFFER = 4 << 20
_RECEIVE_BUFFER_MAX = 2**30 - 1  # the system doubles it, in an int
_MAX_POLL_MS = 2**31 - 1

Address = tuple[str, int]


class UDPConnection(Connection):
    """A UDP socket, bound to a local address and perhaps connected to a remote one.

    With `remote_host` and `remote_port` it sends to and receives from there only; without, it
    receives from anybody, and sends with `send_to`. Hosts are names or addresses, IPv4 or
    IPv6. `receive_buffer_size` is asked of the system, which may give less.

    Thread-safe. Errors of the socket are SpinnakerIOError, with the `errno` of the system;
    NobodyListensError if nobody listens at the remote port. After `close`, or under it, calls
    raise ConnectionClosedError.
    """

    def __init__(
        self,
        local_host: str | None = None,
        local_port: int | None = None,
        remote_host: str | None = None,
        remote_port: int | None = None,
        *,
        receive_buffer_size: int = _RECEIVE_BUFFER,
    ) -> None:
        self._lock = threading.Lock()
        self._waiters = 0
        self._drops = 0
        self._is_closed = False
        self._process = os.getpid()
        self._remote: Address | None = None
        _check_host("local_host", local_host)
        _check_host("remote_host", remote_host)
        local_port = _checked_port("local_port", local_port)
        remote_port = _checked_port("remote_port", remote_port)
        size = integer("receive_buffer_size", receive_buffer_size, 1, _RECEIVE_BUFFER_MAX)
        family, local, remote = _addresses(local_host, local_port, remote_host, remote_port)
        try:
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            raise _io_error("open", error) from error
        try:
            self._socket.setblocking(False)
            _set_receive_buffer(self._socket, size)
            self._socket.bind(local)
            if remote is not None:
                self._socket.connect(remote)
                self._remote = remote[:2]
            self._local: Address = self._socket.getsockname()[:2]
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise _io_error("open", error) from error
            raise

    @property
    def local_ip_address(self) -> str:
        """The local address; "0.0.0.0" or "::" when it was left open."""
        return self._local[0]

    @property
    def local_port(self) -> int:
        """The local port."""
        return self._local[1]

    @property
    def remote_ip_address(self) -> str | None:
        """The remote address, None if not connected."""
        return None if self._remote is None else self._remote[0]

    @property
    def remote_port(self) -> int | None:
        """The remote port, None if not connected."""
        return None if self._remote is None else self._remote[1]

    @property
    def receive_buffer_size(self) -> int:
        """The bytes of the socket's receive buffer, as the system counts them."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    @property
    def kernel_drops(self) -> int:
        """How many datagrams the system has dropped because the receive buffer was full.

        0 where the system does not say (Linux before 4.12).
        """
        with contextlib.suppress(OSError, struct.error):
            memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            self._drops = int(_MEMINFO.unpack(memory)[_DROPS])
        return self._drops

    def fileno(self) -> int:
        """Return the descriptor of the socket, for selectors; -1 once it is closed."""
        return self._socket.fileno()

    def is_connected(self) -> bool:
        """Return whether it is open and has a remote address; nothing is sent to find out."""
        return not self._is_closed and self._remote is not None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    # ---- receiving

    @decoded_by(as_it_is)
    def receive(self, timeout: float | None = None) -> bytes:
        """Wait for a datagram and return it, whole whatever its size.

        SpinnakerTimeoutError after `timeout` seconds; None waits for ever, 0 not at all.
        """
        # The common case first: something is there.
        try:
            return self._socket.recv(_MAX_DATAGRAM)
        except BlockingIOError:
            pass
        except OSError as error:
            self._raise("receive", error)
        result: bytes = self._receive(self._socket.recv, timeout)
        return result

    def receive_with_address(self, timeout: float | None = None) -> tuple[bytes, Address]:
        """Wait for a datagram and return it, and the (address, port) it came from."""
        data, address = self._receive(self._socket.recvfrom, timeout)
        return data, address[:2]

    def _receive(self, take: Callable[[int], Any], timeout: float | None) -> Any:
        deadline = deadline_of(timeout)
        while True:
            try:
                return take(_MAX_DATAGRAM)
            except BlockingIOError:
                pass
            except OSError as error:
                self._raise("receive", error)
            if self._is_closed:
                raise ConnectionClosedError
            if not self._wait(select.POLLIN, deadline):
                raise SpinnakerTimeoutError("receive", timeout)

    def is_ready_to_receive(self, timeout: float = 0) -> bool:
        """Return whether `receive` would not wait, after `timeout` seconds at the most.

        Also true when it would not wait but raise, because the connection is closed.
        """
        deadline = time.monotonic() + seconds("timeout", timeout)
        return self._is_closed or self._wait(select.POLLIN, deadline)

    def get_receive_method(self) -> Callable[[], Any]:
        """Return `receive`, for a listener."""
        return self.receive

    # ---- sending

    def send(self, data: bytes) -> None:
        """Send a datagram, empty ones too, to the remote address.

        SpinnakerIOError if there is none, or an error of an earlier one has come back.
        """
        if self._remote is None and not self._is_closed:
            raise SpinnakerIOError("not connected to a remote host; use send_to", errno.ENOTCONN)
        try:
            self._send(lambda: self._socket.send(data))
        except TypeError:
            _refuse_data(data)

    def send_to(self, data: bytes, address: Address) -> None:
        """Send a datagram to (address, port)."""
        try:
            self._send(lambda: self._socket.sendto(data, address))
        except (TypeError, OverflowError):
            _refuse_data(data, address)

    def _send(self, give: Callable[[], int]) -> None:
        while True:
            try:
                give()
                return
            except BlockingIOError:
                self._wait(select.POLLOUT, None)
            except OSError as error:
                self._raise("send", error)

    # ---- waiting and closing

    def _wait(self, events: int, deadline: float | None) -> bool:
        """Wait for events until a deadline on the monotonic clock; whether there are any."""
        with self._lock:
            if self._is_closed:
                return True
            self._waiters += 1
        try:
            poller = select.poll()
            poller.register(self._socket.fileno(), events)
            return bool(poller.poll(_milliseconds(deadline)))
        finally:
            with self._lock:
                self._waiters -= 1
                if self._is_closed and self._waiters == 0:
                    self._socket.close()

    def close(self) -> None:
        """Close the socket and wake all who wait for it. Idempotent; any thread.

        In a forked child it closes the child's share of the socket, not the parent's.
        """
        if self._process != os.getpid():
            # Nobody waits here, the lock may be another thread's, and a shutdown is for both.
            self._is_closed = True
            self._socket.close()
            return
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            _ = self.kernel_drops  # for those who ask later
            # An error says that it is not connected; the waiters wake all the same.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if self._waiters == 0:
                self._socket.close()

    def _raise(self, operation: str, error: OSError) -> NoReturn:
        if self._is_closed:
            raise ConnectionClosedError from error
        raise _io_error(operation, error) from error

    def __repr__(self) -> str:
        local, remote = (
            _text(self._local),
            "anybody" if self._remote is None else _text(self._remote),
        )
        state = ", closed" if self._is_closed else ""
        return f"<{type(self).__name__} {local} <-> {remote}{state}>"


def _check_host(name: str, host: str | None) -> None:
    if host is not None:
        instance(name, host, str)


def _checked_port(name: str, port: int | None) -> int | None:
    return None if port is None else integer(name, port, 0, 0xFFFF)


def _refuse_data(data: bytes, address: object = None) -> NoReturn:
    """Raise TypeError naming which of the two the socket did not take."""
    try:
        memoryview(data)
    except TypeError:
        raise TypeError(f"data must be bytes-like, not {data!r}") from None
    raise TypeError(f"address must be (host, port), not {address!r}") from None


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _addresses(
    local_host: str | None,
    local_port: int | None,
    remote_host: str | None,
    remote_port: int | None,
) -> tuple[socket.AddressFamily, Any, Any]:
    """Return the family, the address to bind, and the one to connect to or None."""
    remote = family = None
    try:
        if remote_host is not None and remote_port is not None:
            family, remote = _resolve(remote_host, remote_port, socket.AF_UNSPEC)
        if local_host is not None:
            family, local = _resolve(local_host, local_port or 0, family or socket.AF_UNSPEC)
        else:
            family = family or socket.AF_INET
            local = ("" if family == socket.AF_INET else "::", local_port or 0)
    except OSError as error:
        raise _io_error("look up a host", error) from error
    except UnicodeError as error:  # a name that cannot be one
        raise SpinnakerIOError(f"cannot look up a host: {error}", errno.EINVAL) from error
    return family, local, remote


def _resolve(host: str, port: int, family: int) -> tuple[socket.AddressFamily, Any]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)
    # SpiNNaker machines speak IPv4, so a name that has such an address means it.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return found[0][0], found[0][4]


def _set_receive_buffer(udp: socket.socket, size: int) -> None:
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    if udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < size:
        # For the privileged only.
        with contextlib.suppress(OSError):
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)


def _io_error(operation: str, error: OSError) -> SpinnakerIOError:
    kind = NobodyListensError if error.errno == errno.ECONNREFUSED else SpinnakerIOError
    return kind(f"cannot {operation}: {error.strerror or error}", error.errno)


def deadline_of(timeout: float | None) -> float | None:
    """Return when a timeout ends on the monotonic clock. TypeError or ValueError if it is none."""
    if timeout is None:
        return None
    return time.monotonic() + seconds("timeout", timeout)


def seconds_left(deadline: float | None) -> float | None:
    """Return the seconds until a deadline, 0 if it is over; None for None."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _milliseconds(deadline: float | None) -> int:
    if deadline is None:
        return -1
    left = min((deadline - time.monotonic()) * 1000, _MAX_POLL_MS)
    return max(0, math.ceil(left))
