# SPDX-License-Identifier: Apache-2.0
"""The threads that do the work of streams, senders, pools and links."""

from __future__ import annotations

import atexit
import errno
from collections.abc import Iterable
from types import TracebackType

from . import log
from ._ffi import check, ffi, lib, own
from .arguments import instance, integer

__all__ = ["ThreadPool", "parse_range_list"]


class ThreadPool:
    """Run the C side of whatever is made with it, on `threads` threads.

    Thread i is pinned to processor ``affinity[i % len(affinity)]``; with no affinity the system
    places the threads. A thread that cannot be pinned runs all the same, and a warning is logged.

    With `spin`, each thread looks for datagrams again and again rather than sleep until some come,
    for as long as it has sockets of streams to look at. Then no datagram waits for a thread to
    wake up, and `max_latency` has no effect, but each such thread takes a whole processor, also
    when nothing comes: give it one of its own.

    The threads never run Python code. They end with `stop`, or when the pool and everything that
    was made with it are gone. In a forked child they do not exist: make another pool there.

    >>> with ThreadPool(2) as pool:
    ...     pool.threads
    2

    Raises TypeError or ValueError for arguments of the wrong type or range, and OSError when the
    system has no more threads or file descriptors. All methods may be called from any thread.
    """

    def __init__(
        self, threads: int = 1, affinity: Iterable[int] = (), *, spin: bool = False
    ) -> None:
        count = integer("threads", threads, 1)
        try:
            processors = list(affinity)
        except TypeError:
            raise TypeError(f"affinity must be a list of processors, not {affinity!r}") from None
        processors = [integer("affinity", each, 0) for each in processors]
        log.start()
        out = ffi.new("spn_threads **")
        code = lib.spn_threads_new(count, processors, len(processors), out)
        if code == -errno.EAGAIN:
            raise BlockingIOError(errno.EAGAIN, f"the system gave no {count} threads")
        check(code)
        self.pointer = own(out[0], lib.spn_threads_unref)
        if spin:
            lib.spn_threads_set_spin(self.pointer, True)

    @property
    def threads(self) -> int:
        """The number of threads."""
        return lib.spn_threads_count(self.pointer)

    def stop(self) -> None:
        """End all that runs on the pool, and its threads. Any number of times."""
        lib.spn_threads_stop(self.pointer)

    @staticmethod
    def set_affinity(core: int) -> None:
        """Pin the calling thread to a processor.

        OSError when there is no such processor or the thread may not use it.
        """
        number = integer("core", core, 0)
        code = lib.spn_set_affinity(number)
        if code < 0:
            raise OSError(-code, f"could not pin the thread to processor {number}")

    def __enter__(self) -> ThreadPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<pyspin.ThreadPool of {self.threads} threads>"


def parse_range_list(ranges: str) -> list[int]:
    """Return the numbers of a list such as ``"100,4-6"``, in its order.

    >>> parse_range_list("100,4-6")
    [100, 4, 5, 6]

    The empty string gives an empty list; ValueError if a part is no number or range.
    """
    instance("ranges", ranges, str)
    numbers: list[int] = []
    for part in ranges.split(",") if ranges.strip() else []:
        first, dash, last = part.partition("-")
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            raise ValueError(f"ranges must be like '1,4-6', not {ranges!r}") from None
        if low > high:
            raise ValueError(f"ranges must not run backwards, as {part.strip()!r} does")
        numbers.extend(range(low, high + 1))
    return numbers


# Threads that read memory of Python's must be gone before it is. Registered after the log's own
# end, so it comes first and what it has to say is still heard.
atexit.register(lib.spn_threads_stop_all)
