# SPDX-License-Identifier: Apache-2.0
"""What several tests of receiving need: streams from bytes, ports, waiting with a deadline."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import packets
from patience import PATIENCE

import pyspin
import pyspin.recv

SO_RCVBUFFORCE = 33

#: A name that is too long to be one, so no name server is asked.
NO_HOST = "no-such-host." * 20


def heaps_of(data: bytes | Sequence[bytes], **options: Any) -> list[Any]:
    """Return the heaps that a stream makes of packets in memory."""
    return list(stream_of(data, **options))


def stream_of(data: bytes | Sequence[bytes], **options: Any) -> pyspin.recv.Stream:
    """Return a stream that reads packets from memory."""
    stop_on_stop_item = options.pop("stop_on_stop_item", True)
    pool = options.pop("thread_pool", None) or pyspin.ThreadPool()
    stream = pyspin.recv.Stream(pool, **options)
    stream.stop_on_stop_item = stop_on_stop_item
    stream.add_buffer_reader(data if isinstance(data, bytes) else b"".join(data))
    return stream


def small_heaps(count: int, first: int = 1) -> list[bytes]:
    """Return packets of heaps of one packet and one immediate item, 0x1000 = cnt."""
    return [
        packets.data_packet(cnt, b"", 0, 0, [packets.immediate(0x1000, cnt)])
        for cnt in range(first, first + count)
    ]


def enlarge_buffer(own: socket.socket) -> int:
    """Ask for a receive buffer that holds what a test sends at once; return what is given.

    Beyond net.core.rmem_max it is given to those who may force it, root for one.
    """
    for option in (SO_RCVBUFFORCE, socket.SO_RCVBUF):
        with contextlib.suppress(PermissionError):
            own.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
            break
    return own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def bind(
    stream: pyspin.recv.Stream,
    host: str = "127.0.0.1",
    family: int = socket.AF_INET,
    **options: Any,
) -> int:
    """Add a UDP reader on a free port of `host` and return the port."""
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        stream.add_udp_reader(0, bind_hostname=host, socket=own, **options)
        if "buffer_size" not in options:
            enlarge_buffer(own)
        return int(own.getsockname()[1])


def free_port(host: str = "127.0.0.1", family: int = socket.AF_INET) -> int:
    """Return a port on which nobody listens.

    Systems hand out ports from beyond these, so it stays free until somebody asks for it.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        while True:
            port = random.SystemRandom().randrange(20_000, 32_000)
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                return port


def send(
    datagrams: Sequence[bytes], port: int, host: str = "127.0.0.1", family: int = socket.AF_INET
) -> None:
    """Send datagrams to a port."""
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for datagram in datagrams:
            sender.sendto(datagram, (host, port))


def wait_until(condition: Callable[[], bool], what: str = "condition") -> None:
    """Wait for what no descriptor tells of, or fail after the deadline."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE} s"
        time.sleep(0.001)


class InThread:
    """A call in a thread of its own, whose result is waited for with a deadline."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self._outcome: Any = None
        self._error: BaseException | None = None
        self._call = lambda: function(*arguments, **options)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), f"still running after {PATIENCE} s"
        if self._error is not None:
            raise self._error
        return self._outcome


def run_script(script: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run Python code in a child process, as one with Ctrl-C as from a terminal."""
    prologue = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    )
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", prologue + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
