# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import logging
import mmap
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from pyspin._ffi import lib
from pyspin.errors import Stopped
from pyspin.memory import (
    MEMCPY_NONTEMPORAL,
    MEMCPY_STD,
    MemoryAllocator,
    MemoryPool,
    MmapAllocator,
    PoolStats,
)
from pyspin.threads import ThreadPool

Eventually = Callable[[Callable[[], object]], None]

MAP_NORESERVE = 0x4000
MAP_FIXED = 0x10
MAP_HUGETLB = 0x40000


def quiet(pool: MemoryPool) -> MemoryPool:
    pool.warn_on_empty = False
    return pool


@pytest.mark.parametrize(
    "make",
    [
        MemoryAllocator,
        MmapAllocator,
        lambda: MmapAllocator(MAP_NORESERVE),
        lambda: MmapAllocator(0, prefer_huge=True),
        lambda: MmapAllocator(flags=MAP_NORESERVE, prefer_huge=True),
        lambda: MemoryPool(100, 10_000, 2, 1),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 100, 4096, 10_000, 3_000_001])
def test_allocators_give_memory(make: Callable[[], MemoryAllocator], size: int) -> None:
    array = make().allocate(size)
    assert array.shape == (size,)
    assert array.dtype == np.uint8
    assert array.flags.writeable
    array[:] = 0x5A
    assert array.sum(dtype=np.uint64) == 0x5A * size
    assert lib.spn_buffers_live() >= 1


def test_slices_keep_the_buffer() -> None:
    before = lib.spn_buffers_live()
    part = MemoryAllocator().allocate(1000)[10:20]
    gc.collect()
    assert lib.spn_buffers_live() == before + 1
    part[:] = 1
    del part
    assert lib.spn_buffers_live() == before


def test_memory_that_nobody_has_is_a_memory_error() -> None:
    for allocator in (MemoryAllocator(), MmapAllocator(), MmapAllocator(prefer_huge=True)):
        with pytest.raises(MemoryError):
            allocator.allocate(sys.maxsize)
    with pytest.raises(MemoryError):
        MemoryPool(1, sys.maxsize, 2, 1)


def test_huge_pages_are_used_or_refused() -> None:
    try:
        array = MmapAllocator(MAP_HUGETLB).allocate(5000)
    except MemoryError:
        return  # none are reserved on this machine
    array[:] = 1


def test_mmap_flags_are_checked() -> None:
    with pytest.raises(ValueError, match=r"flags .*0x10"):
        MmapAllocator(MAP_FIXED)
    with pytest.raises(TypeError, match="flags must be an integer, not 'x'"):
        MmapAllocator("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        MmapAllocator(0, True)  # type: ignore[call-arg]
    assert MmapAllocator(mmap.MAP_PRIVATE).allocate(1).shape == (1,)


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="size must be at least 0, not -1"):
        MemoryAllocator().allocate(-1)


def test_a_pool_reuses_the_newest_buffer() -> None:
    pool = MemoryPool(100, 1000, 4, 2)
    first = pool.allocate(500)
    address = first.ctypes.data
    del first
    assert pool.allocate(1000).ctypes.data == address
    assert pool.stats == PoolStats(free=2, outstanding=0, hits=2, misses=0, refilled=0)


def test_a_missed_buffer_joins_the_pool() -> None:
    pool = quiet(MemoryPool(100, 1000, 2, 0))
    arrays = [pool.allocate(100) for _ in range(3)]
    assert pool.stats == PoolStats(free=0, outstanding=3, hits=0, misses=3, refilled=0)
    arrays.clear()
    assert pool.stats.free == 2
    assert pool.stats.outstanding == 0


def test_other_sizes_pass_the_pool_by() -> None:
    pool = MemoryPool(100, 1000, 2, 1)
    arrays = [pool.allocate(99), pool.allocate(1001)]
    assert pool.stats == PoolStats(free=1, outstanding=0, hits=0, misses=0, refilled=0)
    arrays.clear()


def test_an_empty_pool_warns(caplog: pytest.LogCaptureFixture, eventually: Eventually) -> None:
    pool = MemoryPool(100, 1000, 2, 0)
    assert pool.warn_on_empty is True
    with caplog.at_level(logging.WARNING, "pyspin"):
        pool.allocate(321)
        eventually(lambda: "memory pool is empty when allocating 321 bytes" in caplog.text)
    pool.warn_on_empty = False
    assert pool.warn_on_empty is False


FORMS: list[Callable[[ThreadPool, MemoryAllocator], MemoryPool]] = [
    lambda t, a: MemoryPool(1, 100, 3, 2),
    lambda t, a: MemoryPool(1, 100, 3, 2, a),
    lambda t, a: MemoryPool(1, 100, 3, 2, None),
    lambda t, a: MemoryPool(1, 100, 3, initial=2, allocator=a),
    lambda t, a: MemoryPool(lower=1, upper=100, max_free=3, initial=2),
    lambda t, a: MemoryPool(lower=1, upper=100, max_free=3, initial=2, allocator=a),
    lambda t, a: MemoryPool(t, 1, 100, 3, 2, 1),
    lambda t, a: MemoryPool(t, 1, 100, 3, 2, 1, a),
    lambda t, a: MemoryPool(t, 1, 100, 3, 2, 0, None),
    lambda t, a: MemoryPool(t, 1, 100, 3, initial=2, low_water=1),
    lambda t, a: MemoryPool(t, lower=1, upper=100, max_free=3, initial=2, low_water=2),
    lambda t, a: MemoryPool(
        thread_pool=t, lower=1, upper=100, max_free=3, initial=2, low_water=1, allocator=a
    ),
]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_the_constructor(
    form: Callable[[ThreadPool, MemoryAllocator], MemoryPool],
) -> None:
    with ThreadPool() as threads:
        pool = form(threads, MmapAllocator())
        assert pool.stats.free == 2
        pool.allocate(100)[:] = 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 4, 1, 1), "lower must be at most upper .4., not 5"),
        ((1, 4, 1, 2), "initial must be at most max_free .1., not 2"),
        ((-1, 4, 1, 1), "lower must be at least 0, not -1"),
        ((1, 4, -1, -1), "max_free must be at least 0, not -1"),
        ((1, 2**70, 1, 1), "upper must be at most"),
    ],
)
def test_sizes_of_a_pool_are_checked(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MemoryPool(*arguments)  # type: ignore[call-overload]


def test_a_low_water_above_the_start_is_refused() -> None:
    with ThreadPool() as threads, pytest.raises(ValueError, match=r"low_water .*\(2\), not 3"):
        MemoryPool(threads, 1, 2, 3, 2, 3)


def test_wrong_types_are_named() -> None:
    with pytest.raises(TypeError, match="thread_pool must be a ThreadPool, not 'x'"):
        MemoryPool("x", 1, 2, 3, 2, 1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="allocator must be a MemoryAllocator, not 7"):
        MemoryPool(1, 2, 3, 2, 7)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="upper must be an integer, not 'x'"):
        MemoryPool(1, "x", 3, 2)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"MemoryPool.*initial"):
        MemoryPool(1, 2, 3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"MemoryPool.*low_water"):
        MemoryPool(ThreadPool(), 1, 2, 3, 2)  # type: ignore[call-overload]


def test_a_stopped_thread_pool_is_refused() -> None:
    threads = ThreadPool()
    threads.stop()
    with pytest.raises(Stopped):
        MemoryPool(threads, 1, 2, 3, 2, 1)
    assert MemoryPool(threads, 1, 2, 3, 2, 0).stats.free == 2


def test_the_refill_brings_the_pool_back_to_its_start(eventually: Eventually) -> None:
    with ThreadPool() as threads:
        pool = quiet(MemoryPool(threads, 1, 10_000, 10, 5, 4))
        arrays = [pool.allocate(5000) for _ in range(4)]
        eventually(lambda: pool.stats.free >= 5)
        assert pool.stats.refilled >= 4 - pool.stats.misses
        arrays.clear()


def test_many_rapid_allocations_with_refill(eventually: Eventually) -> None:
    with ThreadPool(2) as threads:
        pool = quiet(MemoryPool(threads, 1, 100_000, 20, 10, 10))
        arrays = [pool.allocate(100_000) for _ in range(100)]
        eventually(lambda: pool.stats.free >= 10)
        arrays.clear()
        assert pool.stats.free == 20


def test_a_pool_may_go_before_its_buffers_and_threads() -> None:
    for _ in range(50):
        threads = ThreadPool()
        pool = quiet(MemoryPool(threads, 1, 10_000, 100, 50, 50))
        array = pool.allocate(10_000)
        del threads, pool
        array[:] = 1


def test_a_pool_works_on_after_its_threads_stopped() -> None:
    threads = ThreadPool()
    pool = quiet(MemoryPool(threads, 1, 10_000, 100, 50, 50))
    array = pool.allocate(10_000)
    threads.stop()
    del array
    assert pool.allocate(10_000).size == 10_000


def test_threads_share_a_pool() -> None:
    with ThreadPool() as threads:
        pool = quiet(MemoryPool(threads, 1, 1000, 4, 4, 2))

        def use() -> None:
            for i in range(100):
                array = pool.allocate(1 + i)
                array[:] = i
                assert (array == i).all()

        users = [threading.Thread(target=use) for _ in range(4)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        assert pool.stats.hits + pool.stats.misses == 400
        assert pool.stats.outstanding == 0


def test_a_pool_may_be_the_base_of_another() -> None:
    inner = MemoryPool(1, 1000, 3, 3)
    outer = MemoryPool(1, 1000, 3, 2, inner)
    assert inner.stats.outstanding == 2
    array = outer.allocate(10)
    assert (inner.stats.free, outer.stats.free) == (1, 1)
    del outer, array
    assert inner.stats.free == 3


def test_the_copies_have_names() -> None:
    assert MEMCPY_STD == 0
    assert MEMCPY_NONTEMPORAL == 1
