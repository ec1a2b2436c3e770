# SPDX-License-Identifier: Apache-2.0
"""How long received values hold the memory of their heap."""

from __future__ import annotations

from typing import Any

import numpy as np
import packets
from receiving import heaps_of

import pyspin
from pyspin._ffi import lib

ITEM = 0x1000


def update(group: pyspin.ItemGroup, values: list[bytes], descr: str = "<u2") -> list[int]:
    """Update from one heap a value; return how many heaps live after each."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,)}}"
    wire = [
        packet
        for cnt, value in enumerate(values, 1)
        for packet in packets.described_heap(cnt, ITEM, value, name="item", dtype=header)
    ]
    heaps = heaps_of(wire, ring_heaps=len(values))
    living = []
    while heaps:
        group.update(heaps.pop(0))
        living.append(lib.spn_heaps_live() - len(heaps))
    return living


def test_a_value_that_nobody_read_holds_its_heap_until_the_next() -> None:
    before = lib.spn_heaps_live()
    group = pyspin.ItemGroup()
    assert update(group, [b"abcd", b"efgh", b"ijkl"]) == [before + 1] * 3
    assert group["item"].value.tobytes() == b"ijkl"
    del group
    assert lib.spn_heaps_live() == before


def test_a_view_holds_the_heap_when_all_else_is_gone() -> None:
    before = lib.spn_heaps_live()
    group = pyspin.ItemGroup()
    update(group, [b"abcd"])
    last = group["item"].value[1:]
    del group
    assert lib.spn_heaps_live() == before + 1
    assert last.tobytes() == b"cd"
    last[0] = 0x7777
    del last
    assert lib.spn_heaps_live() == before


def test_a_converted_value_gives_its_heap_back() -> None:
    before = lib.spn_heaps_live()
    group = pyspin.ItemGroup()
    update(group, [b"\0\1\0\2"], ">u2")
    assert lib.spn_heaps_live() == before + 1
    assert group["item"].value.tolist() == [1, 2]
    assert lib.spn_heaps_live() == before


def test_scalars_and_text_give_their_heap_back() -> None:
    before = lib.spn_heaps_live()
    values: list[Any] = []
    for shape, format, wire in (
        ((), [("u", 64)], bytes(7) + b"\5"),
        ((), [("u", 12)], b"\0\x50"),
        ((None,), [("c", 8)], b"text"),
        ((2,), [("u", 12)], b"\0\x10\2"),
    ):
        heaps = heaps_of(
            packets.described_heap(1, ITEM, wire, name="item", shape=shape, format=format)
        )
        values.append(pyspin.ItemGroup().update(heaps.pop())["item"].value)
    assert lib.spn_heaps_live() == before
    assert values[:3] == [5, 5, "text"]
    assert values[3].tolist() == [1, 2]


def test_a_heap_may_update_two_groups() -> None:
    wire = packets.described_heap(1, ITEM, b"ab", name="item", shape=(2,), format=[("u", 8)])
    [heap] = heaps_of(wire)
    one, two = pyspin.ItemGroup(), pyspin.ItemGroup()
    one.update(heap)
    two.update(heap)
    assert np.shares_memory(one["item"].value, two["item"].value)
