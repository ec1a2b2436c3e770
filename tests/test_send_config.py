# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from pyspin.send import StreamConfig


def test_defaults():
    config = StreamConfig()
    assert config.max_packet_size == 1472
    assert config.rate == 0.0
    assert config.burst_size == 65536
    assert config.max_heaps == 4
    assert config.burst_rate_ratio == 1.05
    assert config.burst_rate == 0.0


def test_arguments_may_be_positional_and_attributes_set():
    config = StreamConfig(9000, 1e9, 8192, 2, 1.5)
    assert config.burst_rate == 1.5e9
    config.rate = 2e9
    assert config.burst_rate == 3e9
    assert repr(config).startswith("StreamConfig(max_packet_size=9000, rate=2000000000.0")


def test_burst_rate_is_read_only():
    with pytest.raises(AttributeError):
        StreamConfig().burst_rate = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_packet_size", -1),
        ("rate", -1.0),
        ("rate", math.nan),
        ("rate", math.inf),
        ("burst_size", -1),
        ("max_heaps", 0),
        ("burst_rate_ratio", 0.99),
        ("burst_rate_ratio", math.inf),
    ],
)
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        StreamConfig(**{name: value})
    with pytest.raises(ValueError, match=name):
        setattr(StreamConfig(), name, value)


@pytest.mark.parametrize("name", ["max_packet_size", "rate", "burst_size", "max_heaps"])
def test_values_of_wrong_types_are_named(name):
    with pytest.raises(TypeError, match=name):
        StreamConfig(**{name: []})


def test_a_copy_is_another_object():
    config = StreamConfig(9000)
    copy = config.copy()
    copy.max_packet_size = 100
    assert config.max_packet_size == 9000
