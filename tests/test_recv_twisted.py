# SPDX-License-Identifier: Apache-2.0
"""Receiving in Twisted, under several of its reactors."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from receiving import bind, run_script, send, small_heaps
from twisted.internet import epollreactor, pollreactor, selectreactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import pyspin
import pyspin.recv
from pyspin.recv.twisted import Ring, Stream

Main = Callable[[Any], Coroutine[Any, Any, None]]


@pytest.fixture(
    params=[epollreactor.EPollReactor, pollreactor.PollReactor, selectreactor.SelectReactor]
)
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """Run a coroutine function of a reactor in a new one, with a deadline."""

    def run(main: Main) -> None:
        reactor = request.param()
        outcome: list[object] = []

        def begin() -> None:
            done = Deferred.fromCoroutine(main(reactor))
            done.addTimeout(60, reactor)
            done.addBoth(outcome.append)
            done.addBoth(lambda _: reactor.stop())

        reactor.callWhenRunning(begin)
        reactor.run(installSignalHandlers=False)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()

    return run


def stream_of(reactor: Any, count: int, **options: Any) -> Stream:
    stream = Stream(pyspin.ThreadPool(), reactor=reactor, **options)
    stream.add_buffer_reader(b"".join(small_heaps(count)))
    return stream


def settle(reactor: Any) -> Deferred[None]:
    """Let everything that is ready run."""
    return deferLater(reactor, 0.005)


def test_get_and_then_stopped(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        stream = stream_of(reactor, 3)
        getting = stream.get()
        assert isinstance(getting, Deferred)
        cnts = [(await getting).cnt, (await stream.get()).cnt, (await stream.get()).cnt]
        assert cnts == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(pyspin.Stopped):
                await stream.get()

    run(main)


def test_async_for(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        assert [heap.cnt async for heap in stream_of(reactor, 500)] == list(range(1, 501))

    run(main)


def test_get_many(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        stream = stream_of(reactor, 50, ring_heaps=16)
        got: list[int] = []
        while len(got) < 50:
            got += [heap.cnt for heap in await stream.get_many(7)]
        assert got == list(range(1, 51))

    run(main)


def test_callbacks_of_waiters_come_in_order(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        with Stream(pyspin.ThreadPool(), reactor=reactor) as stream:
            port = bind(stream)
            got: list[tuple[int, int]] = []
            waiters = [
                stream.get().addCallback(lambda heap, i=i: got.append((i, heap.cnt)))
                for i in range(10)
            ]
            await settle(reactor)
            send(small_heaps(10), port)
            await DeferredList(waiters)
            assert got == [(i, i + 1) for i in range(10)]

    run(main)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_cancelled_waiter_costs_no_heap(run: Callable[[Main], None], which: int) -> None:
    async def main(reactor: Any) -> None:
        with Stream(pyspin.ThreadPool(), reactor=reactor) as stream:
            port = bind(stream)
            waiters = [stream.get() for _ in range(3)]
            await settle(reactor)
            waiters[which].cancel()
            send(small_heaps(2), port)
            left = [waiter for i, waiter in enumerate(waiters) if i != which]
            assert [(await waiter).cnt for waiter in left] == [1, 2]
            with pytest.raises(CancelledError):
                await waiters[which]

    run(main)


def test_timeouts_cost_no_heap(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        with Stream(pyspin.ThreadPool(), reactor=reactor) as stream:
            port = bind(stream)
            with pytest.raises(TimeoutError):
                await stream.get().addTimeout(0.001, reactor)
            send(small_heaps(1), port)
            assert (await stream.get()).cnt == 1

    run(main)


def test_stop_wakes_every_waiter(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        stream = Stream(pyspin.ThreadPool(), reactor=reactor)
        waiters = [stream.get() for _ in range(500)]
        await settle(reactor)
        stream.stop()
        for waiter in waiters:
            with pytest.raises(pyspin.Stopped):
                await waiter

    run(main)


def test_a_busy_stream_leaves_the_reactor_its_turn(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        stream = stream_of(reactor, 20_000, ring_heaps=64)
        turns = 0
        done = False

        def turn() -> None:
            nonlocal turns
            turns += 1
            if not done:
                reactor.callLater(0, turn)

        turn()
        at_half = 0
        async for heap in stream:
            if heap.cnt == 10_000:
                at_half = turns
        done = True
        assert 1 < at_half < turns

    run(main)


def test_the_fd_is_watched_only_while_somebody_waits(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        with Stream(pyspin.ThreadPool(), reactor=reactor) as stream:
            before = set(reactor.getReaders())
            getting = stream.get()
            await settle(reactor)
            [descriptor] = set(reactor.getReaders()) - before
            assert descriptor.fileno() == stream.fd
            getting.addErrback(lambda failure: failure.trap(CancelledError))
            getting.cancel()
            assert set(reactor.getReaders()) == before

    run(main)


def test_a_shared_ring(run: Callable[[Main], None]) -> None:
    async def main(reactor: Any) -> None:
        ring = Ring(reactor=reactor)
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


def test_the_installed_reactor_is_the_default() -> None:
    done = run_script(
        """
        import packets, pyspin
        from pyspin.recv.twisted import Stream
        from twisted.internet import defer, task

        async def main(reactor):
            stream = Stream(pyspin.ThreadPool())
            stream.add_buffer_reader(packets.data_packet(5, b"", 0, 0))
            print((await stream.get()).cnt)

        task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
        """
    )
    assert (done.stdout, done.returncode) == ("5\n", 0), done.stderr
