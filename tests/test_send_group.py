# SPDX-License-Identifier: Apache-2.0
"""Heaps that are sent together."""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import re
import signal
import socket
import threading
import time

import pytest
from patience import PATIENCE
from sending import has_datagram, make_heap, make_watched_heap, packets_of, receiver

import pyspin
import pyspin.send.asyncio
from pyspin import Flavour
from pyspin.errors import Stopped
from pyspin.send import BytesStream, GroupMode, Heap, HeapReference, StreamConfig, UdpStream
from pyspin.threads import ThreadPool

SLOW = StreamConfig(rate=100.0, burst_size=4000, max_heaps=3)
"""A rate at which the second burst of a heap is minutes away."""

MODES = list(GroupMode)
NOWHERE = ("255.255.255.255", 9)
"""A destination that is an error (EACCES) without SO_BROADCAST."""


@pytest.fixture
def pool():
    with ThreadPool() as pool:
        yield pool


def in_order(heaps, mode: GroupMode, max_packet_size: int = 1472) -> list[bytes]:
    """Return the packets of pairs of a heap and its count in the order of `mode`."""
    packets = [packets_of(heap, cnt, max_packet_size) for heap, cnt in heaps]
    if mode is GroupMode.SERIAL:
        return list(itertools.chain(*packets))
    rounds = itertools.zip_longest(*packets)
    return [packet for packet in itertools.chain(*rounds) if packet is not None]


def check_arrive(sock: socket.socket, packets: list[bytes]) -> None:
    for packet in packets:
        assert sock.recv(65536) == packet
    assert not has_datagram(sock)


@pytest.mark.parametrize("gso", [True, False])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("max_packet_size", [200, 1472, 9000])
def test_packets_go_in_the_order_of_the_mode(pool, mode, gso, max_packet_size):
    heaps = [make_heap(size, size) for size in (4000, 1, 12000, 600, 4000)]
    config = StreamConfig(max_packet_size, max_heaps=5)
    with receiver() as sock, UdpStream(pool, *sock.getsockname(), config, gso=gso) as stream:
        packets = in_order(zip(heaps, range(1, 6), strict=True), mode, max_packet_size)
        assert stream.send_heaps([HeapReference(heap) for heap in heaps], mode) == sum(
            map(len, packets)
        )
        check_arrive(sock, packets)
        stats = stream.stats
        assert (stats.heaps, stats.packets) == (5, len(packets))
        assert stats.bytes == sum(map(len, packets))


@pytest.mark.parametrize("mode", MODES)
def test_references_have_counts_and_destinations_of_their_own(pool, mode):
    heap, other = make_heap(9000), make_heap(4000, 1)
    with receiver() as first, receiver() as second:
        endpoints = [first.getsockname(), second.getsockname()]
        with UdpStream(pool, endpoints) as stream:
            references = [
                HeapReference(heap),
                HeapReference(other, cnt=77, substream_index=1),
                heap,
                HeapReference(heap, substream_index=1),
            ]
            stream.send_heaps(iter(references), mode)
            check_arrive(first, in_order([(heap, 1), (heap, 2)], mode))
            check_arrive(second, in_order([(other, 77), (heap, 3)], mode))


def test_series_is_the_default(pool):
    heaps = [make_heap(9000), make_heap(9000, 1)]
    with receiver() as sock, UdpStream(pool, *sock.getsockname()) as stream:
        stream.send_heaps(heaps)
        check_arrive(sock, in_order(zip(heaps, (1, 2), strict=True), GroupMode.SERIAL))


@pytest.mark.parametrize("mode", MODES)
def test_one_error_is_raised_and_the_others_are_sent(pool, mode):
    heaps = [make_heap(9000, seed) for seed in range(5)]
    with receiver() as sock:
        config = StreamConfig(max_heaps=5)
        with UdpStream(pool, [sock.getsockname(), NOWHERE], config) as stream:
            references = [HeapReference(heap) for heap in heaps]
            references[2].substream_index = 1
            with pytest.raises(OSError, match="denied") as caught:
                stream.send_heaps(references, mode)
            assert caught.value.errno == errno.EACCES
            others = [(heaps[i], i + 1) for i in (0, 1, 3, 4)]
            check_arrive(sock, in_order(others, mode))
            assert (stream.stats.heaps, stream.stats.errors) == (4, 1)
            references[2].substream_index = 0
            assert stream.send_heaps(references, mode) > 45000  # there is room again


def bad_references() -> list[tuple[HeapReference, str]]:
    flavour = Heap(Flavour(4, 64, 16))
    flavour.add_start()
    return [
        (HeapReference(make_heap(), substream_index=2), "heaps[1]: there is no substream 2"),
        (HeapReference(make_heap(), substream_index=-1), "heaps[1]: there is no substream -1"),
        (HeapReference(make_heap(), cnt=1 << 40), f"heaps[1]: cnt {1 << 40} does not fit"),
        (HeapReference(make_heap(), cnt=-2), "heaps[1]: cnt -2 does not fit"),
        (HeapReference(flavour, cnt=65536), "heaps[1]: cnt 65536 does not fit"),
    ]


@pytest.mark.parametrize(("bad", "message"), bad_references())
def test_none_is_sent_when_one_cannot_be(pool, caplog, bad, message):
    heap = make_heap()
    with receiver() as sock, UdpStream(pool, *sock.getsockname()) as stream:
        with pytest.raises(OSError, match=re.escape(message)) as caught:
            stream.send_heaps([heap, bad, heap])
        assert caught.value.errno == errno.EINVAL
        assert message in caplog.text
        stream.send_heaps([heap])
        check_arrive(sock, packets_of(heap, 1))
    stream = BytesStream(pool)
    with pytest.raises(OSError, match="heaps"):
        stream.send_heaps([heap, bad, heap])
    assert stream.getvalue() == b""


def test_none_is_sent_when_there_is_no_room_for_all(pool, caplog):
    heap = make_heap(100)
    with receiver() as sock, UdpStream(pool, *sock.getsockname()) as stream:
        with pytest.raises(BlockingIOError) as caught:
            stream.send_heaps([heap] * 5)
        assert caught.value.errno == errno.EWOULDBLOCK
        assert "max_heaps 4 are in flight" in caplog.text
        assert stream.stats.refused == 5
        stream.send_heaps([heap] * 4)
        check_arrive(sock, in_order([(heap, cnt) for cnt in (1, 2, 3, 4)], GroupMode.SERIAL))


def test_bad_arguments_are_named(pool, caplog):
    heap = make_heap()
    for stream in (UdpStream(pool, "127.0.0.1", 9), BytesStream(pool)):
        with pytest.raises(TypeError, match="heaps must be a sequence of HeapReference, not 5"):
            stream.send_heaps(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="heaps must be a sequence of HeapReference, not <Heap"):
            stream.send_heaps(heap)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"heaps\[1\] must be a HeapReference, not b''"):
            stream.send_heaps([heap, b""])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="mode must be a GroupMode, not 1"):
            stream.send_heaps([heap], 1)  # type: ignore[arg-type]
        with pytest.raises(OSError, match="heaps is empty") as caught:
            stream.send_heaps([])
        assert caught.value.errno == errno.EINVAL
    with pytest.raises(TypeError, match="heap must be a Heap, not None"):
        HeapReference(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cnt must be an integer, not 'x'"):
        HeapReference(heap, cnt="x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"substream_index must be an integer, not 1\.5"):
        HeapReference(heap, substream_index=1.5)  # type: ignore[arg-type]
    reference = HeapReference(heap)
    reference.cnt = "x"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="cnt must be an integer, not 'x'"):
        BytesStream(pool).send_heaps([reference])


def test_a_heap_that_cannot_be_cut_is_a_value_error(pool):
    stream = UdpStream(pool, "127.0.0.1", 9, StreamConfig(20))
    with stream, pytest.raises(ValueError, match="max_packet_size must be at least 56, not 20"):
        stream.send_heaps([make_heap()])


def test_a_reference_tells_what_it_is():
    heap = make_heap()
    reference = HeapReference(heap, cnt=5, substream_index=1)
    assert reference.heap is heap
    assert (reference.cnt, reference.substream_index) == (5, 1)
    assert repr(reference).endswith(", cnt=5, substream_index=1)")


@pytest.mark.parametrize("mode", MODES)
def test_a_stopped_stream_refuses(pool, mode):
    stream = UdpStream(pool, "127.0.0.1", 9)
    stream.stop()
    with pytest.raises(Stopped):
        stream.send_heaps([make_heap()], mode)


@pytest.mark.parametrize("mode", MODES)
def test_bytes_streams_write_the_same(pool, mode):
    heaps = [make_heap(size) for size in (5000, 100, 9000)]
    stream = BytesStream(pool)
    references = [HeapReference(heaps[0]), HeapReference(heaps[1], cnt=9), heaps[2]]
    packets = in_order(zip(heaps, (1, 9, 2), strict=True), mode)
    assert stream.send_heaps(references, mode) == sum(map(len, packets))
    assert stream.getvalue() == b"".join(packets)
    stream.send_heap(heaps[1])
    assert stream.getvalue()[sum(map(len, packets)) :] == packets_of(heaps[1], 3)[0]


class Interrupted(Exception):
    pass


def interrupt(number, frame):
    raise Interrupted


def test_the_rate_is_that_of_the_batch_and_values_live_until_the_end(pool):
    def signal_sender():
        while stream.stats.bytes == 0:
            time.sleep(0.001)
        signal.pthread_kill(sender, signal.SIGALRM)

    sender = threading.get_ident()
    heap, reference = make_watched_heap()
    old = signal.signal(signal.SIGALRM, interrupt)
    with receiver() as sock:
        stream = UdpStream(pool, *sock.getsockname(), SLOW)
        thread = threading.Thread(target=signal_sender, daemon=True)
        thread.start()
        try:
            with pytest.raises(Interrupted):
                stream.send_heaps([heap, heap])
        finally:
            signal.signal(signal.SIGALRM, old)
        thread.join()
        assert 4000 <= stream.stats.bytes < 4000 + 1472  # one burst
        del heap
        gc.collect()
        assert reference() is not None
        stream.stop()
        with pytest.raises(Stopped):
            stream.send_heaps([make_heap()])
        gc.collect()
        assert reference() is None
        assert stream.stats.cancelled == 2


# ---- asyncio ----


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


@pytest.mark.parametrize("size", [100, 40_000])
@pytest.mark.parametrize("mode", MODES)
def test_a_future_for_all(pool, mode, size):
    heaps = [make_heap(size, seed) for seed in range(3)]

    async def main(sock):
        async with pyspin.send.asyncio.UdpStream(pool, *sock.getsockname()) as stream:
            future = stream.async_send_heaps(heaps, mode)
            packets = in_order(zip(heaps, (1, 2, 3), strict=True), mode)
            assert await future == sum(map(len, packets))
            check_arrive(sock, packets)

    with receiver() as sock:
        run(main(sock))


def test_a_refused_batch_is_told_by_the_future(pool, caplog):
    heap = make_heap(20000)

    async def main(sock):
        stream = pyspin.send.asyncio.UdpStream(pool, *sock.getsockname(), SLOW)
        first = stream.async_send_heaps([heap, heap])
        with pytest.raises(BlockingIOError):
            await stream.async_send_heaps([heap, heap])
        with pytest.raises(OSError, match="heaps is empty"):
            await stream.async_send_heaps([])
        with pytest.raises(TypeError, match="heaps"):
            stream.async_send_heaps(None)
        third = stream.async_send_heap(heap)
        assert not first.done()
        stream.stop()
        results = await asyncio.gather(first, third, return_exceptions=True)
        assert [type(result) for result in results] == [Stopped, Stopped]
        assert stream.stats.cancelled == 3
        with pytest.raises(Stopped):
            stream.async_send_heaps([heap])

    with receiver() as sock:
        run(main(sock))


def test_the_future_has_the_first_error(pool):
    heaps = [make_heap(5000, seed) for seed in range(3)]

    async def main(sock):
        endpoints = [sock.getsockname(), NOWHERE]
        async with pyspin.send.asyncio.UdpStream(pool, endpoints) as stream:
            references = [HeapReference(heap) for heap in heaps]
            references[1].substream_index = 1
            with pytest.raises(OSError, match="denied"):
                await stream.async_send_heaps(references, GroupMode.ROUND_ROBIN)
            others = [(heaps[0], 1), (heaps[2], 3)]
            check_arrive(sock, in_order(others, GroupMode.ROUND_ROBIN))

    with receiver() as sock:
        run(main(sock))


def test_a_cancelled_future_does_not_take_the_heaps_back(pool):
    heap = make_heap(20000)

    async def main(sock):
        config = StreamConfig(rate=1e6, burst_size=4000)
        async with pyspin.send.asyncio.UdpStream(pool, *sock.getsockname(), config) as stream:
            future = stream.async_send_heaps([heap, heap])
            assert future.cancel()
            await stream.async_flush()
            check_arrive(sock, in_order([(heap, 1), (heap, 2)], GroupMode.SERIAL))

    with receiver() as sock:
        run(main(sock))


def test_values_of_a_batch_are_held_until_they_have_been_sent(pool):
    async def main(sock):
        stream = pyspin.send.asyncio.UdpStream(pool, *sock.getsockname(), SLOW)
        heap, reference = make_watched_heap()
        future = stream.async_send_heaps([heap, heap])
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
