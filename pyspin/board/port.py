# SPDX-License-Identifier: Apache-2.0
"""A board's sockets: its SCP port, and a port for each reverse IP tag."""

from __future__ import annotations

import contextlib
import socket

from .model import Address, Board, Outgoing
from .network import Impairment, Line
from .stats import BoardStats

__all__ = ["Port"]

BATCH = 64
"""Datagrams taken from a socket before the replies go out."""
BUFFER_BYTES = 1 << 20


class Port:
    """Moves datagrams between sockets, the two lines of a network and a board.

    Not thread-safe. The owner waits for `sockets` and `next_due`, then calls `step`.
    """

    def __init__(self, sock: socket.socket, board: Board, seed: int | str) -> None:
        self.board = board
        self.requests: Line[tuple[bytes, Address]] = Line(Impairment(), f"requests {seed}")
        self.replies: Line[Outgoing] = Line(Impairment(), f"replies {seed}")
        self._socket = sock
        self.host, self.port = sock.getsockname()
        self._reverse: dict[int, socket.socket] = {}
        self._tag_changes = 0
        self._sent = 0

    @property
    def sockets(self) -> list[socket.socket]:
        """What to wait for."""
        return [self._socket, *self._reverse.values()]

    @property
    def next_due(self) -> float | None:
        """When something next arrives by itself, in seconds since boot."""
        dues = (self.requests.next_due, self.replies.next_due)
        return min((due for due in dues if due is not None), default=None)

    def step(self, readable: set[int], now: float, later: float) -> None:
        """Take what came, let the board answer, send what is due.

        `now` is when the sockets became readable, `later` when the answers leave; both
        in seconds since boot.
        """
        if self._socket.fileno() in readable:
            for datagram, sender in taken(self._socket):
                self.requests.offer((datagram, sender), now)
        for tag, sock in self._reverse.items():
            if sock.fileno() in readable:
                for datagram, sender in taken(sock):
                    self.board.receive_reverse(tag, datagram, sender)
        for datagram, sender in self.requests.arrived(now):
            self.leave(self.board.receive(datagram, sender, now))
        self._follow_tags()
        for outgoing in self.replies.arrived(later):
            with contextlib.suppress(OSError):
                self._socket.sendto(outgoing.data, outgoing.to)
                self._sent += 1

    def leave(self, outgoing: Outgoing | None) -> None:
        """Put what leaves the board on the line to the host."""
        if outgoing is not None:
            self.replies.offer(outgoing, outgoing.due)

    def close(self) -> None:
        """Close every socket."""
        for sock in self.sockets:
            sock.close()

    def stats(self) -> BoardStats:
        """Return the counters as they are now."""
        asked, answered, board = self.requests.counts, self.replies.counts, self.board
        return BoardStats(
            received=asked.offered,
            sent=self._sent,
            requests_lost=asked.lost,
            requests_duplicated=asked.duplicated,
            requests_reordered=asked.reordered,
            replies_lost=answered.lost,
            replies_duplicated=answered.duplicated,
            replies_reordered=answered.reordered,
            messages=board.messages,
            results=dict(board.results),
            commands=dict(board.commands),
            dropped=dict(board.dropped),
        )

    def _follow_tags(self) -> None:
        """Listen where reverse IP tags now say, and nowhere else."""
        table = self.board.tags
        if table.changes == self._tag_changes:
            return
        self._tag_changes = table.changes
        wanted = {n: t.rx_port for n, t in enumerate(table.tags) if t.reverse and t.rx_port}
        for number in [n for n, s in self._reverse.items() if wanted.get(n) != s.getsockname()[1]]:
            self._reverse.pop(number).close()
        for number, port in wanted.items():
            if number not in self._reverse:
                with contextlib.suppress(OSError):
                    self._reverse[number] = bound(self.host, port)


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
