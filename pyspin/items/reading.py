# SPDX-License-Identifier: Apache-2.0
"""How the bytes of an item become its value.

A `Reading` is made once per descriptor and byte order, so that the work per
heap is one comparison and, when the value is asked for, one call to numpy.
Errors depend only on the number of bytes, except in text, so all else can wait
until someone reads the value: `is_lazy`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .formats import Format, format_bits, is_native, unpack
from .shapes import Shape, dynamic_shape, known_elements

Memory = Any
"""Bytes among which the item's are: a 1-D uint8 array or another writable buffer of bytes."""

Load = Callable[[Memory, int, int], Any]
"""From memory, offset and length in bytes to a value."""


class Reading:
    """Reads the values of one descriptor.

    minimum: bytes without which there is no value; more are ignored.
    load: makes the value; the array is a view of the memory where the wire has
        numpy's representation in the order asked for.
    is_lazy: `load` cannot fail once the minimum is there.
    """

    __slots__ = ("_bits", "_is_variable", "_known", "is_lazy", "load", "minimum", "name")

    def __init__(
        self,
        name: str,
        shape: Shape,
        wire: np.dtype[Any],
        dtype: np.dtype[Any],
        order: str,
        format: Format | None,
    ) -> None:
        self.name = name
        self._bits = format_bits(format) if format is not None else wire.itemsize * 8
        self._known = known_elements(shape)
        self._is_variable = None in shape
        self.minimum = 0 if self._is_variable else -(-self._known * self._bits // 8)
        self.is_lazy = True
        self.load: Load
        if format == [("c", 8)] and len(shape) == 1:
            self.is_lazy = False
            self.load = _text(None if self._is_variable else self.minimum)
        elif format is not None and not is_native(format):
            self.load = _packed(shape, format, self._bits)
        elif self._is_variable:
            self.load = _variable(shape, wire, dtype)
        else:
            self.load = _fixed(tuple(s for s in shape if s is not None), wire, dtype, order)
        if _has_unicode(wire):
            self.is_lazy = False
            self.load = _checked(self.load)
        if not shape:
            # Numbers have numpy's byte order when they are taken out of an array.
            plain = wire.kind in "biufc"
            self.load = _number(wire) if plain else _element(self.load)

    def too_short(self, length: int) -> ValueError:
        """Return the error for `length` bytes, fewer than the minimum."""
        return ValueError(
            f"item {self.name!r} needs {self.minimum} bytes, but only {length} have arrived"
        )

    def load_immediate(self, number: int, size: int) -> Any:
        """Return the value in an immediate of `size` bytes, at least the minimum.

        It stands at the low-order end.
        """
        used = self.minimum
        if self._is_variable and self._known:
            elements = size * 8 // self._bits // self._known * self._known
            used = -(-elements * self._bits // 8)
        return self.load(bytearray(number.to_bytes(size, "big")), size - used, used)


def _number(wire: np.dtype[Any]) -> Load:
    def load(memory: Memory, offset: int, length: int) -> Any:
        return np.ndarray((), wire, memory, offset)[()]

    return load


def _element(array: Load) -> Load:
    def load(memory: Memory, offset: int, length: int) -> Any:
        return array(memory, offset, length)[()]

    return load


def _fixed(shape: tuple[int, ...], wire: np.dtype[Any], dtype: np.dtype[Any], order: str) -> Load:
    def view(memory: Memory, offset: int, length: int) -> Any:
        return np.ndarray(shape, wire, memory, offset)

    def view_fortran(memory: Memory, offset: int, length: int) -> Any:
        return np.ndarray(shape, wire, memory, offset, None, "F")

    load = view_fortran if order == "F" else view

    def convert(memory: Memory, offset: int, length: int) -> Any:
        return load(memory, offset, length).astype(dtype)

    return load if wire == dtype else convert


def _variable(shape: Shape, wire: np.dtype[Any], dtype: np.dtype[Any]) -> Load:
    def load(memory: Memory, offset: int, length: int) -> Any:
        actual = dynamic_shape(shape, length // wire.itemsize)
        value: npt.NDArray[Any] = np.ndarray(actual, wire, memory, offset)
        return value if wire == dtype else value.astype(dtype)

    return load


def _text(size: int | None) -> Load:
    def load(memory: Memory, offset: int, length: int) -> Any:
        end = offset + (length if size is None else size)
        return str(memory[offset:end], "ascii")

    return load


def _has_unicode(dtype: np.dtype[Any]) -> bool:
    if dtype.fields is not None:
        return any(_has_unicode(field[0]) for field in dtype.fields.values())
    return dtype.base.kind == "U"


def _checked(load: Load) -> Load:
    """Make `load` refuse what is no Unicode; numpy would fail when it is used."""

    def checked(memory: Memory, offset: int, length: int) -> Any:
        array = load(memory, offset, length)
        if not _is_unicode(array):
            raise ValueError("text holds numbers beyond Unicode")
        return array

    return checked


def _is_unicode(array: npt.NDArray[Any]) -> bool:
    dtype = array.dtype
    if dtype.fields is not None:
        return all(_is_unicode(array[name]) for name in dtype.names or ())
    if dtype.kind != "U":
        return True
    wire = np.dtype("u4").newbyteorder(cast("Any", dtype.byteorder))
    points = np.ascontiguousarray(array).reshape(-1).view(wire)
    return not len(points) or int(points.max()) <= sys.maxunicode


def _packed(shape: Shape, format: Format, bits: int) -> Load:
    def load(memory: Memory, offset: int, length: int) -> Any:
        actual = dynamic_shape(shape, length * 8 // bits)
        data = np.frombuffer(memory, np.uint8, length, offset)
        return unpack(format, data, int(np.prod(actual, dtype=object))).reshape(actual)

    return load
