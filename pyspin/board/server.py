# SPDX-License-Identifier: Apache-2.0
"""Virtual boards on UDP sockets: a thread that drives the model and its network."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple

from ..arguments import index, instance, integer, rate, seconds
from ..messages import CPUState
from .boot_rom import BOOT_PORT, BootRom
from .cores import Core
from .geometry import Geometry, Place, geometry_of
from .machine import CORES, Machine
from .model import Board, Message
from .network import MAX_DELAY, Impairment
from .port import Port, bound, taken
from .stats import BoardStats

__all__ = ["BoardAddress", "VirtualBoard"]

logger = logging.getLogger(__name__)


class BoardAddress(NamedTuple):
    """Where a board's Ethernet chip is in its machine, and where it listens."""

    x: int
    y: int
    host: str
    port: int


class VirtualBoard:
    """A SpiNNaker board, or a machine of several, that answers on loopback.

    A context manager: the board is served from `with` until its end, by one thread.
    All methods may be called from any thread. `host` and `port` are where the board
    listens, the first one of a machine; `boards` has them all.
    """

    def __init__(
        self,
        hardware: int | Geometry = 5,
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
        booted: bool = True,
        boot_port: int = BOOT_PORT,
    ) -> None:
        """Bind to an address; the board answers after `start`.

        `hardware` is 3 (4 chips), 5 (48 chips), or a geometry such as `torus_of(1, 1)`,
        whose boards get consecutive addresses from `host` on. `port` 0 takes a free
        port for each; SpiNNaker's own is 17893. `requests` and `replies` say what the
        network does in each direction; `busy` is the rate of RC_P2P_BUSY replies. With
        a `service_time` in seconds a board takes that long over each request, and drops
        requests that find none of its `tags` transient tags free. `cores` is the number
        of working cores, of every chip or by chip. A link of `dead_links` is x, y and
        number, and is dead at both ends. Everything random follows from `seed`.

        A board that is not `booted` answers no SCP until an image, whatever is in it,
        has come to its `boot_port` (0: a free one) by the boot protocol.

        Raises ValueError for a setting out of range, OSError if an address is taken.
        """
        rate("busy", busy)
        tags = integer("tags", tags, 1)
        seconds("service_time", service_time, MAX_DELAY)
        port = integer("port", port, 0, 0xFFFF)
        boot_port = integer("boot_port", boot_port, 0, 0xFFFF)
        check_impairments(requests=requests, replies=replies)
        geometry = hardware if isinstance(hardware, Geometry) else geometry_of(hardware)
        hosts = addresses(geometry, host)
        dead = frozenset((x, y) for x, y in numbers("dead_chips", dead_chips, 2))
        links = [(x, y, link) for x, y, link in numbers("dead_links", dead_links, 3)]
        for *_, link in links:
            integer("dead_links", link, 0, 5)
        if not dead.isdisjoint(hosts):
            raise ValueError(f"dead_chips must not have an Ethernet chip: {sorted(hosts)}")
        self._machine = Machine(
            geometry.without(dead, links),
            addresses={place: at.packed for place, at in hosts.items()},
            cores=counted(cores),
            boot_time=int(time.time()),
            booted=booted,
        )
        self._process = os.getpid()
        self._lock = threading.RLock()  # a function of on_message calls back
        self._began = time.monotonic()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._boot_rom = BootRom()
        self._ports: dict[Place, Port] = {}
        with contextlib.ExitStack() as undo:
            for place, at in hosts.items():
                sock = bound(str(at), port)
                undo.callback(sock.close)
                unique = f"{seed} {place}"
                board = Board(
                    self._machine,
                    place,
                    busy=busy,
                    tags=tags,
                    service_time=service_time,
                    seed=f"busy {unique}",
                )
                self._ports[place] = Port(sock, board, unique)
            self._boot_socket = None if booted else bound(str(hosts[0, 0]), boot_port)
            if self._boot_socket is not None:
                undo.callback(self._boot_socket.close)
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.pop_all()
        self.boards = [BoardAddress(*xy, p.host, p.port) for xy, p in self._ports.items()]
        self.host, self.port = self.boards[0].host, self.boards[0].port
        self.boot_port = self._boot_socket.getsockname()[1] if self._boot_socket else boot_port
        self.hardware = geometry.hardware
        self.impair(requests=requests, replies=replies)

    def start(self) -> None:
        """Serve on a thread of its own. Raises RuntimeError if already started or closed."""
        if self._thread is not None or self._stopping:
            raise RuntimeError("a board is started once")
        name = f"board {self.host}:{self.port}"
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the addresses. May be called again.

        In a forked child it closes the child's share of the sockets; the parent serves on.
        """
        if self._process == os.getpid():
            self._stop()
        elif not self._stopping:
            self._stopping = True
            self._release()

    def _stop(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
        self._release()

    def _release(self) -> None:
        os.close(self._wake)
        for port in self._ports.values():
            port.close()
        if self._boot_socket is not None:
            self._boot_socket.close()

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

    @property
    def booted(self) -> bool:
        """Whether the board answers SCP."""
        with self._lock:
            return self._machine.booted

    def impair(
        self, *, requests: Impairment | None = None, replies: Impairment | None = None
    ) -> None:
        """Change what the network does from now on; None leaves a direction as it is."""
        check_impairments(requests=requests, replies=replies)
        with self._lock:
            for port in self._ports.values():
                port.requests.impairment = requests or port.requests.impairment
                port.replies.impairment = replies or port.replies.impairment

    def stats(self) -> BoardStats:
        """Return the counters as they are now, of all boards of a machine together."""
        with self._lock:
            return sum((port.stats() for port in self._ports.values()), BoardStats())

    def read_memory(self, x: int, y: int, address: int, length: int, core: int = 0) -> bytes:
        """Return memory as a core sees it, without the network. Raises KeyError for no chip."""
        with self._lock:
            return self._core(x, y, core).memory.read(address, length)

    def write_memory(self, x: int, y: int, address: int, data: bytes, core: int = 0) -> None:
        """Store memory as a core sees it, without the network. Raises KeyError for no chip."""
        with self._lock:
            self._core(x, y, core).memory.write(address, data)

    def core_state(self, x: int, y: int, core: int) -> tuple[CPUState, int]:
        """Return a core's state and the identifier of its application."""
        with self._lock:
            it = self._core(x, y, core)
            return it.state, it.app

    def set_core_state(self, x: int, y: int, core: int, state: CPUState, *, rte: int = 0) -> None:
        """Put a core into a state, as its application or a fault would."""
        with self._lock:
            self._core(x, y, core).become(state, rte=rte)

    def print(self, x: int, y: int, core: int, text: str) -> None:
        """Append to a core's IO buffer, as its application's printing does."""
        with self._lock:
            self._core(x, y, core).print(text.encode())

    def send(self, tag: int, data: bytes, source: tuple[int, int, int, int] = (0, 0, 1, 1)) -> bool:
        """Send a message through an IP tag as an application does; False if it is not set.

        `source` is x, y, core and SDP port; the tag is one of its board's. A tag that
        strips sends `data` alone, another puts the SDP header before it.
        """
        with self._lock:
            if self._stopping:
                return False
            port = self._ports[self._machine.geometry.ethernet_of(source[:2])]
            self._machine.elapsed = self._now()
            outgoing = port.board.send(tag, data, source)
            port.leave(outgoing)
            os.eventfd_write(self._wake, 1)
        return outgoing is not None

    def on_message(self, function: Callable[[Message], None] | None) -> None:
        """Call a function with each message to an application core; it is the application.

        It runs on the board's thread, which does nothing else meanwhile, and may call the
        board's methods, `send` for example, but `close`. What it raises is logged.
        """
        with self._lock:
            for port in self._ports.values():
                port.board.deliver = None if function is None else guarded(function)

    def _core(self, x: int, y: int, core: int) -> Core:
        return self._machine.chip((x, y)).cores[core]

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _serve(self) -> None:
        while not self._stopping:
            readable = self._wait()
            now = self._now()
            with self._lock:
                for port in self._ports.values():
                    port.step(readable, now, self._now())
                if self._boot_socket is not None and self._boot_socket.fileno() in readable:
                    self._boot(self._boot_socket)

    def _boot(self, sock: socket.socket) -> None:
        for datagram, _ in taken(sock):
            if self._boot_rom.receive(datagram):
                self._machine.booted = True

    def _wait(self) -> set[int]:
        """Wait for a datagram, a wake-up or the next arrival on a line."""
        with self._lock:
            ports = self._ports.values()
            fds = [sock.fileno() for port in ports for sock in port.sockets]
            fds += [self._boot_socket.fileno()] if self._boot_socket else []
            dues = [port.next_due for port in ports]
        due = min((due for due in dues if due is not None), default=None)
        timeout = None if due is None else max(0.0, due - self._now())
        readable = wait_readable([*fds, self._wake], timeout)
        if self._wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        return readable


def guarded(function: Callable[[Message], None]) -> Callable[[Message], None]:
    """Return a function whose errors are logged, so that they do not end the board."""

    def call(message: Message) -> None:
        try:
            function(message)
        except Exception:
            logger.exception("an application at %s, %s raised", message.x, message.y)

    return call


def addresses(geometry: Geometry, host: str) -> dict[Place, ipaddress.IPv4Address]:
    """Return the address of each board of a machine: consecutive ones."""
    instance("host", host, str)
    try:
        first = ipaddress.IPv4Address(host)
        _ = first + (len(geometry.boards) - 1)
    except ValueError:
        raise ValueError(f"host must be an IPv4 address, not {host!r}") from None
    return {place: first + number for number, place in enumerate(geometry.boards)}


def check_impairments(**ways: Impairment | None) -> None:
    """Raise TypeError naming what is neither an Impairment nor None."""
    for name, way in ways.items():
        if way is not None:
            instance(name, way, Impairment)


def counted(cores: int | Mapping[Place, int]) -> int | Mapping[Place, int]:
    """Return numbers of cores, each of them checked."""
    if isinstance(cores, Mapping):
        return {place: integer("cores", count, 1, CORES) for place, count in cores.items()}
    return integer("cores", cores, 1, CORES)


def numbers(name: str, given: Iterable[Sequence[int]], size: int) -> list[tuple[int, ...]]:
    """Return tuples of so many numbers; otherwise TypeError or ValueError naming them."""
    what = f"{name} must be a list of tuples of {size} numbers, not {given!r}"
    try:
        tuples = [tuple(index(name, number) for number in each) for each in given]
    except TypeError:
        raise TypeError(what) from None
    if any(len(each) != size for each in tuples):
        raise ValueError(what)
    return tuples


def wait_readable(fds: list[int], timeout: float | None) -> set[int]:
    """Return the descriptors that are readable within a time in seconds.

    `select` where it can be used, since `poll` counts in whole milliseconds and a
    board answers in tens of microseconds.
    """
    if max(fds) < 1024:
        return set(select.select(fds, [], [], timeout)[0])
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000)}
