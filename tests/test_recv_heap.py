# SPDX-License-Identifier: Apache-2.0
"""What can be read from heaps."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np
import packets as p
import pytest
from receiving import heaps_of

import pyspin
import pyspin.recv
from pyspin._ffi import lib


def one_heap(pointers: list[bytes], payload: bytes, hab: int = 40, **options: object) -> object:
    [heap] = heaps_of(p.heap_packets(7, payload, pointers, hab=hab), **options)
    return heap


@pytest.mark.parametrize("hab", [8, 16, 24, 32, 40, 48, 56])
def test_flavour_is_that_of_the_packets(hab: int) -> None:
    heap = one_heap([], b"x", hab, bug_compat=pyspin.BUG_COMPAT_SWAP_ENDIAN)
    assert heap.flavour == pyspin.Flavour(4, 64, hab, pyspin.BUG_COMPAT_SWAP_ENDIAN)
    assert heap.cnt == 7


def test_addressed_items_come_by_address_and_immediates_by_value() -> None:
    heap = one_heap(
        [
            p.immediate(0x1003, 9),
            p.addressed(0x1001, 4),
            p.immediate(0x1004, 3),
            p.addressed(0x1000, 0),
        ],
        b"abcdefgh",
    )
    items = heap.get_items()
    assert [item.id for item in items] == [0x1000, 0x1001, 0x1004, 0x1003]
    assert [bytes(item) for item in items[:2]] == [b"abcd", b"efgh"]
    assert [item.immediate_value for item in items[2:]] == [3, 9]


def test_raw_items_are_buffers() -> None:
    addressed, immediate = one_heap(
        [p.addressed(0x1000, 0), p.immediate(0x1001, 0x0102)], b"abc"
    ).get_items()
    assert bytes(memoryview(addressed)) == b"abc"
    assert memoryview(addressed).format == "B"
    assert not memoryview(addressed).readonly
    assert bytes(memoryview(immediate)) == b"\0\0\0\x01\x02"
    assert not addressed.is_immediate
    assert immediate.is_immediate
    assert np.asarray(addressed).dtype == np.uint8
    assert np.shares_memory(np.frombuffer(addressed, np.uint8), addressed)
    with pytest.raises(ValueError, match="0x1000 is not immediate"):
        addressed.immediate_value  # noqa: B018


def test_get_items_hides_descriptors_and_null() -> None:
    heap = one_heap(
        [
            p.addressed(p.DESCRIPTOR, 0),
            p.addressed(0x1000, 2),
            p.addressed(0, 4),
            p.immediate(0, 1),
            p.immediate(p.STREAM_CTRL, p.STREAM_START),
        ],
        b"abcdef",
    )
    assert [item.id for item in heap.get_items()] == [0x1000, p.STREAM_CTRL]
    assert bytes(heap.get_items()[0]) == b"cd"
    assert heap.is_start_of_stream()
    assert not heap.is_end_of_stream()


def test_get_descriptors_decodes_nested_packets() -> None:
    [heap] = heaps_of(
        p.described_heap(
            1,
            0x1234,
            b"abcd",
            name="gain",
            description="of it",
            dtype=None,
            shape=(2, None),
            format=[("u", 16)],
        )
    )
    [descriptor] = heap.get_descriptors()
    assert (descriptor.id, descriptor.name) == (0x1234, b"gain")
    assert descriptor.shape == (2, None)
    assert descriptor.format == [("u", 16)]


def test_only_addressed_descriptor_items_are_descriptors() -> None:
    nested = p.descriptor(0x1234, "gain", format=[("u", 16)])
    heap = one_heap([p.addressed(0x1000, 0), p.immediate(p.DESCRIPTOR, len(nested))], nested)
    assert heap.get_descriptors() == []
    group = pyspin.ItemGroup()
    assert group.update(heap) == {}
    assert len(group) == 0


def test_last_packet_time_is_on_the_monotonic_clock() -> None:
    before = time.monotonic()
    assert before <= one_heap([], b"x").last_packet_time <= time.monotonic()


def test_slices_keep_the_heap() -> None:
    payload = bytes(range(256)) * 16
    view = memoryview(one_heap([p.addressed(0x1000, 0)], payload).get_items()[0])[1000:1010]
    gc.collect()
    assert lib.spn_heaps_live() == 1
    assert bytes(view) == payload[1000:1010]
    view.release()
    gc.collect()
    assert lib.spn_heaps_live() == 0


def test_arrays_have_an_owner_that_is_no_array() -> None:
    item = one_heap([p.addressed(0x1000, 0)], b"abc").get_items()[0]
    owner = item
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert owner is not None


def test_group_values_are_views_of_the_heap() -> None:
    header = "{'descr': '>u2', 'fortran_order': False, 'shape': (4,)}"
    [heap] = heaps_of(p.described_heap(1, 0x1000, b"\0\1\0\2\0\3\0\4", name="x", dtype=header))
    group = pyspin.ItemGroup()
    updated = group.update(heap)
    assert list(updated) == ["x"]
    np.testing.assert_array_equal(group["x"].value, [1, 2, 3, 4])


def test_an_empty_heap_has_nothing() -> None:
    heap = one_heap([], b"")
    assert heap.get_items() == []
    assert heap.get_descriptors() == []
    assert pyspin.ItemGroup().update(heap) == {}


def incomplete(**options: object) -> object:
    chunks = [
        p.data_packet(3, b"x" * 4, offset, 32, [p.immediate(0x1000, 5)]) for offset in (0, 4, 16)
    ]
    [heap] = heaps_of(chunks, contiguous_only=False, **options)
    return heap


def test_incomplete_heap_tells_what_arrived() -> None:
    heap = incomplete(incomplete_keep_payload_ranges=True)
    assert isinstance(heap, pyspin.recv.IncompleteHeap)
    assert (heap.cnt, heap.heap_length, heap.received_length) == (3, 32, 12)
    assert heap.payload_ranges == [(0, 8), (16, 20)]
    assert [(item.id, item.immediate_value) for item in heap.get_items()] == [(0x1000, 5)]


def test_ranges_are_kept_on_request_only() -> None:
    assert incomplete().payload_ranges == []


def test_incomplete_heap_of_unknown_length() -> None:
    [heap] = heaps_of([p.data_packet(3, b"abcd", 4)], contiguous_only=False)
    assert heap.heap_length == -1


def test_group_refuses_an_incomplete_heap() -> None:
    with pytest.raises(AttributeError):
        pyspin.ItemGroup().update(incomplete())


def test_repr_names_the_heap() -> None:
    assert "IncompleteHeap 3: 12 bytes" in repr(incomplete())


@pytest.mark.parametrize("kind", [pyspin.recv.Heap, pyspin.recv.IncompleteHeap])
def test_heaps_are_not_made(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match="taken from a stream"):
        kind()
