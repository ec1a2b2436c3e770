# SPDX-License-Identifier: Apache-2.0
"""The SpiNNaker Command Protocol: requests, responses and their headers.

A request is an SDP header, a command, a sequence number, three arguments that are always
there, and up to 256 bytes of data. A response is an SDP header, a result, the sequence number
of its request, and the payload (SpiNNaker application note 5; spinnaker_tools, ``scamp-cmd.c``).
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Generic, NoReturn, TypeVar

from pyspin.arguments import integer, octets

from .enums import SCPCommand, SCPResult, scp_result
from .errors import InvalidPacketError, UnexpectedResponseCodeError
from .sdp import SDPFlag, SDPHeader

# Two pad bytes, then flags, tag, destination and source port/core as one word; destination
# and source chip as x << 8 | y; command, sequence; three arguments.
_REQUEST = struct.Struct("<2xIHHHHIII")
_SCP_HEADER = struct.Struct("<HH")
_WORD = struct.Struct("<I")
_RESPONSE_BYTES = 12

# A host (port 7, core 31) with tag 255 that wants a reply, from a monitor's port 0.
_TO_CORE_0 = 0xFF00FF87

UDP_MESSAGE_MAX_SIZE = 256
_WORD_MAX = 0xFFFFFFFF


class SCPRequestHeader:
    """The command of a request and its sequence number, which a pipeline sets."""

    __slots__ = ("command", "sequence")

    def __init__(self, command: SCPCommand | int, sequence: int = 0) -> None:
        self.command = command
        self.sequence = sequence

    @property
    def bytestring(self) -> bytes:
        """The four bytes of the header. TypeError or ValueError naming a field that has none."""
        try:
            return _SCP_HEADER.pack(self.command, self.sequence)
        except struct.error:
            _refuse(self)

    def __repr__(self) -> str:
        return f"SCPRequestHeader({self.command!r}, sequence={self.sequence})"


class SCPResponseHeader:
    """The result of a response, and the sequence number of the request it answers.

    `result` is an :class:`SCPResult`, or a plain number if it has no name.
    """

    __slots__ = ("result", "sequence")

    def __init__(self, result: SCPResult | int, sequence: int) -> None:
        self.result = result
        self.sequence = sequence

    @staticmethod
    def from_bytestring(data: bytes, offset: int = 0) -> SCPResponseHeader:
        """Read a header at `offset`. InvalidPacketError if `data` ends before it does."""
        try:
            result, sequence = _SCP_HEADER.unpack_from(data, offset)
        except struct.error as error:
            raise InvalidPacketError("SCP header", f"{len(data) - offset} bytes") from error
        return SCPResponseHeader(scp_result(result), sequence)

    def __repr__(self) -> str:
        return f"SCPResponseHeader({self.result!r}, sequence={self.sequence})"


class AbstractSCPResponse(ABC):
    """A response: what the board answered to one request.

    Its headers are read when they are first asked for.
    """

    __slots__ = ("_data", "_offset")

    _data: bytes
    _offset: int

    def read_bytestring(self, data: bytes, offset: int = 0) -> None:
        """Read the response from `data`, whose SDP header begins at `offset`.

        Raise InvalidPacketError if it is too short, and what `read_data_bytestring` raises.
        """
        if len(data) - offset < _RESPONSE_BYTES:
            raise InvalidPacketError("SCP response", f"{len(data) - offset} bytes")
        self._data = data
        self._offset = offset
        self.read_data_bytestring(data, offset + _RESPONSE_BYTES)

    @abstractmethod
    def read_data_bytestring(self, data: bytes, offset: int) -> None:
        """Read the payload, which begins at `offset`."""

    @property
    def sdp_header(self) -> SDPHeader:
        """The SDP header of the response."""
        return SDPHeader.from_bytestring(self._data, self._offset)

    @property
    def scp_response_header(self) -> SCPResponseHeader:
        """The result and the sequence number."""
        return SCPResponseHeader.from_bytestring(self._data, self._offset + 8)


class CheckOKResponse(AbstractSCPResponse):
    """A response that must say RC_OK; any payload is ignored.

    Reading it raises UnexpectedResponseCodeError when it says something else. Responses with
    a payload derive from this class and read it in `_read_payload`.
    """

    __slots__ = ("_command", "_operation")

    def __init__(self, operation: str, command: SCPCommand | int | str) -> None:
        self._operation = operation
        self._command = command

    def read_data_bytestring(self, data: bytes, offset: int) -> None:
        """Check the result, then read the payload at `offset`."""
        code = data[offset - 4] | data[offset - 3] << 8
        if code != 0x80:
            self._raise_unexpected(code)
        self._read_payload(data, offset)

    def _raise_unexpected(self, code: int) -> None:
        result, command = scp_result(code), self._command
        raise UnexpectedResponseCodeError(
            self._operation,
            command.name if isinstance(command, SCPCommand) else str(command),
            result.name if isinstance(result, SCPResult) else f"unknown code {code:#x}",
        )

    def _read_payload(self, data: bytes, offset: int) -> None:
        """Read what follows the headers; there is nothing to read here."""


R_co = TypeVar("R_co", bound=AbstractSCPResponse, covariant=True)


class AbstractSCPRequest(ABC, Generic[R_co]):
    """A request to SC&MP or BC&MP, and the maker of its response.

    `is_idempotent` says that a board may execute the request twice without harm, so that a
    pipeline may send it again before its time is up. A request object is in flight once at a
    time: sending writes its sequence number and its source.

    A class of your own calls ``super().__init__(sdp_header, scp_request_header, …)`` and
    returns a response from `get_scp_response`. Arguments that are None are sent as zero, since
    SC&MP answers RC_LEN to a request without them (``scamp-cmd.c``).
    """

    __slots__ = (
        "_argument_1",
        "_argument_2",
        "_argument_3",
        "_command",
        "_data",
        "_destination",
        "_scp_request_header",
        "_sdp_header",
        "_sequence",
        "_word",
    )

    is_idempotent: bool = False

    _sdp_header: SDPHeader | None
    _scp_request_header: SCPRequestHeader | None

    def __init__(
        self,
        sdp_header: SDPHeader,
        scp_request_header: SCPRequestHeader,
        argument_1: int | None = None,
        argument_2: int | None = None,
        argument_3: int | None = None,
        data: bytes | None = None,
    ) -> None:
        self._sdp_header = sdp_header
        self._scp_request_header = scp_request_header
        self._sequence = scp_request_header.sequence
        self._command = scp_request_header.command
        self._argument_1 = check_word("argument_1", argument_1 or 0)
        self._argument_2 = check_word("argument_2", argument_2 or 0)
        self._argument_3 = check_word("argument_3", argument_3 or 0)
        self._data = None if data is None else octets("data", data, UDP_MESSAGE_MAX_SIZE)

    def _set(
        self,
        x: int,
        y: int,
        cpu: int,
        command: SCPCommand,
        argument_1: int = 0,
        argument_2: int = 0,
        argument_3: int = 0,
        data: bytes | None = None,
    ) -> None:
        """Make a request to a monitor's port; its header objects are made when asked for.

        The fields must have been checked, except those of the destination.
        """
        # Numbers of numpy would lose bits when they are shifted.
        try:
            both = x | y
            is_plain = (both | cpu).__class__ is int and not (both & ~0xFF or cpu & ~31)
        except TypeError:
            is_plain = False
        if not is_plain:
            x, y, cpu = check_byte("x", x), check_byte("y", y), integer("cpu", cpu, 0, 31)
        self._word = _TO_CORE_0 | cpu << 16
        self._destination = x << 8 | y
        self._command = command
        self._argument_1 = argument_1
        self._argument_2 = argument_2
        self._argument_3 = argument_3
        self._data = data
        self._sdp_header = None
        self._scp_request_header = None
        self._sequence = 0

    @property
    def sdp_header(self) -> SDPHeader:
        """The SDP header, whose changes are sent."""
        header = self._sdp_header
        if header is None:
            header = self._sdp_header = SDPHeader(
                SDPFlag.REPLY_EXPECTED,
                destination_cpu=self._word >> 16 & 31,
                destination_chip_x=self._destination >> 8,
                destination_chip_y=self._destination & 0xFF,
            )
        return header

    @property
    def scp_request_header(self) -> SCPRequestHeader:
        """The command and the sequence number, whose changes are sent."""
        header = self._scp_request_header
        if header is None:
            header = self._scp_request_header = SCPRequestHeader(self._command, self._sequence)
        return header

    def set_sequence(self, sequence: int) -> None:
        """Set the sequence number of `scp_request_header`, without making a header for it."""
        header = self._scp_request_header
        if header is None:
            self._sequence = sequence
        else:
            header.sequence = sequence

    @property
    def argument_1(self) -> int:
        """The first argument."""
        return self._argument_1

    @property
    def argument_2(self) -> int:
        """The second argument."""
        return self._argument_2

    @property
    def argument_3(self) -> int:
        """The third argument."""
        return self._argument_3

    @property
    def data(self) -> bytes | None:
        """The data after the arguments, None if there is none."""
        return self._data

    @property
    def bytestring(self) -> bytes:
        """The request as it travels inside UDP, without the two pad bytes before it."""
        return self.datagram()[2:]

    def datagram(self, source_x: int = 0, source_y: int = 0) -> bytes:
        """Return the UDP payload, pad bytes included, that a board on the Ethernet takes.

        `source_x` and `source_y` are the chip that the reply shall come through; they count
        only while nobody has asked for `sdp_header`, which otherwise has its own.
        """
        scp = self._scp_request_header
        if self._sdp_header is not None:
            head = b"\0\0" + self._sdp_header.bytestring
            head += self.scp_request_header.bytestring
            head += struct.pack("<III", self._argument_1, self._argument_2, self._argument_3)
            return head + self._data if self._data else head
        if scp is None:
            command, sequence = self._command, self._sequence
        else:
            command, sequence = scp.command, scp.sequence
        try:
            head = _REQUEST.pack(
                self._word,
                self._destination,
                source_x << 8 | source_y,
                command,
                sequence,
                self._argument_1,
                self._argument_2,
                self._argument_3,
            )
        except struct.error:
            check_byte("source_x", source_x)
            check_byte("source_y", source_y)
            _refuse(self.scp_request_header)
        return head + self._data if self._data else head

    def datagram_from(self, source_x: int, source_y: int) -> bytes:
        """Return the UDP payload as a host sends it whose replies come through that chip."""
        if self._sdp_header is not None:
            self._sdp_header.update_for_send(source_x, source_y)
        return self.datagram(source_x, source_y)

    @abstractmethod
    def get_scp_response(self) -> R_co:
        """Return an empty response of the kind that answers this request."""

    def __repr__(self) -> str:
        header = self.sdp_header
        return (
            f"{type(self).__name__}(({header.destination_chip_x}, {header.destination_chip_y}, "
            f"{header.destination_cpu}), {self._argument_1:#x}, {self._argument_2:#x}, "
            f"{self._argument_3:#x})"
        )


class PlainRequest(AbstractSCPRequest[CheckOKResponse]):
    """A request whose response says no more than that it was executed."""

    __slots__ = ()

    operation: ClassVar[str]
    """What an unexpected response's error calls it."""

    def get_scp_response(self) -> CheckOKResponse:
        return CheckOKResponse(self.operation, self._command)


def _refuse(header: SCPRequestHeader) -> NoReturn:
    """Raise TypeError or ValueError naming the field that cannot be sent."""
    integer("command", header.command, 0, 0xFFFF)
    integer("sequence", header.sequence, 0, 0xFFFF)
    raise AssertionError(header)


def check_word(name: str, value: int) -> int:
    """Return `value` as an int of 32 bits; TypeError or ValueError naming it if it is none."""
    return integer(name, value, 0, _WORD_MAX)


def check_byte(name: str, value: int) -> int:
    """Return `value` as an int of 8 bits; TypeError or ValueError naming it if it is none."""
    return integer(name, value, 0, 0xFF)


def processor_mask(processors: Iterable[int] | None) -> int:
    """Return the core mask of some processors, 0 for None.

    SC&MP answers RC_ARG if core 0, the monitor, is among them (``scamp-cmd.c``).
    """
    mask = 0
    try:
        numbers = () if processors is None else tuple(processors)
    except TypeError:
        raise TypeError(f"processors must be a list of numbers, not {processors!r}") from None
    for processor in numbers:
        mask |= 1 << integer("processors", processor, 1, 17)
    return mask


def read_word(what: str, data: bytes, offset: int) -> int:
    """Return the word at `offset` of a reply. InvalidPacketError if it is not there."""
    try:
        (word,) = _WORD.unpack_from(data, offset)
    except struct.error as error:
        raise InvalidPacketError(what, f"{len(data) - offset} bytes of payload") from error
    return int(word)
