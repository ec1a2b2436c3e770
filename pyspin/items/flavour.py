# SPDX-License-Identifier: Apache-2.0
"""The flavour of a SPEAD heap, and the faults of PySPEAD that can be imitated."""

from __future__ import annotations

from typing import final

from .protocol import ITEM_POINTER_BITS, VERSION

BUG_COMPAT_DESCRIPTOR_WIDTHS = 1
"""Format fields of 4 bytes and shape fields of 8, whatever the flavour."""

BUG_COMPAT_SHAPE_BIT_1 = 2
"""A variable dimension is flagged by the bit of value 2 instead of 1."""

BUG_COMPAT_SWAP_ENDIAN = 4
"""The numpy dtype in a descriptor has the byte order opposite to the data."""

BUG_COMPAT_PYSPEAD_0_5_2 = (
    BUG_COMPAT_DESCRIPTOR_WIDTHS | BUG_COMPAT_SHAPE_BIT_1 | BUG_COMPAT_SWAP_ENDIAN
)
"""All the faults of PySPEAD 0.5.2."""


@final
class Flavour:
    """The widths of SPEAD-64-`heap_address_bits`, and the faults to imitate.

    `heap_address_bits` is a multiple of 8 from 8 to 56; the identifier of an
    item has 63 bits less that many. Immutable and hashable. `ValueError` for
    any other version or width (SPEAD Protocol Document, packet header).
    """

    __slots__ = ("_bug_compat", "_heap_address_bits")

    def __init__(
        self,
        version: int = VERSION,
        item_pointer_bits: int = ITEM_POINTER_BITS,
        heap_address_bits: int = 40,
        bug_compat: int = 0,
    ) -> None:
        for name, number in (
            ("version", version),
            ("item_pointer_bits", item_pointer_bits),
            ("heap_address_bits", heap_address_bits),
            ("bug_compat", bug_compat),
        ):
            if not isinstance(number, int):
                raise TypeError(f"{name} must be an int, not {number!r}")
        if version != VERSION:
            raise ValueError(f"version must be {VERSION}, not {version}")
        if item_pointer_bits != ITEM_POINTER_BITS:
            raise ValueError(
                f"item_pointer_bits must be {ITEM_POINTER_BITS}, not {item_pointer_bits}"
            )
        if heap_address_bits % 8 or not 0 < heap_address_bits < ITEM_POINTER_BITS:
            raise ValueError(
                f"heap_address_bits must be a multiple of 8 in 8..56, not {heap_address_bits}"
            )
        if bug_compat < 0:
            raise ValueError(f"bug_compat must be a mask of BUG_COMPAT_*, not {bug_compat}")
        self._heap_address_bits = heap_address_bits
        self._bug_compat = bug_compat

    @property
    def version(self) -> int:
        """The SPEAD version, always 4."""
        return VERSION

    @property
    def item_pointer_bits(self) -> int:
        """Bits of an item pointer, always 64."""
        return ITEM_POINTER_BITS

    @property
    def heap_address_bits(self) -> int:
        """Bits of an address or an immediate value."""
        return self._heap_address_bits

    @property
    def bug_compat(self) -> int:
        """The mask of `BUG_COMPAT_*`."""
        return self._bug_compat

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Flavour):
            return NotImplemented
        return (
            self._heap_address_bits == other._heap_address_bits
            and self._bug_compat == other._bug_compat
        )

    def __hash__(self) -> int:
        return hash((self._heap_address_bits, self._bug_compat))

    def __repr__(self) -> str:
        return (
            f"Flavour({VERSION}, {ITEM_POINTER_BITS}, {self._heap_address_bits}, "
            f"{self._bug_compat})"
        )
