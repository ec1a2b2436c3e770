# SPDX-License-Identifier: Apache-2.0
"""What a stream is asked to send: a heap with its count and destination, or several together."""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, final

from .._ffi import lib
from ..arguments import index, instance
from .heap import Heap
from .refusal import refusal

if TYPE_CHECKING:
    from .._core import spn_packets

    Row = tuple[spn_packets, int, int]
    """The fields of a `spn_heap_reference`."""


class GroupMode(enum.Enum):
    """In which order the packets of heaps go that are sent together."""

    ROUND_ROBIN = lib.SPN_GROUP_ROUND_ROBIN
    """One of each heap in turn, for as long as it has any."""
    SERIAL = lib.SPN_GROUP_SERIAL
    """All of a heap, then all of the next."""


@final
class HeapReference:
    """A heap among several that are sent together.

    `cnt` and `substream_index` are as in `send_heap`, may be set later, and are checked when
    the heap is sent. A heap may have several references.
    """

    __slots__ = ("_heap", "cnt", "substream_index")

    def __init__(self, heap: Heap, *, cnt: int = -1, substream_index: int = 0) -> None:
        instance("heap", heap, Heap)
        self._heap = heap
        self.cnt = index("cnt", cnt)
        self.substream_index = index("substream_index", substream_index)

    @property
    def heap(self) -> Heap:
        """The heap."""
        return self._heap

    def __repr__(self) -> str:
        return (
            f"HeapReference({self._heap!r}, cnt={self.cnt}, substream_index={self.substream_index})"
        )


def prepare(
    heap: Heap,
    cnt: int,
    substream_index: int,
    max_packet_size: int,
    num_substreams: int,
    where: str = "",
) -> Row:
    """Return what C is told of a heap to be sent, or raise why it cannot be.

    `where` is put before the reason of a refusal.
    """
    if type(heap) is not Heap:
        instance("heap", heap, Heap)
    if type(cnt) is not int or type(substream_index) is not int:
        cnt, substream_index = index("cnt", cnt), index("substream_index", substream_index)
    if not 0 <= substream_index < num_substreams:
        raise refusal(errno.EINVAL, f"{where}there is no substream {substream_index}")
    cut = heap._cut
    if cut is None or cut[0] != max_packet_size:
        cut = heap._cut_to(max_packet_size)
    if cnt != -1 and not 0 <= cnt < 1 << heap.flavour.heap_address_bits:
        raise refusal(errno.EINVAL, f"{where}cnt {cnt} does not fit the flavour")
    return cut[1], cnt, substream_index


def prepare_group(
    heaps: Iterable[HeapReference | Heap],
    mode: GroupMode,
    max_packet_size: int,
    num_substreams: int,
) -> tuple[list[Heap], list[Row]]:
    """Return the heaps, which hold the values, and what C is told of them."""
    instance("mode", mode, GroupMode)
    try:
        references = list(heaps)
    except TypeError:
        raise TypeError(f"heaps must be a sequence of HeapReference, not {heaps!r}") from None
    if not references:
        raise refusal(errno.EINVAL, "heaps is empty")
    held, rows = [], []
    for i, reference in enumerate(references):
        if type(reference) is Heap:
            heap, cnt, substream_index = reference, -1, 0
        elif type(reference) is HeapReference:
            heap, cnt, substream_index = (
                reference._heap,
                reference.cnt,
                reference.substream_index,
            )
        else:
            raise TypeError(f"heaps[{i}] must be a HeapReference, not {reference!r}")
        where = f"heaps[{i}]: "
        row = prepare(heap, cnt, substream_index, max_packet_size, num_substreams, where)
        held.append(heap)
        rows.append(row)
    return held, rows
