# SPDX-License-Identifier: Apache-2.0
"""The messages of pyspin and the board of pyspin understand one another.

Each has a judge of its own, SpiNNMan and the bytes of the protocol; this is the third side.
"""

from __future__ import annotations

import struct
from typing import TypeVar

import pytest

from pyspin.board import Board, Machine, geometry_of
from pyspin.messages import (
    AbstractSCPRequest,
    AbstractSCPResponse,
    AppCopyRun,
    ApplicationRun,
    ApplicationStart,
    AppStop,
    CountState,
    CPUState,
    DoSync,
    FillRequest,
    FixedRouteInit,
    FixedRouteRead,
    FloodFillCoreSelect,
    FloodFillData,
    FloodFillEnd,
    FloodFillStart,
    GetChipInfo,
    GetVersion,
    IPTagClear,
    IPTagGet,
    IPTagGetInfo,
    IPTagSet,
    IPTagSetTTO,
    IPTagTimeOutWaitTime,
    LEDAction,
    ReadLink,
    ReadMemory,
    ReverseIPTagSet,
    RouterAlloc,
    RouterClear,
    RouterInit,
    SDRAMAlloc,
    SDRAMDeAlloc,
    SendSignal,
    SetLED,
    Signal,
    WriteLink,
    WriteMemory,
)

Response = TypeVar("Response", bound=AbstractSCPResponse)

HOST = ("127.0.0.1", 5000)
IMAGE = 0x67800000


class Client:
    """Sends pyspin's requests to a board and reads the replies with pyspin's responses."""

    def __init__(self) -> None:
        self.machine = Machine(geometry_of(5))
        self.board = Board(self.machine)

    def ask(self, request: AbstractSCPRequest[Response]) -> Response:
        out = self.board.receive(b"\0\0" + request.bytestring, HOST, 1.0)
        assert out is not None
        response = request.get_scp_response()
        response.read_bytestring(out.data, 2)
        return response

    def state(self, x: int, y: int, core: int) -> tuple[CPUState, int]:
        it = self.machine.chip((x, y)).cores[core]
        return it.state, it.app


@pytest.fixture
def client() -> Client:
    return Client()


def test_version(client: Client) -> None:
    info = client.ask(GetVersion(3, 2, 0)).version_info
    assert (info.x, info.y, info.p) == (3, 2, 0)
    assert (info.name, info.hardware, tuple(info.version_number)) == (
        "SC&MP",
        "SpiNNaker",
        (4, 0, 0),
    )


def test_chip_info(client: Client) -> None:
    info = client.ask(GetChipInfo(1, 0)).chip_info
    assert (info.x, info.y, info.n_cores) == (1, 0, 18)
    assert list(info.working_links) == [0, 1, 2, 3]
    assert info.largest_free_sdram_block == 123469792
    assert info.n_free_multicast_routing_entries == 1023
    assert info.core_states[0] == CPUState.RUNNING
    assert info.core_states[17] == CPUState.IDLE
    assert info.parent_link == 3


def test_memory(client: Client) -> None:
    client.ask(WriteMemory((1, 1, 0), 0x60000002, b"abcdef"))
    assert bytes(client.ask(ReadMemory((1, 1, 0), 0x60000002, 6)).payload) == b"abcdef"
    client.ask(FillRequest(1, 1, 0x60000000, 0x01010101, 8))
    assert bytes(client.ask(ReadMemory((1, 1, 0), 0x60000000, 8)).payload) == b"\1" * 8
    client.ask(WriteLink((1, 1, 0), 0, 0x60000000, b"next"))
    assert bytes(client.ask(ReadMemory((2, 1, 0), 0x60000000, 4)).payload) == b"next"
    assert bytes(client.ask(ReadLink((1, 1, 0), 0, 0x60000000, 4)).payload) == b"next"


def test_applications(client: Client) -> None:
    client.ask(ApplicationRun(30, 1, 1, [1, 17], wait=True))
    assert client.state(1, 1, 17) == (CPUState.READY, 30)
    assert client.ask(CountState(0, 0, 30, CPUState.READY)).count == 2
    client.ask(SendSignal(30, Signal.START))
    assert client.state(1, 1, 1) == (CPUState.RUNNING, 30)
    client.ask(ApplicationStart(31, 1, 1, IMAGE, [2]))
    client.ask(AppStop(30))
    assert client.state(1, 1, 1) == (CPUState.IDLE, 0)
    assert client.state(1, 1, 2) == (CPUState.RUNNING, 31)


def test_copy_and_run(client: Client) -> None:
    image = bytes(range(64))
    client.ask(WriteMemory((0, 0, 0), IMAGE, image))
    checksum = sum(struct.unpack("<16I", image))
    client.ask(AppCopyRun(0, 1, 5, 64, 30, [4], checksum))
    assert client.state(0, 1, 4) == (CPUState.RUNNING, 30)


@pytest.mark.parametrize("place", [None, (5, 5)])
def test_flood_fill(client: Client, place: tuple[int, int] | None) -> None:
    where = {} if place is None else {"x": place[0], "y": place[1]}
    client.ask(FloodFillStart(9, 2, **where))
    client.ask(FloodFillCoreSelect([1, 2], **where))
    client.ask(FloodFillData(9, 0, IMAGE, b"a" * 256))
    client.ask(FloodFillData(9, 1, IMAGE + 256, b"b" * 64))
    client.ask(FloodFillEnd(9, 30, [1, 2], wait=True))
    running = [c.place for c in client.machine.chips() if c.cores[2].state == CPUState.READY]
    assert running == (sorted(client.machine.geometry.chips) if place is None else [place])
    assert client.machine.chip((7, 7)).memory.read(IMAGE + 255, 2) == b"ab"


def test_sdram(client: Client) -> None:
    address = client.ask(SDRAMAlloc(2, 2, 30, 100, 4)).base_address
    assert client.ask(SDRAMAlloc(2, 2, 30, 100, 4)).base_address == address
    client.ask(SDRAMDeAlloc(2, 2, base_address=address))
    client.ask(SDRAMAlloc(2, 2, 30, 100, 4))
    client.ask(SDRAMAlloc(2, 2, 30, 100, 5))
    assert client.ask(SDRAMDeAlloc(2, 2, app_id=30)).number_of_blocks_freed == 2


def test_routes(client: Client) -> None:
    entry = struct.pack("<2H3I", 0, 0, 0x41, 0x100, 0xFFFFFF00)
    client.ask(WriteMemory((1, 1, 0), IMAGE, entry))
    first = client.ask(RouterAlloc(1, 1, 30, 1)).base_address
    client.ask(RouterInit(1, 1, 1, IMAGE, first, 30))
    assert client.machine.chip((1, 1)).memory.word(0xE1008000 + 4 * first) == 0x100
    client.ask(RouterClear(1, 1))
    assert client.machine.chip((1, 1)).memory.word(0xE1008000 + 4 * first) == 0xFFFFFFFF
    client.ask(FixedRouteInit(1, 1, 0x3F, 30))
    assert client.ask(FixedRouteRead(1, 1, 30)).route == 0x3F


def test_ip_tags(client: Client) -> None:
    client.ask(IPTagSet(0, 0, "10.0.0.1", 1234, 3, strip=True))
    tag = client.ask(IPTagGet(0, 0, 3))
    assert (tag.ip_address, tag.port, tag.strip_sdp) == (bytes([10, 0, 0, 1]), 1234, True)
    assert tag.in_use
    assert not tag.is_reverse
    client.ask(ReverseIPTagSet(0, 0, 1, 2, 3, 5555, 4, 1))
    tag = client.ask(IPTagGet(0, 0, 4))
    assert tag.is_reverse
    where = (tag.spin_chip_x, tag.spin_chip_y, tag.spin_cpu, tag.spin_port, tag.rx_port)
    assert where == (1, 2, 3, 1, 5555)
    client.ask(IPTagClear(0, 0, 3))
    assert not client.ask(IPTagGet(0, 0, 3)).in_use
    info = client.ask(IPTagGetInfo(0, 0))
    assert (info.pool_size, info.fixed_size) == (8, 8)
    client.ask(IPTagSetTTO(0, 0, IPTagTimeOutWaitTime.TIMEOUT_160_ms))
    after = client.ask(IPTagGetInfo(0, 0)).transient_timeout
    assert after == IPTagTimeOutWaitTime.TIMEOUT_160_ms


def test_led_and_sync(client: Client) -> None:
    client.ask(SetLED(1, 1, 0, {0: LEDAction.ON, 3: LEDAction.TOGGLE}))
    assert client.machine.chip((1, 1)).leds == 0b1001
    client.ask(DoSync(False))
    assert not client.machine.syncing
