# SPDX-License-Identifier: Apache-2.0
"""Shapes, in which one dimension may be variable (`None`)."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from math import prod

Shape = tuple["int | None", ...]

MAX_DIMENSIONS = 32
"""As many as every numpy release can have."""

_MAX_BYTES = (1 << 63) - 1


def checked_shape(shape: Iterable[int | None]) -> Shape:
    """Return `shape` as a tuple, or raise `ValueError`."""
    try:
        sizes = tuple(None if size is None else operator.index(size) for size in shape)
    except TypeError:
        raise TypeError(f"shape must be integers or None, not {shape!r}") from None
    if sizes.count(None) > 1:
        raise ValueError(f"shape must have at most one unknown dimension, not {sizes}")
    if any(size is not None and size < 0 for size in sizes):
        raise ValueError(f"shape must not have negative dimensions, but is {sizes}")
    if len(sizes) > MAX_DIMENSIONS:
        raise ValueError(f"shape must have at most {MAX_DIMENSIONS} dimensions, not {len(sizes)}")
    return sizes


def check_bytes(shape: Shape, itemsize: int) -> None:
    """Raise `ValueError` when numpy could not have an array of this shape.

    It multiplies the dimensions that are not zero, also if the array is empty.
    """
    if prod(size for size in shape if size) * itemsize > _MAX_BYTES:
        raise ValueError(f"shape {shape} with elements of {itemsize} bytes is too large")


def known_elements(shape: Shape) -> int:
    """Return the product of the dimensions that are not variable."""
    return prod(size for size in shape if size is not None)


def dynamic_shape(shape: Shape, max_elements: int) -> tuple[int, ...]:
    """Return `shape` with its variable dimension as large as `max_elements` allow."""
    known = known_elements(shape)
    variable = max_elements // known if known else 0
    return tuple(variable if size is None else size for size in shape)


def is_compatible(shape: Shape, actual: tuple[int, ...]) -> bool:
    """Return whether `actual` is `shape` with some size for the variable dimension."""
    return len(shape) == len(actual) and all(
        size is None or size == other for size, other in zip(shape, actual, strict=True)
    )
