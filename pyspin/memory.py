# SPDX-License-Identifier: Apache-2.0
"""Where the payloads of heaps are kept: allocators, and pools of buffers."""

from __future__ import annotations

import dataclasses
import errno
import sys
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from . import log
from ._ffi import check, ffi, lib, own
from .arguments import integer
from .threads import ThreadPool

if TYPE_CHECKING:
    from ._core import spn_allocator

__all__ = [
    "MEMCPY_NONTEMPORAL",
    "MEMCPY_STD",
    "MemoryAllocator",
    "MemoryPool",
    "MmapAllocator",
    "PoolStats",
]

#: Copy payloads through the caches, as ``memcpy`` does.
MEMCPY_STD: int = lib.SPN_MEMCPY_STD

#: Copy payloads past the caches (SSE2, AVX2 or AVX-512, the widest that the processor has).
MEMCPY_NONTEMPORAL: int = lib.SPN_MEMCPY_NONTEMPORAL


class Memory:
    """Show memory of the C library to numpy, and keep its owner for as long as arrays do."""

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, owner: object, address: int, size: int) -> None:
        self._owner = owner
        self.__array_interface__ = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
        }


class MemoryAllocator:
    """Allocate with ``malloc``, touching every page.

    So the thread that receives meets no page fault. This is what a stream uses unless told
    otherwise. All allocators may be shared by any number of streams and threads; what they gave
    out keeps them alive.
    """

    pointer: spn_allocator

    def __init__(self) -> None:
        out = ffi.new("spn_allocator **")
        check(lib.spn_allocator_new_malloc(out))
        self.pointer = own(out[0], lib.spn_allocator_unref)

    def allocate(self, size: int) -> npt.NDArray[np.uint8]:
        """Return a buffer of `size` bytes as an array of uint8, shape (size,), not cleared.

        It goes back to the allocator with the last array that refers to it. MemoryError when
        there is no memory, ValueError for a negative size. Any thread may call.
        """
        length = integer("size", size, 0, sys.maxsize)
        out = ffi.new("spn_buffer **")
        check(lib.spn_buffer_new(self.pointer, length, out))
        buffer = own(out[0], lib.spn_buffer_free)
        return np.asarray(Memory(buffer, int(ffi.cast("uintptr_t", buffer.data)), length))


class MmapAllocator(MemoryAllocator):
    """Allocate with ``mmap``: whole pages, given back to the system at once when freed.

    `flags` are added to ``MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE`` (see mmap(2), and the
    constants of Python's `mmap` module), for example ``MAP_HUGETLB``. With `prefer_huge`, huge
    pages are tried first, and after them ordinary ones, which the system may make transparent huge
    pages. Huge pages are always reserved, whatever ``MAP_NORESERVE`` says. An allocation that the
    system refuses is a MemoryError here, and a dropped and counted heap in a stream.

    With `numa_node`, pages come from that memory node while it has room and from others then
    (mbind(2), ``MPOL_PREFERRED``), whichever thread allocates. Without, they come from the node of
    the thread that allocates.

    ValueError for ``MAP_FIXED``, which would map buffers over other memory, and for a node that
    the machine does not have; OSError where the process may not choose a node.
    """

    def __init__(
        self, flags: int = 0, *, prefer_huge: bool = False, numa_node: int | None = None
    ) -> None:
        number = integer("flags", flags, 0)
        out = ffi.new("spn_allocator **")
        code = lib.spn_allocator_new_mmap(number, bool(prefer_huge), out)
        if code == -errno.EINVAL:
            raise ValueError(f"flags must not contain MAP_FIXED, but are {number:#x}")
        check(code)
        self.pointer = own(out[0], lib.spn_allocator_unref)
        if numa_node is not None:
            self._set_numa_node(integer("numa_node", numa_node, 0))

    def _set_numa_node(self, node: int) -> None:
        code = lib.spn_allocator_set_numa_node(self.pointer, node)
        if code == -errno.ENODEV:
            raise ValueError(f"numa_node must be a memory node of this machine, not {node}")
        if code < 0:
            raise OSError(-code, f"the system does not let memory be taken from node {node}")


@dataclasses.dataclass(frozen=True)
class PoolStats:
    """What a pool holds, and how it served up to now."""

    #: Buffers in the pool.
    free: int
    #: Buffers of the pool that are in use.
    outstanding: int
    #: Allocations served from the pool.
    hits: int
    #: Allocations that found the pool empty.
    misses: int
    #: Buffers made by the background task.
    refilled: int


@dataclasses.dataclass(frozen=True)
class _Settings:
    thread_pool: ThreadPool | None
    lower: int
    upper: int
    max_free: int
    initial: int
    low_water: int
    allocator: MemoryAllocator | None

    def __post_init__(self) -> None:
        if self.thread_pool is not None and not isinstance(self.thread_pool, ThreadPool):
            raise TypeError(f"thread_pool must be a ThreadPool, not {self.thread_pool!r}")
        if self.allocator is not None and not isinstance(self.allocator, MemoryAllocator):
            raise TypeError(f"allocator must be a MemoryAllocator, not {self.allocator!r}")
        for name in ("lower", "upper", "max_free", "initial", "low_water"):
            integer(name, getattr(self, name), 0, sys.maxsize)
        for name, bound in (("lower", "upper"), ("initial", "max_free"), ("low_water", "initial")):
            low, high = getattr(self, name), getattr(self, bound)
            if low > high:
                raise ValueError(f"{name} must be at most {bound} ({high}), not {low}")


class MemoryPool(MemoryAllocator):
    """Keep buffers for reuse, so that a stream seldom asks the system for memory.

    Sizes from `lower` to `upper` bytes are served with buffers of `upper` bytes, the one that was
    freed last first; other sizes go to `allocator` (default: a `MemoryAllocator`). The pool starts
    with `initial` buffers (from 2 MiB on, and without an `allocator` of yours, in transparent huge
    pages if the system has them) and keeps at most `max_free` free ones. When it is empty it
    allocates, logging a warning unless `warn_on_empty` is off, and that buffer joins the pool
    later.

    With a thread pool, a background task fills it up to `initial` again whenever fewer than
    `low_water` buffers are left. After the threads have been stopped, and in a forked child, the
    pool works on without it.

    Raises ValueError unless lower <= upper, low_water <= initial <= max_free, and none is
    negative; TypeError for arguments of other types; MemoryError if the first buffers cannot be
    had; Stopped if the thread pool has been stopped already; ForkedError if it is that of a parent
    process. Any thread may use it.
    """

    @overload
    def __init__(
        self,
        lower: int,
        upper: int,
        max_free: int,
        initial: int,
        allocator: MemoryAllocator | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        thread_pool: ThreadPool,
        lower: int,
        upper: int,
        max_free: int,
        initial: int,
        low_water: int,
        allocator: MemoryAllocator | None = None,
    ) -> None: ...

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) > 5 or "thread_pool" in kwargs or isinstance(next(iter(args), 0), ThreadPool):
            settings = _with_threads(*args, **kwargs)
        else:
            settings = _without_threads(*args, **kwargs)
        threads, base = settings.thread_pool, settings.allocator
        log.start()
        out = ffi.new("spn_allocator **")
        check(
            lib.spn_allocator_new_pool(
                threads.pointer if threads is not None else ffi.NULL,
                settings.lower,
                settings.upper,
                settings.max_free,
                settings.initial,
                settings.low_water,
                base.pointer if base is not None else ffi.NULL,
                out,
            )
        )
        self.pointer = own(out[0], lib.spn_allocator_unref)
        self._warn_on_empty = True

    @property
    def warn_on_empty(self) -> bool:
        """Whether an allocation that finds the pool empty is logged as a warning."""
        return self._warn_on_empty

    @warn_on_empty.setter
    def warn_on_empty(self, value: bool) -> None:
        check(lib.spn_allocator_set_warn_on_empty(self.pointer, bool(value)))
        self._warn_on_empty = bool(value)

    @property
    def stats(self) -> PoolStats:
        """A consistent snapshot of the pool's counters."""
        out = ffi.new("spn_pool_stats *")
        check(lib.spn_allocator_read_pool_stats(self.pointer, out))
        return PoolStats(out.free, out.outstanding, out.hits, out.misses, out.refilled)


def _without_threads(
    lower: int,
    upper: int,
    max_free: int,
    initial: int,
    allocator: MemoryAllocator | None = None,
) -> _Settings:
    return _Settings(None, lower, upper, max_free, initial, 0, allocator)


def _with_threads(
    thread_pool: ThreadPool,
    lower: int,
    upper: int,
    max_free: int,
    initial: int,
    low_water: int,
    allocator: MemoryAllocator | None = None,
) -> _Settings:
    if not isinstance(thread_pool, ThreadPool):
        raise TypeError(f"thread_pool must be a ThreadPool, not {thread_pool!r}")
    return _Settings(thread_pool, lower, upper, max_free, initial, low_water, allocator)


# A wrong call is reported under the name that was called.
_without_threads.__qualname__ = _with_threads.__qualname__ = "MemoryPool"
