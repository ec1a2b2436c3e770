# SPDX-License-Identifier: Apache-2.0
"""The board model, byte by byte, with requests built here from the protocol."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pyspin.board import Board, Geometry, Machine, Message, Outgoing, geometry_of, torus_of
from pyspin.messages import CPUState

HOST = ("127.0.0.1", 5000)
OK, LEN, SUM, CMD, ARG = 0x80, 0x81, 0x82, 0x83, 0x84
TIMEOUT, ROUTE, CPU, BUSY = 0x86, 0x87, 0x88, 0x8D
VER, READ, WRITE, FILL, COUNT = 0, 2, 3, 5, 15
LINK_READ, LINK_WRITE, AR, NNP, COPY_RUN, SIG = 17, 18, 19, 20, 21, 22
FFD, AS, LED, IPTAG, ALLOC, RTR, INFO, SYNC = 23, 24, 25, 26, 28, 29, 31, 32
IMAGE = 0x67800000


def request(
    command: int,
    args: tuple[int, ...] = (0, 0, 0),
    data: bytes = b"",
    *,
    place: tuple[int, int] = (0, 0),
    core: int = 0,
    seq: int = 7,
    flags: int = 0x87,
    tag: int = 255,
) -> bytes:
    """Build an SCP request: pad, SDP header, SCP header, arguments, data."""
    x, y = place
    sdp = struct.pack("<2x8B", flags, tag, core, 0xFF, y, x, 0, 0)
    return sdp + struct.pack("<HH3I", command, seq, *args) + data


class Client:
    """Sends requests to a board and takes its replies apart."""

    def __init__(self, hardware: int = 5, **settings: Any) -> None:
        self.board = Board(Machine(geometry_of(hardware)), **settings)
        self.now = 0.0

    def raw(self, datagram: bytes) -> bytes | None:
        self.now += 0.001
        out = self.board.receive(datagram, HOST, self.now)
        return None if out is None else out.data

    def ask(self, command: int, *args: int, data: bytes = b"", **where: Any) -> tuple[int, bytes]:
        """Return the result code and the payload after it."""
        reply = self.reply(request(command, (*args, 0, 0, 0)[:3], data, **where))
        return int.from_bytes(reply[10:12], "little"), reply[14:]

    def reply(self, datagram: bytes) -> bytes:
        reply = self.raw(datagram)
        assert reply is not None
        return reply

    def ok(self, command: int, *args: int, data: bytes = b"", **where: Any) -> bytes:
        result, payload = self.ask(command, *args, data=data, **where)
        assert result == OK
        return payload

    def word(self, command: int, *args: int, **where: Any) -> int:
        return int.from_bytes(self.ok(command, *args, **where), "little")

    def state(self, x: int, y: int, core: int) -> tuple[CPUState, int]:
        it = self.board.machine.chip((x, y)).cores[core]
        return it.state, it.app


def left(outgoing: Outgoing | None) -> Outgoing:
    """Return what left the board, which must be something."""
    assert outgoing is not None
    return outgoing


def there(geometry: Geometry, place: tuple[int, int], link: int) -> tuple[int, int]:
    """Return the neighbour that must be at the end of a link."""
    neighbour = geometry.neighbour(place, link)
    assert neighbour is not None
    return neighbour


@pytest.fixture
def client() -> Client:
    return Client()


def test_version_names_chip_and_firmware(client: Client) -> None:
    payload = client.ok(VER, place=(3, 2))
    assert payload[:4] == bytes([0, 0, 2, 3])
    assert struct.unpack_from("<HH", payload, 4) == (256, 0xFFFF)
    assert payload[12:] == b"SC&MP/SpiNNaker\x004.0.0\x00"


def test_version_of_an_application_core_is_sark(client: Client) -> None:
    payload = client.ok(VER, core=5, place=(1, 1))
    assert payload[:2] == bytes([5, 5])
    assert payload[12:].startswith(b"SARK/SpiNNaker\0")


def test_reply_swaps_addresses_and_keeps_the_sequence(client: Client) -> None:
    reply = client.reply(request(VER, place=(3, 2), core=4, seq=0xABCD))
    assert reply[:2] == b"\0\0"
    assert reply[2] == 0x07
    assert 8 <= reply[3] <= 15
    assert reply[4:6] == bytes([0xFF, 4])
    assert reply[6:10] == bytes([0, 0, 2, 3])
    assert reply[12:14] == bytes([0xCD, 0xAB])


def test_any_chip_is_the_root_chip(client: Client) -> None:
    reply = client.reply(request(VER, place=(255, 255)))
    assert reply[8:10] == b"\0\0"


def test_no_reply_flag_gets_none_but_is_executed(client: Client) -> None:
    put = request(WRITE, (0x60000000, 4, 2), b"abcd", flags=0x07)
    assert client.raw(put) is None
    assert client.ok(READ, 0x60000000, 4, 2) == b"abcd"


def test_request_without_arguments_is_rc_len(client: Client) -> None:
    reply = client.reply(request(VER)[:14])
    assert reply[10:] == bytes([LEN, 0, 7, 0])
    assert client.board.results["RC_LEN"] == 1


@pytest.mark.parametrize(
    ("size", "answered"),
    [(9, False), (10, True), (25, True), (26, True), (282, True), (283, False)],
)
def test_sizes_that_are_answered(client: Client, size: int, answered: bool) -> None:
    datagram = request(VER, data=bytes(300))[:size]
    assert (client.raw(datagram) is not None) == answered
    assert sum(client.board.dropped.values()) == (not answered)


def test_unknown_command_chip_and_core(client: Client) -> None:
    assert client.ask(99) == (CMD, b"")
    assert client.ask(1) == (CMD, b"")
    assert client.ask(ALLOC, core=1) == (CMD, b"")
    assert client.ask(VER, place=(7, 0)) == (ROUTE, b"")
    assert client.ask(VER, core=18) == (CPU, b"")


def test_memory_is_each_chips_own(client: Client) -> None:
    client.ok(WRITE, 0x60001000, 8, 2, data=b"12345678", place=(1, 1))
    assert client.ok(READ, 0x60001000, 8, 2, place=(1, 1)) == b"12345678"
    assert client.ok(READ, 0x60001000, 8, 2, place=(1, 2)) == bytes(8)


def test_memory_across_a_page_and_its_other_alias(client: Client) -> None:
    data = bytes(range(256))
    client.ok(WRITE, 0x6000FF80, 256, 2, data=data)
    assert client.ok(READ, 0x6000FF80, 256, 0) == data
    assert client.ok(READ, 0x7000FF81, 255, 0) == data[1:]


def test_tightly_coupled_memory_is_each_cores_own(client: Client) -> None:
    client.ok(WRITE, 0x00400000, 4, 2, data=b"one.", core=1)
    client.ok(WRITE, 0x00400000, 4, 2, data=b"two.", core=2)
    assert client.ok(READ, 0x00400000, 4, 2, core=1) == b"one."
    assert client.ok(READ, 0x00400000, 4, 2, core=0) == bytes(4)


def test_empty_read_and_write(client: Client) -> None:
    assert client.ok(READ, 0x60000000, 0, 0) == b""
    assert client.ok(WRITE, 0x60000000, 0, 0) == b""


def test_arguments_of_read_and_write_are_checked(client: Client) -> None:
    assert client.ask(READ, 0x60000000, 257, 0) == (ARG, b"")
    assert client.ask(READ, 0x60000000, 4, 3) == (ARG, b"")
    assert client.ask(WRITE, 0x60000000, 257, 0) == (ARG, b"")
    assert client.ask(WRITE, 0x60000000, 8, 2, data=b"1234") == (LEN, b"")


def test_a_unit_drops_the_remainder(client: Client) -> None:
    client.ok(WRITE, 0x60000000, 8, 0, data=b"abcdefgh")
    client.ok(WRITE, 0x60000000, 7, 2, data=b"ABCDEFG")
    assert client.ok(READ, 0x60000000, 8, 0) == b"ABCDefgh"
    short = client.ok(READ, 0x60000000, 7, 2)
    assert len(short) == 7
    assert short[:4] == b"ABCD"
    assert short[4:] != b"efg"


def test_a_wrong_unit_misses_the_address(client: Client) -> None:
    client.ok(WRITE, 0x60000000, 8, 0, data=b"abcdefgh")
    assert client.ok(READ, 0x60000002, 4, 2) == b"abcd"
    assert client.ok(READ, 0x60000002, 4, 1) == b"cdef"


@pytest.mark.parametrize("address", [0x00008000, 0x00410000, 0x68000000, 0x90000000, 0xF5008000])
def test_an_address_with_nothing_there_is_not_answered(client: Client, address: int) -> None:
    assert client.raw(request(READ, (address, 4, 2))) is None
    assert client.raw(request(READ, (address - 2, 4, 0))) is None
    assert client.board.dropped["abort"] == 2


def test_fill(client: Client) -> None:
    client.ok(FILL, 0x60000004, 0x01020304, 200000)
    assert client.ok(READ, 0x60000000, 8, 2) == bytes([0, 0, 0, 0, 4, 3, 2, 1])
    assert client.ok(READ, 0x60000000 + 200000, 8, 2) == bytes([4, 3, 2, 1, 0, 0, 0, 0])
    assert client.ask(FILL, 0x60000002, 0, 8)[0] == ARG
    assert client.ask(FILL, 0x60000000, 0, 6)[0] == ARG


def test_links_lead_to_neighbours(client: Client) -> None:
    client.ok(LINK_WRITE, 0x60000000, 4, 1, data=b"NE..", place=(2, 2))
    assert client.ok(READ, 0x60000000, 4, 2, place=(3, 3)) == b"NE.."
    assert client.ok(LINK_READ, 0x60000000, 4, 0, place=(2, 3)) == b"NE.."
    assert client.ask(LINK_READ, 0x60000000, 4, 6)[0] == ARG
    assert client.ask(LINK_READ, 0x60000000, 6, 0)[0] == ARG
    assert client.ask(LINK_READ, 0x60000000, 4, 3)[0] == TIMEOUT


def test_a_three_board_wraps_northwards() -> None:
    client = Client(3)
    client.ok(LINK_WRITE, 0x60000000, 4, 5, data=b"wrap", place=(0, 0))
    assert client.ok(READ, 0x60000000, 4, 2, place=(0, 1)) == b"wrap"
    assert client.ask(LINK_READ, 0x60000000, 4, 3, place=(0, 0))[0] == TIMEOUT


def test_system_variables(client: Client) -> None:
    variables = client.ok(READ, 0xF5007F00, 256, 2, place=(4, 7))
    assert variables[:4] == bytes([7, 4, 8, 8])
    assert variables[8:12] == bytes([0, 0, 5, 0])
    assert struct.unpack_from("<2H", variables, 0x24) == (200, 130)
    assert struct.unpack_from("<I", variables, 0xCC) == (0xE5007000,)
    assert variables[0xBC] == 18
    assert variables[0x65] == sum(1 << n for n in geometry_of(5).links((4, 7)))


def test_the_clock_runs(client: Client) -> None:
    client.now = 12.345
    ms = struct.unpack("<Q", client.ok(READ, 0xF5007F10, 8, 2))[0]
    assert ms == 12346


def test_p2p_table_leads_to_every_chip(client: Client) -> None:
    geometry = client.board.machine.geometry
    for target in ((0, 0), (7, 7), (4, 7), (7, 3)):
        here = (0, 3)
        for _ in range(16):
            x, y = target
            address = 0xE1010000 + 4 * (x * 32 + y // 8)
            route = client.word(READ, address, 4, 2, place=here) >> 3 * (y % 8) & 7
            if here == target:
                break
            here = there(geometry, here, route)
        assert here == target
        assert route == 7
    assert client.word(READ, 0xE1010000 + 4 * 32 * 200, 4, 2) == 0o66666666


def test_info_has_38_bytes(client: Client) -> None:
    payload = client.ok(INFO, 0x5F)
    assert len(payload) == 38
    summary, sdram, sysram = struct.unpack_from("<3I", payload)
    assert summary & 0x1F == 18
    assert summary >> 8 & 0x3F == 0b000111
    assert summary >> 14 & 0x7FF == 1023
    assert summary >> 25 & 1
    assert sdram == 123469792
    assert sysram > 0
    assert payload[12:30] == bytes([7] + [15] * 17)
    assert payload[30:36] == bytes([0, 0, 127, 0, 0, 1])
    far = client.ok(INFO, 0x5F, place=(3, 3))
    assert not struct.unpack_from("<I", far)[0] >> 25 & 1
    assert struct.unpack_from("<H", far, 36) == (4,)


def test_sdram_heap_allocates_and_frees(client: Client) -> None:
    first = client.word(ALLOC, 30 << 8, 1001, 0)
    second = client.word(ALLOC, 30 << 8, 8, 0)
    assert second == first + 1004 + 8
    assert client.word(ALLOC, 30 << 8 | 1, first) == 1
    assert client.word(ALLOC, 30 << 8 | 1, first) == 0
    assert client.word(ALLOC, 30 << 8, 500, 0) == first
    assert client.word(ALLOC, 30 << 8 | 2) == 2
    free, largest = struct.unpack("<2I", client.ok(ALLOC, 6))
    assert free == largest == 123469792


def test_sdram_too_large_or_zero_is_refused_with_zero(client: Client) -> None:
    assert client.word(ALLOC, 30 << 8, 123469796, 0) == 0
    assert client.word(ALLOC, 30 << 8, 0, 0) == 0
    assert client.word(ALLOC, 30 << 8, 123469792, 0) != 0
    assert client.word(ALLOC, 30 << 8, 4, 0) == 0


def test_a_tag_is_had_once_and_again_with_the_retry_flag(client: Client) -> None:
    pointer = client.word(ALLOC, 30 << 8, 100, 5)
    assert client.word(ALLOC, 30 << 8, 100, 5) == 0
    assert client.word(ALLOC, 4 << 16 | 30 << 8, 100, 5) == pointer
    assert client.word(ALLOC, 30 << 8 | 7, 0, 5) == pointer
    assert client.word(READ, 0x60200000 + 4 * (30 << 8 | 5), 4, 2) == pointer
    client.ok(ALLOC, 1, pointer)
    assert client.word(ALLOC, 30 << 8 | 7, 0, 5) == 0


def test_heap_headers_can_be_followed_in_memory(client: Client) -> None:
    pointers = [client.word(ALLOC, 31 << 8, 100, n) for n in (1, 2, 3)]
    client.ok(ALLOC, 1, pointers[1])
    heap = client.word(READ, 0xF5007F4C, 4, 2)
    free, block, last, _ = struct.unpack("<4I", client.ok(READ, heap, 16, 2))
    seen = []
    while block != last:
        following, state = struct.unpack("<2I", client.ok(READ, block, 8, 2))
        seen.append((block + 8, state))
        block = following
    assert [address for address, _ in seen[:3]] == pointers
    assert [state for _, state in seen[:3:2]] == [0xFFFF1F01, 0xFFFF1F03]
    assert free == pointers[1] - 8
    assert seen[1][1] == seen[3][0] - 8


def test_router_table_is_loaded_and_cleared(client: Client) -> None:
    entries = b"".join(struct.pack("<2H3I", n, 0, 0x3F << n, n << 8, 0xFFFFFF00) for n in range(3))
    client.ok(WRITE, IMAGE, len(entries), 2, data=entries)
    first = client.word(ALLOC, 30 << 8 | 3, 3)
    assert first == 1
    client.ok(RTR, 3 << 16 | 30 << 8 | 2, IMAGE, first)
    assert client.word(READ, 0xE1008000 + 4 * 3, 4, 2) == 0x200
    copy = client.word(READ, 0xF5007FD4, 4, 2)
    app, route, key, mask = struct.unpack("<2xBx3I", client.ok(READ, copy + 32, 16, 2))
    assert (app, route, key, mask) == (30, 0x7E, 0x100, 0xFFFFFF00)
    assert client.word(ALLOC, 30 << 8 | 5) == 3
    assert client.word(READ, 0xE1008000 + 4 * 3, 4, 2) == 0xFFFFFFFF
    assert client.word(ALLOC, 30 << 8 | 3, 1023) == 1
    assert client.word(ALLOC, 30 << 8 | 3, 1) == 0
    assert client.word(ALLOC, 4, 1) == 1023
    assert client.ask(RTR, 3 << 16 | 30 << 8 | 2, IMAGE, 1022)[0] == ARG
    assert client.ask(RTR, 9)[0] == ARG


def test_fixed_route(client: Client) -> None:
    client.ok(RTR, 3, 0x123)
    assert client.word(RTR, 3, 0x80000000) == 0x123
    client.ok(RTR, 0)


def test_ip_tag_set_get_clear(client: Client) -> None:
    where = int.from_bytes(bytes([192, 168, 1, 9]), "little")
    assert client.word(IPTAG, 1 << 28 | 1 << 16 | 3, 12345, where) == 3
    entry = client.ok(IPTAG, 2 << 16 | 3, 1)
    assert len(entry) == 32
    assert entry[:4] == bytes([192, 168, 1, 9])
    assert struct.unpack_from("<3H", entry, 10) == (12345, 0, 0x8100)
    client.ok(IPTAG, 3 << 16 | 3)
    assert client.ok(IPTAG, 2 << 16 | 3, 1) == bytes(32)
    assert client.ask(IPTAG, 1 << 16 | 16)[0] == ARG
    assert client.ask(IPTAG, 9 << 16)[0] == ARG


def test_ip_tag_to_the_sender(client: Client) -> None:
    client.ok(IPTAG, 4 << 28 | 1 << 16 | 2)
    client.ok(IPTAG, 1 << 16 | 1, 777, 0)
    out = left(client.board.send(2, b"hello", (1, 1, 3, 1)))
    assert out.to == HOST
    assert out.data == bytes([0, 0, 7, 2, 0xFF, 1 << 5 | 3, 0, 0, 1, 1]) + b"hello"
    assert left(client.board.send(1, b"", (0, 0, 1, 1))).to == (HOST[0], 777)
    assert client.board.send(5, b"", (0, 0, 1, 1)) is None


def test_reverse_ip_tag_leads_to_a_core(client: Client) -> None:
    client.ok(AS, IMAGE, 30 << 24 | 1 << 3, place=(1, 2))
    target = 1 << 5 | 3
    client.ok(IPTAG, 3 << 28 | 1 << 16 | target << 8 | 4, 1 << 24 | 2 << 16 | 5555)
    entry = client.ok(IPTAG, 2 << 16 | 4, 1)
    assert struct.unpack_from("<H", entry, 14) == (0x8300,)
    assert struct.unpack_from("<H3B", entry, 20) == (5555, 2, 1, target)
    got: list[Message] = []
    client.board.deliver = got.append
    client.board.receive_reverse(4, b"spikes", HOST)
    assert got == [(1, 2, 3, 1, b"spikes", HOST)]


def test_transient_timeout(client: Client) -> None:
    assert client.ok(IPTAG, 4 << 16, 255) == bytes([9, 32, 8, 8])
    assert client.ok(IPTAG, 4 << 16, 5) == bytes([5, 32, 8, 8])


def test_a_reply_may_go_through_a_tag_of_the_users(client: Client) -> None:
    client.ok(IPTAG, 1 << 16 | 3, 4444, int.from_bytes(bytes([127, 0, 0, 9]), "little"))
    out = left(client.board.receive(request(VER, tag=3), HOST, client.now))
    assert out.to == ("127.0.0.9", 4444)
    assert client.board.receive(request(VER, tag=4), HOST, client.now) is None


def test_sdp_messages_reach_running_applications_only(client: Client) -> None:
    got: list[Message] = []
    client.board.deliver = got.append
    message = struct.pack("<2x8B", 0x07, 255, 2 << 5 | 4, 0xFF, 1, 2, 0, 0) + b"payload"
    client.raw(message)
    assert client.board.dropped["no_application"] == 1
    client.ok(AS, IMAGE, 30 << 24 | 1 << 4, place=(2, 1))
    client.raw(message)
    assert got == [(2, 1, 4, 2, b"payload", HOST)]


def test_applications_start_wait_and_stop(client: Client) -> None:
    client.ok(AR, 30 << 24 | 1 << 18 | 0b110, place=(1, 0))
    assert client.state(1, 0, 1) == (CPUState.READY, 30)
    assert client.word(COUNT, 30, CPUState.READY) == 2
    client.ok(SIG, 0, 3 << 16 | 0xFF00 | 31, 0xFFFF)
    assert client.state(1, 0, 1) == (CPUState.READY, 30)
    client.ok(SIG, 0, 3 << 16 | 0xFF00 | 30, 0xFFFF)
    assert client.state(1, 0, 1) == (CPUState.RUNNING, 30)
    client.ok(SIG, 0, 6 << 16 | 0xFF00 | 30, 0xFFFF)
    assert client.state(1, 0, 2) == (CPUState.PAUSED, 30)
    client.ok(SIG, 2, 7 << 16 | 0xFF00 | 30, 0xFFFF)
    assert client.state(1, 0, 2) == (CPUState.RUNNING, 30)
    client.ok(ALLOC, 30 << 8, 100, 1, place=(1, 0))
    client.ok(NNP, 0x3F0000, 0x50000000 | 2 << 16 | 0xFF00 | 30, 0x80003F00)
    assert client.state(1, 0, 1) == (CPUState.IDLE, 0)
    assert client.word(ALLOC, 30 << 8 | 2, place=(1, 0)) == 0


def test_sync_barriers_let_go(client: Client) -> None:
    client.ok(AR, 30 << 24 | 0b10)
    core = client.board.machine.chip((0, 0)).cores[1]
    for number, state in ((4, CPUState.SYNC0), (5, CPUState.SYNC1)):
        core.become(state)
        client.ok(SIG, 0, number << 16 | 0xFF00 | 30, 0xFFFF)
        assert core.state == CPUState.RUNNING


def test_signals_that_are_refused(client: Client) -> None:
    assert client.ask(SIG, 1, 3 << 16 | 0xFF00 | 30)[0] == ARG
    assert client.ask(SIG, 0, 14 << 16)[0] == ARG
    assert client.ask(AR, 30 << 24 | 1)[0] == ARG
    assert client.ask(AS, IMAGE, 30 << 24 | 3)[0] == ARG


def test_vcpu_block_shows_the_core(client: Client) -> None:
    client.ok(AR, 30 << 24 | 1 << 4)
    block = client.ok(READ, 0xE5007000 + 128 * 4, 128, 2)
    assert block[0x2C:0x30] == bytes([0, 4, CPUState.RUNNING, 30])
    assert block[0x48:0x58].rstrip(b"\0") == b"app-30"


def test_an_image_travels_by_copy_run(client: Client) -> None:
    image = bytes(range(200))
    client.ok(WRITE, IMAGE, 200, 2, data=image)
    total = sum(struct.unpack("<50I", image)) & 0x1FFFFFFF
    args = (total << 3 | 3, 200, 30 << 24 | 0b100)
    client.ok(COPY_RUN, *args, place=(1, 0))
    assert client.ok(READ, IMAGE, 200, 2, place=(1, 0)) == image
    assert client.state(1, 0, 2) == (CPUState.RUNNING, 30)
    assert client.ask(COPY_RUN, args[0] ^ 8, *args[1:], place=(1, 0))[0] == SUM
    assert client.ask(COPY_RUN, args[0], 198, args[2], place=(1, 0))[0] == ARG
    assert client.ask(COPY_RUN, *args, place=(0, 0))[0] == TIMEOUT


def flood(
    client: Client,
    blocks: list[bytes],
    announced: int | None = None,
    region: int = 0x00030000 | 0xFFFF,
    cores: int = 0b110,
) -> None:
    identifier = 0x12
    count = len(blocks) if announced is None else announced
    client.ok(NNP, 6 << 24 | identifier << 16 | count << 8, region, 0x80003F1A)
    client.ok(NNP, 7 << 24 | cores, region, 0x80003F1A)
    for number, block in enumerate(blocks):
        size = (len(block) // 4 - 1) << 8
        client.ok(
            FFD, 0x3F1E0000 | identifier, number << 16 | size, IMAGE + 256 * number, data=block
        )
    client.ok(NNP, 15 << 24 | identifier, 30 << 24, 0x80003F1A)


def test_flood_fill_loads_and_starts(client: Client) -> None:
    flood(client, [b"a" * 256, b"b" * 128])
    for place in ((0, 0), (3, 3), (2, 1)):
        assert client.ok(READ, IMAGE + 252, 8, 2, place=place) == b"aaaabbbb"
        assert client.state(*place, 2) == (CPUState.RUNNING, 30)
    assert client.state(4, 4, 1) == (CPUState.IDLE, 0)
    assert client.ok(READ, IMAGE, 4, 2, place=(7, 7)) == b"aaaa"


def test_flood_fill_with_a_missing_block_starts_nothing(client: Client) -> None:
    flood(client, [b"a" * 256], announced=2)
    assert client.state(0, 0, 1) == (CPUState.IDLE, 0)


def test_flood_fill_to_a_single_chip(client: Client) -> None:
    flood(client, [b"a" * 4], region=0x04040000 | 3 << 16 | 1 << 5)
    assert client.state(5, 5, 1) == (CPUState.RUNNING, 30)
    assert client.word(COUNT, 30, CPUState.RUNNING) == 2


def test_unknown_nearest_neighbour_packet(client: Client) -> None:
    assert client.ask(NNP, 9 << 24)[0] == ARG


def test_led_and_sync(client: Client) -> None:
    client.ok(LED, 3 << 2 | 1, place=(1, 1))
    assert client.board.machine.chip((1, 1)).leds == 0b11
    client.ok(LED, 2 << 2 | 1, place=(1, 1))
    assert client.board.machine.chip((1, 1)).leds == 0
    client.ok(SYNC, 0)
    assert not client.board.machine.syncing


def test_busy_replies_come_at_their_rate_and_from_the_seed() -> None:
    runs = []
    for _ in range(2):
        client = Client(3, busy=0.25, seed=4)
        runs.append([client.ask(VER)[0] for _ in range(400)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {OK, BUSY}
    assert 60 < runs[0].count(BUSY) < 140


def test_the_ninth_request_vanishes() -> None:
    board = Board(Machine(geometry_of(3)), service_time=1.0)
    replies = [left(board.receive(request(VER, seq=n), HOST, 0.0)) for n in range(8)]
    assert board.receive(request(VER), HOST, 0.0) is None
    assert [reply.due for reply in replies] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert [reply.data[3] for reply in replies] == list(range(8, 16))
    assert board.dropped["no_tag"] == 1
    again = left(board.receive(request(VER), HOST, 1.0))
    assert again.due == 9.0
    assert again.data[3] == 8


def test_dead_chips_links_and_cores() -> None:
    geometry = geometry_of(5).without([(1, 1)], [(0, 0, 0)])
    board = Board(Machine(geometry, cores={(2, 2): 17}))
    client = Client()
    client.board = board
    assert client.ask(VER, place=(1, 1))[0] == ROUTE
    assert client.ask(LINK_READ, 0x60000000, 4, 1)[0] == TIMEOUT
    assert client.ask(LINK_READ, 0x60000000, 4, 3, place=(1, 0))[0] == TIMEOUT
    assert client.ask(VER, core=17, place=(2, 2))[0] == CPU
    assert client.ok(INFO, place=(2, 2))[0] & 0x1F == 17
    far = client.word(READ, 0xE1010000 + 4 * (7 * 32), 4, 2) >> 21 & 7
    assert far < 6


def test_three_boards_fill_a_square_and_wrap() -> None:
    geometry = torus_of(1, 1)
    assert len(geometry.chips) == 144
    assert geometry.boards == [(0, 0), (4, 8), (8, 4)]
    for board in geometry.boards:
        assert sum(geometry.ethernet_of(place) == board for place in geometry.chips) == 48
    assert all(len(geometry.links(place)) == 6 for place in geometry.chips)
    assert geometry.neighbour((0, 0), 4) == (11, 11)


@pytest.mark.parametrize("triads", [(0, 1), (1, 22)])
def test_sizes_of_a_torus_are_checked(triads: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"(width|height) must be at (least|most)"):
        torus_of(*triads)


def test_each_board_of_a_machine_counts_its_own_cores() -> None:
    machine = Machine(torus_of(1, 1))
    client = Client()
    client.board = Board(machine)
    client.ok(AR, 30 << 24 | 0b1110, place=(4, 8))
    client.ok(AR, 30 << 24 | 0b10, place=(0, 0))
    counts = [client.word(COUNT, 30, CPUState.RUNNING, place=b) for b in machine.geometry.boards]
    assert counts == [1, 3, 0]
    client.board = Board(machine, (8, 4))
    assert client.word(COUNT, 30, CPUState.RUNNING, place=(255, 255)) == 0
    assert client.ok(INFO, place=(9, 4))[30:32] == bytes([4, 8])


def test_parents_lead_to_the_root() -> None:
    machine = Machine(torus_of(1, 1))
    client = Client()
    client.board = Board(machine)
    for start in ((4, 8), (8, 4), (6, 6), (11, 0)):
        here = start
        for _ in range(12):
            parent = struct.unpack_from("<H", client.ok(INFO, place=here), 36)[0]
            if parent == 0xFFFF:
                break
            here = there(machine.geometry, here, parent)
        assert here == (0, 0)


def test_noise_never_raises(client: Client) -> None:
    import random

    noise = random.Random(1)
    for _ in range(3000):
        size = noise.choice([0, 5, 12, 26, 40, 282])
        datagram = bytearray(noise.randbytes(size))
        if size >= 26:
            datagram[4] &= 0x1F
            datagram[6:8] = bytes([noise.randrange(8), noise.randrange(8)])
            datagram[10:12] = bytes([noise.randrange(34), 0])
            if datagram[10] == FILL:
                datagram[22:26] = bytes([noise.randrange(256), 0, 0, 0])
        client.raw(bytes(datagram))
