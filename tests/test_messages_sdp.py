# SPDX-License-Identifier: Apache-2.0
"""SDP headers and messages, beside SpiNNMan's; errors and boot messages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spinnman.messages.sdp import SDPFlag as PeerFlag
from spinnman.messages.sdp import SDPHeader as PeerHeader
from spinnman.messages.sdp import SDPMessage as PeerMessage
from spinnman.messages.spinnaker_boot import SpinnakerBootMessage as PeerBootMessage
from spinnman.messages.spinnaker_boot import SpinnakerBootOpCode as PeerOpCode

from pyspin import messages
from pyspin.errors import PyspinError
from pyspin.messages import InvalidPacketError, SDPFlag, SDPHeader, SDPMessage

FIELDS = [
    "tag",
    "destination_port",
    "destination_cpu",
    "destination_chip_x",
    "destination_chip_y",
    "source_port",
    "source_cpu",
    "source_chip_x",
    "source_chip_y",
]

byte = st.integers(0, 255)
port = st.integers(0, 7)
core = st.integers(0, 31)
headers = st.tuples(
    st.sampled_from(list(SDPFlag)), byte, port, core, byte, byte, port, core, byte, byte
)


@given(headers)
@settings(max_examples=100)
def test_each_side_reads_the_other_header(fields):
    flag, *rest = fields
    ours, theirs = SDPHeader(flag, *rest), PeerHeader(PeerFlag(flag.value), *rest)
    assert ours.bytestring == theirs.bytestring
    assert SDPHeader.from_bytestring(theirs.bytestring, 0) == ours
    back = PeerHeader.from_bytestring(ours.bytestring, 0)
    assert back.flags.value == ours.flags
    assert [getattr(back, name) for name in FIELDS] == rest


@given(headers, st.binary(max_size=300), st.binary(max_size=4))
@settings(max_examples=50)
def test_each_side_reads_the_other_message(fields, data, before):
    flag, *rest = fields
    ours = SDPMessage(SDPHeader(flag, *rest), before + data, len(before))
    theirs = PeerMessage(PeerHeader(PeerFlag(flag.value), *rest), before + data, len(before))
    assert ours.bytestring == theirs.bytestring
    back = SDPMessage.from_bytestring(b"\0\0" + theirs.bytestring, 2)
    assert (back.sdp_header, back.payload) == (ours.sdp_header, data)
    other = PeerMessage.from_bytestring(b"\0\0" + ours.bytestring, 2)
    assert other.data[other.offset :] == data
    assert (back.data, back.offset) == (other.data, other.offset)


def test_a_host_is_the_source_unless_told_otherwise():
    header = SDPHeader(SDPFlag.REPLY_EXPECTED, destination_cpu=3)
    assert header.bytestring == bytes([0x87, 255, 3, 255, 0, 0, 0, 0])
    header.update_for_send(4, 5)
    assert header.bytestring == bytes([0x87, 255, 3, 255, 0, 0, 5, 4])


def test_unknown_flags_are_kept_as_numbers():
    header = SDPHeader.from_bytestring(bytes([0x47, 0, 0, 0, 0, 0, 0, 0]))
    assert (header.flags, header.is_reply_expected) == (0x47, False)


@pytest.mark.parametrize("length", range(8))
def test_cut_headers_are_refused(length):
    with pytest.raises(InvalidPacketError, match="SDP header"):
        SDPHeader.from_bytestring(bytes(length))


@pytest.mark.parametrize(
    "fields",
    [{"tag": 256}, {"destination_port": 8}, {"source_cpu": 32}, {"destination_chip_x": -1}],
)
def test_fields_that_do_not_fit_are_refused(fields):
    with pytest.raises(ValueError, match=r"must be|not a byte"):
        _ = SDPHeader(SDPFlag.REPLY_EXPECTED, **fields).bytestring


def test_boot_messages_are_big_endian_as_spinnman_sends_them():
    ours = messages.SpinnakerBootMessage(
        messages.SpinnakerBootOpCode.FLOOD_FILL_BLOCK, 1, 2, 3, b"abcd"
    )
    theirs = PeerBootMessage(PeerOpCode.FLOOD_FILL_BLOCK, 1, 2, 3, b"abcd")
    assert ours.bytestring == theirs.bytestring
    back = messages.SpinnakerBootMessage.from_bytestring(ours.bytestring)
    assert (back.opcode, back.operand_1, back.operand_2, back.operand_3, back.data) == (
        messages.SpinnakerBootOpCode.FLOOD_FILL_BLOCK,
        1,
        2,
        3,
        b"abcd",
    )
    for cut in (b"", b"\0\1", b"\0\2" + ours.bytestring[2:], b"\0\1\0\0\0\2" + bytes(12)):
        with pytest.raises(InvalidPacketError):
            messages.SpinnakerBootMessage.from_bytestring(cut)


@given(
    st.sampled_from(list(messages.SpinnakerBootOpCode)),
    st.tuples(*[st.integers(0, 0xFFFFFFFF)] * 3),
    st.one_of(st.none(), st.binary(min_size=1, max_size=1024)),
)
@settings(max_examples=30)
def test_boot_messages_have_the_bytes_of_spinnman(opcode, operands, data):
    ours = messages.SpinnakerBootMessage(opcode, *operands, data)
    theirs = PeerBootMessage(PeerOpCode(opcode.value), *operands, data)
    assert ours.bytestring == theirs.bytestring
    back = messages.SpinnakerBootMessage.from_bytestring(theirs.bytestring)
    assert (back.opcode, back.data) == (opcode, data)
    assert (back.operand_1, back.operand_2, back.operand_3) == operands


def test_errors_are_also_the_built_in_ones():
    timeout = messages.SpinnakerTimeoutError("read", 0.5)
    assert isinstance(timeout, TimeoutError)
    assert isinstance(timeout, PyspinError)
    assert (timeout.operation, timeout.timeout) == ("read", 0.5)
    closed = messages.ConnectionClosedError()
    assert isinstance(closed, OSError)
    assert isinstance(closed, EOFError)
    assert isinstance(closed, messages.SpinnmanIOException)
    refused = messages.SpinnakerIOError("nobody listens", 111)
    assert (refused.errno, str(refused), refused.problem) == (
        111,
        "nobody listens",
        "nobody listens",
    )
    assert isinstance(messages.InvalidPacketError("header", "cut"), ValueError)
    assert messages.SpinnmanTimeoutException is messages.SpinnakerTimeoutError
