# SPDX-License-Identifier: Apache-2.0
"""The face that `Stream` and `Ring` have in loops of coroutines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

from ..errors import Stopped
from .source import AnyHeap, HeapSource

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..memory import MemoryAllocator

T = TypeVar("T")


class StreamOptions(TypedDict, total=False):
    """The arguments of `Stream` that every loop passes on, by name."""

    bug_compat: int
    max_heaps: int
    ring_heaps: int
    contiguous_only: bool
    incomplete_keep_payload_ranges: bool
    max_latency: float
    scatter: bool
    tag: int
    allocator: MemoryAllocator | None


class Taker(Protocol):
    """What a loop module supplies: the waiting."""

    async def take(self, attempt: Callable[..., T], *arguments: Any) -> T:
        """Return what `attempt` returns as soon as it does not raise `Empty`."""


class AwaitedSource(HeapSource):
    """Coroutines in place of the methods that block."""

    _turns: Taker

    async def get(self) -> AnyHeap:  # type: ignore[override]
        """Take the next heap when there is one; concurrent calls are served in order.

        Cancelling it, by a timeout or otherwise, loses no heap.

        Raises `Stopped` when there will be no more heaps.
        """
        return await self._turns.take(self.get_nowait)

    async def get_many(self, max_count: int) -> list[AnyHeap]:  # type: ignore[override]
        """Take up to `max_count` heaps, at least one, when there are some.

        Raises `Stopped` when there will be no more heaps.
        """
        return await self._turns.take(self.get_many_nowait, max_count)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyHeap:
        try:
            return await self._turns.take(self.get_nowait)
        except Stopped:
            raise StopAsyncIteration from None

    # Iterating without `async` would stop the loop.
    __iter__ = None  # type: ignore[assignment]
