# SPDX-License-Identifier: Apache-2.0
"""Signals while heaps are waited for and taken."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from interrupting import Interruption, interrupted_in
from patience import PATIENCE
from receiving import small_heaps, stream_of, wait_until

import pyspin
import pyspin.recv
from pyspin._ffi import lib
from pyspin.recv import heap, source


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGUSR1)}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "wait",
    [
        lambda stream: stream.get(),
        lambda stream: stream.get(timeout=PATIENCE),
        lambda stream: stream.get_many(3),
        lambda stream: next(stream),
    ],
)
def test_a_handler_that_raises_ends_the_wait(wait: Callable[[pyspin.recv.Stream], Any]) -> None:
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        with interrupted_in(source.HeapSource._take, source.HeapSource._take_many):
            wait(stream)
        stream.add_buffer_reader(small_heaps(1)[0])
        assert stream.get().cnt == 1


def test_a_handler_that_returns_does_not_end_the_wait() -> None:
    handled = threading.Event()
    stream = pyspin.recv.Stream(pyspin.ThreadPool())

    def handle(number: int, frame: object) -> None:
        handled.set()

    def feed() -> None:
        wait_until(handled.is_set, "signal")
        stream.add_buffer_reader(small_heaps(1)[0])

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    feeder = threading.Thread(target=feed)
    feeder.start()
    assert stream.get().cnt == 1
    feeder.join()


class Storm:
    """Signals at every moment, whose handler raises once after each `arm`."""

    def __init__(self) -> None:
        self.is_armed = False
        self._finished = threading.Event()
        self._sender = threading.Thread(target=self._send)

    def __enter__(self) -> Storm:
        signal.signal(signal.SIGUSR1, self._handle)
        self._sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_armed = False
        self._finished.set()
        self._sender.join()

    def _send(self) -> None:
        while not self._finished.wait(0.0001):
            os.kill(os.getpid(), signal.SIGUSR1)

    def _handle(self, number: int, frame: object) -> None:
        if self.is_armed:
            self.is_armed = False
            raise Interruption


@pytest.mark.parametrize("many", [False, True])
def test_a_storm_of_signals_leaks_no_heap(many: bool) -> None:
    count = 3000
    stream = stream_of(small_heaps(count), ring_heaps=64)
    taken: list[int] = []
    interrupted = 0
    has_ended = False
    with Storm() as storm:
        while not has_ended:
            heaps: list[source.AnyHeap] = []
            try:
                storm.is_armed = True
                try:
                    heaps = stream.get_many(7) if many else [stream.get()]
                except pyspin.Stopped:
                    has_ended = True
                storm.is_armed = False
            except Interruption:
                interrupted += 1
            taken += [heap.cnt for heap in heaps]
    assert stream.stats.heaps == count
    assert taken == sorted(set(taken))
    # A handler can still raise when Python has the heap but the caller not yet.
    assert count - len(taken) <= interrupted * 7


@pytest.mark.parametrize("many", [False, True])
def test_what_was_taken_as_a_handler_raised_comes_again(
    many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = stream_of(small_heaps(5), ring_heaps=8)
    wait_until(lambda: stream.stopped, "end of the stream")
    take = source._pop

    def take_and_raise(*arguments: object) -> int:
        take(*arguments)
        raise Interruption

    monkeypatch.setattr(source, "_pop", take_and_raise)
    with pytest.raises(Interruption):
        stream.get_many(3) if many else stream.get()
    monkeypatch.undo()
    assert [heap.cnt for heap in stream] == [1, 2, 3, 4, 5]


def test_what_was_owned_as_a_handler_raised_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stream_of(small_heaps(5), ring_heaps=8)
    wait_until(lambda: stream.stopped, "end of the stream")
    wraps = 0

    def wrap_and_raise(heap: object, owner: object) -> object:
        nonlocal wraps
        wraps += 1
        if wraps == 2:
            raise Interruption
        return wrap(heap, owner)

    wrap = source.wrap
    monkeypatch.setattr(source, "wrap", wrap_and_raise)
    with pytest.raises(Interruption):
        stream.get_many(4)
    monkeypatch.undo()
    assert [heap.cnt for heap in stream] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("take", ["get", "get_nowait", "get_many", "__next__"])
def test_a_handler_may_raise_wherever_python_lets_it(take: str) -> None:
    """Signal handlers run where functions begin, among other places."""
    live = lib.spn_heaps_live()
    for entry in range(1, 20):
        stream = stream_of(small_heaps(5), ring_heaps=8)
        wait_until(lambda stream=stream: stream.stopped, "end of the stream")
        entries = 0

        def trace(frame: FrameType, event: str, _: object, entry: int = entry) -> None:
            nonlocal entries
            if frame.f_code.co_filename in (source.__file__, heap.__file__):
                entries += 1
                if entries == entry:
                    raise Interruption

        got: list[pyspin.recv.Heap] = []
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            got = getattr(stream, take)(*[3] * (take == "get_many"))
        except Interruption:
            pass
        finally:
            sys.settrace(before)
        taken = [each.cnt for each in (got if isinstance(got, list) else [got])]
        del got
        assert taken + [each.cnt for each in stream] == [1, 2, 3, 4, 5]
        if entries < entry:
            break
    else:
        pytest.fail("it never ran to its end")
    del stream
    gc.collect()
    assert lib.spn_heaps_live() == live
