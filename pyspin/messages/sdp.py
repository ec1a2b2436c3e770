# SPDX-License-Identifier: Apache-2.0
"""The SpiNNaker Datagram Protocol: a header of eight bytes, then data.

The bytes of the header are: flags, tag, destination port and core, source port and core,
destination y, destination x, source y, source x (SpiNNaker application note 4, section 3).
A port takes the three high bits and a core the five low ones.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from pyspin.arguments import integer

from .errors import InvalidPacketError

_HEADER = struct.Struct("<8B")

# What a host on the Ethernet side calls itself, and the tag by which a board makes a
# transient tag for its reply (application note 4, section 3).
HOST_TAG = 255
HOST_PORT = 7
HOST_CPU = 31


class SDPFlag(IntEnum):
    """The first byte of an SDP message."""

    REPLY_NOT_EXPECTED = 0x07
    REPLY_EXPECTED = 0x87
    REPLY_NOT_EXPECTED_NO_P2P = 0x27
    REPLY_EXPECTED_NO_P2P = 0xA7


# The most that a field can hold, where it is not a byte.
_LIMITS = {"destination_port": 7, "destination_cpu": 31, "source_port": 7, "source_cpu": 31}

_FLAGS: dict[int, SDPFlag] = {flag.value: flag for flag in SDPFlag}


class SDPHeader:
    """The header of an SDP message; every field can be set.

    Sources that are not given are those of a host: port 7, core 31, tag 255, chip (0, 0).
    `flags` of a received header is an :class:`SDPFlag`, or a plain number if it has no name.
    """

    __slots__ = (
        "destination_chip_x",
        "destination_chip_y",
        "destination_cpu",
        "destination_port",
        "flags",
        "source_chip_x",
        "source_chip_y",
        "source_cpu",
        "source_port",
        "tag",
    )

    def __init__(
        self,
        flags: SDPFlag | int = SDPFlag.REPLY_EXPECTED,
        tag: int | None = None,
        destination_port: int = 0,
        destination_cpu: int = 0,
        destination_chip_x: int = 0,
        destination_chip_y: int = 0,
        source_port: int | None = None,
        source_cpu: int | None = None,
        source_chip_x: int | None = None,
        source_chip_y: int | None = None,
    ) -> None:
        self.flags = flags
        self.tag = HOST_TAG if tag is None else tag
        self.destination_port = destination_port
        self.destination_cpu = destination_cpu
        self.destination_chip_x = destination_chip_x
        self.destination_chip_y = destination_chip_y
        self.source_port = HOST_PORT if source_port is None else source_port
        self.source_cpu = HOST_CPU if source_cpu is None else source_cpu
        self.source_chip_x = source_chip_x or 0
        self.source_chip_y = source_chip_y or 0

    @property
    def is_reply_expected(self) -> bool:
        """Whether the receiver is asked to answer."""
        return bool(self.flags & 0x80)

    @property
    def bytestring(self) -> bytes:
        """The eight bytes. TypeError or ValueError naming a field that does not fit."""
        try:
            ports = self.destination_port | self.source_port
            cores = self.destination_cpu | self.source_cpu
            if ports <= 7 and cores <= 31:
                return _HEADER.pack(
                    self.flags,
                    self.tag,
                    self.destination_port << 5 | self.destination_cpu,
                    self.source_port << 5 | self.source_cpu,
                    self.destination_chip_y,
                    self.destination_chip_x,
                    self.source_chip_y,
                    self.source_chip_x,
                )
        except (struct.error, TypeError):
            pass
        for name in self.__slots__:
            integer(name, getattr(self, name), 0, _LIMITS.get(name, 0xFF))
        raise AssertionError(self)

    @staticmethod
    def from_bytestring(data: bytes, offset: int = 0) -> SDPHeader:
        """Read a header at `offset`. InvalidPacketError if `data` ends before it does."""
        try:
            flags, tag, destination, source, y, x, source_y, source_x = _HEADER.unpack_from(
                data, offset
            )
        except struct.error as error:
            raise InvalidPacketError("SDP header", f"{len(data) - offset} bytes") from error
        return SDPHeader(
            _FLAGS.get(flags, flags),
            tag,
            destination >> 5,
            destination & 31,
            x,
            y,
            source >> 5,
            source & 31,
            source_x,
            source_y,
        )

    def update_for_send(self, source_x: int, source_y: int) -> None:
        """Make a host its source, at the chip whose Ethernet link will carry the reply."""
        self.tag = HOST_TAG
        self.source_port = HOST_PORT
        self.source_cpu = HOST_CPU
        self.source_chip_x = source_x
        self.source_chip_y = source_y

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SDPHeader):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # its fields can be set

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"SDPHeader({fields})"


class SDPMessage:
    """An SDP message: a header and the data after it.

    `data` is None when there is none; it begins at `offset` of the bytes given.
    """

    __slots__ = ("data", "offset", "sdp_header")

    def __init__(self, sdp_header: SDPHeader, data: bytes | None = None, offset: int = 0) -> None:
        self.sdp_header = sdp_header
        self.data = data
        self.offset = offset

    @property
    def payload(self) -> bytes:
        """The data alone: what lies behind the header, without the bytes before `offset`."""
        if self.data is None:
            return b""
        return self.data[self.offset :] if self.offset else self.data

    @property
    def bytestring(self) -> bytes:
        """The header and the data, as they travel (without the two pad bytes of UDP)."""
        return self.sdp_header.bytestring + self.payload

    @staticmethod
    def from_bytestring(data: bytes, offset: int = 0) -> SDPMessage:
        """Read a message that begins at `offset` and ends with `data`."""
        return SDPMessage(SDPHeader.from_bytestring(data, offset), data, offset + _HEADER.size)

    def __repr__(self) -> str:
        return f"SDPMessage({self.sdp_header!r}, {self.payload!r})"
