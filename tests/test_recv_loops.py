# SPDX-License-Identifier: Apache-2.0
"""Receiving in event loops: what is the same in all of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from loops import LOOPS, Loop, Main
from patience import PATIENCE
from receiving import bind, send, small_heaps

import pyspin
import pyspin.recv

Test = Callable[[Loop], Coroutine[Any, Any, None]]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """Run a coroutine function of a `Loop` in each kind of loop."""
    loop: Loop = request.param()
    return loop.run


Run = Callable[[Test], None]


def stream_of(loop: Loop, count: int, **options: Any) -> Any:
    stream = loop.stream(pyspin.ThreadPool(), **options)
    stream.add_buffer_reader(b"".join(small_heaps(count)))
    return stream


async def outcome_of(loop: Loop, started: Any) -> Any:
    """Return the result of what was started, or the exception."""
    try:
        return await loop.result(started)
    except (pyspin.Stopped, loop.cancelled) as error:
        return error


def test_get_and_then_stopped(run: Run) -> None:
    async def main(loop: Loop) -> None:
        stream = stream_of(loop, 3)
        assert [(await stream.get()).cnt for _ in range(3)] == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(pyspin.Stopped):
                await stream.get()

    run(main)


def test_async_for(run: Run) -> None:
    async def main(loop: Loop) -> None:
        assert [heap.cnt async for heap in stream_of(loop, 1000)] == list(range(1, 1001))

    run(main)


def test_get_many(run: Run) -> None:
    async def main(loop: Loop) -> None:
        stream = stream_of(loop, 100, ring_heaps=16)
        got: list[int] = []
        sizes = set()
        while len(got) < 100:
            heaps = await stream.get_many(7)
            sizes.add(len(heaps))
            got += [heap.cnt for heap in heaps]
        assert got == list(range(1, 101))
        assert 1 < max(sizes) <= 7
        with pytest.raises(pyspin.Stopped):
            await stream.get_many(7)

    run(main)


def test_get_many_of_a_ring(run: Run) -> None:
    async def main(loop: Loop) -> None:
        ring = loop.ring(16)
        stream = stream_of(loop, 50, ring=ring)
        got: list[int] = []
        while len(got) < 50:
            got += [heap.cnt for heap in await ring.get_many(7)]
        assert got == list(range(1, 51))
        with pytest.raises(pyspin.Stopped):
            await ring.get_many(7)
        assert stream.stopped

    run(main)


@pytest.mark.parametrize("many", [False, True])
def test_waiting_for_the_network(run: Run, many: bool) -> None:
    async def main(loop: Loop) -> None:
        with loop.stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            for cnt in range(20):
                getting = loop.start((lambda: stream.get_many(9)) if many else stream.get)
                await loop.settle()
                assert not loop.is_done(getting)
                send(small_heaps(1, first=cnt), port)
                found = await loop.result(getting)
                assert [heap.cnt for heap in (found if many else [found])] == [cnt]

    run(main)


def test_waiters_are_served_in_order(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with loop.stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            waiters = []
            for _ in range(10):
                waiters.append(loop.start(stream.get))
                await loop.settle()
            send(small_heaps(10), port)
            assert [(await loop.result(waiter)).cnt for waiter in waiters] == list(range(1, 11))

    run(main)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_cancelled_waiter_costs_no_heap(run: Run, which: int) -> None:
    async def main(loop: Loop) -> None:
        with loop.stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            waiters = []
            for _ in range(3):
                waiters.append(loop.start(stream.get))
                await loop.settle()
            loop.cancel(waiters[which])
            send(small_heaps(2), port)
            left = [waiter for i, waiter in enumerate(waiters) if i != which]
            assert [(await loop.result(waiter)).cnt for waiter in left] == [1, 2]
            with pytest.raises(loop.cancelled):
                await loop.result(waiters[which])

    run(main)


def test_cancelling_at_every_moment_costs_no_heap(run: Run) -> None:
    async def main(loop: Loop) -> None:
        count = 300
        stream = stream_of(loop, count)
        got: list[int] = []
        outcomes: list[Any] = []
        rounds = 0
        while not any(isinstance(outcome, pyspin.Stopped) for outcome in outcomes):
            both = [loop.start(stream.get), loop.start(stream.get)]
            for _ in range(rounds % 5):
                await loop.round()
            rounds += 1
            loop.cancel(both[0])
            outcomes = [await outcome_of(loop, started) for started in both]
            got += [heap.cnt for heap in outcomes if isinstance(heap, pyspin.recv.Heap)]
        assert sorted(got) == list(range(1, count + 1))

    run(main)


def test_timeouts_cost_no_heap(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with loop.stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            for _ in range(3):
                with pytest.raises(loop.timed_out):
                    await loop.get_within(0.001, stream)
            send(small_heaps(1), port)
            assert (await loop.get_within(PATIENCE, stream)).cnt == 1

    run(main)


def test_stop_wakes_every_waiter(run: Run) -> None:
    async def main(loop: Loop) -> None:
        stream = loop.stream(pyspin.ThreadPool())
        waiters = [loop.start(stream.get) for _ in range(300)]
        await loop.settle()
        loop.cancel(waiters[2])
        stream.stop()
        outcomes = [type(await outcome_of(loop, waiter)) for waiter in waiters]
        assert outcomes.pop(2) is loop.cancelled
        assert outcomes == [pyspin.Stopped] * 299

    run(main)


def test_a_busy_stream_leaves_the_loop_its_turn(run: Run) -> None:
    async def main(loop: Loop) -> None:
        stream = stream_of(loop, 20_000, ring_heaps=64)
        turns = 0
        done = False

        async def other() -> None:
            nonlocal turns
            while not done:
                turns += 1
                await loop.round()

        others = loop.start(other)
        at_half = 0
        async for heap in stream:
            if heap.cnt == 10_000:
                at_half = turns
        done = True
        await loop.result(others)
        assert 1 < at_half < turns

    run(main)


def test_a_shared_ring(run: Run) -> None:
    async def main(loop: Loop) -> None:
        ring = loop.ring(8)
        pool = pyspin.ThreadPool(2)
        streams = [loop.stream(pool, ring=ring, tag=tag) for tag in (1, 2)]
        # A stream that is not of the loop may feed the ring as well.
        streams.append(pyspin.recv.Stream(pool, ring=ring, tag=3))
        for stream in streams:
            stream.add_buffer_reader(b"".join(small_heaps(50)))
        waiting = [loop.start(source.get) for source in (streams[0], ring)]
        first = [await loop.result(waiter) for waiter in waiting]
        tags = [heap.tag for heap in first] + [heap.tag async for heap in ring]
        assert sorted(tags) == [1] * 50 + [2] * 50 + [3] * 50

    run(main)


def test_arguments(run: Run) -> None:
    async def main(loop: Loop) -> None:
        with pytest.raises(TypeError, match="ring must be"):
            loop.stream(pyspin.ThreadPool(), ring=pyspin.recv.Ring())
        with pytest.raises(TypeError, match="iterable"):
            iter(loop.stream(pyspin.ThreadPool()))

    run(main)
