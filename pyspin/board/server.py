# SPDX-License-Identifier: Apache-2.0
"""A virtual board on a UDP socket: a thread that drives the board model and its network."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from ..messages import CPUState
from .geometry import Place, geometry_of
from .model import Address, Board, Message, Outgoing
from .network import Impairment, Line

__all__ = ["BoardStats", "VirtualBoard"]

BATCH = 64
"""Datagrams taken from a socket before the replies go out."""
BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class BoardStats:
    """What a board has done since it was made. Counts of datagrams unless said otherwise."""

    received: int
    """Datagrams that came to the SCP port."""
    sent: int
    """Datagrams that left."""
    requests_lost: int
    requests_duplicated: int
    requests_reordered: int
    replies_lost: int
    replies_duplicated: int
    replies_reordered: int
    messages: int
    """Messages delivered to application cores."""
    results: Mapping[str, int]
    """Requests executed or refused, by the name of the result code."""
    commands: Mapping[int, int]
    """Requests executed, by command number."""
    dropped: Mapping[str, int]
    """Datagrams that the board dropped without a word, by reason: `no_tag`, `oversize`,
    `runt`, `abort`, `tag`, `no_chip`, `no_application`."""


class VirtualBoard:
    """A SpiNNaker board that answers on a loopback address.

    A context manager: the board is served from `with` until its end. Each board
    has one thread. All methods may be called from any thread.
    """

    def __init__(
        self,
        hardware: int = 5,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        requests: Impairment | None = None,
        replies: Impairment | None = None,
        busy: float = 0.0,
        tags: int = 8,
        service_time: float = 0.0,
        cores: int | Mapping[Place, int] = 18,
        dead_chips: Iterable[Place] = (),
        dead_links: Iterable[tuple[int, int, int]] = (),
    ) -> None:
        """Bind the board to an address; it answers after `start`.

        `hardware` is 3 (4 chips) or 5 (48 chips). `port` 0 takes a free port;
        SpiNNaker's own is 17893. `requests` and `replies` say what the network does
        in each direction; `busy` is the rate of RC_P2P_BUSY replies. With a
        `service_time` in seconds the board takes that long over each request, and
        drops requests that find none of its `tags` transient tags free. Everything
        random follows from `seed`.

        Raises ValueError for a setting out of range and OSError if the address is taken.
        """
        check(busy=busy, tags=tags, service_time=service_time)
        geometry = geometry_of(hardware).without(dead_chips, dead_links)
        if (0, 0) not in geometry.chips:
            raise ValueError("dead_chips must not have the Ethernet chip (0, 0)")
        self._board = Board(
            geometry,
            address=ipaddress.IPv4Address(host).packed,
            cores=cores,
            busy=busy,
            seed=seed,
            tags=tags,
            service_time=service_time,
            boot_time=int(time.time()),
        )
        self._requests: Line[tuple[bytes, Address]] = Line(
            requests or Impairment(), f"requests {seed}"
        )
        self._replies: Line[Outgoing] = Line(replies or Impairment(), f"replies {seed}")
        self._lock = threading.Lock()
        self._sent = 0
        self._tag_changes = 0
        self._began = time.monotonic()
        self._reverse: dict[int, socket.socket] = {}
        self._thread: threading.Thread | None = None
        self._socket = bound(host, port)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self.host, self.port = self._socket.getsockname()
        self.hardware = hardware

    def start(self) -> None:
        """Serve on a thread of its own. Raises RuntimeError if already started or closed."""
        if self._thread is not None or self._stopping:
            raise RuntimeError("a board is started once")
        name = f"board {self.host}:{self.port}"
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the address. May be called again."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
        os.close(self._wake)
        for sock in (self._socket, *self._reverse.values()):
            sock.close()

    def __enter__(self) -> VirtualBoard:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def stats(self) -> BoardStats:
        """Return the counters as they are now."""
        with self._lock:
            asked, answered = self._requests.counts, self._replies.counts
            return BoardStats(
                received=asked.offered,
                sent=self._sent,
                requests_lost=asked.lost,
                requests_duplicated=asked.duplicated,
                requests_reordered=asked.reordered,
                replies_lost=answered.lost,
                replies_duplicated=answered.duplicated,
                replies_reordered=answered.reordered,
                messages=self._board.messages,
                results=dict(self._board.results),
                commands=dict(self._board.commands),
                dropped=dict(self._board.dropped),
            )

    def read_memory(self, x: int, y: int, address: int, length: int, core: int = 0) -> bytes:
        """Return memory as a core sees it, without the network. Raises KeyError for no chip."""
        with self._lock:
            return self._board.chip(x, y).cores[core].memory.read(address, length)

    def write_memory(self, x: int, y: int, address: int, data: bytes, core: int = 0) -> None:
        """Store memory as a core sees it, without the network. Raises KeyError for no chip."""
        with self._lock:
            self._board.chip(x, y).cores[core].memory.write(address, data)

    def core_state(self, x: int, y: int, core: int) -> tuple[CPUState, int]:
        """Return a core's state and the identifier of its application."""
        with self._lock:
            it = self._board.chip(x, y).cores[core]
            return it.state, it.app

    def set_core_state(self, x: int, y: int, core: int, state: CPUState, *, rte: int = 0) -> None:
        """Put a core into a state, as its application or a fault would."""
        with self._lock:
            self._board.chip(x, y).cores[core].become(state, rte=rte)

    def print(self, x: int, y: int, core: int, text: str) -> None:
        """Append to a core's IO buffer, as its application's printing does."""
        with self._lock:
            self._board.chip(x, y).cores[core].print(text.encode())

    def send(self, tag: int, data: bytes, source: tuple[int, int, int, int] = (0, 0, 1, 1)) -> bool:
        """Send a message through an IP tag as an application does; False if it is not set.

        `source` is x, y, core and SDP port. A tag that strips sends `data` alone,
        another puts the SDP header before it.
        """
        with self._lock:
            self._board.elapsed = self._now()
            outgoing = self._board.send(tag, data, source)
            if outgoing is None or self._stopping:
                return False
            self._replies.offer(outgoing, outgoing.due)
            os.eventfd_write(self._wake, 1)
        return True

    def on_message(self, function: Callable[[Message], None] | None) -> None:
        """Call a function, on the board's thread, with each message to an application core.

        The function must not raise, nor call back into the board.
        """
        with self._lock:
            self._board.deliver = function

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _serve(self) -> None:
        while not self._stopping:
            readable = self._wait()
            with self._lock:
                self._step(readable)

    def _wait(self) -> list[int]:
        """Wait for a datagram, a wake-up or the next arrival on either line."""
        with self._lock:
            sockets = [self._socket, *self._reverse.values()]
            dues = [due for due in (self._requests.next_due, self._replies.next_due) if due]
        timeout = max(0.0, min(dues) - self._now()) if dues else None
        fds = [sock.fileno() for sock in sockets]
        return wait_readable([*fds, self._wake], timeout)

    def _step(self, readable: list[int]) -> None:
        if self._wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        now = self._now()
        if self._socket.fileno() in readable:
            for datagram, sender in taken(self._socket):
                self._requests.offer((datagram, sender), now)
        for tag, sock in self._reverse.items():
            if sock.fileno() in readable:
                for datagram, sender in taken(sock):
                    self._board.receive_reverse(tag, datagram, sender)
        for datagram, sender in self._requests.arrived(now):
            outgoing = self._board.receive(datagram, sender, now)
            if outgoing is not None:
                self._replies.offer(outgoing, outgoing.due)
        if self._board.tags.changes != self._tag_changes:
            self._tag_changes = self._board.tags.changes
            self._open_reverse_ports()
        for outgoing in self._replies.arrived(self._now()):
            with contextlib.suppress(OSError):
                self._socket.sendto(outgoing.data, outgoing.to)
                self._sent += 1

    def _open_reverse_ports(self) -> None:
        """Listen where reverse IP tags now say, and nowhere else."""
        wanted = {
            number: tag.rx_port
            for number, tag in enumerate(self._board.tags.tags)
            if tag.reverse and tag.rx_port
        }
        for number in [n for n, s in self._reverse.items() if wanted.get(n) != s.getsockname()[1]]:
            self._reverse.pop(number).close()
        for number, port in wanted.items():
            if number not in self._reverse:
                with contextlib.suppress(OSError):
                    self._reverse[number] = bound(self.host, port)


def check(*, busy: float, tags: int, service_time: float) -> None:
    """Raise ValueError for a setting of a board that is out of range."""
    if not 0.0 <= busy <= 1.0:
        raise ValueError(f"busy must be from 0 to 1, not {busy!r}")
    if tags < 1:
        raise ValueError(f"tags must be at least 1, not {tags!r}")
    if not 0.0 <= service_time < float("inf"):
        raise ValueError(f"service_time must be at least 0 seconds, not {service_time!r}")


def bound(host: str, port: int) -> socket.socket:
    """Return a non-blocking UDP socket at an address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def taken(sock: socket.socket) -> list[tuple[bytes, Address]]:
    """Return the datagrams that wait at a socket, one batch at most."""
    batch: list[tuple[bytes, Address]] = []
    with contextlib.suppress(OSError):
        while len(batch) < BATCH:
            batch.append(sock.recvfrom(2048))
    return batch


def wait_readable(fds: list[int], timeout: float | None) -> list[int]:
    """Return the descriptors that are readable within a time in seconds.

    `select` where it can be used, since `poll` counts in whole milliseconds and a
    board answers in tens of microseconds.
    """
    if max(fds) < 1024:
        return select.select(fds, [], [], timeout)[0]
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000)]
