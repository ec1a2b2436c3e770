# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments of connections and boards are refused by their name and value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE
from scp_peer import Peer

from pyspin import connections
from pyspin.board import Impairment, VirtualBoard, geometry_of, torus_of
from pyspin.connections import (
    BMPConnection,
    BMPConnectionData,
    BulkTransfer,
    ConnectionListener,
    SCAMPConnection,
    SCPRequestPipeLine,
    SDPConnection,
    UDPConnection,
)
from pyspin.messages import GetVersion, ReadMemory

NO_NUMBERS = [None, "x", 1.5, -1, 2**70, float("nan")]
NO_PORTS = ["x", 1.5, -1, 65536, [5]]
NO_HOSTS = [5, 1.5, b"127.0.0.1", ["x"]]
NO_SECONDS = ["x", -1, float("nan"), [1]]
NO_BUFFERS = [None, "x", 5, [1]]
# Their buffers would be pointers, which a board has no use for, and must never change.
OBJECTS = [np.array([None]), np.zeros(1, [("at", "u8"), ("what", "O")])]
NO_MEMORY = [*NO_BUFFERS, *OBJECTS, np.zeros(1, "M8[s]")]

Call = Callable[[SCAMPConnection, Any], object]

READ = {"x": 0, "y": 0, "base_address": 0, "length": 0, "cpu": 0}
WRITE = {"x": 0, "y": 0, "base_address": 0, "data": b"", "cpu": 0}
FILL = {"x": 0, "y": 0, "base_address": 0, "word": 0, "length": 0, "cpu": 0}


def memory(method: str, right: dict[str, Any], argument: str) -> Call:
    """Return a call of one of the methods for memory with one argument wrong."""
    return lambda it, value: getattr(it, method)(**{**right, argument: value})


CALLS: list[tuple[str, list[Any], Call]] = [
    ("local_host", NO_HOSTS, lambda it, value: UDPConnection(value)),
    ("local_port", NO_PORTS, lambda it, value: UDPConnection(local_port=value)),
    ("remote_host", NO_HOSTS, lambda it, value: UDPConnection(None, None, value, 5)),
    ("remote_port", NO_PORTS, lambda it, value: UDPConnection(None, None, "127.0.0.1", value)),
    (
        "receive_buffer_size",
        [*NO_NUMBERS, 0, 2**40],
        lambda it, value: UDPConnection(receive_buffer_size=value),
    ),
    ("chip_x", [*NO_NUMBERS[1:], 256], lambda it, value: SDPConnection(value, 0)),
    ("chip_y", [*NO_NUMBERS[1:], 256], lambda it, value: SDPConnection(0, value)),
    ("chip_x", [*NO_NUMBERS[1:], 256], lambda it, value: SCAMPConnection(value, 0)),
    ("timeout", NO_SECONDS, lambda it, value: it.receive(value)),
    ("timeout", NO_SECONDS, lambda it, value: it.receive_with_address(value)),
    ("timeout", NO_SECONDS, lambda it, value: it.receive_scp_response(value)),
    ("timeout", [None, *NO_SECONDS], lambda it, value: it.is_ready_to_receive(value)),
    ("data", NO_BUFFERS, lambda it, value: it.send(value)),
    ("data", NO_BUFFERS, lambda it, value: it.send_to(value, ("127.0.0.1", 9))),
    (
        "address",
        [None, "x", 5, ("127.0.0.1",), ("127.0.0.1", "x"), ("127.0.0.1", 70000), (5, 5)],
        lambda it, value: it.send_to(b"", value),
    ),
    ("x", [*NO_NUMBERS, 256], lambda it, value: it.update_chip_coordinates(value, 0)),
    ("y", [*NO_NUMBERS, 256], lambda it, value: it.update_chip_coordinates(0, value)),
    ("x", [*NO_NUMBERS[1:], 256], lambda it, value: it.get_scp_data(GetVersion(0, 0, 0), value)),
    ("y", [*NO_NUMBERS[1:], 256], lambda it, value: it.get_scp_data(GetVersion(0, 0, 0), 0, value)),
    ("boards", [None, "x", [-1], [24]], lambda it, value: bmp(boards=value)),
    *((name, NO_NUMBERS, memory("read_memory", READ, name)) for name in READ),
    *((name, NO_NUMBERS, memory("fill_memory", FILL, name)) for name in FILL),
    *(
        (name, NO_MEMORY if name == "data" else NO_NUMBERS, memory("write_memory", WRITE, name))
        for name in WRITE
    ),
    ("link", [*NO_NUMBERS, 6], memory("read_link", READ, "link")),
    ("length", NO_NUMBERS, memory("read_link", {**READ, "link": 0}, "length")),
    ("base_address", NO_NUMBERS, memory("read_link", {**READ, "link": 0}, "base_address")),
    ("link", [*NO_NUMBERS, 6], memory("write_link", WRITE, "link")),
    ("base_address", NO_NUMBERS, memory("write_link", {**WRITE, "link": 0}, "base_address")),
    ("data", NO_MEMORY, memory("write_link", {**WRITE, "link": 0}, "data")),
    ("base_address", NO_NUMBERS, lambda it, value: it.flood_fill(value, b"abcd")),
    ("data", NO_MEMORY, lambda it, value: it.flood_fill(0, value)),
    ("out", [b"", "x", 5, [1], bytes(4)], memory("read_memory", READ, "out")),
    ("out", OBJECTS, memory("read_memory", {**READ, "length": 8}, "out")),
    ("progress", [5, "x"], memory("read_memory", READ, "progress")),
    ("n_channels", ["x", 1.5, 0, 2**70], lambda it, value: BulkTransfer(n_channels=value)),
    ("n_retries", [None, "x", 1.5, -1], lambda it, value: BulkTransfer(n_retries=value)),
    (
        "packet_timeout",
        [None, "x", 0, -1, 1e9, float("nan")],
        lambda it, value: BulkTransfer(packet_timeout=value),
    ),
    (
        "connection",
        [None, 5, object()],
        lambda it, value: BulkTransfer().read(value, 0, 0, 0, 4),
    ),
    ("n_channels", ["x", 1.5, 0, 2**70], lambda it, value: SCPRequestPipeLine(it, value)),
    (
        "intermediate_channel_waits",
        ["x", 0.5, -1, 8],
        lambda it, value: SCPRequestPipeLine(it, 8, value),
    ),
    ("n_retries", [None, "x", 1.5, -1], lambda it, value: SCPRequestPipeLine(it, n_retries=value)),
    ("n_processes", [*NO_NUMBERS, 0], lambda it, value: ConnectionListener(it, value)),
    ("timeout", [None, *NO_SECONDS], lambda it, value: ConnectionListener(it, 4, value)),
    (
        "max_backlog",
        [None, "x", 1.5, 0],
        lambda it, value: ConnectionListener(it, max_backlog=value),
    ),
    ("buffer_size", NO_NUMBERS, lambda it, value: ConnectionListener(it, buffer_size=value)),
    ("callback", [None, 5], lambda it, value: ConnectionListener(it).add_callback(value)),
    ("hardware", [None, "x", 4, 1.5], lambda it, value: VirtualBoard(value)),
    ("hardware", [None, "x", 4], lambda it, value: geometry_of(value)),
    ("host", [None, 5, "::1", "nowhere", "127.0.0.256"], lambda it, value: board(host=value)),
    ("port", [None, *NO_PORTS], lambda it, value: board(port=value)),
    ("busy", [None, "x", -0.1, 1.1, float("nan")], lambda it, value: board(busy=value)),
    ("tags", [*NO_NUMBERS, 0], lambda it, value: board(tags=value)),
    (
        "service_time",
        [None, "x", -1, float("nan"), float("inf")],
        lambda it, value: board(service_time=value),
    ),
    ("cores", [None, "x", 1.5, 0, 19, {(0, 0): 0}], lambda it, value: board(cores=value)),
    ("dead_chips", [None, 5, [5], [(0, 0)]], lambda it, value: board(dead_chips=value)),
    ("dead_links", [None, 5, [5], [(0, 0, 6)]], lambda it, value: board(dead_links=value)),
    ("boot_port", [None, *NO_PORTS], lambda it, value: board(booted=False, boot_port=value)),
    ("requests", [5, "x"], lambda it, value: board(requests=value)),
    ("width", [*NO_NUMBERS, 0, 22], lambda it, value: torus_of(value, 1)),
    ("height", [*NO_NUMBERS, 0, 22], lambda it, value: torus_of(1, value)),
    ("loss", [None, "x", -0.1, 1.1], lambda it, value: Impairment(loss=value)),
    ("latency", [None, "x", -1, float("inf")], lambda it, value: Impairment(latency=value)),
]


def bmp(**fields: Any) -> BMPConnection:
    return BMPConnection(BMPConnectionData("127.0.0.1", **fields))


def board(**settings: Any) -> VirtualBoard:
    return VirtualBoard(3, **settings)


@pytest.fixture(scope="module")
def connection() -> Iterator[SCAMPConnection]:
    with SCAMPConnection(0, 0, remote_host="127.0.0.1", remote_port=9) as it:
        yield it


@pytest.mark.parametrize(("name", "values", "call"), CALLS)
def test_a_wrong_argument_is_named(
    connection: SCAMPConnection, name: str, values: list[Any], call: Call
) -> None:
    for value in values:
        with pytest.raises((TypeError, ValueError), match=rf"^{name}\b") as caught:
            call(connection, value)
        assert type(caught.value) in (TypeError, ValueError)
        shown = str(caught.value)
        shows = {repr(value), str(value)} | ({f"{value:#x}"} if isinstance(value, int) else set())
        assert any(it in shown for it in shows) or isinstance(value, (list, dict, tuple, bytes))


def test_numbers_of_numpy_are_numbers() -> None:
    number = np.uint8
    with (
        Peer(memory=bytes(range(64))) as peer,
        connections.SCAMPConnection(
            number(1), number(2), remote_host="127.0.0.1", remote_port=np.int64(peer.port)
        ) as connection,
    ):
        peer.base = 0
        data = connection.read_memory(number(3), number(4), number(8), np.int64(10), number(5))
        assert data == bytes(range(8, 18))
        connection.write_memory(number(3), number(4), np.uint32(8), b"abcd", number(5))
        connection.send_scp_request(ReadMemory((0, 0, 0), 0, 4))
        connection.receive_scp_response(PATIENCE)
        for request in peer.requests[:-1]:
            assert (request.x, request.y, request.destination) == (3, 4, 5)
        assert (peer.requests[-1].source_x, peer.requests[-1].source_y) == (1, 2)
