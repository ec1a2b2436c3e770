# SPDX-License-Identifier: Apache-2.0
"""An item: a descriptor with a value and a version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .descriptor import Descriptor, Order
from .writing import to_buffer

_DONE = (None,) * 4


class Item(Descriptor):
    """A SPEAD item with a value and a version number.

    `version` starts at 1 and grows with every assignment of `value` and every
    `ItemGroup.update` that has a new one; a change inside the value is not
    seen. The parameters are those of `Descriptor`, and `value`, which is
    checked when it is sent.
    """

    __slots__ = ("_cell", "_origin", "version")

    def __init__(
        self,
        id: int,
        name: str,
        description: str,
        shape: Iterable[int | None],
        dtype: npt.DTypeLike | None = None,
        order: Order = "C",
        format: Iterable[tuple[str, int]] | None = None,
        value: Any = None,
    ) -> None:
        super().__init__(id, name, description, shape, dtype, order, format)
        self.version = 1
        self._origin: Descriptor | None = None
        # Either (value,), or what it takes to make it: [load, heap, offset,
        # length], or [load_immediate, None, number, bytes]; at the first
        # reading the value comes fifth. One cell a value: a reader can only
        # fill the cell that it took, never a later one.
        self._cell: Sequence[Any] = (value,)

    @classmethod
    def from_descriptor(cls, descriptor: Descriptor) -> Item:
        """Return an item without a value that is described by `descriptor`."""
        d = descriptor
        item = cls(d.id, d.name, d.description, d.shape, d.dtype, d.order, d.format)
        item._origin = descriptor
        return item

    def is_described_by(self, descriptor: Descriptor) -> bool:
        """Return whether `descriptor` says nothing new."""
        return self._origin is descriptor or self.identity() == descriptor.identity()

    @property
    def value(self) -> Any:
        """The current value, None before there is one.

        A received array is writable, and where the wire has numpy's
        representation it is a view of the heap, which lives as long as it.
        Any thread may read it. Assignment raises the version; None is a
        `ValueError`, as it cannot be sent.
        """
        cell = self._cell
        length = len(cell)
        if length > 4:
            return cell[4]
        return cell[0] if length == 1 else fill(cell)

    @value.setter
    def value(self, value: Any) -> None:
        if value is None:
            raise ValueError("value must not be None")
        self._cell = (value,)
        self.version += 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle with value and version."""
        kind, arguments = super().__reduce__()
        return kind, (*arguments, self.value), self.version

    def __setstate__(self, version: int) -> None:
        self.version = version

    def to_buffer(self) -> npt.NDArray[Any] | bytearray:
        """Return the value's bytes on the wire, as an object with a buffer.

        An array that has them already is returned as it is. `ValueError` for
        no value, a value of another shape, a number that does not fit and text
        that is not ASCII; `TypeError` for an object that is no such value.
        """
        value = self.value
        if value is None:
            raise ValueError(f"item {self.name!r} has no value to send")
        return to_buffer(self, value)

    def set_from_raw(self, raw_item: Any, new_order: str = "=") -> None:
        """Take the value from an item of `Heap.get_items()`, in byte order `new_order`.

        `ValueError` if there are too few bytes or text is not ASCII.
        """
        reading = self.reading(new_order)
        memory = np.frombuffer(raw_item, np.uint8)
        length = len(memory)
        if length < reading.minimum:
            raise reading.too_short(length)
        if raw_item.is_immediate:
            self.value = reading.load_immediate(raw_item.immediate_value, length)
        else:
            self.value = reading.load(memory, 0, length)


def fill(cell: Sequence[Any]) -> Any:
    """Return the value of an item's cell, making it if no other thread has.

    Several may make it at the same time; all return the one that came first.
    """
    parts = tuple(cell)
    if len(parts) == 4:
        load, heap, offset, length = parts
        value = load(offset, length) if heap is None else load(heap._memory(), offset, length)
        # Each of these is one step for other threads; nothing moves the fifth.
        cell.append(value)  # type: ignore[attr-defined]
        cell[:4] = _DONE  # type: ignore[index]
    return cell[4]
