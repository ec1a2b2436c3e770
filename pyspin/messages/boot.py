# SPDX-License-Identifier: Apache-2.0
"""Messages to the boot ROM of a chip: unlike all others they are big-endian."""

from __future__ import annotations

import struct
from enum import IntEnum

from pyspin.arguments import integer, member, octets

from .errors import InvalidPacketError

_HEADER = struct.Struct(">HIIII")
_VERSION = 1
_MAX_DATA = 1024
_WORD_MAX = 0xFFFFFFFF


class SpinnakerBootOpCode(IntEnum):
    """What a boot message does (spinnaker_tools, ``bootrom``)."""

    FLOOD_FILL_START = 1
    FLOOD_FILL_BLOCK = 3
    FLOOD_FILL_CONTROL = 5
    HELLO = 65


class SpinnakerBootMessage:
    """A boot message: an operation, three operands and up to 1024 bytes of data."""

    __slots__ = ("data", "opcode", "operand_1", "operand_2", "operand_3")

    def __init__(
        self,
        opcode: SpinnakerBootOpCode,
        operand_1: int,
        operand_2: int,
        operand_3: int,
        data: bytes | None = None,
        offset: int = 0,
    ) -> None:
        self.opcode = member("opcode", opcode, SpinnakerBootOpCode)
        self.operand_1 = integer("operand_1", operand_1, 0, _WORD_MAX)
        self.operand_2 = integer("operand_2", operand_2, 0, _WORD_MAX)
        self.operand_3 = integer("operand_3", operand_3, 0, _WORD_MAX)
        self.data = None if data is None else octets("data", data)[offset:]
        if self.data is not None and len(self.data) > _MAX_DATA:
            raise ValueError(f"data must be at most {_MAX_DATA} bytes, not {len(self.data)}")

    @property
    def bytestring(self) -> bytes:
        """The message as it travels."""
        head = _HEADER.pack(_VERSION, self.opcode, self.operand_1, self.operand_2, self.operand_3)
        return head + (self.data or b"")

    @staticmethod
    def from_bytestring(data: bytes, offset: int = 0) -> SpinnakerBootMessage:
        """Read a message. InvalidPacketError if it is none."""
        try:
            version, code, first, second, third = _HEADER.unpack_from(data, offset)
            opcode = SpinnakerBootOpCode(code)
        except (struct.error, ValueError) as error:
            raise InvalidPacketError("boot message", str(error)) from error
        if version != _VERSION:
            raise InvalidPacketError("boot message", f"version {version}")
        rest = data[offset + _HEADER.size :]
        return SpinnakerBootMessage(opcode, first, second, third, rest or None)
