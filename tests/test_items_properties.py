# SPDX-License-Identifier: Apache-2.0
"""Random types and values, through pyspin's bytes to spead2 and to pyspin itself."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import spead2
import spead2.recv
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pyspin

ITEM = 0x51
THREADS = spead2.ThreadPool()


def packet(descriptor: bytes, value: bytes, hab: int) -> bytes:
    """Return a heap in one packet: a descriptor and the item's value."""
    length = len(descriptor) + len(value)
    immediates = [(1, 1), (2, length), (3, 0), (4, length)]
    pointers = [1 << 63 | id << hab | number for id, number in immediates]
    pointers += [5 << hab, ITEM << hab | len(descriptor)]
    header = bytes([0x53, 4, 8 - hab // 8, hab // 8, 0, 0, 0, len(pointers)])
    return header + struct.pack(f">{len(pointers)}Q", *pointers) + descriptor + value


def received(item: pyspin.Item, hab: int, mask: int) -> tuple[Any, Any]:
    """Return the value as spead2 and as pyspin read it from pyspin's bytes."""
    flavour = pyspin.Flavour(4, 64, hab, mask)
    descriptor = item.to_raw(flavour).encode(flavour)
    value = np.asarray(item.to_buffer()).tobytes()
    stream = spead2.recv.Stream(THREADS, spead2.recv.StreamConfig(bug_compat=mask))
    stream.add_buffer_reader(packet(descriptor, value, hab))
    heap = stream.get()
    return (
        spead2.ItemGroup().update(heap)[item.name].value,
        pyspin.ItemGroup().update(heap)[item.name].value,
    )


def field_values(code: str, bits: int) -> st.SearchStrategy[Any]:
    """Return values of a field; characters but NUL, which numpy strips."""
    if code == "u":
        return st.integers(0, (1 << bits) - 1)
    if code == "i":
        return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if code == "f":
        return st.floats(width=32 if bits == 32 else 64, allow_nan=False)
    if code == "c":
        return st.characters(min_codepoint=1, max_codepoint=127)
    return st.booleans()


fields = st.one_of(
    st.tuples(st.sampled_from("uib"), st.integers(1, 80)),
    st.tuples(st.sampled_from("uib"), st.sampled_from([8, 16, 32, 64])),
    st.sampled_from([("f", 32), ("f", 64), ("c", 8)]),
)
flavours = {"hab": st.sampled_from(range(16, 57, 8)), "mask": st.integers(0, 7)}


@settings(max_examples=60)
@given(data=st.data(), format=st.lists(fields, min_size=1, max_size=4), **flavours)
def test_formats_survive(data: st.DataObject, format: Any, hab: int, mask: int) -> None:
    count = data.draw(st.integers(1, 20))
    element = st.tuples(*(field_values(*field) for field in format))
    elements = data.draw(st.lists(element, min_size=count, max_size=count))
    values = elements if len(format) > 1 else [value for (value,) in elements]
    item = pyspin.Item(ITEM, "item", "", (count,), format=format, value=values)

    peer = spead2.Item(ITEM, "item", "", (count,), format=format, value=values)
    assert np.asarray(item.to_buffer()).tobytes() == memoryview(peer.to_buffer()).tobytes()
    theirs, ours = received(item, hab, mask)
    if format == [("c", 8)]:
        assert ours == theirs == "".join(str(value) for value in values)
    else:
        plain = [
            tuple(part.encode() if isinstance(part, str) else part for part in value)
            for value in elements
        ]
        assert ours.tolist() == (plain if len(format) > 1 else values)
        assert ours.tolist() == theirs.tolist()
        assert ours.dtype == theirs.dtype.newbyteorder("=")


@settings(max_examples=60)
@given(
    data=st.data(),
    bits=st.integers(1, 64),
    signed=st.booleans(),
    shape=hnp.array_shapes(max_dims=3, max_side=6),
)
def test_variable_arrays_of_odd_integers_survive(
    data: st.DataObject, bits: int, signed: bool, shape: tuple[int, ...]
) -> None:
    code = "i" if signed else "u"
    type_ = "i8" if signed else "u8"
    value = data.draw(hnp.arrays(type_, shape, elements=field_values(code, bits)))
    item = pyspin.Item(ITEM, "item", "", (*shape[:-1], None), format=[(code, bits)], value=value)
    theirs, ours = received(item, 40, 0)
    assert ours.shape == theirs.shape  # longer than sent if elements fit the last byte
    assert ours.tolist() == theirs.tolist()
    if bits * value.size % 8 == 0 or bits >= 8:
        assert ours.tolist() == value.tolist()


dtypes = st.one_of(
    hnp.scalar_dtypes().filter(lambda dtype: dtype.kind not in "mM"),
    hnp.nested_dtypes(
        hnp.integer_dtypes() | hnp.floating_dtypes(sizes=(16, 32, 64)) | hnp.boolean_dtypes(),
        max_itemsize=64,
    ),
).filter(lambda dtype: 0 < dtype.itemsize <= 64 and dtype.subdtype is None)


@settings(max_examples=60)
@given(
    data=st.data(),
    dtype=dtypes,
    shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4),
    order=st.sampled_from("CF"),
    **flavours,
)
def test_dtypes_survive(
    data: st.DataObject, dtype: Any, shape: Any, order: Any, hab: int, mask: int
) -> None:
    value = data.draw(hnp.arrays(dtype, shape))
    item = pyspin.Item(ITEM, "item", "", shape, dtype, order, value=value)
    try:
        theirs, ours = received(item, hab, mask)
    except UnicodeEncodeError:  # a name of a field that no header can hold
        return
    native = value.astype(dtype.newbyteorder("="))
    assert ours.dtype == native.dtype
    assert repr(ours.tolist()) == repr(theirs.tolist()) == repr(native.tolist())
