# SPDX-License-Identifier: Apache-2.0
"""Receiving in Tornado: what other loops have not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from loops import Loop, Tornado
from patience import PATIENCE
from receiving import bind, send, small_heaps
from tornado import gen
from tornado.ioloop import IOLoop
from tornado.util import TimeoutError

import pyspin
from pyspin.recv.tornado import Stream


def test_generator_coroutines() -> None:
    @gen.coroutine
    def main(loop: Loop) -> Any:
        stream = Stream(pyspin.ThreadPool())
        stream.add_buffer_reader(small_heaps(1)[0])
        heap = yield stream.get()
        assert heap.cnt == 1

    Tornado().run(main)


@pytest.mark.parametrize("delta", [True, False])
def test_timeouts_cost_no_heap(delta: bool) -> None:
    async def main(loop: Loop) -> None:
        with Stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            for _ in range(2):
                soon = datetime.timedelta(milliseconds=1)
                with pytest.raises(TimeoutError):
                    await stream.get(soon if delta else IOLoop.current().time() + 0.001)
            send(small_heaps(1), port)
            assert (await stream.get(datetime.timedelta(seconds=PATIENCE))).cnt == 1

    Tornado().run(main)


@pytest.mark.parametrize("timeout", ["x", -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    async def main(loop: Loop) -> None:
        stream = Stream(pyspin.ThreadPool())
        with pytest.raises((TypeError, ValueError), match=r"^timeout must be .*, not"):
            await stream.get(timeout)

    Tornado().run(main)
