# SPDX-License-Identifier: Apache-2.0
"""SCPRequestPipeLine, over pyspin's connection (C) and over anything with its methods."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from patience import PATIENCE
from receiving import free_port
from scp_peer import READ, RETRY_CODES, Peer, Request

from pyspin._ffi import lib
from pyspin.connections import SCAMPConnection, SCPRequestPipeLine, TokenBucket
from pyspin.messages import (
    ConnectionClosedError,
    ReadMemory,
    SendSignal,
    Signal,
    SpinnakerIOError,
    SpinnakerTimeoutError,
    UnexpectedResponseCodeError,
    WriteMemory,
)


class Duck:
    """A connection that has the documented methods and nothing else of pyspin's."""

    def __init__(self, connection: SCAMPConnection) -> None:
        self._connection = connection
        self.get_scp_data = connection.get_scp_data
        self.receive_scp_response = connection.receive_scp_response
        self.send = connection.send


@pytest.fixture(params=["link", "methods"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Client:
    """A connection, a pipeline over it, and what came back.

    It waits for a slow peer, as long as a test does not say how long.
    """

    def __init__(self, kind: str, port: int, **settings: Any) -> None:
        settings.setdefault("packet_timeout", PATIENCE)
        self.connection = SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=port)
        over: Any = self.connection if kind == "link" else Duck(self.connection)
        self.pipeline = SCPRequestPipeLine(over, **settings)
        self.over = over
        self.answers: list[bytes] = []
        self.errors: list[tuple[Any, ...]] = []

    def take(self, response: Any) -> None:
        self.answers.append(bytes(response.data[response.offset :]))

    def complain(self, *arguments: Any) -> None:
        self.errors.append(arguments)

    def read(self, address: int = 0x60000000, size: int = 4) -> ReadMemory:
        request = ReadMemory((0, 0, 0), address, size)
        self.pipeline.send_request(request, self.take, self.complain)
        return request

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@pytest.fixture
def memory() -> bytes:
    return bytes(i * 7 % 256 for i in range(4096))


@pytest.fixture
def peer(memory: bytes) -> Iterator[Peer]:
    with Peer(memory=memory) as it:
        yield it


def test_every_request_gets_its_own_answer(kind: str, peer: Peer, memory: bytes) -> None:
    with Client(kind, peer.port, n_channels=8) as client:
        for i in range(64):
            client.read(peer.base + 64 * i, 64)
        client.pipeline.finish()
        assert sorted(client.answers) == sorted(memory[64 * i : 64 * i + 64] for i in range(64))
        assert client.errors == []
        assert client.pipeline.n_resent == 0
        assert client.pipeline.n_timeouts == 0
        assert client.pipeline.n_channels == 8


def test_the_window_is_never_exceeded(kind: str) -> None:
    with Peer(behave=lambda request: []) as peer:
        waiting: list[Request] = []
        most = 0

        def behave(request: Request) -> list[bytes]:
            nonlocal most
            waiting.append(request)
            most = max(most, len(waiting))
            if len(waiting) < 4 and request.number < 36:
                return []
            replies = [it.reply(payload=bytes(4)) for it in waiting]
            waiting.clear()
            return replies

        peer.behave = behave
        with Client(kind, peer.port, n_channels=4) as client:
            for _ in range(40):
                client.read()
            client.pipeline.finish()
            assert len(client.answers) == 40
            assert most == 4


def test_a_request_is_sent_at_once(kind: str, peer: Peer) -> None:
    arrived = threading.Event()

    def behave(request: Request) -> list[bytes]:
        arrived.set()
        return peer.obey(request)

    peer.behave = behave
    with Client(kind, peer.port, n_channels=8) as client:
        client.read()
        assert arrived.wait(PATIENCE)
        client.pipeline.finish()


def test_the_request_shows_the_sequence_it_was_sent_with(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port) as client:
        requests = [client.read() for _ in range(3)]
        client.pipeline.finish()
        assert [it.sequence for it in peer.requests] == [
            it.scp_request_header.sequence for it in requests
        ]


def test_what_cannot_be_used_is_named(kind: str, peer: Peer) -> None:
    bad: Any = None
    with Client(kind, peer.port) as client:
        with pytest.raises(TypeError, match="token_bucket must be a TokenBucket, not 'x'"):
            SCPRequestPipeLine(client.over, token_bucket="x")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="error_callback must be callable, not None"):
            client.pipeline.send_request(ReadMemory((0, 0, 0), 0x60000000, 4), client.take, bad)
        bad = "x"
        with pytest.raises(TypeError, match="callback must be callable or None, not 'x'"):
            client.pipeline.send_request(ReadMemory((0, 0, 0), 0x60000000, 4), bad, print)
        with pytest.raises(TypeError, match="request must be an SCP request, not 'x'"):
            client.pipeline.send_request(bad, client.take, client.complain)
        client.pipeline.finish()
        assert client.answers == client.errors == []


def test_a_callback_may_be_none(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port) as client:
        client.pipeline.send_request(ReadMemory((0, 0, 0), peer.base, 4), None, client.complain)
        client.pipeline.finish()
        assert client.errors == []


@pytest.mark.parametrize("code", RETRY_CODES.values(), ids=RETRY_CODES)
def test_a_retry_code_is_tried_again(kind: str, peer: Peer, code: int) -> None:
    peer.behave = lambda it: [it.reply(code)] if it.number == 0 else peer.obey(it)
    with Client(kind, peer.port, n_channels=2) as client:
        for _ in range(4):
            client.read()
        client.pipeline.finish()
        assert len(client.answers) == 4
        assert client.pipeline.n_retry_code_resent == 1
        assert client.pipeline.n_resent == 1
        assert client.pipeline.n_timeouts == 0


def test_a_busy_answer_does_not_hold_up_the_others(kind: str, peer: Peer, memory: bytes) -> None:
    peer.behave = lambda it: [it.reply(0x8D)] if it.number == 0 else peer.obey(it)
    with Client(kind, peer.port, n_channels=1) as client:
        client.read(peer.base, 4)
        client.read(peer.base + 4, 4)
        client.read(peer.base + 8, 4)
        client.pipeline.finish()
        assert client.answers == [memory[4:8], memory[8:12], memory[0:4]]


@pytest.mark.parametrize("code", [0x82, 0x84, 0x89, 0x8C, 0x8A, 0x90, 0x1234])
def test_another_code_fails_that_request_only(kind: str, peer: Peer, code: int) -> None:
    peer.behave = lambda it: [it.reply(code)] if it.number == 1 else peer.obey(it)
    with Client(kind, peer.port, n_channels=4) as client:
        requests = [client.read() for _ in range(3)]
        client.pipeline.finish()
        assert len(client.answers) == 2
        ((request, error, _, connection),) = client.errors
        assert request is requests[1]
        assert isinstance(error, UnexpectedResponseCodeError)
        assert connection is client.over
        assert client.pipeline.n_resent == 0


def test_a_silent_peer_is_a_timeout_of_each_request(kind: str) -> None:
    with (
        Peer(behave=lambda it: []) as peer,
        Client(kind, peer.port, n_channels=3, n_retries=2, packet_timeout=0.02) as client,
    ):
        requests = [client.read() for _ in range(3)]
        client.pipeline.finish()
        assert {id(it[0]) for it in client.errors} == {id(it) for it in requests}
        for _, error, trace, _ in client.errors:
            assert isinstance(error, SpinnakerTimeoutError)
            assert isinstance(error, TimeoutError)
            assert trace is not None
        assert peer.count() == 9
        assert client.pipeline.n_timeouts == 9
        assert client.pipeline.n_resent == 6


def test_retry_codes_to_the_end_are_told(kind: str) -> None:
    with (
        Peer(behave=lambda it: [it.reply(0x8B)]) as peer,
        Client(kind, peer.port, n_retries=1) as client,
    ):
        client.read()
        client.pipeline.finish()
        ((_, error, _, _),) = client.errors
        assert isinstance(error, SpinnakerIOError)
        assert "RC_P2P_NOREPLY" in str(error)
        assert peer.count() == 2


def test_a_lost_request_is_overtaken_by_three(kind: str, peer: Peer) -> None:
    peer.behave = lambda it: [] if it.number == 0 else peer.obey(it)
    with Client(kind, peer.port, n_channels=8) as client:
        for _ in range(8):
            client.read()
        client.pipeline.finish()
        assert len(client.answers) == 8
        assert client.pipeline.n_resent == 1
        assert client.pipeline.n_timeouts == 0
        assert client.pipeline.statistics["resent_overtaken"] == 1


@pytest.mark.parametrize("harmless", [False, True])
def test_only_what_does_no_harm_is_sent_again_early(kind: str, peer: Peer, harmless: bool) -> None:
    class Own(SendSignal):
        is_idempotent = harmless

    peer.behave = lambda it: [] if it.number == 0 else peer.obey(it)
    patience = PATIENCE if harmless else 0.3
    with Client(kind, peer.port, n_channels=8, packet_timeout=patience) as client:
        for _ in range(8):
            client.pipeline.send_request(Own(30, Signal.SYNC0), None, client.complain)
        client.pipeline.finish()
        assert client.errors == []
        statistics = client.pipeline.statistics
        assert statistics["resent_overtaken"] == harmless
        assert bool(statistics["timeouts"]) != harmless


def test_the_counters_count_the_answer_in_hand(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, n_channels=1) as client:
        seen: list[tuple[int, int]] = []

        def look(response: Any) -> None:
            statistics = client.pipeline.statistics
            seen.append((statistics["replies"], statistics["in_progress"]))

        for _ in range(3):
            request = ReadMemory((0, 0, 0), peer.base, 4)
            client.pipeline.send_request(request, look, client.complain)
        client.pipeline.finish()
        assert seen == [(1, 0), (2, 0), (3, 0)]


def test_repeated_answers_are_late_whenever_they_come(kind: str, peer: Peer) -> None:
    peer.behave = lambda it: 2 * peer.obey(it)
    with Client(kind, peer.port, n_channels=2) as client:

        def complain(*_: Any) -> None:
            raise RuntimeError("from the error callback")

        def fail(response: Any) -> None:
            raise KeyError

        for _ in range(4):
            request = ReadMemory((0, 0, 0), peer.base, 4)
            with contextlib.suppress(RuntimeError):
                client.pipeline.send_request(request, fail, complain)
        while client.pipeline.statistics["in_progress"]:
            with contextlib.suppress(RuntimeError):
                client.pipeline.finish()
        client.read()
        client.pipeline.finish()
        assert len(client.answers) == 1
        statistics = client.pipeline.statistics
        count = len(peer.requests)
        assert statistics["replies"] == statistics["requests"] == statistics["sent"] == count
        assert count - 1 <= statistics["ignored_late"] <= count  # all was over before the last


def test_what_nobody_asked_for_is_ignored(kind: str, peer: Peer, memory: bytes) -> None:
    def behave(request: Request) -> list[bytes]:
        good = peer.obey(request)[0]
        return [
            request.reply(sequence=(request.sequence + 1000) & 0xFFFF),
            request.reply(code=0x82, sequence=(request.sequence + 1000) & 0xFFFF),
            b"",
            b"\0" * 5,
            good,
            good,
        ]

    peer.behave = behave
    with Client(kind, peer.port, n_channels=4) as client:
        for i in range(16):
            client.read(peer.base + 4 * i, 4)
        client.pipeline.finish()
        assert sorted(client.answers) == sorted(memory[4 * i : 4 * i + 4] for i in range(16))
        statistics = client.pipeline.statistics
        assert statistics["ignored_unknown"] >= 16
        assert statistics["ignored_late"] >= 12
        assert client.errors == []


def test_forged_replies_are_counted_and_ignored(peer: Peer, memory: bytes) -> None:
    def behave(request: Request) -> list[bytes]:
        good = peer.obey(request)[0]
        return [
            request.reply(code=2),  # a command, not a result
            good[:2] + b"\x55" + good[3:],  # no SDP flags
            good[:-1],  # shorter than was asked for
            good + b"\0",
            good + bytes(600),
            good[:13],
            good,
        ]

    peer.behave = behave
    with Client("link", peer.port) as client:
        client.read()
        client.pipeline.finish()
        assert client.answers == [memory[:4]]
        statistics = client.pipeline.statistics
        assert statistics["ignored_command"] == 1
        assert statistics["ignored_flags"] == 1
        assert statistics["ignored_length"] == 2
        assert statistics["ignored_oversize"] == 1
        assert statistics["ignored_short"] == 1


@pytest.mark.parametrize("of_another", [False, True])
def test_a_read_of_another_length_is_ignored(
    kind: str, peer: Peer, memory: bytes, of_another: bool
) -> None:
    def behave(request: Request) -> list[bytes]:
        good = peer.obey(request)[0]
        if request.command != READ:
            return [good]
        return [good[:-1], good + b"\0", good + bytes(600), good[:14], good]

    peer.behave = behave
    with Client(kind, peer.port) as client:
        client.read(peer.base + 1, 3)
        # Whoever receives it, a reply must fit the request that it names.
        receiver = SCPRequestPipeLine(client.over) if of_another else client.pipeline
        receiver.send_request(SendSignal(30, Signal.SYNC0), None, client.complain)
        receiver.finish()
        client.pipeline.finish()
        assert client.errors == []
        assert client.answers == [memory[1:4]]
        counts = [client.pipeline.statistics] + [receiver.statistics] * of_another
        assert sum(it["ignored_length"] + it["ignored_oversize"] for it in counts) == 4
        assert sum(it["replies"] for it in counts) == 2


def test_a_write_may_be_answered_at_any_length(kind: str, peer: Peer) -> None:
    peer.behave = lambda request: [peer.obey(request)[0] + b"more"]
    with Client(kind, peer.port) as client:
        request = WriteMemory((0, 0, 0), peer.base, b"text")
        client.pipeline.send_request(request, None, client.complain)
        client.pipeline.finish()
        assert client.errors == []
        assert bytes(peer.memory[:4]) == b"text"


def test_a_stranger_is_not_heard(peer: Peer, memory: bytes) -> None:
    with Client("link", peer.port) as client:
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        def behave(request: Request) -> list[bytes]:
            forged = request.reply(payload=b"evil")
            stranger.sendto(forged, ("127.0.0.1", client.connection.local_port))
            return peer.obey(request)

        peer.behave = behave
        with stranger:
            client.read()
            client.pipeline.finish()
        assert client.answers == [memory[:4]]


def test_nobody_listening_is_reported_as_such(kind: str) -> None:
    port = free_port()
    with Client(kind, port, n_channels=4) as client:
        for _ in range(3):
            client.read()
        client.pipeline.finish()
        assert len(client.errors) == 3
        for _, error, _, _ in client.errors:
            assert isinstance(error, SpinnakerIOError)
            assert error.errno == errno.ECONNREFUSED


def test_an_error_of_earlier_traffic_ends_no_request(memory: bytes) -> None:
    with Peer() as gone:
        port = gone.port
    with Client("link", port) as client:
        for in_bulk in (False, True):
            client.connection.send(b"Is anybody there?")  # an ICMP error comes back at once
            with Peer(memory=memory, port=port) as peer:
                if in_bulk:
                    assert client.connection.read_memory(0, 0, peer.base, 4) == memory[:4]
                else:
                    client.read()
                    client.pipeline.finish()
        assert client.errors == []
        assert client.answers == [memory[:4]]


def test_nobody_listening_is_a_refused_connection() -> None:
    port = free_port()
    with Client("link", port) as client:
        client.read()
        client.pipeline.finish()
        assert isinstance(client.errors[0][1], ConnectionRefusedError)


def test_a_raising_callback_reaches_the_error_callback(kind: str, peer: Peer) -> None:
    def fail(response: Any) -> None:
        raise KeyError("mine")

    with Client(kind, peer.port, n_channels=4) as client:
        bad = ReadMemory((0, 0, 0), peer.base, 4)
        client.pipeline.send_request(bad, fail, client.complain)
        for _ in range(5):
            client.read()
        client.pipeline.finish()
        ((request, error, trace, _),) = client.errors
        assert request is bad
        assert isinstance(error, KeyError)
        assert trace.tb_frame is not None
        assert len(client.answers) == 5


def test_an_error_callback_of_three_gets_a_list(kind: str, peer: Peer) -> None:
    seen: list[Any] = []

    def complain(request: Any, error: Any, trace: Any) -> None:
        seen.append((request, error, trace))

    peer.behave = lambda it: [it.reply(0x84)]
    with Client(kind, peer.port) as client:
        request = ReadMemory((0, 0, 0), peer.base, 4)
        client.pipeline.send_request(request, None, complain)
        client.pipeline.finish()
    ((got, error, trace),) = seen
    assert got is request
    assert isinstance(error, UnexpectedResponseCodeError)
    assert isinstance(trace, list)
    assert trace
    for filename, line, function, text in trace:
        assert isinstance(filename, str)
        assert isinstance(line, int)
        assert isinstance(function, str)
        assert isinstance(text, str)


def test_an_error_callback_of_four_gets_the_connection(kind: str, peer: Peer) -> None:
    seen: list[Any] = []

    class Complainer:
        def complain(self, request: Any, error: Any, trace: Any, connection: Any) -> None:
            seen.append(connection)

    peer.behave = lambda it: [it.reply(0x84)]
    with Client(kind, peer.port) as client:
        request = ReadMemory((0, 0, 0), peer.base, 4)
        client.pipeline.send_request(request, None, Complainer().complain)
        client.pipeline.finish()
        assert seen == [client.over]


def test_the_error_of_an_error_callback_comes_out(kind: str, peer: Peer) -> None:
    def complain(*_: Any) -> None:
        raise RuntimeError("from the error callback")

    peer.behave = lambda it: [it.reply(0x84)] if it.number == 0 else peer.obey(it)
    with Client(kind, peer.port, n_channels=4) as client:
        client.pipeline.send_request(ReadMemory((0, 0, 0), peer.base, 4), None, complain)
        client.read()
        client.read()
        with pytest.raises(RuntimeError, match="from the error callback"):
            client.pipeline.finish()
        client.pipeline.finish()
        assert len(client.answers) == 2


def test_a_callback_may_send_more(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, n_channels=2) as client:
        left = 300

        def again(response: Any) -> None:
            nonlocal left
            for _ in range(min(left, 3)):
                left -= 1
                request = ReadMemory((0, 0, 0), peer.base, 4)
                client.pipeline.send_request(request, again, client.complain)
            client.take(response)

        client.pipeline.send_request(ReadMemory((0, 0, 0), peer.base, 4), again, client.complain)
        client.pipeline.finish()
        assert len(client.answers) == 301
        assert client.errors == []


def test_an_error_callback_may_send_again(kind: str) -> None:
    with (
        Peer(behave=lambda it: []) as peer,
        Client(kind, peer.port, n_channels=4, n_retries=0, packet_timeout=0.02) as client,
    ):
        left = 8

        def again(request: Any, error: Any, trace: Any, connection: Any) -> None:
            nonlocal left
            client.complain(error)
            if left:
                left -= 1
                client.pipeline.send_request(ReadMemory((0, 0, 0), 0, 4), None, again)

        for _ in range(4):
            client.pipeline.send_request(ReadMemory((0, 0, 0), 0, 4), None, again)
        client.pipeline.finish()
        assert len(client.errors) == 12


def test_finish_may_be_called_in_a_callback(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, n_channels=4) as client:

        def finish(response: Any) -> None:
            client.pipeline.finish()
            client.take(response)

        client.pipeline.send_request(ReadMemory((0, 0, 0), peer.base, 4), finish, client.complain)
        client.read()
        client.read()
        client.pipeline.finish()
        assert len(client.answers) == 3


def test_callbacks_do_not_nest_when_one_has_finished(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, n_channels=2) as client:
        events: list[str] = []

        def signal(callback: Any) -> None:
            request = SendSignal(30, Signal.SYNC0)
            client.pipeline.send_request(request, callback, client.complain)

        def finish(_: Any) -> None:
            events.append("begin")
            client.pipeline.finish()
            for _ in range(3):  # the third waits for the answers to the others
                signal(lambda _: events.append("other"))
            events.append("end")

        signal(finish)
        signal(lambda _: events.append("first"))
        client.pipeline.finish()
        assert client.errors == []
        assert events == ["begin", "first", "end", "other", "other", "other"]


def test_a_request_without_its_arguments_is_refused(kind: str, peer: Peer) -> None:
    class Short(ReadMemory):
        def datagram_from(self, *_: Any) -> bytes:
            return bytes(25)

    with Client(kind, peer.port) as client:
        with pytest.raises(ValueError, match="a request must have 26 to 282 bytes, not 25"):
            client.pipeline.send_request(Short((0, 0, 0), 0, 4), client.take, client.complain)
        client.pipeline.finish()
        assert client.pipeline.statistics["in_progress"] == 0
        assert client.errors == []


def test_a_pipeline_may_be_finished_and_used_again(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, n_channels=4) as client:
        client.pipeline.finish()
        for rounds in range(1, 4):
            client.read()
            client.pipeline.finish()
            client.pipeline.finish()
            assert len(client.answers) == rounds


def test_leaving_the_block_finishes(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, n_channels=4) as client:
        with client.pipeline:
            for _ in range(3):
                client.read()
        assert len(client.answers) == 3


def test_pipelines_share_a_connection(kind: str, peer: Peer, memory: bytes) -> None:
    with Client(kind, peer.port, n_channels=8) as client:
        other = SCPRequestPipeLine(client.over, n_channels=8)
        answers: list[bytes] = []
        for i in range(100):
            client.read(peer.base + 4 * i, 4)
            other.send_request(
                ReadMemory((0, 0, 0), peer.base + 8 * i, 4),
                lambda response: answers.append(response.payload),
                client.complain,
            )
        client.pipeline.finish()
        other.finish()
        assert sorted(client.answers) == sorted(memory[4 * i : 4 * i + 4] for i in range(100))
        assert sorted(answers) == sorted(memory[8 * i : 8 * i + 4] for i in range(100))
        assert client.errors == []
        assert client.pipeline.n_resent == other.n_resent == 0


def test_threads_share_a_connection(peer: Peer) -> None:
    with SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=peer.port) as connection:
        answers: list[Any] = []
        errors: list[Any] = []

        def work() -> None:
            with SCPRequestPipeLine(connection, n_channels=4) as pipeline:
                for _ in range(200):
                    pipeline.send_request(
                        ReadMemory((0, 0, 0), peer.base, 4),
                        answers.append,
                        lambda *it: errors.append(it),
                    )

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert errors == []
        assert len(answers) == 600


def test_closing_ends_a_waiting_pipeline(kind: str) -> None:
    arrived = threading.Event()

    def behave(request: Request) -> list[bytes]:
        if request.number == 3:
            arrived.set()
        return [request.reply(payload=bytes(4))] if request.number < 2 else []

    with (
        Peer(behave=behave) as peer,
        Client(kind, peer.port, n_channels=8) as client,
    ):
        for _ in range(4):
            client.read()
        finisher = threading.Thread(target=client.pipeline.finish)
        finisher.start()
        assert arrived.wait(PATIENCE)
        client.connection.close()
        finisher.join(PATIENCE)
        assert not finisher.is_alive()
        assert len(client.answers) + len(client.errors) == 4
        if kind == "link":  # what had arrived at another's socket went with it
            assert len(client.answers) == 2
        for _, error, _, _ in client.errors:
            assert isinstance(error, ConnectionClosedError)
        with pytest.raises(ConnectionClosedError):
            client.read()


def test_closing_loses_nothing_that_had_arrived() -> None:
    with Peer() as peer, Client("link", peer.port, n_channels=100) as client:
        answered = threading.Event()

        def behave(request: Request) -> list[bytes]:
            # The answer to a request is on its way before the next one is asked for.
            if request.number == 50:
                answered.set()
                return []
            # More useless ones than are received at a time.
            useless = [request.reply(sequence=40_000)] * (64 if request.number == 0 else 0)
            return [*useless, *peer.obey(request)]

        peer.behave = behave
        for _ in range(51):
            client.read()
        assert answered.wait(PATIENCE)
        client.connection.close()
        client.pipeline.finish()
        assert len(client.answers) == 50
        assert len(client.errors) == 1
        assert isinstance(client.errors[0][1], ConnectionClosedError)


def test_a_closed_connection_is_refused(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port) as client:
        client.connection.close()
        with pytest.raises(ConnectionClosedError):
            client.read()
        client.pipeline.finish()
        assert client.errors == []  # it was told already
    if kind == "link":
        with pytest.raises(ConnectionClosedError):
            SCPRequestPipeLine(SCAMPConnectionThatIsClosed(peer.port))


def SCAMPConnectionThatIsClosed(port: int) -> SCAMPConnection:
    connection = SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=port)
    connection.close()
    return connection


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"n_channels": 0}, "n_channels"),
        ({"n_channels": -1}, "n_channels"),
        ({"n_channels": 2, "intermediate_channel_waits": 2}, "intermediate_channel_waits"),
        ({"intermediate_channel_waits": -1}, "intermediate_channel_waits"),
        ({"n_retries": -1}, "n_retries"),
        ({"packet_timeout": 0}, "packet_timeout"),
        ({"packet_timeout": float("nan")}, "packet_timeout"),
    ],
)
def test_bad_settings_are_named(kind: str, peer: Peer, settings: dict[str, Any], name: str) -> None:
    with SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=peer.port) as connection:
        over: Any = connection if kind == "link" else Duck(connection)
        with pytest.raises(ValueError, match=name):
            SCPRequestPipeLine(over, **settings)


def test_channels_are_found_automatically(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, n_channels=None, intermediate_channel_waits=None) as client:
        assert 1 <= client.pipeline.n_channels <= 8
        for _ in range(500):
            client.read()
        client.pipeline.finish()
        assert len(client.answers) == 500
        assert 1 <= client.pipeline.n_channels <= 128


def use_up_numbers(pipeline: SCPRequestPipeLine, count: int) -> None:
    """Take and forget sequence numbers without sending anything."""
    window = pipeline._driver._window
    for i in range(count):
        assert lib.spn_window_submit(window, 1 << 40, bytes(26), 26, False) >= 0, i
        lib.spn_window_forget(window, 1 << 40)


def test_a_number_in_use_is_not_used_again(kind: str, peer: Peer, memory: bytes) -> None:
    class Stuck(ReadMemory):
        is_idempotent = False  # not to be sent again early, so that it stays

    peer.behave = lambda it: [] if it.arguments[0] == 0 else peer.obey(it)
    with Client(kind, peer.port, n_channels=200, intermediate_channel_waits=None) as client:
        stuck = [Stuck((0, 0, 0), 0, 4) for _ in range(3)]
        for request in stuck:
            client.pipeline.send_request(request, client.take, client.complain)
        for _ in range(2):
            use_up_numbers(client.pipeline, 65500)
            for i in range(50):
                client.read(peer.base + 4 * i, 4)
        for request in stuck:
            late = Request(client.connection.get_scp_data(request), 0)
            peer.send(late.reply(payload=memory[:4]))
        client.pipeline.finish()
        assert sorted(client.answers) == sorted(
            2 * [memory[4 * i : 4 * i + 4] for i in range(50)] + 3 * [memory[:4]]
        )
        numbers = {it.scp_request_header.sequence for it in stuck}
        assert len([it for it in peer.requests if it.sequence in numbers]) == 3


def test_too_many_requests_over_one_connection_are_an_error(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port) as client:
        others = [SCPRequestPipeLine(client.over, 16384) for _ in range(2)]
        windows = [other._driver._window for other in others]
        for i in range(32767):
            assert lib.spn_window_submit(windows[i % 2], 1, bytes(26), 26, False) >= 0, i
        with pytest.raises(SpinnakerIOError, match="too many requests"):
            client.read()
        lib.spn_window_forget(windows[0], 1)
        client.read()
        client.pipeline.finish()
        assert len(client.answers) == len(peer.requests) == 1


def test_a_token_bucket_paces_it(kind: str, peer: Peer) -> None:
    bucket = TokenBucket(1000, 0.001)
    with Client(kind, peer.port, n_channels=4, token_bucket=bucket) as client:
        for _ in range(10):
            client.read()
        client.pipeline.finish()
    assert 1000 - 10 * 26 <= bucket.tokens < 1000 - 10 * 26 + 1


def test_a_token_bucket_that_never_fills_lets_nothing_by(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port, token_bucket=TokenBucket(60, 0)) as client:
        client.read()
        client.read()
        with pytest.raises(ValueError, match="token_bucket"):
            client.read()
        client.pipeline.finish()
        assert len(client.answers) == len(peer.requests) == 2


def test_a_request_that_cannot_be_rendered_takes_no_channel(kind: str, peer: Peer) -> None:
    class Bad(ReadMemory):
        def datagram_from(self, *_: Any) -> bytes:
            raise RuntimeError("no bytes")

    with Client(kind, peer.port) as client:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="no bytes"):
                client.pipeline.send_request(Bad((0, 0, 0), 0, 4), None, client.complain)
        client.read()
        client.pipeline.finish()
        assert len(client.answers) == 1


def test_the_wire_is_what_a_board_expects(kind: str, peer: Peer) -> None:
    with Client(kind, peer.port) as client:
        client.connection.update_chip_coordinates(4, 8)
        client.pipeline.send_request(ReadMemory((3, 2, 1), 0x60000004, 8), None, client.complain)
        client.pipeline.finish()
    (request,) = peer.requests
    assert request.data == struct.pack(
        "<2x8BHHIII", 0x87, 255, 1, 0xFF, 2, 3, 8, 4, 2, request.sequence, 0x60000004, 8, 2
    )
