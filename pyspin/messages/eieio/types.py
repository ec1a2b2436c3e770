# SPDX-License-Identifier: Apache-2.0
"""The kinds of EIEIO message (External Internal Event Input Output protocol)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum


class EIEIOType(IntEnum):
    """What each element of a data message holds."""

    KEY_16_BIT = 0
    KEY_PAYLOAD_16_BIT = 1
    KEY_32_BIT = 2
    KEY_PAYLOAD_32_BIT = 3

    @property
    def encoded_value(self) -> int:
        """The two bits that stand for the type in a header."""
        return int(self)

    @property
    def key_bytes(self) -> int:
        """The bytes of a key."""
        return 2 if self < EIEIOType.KEY_32_BIT else 4

    @property
    def payload_bytes(self) -> int:
        """The bytes of a payload, 0 when elements have none."""
        return self.key_bytes if self & 1 else 0

    @property
    def element_bytes(self) -> int:
        """The bytes of an element."""
        return self.key_bytes + self.payload_bytes

    @property
    def max_value(self) -> int:
        """The greatest key or payload."""
        return 0xFFFF if self < EIEIOType.KEY_32_BIT else 0xFFFFFFFF


class EIEIOPrefix(IntEnum):
    """Which half of a key its prefix is or-ed into."""

    LOWER_HALF_WORD = 0
    UPPER_HALF_WORD = 1


class EIEIOCommandID(IntEnum):
    """The identifiers of the command messages."""

    DATABASE = 1
    EVENT_PADDING = 2
    EVENT_STOP = 3
    STOP_SENDING_REQUESTS = 4
    START_SENDING_REQUESTS = 5
    SPINNAKER_REQUEST_BUFFERS = 6
    HOST_SEND_SEQUENCED_DATA = 7
    SPINNAKER_REQUEST_READ_DATA = 8
    HOST_DATA_READ = 9
    STOP_PAUSE_NOTIFICATION = 10
    START_RESUME_NOTIFICATION = 11
    HOST_DATA_READ_ACK = 12


class AbstractEIEIOMessage(ABC):
    """A data message or a command."""

    __slots__ = ()

    @property
    @abstractmethod
    def bytestring(self) -> bytes:
        """The message as it travels."""
