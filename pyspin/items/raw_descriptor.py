# SPDX-License-Identifier: Apache-2.0
"""A descriptor as it is on the wire, before anyone asks what it means."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import nested, protocol
from .flavour import BUG_COMPAT_DESCRIPTOR_WIDTHS, BUG_COMPAT_SHAPE_BIT_1, Flavour
from .shapes import Shape


@dataclass
class RawDescriptor:
    """The fields of a DESCRIPTOR item, not yet checked.

    `shape` has None for a variable dimension; `format` pairs of code and bits;
    `numpy_header` is empty when the descriptor has none.
    """

    id: int
    name: bytes = b""
    description: bytes = b""
    shape: Shape = ()
    format: list[tuple[str, int]] = field(default_factory=list)
    numpy_header: bytes = b""

    @classmethod
    def decode(cls, raw: bytes, bug_compat: int = 0) -> RawDescriptor | None:
        """Return what a DESCRIPTOR item's value says, or None if it says nothing.

        The widths of the fields are those of the nested packet's own flavour.
        """
        heap = nested.decode(raw)
        if heap is None:
            return None
        item_id = heap.immediates.get(protocol.DESCRIPTOR_ID_ID, 0)
        if not item_id:
            return None
        flavour = Flavour(heap_address_bits=heap.heap_address_bits, bug_compat=bug_compat)
        value = heap.addressed
        header = value.get(protocol.DESCRIPTOR_DTYPE_ID, b"")
        descriptor = cls(
            item_id,
            value.get(protocol.DESCRIPTOR_NAME_ID, b""),
            value.get(protocol.DESCRIPTOR_DESCRIPTION_ID, b""),
            numpy_header=header,
        )
        if not header:
            descriptor.shape = _decode_shape(value.get(protocol.DESCRIPTOR_SHAPE_ID, b""), flavour)
            descriptor.format = _decode_format(
                value.get(protocol.DESCRIPTOR_FORMAT_ID, b""), flavour
            )
        return descriptor

    def encode(self, flavour: Flavour) -> bytes:
        """Return the value of a DESCRIPTOR item: one packet of `flavour`.

        `ValueError` if the identifier or a field does not fit the flavour.
        """
        bits = flavour.heap_address_bits
        if not 0 < self.id < 1 << (63 - bits):
            raise ValueError(f"id must be in 1..{(1 << (63 - bits)) - 1}, not {self.id}")
        addressed = {
            protocol.DESCRIPTOR_NAME_ID: self.name,
            protocol.DESCRIPTOR_DESCRIPTION_ID: self.description,
            protocol.DESCRIPTOR_FORMAT_ID: _encode_format(self.format, flavour),
            protocol.DESCRIPTOR_SHAPE_ID: _encode_shape(self.shape, flavour),
        }
        if self.numpy_header:
            addressed[protocol.DESCRIPTOR_DTYPE_ID] = self.numpy_header
        if self.id >= 1 << bits:
            raise ValueError(f"id {self.id} does not fit an immediate of {bits} bits")
        return nested.encode(bits, {protocol.DESCRIPTOR_ID_ID: self.id}, addressed)


def _format_bytes(flavour: Flavour) -> int:
    """Return the width of a bit count; 3 in PySPEAD as in SPEAD-64-40."""
    if flavour.bug_compat & BUG_COMPAT_DESCRIPTOR_WIDTHS:
        return 3
    return 8 - flavour.heap_address_bits // 8


def _shape_bytes(flavour: Flavour) -> int:
    """Return the width of a dimension; 7 in PySPEAD as in SPEAD-64-56."""
    if flavour.bug_compat & BUG_COMPAT_DESCRIPTOR_WIDTHS:
        return 7
    return flavour.heap_address_bits // 8


def _variable_flag(flavour: Flavour) -> int:
    return 2 if flavour.bug_compat & BUG_COMPAT_SHAPE_BIT_1 else 1


def _chunks(raw: bytes, size: int) -> list[bytes]:
    """Cut `raw` into pieces of `size`; a shorter rest is dropped."""
    return [raw[i : i + size] for i in range(0, len(raw) - size + 1, size)]


def _decode_format(raw: bytes, flavour: Flavour) -> list[tuple[str, int]]:
    fields = _chunks(raw, 1 + _format_bytes(flavour))
    return [(chr(item[0]), int.from_bytes(item[1:], "big")) for item in fields]


def _encode_format(format: list[tuple[str, int]], flavour: Flavour) -> bytes:
    width = _format_bytes(flavour)
    for code, bits in format:
        if bits >= 1 << (8 * width):
            raise ValueError(f"format field {code}{bits} does not fit {flavour}")
    return b"".join(code.encode("ascii") + bits.to_bytes(width, "big") for code, bits in format)


def _decode_shape(raw: bytes, flavour: Flavour) -> Shape:
    flag = _variable_flag(flavour)
    fields = _chunks(raw, 1 + _shape_bytes(flavour))
    return tuple(None if item[0] & flag else int.from_bytes(item[1:], "big") for item in fields)


def _encode_shape(shape: Shape, flavour: Flavour) -> bytes:
    width = _shape_bytes(flavour)
    fields = []
    for size in shape:
        if size is not None and size >= 1 << (8 * width):
            raise ValueError(f"dimension {size} does not fit {flavour}")
        flag = _variable_flag(flavour) if size is None else 0
        fields.append(bytes([flag]) + (size or 0).to_bytes(width, "big"))
    return b"".join(fields)
