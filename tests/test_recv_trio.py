# SPDX-License-Identifier: Apache-2.0
"""Receiving in trio: what other loops have not."""

from __future__ import annotations

import trio
import trio.testing
from loops import Loop, Trio
from receiving import small_heaps

import pyspin
from pyspin.recv.trio import Stream


def test_every_get_is_a_checkpoint() -> None:
    async def main(loop: Loop) -> None:
        stream = Stream(pyspin.ThreadPool())
        stream.add_buffer_reader(b"".join(small_heaps(2)))
        with trio.testing.assert_checkpoints():
            await stream.get()
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.get()
        assert scope.cancelled_caught
        assert (await stream.get()).cnt == 2

    Trio().run(main)
