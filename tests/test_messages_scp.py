# SPDX-License-Identifier: Apache-2.0
"""SCP requests and responses, beside SpiNNMan's: the same bytes out, the same fields in."""

import contextlib
import struct

import pytest
import spinnman.messages.scp.impl as peer
from hypothesis import given, settings
from hypothesis import strategies as st
from spinnman.constants import IPTAG_TIME_OUT_WAIT_TIMES
from spinnman.messages.scp import enums as peer_enums
from spinnman.messages.scp.abstract_messages import AbstractSCPRequest as PeerRequest
from spinnman.messages.scp.scp_request_header import SCPRequestHeader as PeerRequestHeader
from spinnman.messages.sdp import SDPFlag as PeerFlag
from spinnman.messages.sdp import SDPHeader as PeerHeader
from spinnman.model.enums import CPUState as PeerState

from pyspin import messages
from pyspin._ffi import lib
from pyspin.messages import (
    AbstractSCPRequest,
    AllocationError,
    CheckOKResponse,
    InvalidPacketError,
    SCPCommand,
    SCPRequestHeader,
    SCPResult,
    SDPFlag,
    SDPHeader,
    UnexpectedResponseCodeError,
)

byte = st.integers(0, 255)
core = st.integers(0, 31)
word = st.integers(0, 0xFFFFFFFF)
aligned = st.integers(0, 0x3FFFFFFF).map(lambda n: n * 4)
address = st.integers(0, 0xFFFFFF00)
short = st.integers(0, 0xFFFF)
place = st.tuples(byte, byte, core)
link = st.integers(0, 5)
size = st.integers(1, 256)
data = st.binary(max_size=256)
words = st.integers(1, 64).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
cores = st.one_of(st.none(), st.lists(st.integers(1, 17), unique=True))
tag = st.integers(0, 7)
board = st.integers(0, 23)

# (name, the arguments as a strategy of tuples, named ones)
POSITIONAL = [
    ("GetVersion", st.tuples(byte, byte, core)),
    ("ReadMemory", st.tuples(place, address, size)),
    ("WriteMemory", st.tuples(place, address, data)),
    (
        "ReadLink",
        st.tuples(
            place,
            link,
            aligned.filter(lambda a: a < 2**32 - 256),
            st.integers(1, 64).map(lambda n: 4 * n),
        ),
    ),
    ("WriteLink", st.tuples(place, link, aligned.filter(lambda a: a < 2**32 - 256), words)),
    ("FillRequest", st.tuples(byte, byte, aligned, word, aligned)),
    ("ApplicationRun", st.tuples(byte, byte, byte, cores, st.booleans())),
    ("AppCopyRun", st.tuples(byte, byte, link, aligned, byte, cores, word, st.booleans())),
    ("AppStop", st.tuples(byte)),
    ("DoSync", st.tuples(st.booleans())),
    ("IPTagClear", st.tuples(byte, byte, tag)),
    ("IPTagGet", st.tuples(byte, byte, tag)),
    ("IPTagGetInfo", st.tuples(byte, byte)),
    ("IPTagSet", st.tuples(byte, byte, st.lists(byte, min_size=4, max_size=4), short, tag)),
    ("ReverseIPTagSet", st.tuples(byte, byte, byte, byte, core, short, tag, tag)),
    ("RouterAlloc", st.tuples(byte, byte, byte, short)),
    ("RouterInit", st.tuples(byte, byte, st.integers(1, 0xFFFF), word, word, byte)),
    ("RouterClear", st.tuples(byte, byte)),
    ("FixedRouteInit", st.tuples(byte, byte, word, byte)),
    ("FixedRouteRead", st.tuples(byte, byte, byte)),
    (
        "SDRAMAlloc",
        st.tuples(
            byte,
            byte,
            byte,
            st.integers(1, 0xFFFFFFFF),
            st.one_of(st.none(), st.integers(1, 255)),
            st.booleans(),
        ),
    ),
    ("GetChipInfo", st.tuples(byte, byte, st.booleans())),
    ("FloodFillStart", st.tuples(byte, byte)),
    ("FloodFillStart", st.tuples(byte, byte, byte, byte)),
    ("FloodFillData", st.tuples(byte, byte, word, words)),
    ("FloodFillEnd", st.tuples(byte, byte, cores, st.booleans())),
    ("BMPGetVersion", st.tuples(board)),
    ("ReadFPGARegister", st.tuples(st.integers(0, 2), word, board)),
]


def render(ours, theirs, sequence=0, x=0, y=0):
    """Return what the two requests look like once a connection has filled their headers."""
    theirs.sdp_header.update_for_send(x, y)
    theirs.scp_request_header.sequence = sequence
    ours.scp_request_header.sequence = sequence
    return ours.datagram(x, y), b"\0\0" + theirs.bytestring


@pytest.mark.parametrize(("name", "arguments"), POSITIONAL)
@settings(max_examples=15)
@given(values=st.data())
def test_requests_have_the_bytes_of_spinnman(name, arguments, values):
    args = values.draw(arguments)
    ours, theirs = getattr(messages, name)(*args), getattr(peer, name)(*args)
    mine, other = render(ours, theirs, values.draw(short), values.draw(byte), values.draw(byte))
    assert mine == other
    assert ours.argument_1 == (theirs.argument_1 or 0)


@settings(max_examples=15)
@given(byte, st.sampled_from(list(messages.Signal)))
def test_signals_have_the_bytes_of_spinnman(app_id, signal):
    ours = messages.SendSignal(app_id, signal)
    mine, other = render(ours, peer.SendSignal(app_id, peer_enums.Signal(signal.value)))
    assert mine == other


@settings(max_examples=15)
@given(byte, byte, byte, st.sampled_from(list(messages.CPUState)))
def test_state_counts_have_the_bytes_of_spinnman(x, y, app_id, state):
    ours = messages.CountState(x, y, app_id, state)
    mine, other = render(ours, peer.CountState(x, y, app_id, PeerState(state.value)))
    assert mine == other


@settings(max_examples=15)
@given(byte, byte, tag, st.booleans(), st.booleans())
def test_ip_tag_flags_have_the_bytes_of_spinnman(x, y, number, strip, use_sender):
    args, flags = (x, y, b"\x0a\0\0\1", 1000, number), {"strip": strip, "use_sender": use_sender}
    mine, other = render(messages.IPTagSet(*args, **flags), peer.IPTagSet(*args, **flags))
    assert mine == other


def test_tag_timeouts_have_the_bytes_of_spinnman():
    for code in messages.IPTagTimeOutWaitTime:
        ours = messages.IPTagSetTTO(1, 2, code)
        theirs = peer.IPTagSetTTO(1, 2, IPTAG_TIME_OUT_WAIT_TIMES(code.value))
        mine, other = render(ours, theirs)
        assert mine == other


@settings(max_examples=20)
@given(byte, byte, byte)
def test_sdram_releases_have_the_bytes_of_spinnman(x, y, app_id):
    for named in ({"app_id": app_id}, {"base_address": app_id << 8}):
        mine, other = render(messages.SDRAMDeAlloc(x, y, **named), peer.SDRAMDeAlloc(x, y, **named))
        assert mine == other


@settings(max_examples=15)
@given(
    st.sampled_from(list(messages.PowerCommand)),
    st.lists(board, min_size=1, max_size=4, unique=True),
    st.integers(0, 65).map(float),
)
def test_power_has_the_bytes_of_spinnman(command, boards, delay):
    ours = messages.SetPower(command, boards, delay=delay)
    theirs = peer.SetPower(peer_enums.PowerCommand(command.value), boards, delay=delay)
    mine, other = render(ours, theirs)
    assert mine == other


@settings(max_examples=15)
@given(st.integers(0, 2), word, word, board)
def test_fpga_writes_have_the_bytes_of_spinnman(fpga, register, value, number):
    args = (fpga, register, value, number)
    mine, other = render(messages.WriteFPGARegister(*args), peer.WriteFPGARegister(*args))
    assert mine == other


def body(request):
    """Return command, three arguments and data of a request."""
    packed = request.datagram()
    command, _, *arguments = struct.unpack_from("<HHIII", packed, 10)
    return command, *arguments, packed[26:]


def test_requests_that_spinnman_lacks_or_cannot_make():
    # The expected words are those of the firmware's own argument decoding.
    assert body(
        messages.SetLED(0, 0, 0, {0: messages.LEDAction.ON, 2: messages.LEDAction.TOGGLE})
    ) == (25, 0b010011, 0, 0, b"")
    assert body(messages.ApplicationStart(16, 1, 2, 0x60000000, [1, 2], True)) == (
        24,
        0x60000000,
        16 << 24 | 1 << 18 | 6,
        0,
        b"",
    )
    assert body(messages.FloodFillCoreSelect([1, 17])) == (
        20,
        7 << 24 | 1 << 17 | 2,
        0xFFFF,
        0x3F1A,
        b"",
    )
    power = messages.SetPower(messages.PowerCommand.POWER_ON, [0, 3], delay=0.5)
    assert body(power) == (57, 500 << 16 | 1, 0b1001, 0, b"")
    write = messages.WriteFPGARegister(2, 0x40007, 0x01020304, 1)
    assert body(write) == (18, 0x40004, 4, 2, b"\4\3\2\1")
    assert body(messages.GetBMPInfo(1, messages.BMPInfo.ADC)) == (48, 3, 0, 0, b"")


def test_arguments_are_always_there():
    assert len(messages.GetVersion(0, 0, 0).datagram()) == 26


def test_memory_requests_take_either_form_of_the_place():
    for new, old in [
        (
            messages.ReadMemory((1, 2, 3), 0x60000000, 8),
            messages.ReadMemory(1, 2, 0x60000000, 8, 3),
        ),
        (
            messages.ReadMemory(coordinates=(1, 2, 0), base_address=4, size=8),
            messages.ReadMemory(x=1, y=2, base_address=4, size=8),
        ),
        (messages.WriteMemory((1, 2, 0), 4, b"abcd"), messages.WriteMemory(1, 2, 4, b"abcd")),
        (messages.ReadLink((1, 2, 3), 4, 8, 12), messages.ReadLink(1, 2, 4, 8, 12, cpu=3)),
        (messages.WriteLink((1, 2, 3), 4, 8, b"1234"), messages.WriteLink(1, 2, 4, 8, b"1234", 3)),
    ]:
        assert new.datagram() == old.datagram()


@pytest.mark.parametrize("args", [(), (1, 2), ((1, 2, 3),), ((1, 2, 3), 4, 5, 6, 7), (1, 2, 3)])
def test_memory_requests_say_which_forms_there_are(args):
    with pytest.raises(TypeError):
        messages.ReadMemory(*args)


@pytest.mark.parametrize(
    ("at", "length", "unit"),
    [(0, 4, 2), (2, 4, 1), (1, 4, 0), (0, 3, 0), (4, 6, 1), (0, 256, 2), (2, 2, 1)],
)
def test_the_unit_divides_address_and_length(at, length, unit):
    assert messages.access_unit(at, length) == unit
    assert messages.ReadMemory((0, 0, 0), at, length).argument_3 == unit
    assert messages.WriteMemory((0, 0, 0), at, bytes(length)).argument_3 == unit


@pytest.mark.parametrize(
    "make",
    [
        lambda: messages.ReadMemory((0, 0, 0), 0, 257),
        lambda: messages.ReadMemory((0, 0, 0), 0, 0),
        lambda: messages.ReadMemory((0, 0, 0), 0xFFFFFFFF, 2),
        lambda: messages.ReadMemory((0, 0, 0), -1, 2),
        lambda: messages.ReadMemory((256, 0, 0), 0, 2),
        lambda: messages.ReadMemory((0, -1, 0), 0, 2),
        lambda: messages.ReadMemory((0, 0, 32), 0, 2),
        lambda: messages.WriteMemory((0, 0, 0), 0, bytes(257)),
        lambda: messages.FillRequest(0, 0, 1, 0, 4),
        lambda: messages.ReadLink((0, 0, 0), 6, 0, 4),
        lambda: messages.ReadLink((0, 0, 0), 0, 0, 6),
        lambda: messages.ApplicationRun(16, 0, 0, [0]),
        lambda: messages.IPTagSet(0, 0, "nowhere", 1, 1),
        lambda: messages.IPTagSet(0, 0, [1, 2, 3], 1, 1),
        lambda: messages.IPTagSet(0, 0, "10.0.0.1", 65536, 1),
        lambda: messages.IPTagGet(0, 0, 8),
        lambda: messages.SDRAMAlloc(0, 0, 256, 4),
        lambda: messages.FloodFillData(1, 1, 0, b"abc"),
    ],
)
def test_arguments_that_cannot_be_sent_are_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()


def test_only_harmless_requests_may_be_hedged():
    place = (0, 0, 0)
    harmless = [
        messages.ReadMemory(place, 0, 4),
        messages.WriteMemory(place, 0, b"1234"),
        messages.FillRequest(0, 0, 0, 0, 4),
        messages.GetVersion(0, 0, 0),
        messages.GetChipInfo(0, 0),
        messages.IPTagSet(0, 0, "10.0.0.1", 1, 1),
        messages.IPTagGet(0, 0, 1),
        messages.SDRAMAlloc(0, 0, 16, 4, tag=1),
    ]
    harmful = [
        messages.ReadLink(place, 0, 0, 4),
        messages.SetLED(0, 0, 0, {0: messages.LEDAction.ON}),
        messages.SDRAMAlloc(0, 0, 16, 4),
        messages.SDRAMAlloc(0, 0, 16, 4, tag=1, retry_tag=False),
        messages.SDRAMDeAlloc(0, 0, app_id=16),
        messages.SendSignal(16, messages.Signal.STOP),
        messages.AppStop(16),
        messages.CountState(0, 0, 16, messages.CPUState.RUNNING),
        messages.ApplicationRun(16, 0, 0, [1]),
        messages.FloodFillStart(1, 1),
        messages.FloodFillEnd(1),
        messages.SetLED(0, 0, 0, {0: messages.LEDAction.TOGGLE}),
        messages.SetPower(messages.PowerCommand.POWER_ON, 0),
    ]
    assert all(request.is_idempotent for request in harmless)
    assert not any(request.is_idempotent for request in harmful)
    # What the window in C thinks of requests that do not say it themselves.
    for request in harmless + harmful:
        datagram = request.datagram()
        assert lib.spn_scp_may_repeat(datagram, len(datagram)) == request.is_idempotent


def test_changes_of_the_headers_are_sent():
    request = messages.ReadMemory((1, 2, 3), 0, 4)
    request.scp_request_header.sequence = 0x1234
    before = request.datagram(5, 6)
    header = request.sdp_header
    assert (header.destination_chip_x, header.destination_chip_y, header.destination_cpu) == (
        1,
        2,
        3,
    )
    header.update_for_send(5, 6)
    assert request.datagram() == before
    header.destination_port = 4
    assert SDPHeader.from_bytestring(request.bytestring).destination_port == 4
    assert request.bytestring[10:12] == b"\x34\x12"


class OwnRequest(AbstractSCPRequest[CheckOKResponse]):
    """A request that a user defines, for a program of their own."""

    def __init__(self, value):
        super().__init__(
            SDPHeader(SDPFlag.REPLY_EXPECTED, destination_port=5, destination_cpu=2),
            SCPRequestHeader(SCPCommand.CMD_VER, 7),
            argument_2=value,
            data=b"xy",
        )

    def get_scp_response(self):
        return CheckOKResponse("own", "OWN")


class PeerOwnRequest(PeerRequest):
    def __init__(self, value):
        super().__init__(
            PeerHeader(PeerFlag.REPLY_EXPECTED, destination_port=5, destination_cpu=2),
            PeerRequestHeader(peer_enums.SCPCommand.CMD_VER, 7),
            argument_2=value,
            data=b"xy",
        )

    def get_scp_response(self):
        raise NotImplementedError


def test_users_define_requests_as_with_spinnman():
    request = OwnRequest(9)
    assert body(request) == (0, 0, 9, 0, b"xy")
    theirs = PeerOwnRequest(9)
    theirs.sdp_header.update_for_send(0, 0)
    # SpiNNMan leaves out arguments that nobody gave, which a board answers with RC_LEN.
    assert request.bytestring[:12] == theirs.bytestring[:12]
    with pytest.raises(ValueError, match="argument_2"):
        OwnRequest(1 << 32)


# ---- responses


def reply(payload=b"", result=SCPResult.RC_OK, sequence=7):
    header = bytes([0x07, 9, 0xFF, 0x03, 0, 0, 2, 1])
    return b"\0\0" + header + struct.pack("<HH", result, sequence) + payload


def both(ours, theirs, raw):
    mine, other = ours.get_scp_response(), theirs.get_scp_response()
    mine.read_bytestring(raw, 2)
    other.read_bytestring(raw, 2)
    assert mine.scp_response_header.sequence == other.scp_response_header.sequence
    assert mine.scp_response_header.result.name == other.scp_response_header.result.name
    assert mine.sdp_header.bytestring == other.sdp_header.bytestring
    return mine, other


def test_a_read_gives_its_bytes():
    raw = reply(b"abcd")
    place = ((1, 2, 3), 0, 4)
    mine, other = both(messages.ReadMemory(*place), peer.ReadMemory(*place), raw)
    assert (mine.data, mine.offset, mine.length) == (other.data, other.offset, other.length)
    assert mine.payload == b"abcd"


@pytest.mark.parametrize("payload", [b"", b"abc", b"abcde"])
def test_a_reply_of_another_length_than_asked_is_refused(payload):
    response = messages.ReadMemory((0, 0, 0), 0, 4).get_scp_response()
    with pytest.raises(InvalidPacketError, match="4 were asked for"):
        response.read_bytestring(reply(payload), 2)


@settings(max_examples=15)
@given(place, short, word, st.tuples(byte, byte, byte))
def test_both_forms_of_version_are_read(where, buffer_size, built, number):
    text = "{}.{}.{}".format(*number).encode()
    for version, strings in [
        (0xFFFF, b"SC&MP/SpiNNaker\0" + text + b"\0"),
        (133, b"SARK/SpiNNaker\0"),
    ]:
        payload = struct.pack(
            "<4BHHI", where[2], 5, where[1], where[0], buffer_size, version, built
        )
        raw = reply(payload + strings)
        mine, other = both(messages.GetVersion(0, 0, 0), peer.GetVersion(0, 0, 0), raw)
        for name in (
            "name",
            "hardware",
            "version_number",
            "version_string",
            "x",
            "y",
            "p",
            "build_date",
        ):
            assert getattr(mine.version_info, name) == getattr(other.version_info, name), name
        assert (mine.version_info.physical_p, mine.version_info.buffer_size) == (5, buffer_size)


@settings(max_examples=15)
@given(byte, byte, byte, byte, word, st.tuples(byte, byte, byte))
def test_versions_of_a_bmp_are_read_as_by_spinnman(block, frame, can, number, built, version):
    text = "{}.{}.{}".format(*version).encode()
    payload = struct.pack("<4BHHI", block, frame, can, number, 256, 0xFFFF, built)
    raw = reply(payload + b"BC&MP/Spin5-BMP\0" + text + b"\0")
    mine, other = both(messages.BMPGetVersion(0), peer.BMPGetVersion(0), raw)
    for name in ("name", "hardware", "version_number", "version_string", "x", "y", "p"):
        assert getattr(mine.version_info, name) == getattr(other.version_info, name), name


@settings(max_examples=15)
@given(
    st.integers(0, 18),
    st.integers(0, 63),
    st.integers(0, 1023),
    st.booleans(),
    word,
    word,
    st.lists(st.integers(0, 15), min_size=18, max_size=18),
    byte,
    byte,
    st.binary(min_size=4, max_size=4),
    st.integers(0, 5),
)
def test_chip_info_is_read_as_by_spinnman(
    cores_, links, entries, ethernet, sdram, sram, states, y, x, address_, parent
):
    flags = cores_ | links << 8 | entries << 14 | ethernet << 25
    payload = struct.pack("<III18s2B4sH", flags, sdram, sram, bytes(states), y, x, address_, parent)
    mine, other = both(messages.GetChipInfo(1, 2), peer.GetChipInfo(1, 2), reply(payload))
    ours, theirs = mine.chip_info, other.chip_info
    for name in (
        "x",
        "y",
        "n_cores",
        "working_links",
        "is_ethernet_available",
        "n_free_multicast_routing_entries",
        "largest_free_sdram_block",
        "largest_free_sram_block",
        "nearest_ethernet_x",
        "nearest_ethernet_y",
        "ethernet_ip_address",
        "parent_link",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert [int(s) for s in ours.core_states] == [s.value for s in theirs.core_states][:cores_]


@settings(max_examples=15)
@given(st.binary(min_size=32, max_size=32))
def test_tags_are_read_as_by_spinnman(payload):
    mine, other = both(messages.IPTagGet(1, 2, 3), peer.IPTagGet(1, 2, 3), reply(payload))
    for name in (
        "ip_address",
        "mac_address",
        "port",
        "timeout",
        "flags",
        "in_use",
        "is_temporary",
        "is_arp",
        "is_reverse",
        "strip_sdp",
        "count",
        "rx_port",
        "spin_chip_x",
        "spin_chip_y",
        "spin_port",
        "spin_cpu",
    ):
        assert getattr(mine, name) == getattr(other, name), name


def test_tag_information_is_read_as_by_spinnman():
    mine, other = both(
        messages.IPTagGetInfo(1, 2), peer.IPTagGetInfo(1, 2), reply(bytes([9, 32, 8, 8]))
    )
    assert mine.transient_timeout == other.transient_timeout
    assert (mine.pool_size, mine.fixed_size) == (other.pool_size, other.fixed_size) == (8, 8)


@settings(max_examples=20)
@given(st.integers(1, 0xFFFFFFFF))
def test_words_are_read_as_by_spinnman(value):
    raw = reply(struct.pack("<I", value))
    cases = [
        ("SDRAMAlloc", (1, 2, 16, 4), "base_address"),
        ("RouterAlloc", (1, 2, 16, 4), "base_address"),
        ("FixedRouteRead", (1, 2, 16), "route"),
        ("ReadFPGARegister", (1, 4, 0), "fpga_register"),
    ]
    for name, args, field in cases[:3]:
        mine, other = both(getattr(messages, name)(*args), getattr(peer, name)(*args), raw)
        if field != "route":
            assert getattr(mine, field) == getattr(other, field) == value
        else:
            assert mine.route == value
    name, args, field = cases[3]
    mine, other = both(getattr(messages, name)(*args), getattr(peer, name)(*args), raw)
    assert getattr(mine, field) == getattr(other, field) == value
    count = messages.CountState(0, 0, 1, messages.CPUState.READY)
    mine, other = both(count, peer.CountState(0, 0, 1, PeerState.READY), raw)
    assert mine.count == other.count == value
    freed = {"app_id": 16}
    mine, other = both(messages.SDRAMDeAlloc(0, 0, **freed), peer.SDRAMDeAlloc(0, 0, **freed), raw)
    assert mine.number_of_blocks_freed == other.number_of_blocks_freed == value


def test_an_allocation_that_fails_says_so():
    for request in (messages.SDRAMAlloc(0, 0, 16, 4), messages.RouterAlloc(0, 0, 16, 4)):
        with pytest.raises(AllocationError):
            request.get_scp_response().read_bytestring(reply(bytes(4)), 2)


def samples():
    """Return a request of every class."""
    return [
        messages.ReadMemory((0, 0, 0), 0, 4),
        messages.WriteMemory((0, 0, 0), 0, b"1234"),
        messages.GetVersion(0, 0, 0),
        messages.GetChipInfo(0, 0),
        messages.IPTagGet(0, 0, 1),
        messages.IPTagGetInfo(0, 0),
        messages.SDRAMAlloc(0, 0, 16, 4),
        messages.SDRAMDeAlloc(0, 0, app_id=16),
        messages.RouterAlloc(0, 0, 16, 4),
        messages.FixedRouteRead(0, 0, 16),
        messages.CountState(0, 0, 16, messages.CPUState.READY),
        messages.ReadFPGARegister(0, 0, 0),
        messages.BMPGetVersion(0),
        messages.SendSignal(16, messages.Signal.STOP),
    ]


@pytest.mark.parametrize("request_", samples(), ids=lambda r: type(r).__name__)
def test_results_other_than_ok_are_errors(request_):
    for code in [*(set(SCPResult) - {SCPResult.RC_OK}), 0, 0x99, 0xFFFF]:
        with pytest.raises(UnexpectedResponseCodeError) as caught:
            request_.get_scp_response().read_bytestring(reply(result=code), 2)
        name = code.name if isinstance(code, SCPResult) else f"unknown code {code:#x}"
        assert caught.value.response == name


@pytest.mark.parametrize("request_", samples(), ids=lambda r: type(r).__name__)
def test_cut_replies_are_refused_and_nothing_else_happens(request_):
    raw = reply(bytes(range(40)))
    for length in range(14):
        with pytest.raises(InvalidPacketError):
            request_.get_scp_response().read_bytestring(raw[:length], 2)
    for length in range(14, len(raw)):
        with contextlib.suppress(InvalidPacketError, AllocationError):
            request_.get_scp_response().read_bytestring(raw[:length], 2)


@settings(max_examples=100)
@given(st.sampled_from(samples()), st.binary(max_size=60))
def test_noise_is_read_or_refused(request_, payload):
    with contextlib.suppress(InvalidPacketError, AllocationError):
        request_.get_scp_response().read_bytestring(reply(payload), 2)
