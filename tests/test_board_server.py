# SPDX-License-Identifier: Apache-2.0
"""The virtual board behind a real socket."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from patience import PATIENCE

from pyspin.board import (
    BoardAddress,
    BoardStats,
    Impairment,
    Message,
    VirtualBoard,
    torus_of,
)
from pyspin.messages import CPUState

READ, WRITE, AS, IPTAG = 2, 3, 24, 26
At = VirtualBoard | BoardAddress


def request(
    command: int,
    *args: int,
    data: bytes = b"",
    place: tuple[int, int] = (0, 0),
    core: int = 0,
    seq: int = 0,
) -> bytes:
    x, y = place
    sdp = struct.pack("<2x8B", 0x87, 255, core, 0xFF, y, x, 0, 0)
    return sdp + struct.pack("<HH3I", command, seq, *(*args, 0, 0, 0)[:3]) + data


def received(board: VirtualBoard, count: int) -> BoardStats:
    """Wait until `count` datagrams have come, and return the board's counters."""
    deadline = time.monotonic() + PATIENCE
    while (stats := board.stats()).received < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return stats


@pytest.fixture
def host() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        yield sock


def ask(sock: socket.socket, board: At, *args: int, **where: Any) -> bytes:
    sock.sendto(request(*args, **where), (board.host, board.port))
    return sock.recv(512)


def replies(sock: socket.socket, count: int) -> list[int]:
    """Receive `count` replies and return their sequence numbers."""
    return [struct.unpack_from("<H", sock.recv(512), 12)[0] for _ in range(count)]


def send(sock: socket.socket, board: VirtualBoard, count: int) -> None:
    for seq in range(count):
        sock.sendto(request(READ, 0x60000000, 4, 2, seq=seq), (board.host, board.port))


def test_it_answers(host: socket.socket) -> None:
    with VirtualBoard(3) as board:
        assert ask(host, board, WRITE, 0x60000000, 4, 2, data=b"abcd")[10] == 0x80
        assert ask(host, board, READ, 0x60000000, 4, 2)[14:] == b"abcd"
        assert board.read_memory(0, 0, 0x60000000, 4) == b"abcd"
        stats = board.stats()
    assert (stats.received, stats.sent) == (2, 2)
    assert stats.commands == {READ: 1, WRITE: 1}
    assert stats.results == {"RC_OK": 2}


def test_memory_from_outside(host: socket.socket) -> None:
    with VirtualBoard(5) as board:
        board.write_memory(7, 7, 0x60000000, b"1234")
        assert ask(host, board, READ, 0x60000000, 4, 2, place=(7, 7))[14:] == b"1234"
        with pytest.raises(KeyError):
            board.read_memory(0, 7, 0x60000000, 4)


def test_lost_replies_were_executed(host: socket.socket) -> None:
    with VirtualBoard(3, replies=Impairment(loss=0.5), seed=2) as board:
        send(host, board, 200)
        stats = received(board, 200)
        assert stats.results == {"RC_OK": 200}
        assert stats.sent == 200 - stats.replies_lost
        assert 60 < stats.replies_lost < 140
        assert len(replies(host, stats.sent)) == stats.sent


def test_lost_requests_were_not(host: socket.socket) -> None:
    with VirtualBoard(3, requests=Impairment(loss=0.5), seed=2) as board:
        send(host, board, 200)
        stats = received(board, 200)
        assert stats.results == {"RC_OK": 200 - stats.requests_lost}


def test_duplicates_and_latency(host: socket.socket) -> None:
    bad = Impairment(duplication=1.0, latency=0.002)
    with VirtualBoard(3, requests=bad) as board:
        send(host, board, 10)
        assert sorted(replies(host, 20)) == sorted([*range(10)] * 2)
        assert board.stats().results == {"RC_OK": 20}


def test_an_overrun_board_drops(host: socket.socket) -> None:
    with VirtualBoard(3, service_time=60.0) as board:
        send(host, board, 20)
        stats = received(board, 20)
    assert stats.dropped == {"no_tag": 12}
    assert stats.sent == 0


def test_a_slow_board_answers_all_that_it_can_hold(host: socket.socket) -> None:
    with VirtualBoard(3, service_time=0.001) as board:
        send(host, board, 8)
        assert replies(host, 8) == list(range(8))


def test_messages_through_tags_both_ways(host: socket.socket) -> None:
    got: list[Message] = []
    came = threading.Event()

    def deliver(message: Message) -> None:
        got.append(message)
        came.set()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with VirtualBoard(3) as board:
        board.on_message(deliver)
        assert not board.send(1, b"nothing")
        ask(host, board, IPTAG, 5 << 28 | 1 << 16 | 1)
        assert board.send(1, b"out")
        assert host.recv(512) == b"out"
        ask(host, board, AS, 0x67800000, 30 << 24 | 0b10)
        ask(host, board, IPTAG, 3 << 28 | 1 << 16 | (1 << 5 | 1) << 8 | 2, port)
        host.sendto(b"in", (board.host, port))
        assert came.wait(PATIENCE)
        assert (got[0].core, got[0].port, got[0].data) == (1, 1, b"in")
        ask(host, board, IPTAG, 3 << 16 | 2)
        assert board.stats().messages == 1


def test_a_function_may_be_the_application(
    host: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with VirtualBoard(3) as board:

        def echo(message: Message) -> None:
            if message.data == b"fail":
                raise RuntimeError("the application has a fault")
            source = (message.x, message.y, message.core, message.port)
            assert board.send(1, message.data[::-1], source)

        board.on_message(echo)
        ask(host, board, AS, 0x67800000, 30 << 24 | 0b10, place=(1, 1))
        ask(host, board, IPTAG, 5 << 28 | 1 << 16 | 1)
        header = struct.pack("<2x8B", 0x07, 255, 1 << 5 | 1, 0xFF, 1, 1, 0, 0)
        for text in (b"fail", b"ping"):
            host.sendto(header + text, (board.host, board.port))
        assert host.recv(512) == b"gnip"
    assert "the application has a fault" in caplog.text


def test_states_and_printing() -> None:
    with VirtualBoard(3) as board:
        assert board.core_state(0, 0, 0) == (CPUState.RUNNING, 0)
        board.set_core_state(0, 0, 1, CPUState.RUN_TIME_EXCEPTION, rte=2)
        assert board.core_state(0, 0, 1) == (CPUState.RUN_TIME_EXCEPTION, 0)
        assert board.read_memory(0, 0, 0xE5007080 + 0x2C, 1) == b"\2"


def test_closing_frees_the_address_and_may_be_done_again() -> None:
    board = VirtualBoard(3)
    where = (board.host, board.port)
    board.start()
    with pytest.raises(RuntimeError, match="started once"):
        board.start()
    board.close()
    board.close()
    assert not board.send(1, b"late")
    with VirtualBoard(3, host=where[0], port=where[1]) as again:
        assert (again.host, again.port) == where


def test_a_taken_address_is_an_error() -> None:
    board = VirtualBoard(3)
    try:
        with pytest.raises(OSError, match="in use"):
            VirtualBoard(3, host=board.host, port=board.port)
    finally:
        board.close()


def test_many_boards_each_at_its_own_address(host: socket.socket) -> None:
    boards = [VirtualBoard(3, host=f"127.0.0.{n}") for n in range(1, 9)]
    try:
        for n, board in enumerate(boards):
            board.start()
            board.write_memory(0, 0, 0x60000000, bytes([n] * 4))
        for n, board in enumerate(boards):
            assert ask(host, board, READ, 0x60000000, 4, 2)[14:] == bytes([n] * 4)
    finally:
        for board in boards:
            board.close()


def test_the_network_may_change_while_it_serves(host: socket.socket) -> None:
    with VirtualBoard(3) as board:
        ask(host, board, READ, 0x60000000, 4, 2)
        board.impair(replies=Impairment(loss=1.0))
        send(host, board, 3)
        received(board, 4)
        board.impair(replies=Impairment())
        ask(host, board, READ, 0x60000000, 4, 2)
        stats = board.stats()
    assert (stats.sent, stats.replies_lost) == (2, 3)


def test_a_torus_has_an_address_for_each_board(host: socket.socket) -> None:
    with VirtualBoard(torus_of(2, 1), host="127.0.0.10") as machine:
        assert [(b.x, b.y) for b in machine.boards] == [
            (0, 0),
            (4, 8),
            (8, 4),
            (12, 0),
            (16, 8),
            (20, 4),
        ]
        assert [b.host for b in machine.boards] == [f"127.0.0.{n}" for n in range(10, 16)]
        for n, board in enumerate(machine.boards):
            place = (board.x, board.y)
            ask(host, machine, WRITE, 0x60000000, 1, 0, data=bytes([n]), place=place)
            got = ask(host, board, READ, 0x60000000, 1, 0, place=(255, 255))
            assert got[14:] == bytes([n])
            assert got[6:10] == bytes([board.y, board.x, board.y, board.x])
        assert machine.stats().received == 12
        ask(host, machine, IPTAG, 4 << 28 | 1 << 16 | 1, place=(4, 8))
        assert machine.send(1, b"", (4, 9, 1, 1))
        assert not machine.send(1, b"", (0, 0, 1, 1))
        assert len(host.recv(512)) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hardware": 4}, "hardware must be 3 or 5, not 4"),
        ({"busy": 1.5}, "busy must be from 0 to 1, not 1.5"),
        ({"tags": 0}, "tags must be at least 1, not 0"),
        ({"service_time": -1.0}, "service_time must be at least 0, not -1.0"),
        ({"dead_chips": [(0, 0)]}, "dead_chips must not have an Ethernet chip"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VirtualBoard(**settings)


def boot_message(opcode: int, *operands: int, data: bytes = b"") -> bytes:
    """Build a boot message: version 1, opcode, three operands, all big-endian."""
    return struct.pack(">HI3I", 1, opcode, *operands) + data


def test_a_board_without_power_wants_an_image(host: socket.socket) -> None:
    with VirtualBoard(3, booted=False, boot_port=0) as board:
        host.sendto(request(READ, 0x60000000, 4, 2), (board.host, board.port))
        assert received(board, 1).dropped == {"not_booted": 1}
        boot = (board.host, board.boot_port)
        blocks = [boot_message(3, 255 << 8 | n, 0, 0, data=bytes(1024)) for n in range(3)]
        for message in (boot_message(1, 0, 0, 2), *blocks[:2], boot_message(5, 1, 0, 0)):
            host.sendto(message, boot)
        assert not board.booted
        for message in (b"junk", blocks[2], boot_message(5, 1, 0, 0)):
            host.sendto(message, boot)
        deadline = time.monotonic() + PATIENCE
        while not board.booted:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert ask(host, board, READ, 0x60000000, 4, 2)[10] == 0x80
