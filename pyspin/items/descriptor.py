# SPDX-License-Identifier: Apache-2.0
"""What an item is: its name, shape and type, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from ..arguments import index, instance
from . import numpy_header, shapes
from .flavour import BUG_COMPAT_SWAP_ENDIAN, Flavour
from .formats import Format, checked_format, format_bits, format_dtype, has_buffer, is_native
from .raw_descriptor import RawDescriptor
from .reading import Reading

if TYPE_CHECKING:
    from typing_extensions import Self

Order = Literal["C", "F"]


class Descriptor:
    """Metadata of a SPEAD item.

    Either `dtype` or `format` is given. With a dtype every dimension must be
    known; with a format, which is a list of (code, bits), one may be None, and
    `order` must be "C". Codes: u, i, f, c, b, see `docs/items.md`.

    The attributes are those of the constructor; treat them as read-only.
    `ValueError` names the parameter that is wrong; `TypeError` if it has the
    wrong type, or numpy does not know the dtype.
    """

    __slots__ = (
        "__weakref__",
        "_is_plain",
        "_readings",
        "description",
        "dtype",
        "format",
        "id",
        "name",
        "order",
        "shape",
        "wire_dtype",
    )

    id: int
    name: str
    description: str
    shape: shapes.Shape
    dtype: np.dtype[Any] | None
    order: Order
    format: Format | None
    wire_dtype: np.dtype[Any]

    def __init__(
        self,
        id: int,
        name: str,
        description: str,
        shape: Iterable[int | None],
        dtype: npt.DTypeLike | None = None,
        order: Order = "C",
        format: Iterable[tuple[str, int]] | None = None,
    ) -> None:
        if order not in ("C", "F"):
            raise ValueError(f"order must be 'C' or 'F', not {order!r}")
        if (dtype is None) == (format is None):
            raise ValueError("exactly one of dtype and format must be given")
        for parameter, text in (("name", name), ("description", description)):
            instance(parameter, text, str)
        self.id = index("id", id)
        self.name = name
        self.description = description
        self.shape = shapes.checked_shape(shape)
        self.dtype = None if dtype is None else _checked_dtype(dtype)
        self.order = order
        self.format = None if format is None else checked_format(format)
        self._readings: dict[str, Reading] = {}
        if self.dtype is not None and self.is_variable_size():
            raise ValueError(f"shape must be known with a dtype, but is {self.shape}")
        if self.format is not None and order != "C":
            raise ValueError("order must be 'C' with a format, not 'F'")
        # Of the elements as they are sent; object where they are packed.
        self.wire_dtype = self.array_dtype("|")
        shapes.check_bytes(self.shape, self.wire_dtype.itemsize)
        # Whether an array in C order, of this shape and type, has the bytes of the wire.
        self._is_plain = order == "C" and not self.is_packed() and has_buffer(self.wire_dtype)

    @property
    def itemsize_bits(self) -> int:
        """Bits of one element."""
        if self.dtype is not None:
            return self.dtype.itemsize * 8
        return format_bits(self.format or [])

    def is_variable_size(self) -> bool:
        """Return whether a dimension is unknown."""
        return None in self.shape

    def allow_immediate(self) -> bool:
        """Return whether a small value may be sent inside its item pointer.

        Not one of variable size, whose length would be lost, nor elements
        that are not whole bytes, whose padding the protocol does not place.
        """
        return not self.is_variable_size() and self.itemsize_bits % 8 == 0

    def dynamic_shape(self, max_elements: int) -> tuple[int, ...]:
        """Return the shape of a value for which `max_elements` have arrived."""
        return shapes.dynamic_shape(self.shape, max_elements)

    def compatible_shape(self, shape: Iterable[int]) -> bool:
        """Return whether a value may have this shape."""
        return shapes.is_compatible(self.shape, tuple(shape))

    def is_packed(self) -> bool:
        """Return whether elements need packing, as no numpy dtype has their bytes."""
        return self.format is not None and not is_native(self.format)

    def array_dtype(self, order: str) -> np.dtype[Any]:
        """Return the dtype of values: of the wire, or in byte order `order`.

        For `order` see `numpy.dtype.newbyteorder`; "|" is that of the wire.
        """
        if self.format is not None:
            return format_dtype(self.format, ">" if order == "|" else order)
        assert self.dtype is not None
        dtype: np.dtype[Any] = self.dtype.newbyteorder(cast("Any", order))
        return self.dtype if dtype == self.dtype else dtype

    def reading(self, order: str = "=") -> Reading:
        """Return how bytes become values of byte order `order`; made once."""
        reading = self._readings.get(order)
        if reading is None:
            reading = self._readings[order] = Reading(
                self.name,
                self.shape,
                self.wire_dtype,
                self.array_dtype(order),
                self.order,
                self.format,
            )
        return reading

    def identity(self) -> tuple[object, ...]:
        """Return all that tells this descriptor from another."""
        format = None if self.format is None else tuple(self.format)
        return (
            self.id, self.name, self.description, self.shape, self.dtype, self.order, format
        )  # fmt: skip

    @classmethod
    def from_raw(cls, raw_descriptor: RawDescriptor, flavour: Flavour) -> Self:
        """Return the descriptor that `raw_descriptor` tells of, or raise `ValueError`.

        Of `flavour` only `bug_compat` matters.
        """
        raw = raw_descriptor
        name, description = raw.name.decode("ascii"), raw.description.decode("ascii")
        if not raw.numpy_header:
            return cls(raw.id, name, description, raw.shape, format=raw.format)
        dtype, fortran, shape = numpy_header.parse_header(raw.numpy_header)
        if flavour.bug_compat & BUG_COMPAT_SWAP_ENDIAN:
            dtype = dtype.newbyteorder("S")
        return cls(raw.id, name, description, shape, dtype, "F" if fortran else "C")

    def to_raw(self, flavour: Flavour) -> RawDescriptor:
        """Return the descriptor for the wire; its `encode(flavour)` gives the bytes.

        `UnicodeEncodeError` if name or description is not ASCII, `ValueError`
        if a numpy header cannot express the dtype.
        """
        raw = RawDescriptor(
            self.id, self.name.encode("ascii"), self.description.encode("ascii"), self.shape
        )
        if self.dtype is None:
            raw.format = list(self.format or [])
            return raw
        swap = flavour.bug_compat & BUG_COMPAT_SWAP_ENDIAN
        dtype = self.dtype.newbyteorder("S") if swap else self.dtype
        known = tuple(size for size in self.shape if size is not None)
        raw.numpy_header = numpy_header.format_header(dtype, self.order == "F", known)
        return raw

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the constructor's arguments."""
        return type(self), (
            self.id, self.name, self.description, self.shape, self.dtype, self.order, self.format
        )  # fmt: skip

    def __repr__(self) -> str:
        type_ = f"format={self.format}" if self.dtype is None else f"dtype={self.dtype}"
        return f"<{type(self).__name__} {self.name!r} {self.id:#x} shape={self.shape} {type_}>"


def _checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        checked: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype must be one of numpy's, not {dtype!r}: {error}") from None
    if checked.hasobject:
        raise ValueError(f"dtype must not hold Python objects, but is {checked}")
    if checked.itemsize == 0:
        raise ValueError(f"dtype must have a size, but is {checked}")
    if checked.subdtype is not None:
        raise ValueError(f"dtype must not be an array; put {checked.shape} into shape")
    return checked
