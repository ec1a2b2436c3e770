# SPDX-License-Identifier: Apache-2.0
"""The C core and the model in `oracle` see the same heaps and the same counters."""

from __future__ import annotations

from typing import Any

import oracle
import packets as p
from hypothesis import given, settings
from hypothesis import strategies as st
from receiving import stream_of

import pyspin
import pyspin.recv

POOL = pyspin.ThreadPool()
HABS = st.sampled_from([40, 40, 40, 40, 40, 48, 8, 56])
OFFSETS = st.sampled_from([0, 0, 4, 8, 8, 12, 16, 24])
COUNTERS = sorted(
    {"packets", "heaps", "incomplete_heaps_evicted", "incomplete_heaps_flushed"}
    | {f"rejected_{why}" for why in ("short", "magic", "widths", "header", "missing", "truncated")}
    | {"rejected_heap_length"}
    | {f"refused_{why}" for why in ("duplicate", "overlap", "heap_length", "flavour", "memory")}
)


@st.composite
def pointers(draw: st.DrawFn, hab: int) -> bytes:
    id = draw(st.sampled_from([0, 1, 2, 4, 5, 6, 6, 7, 0x10, 0x11, 0x12]))
    if draw(st.booleans()) and not 1 <= id <= 4:
        return p.immediate(id, draw(st.sampled_from([0, 1, 2, 3, 250])), hab)
    return p.addressed(id, draw(st.sampled_from([0, 4, 8, 16, 20, 24, 30])), hab)


@st.composite
def loose_packets(draw: st.DrawFn) -> bytes:
    """Packets that agree about nothing, so that every check is met."""
    hab = draw(HABS)
    return p.data_packet(
        draw(st.integers(1, 4)),
        draw(st.binary(min_size=0, max_size=12)),
        draw(OFFSETS),
        draw(st.sampled_from([None, None, 24, 24, 24, 32])),
        draw(st.lists(pointers(hab), max_size=3)),
        hab,
    )


@st.composite
def whole_heaps(draw: st.DrawFn) -> list[bytes]:
    hab = draw(HABS)
    return p.heap_packets(
        draw(st.integers(1, 6)),
        draw(st.binary(max_size=64)),
        draw(st.lists(pointers(hab), max_size=4)),
        draw(st.sampled_from([4, 8, 16, 100])),
        hab,
        draw(st.booleans()),
        draw(st.booleans()),
    )


@st.composite
def shuffled_traffic(draw: st.DrawFn) -> list[bytes]:
    """Heaps that are interleaved, reordered, and short of or rich in some packets."""
    every = [packet for heap in draw(st.lists(whole_heaps(), max_size=5)) for packet in heap]
    order = draw(st.permutations(every))
    copies = draw(st.lists(st.sampled_from([0, 1, 1, 1, 1, 2]), min_size=len(order)))
    return [packet for packet, count in zip(order, copies, strict=False) for _ in range(count)]


@st.composite
def hostile_bytes(draw: st.DrawFn) -> bytes:
    """Good packets with bytes changed, cut off and put in."""
    data = bytearray(b"".join(draw(st.lists(loose_packets(), min_size=1, max_size=4))))
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=4)):
        data[place] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


def seen_by_the_library(
    data: bytes, max_heaps: int, stop: bool
) -> tuple[list[Any], dict[str, int]]:
    stream = stream_of(
        data,
        thread_pool=POOL,
        max_heaps=max_heaps,
        ring_heaps=2,
        contiguous_only=False,
        incomplete_keep_payload_ranges=True,
        stop_on_stop_item=stop,
    )
    heaps = [seen(heap) for heap in stream]
    stats = stream.stats
    return heaps, {name: getattr(stats, name) for name in COUNTERS}


def seen(heap: Any) -> tuple[Any, ...]:
    """Return the same as `oracle.Heap.seen`."""
    controls = {0} if heap.is_start_of_stream() else set()
    controls |= {2} if heap.is_end_of_stream() else set()
    items = [
        (item.id, item.immediate_value if item.is_immediate else bytes(item))
        for item in heap.get_items()
    ]
    partial = isinstance(heap, pyspin.recv.IncompleteHeap)
    return (
        heap.cnt,
        heap.flavour.heap_address_bits,
        controls,
        heap.payload_ranges if partial else None,
        (heap.heap_length, heap.received_length) if partial else None,
        items,
    )


def check(data: bytes, max_heaps: int, stop: bool) -> None:
    model = oracle.Stream(max_heaps, stop)
    model.run(data)
    heaps, stats = seen_by_the_library(data, max_heaps, stop)
    assert heaps == model.out
    assert stats == {name: model.stats[name] for name in COUNTERS}


@settings(max_examples=200)
@given(st.lists(loose_packets(), max_size=12), st.integers(1, 4), st.booleans())
def test_packets_that_disagree(traffic: list[bytes], max_heaps: int, stop: bool) -> None:
    check(b"".join(traffic), max_heaps, stop)


@settings(max_examples=200)
@given(shuffled_traffic(), st.integers(1, 4), st.booleans())
def test_packets_shuffled_lost_and_repeated(
    traffic: list[bytes], max_heaps: int, stop: bool
) -> None:
    check(b"".join(traffic), max_heaps, stop)


@settings(max_examples=200)
@given(hostile_bytes(), st.integers(1, 4), st.booleans())
def test_hostile_bytes(data: bytes, max_heaps: int, stop: bool) -> None:
    check(data, max_heaps, stop)
