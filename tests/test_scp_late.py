# SPDX-License-Identifier: Apache-2.0
"""A program that looks late for its replies must not be taken for a network that lost them."""

from __future__ import annotations

import errno
import gc
import select
import weakref
from typing import Any

import pytest
from receiving import wait_until
from scp_peer import Peer, Request

from pyspin._ffi import lib
from pyspin.connections import (
    BulkTransfer,
    SCAMPConnection,
    SCPRequestPipeLine,
    link_driver,
    method_driver,
)
from pyspin.messages import (
    ReadMemory,
    SCPResult,
    SendSignal,
    Signal,
    SpinnakerTimeoutError,
)

TIMEOUT = 0.02


class Duck:
    """A connection that has the documented methods and nothing else of pyspin's."""

    def __init__(self, connection: SCAMPConnection) -> None:
        self.get_scp_data = connection.get_scp_data
        self.receive_scp_response = connection.receive_scp_response
        self.send = connection.send


def connected(peer: Peer) -> SCAMPConnection:
    return SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=peer.port)


def wait_out_the_timeout(peer: Peer, count: int) -> None:
    """Wait until so many requests are answered, and then until they would be out of time."""
    wait_until(lambda: peer.served == count, "answers")
    select.select([], [], [], 2 * TIMEOUT)


def test_replies_that_wait_in_the_socket_are_not_timeouts() -> None:
    with Peer() as peer, connected(peer) as connection:
        answers: list[Any] = []
        errors: list[Any] = []
        pipeline = SCPRequestPipeLine(connection, n_channels=8, packet_timeout=TIMEOUT)
        for count in range(1, 7):
            # One that must not be executed twice.
            pipeline.send_request(SendSignal(30, Signal.SYNC0), answers.append, errors.append)
            wait_out_the_timeout(peer, count)
        pipeline.finish()
        assert len(answers) == 6
        assert len(peer.requests) == 6
        assert pipeline.n_timeouts == pipeline.n_resent == 0


def test_replies_behind_a_useless_one_are_not_timeouts() -> None:
    def behave(request: Request) -> list[bytes]:
        useless = [request.reply(sequence=40_000)] if request.number == 0 else []
        return [*useless, request.reply()]

    with Peer(behave) as peer, connected(peer) as connection:
        pipeline = SCPRequestPipeLine(Duck(connection), n_channels=8, packet_timeout=TIMEOUT)
        answers: list[Any] = []
        for _ in range(4):
            pipeline.send_request(SendSignal(30, Signal.SYNC0), answers.append, print)
        wait_out_the_timeout(peer, 4)
        pipeline.finish()
        assert len(answers) == 4
        assert pipeline.n_timeouts == 0


def test_one_that_is_late_is_sent_again_although_others_are_answered() -> None:
    """Replies that come one by one, each before a quarter of the timeout is over."""
    lost: list[int] = []

    def behave(request: Request) -> list[bytes]:
        if request.number == 0:
            lost.append(request.sequence)
            return []
        if request.sequence not in lost:
            select.select([], [], [], TIMEOUT / 8)
        return [request.reply()]

    with Peer(behave) as peer, connected(peer) as connection:
        pipeline = SCPRequestPipeLine(
            Duck(connection),
            2,
            intermediate_channel_waits=1,
            n_retries=1000,
            packet_timeout=TIMEOUT,
        )
        answers: list[int] = []

        def take(number: int) -> None:
            pipeline.send_request(
                SendSignal(30, Signal.SYNC0), lambda _: answers.append(number), print
            )

        for number in range(60):
            take(number)
        pipeline.finish()
        assert len(answers) == 60
        assert answers.index(0) < 40


def test_more_than_a_batch_of_replies_are_not_timeouts() -> None:
    with Peer() as peer, connected(peer) as connection:
        answers: list[Any] = []
        errors: list[Any] = []
        pipeline = SCPRequestPipeLine(connection, n_channels=200, packet_timeout=TIMEOUT)
        for _ in range(200):
            pipeline.send_request(SendSignal(30, Signal.SYNC0), answers.append, errors.append)
        wait_out_the_timeout(peer, 200)
        pipeline.finish()
        assert len(answers) == 200
        assert len(peer.requests) == 200
        assert pipeline.n_timeouts == 0


def test_a_slow_progress_callback_causes_no_timeouts() -> None:
    with Peer() as peer, connected(peer) as connection:
        answered = peer.obey

        def behave(request: Request) -> list[bytes]:
            # The first replies come when a slice of C's work is over.
            if request.number == 0:
                select.select([], [], [], 0.06)
            return answered(request)

        peer.behave = behave
        bulk = BulkTransfer(n_channels=100, packet_timeout=1)
        into = bulk.read(connection, 0, 0, peer.base, 4096)
        for _ in range(5):
            bulk.read(connection, 0, 0, peer.base, 4096)
        is_first = [True]

        def progress(done: int, total: int) -> None:
            if is_first.pop() if is_first else False:
                wait_until(lambda: peer.served >= 96, "answers")  # to all that were sent at once
                select.select([], [], [], 1.1)

        bulk.run(progress)
        assert into == peer.memory
        assert bulk.statistics["timeouts"] == 0


def test_only_what_was_sent_counts_as_sent_again() -> None:
    """A request that was overtaken in the batch that brought its reply was not sent again."""
    held: list[bytes] = []

    def behave(request: Request) -> list[bytes]:
        held.insert(0, request.reply(payload=bytes(4)))
        return held if len(held) == 8 else []

    with Peer(behave) as peer, connected(peer) as connection:
        answers: list[Any] = []
        pipeline = SCPRequestPipeLine(connection, n_channels=8, packet_timeout=TIMEOUT)
        for _ in range(8):
            pipeline.send_request(ReadMemory((0, 0, 0), peer.base, 4), answers.append, print)
        wait_out_the_timeout(peer, 8)
        pipeline.finish()
        assert len(answers) == 8
        statistics = pipeline.statistics
        assert statistics["sent"] == len(peer.requests) == 8
        assert pipeline.n_resent == statistics["resent_overtaken"] == 0


def test_what_was_told_to_come_again_counts_when_it_does() -> None:
    with Peer(lambda it: [it.reply(0x8D)]) as peer:
        errors: list[Any] = []
        with connected(peer) as connection:
            pipeline = SCPRequestPipeLine(connection)
            request = ReadMemory((0, 0, 0), peer.base, 4)
            pipeline.send_request(request, None, lambda *it: errors.append(it))
            pipeline.send_request(request, None, lambda *it: errors.append(it))
        pipeline.finish()
        assert len(errors) == 2
        statistics = pipeline.statistics
        assert pipeline.n_resent == statistics["sent"] - statistics["requests"]
        assert pipeline.n_retry_code_resent == pipeline.n_resent


def test_what_sending_raises_comes_out_of_send_request() -> None:
    """A mistake in a connection's own `send` is not a network that loses packets."""
    with Peer() as peer, connected(peer) as connection:
        duck = Duck(connection)

        def refuse(data: bytes) -> None:
            raise ValueError("not this one")

        duck.send = refuse  # type: ignore[method-assign]
        pipeline = SCPRequestPipeLine(duck)
        with pytest.raises(ValueError, match="not this one"):
            pipeline.send_request(SendSignal(30, Signal.SYNC0), None, print)
        pipeline.finish()
        assert pipeline.statistics["in_progress"] == 0


def test_nothing_is_received_that_nobody_waits_for() -> None:
    """Neither after a request that could not be sent, nor after the last was given up."""
    with Peer(lambda it: []) as peer, connected(peer) as connection:
        duck = Duck(connection)
        waiting: list[int] = []
        refusals = ["not this one"]

        def send(data: bytes) -> None:
            if refusals:
                raise ValueError(refusals.pop())
            connection.send(data)

        def receive(timeout: float) -> Any:
            waiting.append(pipeline.statistics["in_progress"])
            return connection.receive_scp_response(timeout)

        duck.receive_scp_response = receive  # type: ignore[method-assign, assignment]
        duck.send = send  # type: ignore[method-assign]
        pipeline = SCPRequestPipeLine(duck, n_retries=1, packet_timeout=TIMEOUT)
        with pytest.raises(ValueError, match="not this one"):
            pipeline.send_request(SendSignal(30, Signal.SYNC0), None, print)
        errors: list[Any] = []
        pipeline.send_request(SendSignal(30, Signal.SYNC0), None, lambda *it: errors.append(it))
        assert waiting == []
        pipeline.finish()
        assert len(errors) == 1
        assert set(waiting) == {1}


@pytest.mark.parametrize("useless", ["of another length", "malformed"])
def test_useless_replies_do_not_stop_time(useless: str) -> None:
    with Peer(lambda it: []) as peer, connected(peer) as connection:
        duck = Duck(connection)
        left = iter(range(1_000_000))

        def receive(timeout: float) -> Any:
            next(left)
            if useless == "malformed":
                raise ValueError(useless)
            sequence = peer.requests[-1].sequence if peer.requests else 0
            return SCPResult.RC_OK, sequence, bytes(14), 2

        duck.receive_scp_response = receive  # type: ignore[method-assign, assignment]
        pipeline = SCPRequestPipeLine(duck, n_retries=1, packet_timeout=TIMEOUT)
        errors: list[Any] = []
        request = ReadMemory((0, 0, 0), peer.base, 4)
        pipeline.send_request(request, None, lambda *it: errors.append(it[1]))
        pipeline.finish()
        assert [type(error) for error in errors] == [SpinnakerTimeoutError]
        assert pipeline.n_timeouts == 2


class InterruptedLib:
    """The library, but for a Ctrl-C after one call of a function that returned something."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        function = getattr(lib, name)
        if name != self._name:
            return function

        def call(*arguments: Any) -> Any:
            result = function(*arguments)
            if result > 0 and not self._is_over:
                self._is_over = True
                raise KeyboardInterrupt
            return result

        return call


def test_finish_ends_after_an_interrupt_that_lost_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer() as peer, connected(peer) as connection:
        monkeypatch.setattr(link_driver, "lib", InterruptedLib("spn_link_run"))
        answers: list[Any] = []
        errors: list[Any] = []
        pipeline = SCPRequestPipeLine(connection, n_channels=8)
        for _ in range(4):
            pipeline.send_request(
                SendSignal(30, Signal.SYNC0), answers.append, lambda *it: errors.append(it[1])
            )
        with pytest.raises(KeyboardInterrupt):
            pipeline.finish()
        pipeline.finish()
        assert len(answers) + len(errors) == 4
        assert {error.errno for error in errors} == {errno.EINTR}


def test_after_an_interrupt_no_request_gets_the_answer_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Peer(memory=bytes(range(100))) as peer, connected(peer) as connection:
        pipeline = SCPRequestPipeLine(connection, n_channels=8)
        answers: dict[int, bytes] = {}

        def read(at: int) -> None:
            pipeline.send_request(
                ReadMemory((0, 0, 0), peer.base + at, 1),
                lambda response: answers.update({at: bytes(response.payload)}),
                print,
            )

        read(1)
        monkeypatch.setattr(link_driver, "lib", InterruptedLib("spn_link_send"))
        with pytest.raises(KeyboardInterrupt):
            read(2)
        read(3)
        pipeline.finish()
        assert answers[1] == b"\x01"
        assert answers[3] == b"\x03"


def test_an_offer_that_was_interrupted_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer() as peer, connected(peer) as connection:
        pipeline = SCPRequestPipeLine(Duck(connection), n_channels=2, packet_timeout=TIMEOUT)
        answers: list[Any] = []

        def signal() -> None:
            pipeline.send_request(SendSignal(30, Signal.SYNC0), answers.append, print)

        with monkeypatch.context() as patch:
            offer = InterruptedLib("spn_window_offer").spn_window_offer
            patch.setattr(method_driver, "_offer", offer)
            signal()  # the first number is 0
            with pytest.raises(KeyboardInterrupt):
                signal()
        for count in range(2, 6):
            signal()
            wait_out_the_timeout(peer, count)
        pipeline.finish()
        assert len(answers) == len(peer.requests) == 5
        assert pipeline.statistics["in_progress"] == 0


def test_a_pipeline_that_is_dropped_does_not_keep_its_connection() -> None:
    with Peer(lambda it: []) as peer, connected(peer) as connection:
        duck = Duck(connection)
        pipeline = SCPRequestPipeLine(duck)
        pipeline.send_request(SendSignal(30, Signal.SYNC0), None, print)
        is_alive = weakref.ref(duck)
        del duck, pipeline
        gc.collect()
        assert is_alive() is None
