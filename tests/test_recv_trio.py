# SPDX-License-Identifier: Apache-2.0
"""Receiving in trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
from receiving import bind, send, small_heaps

import pyspin
import pyspin.recv
from pyspin.recv.trio import Ring, Stream


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine function, with a deadline."""

    async def with_deadline() -> None:
        with trio.fail_after(60):
            await main()

    trio.run(with_deadline)


def stream_of(count: int, **options: Any) -> Stream:
    stream = Stream(pyspin.ThreadPool(), **options)
    stream.add_buffer_reader(b"".join(small_heaps(count)))
    return stream


def test_get_and_then_stopped() -> None:
    async def main() -> None:
        stream = stream_of(3)
        assert [(await stream.get()).cnt for _ in range(3)] == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(pyspin.Stopped):
                await stream.get()

    run(main)


def test_async_for_and_get_many() -> None:
    async def main() -> None:
        assert [heap.cnt async for heap in stream_of(500)] == list(range(1, 501))
        assert [heap.cnt for heap in await stream_of(1).get_many(7)] == [1]

    run(main)


def test_every_get_is_a_checkpoint() -> None:
    async def main() -> None:
        stream = stream_of(2)
        with trio.testing.assert_checkpoints():
            await stream.get()
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.get()
        assert scope.cancelled_caught
        assert (await stream.get()).cnt == 2

    run(main)


def test_waiters_are_served_in_order() -> None:
    async def main() -> None:
        got: list[tuple[int, int]] = []

        async def take(index: int, stream: Stream, scope: trio.CancelScope) -> None:
            with scope:
                got.append((index, (await stream.get()).cnt))

        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            scopes = [trio.CancelScope() for _ in range(6)]
            async with trio.open_nursery() as nursery:
                for index, scope in enumerate(scopes):
                    nursery.start_soon(take, index, stream, scope)
                    await trio.testing.wait_all_tasks_blocked()
                for index in (0, 3):
                    scopes[index].cancel()
                await trio.testing.wait_all_tasks_blocked()
                send(small_heaps(4), port)
        assert got == [(1, 1), (2, 2), (4, 3), (5, 4)]

    run(main)


def test_timeouts_cost_no_heap() -> None:
    async def main() -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            with trio.move_on_after(0.001):
                await stream.get()
            send(small_heaps(1), port)
            assert (await stream.get()).cnt == 1

    run(main)


def test_stop_wakes_every_waiter() -> None:
    async def main() -> None:
        stopped = 0

        async def take(stream: Stream) -> None:
            nonlocal stopped
            with pytest.raises(pyspin.Stopped):
                await stream.get()
            stopped += 1

        stream = Stream(pyspin.ThreadPool())
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(take, stream)
            await trio.testing.wait_all_tasks_blocked()
            stream.stop()
        assert stopped == 5

    run(main)


def test_a_shared_ring() -> None:
    async def main() -> None:
        ring = Ring()
        pool = pyspin.ThreadPool()
        streams = [Stream(pool, ring=ring, tag=tag) for tag in (1, 2)]
        for stream in streams:
            stream.add_buffer_reader(b"".join(small_heaps(20)))
        tags = [heap.tag async for heap in ring]
        assert sorted(tags) == [1] * 20 + [2] * 20

    run(main)


def test_a_ring_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="ring must be"):
        Stream(pyspin.ThreadPool(), ring=pyspin.recv.Ring())
