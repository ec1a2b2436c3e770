# SPDX-License-Identifier: Apache-2.0
"""Memory in bulk: any length and alignment, losses, errors, several boards."""

from __future__ import annotations

import errno
import os
import random
import signal
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from receiving import free_port
from scp_peer import LINK_READ, LINK_WRITE, READ, WRITE, Peer, Request

from pyspin.connections import SCAMPConnection
from pyspin.connections.bulk import (
    BulkTransfer,
    fill_memory,
    flood_fill,
    read_link,
    read_memory,
    write_link,
    write_memory,
)
from pyspin.messages import (
    ConnectionClosedError,
    SpinnakerIOError,
    SpinnakerTimeoutError,
    UnexpectedResponseCodeError,
)

SIZE = 64 * 1024


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer(memory=random.Random(1).randbytes(SIZE)) as it:
        yield it


@pytest.fixture
def connection(peer: Peer) -> Iterator[SCAMPConnection]:
    with connect(peer) as it:
        yield it


def connect(peer: Peer) -> SCAMPConnection:
    return SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=peer.port)


def test_a_read_returns_the_memory(peer: Peer, connection: SCAMPConnection) -> None:
    assert read_memory(connection, 1, 2, peer.base, SIZE, 3) == peer.memory
    assert {(it.x, it.y, it.destination) for it in peer.requests} == {(1, 2, 3)}
    assert len(peer.distinct) == SIZE // 256


@pytest.mark.parametrize("offset", range(5))
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 255, 256, 257, 258, 1000, 1024, 1027])
def test_any_length_and_alignment(
    peer: Peer, connection: SCAMPConnection, offset: int, length: int
) -> None:
    got = read_memory(connection, 0, 0, peer.base + offset, length)
    assert got == peer.memory[offset : offset + length]
    data = random.Random(2).randbytes(length)
    before = bytes(peer.memory)
    write_memory(connection, 0, 0, peer.base + offset, data)
    assert peer.memory == before[:offset] + data + before[offset + length :]
    for request in peer.requests:
        address, size, unit = request.arguments
        assert 1 <= size <= 256
        step = 1 << unit
        assert address % step == 0
        assert size % step == 0
        assert step == 4 or address % (2 * step) or size % (2 * step)


def test_replies_land_in_the_buffer_of_the_caller(peer: Peer, connection: SCAMPConnection) -> None:
    out = np.zeros(SIZE // 4, np.uint32)
    assert read_memory(connection, 0, 0, peer.base, SIZE, out=out) is out
    assert out.tobytes() == peer.memory
    part = bytearray(SIZE)
    read_memory(connection, 0, 0, peer.base, 100, out=memoryview(part)[50:150])
    assert part == bytes(50) + peer.memory[:100] + bytes(SIZE - 150)


def test_a_buffer_that_does_not_fit_is_refused(connection: SCAMPConnection) -> None:
    with pytest.raises(ValueError, match="out must have 8 bytes, not 4"):
        read_memory(connection, 0, 0, 0, 8, out=bytearray(4))
    for out in (bytes(4), np.zeros(8, np.uint8)[::2], np.zeros((2, 2), np.uint8, order="F")):
        with pytest.raises(ValueError, match="out must be writable and C-contiguous"):
            read_memory(connection, 0, 0, 0, 4, out=out)
    with pytest.raises(ValueError, match="data must be C-contiguous"):
        write_memory(connection, 0, 0, 0, np.zeros(8, np.uint8)[::2])
    with pytest.raises(ValueError, match="length must be at least 0"):
        fill_memory(connection, 0, 0, 0, 1, -4)


def test_a_flood_fill_that_cannot_be_done_is_not_started(
    peer: Peer, connection: SCAMPConnection
) -> None:
    for address in (-4, 1 << 32, 0xFFFFFFFC):
        with pytest.raises(ValueError, match=r"base_address|beyond"):
            flood_fill(connection, address, bytes(8))
    assert peer.requests == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("x", (256, 0, 0, 4)),
        ("y", (0, -1, 0, 4)),
        ("cpu", (0, 0, 0, 4, 32)),
        ("base_address", (0, 0, -1, 4)),
        ("length", (0, 0, 0, -1)),
        ("beyond", (0, 0, 0xFFFFFFFF, 2)),
    ],
)
def test_bad_arguments_are_named(connection: SCAMPConnection, name: str, arguments: Any) -> None:
    with pytest.raises(ValueError, match=name):
        read_memory(connection, *arguments)


def test_a_write_takes_any_buffer(peer: Peer, connection: SCAMPConnection) -> None:
    data = np.arange(500, dtype=np.uint16)
    write_memory(connection, 0, 0, peer.base + 2, data)
    assert peer.memory[2:1002] == data.tobytes()


def test_the_last_byte_of_the_address_space_can_be_read(
    peer: Peer, connection: SCAMPConnection
) -> None:
    peer.base = (1 << 32) - SIZE
    assert read_memory(connection, 0, 0, (1 << 32) - 300, 300) == peer.memory[-300:]


@pytest.mark.parametrize("seed", range(3))
def test_loss_repetition_and_disorder_do_no_harm(peer: Peer, seed: int) -> None:
    dice = random.Random(seed)
    held: list[bytes] = []

    def behave(request: Request) -> list[bytes]:
        replies = peer.obey(request)
        # What is lost at the end is not overtaken, and has to wait for its timeout.
        is_overtaken = request.arguments[0] < peer.base + SIZE // 2
        if dice.random() < 0.04 and is_overtaken:
            return []
        if dice.random() < 0.05:
            replies *= 2
        if dice.random() < 0.05 and is_overtaken and not held:
            held.extend(replies)
            return []
        replies += held
        held.clear()
        return replies

    peer.behave = behave
    with connect(peer) as connection:
        data = dice.randbytes(SIZE)
        bulk = BulkTransfer(packet_timeout=PATIENCE)
        bulk.write(connection, 0, 0, peer.base, data)
        bulk.run()
        assert peer.memory == data
        assert read_memory(connection, 0, 0, peer.base, SIZE) == data
        assert bulk.statistics["timeouts"] == 0


def test_a_reply_of_the_wrong_length_is_ignored(peer: Peer, connection: SCAMPConnection) -> None:
    def behave(request: Request) -> list[bytes]:
        good = peer.obey(request)
        return [good[0][:-1], good[0] + b"x", *good]

    peer.behave = behave
    bulk = BulkTransfer()
    got = bulk.read(connection, 0, 0, peer.base, 1024)
    bulk.run()
    assert got == peer.memory[:1024]
    assert 8 <= bulk.statistics["ignored_length"] <= 2 * len(peer.requests)


def test_busy_answers_are_tried_again(peer: Peer, connection: SCAMPConnection) -> None:
    peer.behave = lambda it: [it.reply(0x8D)] if it.number % 7 == 0 else peer.obey(it)
    assert read_memory(connection, 0, 0, peer.base, 4096) == peer.memory[:4096]


def test_an_error_code_is_raised(peer: Peer, connection: SCAMPConnection) -> None:
    peer.behave = lambda it: [it.reply(0x84)] if it.number == 5 else peer.obey(it)
    with pytest.raises(UnexpectedResponseCodeError, match="RC_ARG"):
        read_memory(connection, 0, 0, peer.base, SIZE)
    peer.behave = peer.obey
    assert read_memory(connection, 0, 0, peer.base, SIZE) == peer.memory


def test_one_failure_does_not_end_the_others(peer: Peer, connection: SCAMPConnection) -> None:
    peer.behave = lambda it: [it.reply(0x84)] if it.x == 9 else peer.obey(it)
    bulk = BulkTransfer()
    first = bulk.read(connection, 0, 0, peer.base, 2048)
    bulk.read(connection, 9, 0, peer.base, 2048)
    last = bulk.read(connection, 0, 1, peer.base + 2048, 2048)
    with pytest.raises(UnexpectedResponseCodeError):
        bulk.run()
    assert first + last == peer.memory[:4096]


def test_a_silent_board_is_a_timeout(peer: Peer, connection: SCAMPConnection) -> None:
    peer.behave = lambda it: []
    bulk = BulkTransfer(n_retries=1, packet_timeout=0.02)
    bulk.read(connection, 0, 0, peer.base, 512)
    with pytest.raises(SpinnakerTimeoutError):
        bulk.run()
    assert peer.count() == 4


def test_nobody_listening_is_reported_as_such() -> None:
    port = free_port()
    with SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=port) as connection:
        with pytest.raises(SpinnakerIOError) as caught:
            read_memory(connection, 0, 0, 0, 1024)
        assert caught.value.errno == errno.ECONNREFUSED


def test_progress_is_told(peer: Peer, connection: SCAMPConnection) -> None:
    seen: list[tuple[int, int]] = []
    write_memory(connection, 0, 0, peer.base, bytes(SIZE), progress=lambda *it: seen.append(it))
    assert seen[-1] == (SIZE, SIZE)
    assert seen == sorted(seen)


def test_progress_may_note_more(peer: Peer, connection: SCAMPConnection) -> None:
    bulk = BulkTransfer()
    images = [bulk.read(connection, 0, 0, peer.base, 10)]

    def progress(done: int, total: int) -> None:
        if done == total and len(images) < 3:
            images.append(bulk.read(connection, 0, 0, peer.base + 10 * len(images), 10))

    bulk.run(progress)
    assert images == [peer.memory[at : at + 10] for at in (0, 10, 20)]


def test_what_progress_raises_ends_the_run(peer: Peer, connection: SCAMPConnection) -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        read_memory(connection, 0, 0, peer.base, SIZE, progress=stop)


def test_ctrl_c_ends_a_run(peer: Peer, connection: SCAMPConnection) -> None:
    def behave(request: Request) -> list[bytes]:
        if request.number == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return []

    peer.behave = behave
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_memory(connection, 0, 0, peer.base, 256)
    finally:
        signal.signal(signal.SIGINT, before)


def test_closing_ends_a_run() -> None:
    arrived = threading.Event()

    def behave(request: Request) -> list[bytes]:
        arrived.set()
        return []

    with Peer(behave=behave) as peer, connect(peer) as connection:
        errors: list[BaseException] = []

        def work() -> None:
            bulk = BulkTransfer(packet_timeout=PATIENCE)
            bulk.read(connection, 0, 0, peer.base, 1024)
            try:
                bulk.run()
            except ConnectionClosedError as error:
                errors.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        assert arrived.wait(PATIENCE)
        connection.close()
        worker.join(PATIENCE)
        assert not worker.is_alive()
        assert len(errors) == 1
        with pytest.raises(ConnectionClosedError):
            read_memory(connection, 0, 0, peer.base, 4)


def test_many_boards_at_once() -> None:
    peers = [Peer(memory=random.Random(i).randbytes(8192)) for i in range(6)]
    connections = []
    try:
        for peer in peers:
            peer.__enter__()
            connections.append(connect(peer))
        bulk = BulkTransfer()
        images = [bulk.read(it, 0, 0, 0x60000000, 8192) for it in connections]
        again = bulk.read(connections[0], 0, 0, 0x60000000 + 4096, 4096)
        bulk.run()
        for peer, image in zip(peers, images, strict=True):
            assert image == peer.memory
        assert again == peers[0].memory[4096:]
    finally:
        for connection in connections:
            connection.close()
        for peer in peers:
            peer.__exit__()


def test_a_dead_board_does_not_hold_up_the_others() -> None:
    with (
        Peer(behave=lambda it: []) as dead,
        Peer(memory=bytes(range(256)) * 16) as live,
        connect(dead) as first,
        connect(live) as second,
    ):
        bulk = BulkTransfer(n_retries=1, packet_timeout=0.05)
        bulk.read(first, 0, 0, 0x60000000, 4096)
        image = bulk.read(second, 0, 0, 0x60000000, 4096)
        with pytest.raises(SpinnakerTimeoutError):
            bulk.run()
        assert image == live.memory


def test_threads_share_a_connection(peer: Peer, connection: SCAMPConnection) -> None:
    images: list[Any] = []

    def work() -> None:
        images.extend(read_memory(connection, 0, 0, peer.base, SIZE) for _ in range(2))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(images) == 6
    assert all(image == peer.memory for image in images)


def test_a_neighbour_is_read_and_written_over_a_link(
    peer: Peer, connection: SCAMPConnection
) -> None:
    data = random.Random(3).randbytes(1024)
    write_link(connection, 1, 1, 4, peer.base + 4, data)
    assert peer.memory[4:1028] == data
    assert read_link(connection, 1, 1, 4, peer.base + 4, 1024) == data
    for request in peer.requests:
        assert request.command in (LINK_READ, LINK_WRITE)
        assert request.arguments[2] == 4
    with pytest.raises(ValueError, match="multiples of 4"):
        read_link(connection, 0, 0, 0, 2, 4)
    with pytest.raises(ValueError, match="link"):
        read_link(connection, 0, 0, 6, 0, 4)


def test_a_fill_is_few_requests(peer: Peer, connection: SCAMPConnection) -> None:
    fill_memory(connection, 0, 0, peer.base + 4, 0x12345678, SIZE - 8)
    assert peer.memory[4:-4] == struct.pack("<I", 0x12345678) * (SIZE // 4 - 2)
    assert len(peer.distinct) == 1
    with pytest.raises(ValueError, match="multiples of 4"):
        fill_memory(connection, 0, 0, 2, 0, 4)


def test_a_flood_fill_is_a_start_blocks_and_an_end(peer: Peer, connection: SCAMPConnection) -> None:
    data = random.Random(4).randbytes(1000)
    flood_fill(connection, 0x60240000, data)
    start, *blocks, end = peer.distinct
    assert start.command == end.command == 20
    identifier = start.arguments[0] >> 16 & 0xFF
    assert start.arguments[0] == 6 << 24 | identifier << 16 | 4 << 8
    assert identifier & 1 == 0
    assert end.arguments[0] == 15 << 24 | identifier
    blocks.sort(key=lambda it: it.arguments[2])
    assert [it.arguments[1] for it in blocks] == [
        block << 16 | (words - 1) << 8 for block, words in enumerate((64, 64, 64, 58))
    ]
    assert all(it.arguments[0] == 0x3F1E0000 | identifier for it in blocks)
    assert b"".join(it.payload for it in blocks) == data
    for bad in (b"", b"12345", bytes(65284)):
        with pytest.raises(ValueError, match=r"bytes|multiples"):
            flood_fill(connection, 0, bad)


def test_reads_and_writes_are_all_that_is_sent(peer: Peer, connection: SCAMPConnection) -> None:
    read_memory(connection, 0, 0, peer.base, 600)
    write_memory(connection, 0, 0, peer.base, bytes(600))
    assert [it.command for it in peer.distinct] == [READ] * 3 + [WRITE] * 3


def test_connections_have_it_all_as_methods(peer: Peer, connection: SCAMPConnection) -> None:
    data = random.Random(5).randbytes(1000)
    connection.write_memory(1, 2, peer.base, data, 3)
    assert connection.read_memory(1, 2, peer.base, 1000, 3) == data
    connection.fill_memory(1, 2, peer.base, 7, 8)
    connection.write_link(1, 2, 3, peer.base + 8, b"12345678")
    assert connection.read_link(1, 2, 3, peer.base, 16) == bytes((7, 0, 0, 0)) * 2 + b"12345678"
    connection.flood_fill(peer.base, b"1234")
    seen: list[Any] = []
    connection.read_memory(0, 0, peer.base, 4, progress=lambda *it: seen.append(it))
    assert seen[-1] == (4, 4)
