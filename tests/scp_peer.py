# SPDX-License-Identifier: Apache-2.0
"""A peer on loopback that answers SCP as a test says, written with `struct` from the protocol.

It shares nothing with pyspin. `behave` is called with each request and returns the datagrams
to answer with; the default answers everything with RC_OK and READs with the bytes of memory.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable

from patience import PATIENCE

OK = 0x80
RETRY_CODES = {
    "RC_LEN": 0x81,
    "RC_TIMEOUT": 0x86,
    "RC_P2P_NOREPLY": 0x8B,
    "RC_P2P_BUSY": 0x8D,
    "RC_P2P_TIMEOUT": 0x8E,
}
READ, WRITE, FILL, LINK_READ, LINK_WRITE = 2, 3, 5, 17, 18


class Request:
    """A request as it came, taken apart."""

    def __init__(self, data: bytes, number: int) -> None:
        self.data = data
        self.number = number  # of the datagram, from 0
        (
            self.flags,
            self.tag,
            self.destination,
            self.source,
            self.y,
            self.x,
            self.source_y,
            self.source_x,
            self.command,
            self.sequence,
        ) = struct.unpack_from("<2x8BHH", data)
        self.arguments = struct.unpack_from("<III", data, 14)
        self.payload = data[26:]

    def reply(self, code: int = OK, payload: bytes = b"", sequence: int | None = None) -> bytes:
        """Return the datagram that answers it."""
        return (
            struct.pack(
                "<2x8BHH",
                0x07,
                8,
                self.source,
                self.destination,
                self.source_y,
                self.source_x,
                self.y,
                self.x,
                code,
                self.sequence if sequence is None else sequence,
            )
            + payload
        )


Behaviour = Callable[[Request], Iterable[bytes]]


class Peer:
    """A context manager: a thread that serves until the end of the block."""

    def __init__(self, behave: Behaviour | None = None, memory: bytes = b"", port: int = 0) -> None:
        self.behave = behave or self.obey
        self.memory = bytearray(memory or 4096)
        self.base = 0x60000000
        self.requests: list[Request] = []
        self.served = 0  # requests whose answers are all on their way
        self.failure: BaseException | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.client: tuple[str, int] | None = None
        self._has_caught_up = threading.Event()

    def obey(self, request: Request) -> list[bytes]:
        """Do what a healthy board does."""
        address, second, third = request.arguments
        at = address - self.base
        if request.command in (READ, LINK_READ):
            return [request.reply(payload=bytes(self.memory[at : at + second]))]
        if request.command in (WRITE, LINK_WRITE):
            assert len(request.payload) == second
            self.memory[at : at + second] = request.payload
        if request.command == FILL:
            self.memory[at : at + third] = struct.pack("<I", second) * (third // 4)
        return [request.reply()]

    @property
    def distinct(self) -> list[Request]:
        """The requests, each once: a peer that is slow to answer is asked again."""
        return list({it.sequence: it for it in reversed(self.requests)}.values())[::-1]

    def send(self, data: bytes) -> None:
        """Send something unasked to the last client."""
        assert self.client is not None
        self._socket.sendto(data, self.client)

    def count(self) -> int:
        """Return how many requests have been sent so far, after taking them all in."""
        self._has_caught_up.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
            marker.sendto(b"mark", ("127.0.0.1", self.port))
        assert self._has_caught_up.wait(PATIENCE)
        return len(self.requests)

    def _serve(self) -> None:
        try:
            while True:
                data, client = self._socket.recvfrom(2048)
                if data == b"end":
                    return
                if data == b"mark":
                    self._has_caught_up.set()
                    continue
                self.client = client
                request = Request(data, len(self.requests))
                self.requests.append(request)
                for answer in self.behave(request):
                    self._socket.sendto(answer, client)
                self.served += 1
        except BaseException as error:  # shown at the end of the block
            self.failure = error

    def __enter__(self) -> Peer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ender:
            while self._thread.is_alive():
                ender.sendto(b"end", ("127.0.0.1", self.port))
                self._thread.join(0.1)
        self._socket.close()
        if self.failure is not None:
            raise self.failure
