# SPDX-License-Identifier: Apache-2.0
"""Receiving in Tornado."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from receiving import bind, send, small_heaps
from tornado import gen
from tornado.ioloop import IOLoop
from tornado.util import TimeoutError

import pyspin
import pyspin.recv
from pyspin.recv.tornado import Ring, Stream


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function in a new loop, with a deadline."""
    loop = IOLoop(make_current=False)
    try:
        loop.run_sync(main, timeout=60)
    finally:
        loop.close()


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


def test_generator_coroutines() -> None:
    @gen.coroutine
    def main() -> Any:
        heap = yield stream_of(1).get()
        assert heap.cnt == 1

    run(main)


def test_async_for_and_get_many() -> None:
    async def main() -> None:
        assert [heap.cnt async for heap in stream_of(500)] == list(range(1, 501))
        assert [heap.cnt for heap in await stream_of(1).get_many(7)] == [1]

    run(main)


def test_waiters_are_served_in_order() -> None:
    async def main() -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            waiters = [asyncio.ensure_future(stream.get()) for _ in range(10)]
            await gen.sleep(0.005)
            waiters[4].cancel()
            send(small_heaps(9), port)
            del waiters[4]
            assert [(await waiter).cnt for waiter in waiters] == list(range(1, 10))

    run(main)


@pytest.mark.parametrize("delta", [True, False])
def test_timeouts_cost_no_heap(delta: bool) -> None:
    async def main() -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            for _ in range(2):
                soon = datetime.timedelta(milliseconds=1)
                with pytest.raises(TimeoutError):
                    await stream.get(soon if delta else IOLoop.current().time() + 0.001)
            send(small_heaps(1), port)
            assert (await stream.get(datetime.timedelta(seconds=30))).cnt == 1

    run(main)


def test_stop_wakes_every_waiter() -> None:
    async def main() -> None:
        stream = Stream(pyspin.ThreadPool())
        waiters = [asyncio.ensure_future(stream.get()) for _ in range(5)]
        await gen.sleep(0.005)
        stream.stop()
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(result) for result in results] == [pyspin.Stopped] * 5

    run(main)


def test_a_busy_stream_leaves_the_loop_its_turn() -> None:
    async def main() -> None:
        stream = stream_of(20_000, ring_heaps=64)
        loop = IOLoop.current()
        turns = 0
        done = False

        def turn() -> None:
            nonlocal turns
            turns += 1
            if not done:
                loop.add_callback(turn)

        turn()
        at_half = 0
        async for heap in stream:
            if heap.cnt == 10_000:
                at_half = turns
        done = True
        assert 1 < at_half < turns

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
