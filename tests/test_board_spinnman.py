# SPDX-License-Identifier: Apache-2.0
"""The virtual board as SpiNNMan sees it: its transceiver and its pipeline talk to it."""

from __future__ import annotations

import logging
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

from pyspin import messages
from pyspin.board import Geometry, Impairment, VirtualBoard, torus_of

pytest.importorskip("spinnman")

from spinn_machine import CoreSubset, CoreSubsets, Machine, MulticastRoutingEntry, RoutingEntry
from spinn_machine.tags import IPTag, ReverseIPTag
from spinn_utilities.config_holder import set_config
from spinnman.config_setup import unittest_setup
from spinnman.connections import SCPRequestPipeLine
from spinnman.connections.udp_packet_connections import SCAMPConnection
from spinnman.data.spinnman_data_writer import SpiNNManDataWriter
from spinnman.messages.scp.enums import Signal
from spinnman.messages.scp.impl.read_memory import ReadMemory
from spinnman.messages.spinnaker_boot import SpinnakerBootMessages
from spinnman.model.enums import CPUState, UserRegister
from spinnman.transceiver import Transceiver, create_transceiver_from_hostname

PORT = 17893
APP = 30
Connect = Callable[..., tuple[VirtualBoard, Transceiver, Machine]]


def board_on_the_port(hardware: int | Geometry, **settings: Any) -> VirtualBoard:
    """Return a board on SpiNNaker's port, at a loopback address where that is free."""
    for last in range(190):
        try:
            return VirtualBoard(hardware, host=f"127.0.{61 + last}.1", port=PORT, **settings)
        except OSError:
            continue
    pytest.skip(f"port {PORT} is taken at every address that was tried")


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return a function that serves a board and gives SpiNNMan's transceiver to it."""
    boards: list[VirtualBoard] = []
    transceivers: list[Transceiver] = []
    logging.getLogger("spinnman").setLevel(logging.ERROR)

    def connected(
        hardware: int | Geometry, **settings: Any
    ) -> tuple[VirtualBoard, Transceiver, Machine]:
        board = board_on_the_port(hardware, **settings)
        boards.append(board)
        board.start()
        unittest_setup()
        set_config("Machine", "version", str(board.hardware))
        transceiver = create_transceiver_from_hostname(board.host)
        transceivers.append(transceiver)
        machine = transceiver.get_machine_details()
        writer = SpiNNManDataWriter.mock()
        writer.set_machine(machine)
        writer.set_transceiver(transceiver)
        return board, transceiver, machine

    yield connected
    for transceiver in transceivers:
        transceiver.close()
    for board in boards:
        board.close()
    unittest_setup()


def cores_of(board: VirtualBoard, *, state: messages.CPUState) -> list[tuple[int, int, int]]:
    """Return the application cores in a state, as the board has them."""
    places = [(x, y, p) for x in range(8) for y in range(8) for p in range(1, 18)]
    return [place for place in places if has_state(board, place, state)]


def has_state(board: VirtualBoard, place: tuple[int, int, int], state: messages.CPUState) -> bool:
    try:
        return board.core_state(*place)[0] == state
    except KeyError:
        return False


@pytest.mark.parametrize(("hardware", "chips"), [(3, 4), (5, 48)])
def test_the_machine_is_what_spinn_machine_knows(
    connect: Connect, hardware: int, chips: int
) -> None:
    from spinn_machine import virtual_machine

    _, _, machine = connect(hardware)
    known = virtual_machine(machine.width, machine.height)
    assert machine.n_chips == chips
    assert {(c.x, c.y) for c in machine.chips} == {(c.x, c.y) for c in known.chips}
    for chip in machine.chips:
        twin = known[chip.x, chip.y]
        ends = [
            {
                (link.source_link_id, link.destination_x, link.destination_y)
                for link in c.router.links
            }
            for c in (chip, twin)
        ]
        assert ends[0] == ends[1]
        assert chip.sdram == twin.sdram
        assert chip.n_processors == 18


def test_a_machine_of_three_boards(connect: Connect, tmp_path: Path) -> None:
    machine_at, transceiver, machine = connect(torus_of(1, 1))
    assert (machine.width, machine.height, machine.n_chips) == (12, 12, 144)
    found = {(c.x, c.y, c.ip_address) for c in machine.ethernet_connected_chips}
    assert found == {(b.x, b.y, b.host) for b in machine_at.boards}
    assert all(len(list(chip.router.links)) == 6 for chip in machine.chips)
    binary = tmp_path / "app.aplx"
    binary.write_bytes(bytes(range(64)))
    subsets = CoreSubsets([CoreSubset(0, 0, [1]), CoreSubset(5, 9, [2, 3]), CoreSubset(11, 3, [4])])
    transceiver.execute_flood(subsets, str(binary), APP)
    assert transceiver.get_core_state_count(APP, CPUState.RUNNING) == 4
    transceiver.write_memory(5, 9, 0x60300000, b"elsewhere...")
    assert machine_at.read_memory(5, 9, 0x60300000, 12) == b"elsewhere..."


def test_its_boot_image_boots() -> None:
    unittest_setup()
    set_config("Machine", "version", "5")
    with (
        VirtualBoard(5, booted=False, boot_port=0) as board,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        for message in SpinnakerBootMessages().messages:
            sock.sendto(message.bytestring, (board.host, board.boot_port))
        deadline = time.monotonic() + PATIENCE
        while not board.booted:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_dead_parts_are_discovered(connect: Connect) -> None:
    _, _, machine = connect(5, dead_chips=[(2, 2)], dead_links=[(0, 0, 0)], cores={(1, 0): 17})
    assert machine.n_chips == 47
    assert not machine.is_chip_at(2, 2)
    assert not machine[0, 0].router.is_link(0)
    assert machine[1, 0].n_processors == 17


def test_memory(connect: Connect) -> None:
    board, transceiver, _ = connect(3)
    data = random.Random(1).randbytes(10_003)
    transceiver.write_memory(1, 1, 0x60300003, data)
    assert board.read_memory(1, 1, 0x60300003, len(data)) == data
    assert bytes(transceiver.read_memory(1, 1, 0x60300003, len(data))) == data
    transceiver.write_user(1, 0, 3, UserRegister.USER_1, 77)
    assert transceiver.read_user(1, 0, 3, UserRegister.USER_1) == 77
    assert transceiver.read_word(0, 0, 0xF5007FCC) == 0xE5007000


def test_sdram_allocation(connect: Connect) -> None:
    _, transceiver, _ = connect(3)
    first = transceiver.malloc_sdram(1, 1, 1000, APP, 5)
    assert first >= 0x60240000
    both = transceiver.malloc_sdram_multi([(1, 1, 1000, APP, 6), (0, 1, 40, APP, 1)])
    assert both[0] > first
    assert transceiver.malloc_sdram(1, 1, 1000, APP, 5) == first


def test_an_application_loads_runs_and_stops(connect: Connect, tmp_path: Path) -> None:
    board, transceiver, _ = connect(5)
    image = random.Random(2).randbytes(3000)
    binary = tmp_path / "app.aplx"
    binary.write_bytes(image)
    targets = [(0, 0, 1), (0, 0, 2), (1, 1, 3), (7, 7, 17)]
    subsets = CoreSubsets([CoreSubset(0, 0, [1, 2]), CoreSubset(1, 1, [3]), CoreSubset(7, 7, [17])])
    transceiver.execute_flood(subsets, str(binary), APP, wait=True)
    transceiver.wait_for_cores_to_be_in_state(subsets, APP, [CPUState.READY], timeout=PATIENCE)
    assert cores_of(board, state=messages.CPUState.READY) == targets
    assert board.read_memory(7, 7, 0x67800000, len(image)) == image
    transceiver.send_signal(APP, Signal.START)
    assert transceiver.get_core_state_count(APP, CPUState.RUNNING) == 4
    info = transceiver.get_cpu_infos(subsets).get_cpu_info(7, 7, 17)
    assert (info.state, info.application_id, info.physical_cpu_id) == (CPUState.RUNNING, APP, 17)
    board.print(1, 1, 3, "hello from the core\n")
    buffers = transceiver.get_iobuf(CoreSubsets([CoreSubset(1, 1, [3])]))
    assert [buffer.iobuf for buffer in buffers] == ["hello from the core\n"]
    transceiver.stop_application(APP)
    assert transceiver.get_core_state_count(APP, CPUState.RUNNING) == 0
    assert cores_of(board, state=messages.CPUState.RUNNING) == []


def test_a_core_in_trouble_is_reported(connect: Connect, tmp_path: Path) -> None:
    board, transceiver, _ = connect(3)
    binary = tmp_path / "app.aplx"
    binary.write_bytes(bytes(64))
    subsets = CoreSubsets([CoreSubset(1, 1, [3])])
    transceiver.execute_flood(subsets, str(binary), APP)
    board.set_core_state(1, 1, 3, messages.CPUState.RUN_TIME_EXCEPTION, rte=2)
    with pytest.raises(Exception, match="1, 1, 3"):
        transceiver.wait_for_cores_to_be_in_state(subsets, APP, [CPUState.SYNC0], timeout=PATIENCE)


def test_ip_tags(connect: Connect) -> None:
    board, transceiver, _ = connect(3)
    transceiver.set_ip_tag(IPTag(board.host, 0, 0, 1, "127.0.0.1", 12345, strip_sdp=True))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((board.host, 0))
        port = free.getsockname()[1]
    transceiver.set_reverse_ip_tag(ReverseIPTag(board.host, 2, port, 1, 1, 3, 1))
    tags: dict[int, Any] = {tag.tag: tag for tag in transceiver.get_tags()}
    assert set(tags) == {1, 2}
    assert (tags[1].ip_address, tags[1].port, tags[1].strip_sdp) == ("127.0.0.1", 12345, True)
    back = tags[2]
    assert (back.destination_x, back.destination_y, back.destination_p) == (1, 1, 3)
    assert (back.port, back.sdp_port) == (port, 1)
    transceiver.clear_ip_tag(1)
    assert [tag.tag for tag in transceiver.get_tags()] == [2]


def test_routes(connect: Connect) -> None:
    _, transceiver, _ = connect(3)
    routes = [
        MulticastRoutingEntry(
            n << 8, 0xFFFFFF00, RoutingEntry(processor_ids=[n, 4], link_ids=[0, 2])
        )
        for n in range(1, 4)
    ]
    transceiver.load_multicast_routes(1, 1, routes, APP)
    found = transceiver.get_multicast_routes(1, 1, APP)
    assert {(e.key, e.mask, e.processor_ids, e.link_ids) for e in found} == {
        (e.key, e.mask, e.processor_ids, e.link_ids) for e in routes
    }
    assert transceiver.get_multicast_routes(1, 1, APP + 1) == []
    transceiver.load_fixed_route(1, 1, RoutingEntry(processor_ids=[3], link_ids=[1]), APP)
    fixed = transceiver.read_fixed_route(1, 1, APP)
    assert (set(fixed.processor_ids), set(fixed.link_ids)) == ({3}, {1})
    transceiver.clear_multicast_routes((1, 1))
    assert transceiver.get_multicast_routes(1, 1) == []
    transceiver.get_router_diagnostics(1, 1)
    transceiver.control_sync(True)


BAD_NETWORKS: dict[str, dict[str, Any]] = {
    "loss": {"requests": Impairment(loss=0.01), "replies": Impairment(loss=0.01)},
    "duplication": {"requests": Impairment(duplication=0.1)},
    "reordering": {"requests": Impairment(reordering=0.1), "replies": Impairment(reordering=0.1)},
    "latency": {"replies": Impairment(latency=0.001, jitter=0.001)},
    "busy": {"busy": 0.01},
    "limited input": {"service_time": 60e-6},
}


@pytest.mark.parametrize("name", BAD_NETWORKS)
def test_the_transceiver_works_through_a_bad_network(
    connect: Connect, tmp_path: Path, name: str
) -> None:
    board, transceiver, machine = connect(3, seed=4, **BAD_NETWORKS[name])
    assert machine.n_chips == 4
    data = random.Random(1).randbytes(10_003)
    transceiver.write_memory(1, 1, 0x60300003, data)
    assert board.read_memory(1, 1, 0x60300003, len(data)) == data
    assert bytes(transceiver.read_memory(1, 1, 0x60300003, len(data))) == data
    binary = tmp_path / "app.aplx"
    binary.write_bytes(bytes(range(64)))
    subsets = CoreSubsets([CoreSubset(0, 0, [1]), CoreSubset(1, 1, [3])])
    transceiver.execute_flood(subsets, str(binary), APP)
    assert transceiver.get_core_state_count(APP, CPUState.RUNNING) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"replies": Impairment(loss=0.02)},
        {"requests": Impairment(duplication=0.1, reordering=0.1)},
        {"busy": 0.01},
    ],
    ids=["clean", "loss", "disorder", "busy"],
)
def test_the_pipeline_reads_all_through_a_bad_network(settings: dict[str, Any]) -> None:
    words = 400
    with VirtualBoard(3, seed=5, **settings) as board:
        board.write_memory(1, 0, 0x60000000, struct.pack(f"<{words}I", *range(words)))
        got: dict[int, int] = {}
        errors: list[Any] = []
        connection = SCAMPConnection(
            chip_x=0, chip_y=0, remote_host=board.host, remote_port=board.port
        )
        try:
            pipeline: Any = SCPRequestPipeLine(
                connection,
                n_channels=8,
                intermediate_channel_waits=7,
                n_retries=200,
                packet_timeout=0.05,
            )
            for n in range(words):
                pipeline.send_request(
                    ReadMemory((1, 0, 0), 0x60000000 + 4 * n, 4),
                    partial(keep, got, n),
                    lambda *error: errors.append(error),
                )
            pipeline.finish()
        finally:
            connection.close()
    assert errors == []
    assert got == {n: n for n in range(words)}


def keep(got: dict[int, int], n: int, response: Any) -> None:
    got[n] = struct.unpack_from("<I", response.data, response.offset)[0]
