# SPDX-License-Identifier: Apache-2.0
"""EIEIO data messages: keys, with payloads or without.

The header is a count, then a byte of flags: prefix present (bit 7), prefix in the upper half
(6), payload base present (5), payloads are times (4), type (3..2), tag (1..0); then the prefix,
16 bits, and the base, as wide as a key. Both are or-ed into every element.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pyspin.arguments import integer, member

from ..errors import EIEIOPacketParsingError
from ..scp import UDP_MESSAGE_MAX_SIZE
from .types import AbstractEIEIOMessage, EIEIOPrefix, EIEIOType

_HAS_PREFIX = 0x80
_IS_UPPER = 0x40
_HAS_BASE = 0x20
_IS_TIME = 0x10
_PREFIX = struct.Struct("<H")
# The structure and the numpy type of an element, and of a base, by EIEIOType.
_ELEMENTS = [struct.Struct(form) for form in ("<H", "<HH", "<I", "<II")]
_BASES = [struct.Struct(form) for form in ("<H", "<H", "<I", "<I")]
_FIELDS: list[np.dtype[Any]] = [np.dtype(name) for name in ("<u2", "<u2", "<u4", "<u4")]
_MAX_COUNT = 255
_MAX_TAG = 3


class KeyDataElement:
    """A key."""

    __slots__ = ("key",)

    def __init__(self, key: int) -> None:
        self.key = key

    def get_bytestring(self, eieio_type: EIEIOType) -> bytes:
        """Return the element as it travels. ValueError if the type has payloads."""
        if eieio_type.payload_bytes:
            raise ValueError(f"elements of {eieio_type.name} have a payload")
        return _ELEMENTS[eieio_type].pack(integer("key", self.key, 0, eieio_type.max_value))

    def __repr__(self) -> str:
        return f"KeyDataElement({self.key:#x})"


class KeyPayloadDataElement:
    """A key and a payload, which may be a time."""

    __slots__ = ("key", "payload", "payload_is_timestamp")

    def __init__(self, key: int, payload: int, payload_is_timestamp: bool = False) -> None:
        self.key = key
        self.payload = payload
        self.payload_is_timestamp = payload_is_timestamp

    def get_bytestring(self, eieio_type: EIEIOType) -> bytes:
        """Return the element as it travels. ValueError if the type has no payloads."""
        if not eieio_type.payload_bytes:
            raise ValueError(f"elements of {eieio_type.name} have no payload")
        key = integer("key", self.key, 0, eieio_type.max_value)
        return _ELEMENTS[eieio_type].pack(
            key, integer("payload", self.payload, 0, eieio_type.max_value)
        )

    def __repr__(self) -> str:
        return f"KeyPayloadDataElement({self.key:#x}, {self.payload:#x})"


AbstractDataElement = KeyDataElement | KeyPayloadDataElement


class EIEIODataHeader:
    """The header of a data message."""

    __slots__ = (
        "count",
        "eieio_type",
        "is_time",
        "payload_base",
        "prefix",
        "prefix_type",
        "tag",
    )

    def __init__(
        self,
        eieio_type: EIEIOType,
        tag: int = 0,
        prefix: int | None = None,
        prefix_type: EIEIOPrefix = EIEIOPrefix.LOWER_HALF_WORD,
        payload_base: int | None = None,
        is_time: bool = False,
        count: int = 0,
    ) -> None:
        self.eieio_type = kind = member("eieio_type", eieio_type, EIEIOType)
        self.tag = integer("tag", tag, 0, _MAX_TAG)
        self.prefix = None if prefix is None else integer("prefix", prefix, 0, 0xFFFF)
        self.prefix_type = member("prefix_type", prefix_type, EIEIOPrefix)
        self.payload_base = (
            None
            if payload_base is None
            else integer("payload_base", payload_base, 0, kind.max_value)
        )
        self.is_time = is_time
        self.count = integer("count", count, 0, _MAX_COUNT)

    @property
    def size(self) -> int:
        """The bytes of the header."""
        return self.get_header_size(
            self.eieio_type, self.prefix is not None, self.payload_base is not None
        )

    @staticmethod
    def get_header_size(
        eieio_type: EIEIOType, is_prefix: bool = False, is_payload_base: bool = False
    ) -> int:
        """Return the bytes of such a header."""
        return 2 + 2 * is_prefix + EIEIOType(eieio_type).key_bytes * is_payload_base

    def increment_count(self) -> None:
        """Count one element more."""
        self.count += 1

    def reset_count(self) -> None:
        """Count from none again."""
        self.count = 0

    @property
    def bytestring(self) -> bytes:
        """The header as it travels."""
        flags = self.eieio_type << 2 | self.tag
        # An upper-half flag without a prefix would make it a command.
        if self.prefix is not None:
            flags |= _HAS_PREFIX | self.prefix_type * _IS_UPPER
        if self.payload_base is not None:
            flags |= _HAS_BASE
        if self.is_time:
            flags |= _IS_TIME
        data = bytes((self.count, flags))
        if self.prefix is not None:
            data += _PREFIX.pack(self.prefix)
        if self.payload_base is not None:
            data += _BASES[self.eieio_type].pack(self.payload_base)
        return data

    @staticmethod
    def from_bytestring(data: bytes, offset: int = 0) -> EIEIODataHeader:
        """Read a header at `offset`. EIEIOPacketParsingError if there is none."""
        try:
            count, flags = data[offset], data[offset + 1]
            if flags & (_HAS_PREFIX | _IS_UPPER) == _IS_UPPER:
                raise EIEIOPacketParsingError("data header", data, "it is a command")
            offset += 2
            header = EIEIODataHeader(EIEIOType(flags >> 2 & 3), flags & 3, count=count)
            header.is_time = bool(flags & _IS_TIME)
            if flags & _HAS_PREFIX:
                header.prefix_type = EIEIOPrefix(flags >> 6 & 1)
                (header.prefix,) = _PREFIX.unpack_from(data, offset)
                offset += 2
            if flags & _HAS_BASE:
                (header.payload_base,) = _BASES[header.eieio_type].unpack_from(data, offset)
            return header
        except (IndexError, struct.error) as error:
            raise EIEIOPacketParsingError("data header", data, "too short") from error

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"EIEIODataHeader({fields})"


class EIEIODataMessage(AbstractEIEIOMessage):
    """A data message: one to write, to which elements are added, or one that was received.

    `data` and `offset` are of a received message: the bytes and where its elements begin.
    """

    __slots__ = ("_elements", "_position", "_size", "data", "eieio_header", "offset")

    def __init__(
        self, eieio_header: EIEIODataHeader, data: bytes | None = None, offset: int = 0
    ) -> None:
        self.eieio_header = eieio_header
        self.data = data
        self.offset = offset
        self._position = 0
        self._elements: list[bytes] = []
        self._size = eieio_header.eieio_type.element_bytes

    @staticmethod
    def create(
        eieio_type: EIEIOType,
        count: int = 0,
        data: bytes | None = None,
        offset: int = 0,
        key_prefix: int | None = None,
        payload_prefix: int | None = None,
        timestamp: int | None = None,
        prefix_type: EIEIOPrefix = EIEIOPrefix.LOWER_HALF_WORD,
    ) -> EIEIODataMessage:
        """Make a message with such a header; a timestamp is a payload base that is a time."""
        header = EIEIODataHeader(
            eieio_type,
            prefix=key_prefix,
            prefix_type=prefix_type,
            payload_base=payload_prefix if timestamp is None else timestamp,
            is_time=timestamp is not None,
            count=count,
        )
        return EIEIODataMessage(header, data, offset)

    @staticmethod
    def from_bytestring(data: bytes, offset: int = 0) -> EIEIODataMessage:
        """Read a message. EIEIOPacketParsingError if it is shorter than its count says."""
        header = EIEIODataHeader.from_bytestring(data, offset)
        message = EIEIODataMessage(header, data, offset + header.size)
        if message.offset + header.count * message._size > len(data):
            problem = f"{header.count} elements do not fit {len(data) - offset} bytes"
            raise EIEIOPacketParsingError("data message", data, problem)
        return message

    @property
    def n_elements(self) -> int:
        """How many elements there are."""
        return self.eieio_header.count

    @property
    def max_n_elements(self) -> int:
        """How many fit a message of 256 bytes."""
        return min(_MAX_COUNT, (UDP_MESSAGE_MAX_SIZE - self.eieio_header.size) // self._size)

    @property
    def size(self) -> int:
        """The bytes of the message."""
        return self.eieio_header.size + self.eieio_header.count * self._size

    def add_key(self, key: int) -> None:
        """Add a key. ValueError if it does not fit, or the type wants a payload."""
        self.add_element(KeyDataElement(key))

    def add_key_and_payload(self, key: int, payload: int) -> None:
        """Add a key and a payload. ValueError if they do not fit, or the type has no payload."""
        self.add_element(KeyPayloadDataElement(key, payload, self.eieio_header.is_time))

    def add_element(self, element: AbstractDataElement) -> None:
        """Add an element. ValueError if it is of another kind, or the message is full."""
        if self.data is not None:
            raise ValueError("a received message takes no more elements")
        if self.eieio_header.count >= self.max_n_elements:
            raise ValueError(f"a message holds at most {self.max_n_elements} elements")
        self._elements.append(element.get_bytestring(self.eieio_header.eieio_type))
        self.eieio_header.increment_count()

    def add_keys(self, keys: npt.ArrayLike) -> None:
        """Add many keys at once, as `add_key` would one by one, or none of them."""
        header = self.eieio_header
        values = np.asarray(keys, dtype=np.int64).reshape(-1)
        if header.eieio_type.payload_bytes:
            raise ValueError(f"elements of {header.eieio_type.name} have a payload")
        if self.data is not None or header.count + len(values) > self.max_n_elements:
            raise ValueError(f"a message holds at most {self.max_n_elements} elements")
        if len(values) and not 0 <= np.min(values) <= np.max(values) <= header.eieio_type.max_value:
            raise ValueError(f"keys must be in 0..{header.eieio_type.max_value:#x}")
        self._elements.append(values.astype(_FIELDS[header.eieio_type]).tobytes())
        header.count += len(values)

    @property
    def is_next_element(self) -> bool:
        """Whether `next_element` has one more of a received message."""
        return self.data is not None and self._position < self.eieio_header.count

    @property
    def next_element(self) -> AbstractDataElement | None:
        """The next element of a received message, prefix and base put in; None after the last."""
        if not self.is_next_element:
            return None
        element = self._element(self._position)
        self._position += 1
        return element

    def __iter__(self) -> Iterator[AbstractDataElement]:
        """Give every element of a received message, whatever `next_element` gave."""
        if self.data is not None:
            for index in range(self.eieio_header.count):
                yield self._element(index)

    def _element(self, index: int) -> AbstractDataElement:
        header = self.eieio_header
        values = _ELEMENTS[header.eieio_type].unpack_from(
            self.data or b"", self.offset + index * self._size
        )
        key = values[0] | _shifted(header)
        if header.eieio_type.payload_bytes:
            return KeyPayloadDataElement(
                key, values[1] | (header.payload_base or 0), header.is_time
            )
        if header.payload_base is not None:
            return KeyPayloadDataElement(key, header.payload_base, header.is_time)
        return KeyDataElement(key)

    @property
    def keys(self) -> npt.NDArray[np.uint32]:
        """All keys of a received message as an array (n_elements,) of uint32, prefix put in."""
        keys = self._column(0)
        keys |= np.uint32(_shifted(self.eieio_header))
        return keys

    @property
    def payloads(self) -> npt.NDArray[np.uint32] | None:
        """All payloads, likewise, base put in; None if elements have none."""
        header = self.eieio_header
        base = np.uint32(header.payload_base or 0)
        if header.eieio_type.payload_bytes:
            payloads = self._column(1)
            payloads |= base
            return payloads
        if header.payload_base is not None:
            return np.full(header.count, base, dtype=np.uint32)
        return None

    def _column(self, index: int) -> npt.NDArray[np.uint32]:
        header = self.eieio_header
        fields = 2 if header.eieio_type.payload_bytes else 1
        values: npt.NDArray[Any] = np.frombuffer(
            self.data if self.data is not None else b"".join(self._elements),
            _FIELDS[header.eieio_type],
            header.count * fields,
            self.offset if self.data is not None else 0,
        )
        return values[index::fields].astype(np.uint32)

    @property
    def bytestring(self) -> bytes:
        """The message as it travels."""
        header = self.eieio_header.bytestring
        if self.data is not None:
            end = self.offset + self.eieio_header.count * self._size
            return header + self.data[self.offset : end]
        return header + b"".join(self._elements)

    def __repr__(self) -> str:
        return f"EIEIODataMessage({self.eieio_header!r})"


def _shifted(header: EIEIODataHeader) -> int:
    return (header.prefix or 0) << 16 * header.prefix_type
