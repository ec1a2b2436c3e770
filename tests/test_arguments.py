# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments are refused by their name and value, whatever their type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import pyspin
from pyspin import recv, send

Call = Callable[[pyspin.ThreadPool, Any], object]

FLAGS = ("contiguous_only", "incomplete_keep_payload_ranges", "scatter")

CALLS: list[tuple[str, list[Any], Call]] = [
    ("thread_pool", [None, 1], lambda pool, value: recv.Stream(value)),
    ("max_heaps", [0, -1, 2**40, 1.5], lambda pool, value: recv.Stream(pool, max_heaps=value)),
    ("ring_heaps", [0, -1, 2**40, None], lambda pool, value: recv.Stream(pool, ring_heaps=value)),
    ("bug_compat", [8, -1, "x"], lambda pool, value: recv.Stream(pool, value)),
    (
        "max_latency",
        [None, "x", -1e-9, float("nan"), float("inf"), 1e10],
        lambda pool, value: recv.Stream(pool, max_latency=value),
    ),
    ("allocator", [5, "x"], lambda pool, value: recv.Stream(pool, allocator=value)),
    ("ring", [5, "x"], lambda pool, value: recv.Stream(pool, ring=value)),
    ("id", [2**40, -(2**40), "x"], lambda pool, value: recv.Stream(pool).set_memcpy(value)),
    ("buffer", [None, 5], lambda pool, value: recv.Stream(pool).add_buffer_reader(value)),
    ("timeout", ["x", -1, float("nan")], lambda pool, value: recv.Ring().get(timeout=value)),
    ("timeout", ["x", -1], lambda pool, value: recv.Ring().get_many(1, timeout=value)),
    ("bind_hostname", [1.5], lambda pool, value: udp(pool, 0, bind_hostname=value)),
    ("busy_poll", [None, -1, 1e9], lambda pool, value: udp(pool, 0, busy_poll=value)),
    ("buffer_size", [None, -1, 2**40], lambda pool, value: udp(pool, 0, buffer_size=value)),
    ("max_size", [None, 0, 2**40], lambda pool, value: udp(pool, 0, max_size=value)),
    ("multicast_group", [7.5], lambda pool, value: udp(pool, multicast_group=value, port=0)),
    (
        "interface_address",
        [7.5, b"", []],
        lambda pool, value: udp(pool, "239.1.2.3", 0, interface_address=value),
    ),
    (
        "interface_index",
        ["x", -1, 2**40],
        lambda pool, value: udp(pool, "ff12::1", 0, interface_index=value),
    ),
    ("timeout", [np.arange(2)], lambda pool, value: recv.Ring().get(timeout=value)),
    ("interface", [None, 5], lambda pool, value: pyspin.processors_near(value)),
    ("interface", [None, 5], lambda pool, value: pyspin.numa_node_near(value)),
    ("ranges", [None, 5], lambda pool, value: pyspin.parse_range_list(value)),
    ("id", ["x", 1.5], lambda pool, value: pyspin.Descriptor(value, "a", "b", (), "u4")),
    ("shape", [5, "x", (1.5,)], lambda pool, value: pyspin.Descriptor(1, "a", "b", value, "u4")),
    ("dtype", ["no such", 5], lambda pool, value: pyspin.Descriptor(1, "a", "b", (), value)),
    (
        "format",
        [5, "x", [("u",)], [("u", "8")]],
        lambda pool, value: pyspin.Descriptor(1, "a", "b", (), format=value),
    ),
    (
        "rate",
        ["x", "1e6", b"1", -1, float("nan"), 1e999, 10**400],
        lambda pool, value: send.StreamConfig(rate=value),
    ),
    ("thread_pool", [None, 1], lambda pool, value: send.UdpStream(value, "127.0.0.1", 1)),
    ("port", [True, 1.5, -1], lambda pool, value: send.UdpStream(pool, "127.0.0.1", value)),
    ("buffer_size", [None, -1, 2.5], lambda pool, value: sender(pool, buffer_size=value)),
    ("socket", [5, "x"], lambda pool, value: sender(pool, socket=value)),
    ("endpoints", [5, [5]], lambda pool, value: sender(pool, endpoints=value)),
    ("multicast_group", [None, 5], lambda pool, value: group_sender(pool, multicast_group=value)),
    ("ttl", ["x", 256], lambda pool, value: sender(pool, ttl=value)),
    ("heap", [None], lambda pool, value: sender(pool).send_heap(value)),
    ("cnt", [None, 1.5], lambda pool, value: sender(pool).send_heap(send.Heap(), value)),
    ("next", [None, -1, 2**64], lambda pool, value: sender(pool).set_cnt_sequence(value, 1)),
    ("step", [0, 1.5, 2**64], lambda pool, value: sender(pool).set_cnt_sequence(1, value)),
    ("cnt", [None, 1.5], lambda pool, value: send.BytesStream(pool).send_heap(send.Heap(), value)),
    ("next", [-1, 2**64], lambda pool, value: send.BytesStream(pool).set_cnt_sequence(value, 1)),
    (
        "step",
        [0, 1.5, 2**64],
        lambda pool, value: send.BytesStream(pool).set_cnt_sequence(1, value),
    ),
    ("item", [None], lambda pool, value: send.Heap().add_item(value)),
    ("descriptor", [None], lambda pool, value: send.Heap().add_descriptor(value)),
    ("heap", [None], lambda pool, value: send.PacketGenerator(value, 1, 1472)),
    ("cnt", [None, 1.5, -1], lambda pool, value: send.PacketGenerator(send.Heap(), value, 1472)),
    (
        "max_packet_size",
        [None, 55, 2**64],
        lambda pool, value: send.PacketGenerator(send.Heap(), 1, value),
    ),
    ("heap", [None, 5], lambda pool, value: send.ItemGroup().add_to_heap(value)),
    ("item_group", [None, 5], lambda pool, value: send.HeapGenerator(value)),
    ("descriptor_frequency", ["x", -1], lambda pool, value: send.ItemGroup(value)),
]


def udp(pool: pyspin.ThreadPool, *args: Any, **kwargs: Any) -> None:
    with recv.Stream(pool) as stream:
        stream.add_udp_reader(*args, **kwargs)


def sender(pool: pyspin.ThreadPool, **kwargs: Any) -> send.UdpStream:
    return send.UdpStream(pool, "127.0.0.1", 1, **kwargs)


def group_sender(pool: pyspin.ThreadPool, **kwargs: Any) -> send.UdpStream:
    return send.UdpStream(pool, port=1, ttl=1, **kwargs)


@pytest.fixture(scope="module")
def pool() -> Iterator[pyspin.ThreadPool]:
    with pyspin.ThreadPool() as pool:
        yield pool


@pytest.mark.parametrize(
    ("name", "value", "call"),
    [(name, value, call) for name, values, call in CALLS for value in values],
)
def test_a_wrong_argument_is_named(
    pool: pyspin.ThreadPool, name: str, value: Any, call: Call
) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{name}\b") as caught:
        call(pool, value)
    assert type(caught.value) in (TypeError, ValueError)
    shown = str(caught.value)
    assert repr(value) in shown or str(value) in shown or isinstance(value, list)


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [None, -1, 3, "x", []])
def test_a_flag_is_whatever_is_true(pool: pyspin.ThreadPool, name: str, value: Any) -> None:
    recv.Stream(pool, **{name: value}).stop()


@pytest.mark.parametrize("timeout", [float("inf"), 10**400, Fraction(10**30)])
def test_an_infinite_timeout_is_one(pool: pyspin.ThreadPool, timeout: Any) -> None:
    stream = recv.Stream(pool)
    stream.stop()
    with pytest.raises(pyspin.Stopped):
        stream.get(timeout=timeout)
