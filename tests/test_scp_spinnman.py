# SPDX-License-Identifier: Apache-2.0
"""SCPRequestPipeLine with SpiNNMan's own connections and requests, in all mixtures."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from patience import PATIENCE
from receiving import free_port
from scp_peer import Peer

from pyspin import connections, messages

pytest.importorskip("spinnman")
from spinnman.connections.udp_packet_connections import SCAMPConnection
from spinnman.exceptions import SpinnmanUnexpectedResponseCodeException
from spinnman.messages.scp.impl import ReadMemory, WriteMemory

OURS, THEIRS = "pyspin", "SpiNNMan"


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer(memory=random.Random(1).randbytes(8192)) as it:
        yield it


@pytest.fixture(params=[OURS, THEIRS])
def connection(request: pytest.FixtureRequest, peer: Peer) -> Iterator[Any]:
    kind = connections.SCAMPConnection if request.param == OURS else SCAMPConnection
    it: Any = kind(0, 0, remote_host="127.0.0.1", remote_port=peer.port)
    try:
        yield it
    finally:
        it.close()


@pytest.fixture(params=[OURS, THEIRS])
def read(request: pytest.FixtureRequest) -> Any:
    return messages.ReadMemory if request.param == OURS else ReadMemory


def read_all(pipeline: connections.SCPRequestPipeLine, read: Any, peer: Peer) -> list[Any]:
    """Read the peer's memory; the errors."""
    image = bytearray(len(peer.memory))
    errors: list[Any] = []

    def taker(at: int) -> Any:
        def take(response: Any) -> None:
            image[at : at + 64] = response.data[response.offset :]

        return take

    for at in range(0, len(image), 64):
        request = read((0, 0, 0), peer.base + at, 64)
        pipeline.send_request(request, taker(at), lambda *what: errors.append(what))
    pipeline.finish()
    assert errors or image == peer.memory
    return errors


def test_any_request_goes_over_any_connection(connection: Any, read: Any, peer: Peer) -> None:
    pipeline = connections.SCPRequestPipeLine(connection, 8, 7, packet_timeout=PATIENCE)
    assert read_all(pipeline, read, peer) == []
    assert pipeline.n_resent == 0


def test_losses_are_repaired_without_timeouts(connection: Any, read: Any, peer: Peer) -> None:
    peer.behave = lambda it: [] if it.number % 20 == 3 else peer.obey(it)
    pipeline = connections.SCPRequestPipeLine(connection, None, None, packet_timeout=PATIENCE)
    assert read_all(pipeline, read, peer) == []
    assert pipeline.n_resent >= 6
    assert pipeline.n_timeouts == 0


def test_a_busy_board_is_asked_again(connection: Any, read: Any, peer: Peer) -> None:
    peer.behave = lambda it: [it.reply(0x8D)] if it.number == 2 else peer.obey(it)
    pipeline = connections.SCPRequestPipeLine(connection, 8, 7, packet_timeout=PATIENCE)
    assert read_all(pipeline, read, peer) == []
    assert pipeline.n_retry_code_resent == 1


def test_silence_is_a_timeout(connection: Any, read: Any, peer: Peer) -> None:
    peer.behave = lambda it: []
    pipeline = connections.SCPRequestPipeLine(connection, 4, n_retries=1, packet_timeout=0.02)
    errors: list[Any] = []
    for _ in range(4):
        pipeline.send_request(
            read((0, 0, 0), peer.base, 4), None, lambda *what: errors.append(what)
        )
    pipeline.finish()
    assert len(errors) == 4
    assert all(isinstance(it[1], TimeoutError) for it in errors)
    assert peer.count() == 8


def test_undefined_codes_and_runts_harm_nobody_else(connection: Any, read: Any, peer: Peer) -> None:
    def behave(request: Any) -> list[bytes]:
        good = peer.obey(request)
        return [b"\0" * 3, request.reply(0x7777, sequence=request.sequence ^ 0x8000), *good]

    peer.behave = behave
    pipeline = connections.SCPRequestPipeLine(connection, 8, 7, packet_timeout=PATIENCE)
    assert read_all(pipeline, read, peer) == []
    statistics = pipeline.statistics
    if isinstance(connection, SCAMPConnection):  # it raises for both
        assert statistics["ignored_malformed"] == 2 * len(peer.requests)
    else:
        assert statistics["ignored_malformed"] == 0
        assert statistics["ignored_short"] == statistics["ignored_unknown"] == len(peer.requests)


def test_a_read_of_another_length_is_ignored(connection: Any, read: Any, peer: Peer) -> None:
    def behave(request: Any) -> list[bytes]:
        good = peer.obey(request)[0]
        return [good[:-1], good + b"\0", good]

    peer.behave = behave
    pipeline = connections.SCPRequestPipeLine(connection, 8, 7)
    assert read_all(pipeline, read, peer) == []
    assert pipeline.statistics["ignored_length"] == 2 * len(peer.requests)


def test_their_exceptions_reach_the_error_callback(connection: Any, peer: Peer) -> None:
    peer.behave = lambda it: [it.reply(0x84)]
    errors: list[Any] = []
    pipeline = connections.SCPRequestPipeLine(connection)
    request = WriteMemory((0, 0, 0), peer.base, b"1234")
    pipeline.send_request(request, None, lambda *what: errors.append(what))
    pipeline.finish()
    ((got, error, _, over),) = errors
    assert got is request
    assert over is connection
    assert isinstance(error, SpinnmanUnexpectedResponseCodeException)


def test_nobody_listening(read: Any) -> None:
    it: Any = SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=free_port())
    errors: list[Any] = []
    pipeline = connections.SCPRequestPipeLine(it, 4, packet_timeout=PATIENCE)
    for _ in range(3):
        pipeline.send_request(read((0, 0, 0), 0, 4), None, lambda *what: errors.append(what))
    pipeline.finish()
    it.close()
    assert len(errors) == 3


def test_closing_ends_it(read: Any, peer: Peer) -> None:
    arrived = threading.Event()

    def behave(request: Any) -> list[bytes]:
        arrived.set()
        return []

    peer.behave = behave
    it: Any = SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=peer.port)
    pipeline = connections.SCPRequestPipeLine(it, packet_timeout=1.0)
    errors: list[Any] = []
    pipeline.send_request(read((0, 0, 0), 0, 4), None, lambda *what: errors.append(what[1]))
    assert arrived.wait(PATIENCE)
    it.close()
    pipeline.finish()
    assert len(errors) == 1
