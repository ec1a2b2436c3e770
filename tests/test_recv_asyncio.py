# SPDX-License-Identifier: Apache-2.0
"""Receiving in asyncio: what other loops have not."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from loops import Asyncio, Uvloop
from patience import PATIENCE
from receiving import bind, send, small_heaps, wait_until

import pyspin
import pyspin.recv
from pyspin._ffi import lib
from pyspin.recv import turns
from pyspin.recv.asyncio import Stream


def stream_of(count: int, **options: Any) -> Stream:
    stream = Stream(pyspin.ThreadPool(), **options)
    stream.add_buffer_reader(b"".join(small_heaps(count)))
    return stream


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [Asyncio, Uvloop])
def test_newcomers_wait_behind(kind: type[Asyncio]) -> None:
    async def main(loop: Asyncio) -> None:
        stream = stream_of(200)
        waiters = [asyncio.ensure_future(stream.get()) for _ in range(3)]
        await asyncio.sleep(0)
        late = [asyncio.ensure_future(stream.get()) for _ in range(3)]
        assert [(await waiter).cnt for waiter in waiters + late] == [1, 2, 3, 4, 5, 6]

    kind().run(main)


@pytest.mark.parametrize("kind", [Asyncio, Uvloop])
def test_a_newcomer_does_not_overtake_who_waits(
    kind: type[Asyncio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_SLICE", 3600)  # in which heaps that are there are taken at once

    async def main(loop: Asyncio) -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            send(small_heaps(1), port)
            assert (await stream.get()).cnt == 1
            first = asyncio.ensure_future(stream.get())
            await settle()
            send(small_heaps(2, first=2), port)
            wait_until(lambda: stream.waiting == 2)  # the loop has not seen it yet
            second = asyncio.ensure_future(stream.get())
            assert [(await getting).cnt for getting in (first, second)] == [2, 3]

    kind().run(main)


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
            return (await asyncio.wait_for(stream.get(), PATIENCE)).cnt

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
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert sorted(taken) == list(range(1, count + 1))
