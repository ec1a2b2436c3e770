# SPDX-License-Identifier: Apache-2.0
"""SDP, SCAMP, BMP, boot and EIEIO connections, among themselves and with SpiNNMan's."""

import socket
import struct

import pytest
import spinnman.connections.udp_packet_connections as peer
from patience import PATIENCE
from spinnman.connections import SCPRequestPipeLine as PeerPipeLine
from spinnman.messages.eieio import EIEIOType as PeerEIEIOType
from spinnman.messages.eieio.data_messages import EIEIODataMessage as PeerEIEIODataMessage
from spinnman.messages.scp.enums import SCPResult as PeerResult
from spinnman.messages.scp.impl import ReadMemory as PeerReadMemory
from spinnman.messages.sdp import SDPFlag as PeerFlag
from spinnman.messages.sdp import SDPHeader as PeerHeader
from spinnman.messages.sdp import SDPMessage as PeerMessage

from pyspin.board import VirtualBoard
from pyspin.connections import (
    SCP_SCAMP_PORT,
    AbstractSCPConnection,
    BMPConnection,
    BMPConnectionData,
    BootConnection,
    EIEIOConnection,
    IPAddressesConnection,
    SCAMPConnection,
    SDPConnection,
    UDPConnection,
)
from pyspin.messages import (
    EIEIODataMessage,
    EIEIOPacketParsingError,
    EIEIOType,
    EventStopRequest,
    InvalidPacketError,
    ReadMemory,
    SCPResult,
    SDPFlag,
    SDPHeader,
    SDPMessage,
    SpinnakerBootMessage,
    SpinnakerBootOpCode,
    SpinnakerTimeoutError,
)


@pytest.fixture
def plain():
    """Return a UDP socket of the system, in the place of a board."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as board:
        board.bind(("127.0.0.1", 0))
        board.settimeout(PATIENCE)
        yield board


def to(plain, kind, *args):
    host, port = plain.getsockname()
    return kind(*args, remote_host=host, remote_port=port)


def reply(request, result=0x80, payload=b""):
    """Return what a board answers to a request datagram."""
    sequence = struct.unpack_from("<H", request, 12)[0]
    return (
        b"\0\0" + bytes([7, 8, 255, 0, 0, 0, 2, 1]) + struct.pack("<HH", result, sequence) + payload
    )


def test_a_request_looks_as_from_spinnman(plain):
    theirs = peer.SCAMPConnection(3, 4, remote_host="127.0.0.1", remote_port=plain.getsockname()[1])
    with to(plain, SCAMPConnection, 3, 4) as ours:
        their_request, request = PeerReadMemory((1, 2, 5), 4, 8), ReadMemory((1, 2, 5), 4, 8)
        their_request.scp_request_header.sequence = request.scp_request_header.sequence = 77
        theirs.send(theirs.get_scp_data(their_request))
        expected = plain.recv(1000)
        ours.send_scp_request(request)
        assert plain.recv(1000) == expected
        # Either connection takes the other's request.
        assert ours.get_scp_data(their_request) == expected
        assert theirs.get_scp_data(request) == expected
    theirs.close()


def test_a_response_is_split_as_by_spinnman(plain):
    with to(plain, SCAMPConnection) as ours:
        request = ReadMemory((1, 2, 5), 4, 4)
        request.scp_request_header.sequence = 77
        ours.send_scp_request(request)
        data, address = plain.recvfrom(1000)
        raw = reply(data, payload=b"abcd")
        plain.sendto(raw, address)
        assert ours.is_ready_to_receive(PATIENCE)
        assert ours.receive_scp_response(PATIENCE) == (SCPResult.RC_OK, 77, raw, 2)
        response = request.get_scp_response()
        response.read_bytestring(raw, 2)
        assert response.payload == b"abcd"
        plain.sendto(raw, address)
        assert ours.receive_scp_response_with_address(PATIENCE) == (
            SCPResult.RC_OK,
            77,
            raw,
            2,
            *plain.getsockname(),
        )
    theirs = peer.SCAMPConnection(remote_host="127.0.0.1", remote_port=plain.getsockname()[1])
    theirs.send(data)
    plain.sendto(raw, plain.recvfrom(1000)[1])
    assert theirs.receive_scp_response(PATIENCE) == (PeerResult.RC_OK, 77, raw, 2)
    theirs.close()


def test_runts_are_passed_over_and_unknown_results_are_numbers(plain):
    with to(plain, SCAMPConnection) as ours:
        for length in range(14):
            plain.sendto(bytes(length), ("127.0.0.1", ours.local_port))
        plain.sendto(reply(bytes(26), 0x1234), ("127.0.0.1", ours.local_port))
        assert ours.receive_scp_response(PATIENCE)[:2] == (0x1234, 0)
        assert ours.n_malformed == 14
        plain.sendto(b"", ("127.0.0.1", ours.local_port))
        with pytest.raises(SpinnakerTimeoutError):
            ours.receive_scp_response_with_address(0.001)


def test_the_chip_of_a_connection_can_be_told_later(plain):
    with to(plain, SCAMPConnection) as ours:
        assert (ours.chip_x, ours.chip_y) == (255, 255)
        ours.update_chip_coordinates(8, 4)
        assert (ours.chip_x, ours.chip_y) == (8, 4)
        request = ReadMemory((0, 0, 0), 0, 4)
        assert ours.get_scp_data(request)[8:10] == bytes([4, 8])
        assert ours.get_scp_data(request, 1, 2)[8:10] == bytes([2, 1])
        assert request.sdp_header.source_chip_x == 0
        assert ours.get_scp_data(request, 1, 2)[8:10] == bytes([2, 1])
        with pytest.raises(ValueError, match="x must be at most 255"):
            ours.update_chip_coordinates(256, 0)
        assert isinstance(ours, AbstractSCPConnection)


def test_the_port_of_a_board_is_the_default():
    with SCAMPConnection(remote_host="127.0.0.1") as connection:
        assert connection.remote_port == SCP_SCAMP_PORT == 17893
    with SCAMPConnection() as connection:
        assert connection.remote_ip_address is None


def test_requests_go_to_other_boards(plain):
    with SCAMPConnection(local_host="127.0.0.1") as ours:
        # Nobody need listen: it must be accepted and leave.
        ours.send_scp_request_to(ReadMemory((0, 0, 0), 0, 4), 1, 2, "127.0.0.1")


def test_sdp_messages_go_both_ways_with_spinnman():
    with SDPConnection(3, 4, "127.0.0.1") as here:
        theirs = peer.SDPConnection(1, 2, remote_host="127.0.0.1", remote_port=here.local_port)
        header = PeerHeader(PeerFlag.REPLY_EXPECTED, destination_port=2, destination_cpu=5)
        theirs.send_sdp_message(PeerMessage(header, b"ping"))
        message = here.receive_sdp_message(PATIENCE)
        assert (message.payload, message.sdp_header.source_chip_x) == (b"ping", 1)
        theirs.close()
    theirs = peer.SDPConnection(1, 2, local_host="127.0.0.1")
    with SDPConnection(3, 4, remote_host="127.0.0.1", remote_port=theirs.local_port) as here:
        here.send_sdp_message(SDPMessage(SDPHeader(SDPFlag.REPLY_EXPECTED), b"pong"))
        got = theirs.receive_sdp_message(PATIENCE)
        assert got.data[got.offset :] == b"pong"
        assert (got.sdp_header.source_chip_x, got.sdp_header.source_chip_y) == (3, 4)
    theirs.close()


def test_the_source_of_a_message_without_reply_is_kept(plain):
    with to(plain, SDPConnection, 3, 4) as ours:
        header = SDPHeader(SDPFlag.REPLY_NOT_EXPECTED, source_port=1, source_cpu=2)
        ours.send_sdp_message(SDPMessage(header, b"x"))
        assert plain.recv(100) == b"\0\0" + bytes([7, 255, 0, 0x22, 0, 0, 0, 0]) + b"x"


def test_cut_messages_are_refused_and_the_next_one_is_read():
    with (
        SDPConnection(local_host="127.0.0.1") as sdp,
        EIEIOConnection("127.0.0.1") as eieio,
        UDPConnection("127.0.0.1") as sender,
    ):
        sender.send_to(bytes(9), ("127.0.0.1", sdp.local_port))
        with pytest.raises(InvalidPacketError):
            sdp.receive_sdp_message(PATIENCE)
        sender.send_to(b"\2\x08abc", ("127.0.0.1", eieio.local_port))
        sender.send_to(b"\3\x40", ("127.0.0.1", eieio.local_port))
        with pytest.raises(EIEIOPacketParsingError):
            eieio.receive_eieio_message(PATIENCE)
        assert isinstance(eieio.receive_eieio_message(PATIENCE), EventStopRequest)


def test_eieio_messages_go_both_ways_with_spinnman():
    with EIEIOConnection("127.0.0.1") as here:
        theirs = peer.EIEIOConnection(remote_host="127.0.0.1", remote_port=here.local_port)
        sent = PeerEIEIODataMessage.create(PeerEIEIOType.KEY_PAYLOAD_32_BIT)
        sent.add_key_and_payload(1, 2)
        theirs.send_eieio_message(sent)
        message = here.receive_eieio_message(PATIENCE)
        assert (message.keys.tolist(), message.payloads.tolist()) == ([1], [2])
        theirs.close()
    theirs = peer.EIEIOConnection(local_host="127.0.0.1")
    with EIEIOConnection(remote_host="127.0.0.1", remote_port=theirs.local_port) as ours:
        back = EIEIODataMessage.create(EIEIOType.KEY_16_BIT)
        back.add_keys([5, 6])
        ours.send_eieio_message(back)
        assert theirs.receive_eieio_message(PATIENCE).next_element.key == 5
        ours.send_eieio_message_to(back, "127.0.0.1", theirs.local_port)
        assert theirs.receive_eieio_message(PATIENCE).next_element.key == 5
    theirs.close()


def test_a_bmp_is_chip_0_0_with_boards(plain):
    data = BMPConnectionData("127.0.0.1", [0, 1], plain.getsockname()[1])
    with BMPConnection(data) as bmp:
        assert (bmp.boards, bmp.chip_x, bmp.chip_y) == ((0, 1), 0, 0)
        assert bmp.remote_port == plain.getsockname()[1]
    with BMPConnection(BMPConnectionData("127.0.0.1")) as bmp:
        assert bmp.remote_port == SCP_SCAMP_PORT


def test_boards_that_are_not_booted():
    with IPAddressesConnection("127.0.0.1", 0) as ear, UDPConnection("127.0.0.1") as board:
        board.send_to(b"hello", ("127.0.0.1", ear.local_port))
        assert ear.receive_ip_address(PATIENCE) is None  # not the port of a boot ROM
    with BootConnection("127.0.0.1") as boot, UDPConnection("127.0.0.1") as rom:
        assert boot.remote_port == 54321
        message = SpinnakerBootMessage(SpinnakerBootOpCode.HELLO, 0, 0, 0)
        boot.send_boot_message(message)
        assert rom.local_port != 54321


def test_the_pipeline_of_spinnman_runs_over_our_connection_and_requests():
    with VirtualBoard(3) as board:
        board.write_memory(0, 0, 0x60000000, bytes(range(256)) * 8)
        with SCAMPConnection(remote_host=board.host, remote_port=board.port) as ours:
            pipeline = PeerPipeLine(ours, n_channels=8, intermediate_channel_waits=7)
            got, errors = {}, []
            for start in range(0, 2048, 64):
                request = ReadMemory((0, 0, 0), 0x60000000 + start, 64)
                pipeline.send_request(
                    request,
                    lambda response, start=start: got.update({start: response.payload}),
                    lambda *error: errors.append(error),
                )
            pipeline.finish()
    assert errors == []
    assert b"".join(got[start] for start in range(0, 2048, 64)) == bytes(range(256)) * 8
