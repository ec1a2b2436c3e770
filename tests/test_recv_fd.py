# SPDX-License-Identifier: Apache-2.0
"""The descriptor: readable exactly while get_nowait would not raise Empty."""

from __future__ import annotations

import os
import select
import selectors
import socket
from collections.abc import Callable

import pytest
from patience import PATIENCE
from receiving import InThread, bind, send, small_heaps, stream_of, wait_until

import pyspin
import pyspin.recv


def by_select(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def by_poll(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def by_epoll(fd: int) -> bool:
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        return bool(epoll.poll(0))


@pytest.mark.parametrize("readable", [by_select, by_poll, by_epoll])
def test_fd_tells_whether_there_is_a_heap(readable: Callable[[int], bool]) -> None:
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        port = bind(stream)
        assert not readable(stream.fd)
        send(small_heaps(2), port)
        wait_until(lambda: stream.waiting == 2, "heaps")
        assert readable(stream.fd)
        stream.get_nowait()
        assert readable(stream.fd)
        stream.get_nowait()
        assert not readable(stream.fd)
    assert readable(stream.fd)
    with pytest.raises(pyspin.Stopped):
        stream.get_nowait()
    assert readable(stream.fd)


def test_fd_made_late_agrees_too() -> None:
    stream = stream_of(small_heaps(1))
    wait_until(lambda: stream.stopped, "end of the stream")
    assert by_poll(stream.fd)
    stream.get_nowait()
    assert by_poll(stream.fd)


def test_fd_stays_the_same_and_is_not_inherited() -> None:
    stream = pyspin.recv.Stream(pyspin.ThreadPool())
    fd = stream.fd
    assert not os.get_inheritable(fd)
    assert not os.get_blocking(fd)
    stream.stop()
    assert stream.fd == stream.fileno() == fd


def test_fd_is_closed_with_the_stream() -> None:
    stream = pyspin.recv.Stream(pyspin.ThreadPool())
    fd = stream.fd
    os.fstat(fd)
    del stream
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_streams_beside_sockets_in_a_selector() -> None:
    pool = pyspin.ThreadPool()
    streams = [pyspin.recv.Stream(pool) for _ in range(3)]
    left, right = socket.socketpair()
    with left, right, selectors.DefaultSelector() as selector:
        selector.register(left, selectors.EVENT_READ, "socket")
        for index, stream in enumerate(streams):
            selector.register(stream, selectors.EVENT_READ, index)
        right.send(b"x")
        for index in (0, 2):
            send(small_heaps(1, first=index + 10), bind(streams[index]))
        got = {}
        while len(got) < 3:
            events = selector.select(PATIENCE)
            assert events
            for key, _ in events:
                if key.data == "socket":
                    got["socket"] = left.recv(1)
                else:
                    got[key.data] = streams[key.data].get_nowait().cnt
        assert got == {"socket": b"x", 0: 10, 2: 12}
    for stream in streams:
        stream.stop()


def consume(stream: pyspin.recv.Stream) -> list[int]:
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    cnts = []
    while True:
        assert poll.poll(1000 * PATIENCE)
        try:
            cnts.append(stream.get_nowait().cnt)
        except pyspin.Empty:
            pass  # another consumer was first
        except pyspin.Stopped:
            return cnts


def test_several_consumers_on_one_fd() -> None:
    stream = stream_of(small_heaps(500), ring_heaps=2)
    consumers = [InThread(consume, stream) for _ in range(3)]
    got = [cnt for consumer in consumers for cnt in consumer.result()]
    assert sorted(got) == list(range(1, 501))
