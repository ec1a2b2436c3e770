# SPDX-License-Identifier: Apache-2.0
"""Receiving in Twisted, under several of its reactors: what other loops have not."""

from __future__ import annotations

import pytest
from loops import Twisted, TwistedPoll, TwistedSelect
from receiving import bind, run_script, send, small_heaps
from twisted.internet.defer import CancelledError, DeferredList

import pyspin

every_reactor = pytest.mark.parametrize("kind", [Twisted, TwistedPoll, TwistedSelect])


@every_reactor
def test_callbacks_of_waiters_come_in_order(kind: type[Twisted]) -> None:
    async def main(loop: Twisted) -> None:
        with loop.stream(pyspin.ThreadPool()) as stream:
            port = bind(stream)
            got: list[tuple[int, int]] = []
            waiters = [
                stream.get().addCallback(lambda heap, i=i: got.append((i, heap.cnt)))
                for i in range(10)
            ]
            await loop.settle()
            send(small_heaps(10), port)
            await DeferredList(waiters)
            assert got == [(i, i + 1) for i in range(10)]

    kind().run(main)


@every_reactor
def test_the_fd_is_watched_only_while_somebody_waits(kind: type[Twisted]) -> None:
    async def main(loop: Twisted) -> None:
        reactor = loop.reactor
        with loop.stream(pyspin.ThreadPool()) as stream:
            before = set(reactor.getReaders())
            getting = stream.get()
            await loop.settle()
            [descriptor] = set(reactor.getReaders()) - before
            assert descriptor.fileno() == stream.fd
            getting.addErrback(lambda failure: failure.trap(CancelledError))
            getting.cancel()
            assert set(reactor.getReaders()) == before

    kind().run(main)


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
