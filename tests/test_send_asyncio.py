# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import resource

import pytest
from patience import PATIENCE
from sending import check_arrives, make_heap, make_watched_heap, receiver

from pyspin.errors import Stopped
from pyspin.send import StreamConfig
from pyspin.send.asyncio import UdpStream
from pyspin.threads import ThreadPool

SLOW = StreamConfig(rate=100.0, burst_size=4000, max_heaps=2)
"""A rate at which the second burst of a heap is minutes away."""


def new_uvloop():
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture(params=[asyncio.new_event_loop, new_uvloop], ids=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine in a new loop, within the deadline."""

    def run(coroutine):
        loop = request.param()
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE))
        finally:
            loop.close()

    return run


@pytest.fixture
def pool():
    with ThreadPool() as pool:
        yield pool


def test_heaps_are_queued_at_the_call(pool, run):
    heaps = [make_heap(20000, seed) for seed in range(3)]

    async def main(sock):
        async with UdpStream(pool, *sock.getsockname()) as stream:
            futures = [stream.async_send_heap(heap) for heap in heaps]
            for cnt, heap in enumerate(heaps, 1):
                check_arrives(sock, heap, cnt)
            sizes = await asyncio.gather(*futures)
            assert all(size > 20000 for size in sizes)
            assert stream.stats.heaps == 3

    with receiver() as sock:
        run(main(sock))


def test_a_small_heap_is_sent_in_the_call(pool, run):
    async def main(sock):
        async with UdpStream(pool, *sock.getsockname()) as stream:
            future = stream.async_send_heap(make_heap())
            assert future.done()
            assert await future > 5000
            await stream.async_flush()

    with receiver() as sock:
        run(main(sock))


def test_leaving_the_block_waits_for_what_is_in_flight(pool, run):
    async def main(sock):
        config = StreamConfig(rate=1e6, burst_size=4000)
        async with UdpStream(pool, *sock.getsockname(), config) as stream:
            future = stream.async_send_heap(make_heap(20000))
            assert not future.done()
        assert await future > 20000
        check_arrives(sock, make_heap(20000), 1)

    with receiver() as sock:
        run(main(sock))


def test_a_block_that_raises_gives_up_what_is_in_flight(pool, run):
    async def main(sock):
        with contextlib.suppress(ZeroDivisionError):
            async with UdpStream(pool, *sock.getsockname(), SLOW) as stream:
                future = stream.async_send_heap(make_heap(20000))
                raise ZeroDivisionError
        with pytest.raises(Stopped):
            await future

    with receiver() as sock:
        run(main(sock))


def test_a_refused_heap_is_told_by_the_future(pool, run, caplog):
    async def main(sock):
        stream = UdpStream(pool, *sock.getsockname(), SLOW)
        futures = [stream.async_send_heap(make_heap()) for _ in range(3)]
        with pytest.raises(BlockingIOError) as caught:
            await futures[2]
        assert caught.value.errno == errno.EWOULDBLOCK
        with pytest.raises(OSError, match="cnt") as caught:
            await stream.async_send_heap(make_heap(), 1 << 40)
        assert caught.value.errno == errno.EINVAL
        assert not futures[0].done()
        stream.stop()
        results = await asyncio.gather(*futures[:2], return_exceptions=True)
        assert [type(result) for result in results] == [Stopped, Stopped]
        with pytest.raises(Stopped):
            stream.async_send_heap(make_heap())

    with receiver() as sock:
        run(main(sock))
    assert "max_heaps 2 are in flight" in caplog.text


def test_errors_of_the_socket(pool, run):
    async def main(sock):
        endpoints = [sock.getsockname(), ("255.255.255.255", 9)]
        async with UdpStream(pool, endpoints) as stream:
            good = stream.async_send_heap(make_heap())
            bad = stream.async_send_heap(make_heap(), substream_index=1)
            await stream.async_flush()
            assert good.done()
            assert good.result() > 5000
            with pytest.raises(OSError, match="denied"):
                bad.result()

    with receiver() as sock:
        run(main(sock))


@contextlib.contextmanager
def no_more_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_heap_can_be_waited_for_where_there_are_no_more_descriptors(pool, run):
    async def main(sock):
        async with UdpStream(pool, *sock.getsockname()) as stream:
            with no_more_descriptors():
                future = stream.async_send_heap(make_heap(100_000))
            assert await future > 100_000
        with no_more_descriptors(), pytest.raises(OSError, match="Too many open files"):
            UdpStream(pool, *sock.getsockname())

    with receiver() as sock:
        run(main(sock))


def test_flush_waits_only_for_earlier_heaps(pool, run):
    async def main(sock):
        config = StreamConfig(rate=100.0, burst_size=20000, max_heaps=4)
        stream = UdpStream(pool, *sock.getsockname(), config)
        first = stream.async_send_heap(make_heap(100))
        flush = asyncio.ensure_future(stream.async_flush())
        await asyncio.sleep(0)
        later = stream.async_send_heap(make_heap(100000))
        await flush
        assert first.done()
        assert not later.done()
        stream.stop()
        with pytest.raises(Stopped):
            await later
        await stream.async_flush()

    with receiver() as sock:
        run(main(sock))


def test_heaps_one_after_another(pool, run):
    async def main(sock):
        config = StreamConfig(rate=1e6, burst_size=4000)
        async with UdpStream(pool, *sock.getsockname(), config) as stream:
            for cnt in (1, 2, 3):
                assert await stream.async_send_heap(make_heap(9000)) > 9000
                check_arrives(sock, make_heap(9000), cnt)

    with receiver() as sock:
        run(main(sock))


def test_a_cancelled_flush_hinders_nobody(pool, run):
    async def main(sock):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: complaints.append(context)
        )
        config = StreamConfig(rate=1e6, burst_size=4000)
        async with UdpStream(pool, *sock.getsockname(), config) as stream:
            future = stream.async_send_heap(make_heap(9000))
            flushes = [asyncio.ensure_future(stream.async_flush()) for _ in range(2)]
            await asyncio.sleep(0)
            flushes[0].cancel()
            await flushes[1]
            assert future.done()
        assert complaints == []

    with receiver() as sock:
        run(main(sock))


def test_a_cancelled_future_does_not_take_the_heap_back(pool, run):
    async def main(sock):
        config = StreamConfig(rate=1e6, burst_size=4000)
        async with UdpStream(pool, *sock.getsockname(), config) as stream:
            heap = make_heap(20000)
            future = stream.async_send_heap(heap)
            assert future.cancel()
            await stream.async_send_heap(heap)
            for cnt in (1, 2):
                check_arrives(sock, heap, cnt)
            with pytest.raises(asyncio.CancelledError):
                await future

    with receiver() as sock:
        run(main(sock))


def test_a_stream_outlives_its_loop(pool, run):
    async def send(stream, sock, cnt):
        await stream.async_send_heap(make_heap())
        check_arrives(sock, make_heap(), cnt)

    with receiver() as sock:
        stream = UdpStream(pool, *sock.getsockname())
        run(send(stream, sock, 1))
        run(send(stream, sock, 2))
        stream.stop()


def test_a_loop_that_was_closed_with_a_heap_in_flight(pool, run):
    async def leave(stream):
        stream.async_send_heap(make_heap())

    async def go_on(stream):
        future = stream.async_send_heap(make_heap())
        stream.stop()
        with pytest.raises(Stopped):
            await future
        assert not stream._in_flight

    with receiver() as sock:
        stream = UdpStream(pool, *sock.getsockname(), SLOW)
        run(leave(stream))
        run(go_on(stream))


def test_flush_may_block(pool, run):
    async def main(sock):
        stream = UdpStream(pool, *sock.getsockname())
        future = stream.async_send_heap(make_heap())
        stream.flush()
        assert await future > 5000
        stream.stop()

    with receiver() as sock:
        run(main(sock))


def test_values_are_held_until_they_have_been_sent(pool, run):
    async def main(sock):
        stream = UdpStream(pool, *sock.getsockname(), SLOW)
        heap, reference = make_watched_heap()
        future = stream.async_send_heap(heap)
        del heap
        gc.collect()
        assert reference() is not None
        stream.stop()
        with pytest.raises(Stopped):
            await future
        gc.collect()
        assert reference() is None

    with receiver() as sock:
        run(main(sock))


def test_a_stream_that_is_dropped_with_its_loop(pool):
    async def main(sock):
        UdpStream(pool, *sock.getsockname(), SLOW).async_send_heap(make_heap())

    with receiver() as sock:
        asyncio.run(main(sock))
        gc.collect()


def test_a_loop_can_be_given(pool):
    loop = asyncio.new_event_loop()
    with receiver() as sock, contextlib.closing(loop):
        stream = UdpStream(pool, *sock.getsockname(), loop=loop)
        future = stream.async_send_heap(make_heap())
        assert loop.run_until_complete(future) > 5000
        other = stream.async_send_heap(make_heap(), -1, loop)
        assert loop.run_until_complete(other) > 5000
        stream.stop()
        bare = UdpStream(pool, *sock.getsockname())
        with pytest.raises(RuntimeError):
            bare.async_send_heap(make_heap())
        third = bare.async_send_heap(make_heap(), loop=loop)
        assert loop.run_until_complete(third) > 5000
        bare.stop()
