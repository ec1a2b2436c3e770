# SPDX-License-Identifier: Apache-2.0
"""Receiving in asyncio, under its own loop and under uvloop."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from receiving import bind, send, small_heaps

import pyspin
import pyspin.recv
from pyspin._ffi import lib
from pyspin.recv.asyncio import Ring, Stream

Main = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """Run a coroutine function in a new loop, with a deadline."""
    new_loop = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop

    def run(main: Main) -> None:
        loop = new_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(main(), 60))
        finally:
            loop.close()

    return run


def stream_of(count: int, **options: Any) -> Stream:
    stream = Stream(pyspin.ThreadPool(), **options)
    stream.add_buffer_reader(b"".join(small_heaps(count)))
    return stream


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_get_and_then_stopped(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        stream = stream_of(3)
        assert [(await stream.get()).cnt for _ in range(3)] == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(pyspin.Stopped):
                await stream.get()

    run(main)


def test_async_for(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        assert [heap.cnt async for heap in stream_of(1000)] == list(range(1, 1001))

    run(main)


def test_get_many(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        stream = stream_of(100, ring_heaps=16)
        got: list[int] = []
        while len(got) < 100:
            heaps = await stream.get_many(7)
            assert 1 <= len(heaps) <= 7
            got += [heap.cnt for heap in heaps]
        assert got == list(range(1, 101))
        with pytest.raises(pyspin.Stopped):
            await stream.get_many(7)

    run(main)


def test_waiting_for_the_network(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            for cnt in range(20):
                getting = asyncio.ensure_future(stream.get())
                await settle()
                assert not getting.done()
                send(small_heaps(1, first=cnt), port)
                assert (await getting).cnt == cnt

    run(main)


def test_waiters_are_served_in_order(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            waiters = [asyncio.ensure_future(stream.get()) for _ in range(10)]
            await settle()
            send(small_heaps(10), port)
            assert [(await waiter).cnt for waiter in waiters] == list(range(1, 11))

    run(main)


def test_newcomers_wait_behind(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        stream = stream_of(200)
        waiters = [asyncio.ensure_future(stream.get()) for _ in range(3)]
        await asyncio.sleep(0)
        late = [asyncio.ensure_future(stream.get()) for _ in range(3)]
        assert [(await waiter).cnt for waiter in waiters + late] == [1, 2, 3, 4, 5, 6]

    run(main)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_cancelled_waiter_costs_no_heap(run: Callable[[Main], None], which: int) -> None:
    async def main() -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            waiters = [asyncio.ensure_future(stream.get()) for _ in range(3)]
            await settle()
            waiters[which].cancel()
            send(small_heaps(2), port)
            left = [waiter for i, waiter in enumerate(waiters) if i != which]
            assert [(await waiter).cnt for waiter in left] == [1, 2]
            assert waiters[which].cancelled()

    run(main)


def test_cancelling_at_every_moment_costs_no_heap(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        count = 300
        stream = stream_of(count)
        got = []
        rounds = 0
        while True:
            getting = asyncio.ensure_future(stream.get())
            other = asyncio.ensure_future(stream.get())
            for _ in range(rounds % 5):
                await asyncio.sleep(0)
            rounds += 1
            getting.cancel()
            results = await asyncio.gather(getting, other, return_exceptions=True)
            got += [result.cnt for result in results if isinstance(result, pyspin.recv.Heap)]
            if any(isinstance(result, pyspin.Stopped) for result in results):
                break
        assert got == list(range(1, count + 1))

    run(main)


def test_timeouts_cost_no_heap(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(stream.get(), 0.001)
            send(small_heaps(1), port)
            assert (await stream.get()).cnt == 1

    run(main)


def test_stop_wakes_every_waiter(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        stream = Stream(pyspin.ThreadPool())
        waiters = [asyncio.ensure_future(stream.get()) for _ in range(5)]
        await settle()
        waiters[2].cancel()
        stream.stop()
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(result) for result in results] == [
            pyspin.Stopped,
            pyspin.Stopped,
            asyncio.CancelledError,
            pyspin.Stopped,
            pyspin.Stopped,
        ]

    run(main)


def test_a_busy_stream_leaves_the_loop_its_turn(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        stream = stream_of(20_000, ring_heaps=64)
        turns = 0
        done = False

        async def other() -> None:
            nonlocal turns
            while not done:
                turns += 1
                await asyncio.sleep(0)

        others = asyncio.ensure_future(other())
        at_half = 0
        async for heap in stream:
            if heap.cnt == 10_000:
                at_half = turns
        done = True
        await others
        assert 0 < at_half < turns

    run(main)


def test_the_fd_is_watched_only_while_somebody_waits() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def watched(stream: Stream) -> bool:
            return loop.remove_reader(stream.fd)

        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            assert not watched(stream)
            getting = asyncio.ensure_future(stream.get())
            await settle()
            send(small_heaps(1), port)
            await getting
            assert not watched(stream)
            getting = asyncio.ensure_future(stream.get())
            await settle()
            getting.cancel()
            await settle()
            assert not watched(stream)
            getting = asyncio.ensure_future(stream.get())
            await settle()
            assert watched(stream)
            getting.cancel()

    asyncio.run(main())


def test_an_idle_stream_makes_no_rounds() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        rounds = 0
        once = loop._run_once  # type: ignore[attr-defined]

        def counted() -> None:
            nonlocal rounds
            rounds += 1
            once()

        with Stream(pyspin.ThreadPool()) as stream:
            getting = asyncio.ensure_future(stream.get())
            await settle()
            loop._run_once = counted  # type: ignore[attr-defined]
            # A timer is all that happens while nothing arrives.
            await asyncio.sleep(0.05)
            getting.cancel()
            return rounds

    assert asyncio.run(main()) <= 5


def test_a_shared_ring(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        ring = Ring(8)
        pool = pyspin.ThreadPool(2)
        streams = [Stream(pool, ring=ring, tag=tag) for tag in (1, 2)]
        # A stream that is not of the loop may feed the ring as well.
        streams.append(pyspin.recv.Stream(pool, ring=ring, tag=3))
        for stream in streams:
            stream.add_buffer_reader(b"".join(small_heaps(50)))
        waiting = [asyncio.ensure_future(source.get()) for source in (streams[0], ring)]
        first = [await waiter for waiter in waiting]
        tags = [heap.tag for heap in first] + [heap.tag async for heap in ring]
        assert sorted(tags) == [1] * 50 + [2] * 50 + [3] * 50

    run(main)


def test_arguments() -> None:
    with pytest.raises(TypeError, match="ring must be"):
        Stream(pyspin.ThreadPool(), ring=pyspin.recv.Ring())
    with pytest.raises(TypeError, match="iterable"):
        iter(Stream(pyspin.ThreadPool()))  # type: ignore[call-overload]


def test_old_scripts_pass_their_loop() -> None:
    loop = asyncio.new_event_loop()
    stream = Stream(pyspin.ThreadPool(), 0, 4, 4, loop=loop)
    stream.add_buffer_reader(small_heaps(1)[0])
    assert loop.run_until_complete(stream.get(loop=loop)).cnt == 1
    loop.close()


def test_one_stream_in_one_loop_after_another() -> None:
    with Stream(pyspin.ThreadPool()) as stream:
        port = bind(stream)
        for cnt in range(3):

            async def main(cnt: int = cnt) -> int:
                abandoned = asyncio.ensure_future(stream.get())
                getting = asyncio.ensure_future(stream.get())
                await settle()
                abandoned.cancel()
                send(small_heaps(1, first=cnt), port)
                heap = await getting
                still_waiting = asyncio.ensure_future(stream.get())
                await settle()
                assert not still_waiting.done()
                return int(heap.cnt)

            assert asyncio.run(main()) == cnt


def test_nothing_is_left_when_the_loop_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    stream = Stream(pyspin.ThreadPool())
    taking = [stream.get(), stream.get()]
    for coroutine in taking:
        loop.call_soon(lambda coroutine=coroutine: coroutine.send(None))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    for coroutine in taking:
        coroutine.close()
    del taking, coroutine, stream
    gc.collect()
    assert lib.spn_heaps_live() == 0


def test_a_loop_that_was_closed_keeps_nobody_from_the_heaps() -> None:
    with Stream(pyspin.ThreadPool(), ring_heaps=3) as stream:
        loop = asyncio.new_event_loop()
        left_behind = stream.get()
        task = loop.create_task(left_behind)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        stream.add_buffer_reader(b"".join(small_heaps(2)))

        async def take() -> int:
            return (await asyncio.wait_for(stream.get(), 60)).cnt

        assert asyncio.run(take()) == 1
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        left_behind.close()
        assert asyncio.run(take()) == 2


def test_several_loops_share_a_stream() -> None:
    count = 60
    with Stream(pyspin.ThreadPool(), ring_heaps=2) as stream:
        taken: list[int] = []

        async def take() -> None:
            async for heap in stream:
                taken.append(heap.cnt)
                await asyncio.sleep(0)

        threads = [threading.Thread(target=asyncio.run, args=(take(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        stream.add_buffer_reader(b"".join(small_heaps(count)))
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert sorted(taken) == list(range(1, count + 1))
