# SPDX-License-Identifier: Apache-2.0
"""EIEIO command messages: buffered data, and notices between tool chain and programs.

A command begins with 16 bits: 01, then an identifier of 14 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import ClassVar

from pyspin.arguments import instance, integer

from ..errors import EIEIOPacketParsingError
from .data import EIEIODataMessage
from .types import AbstractEIEIOMessage, EIEIOCommandID

_HEADER = struct.Struct("<H")
_COMMAND = 0x4000
_ID_MASK = 0x3FFF
_COMMAND_IDS: dict[int, EIEIOCommandID] = {command.value: command for command in EIEIOCommandID}

# y, x, core in the five high bits, unused, region, sequence, bytes free.
_REQUEST_BUFFERS = struct.Struct("<BBBxBBI")
# y, x, core and count in one byte, sequence; then by entry: channel, region, address, bytes.
_READ_DATA = struct.Struct("<4B")
_READ_ENTRY = struct.Struct("<BBII")
# Count, sequence, unused; then by entry: channel, region, bytes.
_HOST_READ = struct.Struct("<BBxx")
_HOST_ENTRY = struct.Struct("<BBI")
# Entries after the first begin with two bytes that are not used.
_ENTRY_PAD = b"\0\0"


class EIEIOCommandHeader:
    """The header of a command; `command` is an EIEIOCommandID or a number without a name."""

    __slots__ = ("command",)

    def __init__(self, command: EIEIOCommandID | int) -> None:
        number = integer("command", command, 0, _ID_MASK)
        self.command = _COMMAND_IDS.get(number, number)

    @property
    def bytestring(self) -> bytes:
        """The header as it travels."""
        return _HEADER.pack(_COMMAND | self.command)

    @staticmethod
    def from_bytestring(data: bytes, offset: int = 0) -> EIEIOCommandHeader:
        """Read a header at `offset`. EIEIOPacketParsingError if there is none."""
        try:
            (word,) = _HEADER.unpack_from(data, offset)
        except struct.error as error:
            raise EIEIOPacketParsingError("command header", data, "too short") from error
        if word & ~_ID_MASK != _COMMAND:
            raise EIEIOPacketParsingError("command header", data, "it is no command")
        return EIEIOCommandHeader(word & _ID_MASK)

    def __repr__(self) -> str:
        return f"EIEIOCommandHeader({self.command!r})"


class EIEIOCommandMessage(AbstractEIEIOMessage):
    """A command, and the data after it: all of `data` from `offset`."""

    __slots__ = ("data", "eieio_header", "offset")

    def __init__(
        self, eieio_command_header: EIEIOCommandHeader, data: bytes | None = None, offset: int = 0
    ) -> None:
        self.eieio_header = eieio_command_header
        self.data = data
        self.offset = offset

    @property
    def bytestring(self) -> bytes:
        """The message as it travels."""
        return self.eieio_header.bytestring + (self.data or b"")[self.offset :]

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> EIEIOCommandMessage:
        """Make the message whose header has been read and whose data begins at `offset`."""
        return EIEIOCommandMessage(command_header, data, offset)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.eieio_header!r})"


class _NamedCommand(EIEIOCommandMessage):
    """A command whose class says which it is."""

    __slots__ = ()
    command: ClassVar[EIEIOCommandID]

    def __init__(self, data: bytes | None = None) -> None:
        super().__init__(EIEIOCommandHeader(self.command), data)


class _BareCommand(_NamedCommand):
    """A command without data."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> EIEIOCommandMessage:
        return cls()


class PaddingRequest(_BareCommand):
    """Nothing: fills a buffer up."""

    __slots__ = ()
    command = EIEIOCommandID.EVENT_PADDING


class EventStopRequest(_BareCommand):
    """No more events come."""

    __slots__ = ()
    command = EIEIOCommandID.EVENT_STOP


class StopRequests(_BareCommand):
    """The host wants no more requests for buffers."""

    __slots__ = ()
    command = EIEIOCommandID.STOP_SENDING_REQUESTS


class StartRequests(_BareCommand):
    """The host takes requests for buffers again."""

    __slots__ = ()
    command = EIEIOCommandID.START_SENDING_REQUESTS


class NotificationProtocolPauseStop(_BareCommand):
    """The simulation has paused or stopped."""

    __slots__ = ()
    command = EIEIOCommandID.STOP_PAUSE_NOTIFICATION


class NotificationProtocolStartResume(_BareCommand):
    """The simulation has started or gone on."""

    __slots__ = ()
    command = EIEIOCommandID.START_RESUME_NOTIFICATION


class NotificationProtocolDatabaseLocation(_NamedCommand):
    """The database is ready, at `database_path`, None for an answer without one."""

    __slots__ = ("database_path",)
    command = EIEIOCommandID.DATABASE

    def __init__(self, database_path: str | None = None) -> None:
        if database_path is not None:
            instance("database_path", database_path, str)
        super().__init__(None if database_path is None else database_path.encode())
        self.database_path = database_path

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> NotificationProtocolDatabaseLocation:
        try:
            return cls(bytes(data[offset:]).decode() or None)
        except UnicodeDecodeError as error:
            raise EIEIOPacketParsingError("database path", data, str(error)) from error


class SpinnakerRequestBuffers(_NamedCommand):
    """Core (x, y, p) has `space_available` bytes of a region to fill."""

    __slots__ = ("p", "region_id", "sequence_no", "space_available", "x", "y")
    command = EIEIOCommandID.SPINNAKER_REQUEST_BUFFERS

    def __init__(
        self, x: int, y: int, p: int, region_id: int, sequence_no: int, space_available: int
    ) -> None:
        self.x, self.y, self.p = _place(x, y, p)
        self.region_id = integer("region_id", region_id, 0, 0xFF)
        self.sequence_no = integer("sequence_no", sequence_no, 0, 0xFF)
        self.space_available = integer("space_available", space_available, 0, 0xFFFFFFFF)
        super().__init__(
            _REQUEST_BUFFERS.pack(
                self.y,
                self.x,
                self.p << 3,
                self.region_id,
                self.sequence_no,
                self.space_available,
            )
        )

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> SpinnakerRequestBuffers:
        y, x, core, region, sequence, space = _unpacked(_REQUEST_BUFFERS, data, offset)
        return cls(x, y, core >> 3, region, sequence, space)


class HostSendSequencedData(_NamedCommand):
    """A data message for a region, with a sequence number."""

    __slots__ = ("eieio_data_message", "region_id", "sequence_no")
    command = EIEIOCommandID.HOST_SEND_SEQUENCED_DATA

    def __init__(
        self, region_id: int, sequence_no: int, eieio_data_message: EIEIODataMessage
    ) -> None:
        super().__init__()
        instance("eieio_data_message", eieio_data_message, EIEIODataMessage)
        self.region_id = integer("region_id", region_id, 0, 0xFF)
        self.sequence_no = integer("sequence_no", sequence_no, 0, 0xFF)
        self.eieio_data_message = eieio_data_message

    @property
    def bytestring(self) -> bytes:
        """The message as it travels."""
        numbers = bytes((self.region_id, self.sequence_no))
        return self.eieio_header.bytestring + numbers + self.eieio_data_message.bytestring

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> HostSendSequencedData:
        if len(data) < offset + 2:
            raise EIEIOPacketParsingError("sequenced data", data, "too short")
        message = EIEIODataMessage.from_bytestring(data, offset + 2)
        return cls(data[offset], data[offset + 1], message)


class SpinnakerRequestReadData(_NamedCommand):
    """Core (x, y, p) has data to be read: `n_requests` pieces, each at an address.

    `channel`, `region_id`, `start_address` and `space_to_be_read` are given as a number for
    one piece or as a list, and asked for by the number of the piece.
    """

    __slots__ = ("_entries", "n_requests", "p", "sequence_no", "x", "y")
    command = EIEIOCommandID.SPINNAKER_REQUEST_READ_DATA

    def __init__(
        self,
        x: int,
        y: int,
        p: int,
        region_id: Sequence[int] | int,
        sequence_no: int,
        n_requests: int,
        channel: Sequence[int] | int,
        start_address: Sequence[int] | int,
        space_to_be_read: Sequence[int] | int,
    ) -> None:
        self.x, self.y, self.p = _place(x, y, p)
        self.sequence_no = integer("sequence_no", sequence_no, 0, 0xFF)
        self.n_requests = count = integer("n_requests", n_requests, 0, 7)
        self._entries: list[tuple[int, ...]] = list(
            zip(
                _column("channel", channel, count, 0xFF),
                _column("region_id", region_id, count, 0xFF),
                _column("start_address", start_address, count, 0xFFFFFFFF),
                _column("space_to_be_read", space_to_be_read, count, 0xFFFFFFFF),
                strict=True,
            )
        )
        head = _READ_DATA.pack(self.y, self.x, self.p << 3 | count, self.sequence_no)
        entries = (_READ_ENTRY.pack(*entry) for entry in self._entries)
        super().__init__(head + _ENTRY_PAD.join(entries))

    def channel(self, request_id: int) -> int:
        """Return the channel of a piece."""
        return self._entries[request_id][0]

    def region_id(self, request_id: int) -> int:
        """Return the region of a piece."""
        return self._entries[request_id][1]

    def start_address(self, request_id: int) -> int:
        """Return the address of a piece."""
        return self._entries[request_id][2]

    def space_to_be_read(self, request_id: int) -> int:
        """Return the bytes of a piece."""
        return self._entries[request_id][3]

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> SpinnakerRequestReadData:
        y, x, core, sequence = _unpacked(_READ_DATA, data, offset)
        count = core & 7
        rows = _read_rows(_READ_ENTRY, data, offset + _READ_DATA.size, count)
        channels, regions, addresses, spaces = ([row[i] for row in rows] for i in range(4))
        return cls(x, y, core >> 3, regions, sequence, count, channels, addresses, spaces)


class HostDataRead(_NamedCommand):
    """The host has read `n_requests` pieces; arguments as in SpinnakerRequestReadData."""

    __slots__ = ("_entries", "n_requests", "sequence_no")
    command = EIEIOCommandID.HOST_DATA_READ

    def __init__(
        self,
        n_requests: int,
        sequence_no: int,
        channel: Sequence[int] | int,
        region_id: Sequence[int] | int,
        space_read: Sequence[int] | int,
    ) -> None:
        self.n_requests = count = integer("n_requests", n_requests, 0, 0xFF)
        self.sequence_no = integer("sequence_no", sequence_no, 0, 0xFF)
        self._entries: list[tuple[int, ...]] = list(
            zip(
                _column("channel", channel, count, 0xFF),
                _column("region_id", region_id, count, 0xFF),
                _column("space_read", space_read, count, 0xFFFFFFFF),
                strict=True,
            )
        )
        head = _HOST_READ.pack(count, self.sequence_no)
        entries = (_HOST_ENTRY.pack(*entry) for entry in self._entries)
        super().__init__(head + _ENTRY_PAD.join(entries))

    def channel(self, ack_id: int) -> int:
        """Return the channel of a piece."""
        return self._entries[ack_id][0]

    def region_id(self, ack_id: int) -> int:
        """Return the region of a piece."""
        return self._entries[ack_id][1]

    def space_read(self, ack_id: int) -> int:
        """Return the bytes read of a piece."""
        return self._entries[ack_id][2]

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> HostDataRead:
        count, sequence = _unpacked(_HOST_READ, data, offset)
        rows = _read_rows(_HOST_ENTRY, data, offset + _HOST_READ.size, count)
        channels, regions, spaces = ([row[i] for row in rows] for i in range(3))
        return cls(count, sequence, channels, regions, spaces)


class HostDataReadAck(_NamedCommand):
    """A core has seen the HostDataRead of this sequence number."""

    __slots__ = ("sequence_no",)
    command = EIEIOCommandID.HOST_DATA_READ_ACK

    def __init__(self, sequence_no: int) -> None:
        self.sequence_no = integer("sequence_no", sequence_no, 0, 0xFF)
        super().__init__(bytes((self.sequence_no,)))

    @classmethod
    def from_bytestring(
        cls, command_header: EIEIOCommandHeader, data: bytes, offset: int
    ) -> HostDataReadAck:
        if len(data) <= offset:
            raise EIEIOPacketParsingError("read acknowledgement", data, "too short")
        return cls(data[offset])


_CLASSES: dict[int, type[_NamedCommand]] = {
    kind.command: kind
    for kind in (
        NotificationProtocolDatabaseLocation,
        PaddingRequest,
        EventStopRequest,
        StopRequests,
        StartRequests,
        SpinnakerRequestBuffers,
        HostSendSequencedData,
        SpinnakerRequestReadData,
        HostDataRead,
        NotificationProtocolPauseStop,
        NotificationProtocolStartResume,
        HostDataReadAck,
    )
}


def read_eieio_command_message(data: bytes, offset: int = 0) -> EIEIOCommandMessage:
    """Read a command, as its own class if there is one. EIEIOPacketParsingError."""
    header = EIEIOCommandHeader.from_bytestring(data, offset)
    message = _CLASSES.get(header.command, EIEIOCommandMessage)
    return message.from_bytestring(header, data, offset + _HEADER.size)


def read_eieio_data_message(data: bytes, offset: int = 0) -> EIEIODataMessage:
    """Read a data message. EIEIOPacketParsingError if it is malformed."""
    return EIEIODataMessage.from_bytestring(data, offset)


def read_eieio_message(data: bytes, offset: int = 0) -> EIEIODataMessage | EIEIOCommandMessage:
    """Read a message of either kind. EIEIOPacketParsingError if it is malformed."""
    if len(data) > offset + 1 and data[offset + 1] & 0xC0 == _COMMAND >> 8:
        return read_eieio_command_message(data, offset)
    return EIEIODataMessage.from_bytestring(data, offset)


def _place(x: int, y: int, p: int) -> tuple[int, int, int]:
    return integer("x", x, 0, 0xFF), integer("y", y, 0, 0xFF), integer("p", p, 0, 31)


def _unpacked(form: struct.Struct, data: bytes, offset: int) -> tuple[int, ...]:
    try:
        return form.unpack_from(data, offset)
    except struct.error as error:
        raise EIEIOPacketParsingError("command", data, str(error)) from error


def _column(name: str, given: Sequence[int] | int, count: int, most: int) -> list[int]:
    """Return one field of each piece, which was given as a list, or as a number for one piece."""
    values = list(given) if isinstance(given, Iterable) else [given]
    if isinstance(given, str) or len(values) != count:
        raise ValueError(f"{name} must be a number for each of {count} pieces, not {given!r}")
    return [integer(name, value, 0, most) for value in values]


def _read_rows(form: struct.Struct, data: bytes, offset: int, count: int) -> list[tuple[int, ...]]:
    step = form.size + len(_ENTRY_PAD)
    return [_unpacked(form, data, offset + index * step) for index in range(count)]
