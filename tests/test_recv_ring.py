# SPDX-License-Identifier: Apache-2.0
"""Several streams into one ring."""

from __future__ import annotations

import select

import pytest
from patience import PATIENCE
from receiving import InThread, small_heaps, wait_until

import pyspin
import pyspin.recv


def feed(
    ring: pyspin.recv.Ring, tag: int, count: int, pool: pyspin.ThreadPool
) -> pyspin.recv.Stream:
    stream = pyspin.recv.Stream(pool, ring=ring, tag=tag)
    stream.add_buffer_reader(b"".join(small_heaps(count)))
    return stream


def test_streams_share_a_ring_and_heaps_tell_whose_they_are() -> None:
    ring = pyspin.recv.Ring(8)
    pool = pyspin.ThreadPool(2)
    idle = pyspin.recv.Stream(pool, ring=ring)
    streams = [feed(ring, tag, 100, pool) for tag in (1, 2, 2**64 - 1)]
    wait_until(lambda: ring.waiting == 8, "full ring")
    idle.stop()
    got: dict[int, list[int]] = {}
    for heap in ring:
        got.setdefault(heap.tag, []).append(heap.cnt)
    assert got == {tag: list(range(1, 101)) for tag in (1, 2, 2**64 - 1)}
    assert [stream.stats.heaps for stream in streams] == [100, 100, 100]


def test_ring_ends_with_its_last_stream() -> None:
    ring = pyspin.recv.Ring()
    pool = pyspin.ThreadPool()
    first = pyspin.recv.Stream(pool, ring=ring)
    second = pyspin.recv.Stream(pool, ring=ring)
    first.stop()
    with pytest.raises(pyspin.Empty):
        ring.get_nowait()
    second.stop()
    with pytest.raises(pyspin.Stopped):
        ring.get_nowait()


def test_stopping_a_ring_refuses_streams_and_wakes_waiters() -> None:
    pool = pyspin.ThreadPool()
    with pyspin.recv.Ring() as ring:
        waiter = InThread(ring.get)
    with pytest.raises(pyspin.Stopped):
        waiter.result()
    with pytest.raises(pyspin.Stopped):
        pyspin.recv.Stream(pool, ring=ring)


def test_one_fd_for_all_streams() -> None:
    ring = pyspin.recv.Ring()
    pool = pyspin.ThreadPool()
    idle = pyspin.recv.Stream(pool, ring=ring)
    assert select.select([ring], [], [], 0)[0] == []
    feeder = feed(ring, 5, 1, pool)
    assert select.select([ring], [], [], PATIENCE)[0] == [ring]
    assert ring.get_nowait().tag == 5
    assert select.select([ring], [], [], 0)[0] == []
    idle.stop()
    feeder.stop()


def test_a_stream_without_ring_has_its_tag_too() -> None:
    stream = pyspin.recv.Stream(pyspin.ThreadPool(), tag=3)
    stream.add_buffer_reader(small_heaps(1)[0])
    assert stream.get().tag == 3


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1, not 0"):
        pyspin.recv.Ring(0)
    with pytest.raises(TypeError, match="ring must be"):
        pyspin.recv.Stream(pyspin.ThreadPool(), ring=4)  # type: ignore[arg-type]


def test_each_stream_keeps_its_bugs() -> None:
    ring = pyspin.recv.Ring()
    pool = pyspin.ThreadPool()
    streams = [pyspin.recv.Stream(pool, bugs, ring=ring, tag=bugs) for bugs in range(4)]
    for stream in streams:
        stream.add_buffer_reader(small_heaps(1)[0])
    assert all(heap.flavour.bug_compat == heap.tag for heap in ring)
